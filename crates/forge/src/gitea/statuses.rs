//! Reports to Gitea: statuses of commits.

use http::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::Gitea;
use crate::contents::{Commit, Repository};
use crate::conversation::{Report, Reported, Verdict};
use crate::error::Error;
use crate::http_api::first_characters;

/// Contexts of a commit that are looked through.
const MAX_STATUSES: usize = 1000;

/// Characters of a status that people see.
const MAX_DESCRIPTION: usize = 255;

/// The newest status of each context.
#[derive(Deserialize)]
struct Combined {
    statuses: Option<Vec<Status>>,
}

#[derive(Deserialize)]
struct Status {
    context: String,
    #[serde(rename = "status")]
    state: String,
    #[serde(default)]
    description: String,
}

impl Gitea {
    pub(super) async fn report_by_status(
        &self,
        repository: &Repository,
        commit: &Commit,
        report: &Report,
    ) -> Result<Reported, Error> {
        self.set_status(repository, commit, report).await?;
        if let Some(replaced) = report.replaces.as_deref().filter(|replaced| *replaced != report.context)
            && self.waits(repository, commit, replaced).await?
        {
            self.set_status(repository, commit, &report.settling(replaced)).await?;
        }
        Ok(Reported::default())
    }

    /// As [`report_by_status`](Self::report_by_status), unless a status says it already: Gitea keeps all of them.
    pub(super) async fn announce_by_status(
        &self,
        repository: &Repository,
        commit: &Commit,
        report: &Report,
    ) -> Result<(), Error> {
        let says_it = |status: &Status| {
            status.context == report.context
                && status.state == state(report.verdict)
                && status.description == description(report)
        };
        if self.statuses(repository, commit).await?.iter().any(says_it) {
            return Ok(());
        }
        self.set_status(repository, commit, report).await
    }

    /// Whether there is a status of this context that waits.
    async fn waits(&self, repository: &Repository, commit: &Commit, context: &str) -> Result<bool, Error> {
        let statuses = self.statuses(repository, commit).await?;
        Ok(statuses.iter().any(|status| status.context == context && status.state == "pending"))
    }

    /// The newest of each context.
    async fn statuses(&self, repository: &Repository, commit: &Commit) -> Result<Vec<Status>, Error> {
        let what = format!("statuses of {commit} of {repository}");
        let segments = ["repos", repository.owner(), repository.name(), "commits", commit.as_str(), "status"];
        self.api
            .list_within(&what, &segments, &[], MAX_STATUSES, |combined: Combined| {
                combined.statuses.unwrap_or_default()
            })
            .await
    }

    async fn set_status(
        &self,
        repository: &Repository,
        commit: &Commit,
        report: &Report,
    ) -> Result<(), Error> {
        let what = format!("status {:?} of {commit} of {repository}", report.context);
        let segments = ["repos", repository.owner(), repository.name(), "statuses", commit.as_str()];
        let body = json!({
            "state": state(report.verdict),
            "context": report.context,
            "description": description(report),
            "target_url": report.details_url.as_deref().unwrap_or_default(),
        });
        self.api.write::<IgnoredAny>(Method::POST, &what, &segments, &body).await?;
        Ok(())
    }
}

fn state(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Queued | Verdict::InProgress => "pending",
        Verdict::Success | Verdict::Neutral => "success",
        Verdict::Failure => "failure",
        Verdict::Cancelled | Verdict::Error | Verdict::Deleted => "error",
    }
}

fn description(report: &Report) -> &str {
    first_characters(&report.title, MAX_DESCRIPTION)
}
