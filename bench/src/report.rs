//! From samples to Markdown.

use std::fmt::Write as _;

use crate::run::{Run, Series};
use crate::suite::Suite;

pub mod compare;
pub mod figures;
pub mod picture;
pub mod tables;

/// The summary of a run: the machine, the figures to reach, and a table per measure.
pub fn summary(suite: &Suite, run: &Run) -> String {
    let mut text = format!("# underseal: bench {}\n\n", suite.name);
    text.push_str(&run.machine.to_markdown());
    let _ = writeln!(text, "- AEAD backend of underseal here: {}", run.backend);
    let _ = writeln!(text, "- command: `underseal-bench {}`\n", run.command);
    text.push_str(&figures::table_of(&(suite.figures)(run)));
    text.push_str(&(suite.tables)(run));
    text
}

/// A Markdown table.
#[derive(Debug)]
pub struct Table {
    text: String,
}

impl Table {
    /// A table with these column titles.
    pub fn new(titles: &[String]) -> Self {
        let mut table = Self {
            text: String::new(),
        };
        table.row(titles);
        let rule: Vec<String> = titles
            .iter()
            .enumerate()
            .map(|(column, _)| if column == 0 { "---" } else { "---:" }.to_owned())
            .collect();
        table.row(&rule);
        table
    }

    /// Adds a row.
    pub fn row(&mut self, cells: &[String]) {
        let _ = writeln!(self.text, "| {} |", cells.join(" | "));
    }

    /// The table, with an empty line behind it.
    pub fn finish(mut self) -> String {
        self.text.push('\n');
        self.text
    }
}

/// Median and spread: `1.08 (1.05..1.12)`.
pub fn spread(series: &Series) -> String {
    match series.len() {
        0 => "–".to_owned(),
        1 => number(series.median()),
        _ => format!(
            "{} ({}..{})",
            number(series.median()),
            number(series.min()),
            number(series.max())
        ),
    }
}

/// Three significant digits, without an exponent.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let before_point = value.abs().log10().floor() as i32 + 1;
    let decimals = usize::try_from(3 - before_point).unwrap_or(0);
    format!("{value:.decimals$}")
}

/// A number of bytes as people say it: `64 KiB`.
pub fn bytes(setting: &str) -> String {
    match setting.parse::<u64>() {
        Ok(bytes) if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
        Ok(bytes) if bytes >= 1 << 10 && bytes % (1 << 10) == 0 => format!("{} KiB", bytes >> 10),
        Ok(bytes) => format!("{bytes} B"),
        Err(_) => setting.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let cases = [
            (0.0, "0"),
            (0.1234, "0.123"),
            (1.5, "1.50"),
            (98.76, "98.8"),
            (2560.4, "2560"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!(number(f64::NAN), "–");
    }

    #[test]
    fn sizes_are_said_in_binary_units() {
        assert_eq!(
            (bytes("64").as_str(), bytes("65536").as_str()),
            ("64 B", "64 KiB")
        );
        assert_eq!(
            (bytes("1048576").as_str(), bytes("task").as_str()),
            ("1 MiB", "task")
        );
        assert_eq!(bytes("1200"), "1200 B", "what is no whole KiB");
    }
}
