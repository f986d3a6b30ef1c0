//! Runs on standard output.

use std::io::{self, Write};

use anyhow::Context as _;
use fleet_api::keys::{APPLICATION, COMPONENT, PIPELINE_TYPE};
use jiff::{SignedDuration, Timestamp};
use pipelines_engine_api::labels::PIPELINE;
use serde_json::{Value, json};

use crate::cli::Format;
use crate::filter::Status;
use crate::run::Run;

/// What stands where nothing is known.
const UNKNOWN: &str = "-";

/// How a table looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) format: Format,
    pub(crate) has_headers: bool,
    /// A column for it: the runs are of several.
    pub(crate) has_namespace: bool,
}

/// Prints a list of runs.
pub(crate) fn list(runs: &[Run], look: Look, now: Timestamp, out: &mut impl Write) -> anyhow::Result<()> {
    match look.format {
        Format::Table | Format::Wide => table(runs, look, now, out)?,
        Format::Name => names(runs, out)?,
        Format::Json | Format::Yaml => {
            let items: Vec<&Value> = runs.iter().map(|run| &run.object).collect();
            let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items});
            document(&list, look.format, out)?;
        }
    }
    Ok(())
}

/// Prints one run: as JSON or YAML it is the object itself.
pub(crate) fn one(run: &Run, look: Look, now: Timestamp, out: &mut impl Write) -> anyhow::Result<()> {
    match look.format {
        Format::Json | Format::Yaml => document(&run.object, look.format, out),
        _ => list(std::slice::from_ref(run), look, now, out),
    }
}

fn document(value: &Value, format: Format, out: &mut impl Write) -> anyhow::Result<()> {
    let text = match format {
        Format::Yaml => serde_saphyr::to_string(value).context("write it as YAML")?,
        _ => serde_json::to_string_pretty(value).context("write it as JSON")?,
    };
    writeln!(out, "{}", text.trim_end())?;
    Ok(())
}

fn names(runs: &[Run], out: &mut impl Write) -> io::Result<()> {
    runs.iter().filter_map(|run| run.record.as_ref()).try_for_each(|name| writeln!(out, "{name}"))
}

/// Name of a column, and its cell for a run.
type Column = (&'static str, fn(&Run, Timestamp) -> String);

const NAMESPACE: Column = ("NAMESPACE", |run, _| run.namespace().to_owned());
const NARROW: [Column; 6] = [
    ("NAME", |run, _| run.name().to_owned()),
    ("COMPONENT", |run, _| run.label(COMPONENT.as_str()).unwrap_or_default().to_owned()),
    ("PIPELINE", |run, _| run.label(PIPELINE.as_str()).unwrap_or_default().to_owned()),
    ("STATUS", |run, _| run.status().map(|status| status.to_string()).unwrap_or_default()),
    ("STARTED", |run, now| run.started().map(|start| ago(now.duration_since(start))).unwrap_or_default()),
    ("DURATION", |run, _| duration(run)),
];
const WIDE: [Column; 5] = [
    ("APPLICATION", |run, _| run.label(APPLICATION.as_str()).unwrap_or_default().to_owned()),
    ("TYPE", |run, _| run.label(PIPELINE_TYPE.as_str()).unwrap_or_default().to_owned()),
    ("REASON", |run, _| run.reason().unwrap_or_default().to_owned()),
    ("UID", |run, _| run.uid().to_owned()),
    ("RECORD", |run, _| run.record.clone().unwrap_or_default()),
];

fn table(runs: &[Run], look: Look, now: Timestamp, out: &mut impl Write) -> io::Result<()> {
    let mut columns: Vec<Column> = Vec::new();
    columns.extend(look.has_namespace.then_some(NAMESPACE));
    columns.extend(NARROW);
    if look.format == Format::Wide {
        columns.extend(WIDE);
    }
    let header = look.has_headers.then(|| columns.iter().map(|(name, _)| (*name).to_owned()).collect());
    let row = |run: &Run| columns.iter().map(|(_, cell)| clean(&cell(run, now))).collect();
    let rows: Vec<Vec<String>> = header.into_iter().chain(runs.iter().map(row)).collect();
    let width =
        |column: usize| rows.iter().map(|row: &Vec<String>| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("   ").trim_end())?;
    }
    Ok(())
}

