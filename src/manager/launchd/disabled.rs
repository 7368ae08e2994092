//! Reads what `launchctl print-disabled <domain>` says of one label: whether a person has
//! switched it off. Pure.

/// The override of `label`: `Some(true)` is disabled, `Some(false)` enabled by hand, `None` no
/// override. Since macOS 13 the words are `disabled` and `enabled`; before, `true` and `false`.
pub fn parse(text: &str, label: &str) -> Option<bool> {
    text.split('\n').find_map(|line| {
        let (name, word) = line.trim().split_once(" => ")?;
        let name = name.strip_prefix('"')?.strip_suffix('"')?;
        match word {
            _ if name != label => None,
            "disabled" | "true" => Some(true),
            "enabled" | "false" => Some(false),
            _ => None,
        }
    })
}
