//! A table with lines of its own below each row, which no column cuts.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets::NOTHING};
use std::io::{self, Write};

/// A cell: its text, its style, and how it is aligned.
pub struct Column {
    /// Heading.
    pub head: &'static str,
    /// Numbers stand to the right.
    pub right: bool,
}

/// One row and the lines that follow it.
pub struct Row {
    /// Text and style of each cell.
    pub cells: Vec<(String, anstyle::Style)>,
    /// Whole lines below it, styled already.
    pub below: Vec<String>,
}

/// Writes head and rows. Widths are of the plain text, so colour does not move a column.
pub fn write(to: &mut dyn Write, columns: &[Column], rows: &[Row]) -> io::Result<()> {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|c| Cell::new(c.head)));
    for (at, column) in columns.iter().enumerate() {
        if let Some(settings) = table.column_mut(at) {
            settings.set_padding((0, 2));
            if column.right {
                settings.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    for row in rows {
        table.add_row(row.cells.iter().map(|(text, _)| Cell::new(text)));
    }
    let dim = super::style::DIM;
    let mut rows = rows.iter();
    for (at, line) in table.lines().enumerate() {
        let line = line.trim_end();
        if at == 0 {
            writeln!(to, "{dim}{line}{dim:#}")?;
            continue;
        }
        let Some(row) = rows.next() else { break };
        writeln!(to, "{}", painted(line, &row.cells))?;
        for below in &row.below {
            writeln!(to, "{below}")?;
        }
    }
    Ok(())
}

/// The finished line with each cell's style put around its text, found from left to right.
fn painted(line: &str, cells: &[(String, anstyle::Style)]) -> String {
    let mut out = String::with_capacity(line.len() + 64);
    let mut rest = line;
    for (text, style) in cells {
        let Some(at) = (!text.is_empty())
            .then(|| rest.find(text.as_str()))
            .flatten()
        else {
            continue;
        };
        out.push_str(&rest[..at]);
        out.push_str(&format!("{style}{text}{style:#}"));
        rest = &rest[at + text.len()..];
    }
    out.push_str(rest);
    out
}
