//! `sast-shell-check`: faults in shell scripts, as ShellCheck finds them.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;

use super::{files, shown};
use crate::context::{Context, say};
use crate::program::Program;
use crate::test_output::{self, TestOutput};

/// Files that are given to the program at once.
const TOGETHER: usize = 200;
/// Findings that the log shows.
const SHOWN: usize = 200;

/// Looks for faults in shell scripts.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long, value_name = "DIR")]
    source: PathBuf,
    #[arg(long, value_name = "PATH")]
    result_test_output: PathBuf,
}

#[derive(Deserialize)]
struct Report {
    comments: Vec<Comment>,
}

#[derive(Deserialize)]
struct Comment {
    file: PathBuf,
    line: u64,
    level: String,
    code: u64,
    message: String,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let now = context.clock.now();
    let check = async {
        let scripts: Vec<_> = files(&args.source)?.into_iter().filter(|file| is_script(file)).collect();
        let mut comments = Vec::new();
        for scripts in scripts.chunks(TOGETHER) {
            comments.extend(check(&args.source, scripts).await?);
        }
        let count = |level: &str| comments.iter().filter(|comment| comment.level == level).count() as u64;
        let (failures, warnings) = (count("error"), count("warning"));
        let successes = u64::from(failures + warnings == 0);
        let note = format!("{} scripts, {failures} errors, {warnings} warnings.", scripts.len());
        Ok(TestOutput::counted(successes, failures, warnings, now).note(note))
    };
    test_output::report(&args.result_test_output, "sast-shell-check", now, check).await
}

async fn check(source: &Path, scripts: &[PathBuf]) -> anyhow::Result<Vec<Comment>> {
    let program = Program::new("shellcheck").args(["--format=json1", "--severity=warning", "--norc", "--"]);
    let ended = program.args(scripts).capture().run().await?;
    let report: Report = match ended.code {
        Some(0 | 1) => serde_json::from_slice(&ended.stdout).context("read what shellcheck found")?,
        _ => {
            return Err(ended
                .success()
                .err()
                .map_or_else(|| anyhow::anyhow!("shellcheck failed"), Into::into));
        }
    };
    for comment in report.comments.iter().take(SHOWN) {
        let file = shown(source, &comment.file);
        say(&format!("{file}:{}: {}: {} [SC{}]", comment.line, comment.level, comment.message, comment.code));
    }
    Ok(report.comments)
}

/// By its name, or by the program that its first line names.
fn is_script(file: &Path) -> bool {
    if file.extension().is_some_and(|extension| extension == "sh" || extension == "bash") {
        return true;
    }
    let mut begin = Vec::new();
    let read = File::open(file).and_then(|file| file.take(128).read_to_end(&mut begin));
    let first =
        String::from_utf8_lossy(begin.split(|byte| *byte == b'\n').next().unwrap_or_default()).into_owned();
    let program = first.strip_prefix("#!").and_then(|line| {
        let mut words = line.split_whitespace().flat_map(|word| word.rsplit('/').take(1));
        words.find(|word| *word != "env" && !word.starts_with('-'))
    });
    read.is_ok() && program.is_some_and(|program| ["sh", "bash", "dash", "ksh"].contains(&program))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::name("run.sh", "echo", true)]
    #[case::first_line("run", "#!/bin/sh\necho", true)]
    #[case::by_env("run", "#!/usr/bin/env -S bash -e\n", true)]
    #[case::other("run", "#!/usr/bin/python3\n", false)]
    #[case::text("readme", "sh", false)]
    #[case::fish("run", "#! /usr/bin/fish\n", false)]
    fn knows_scripts(#[case] name: &str, #[case] content: &str, #[case] expected: bool) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        assert_eq!(is_script(&file), expected);
    }
}
