//! Reports to GitLab: statuses of commits.

use http::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::GitLab;
use crate::contents::{Commit, Repository};
use crate::conversation::{Report, Reported, Verdict};
use crate::error::Error;
use crate::http_api::first_characters;

/// Characters of a status that people see.
const MAX_DESCRIPTION: usize = 255;

/// Statuses of one name that are looked through.
const MAX_STATUSES: usize = 1000;

#[derive(Deserialize)]
struct Status {
    name: String,
    status: String,
}

impl GitLab {
    pub(super) async fn report_by_status(
        &self,
        repository: &Repository,
        commit: &Commit,
        report: &Report,
    ) -> Result<Reported, Error> {
        let project = match report.source_project {
            None => repository.to_string(),
            Some(source) => match self.project(source).await {
                Ok(project) if project.is_source_of(repository) => source.to_string(),
                // Whoever may write runs may write this number into one. Our token may reach more than they do.
                Ok(_) => return Ok(Reported::default()),
                Err(error) if error.is_denial() => return Ok(Reported::default()),
                Err(error) => return Err(error),
            },
        };
        match self.set_status(&project, commit, report).await {
            Err(error) if report.source_project.is_some() && error.is_denial() => {
                return Ok(Reported::default());
            }
            set => set?,
        }
        if let Some(replaced) = report.replaces.as_deref().filter(|replaced| *replaced != report.context)
            && self.waits(&project, commit, replaced).await?
        {
            self.set_status(&project, commit, &report.settling(replaced)).await?;
        }
        Ok(Reported::default())
    }

    /// Whether there is a status of this name that waits. `project`: its path or its number.
    async fn waits(&self, project: &str, commit: &Commit, name: &str) -> Result<bool, Error> {
        let what = format!("statuses of {commit} of {project}");
        let segments = ["projects", project, "repository", "commits", commit.as_str(), "statuses"];
        let query = [("name", name)];
        let found: Vec<Status> = self.api.list(&what, &segments, &query, MAX_STATUSES).await?;
        let is_unfinished = |status: &Status| matches!(status.status.as_str(), "pending" | "running");
        Ok(found.iter().any(|status| status.name == name && is_unfinished(status)))
    }

    async fn set_status(&self, project: &str, commit: &Commit, report: &Report) -> Result<(), Error> {
        let what = format!("status {:?} of {commit} of {project}", report.context);
        let segments = ["projects", project, "statuses", commit.as_str()];
        let state = match report.verdict {
            Verdict::Queued | Verdict::InProgress => "running",
            Verdict::Success => "success",
            Verdict::Failure => "failed",
            Verdict::Neutral | Verdict::Cancelled => "canceled",
        };
        let body = json!({
            "state": state,
            "name": report.context,
            "description": first_characters(&report.title, MAX_DESCRIPTION),
            "target_url": report.details_url,
        });
        match self.api.write::<IgnoredAny>(Method::POST, &what, &segments, &body).await {
            Ok(_) => Ok(()),
            // It says so already: GitLab refuses to be told twice.
            Err(Error::Invalid { reason, .. }) if reason.contains("Cannot transition status") => Ok(()),
            Err(error) => Err(error),
        }
    }
}
