//! `parachute status`: the table of the contract's section 9.

use super::watch;
use crate::{
    error::{Exit, Result},
    lifecycle::{
        Site,
        status::{BoxStatus, RowStatus, State, Way},
        unknown_in,
    },
    output::{
        Output, Report, style,
        table::{self, Column, Row},
        text,
    },
};
use anstyle::Style;
use serde::Serialize;
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

/// Show what runs, what does not, and why
///
/// Exit 0 when nothing is failing, 1 when something is.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these modules, or `hub`
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// CPU and memory too
    #[arg(long, short)]
    pub wide: bool,
    /// Go on until Ctrl-C, and show it anew when it changes
    #[arg(long)]
    pub watch: bool,
    /// With `--watch`: how often to look
    #[arg(long, value_name = "SECONDS", default_value_t = 1, requires = "watch",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub interval: u64,
}

/// Carries it out.
pub async fn run(args: &Args, site: &Site, out: &Output) -> Result<Exit> {
    if args.watch {
        return watch::watch(args, site, out).await;
    }
    Ok(out.report(&look(args, site).await?))
}

/// Looks once.
pub(super) async fn look(args: &Args, site: &Site) -> Result<Screen> {
    let mut status = site.observe().await;
    for name in &args.names {
        if status.row(name).is_none() {
            site.registry()?;
            return Err(unknown_in(&status, name));
        }
    }
    if !args.names.is_empty() {
        let wanted = |row: &RowStatus| {
            args.names
                .iter()
                .any(|n| *n == row.name || *n == row.service)
        };
        status.hub = status.hub.filter(|hub| wanted(&hub.row));
        status.modules.retain(wanted);
    }
    Ok(Screen {
        status,
        wide: args.wide,
        user_dir: dirs::home_dir(),
    })
}

/// A box's status as both views show it.
pub struct Screen {
    /// What was found.
    pub status: BoxStatus,
    /// With CPU and memory.
    pub wide: bool,
    /// For `~` in place of it.
    pub user_dir: Option<PathBuf>,
}

impl Serialize for Screen {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.status.serialize(to)
    }
}

impl Report for Screen {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        let status = &self.status;
        let rows: Vec<Row> = status.rows().map(|row| self.row(row)).collect();
        if !rows.is_empty() {
            let mut columns = vec![
                Column {
                    head: "SERVICE",
                    right: false,
                },
                Column {
                    head: "PORT",
                    right: true,
                },
                Column {
                    head: "VERSION",
                    right: false,
                },
                Column {
                    head: "STATE",
                    right: false,
                },
                Column {
                    head: "PID",
                    right: true,
                },
                Column {
                    head: "UPTIME",
                    right: true,
                },
                Column {
                    head: "LATENCY",
                    right: true,
                },
            ];
            if self.wide {
                columns.push(Column {
                    head: "CPU",
                    right: true,
                });
                columns.push(Column {
                    head: "MEMORY",
                    right: true,
                });
            }
            columns.push(Column {
                head: "SOURCE",
                right: false,
            });
            table::write(to, &columns, &rows)?;
        }
        let (wait, dim, hint) = (style::WAIT, style::DIM, style::HINT);
        for note in &status.notes {
            writeln!(to, "{wait}note{wait:#}: {}", text::visible(note))?;
        }
        if rows.is_empty() && status.notes.is_empty() {
            writeln!(to, "nothing is installed on this box yet")?;
            writeln!(
                to,
                "{hint}hint{hint:#}: `parachute add NAME --port N -- COMMAND…`, or `parachute demo`"
            )?;
        }
        let home = self.tilde(status.home.root());
        let way = match (status.way, status.manager) {
            (Way::Detached, _) => "detached: no hub, each module a process of its own".to_owned(),
            (Way::Managed, manager) => format!(
                "managed: the hub is kept by {}",
                manager.unwrap_or("nobody")
            ),
        };
        writeln!(to, "{dim}{home} · {way}{dim:#}")
    }

    fn exit(&self) -> Exit {
        if self.status.unreachable {
            Exit::Unreachable
        } else if self.status.failing() {
            Exit::Failed
        } else {
            Exit::Success
        }
    }
}

impl Screen {
    fn row(&self, row: &RowStatus) -> Row {
        let plain = Style::new();
        let dash = |text: Option<String>| match text {
            Some(text) => (text::visible(&text).into_owned(), plain),
            None => ("-".to_owned(), style::DIM),
        };
        let state = match row.state {
            State::Active => style::GOOD,
            State::Pending => style::WAIT,
            State::Inactive => style::DIM,
            State::Failing => style::BAD,
        };
        let mut cells = vec![
            (text::visible(&row.name).into_owned(), style::NAME),
            dash(row.port.map(|p| p.to_string())),
            dash(row.version.clone()),
            (row.state.word().to_owned(), state),
            dash(row.pid.map(|p| p.to_string())),
            dash(
                row.uptime_seconds
                    .map(|s| text::uptime(Duration::from_secs(s))),
            ),
            dash(row.latency_ms.map(|ms| format!("{ms:.1} ms"))),
        ];
        if self.wide {
            cells.push(dash(row.cpu_percent.map(|p| format!("{p:.1}%"))));
            cells.push(dash(row.memory_bytes.map(text::bytes)));
        }
        cells.push(dash(
            row.source.as_deref().map(|s| self.short_path(Path::new(s))),
        ));
        Row {
            cells,
            below: below(row),
        }
    }

    /// A path in the box's folder relative to that, one in the user's with `~`.
    fn short_path(&self, path: &Path) -> String {
        match path.strip_prefix(self.status.home.root()) {
            Ok(rest) => format!("./{}", rest.display()),
            Err(_) => self.tilde(path),
        }
    }

    /// A path with the user's own folder as `~`.
    fn tilde(&self, path: &Path) -> String {
        match self
            .user_dir
            .as_ref()
            .and_then(|dir| path.strip_prefix(dir).ok())
        {
            Some(rest) if rest.as_os_str().is_empty() => path.display().to_string(),
            Some(rest) => format!("~/{}", rest.display()),
            None => path.display().to_string(),
        }
    }
}

/// The lines under a row: where it is reached, what to know, what it wrote last.
fn below(row: &RowStatus) -> Vec<String> {
    let (dim, wait, bad) = (style::DIM, style::WAIT, style::BAD);
    let mut lines = Vec::new();
    if let (State::Active, Some(url)) = (row.state, &row.url) {
        lines.push(format!("  {dim}→{dim:#} {}", text::visible(url)));
    }
    let mark = if row.state == State::Failing {
        bad
    } else {
        wait
    };
    for note in &row.notes {
        lines.push(format!("  {mark}!{mark:#} {}", text::visible(note)));
    }
    for line in &row.log {
        lines.push(format!("    {dim}| {}{dim:#}", text::visible(line)));
    }
    lines
}
