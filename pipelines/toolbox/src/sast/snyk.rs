//! `sast-snyk-check`: Snyk's check of sources, for who has a token for it.

use std::path::PathBuf;

use anyhow::Context as _;
use fleet::Secret;
use serde_json::Value;

use crate::context::{Context, say};
use crate::program::Program;
use crate::test_output::{self, Outcome, TestOutput};

/// Has Snyk check sources.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long, value_name = "DIR")]
    source: PathBuf,
    /// Where the token is. Without one the check is skipped.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Arguments for Snyk, separated by white space.
    #[arg(long = "args", default_value = "--all-projects --exclude=test*,vendor,deps", value_name = "ARGS")]
    for_snyk: String,
    #[arg(long, value_name = "PATH")]
    result_test_output: PathBuf,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let now = context.clock.now();
    let check = async {
        let file = args.token_file.as_ref().filter(|file| file.is_file());
        let token = file.map(std::fs::read_to_string).transpose().context("read the token")?.map(Secret::new);
        let Some(token) = token.filter(|token| !token.expose().trim().is_empty()) else {
            let note = "The check is skipped: there is no token. Put one under the key snyk_token into the Secret that the \
                        parameter SNYK_SECRET names (snyk-secret).";
            return Ok(TestOutput::new(Outcome::Skipped, now).note(note));
        };
        let report = tempfile::NamedTempFile::new().context("create a file for the report")?;
        let ended = Program::new("snyk")
            .args(["code", "test"])
            .args(args.for_snyk.split_whitespace())
            .arg(format!("--sarif-file-output={}", report.path().display()))
            .env("SNYK_TOKEN", token.expose().trim())
            .env("HOME", report.path().parent().unwrap_or(&args.source))
            .folder(&args.source)
            .run()
            .await?;
        match ended.code {
            Some(0 | 1) => {
                let report = std::fs::read(report.path()).context("read the report")?;
                let count = findings(&serde_json::from_slice(&report).context("read the report")?);
                Ok(TestOutput::counted(u64::from(count == 0), count, 0, now))
            }
            // There is nothing of a kind that it knows.
            Some(3) => {
                say("Snyk supports none of the files");
                Ok(TestOutput::new(Outcome::Success, now).note("Snyk supports none of the files."))
            }
            _ => Err(ended.success().err().map_or_else(|| anyhow::anyhow!("snyk failed"), Into::into)),
        }
    };
    test_output::report(&args.result_test_output, "sast-snyk-check", now, check).await
}

/// Results of all runs in a SARIF report.
fn findings(report: &Value) -> u64 {
    let runs = report["runs"].as_array().map(Vec::as_slice).unwrap_or_default();
    runs.iter().map(|run| run["results"].as_array().map_or(0, Vec::len) as u64).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn counts_findings_of_all_runs() {
        let report = json!({"runs": [{"results": [{}, {}]}, {"results": [{}]}, {}]});
        assert_eq!(findings(&report), 3);
        assert_eq!(findings(&json!({})), 0);
    }
}
