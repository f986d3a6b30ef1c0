//! Reports of a GitHub App: check runs.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::GitHub;
use crate::contents::{Commit, Repository};
use crate::conversation::{Annotation, Report, Reported, Verdict};
use crate::error::Error;
use crate::http_api::first_bytes;

/// Annotations that GitHub takes at once. People do not read more.
const MAX_ANNOTATIONS: usize = 50;

/// Bytes of `summary` and of `text` that GitHub takes.
const MAX_TEXT: usize = 65_535;

/// Check runs that are looked through.
const MAX_RUNS: usize = 1000;

/// Titles of check runs that are continued: nobody has begun to run what they stand for.
const CONTINUED: [&str; 2] = ["Pending approval", "pipelinerun start failure"];

#[derive(Deserialize)]
struct CheckRuns {
    check_runs: Vec<CheckRun>,
}

#[derive(Deserialize)]
struct CheckRun {
    id: u64,
    #[serde(default)]
    name: String,
    #[serde(default)]
    external_id: Option<String>,
    #[serde(default)]
    output: Output,
}

#[derive(Default, Deserialize)]
struct Output {
    #[serde(default)]
    title: Option<String>,
}

impl CheckRun {
    /// Whether a report goes on with this one: it said what came ahead of the run, or is of the same run.
    fn is_continued_by(&self, report: &Report, replaced: &str) -> bool {
        let is_same = self.external_id.as_ref().is_some_and(|id| !id.is_empty() && *id == report.external_id);
        let title = self.output.title.as_deref().unwrap_or_default();
        self.name == replaced && (is_same || CONTINUED.iter().any(|known| title.eq_ignore_ascii_case(known)))
    }
}

impl GitHub {
    pub(super) async fn report_by_check_run(
        &self,
        repository: &Repository,
        commit: &Commit,
        report: &Report,
    ) -> Result<Reported, Error> {
        let what = format!("check run {:?} of {commit} of {repository}", report.context);
        let (owner, name) = (repository.owner(), repository.name());
        let known = match (report.check_run, &report.replaces) {
            (Some(known), _) => Some(known),
            (None, Some(replaced)) => self.continued(repository, commit, report, replaced).await?,
            (None, None) => None,
        };
        let mut body = body(report);
        let made: CheckRun = if let Some(known) = known {
            let segments = ["repos", owner, name, "check-runs", &known.to_string()];
            self.api.write(Method::PATCH, &what, &segments, &body).await?
        } else {
            body["head_sha"] = commit.as_str().into();
            self.api.create(&what, &["repos", owner, name, "check-runs"], &body).await?
        };
        Ok(Reported { check_run: Some(made.id) })
    }

    /// As [`report_by_check_run`](Self::report_by_check_run), in the place of what our App said under the same external id.
    pub(super) async fn announce_by_check_run(
        &self,
        repository: &Repository,
        commit: &Commit,
        report: &Report,
        app: Option<u64>,
    ) -> Result<(), Error> {
        let what = format!("check runs of {commit} of {repository}");
        let segments =
            ["repos", repository.owner(), repository.name(), "commits", commit.as_str(), "check-runs"];
        let app = app.map(|app| app.to_string());
        let mut query = vec![("filter", "latest")];
        query.extend(app.as_deref().map(|app| ("app_id", app)));
        let found = self
            .api
            .list_within(&what, &segments, &query, MAX_RUNS, |found: CheckRuns| found.check_runs)
            .await?;
        let is_it = |run: &&CheckRun| run.external_id.as_ref() == Some(&report.external_id);
        let known = found.iter().filter(is_it).map(|run| run.id).max();
        let report = Report { check_run: known, replaces: None, ..report.clone() };
        self.report_by_check_run(repository, commit, &report).await.map(drop)
    }

    /// The check run that said what this report replaces.
    async fn continued(
        &self,
        repository: &Repository,
        commit: &Commit,
        report: &Report,
        replaced: &str,
    ) -> Result<Option<u64>, Error> {
        let what = format!("check runs of {commit} of {repository}");
        let segments =
            ["repos", repository.owner(), repository.name(), "commits", commit.as_str(), "check-runs"];
        let query = [("check_name", replaced), ("filter", "latest")];
        let found = self
            .api
            .list_within(&what, &segments, &query, MAX_RUNS, |found: CheckRuns| found.check_runs)
            .await?;
        Ok(found.into_iter().find(|run| run.is_continued_by(report, replaced)).map(|run| run.id))
    }
}

fn body(report: &Report) -> Value {
    let annotations: Vec<Value> = report.annotations.iter().take(MAX_ANNOTATIONS).map(annotation).collect();
    let mut output = json!({ "title": report.title, "summary": first_bytes(&report.summary, MAX_TEXT), "text": first_bytes(&report.text, MAX_TEXT) });
    if !annotations.is_empty() {
        output["annotations"] = annotations.into();
    }
    let mut body = json!({ "name": report.context, "external_id": report.external_id, "output": output });
    let (status, conclusion) = match report.verdict {
        Verdict::Queued => ("queued", None),
        Verdict::InProgress => ("in_progress", None),
        Verdict::Success => ("completed", Some("success")),
        Verdict::Failure | Verdict::Error | Verdict::Deleted => ("completed", Some("failure")),
        Verdict::Neutral => ("completed", Some("neutral")),
        Verdict::Cancelled => ("completed", Some("cancelled")),
    };
    body["status"] = status.into();
    if let Some(url) = &report.details_url {
        body["details_url"] = url.as_str().into();
    }
    if let Some(at) = report.started_at {
        body["started_at"] = at.to_string().into();
    }
    if let Some(conclusion) = conclusion {
        body["conclusion"] = conclusion.into();
        if let Some(at) = report.completed_at {
            body["completed_at"] = at.to_string().into();
        }
    }
    body
}

fn annotation(annotation: &Annotation) -> Value {
    json!({
        "path": annotation.path,
        "start_line": annotation.line,
        "end_line": annotation.line,
        "annotation_level": "failure",
        "message": annotation.message,
    })
}
