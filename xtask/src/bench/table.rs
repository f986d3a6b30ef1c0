//! Results as Markdown.
use std::fmt;

/// What was measured, on what machine.
pub(super) struct Table {
    pub(super) title: String,
    rows: Vec<Row>,
}

struct Row {
    what: String,
    aim: String,
    measured: String,
}

impl Table {
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), rows: Vec::new() }
    }

    /// `aim` is empty for what is reported without one.
    pub(super) fn row(&mut self, what: impl Into<String>, aim: &str, measured: impl Into<String>) {
        self.rows.push(Row { what: what.into(), aim: aim.to_owned(), measured: measured.into() });
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}\n\n{}\n", self.title, machine())?;
        writeln!(f, "| what | aim | measured |\n|---|---|---|")?;
        for Row { what, aim, measured } in &self.rows {
            writeln!(f, "| {what} | {aim} | {measured} |")?;
        }
        Ok(())
    }
}

/// Cores and processor. The command line is in the page's own words.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = information
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    format!("{cores} cores, {model}; etcd, API server and load on the same machine.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_markdown() {
        let mut table = Table::new("ant");
        table.row("memory, empty", "≤ 15 MiB", "9.1 MiB");
        let text = table.to_string();
        assert!(text.starts_with("## ant\n\n"), "{text}");
        assert!(
            text.ends_with(
                "\n\n| what | aim | measured |\n|---|---|---|\n| memory, empty | ≤ 15 MiB | 9.1 MiB |\n"
            ),
            "{text}"
        );
    }
}
