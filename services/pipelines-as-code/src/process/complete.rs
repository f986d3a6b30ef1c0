//! What an event does not tell, asked of the forge (spec sections 4.1 and 4.2, point 6).

use forge::{Forge, Repository};
use pipelines_as_code_api::events::EventReason;
use pipelines_as_code_api::pipeline_run::GitProvider;

use super::stop::Stop;
use crate::event::{Event, PullRequestChange, Trigger};

/// An event of which all is known that runs are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complete {
    pub(crate) event: Event,
    /// The pull request, where the forge was asked about it.
    pub(crate) pull_request: Option<forge::PullRequest>,
    /// The commit's message, and where a person sees the commit.
    pub(crate) message: String,
    pub(crate) url: String,
}

impl Complete {
    /// What the event tells by itself.
    pub(crate) fn unasked(event: Event) -> Self {
        let (message, url) =
            (event.commit_message.clone().unwrap_or_default(), event.commit_url.clone().unwrap_or_default());
        Self { event, pull_request: None, message, url }
    }

    /// First line of the commit's message.
    pub(crate) fn title(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }
}

/// Asks as little as possible: nothing for most pushes.
pub(crate) async fn complete(forge: &dyn Forge, mut event: Event) -> Result<Complete, Stop> {
    let pull_request = match event.pull_request.as_ref().filter(|_| lacks_pull_request(&event)) {
        Some(pull) => Some(forge.pull_request(&event.repository, pull.number).await?),
        None => None,
    };
    if let Some(pull_request) = &pull_request {
        fill(&mut event, pull_request);
    }
    // Both name a branch beside a commit, and a fork's branches have names as ours do: only what is there is a push to there.
    if event.trigger == Trigger::Push && (event.comment.is_some() || event.rerun_of.is_some()) {
        is_head(forge, &event).await?;
    }
    let (message, url) = match (&event.commit, &event.commit_message, &event.commit_url) {
        (Some(_), Some(message), Some(url)) => (message.clone(), url.clone()),
        (commit, ..) => {
            let revision = commit.as_ref().map_or_else(|| event.head.name.clone(), ToString::to_string);
            let text = forge.describe(&holder(&event)?, &revision).await?;
            event.commit = Some(text.commit);
            (text.message, text.url)
        }
    };
    event.commit_message = Some(message.clone());
    event.commit_url = Some(url.clone());
    Ok(Complete { event, pull_request, message, url })
}

/// The repository that has the commit: a fork, where a forge does not lend a fork's commits to the repository that their
/// pull request is for.
pub(crate) fn holder(event: &Event) -> Result<Repository, Stop> {
    let lends = !matches!(event.provider, GitProvider::GitLab | GitProvider::BitbucketCloud);
    if lends || event.trigger == Trigger::Push || !event.is_of_fork() {
        return Ok(event.repository.clone());
    }
    let path = event.head.repository_url.strip_prefix(&event.server).unwrap_or_default().trim_matches('/');
    let (owner, name) = path.rsplit_once('/').unwrap_or_default();
    Repository::new(owner, name).map_err(|_| {
        let url = &event.head.repository_url;
        Stop::quiet(
            EventReason::RepositoryForge,
            format!("The pull request comes from a fork that is not there: {url:?}"),
        )
    })
}

/// Comments and checks tell of no more than the number. A closed pull request needs no more.
fn lacks_pull_request(event: &Event) -> bool {
    let is_closed = event.pull_request.as_ref().is_some_and(|pull| pull.change == PullRequestChange::Closed);
    !is_closed && (event.commit.is_none() || event.base.name.is_empty())
}

fn fill(event: &mut Event, asked: &forge::PullRequest) {
    (event.head, event.base) = (asked.head.clone(), asked.base.clone());
    event.commit = Some(asked.head_commit.clone());
    event.default_branch.clone_from(&asked.default_branch);
    if let Some(pull) = &mut event.pull_request {
        pull.title.clone_from(&asked.title);
        pull.labels.clone_from(&asked.labels);
    }
}

/// A command on a commit, or a check that is asked for again, is for the head of its branch only.
async fn is_head(forge: &dyn Forge, event: &Event) -> Result<(), Stop> {
    let branch = event.head.name.trim_start_matches("refs/heads/");
    let head = forge.commit(&event.repository, &event.head.name).await?;
    if event.commit.as_ref() == Some(&head) {
        return Ok(());
    }
    Err(Stop::quiet(
        EventReason::RepositorySkipped,
        format!(
            "The commit that is meant is not the head of branch {branch}; a comment names another one by branch:<name>"
        ),
    ))
}
