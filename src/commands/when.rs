//! A point in the past as people type it: how long ago, or a time.

use jiff::{Span, Timestamp, civil::DateTime, tz::TimeZone};

/// `10m`, `2h 30m`, `3d` (days of 24 hours) ago; or an ISO 8601 date or time, UTC where it names
/// no offset.
pub(super) fn parse(text: &str) -> Result<Timestamp, String> {
    at(text.trim(), Timestamp::now())
}

fn at(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Ok(time) = text.parse::<DateTime>() {
        let time = time.to_zoned(TimeZone::UTC);
        return time.map(|t| t.timestamp()).map_err(|e| e.to_string());
    }
    let odd = || format!("`{text}` is neither a span as `10m` nor a time as 2026-06-01T12:00:00Z");
    let span: Span = text.parse().map_err(|_| odd())?;
    if span.is_negative() || text.starts_with('-') {
        return Err(format!("`{text}` lies in the future"));
    }
    let then = now.to_zoned(TimeZone::UTC).checked_sub(span);
    then.map(|then| then.timestamp()).map_err(|_| odd())
}

#[cfg(test)]
mod tests {
    use super::at;

    #[test]
    fn spans_and_times() {
        let now = "2026-06-10T12:00:00Z".parse().unwrap();
        let read = |text| at(text, now).map(|t| t.to_string());
        assert_eq!(read("90s").unwrap(), "2026-06-10T11:58:30Z");
        assert_eq!(read("10m").unwrap(), "2026-06-10T11:50:00Z");
        assert_eq!(read("2h 30m").unwrap(), "2026-06-10T09:30:00Z");
        assert_eq!(read("3d").unwrap(), "2026-06-07T12:00:00Z");
        assert_eq!(read("PT5M").unwrap(), "2026-06-10T11:55:00Z");
        assert_eq!(read("2026-06-01").unwrap(), "2026-06-01T00:00:00Z");
        assert_eq!(read("2026-06-01T12:00").unwrap(), "2026-06-01T12:00:00Z");
        assert_eq!(
            read("2026-06-01T12:00:00+02:00").unwrap(),
            "2026-06-01T10:00:00Z"
        );
        for bad in [
            "",
            "soon",
            "10",
            "-5m",
            "5 parsecs",
            "99999999999h",
            "9999999y",
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
