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

/// Pipelines of a merge request that are looked through.
const MAX_PIPELINES: usize = 100;

#[derive(Deserialize)]
struct Status {
    name: String,
    #[serde(rename = "status")]
    state: String,
    #[serde(default)]
    description: Option<String>,
}

#[derive(Deserialize)]
struct Pipeline {
    id: u64,
    sha: String,
}

/// What a status says, in GitLab's words.
struct Said<'a> {
    name: &'a str,
    state: &'static str,
    description: &'a str,
    details_url: Option<&'a str>,
    /// The one that it belongs to. Absent means that GitLab chooses.
    pipeline: Option<u64>,
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

    /// Says at the project of the merge request, as part of its pipeline, what a run does; where that cannot be, at the project that
    /// the merge request comes from. That neither takes it is the denial of the first.
    pub(super) async fn announce_by_status(
        &self,
        repository: &Repository,
        commit: &Commit,
        report: &Report,
        merge_request: Option<u64>,
    ) -> Result<(), Error> {
        let pipeline = match merge_request {
            Some(number) => self.pipeline(repository, number, commit).await?,
            None => None,
        };
        let mut said = Said {
            name: &report.context,
            state: exact_state(report.verdict),
            description: first_characters(&report.title, MAX_DESCRIPTION),
            details_url: report.details_url.as_deref(),
            pipeline,
        };
        let denied = match self.say_once(&repository.to_string(), commit, &said).await {
            Err(error) if error.is_denial() => error,
            said => return said,
        };
        let Some(source) = report.source_project else { return Err(denied) };
        match self.project(source).await {
            Ok(project) if project.is_source_of(repository) => {}
            // Whoever may write runs may write this number into one. Our token may reach more than they do.
            Ok(_) => return Err(denied),
            Err(error) if error.is_denial() => return Err(denied),
            Err(error) => return Err(error),
        }
        said.pipeline = None;
        match self.say_once(&source.to_string(), commit, &said).await {
            Err(error) if error.is_denial() => Err(denied),
            said => said,
        }
    }

    /// The newest pipeline of a merge request for a commit. `None` if there is none, or we may not see it.
    async fn pipeline(
        &self,
        repository: &Repository,
        number: u64,
        commit: &Commit,
    ) -> Result<Option<u64>, Error> {
        let what = format!("pipelines of merge request {number} of {repository}");
        let (project, number) = (repository.to_string(), number.to_string());
        let segments = ["projects", &project, "merge_requests", &number, "pipelines"];
        match self.api.list::<Pipeline>(&what, &segments, &[], MAX_PIPELINES).await {
            Ok(found) => Ok(found
                .iter()
                .filter(|pipeline| pipeline.sha == commit.as_str())
                .map(|pipeline| pipeline.id)
                .max()),
            Err(error) if error.is_denial() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Says it, unless the newest status of this name does. GitLab refuses what waits to be told so again, whatever the description.
    async fn say_once(&self, project: &str, commit: &Commit, said: &Said<'_>) -> Result<(), Error> {
        let is_unfinished = matches!(said.state, "pending" | "running");
        let says_it = |status: &Status| {
            let is_same = is_unfinished || status.description.as_deref() == Some(said.description);
            status.name == said.name && status.state == said.state && is_same
        };
        if self.statuses(project, commit, said.name).await?.iter().any(says_it) {
            return Ok(());
        }
        self.say(project, commit, said).await
    }

    /// Whether there is a status of this name that waits. `project`: its path or its number.
    async fn waits(&self, project: &str, commit: &Commit, name: &str) -> Result<bool, Error> {
        let is_unfinished = |status: &Status| matches!(status.state.as_str(), "pending" | "running");
        let found = self.statuses(project, commit, name).await?;
        Ok(found.iter().any(|status| status.name == name && is_unfinished(status)))
    }

    /// The newest status of a name, once for each ref.
    async fn statuses(&self, project: &str, commit: &Commit, name: &str) -> Result<Vec<Status>, Error> {
        let what = format!("statuses of {commit} of {project}");
        let segments = ["projects", project, "repository", "commits", commit.as_str(), "statuses"];
        self.api.list(&what, &segments, &[("name", name)], MAX_STATUSES).await
    }

    async fn set_status(&self, project: &str, commit: &Commit, report: &Report) -> Result<(), Error> {
        let state = match report.verdict {
            Verdict::Queued | Verdict::InProgress => "running",
            Verdict::Success => "success",
            Verdict::Failure | Verdict::Error => "failed",
            Verdict::Neutral | Verdict::Cancelled | Verdict::Deleted => "canceled",
        };
        let said = Said {
            name: &report.context,
            state,
            description: first_characters(&report.title, MAX_DESCRIPTION),
            details_url: report.details_url.as_deref(),
            pipeline: None,
        };
        self.say(project, commit, &said).await
    }

    async fn say(&self, project: &str, commit: &Commit, said: &Said<'_>) -> Result<(), Error> {
        let what = format!("status {:?} of {commit} of {project}", said.name);
        let segments = ["projects", project, "statuses", commit.as_str()];
        let mut body = json!({
            "state": said.state,
            "name": said.name,
            "description": said.description,
            "target_url": said.details_url,
        });
        if let Some(pipeline) = said.pipeline {
            body["pipeline_id"] = pipeline.into();
        }
        match self.api.write::<IgnoredAny>(Method::POST, &what, &segments, &body).await {
            Ok(_) => Ok(()),
            // It says so already: GitLab refuses to be told twice.
            Err(Error::Invalid { reason, .. }) if reason.contains("Cannot transition status") => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// As near as GitLab has it: what waits is told from what is under way, and what does not count from what was stopped.
fn exact_state(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Queued => "pending",
        Verdict::InProgress => "running",
        Verdict::Success => "success",
        Verdict::Failure | Verdict::Error => "failed",
        Verdict::Neutral => "skipped",
        Verdict::Cancelled | Verdict::Deleted => "canceled",
    }
}