/// A record is what somebody has written: nothing of it may steer the terminal.
fn clean(cell: &str) -> String {
    if cell.is_empty() {
        return UNKNOWN.to_owned();
    }
    cell.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

fn duration(run: &Run) -> String {
    let started = run.started().filter(|_| run.status() != Some(Status::Running));
    let Some((started, ended)) = started.zip(run.ended()) else { return String::new() };
    length(ended.duration_since(started))
}

fn ago(time: SignedDuration) -> String {
    format!("{} ago", length(time))
}

/// In the two largest units: `1d4h`, `3m20s`. Less than nothing, as of clocks that differ, is nothing.
fn length(time: SignedDuration) -> String {
    let seconds = time.as_secs().max(0);
    let (large, small) = match seconds {
        ..60 => return format!("{seconds}s"),
        60..3600 => ((seconds / 60, "m"), (seconds % 60, "s")),
        3600..86400 => ((seconds / 3600, "h"), (seconds % 3600 / 60, "m")),
        _ => ((seconds / 86400, "d"), (seconds % 86400 / 3600, "h")),
    };
    if small.0 == 0 {
        format!("{}{}", large.0, large.1)
    } else {
        format!("{}{}{}{}", large.0, large.1, small.0, small.1)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn runs() -> Vec<Run> {
        let run = |name: &str, status: &str, reason: &str, end: Option<&str>| Run {
            record: Some(format!("team-a/results/r/records/{name}")),
            object: json!({
                "kind": "PipelineRun",
                "metadata": {"name": name, "namespace": "team-a", "uid": "u", "labels": {
                    "appstudio.openshift.io/component": "web", "tekton.dev/pipeline": "docker\u{1b}[2J"}},
                "status": {"conditions": [{"type": "Succeeded", "status": status, "reason": reason}],
                    "startTime": "2026-03-02T11:00:00Z", "completionTime": end},
            }),
        };
        vec![
            run("web-2", "Unknown", "Running", None),
            run("web-on-push-1", "False", "PipelineRunTimeout", Some("2026-03-02T11:03:20Z")),
        ]
    }

    fn printed(format: Format, has_namespace: bool) -> String {
        let mut out = Vec::new();
        let look = Look { format, has_headers: true, has_namespace };
        list(&runs(), look, "2026-03-02T12:00:00Z".parse().unwrap(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn prints_a_table() {
        let expected = "\
NAMESPACE   NAME            COMPONENT   PIPELINE      STATUS    STARTED   DURATION
team-a      web-2           web         docker?[2J    Running   1h ago    -
team-a      web-on-push-1   web         docker?[2J    Timeout   1h ago    3m20s
";
        let printed = printed(Format::Table, true);
        let squeezed = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(squeezed(&printed), squeezed(expected));
        // Columns begin below each other.
        let starts: Vec<_> =
            printed.lines().map(|line| line.find("web").or(line.find("NAME ")).unwrap()).collect();
        assert_eq!(starts[1], starts[2], "{printed}");
    }

    #[test]
    fn wide_has_more() {
        let printed = printed(Format::Wide, false);
        assert!(
            printed.contains("PipelineRunTimeout") && printed.contains("team-a/results/r/records/web-2"),
            "{printed}"
        );
        assert!(!printed.contains("NAMESPACE"), "{printed}");
    }

    #[test]
    fn names_are_those_of_records() {
        let expected = "team-a/results/r/records/web-2\nteam-a/results/r/records/web-on-push-1\n";
        assert_eq!(printed(Format::Name, false), expected);
    }

    #[test]
    fn documents_are_whole() {
        let from_json: Value = serde_json::from_str(&printed(Format::Json, false)).unwrap();
        let from_yaml: Value = serde_saphyr::from_str(&printed(Format::Yaml, false)).unwrap();
        assert_eq!(from_json, from_yaml);
        assert_eq!(from_json["items"][1], runs()[1].object);
        let mut out = Vec::new();
        let look = Look { format: Format::Json, has_headers: true, has_namespace: false };
        one(&runs()[0], look, Timestamp::UNIX_EPOCH, &mut out).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), runs()[0].object);
    }

    #[rstest]
    #[case(0, "0s")]
    #[case(-5, "0s")]
    #[case(59, "59s")]
    #[case(200, "3m20s")]
    #[case(3600, "1h")]
    #[case(100_800, "1d4h")]
    fn lengths(#[case] seconds: i64, #[case] expected: &str) {
        assert_eq!(length(SignedDuration::from_secs(seconds)), expected);
    }
}
