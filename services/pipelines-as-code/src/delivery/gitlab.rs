//! GitLab's webhooks, and its system hooks, which tell what they are in the body only.

use forge::{Branch, User};
use pipelines_as_code_api::pipeline_run::{EventType, GitProvider};
use serde::Deserialize;
use serde_json::Value;

use super::shape::{self, Label};
use super::{Answer, Parsed, skipped};
use crate::event::{Event, PullRequest, PullRequestChange, Trigger};

pub(super) fn parse(header: &str, body: &Value) -> Answer {
    let kind = match header {
        "Push Hook" => "push".to_owned(),
        "Tag Push Hook" => "tag_push".to_owned(),
        "Merge Request Hook" => "merge_request".to_owned(),
        "Note Hook" => "note".to_owned(),
        _ => kind_of(body),
    };
    match kind.as_str() {
        "push" => shape::read::<Push>(body)?.parse(EventType::GitLabPush),
        "tag_push" => shape::read::<Push>(body)?.parse(EventType::GitLabTagPush),
        "merge_request" => shape::read::<MergeRequestEvent>(body)?.parse(),
        "note" => shape::read::<Note>(body)?.parse(),
        _ => skipped(format!("event {header:?} {kind:?}: nothing is run for that")),
    }
}

/// System hooks name their kind in one of two fields.
fn kind_of(body: &Value) -> String {
    let text = |field: &str| body.get(field).and_then(Value::as_str).map(str::to_owned);
    text("object_kind").or_else(|| text("event_name")).unwrap_or_default()
}

#[derive(Deserialize)]
struct Project {
    id: u64,
    web_url: String,
    #[serde(default, deserialize_with = "shape::or_default")]
    git_http_url: String,
    path_with_namespace: String,
    /// `null` for an empty repository.
    #[serde(default)]
    default_branch: Option<String>,
}

impl Project {
    fn branch(&self, name: &str) -> Branch {
        Branch {
            name: name.to_owned(),
            repository_url: self.web_url.clone(),
            clone_url: self.git_http_url.clone(),
            repository_id: Some(self.id),
        }
    }

    fn event(&self, event_type: EventType, trigger: Trigger, sender: User) -> Result<Event, String> {
        Ok(Event {
            provider: GitProvider::GitLab,
            server: shape::server(&self.web_url, &self.path_with_namespace),
            event_type,
            trigger,
            repository: shape::repository("project.path_with_namespace", &self.path_with_namespace)?,
            repository_id: Some(self.id),
            url: self.web_url.clone(),
            default_branch: self.default_branch.clone().unwrap_or_default(),
            head: Branch::default(),
            base: Branch::default(),
            commit: None,
            before: None,
            commit_message: None,
            commit_url: None,
            sender,
            pull_request: None,
            comment: None,
            incoming: None,
            installation: None,
            rerun_of: None,
        })
    }
}

#[derive(Deserialize)]
struct Account {
    /// Old servers do not tell it of those who open merge requests.
    #[serde(default)]
    id: Option<u64>,
    username: String,
}

impl From<Account> for User {
    fn from(account: Account) -> Self {
        Self { login: account.username, id: account.id.map(|id| id.to_string()) }
    }
}

#[derive(Deserialize)]
struct LastCommit {
    id: String,
    #[serde(default, deserialize_with = "shape::or_default")]
    message: String,
    #[serde(default, deserialize_with = "shape::or_default")]
    url: String,
}

#[derive(Deserialize)]
struct Push {
    #[serde(rename = "ref")]
    reference: String,
    before: String,
    after: String,
    /// `null` when the branch was deleted. An annotated tag's own name is in `after`, its commit is here.
    #[serde(default)]
    checkout_sha: Option<String>,
    user_id: u64,
    user_username: String,
    project: Project,
    #[serde(default, deserialize_with = "shape::or_default")]
    commits: Vec<LastCommit>,
}

impl Push {
    fn parse(self, event_type: EventType) -> Answer {
        if shape::commit(&self.after).is_none() {
            return skipped(format!("{} was deleted: there is nothing to run", self.reference));
        }
        if event_type == EventType::GitLabPush && self.commits.is_empty() {
            return skipped(format!(
                "the push to {} has no commits: there is nothing to run",
                self.reference
            ));
        }
        let sender = User { login: self.user_username, id: Some(self.user_id.to_string()) };
        let mut event = self.project.event(event_type, Trigger::Push, sender)?;
        event.head = self.project.branch(&self.reference);
        event.base = event.head.clone();
        let commit = self.checkout_sha.as_ref().unwrap_or(&self.after);
        event.commit = Some(shape::needed_commit("checkout_sha", commit)?);
        event.before = shape::commit(&self.before);
        if let Some(last) = self.commits.into_iter().find(|one| one.id == *commit) {
            event.commit_message = Some(last.message);
            event.commit_url = Some(last.url);
        }
        Ok(Parsed::Event(Box::new(event)))
    }
}

#[derive(Deserialize)]
struct MergeRequest {
    iid: u64,
    #[serde(default, deserialize_with = "shape::or_default")]
    title: String,
    /// Of notes only.
    #[serde(default, deserialize_with = "shape::or_default")]
    state: String,
    #[serde(default, deserialize_with = "shape::or_default")]
    action: String,
    /// There if the update was a push.
    #[serde(default)]
    oldrev: Option<String>,
    source_branch: String,
    target_branch: String,
    /// `null` when the fork is gone.
    #[serde(default)]
    source: Option<Side>,
    target: Side,
    source_project_id: Option<u64>,
    target_project_id: u64,
    /// `null` while the source branch has none of its own.
    #[serde(default)]
    last_commit: Option<LastCommit>,
    #[serde(default)]
    labels: Option<Vec<Label>>,
}

#[derive(Default, Deserialize)]
struct Side {
    #[serde(default, deserialize_with = "shape::or_default")]
    web_url: String,
    #[serde(default, deserialize_with = "shape::or_default")]
    git_http_url: String,
}

impl Side {
    fn branch(self, name: String, project: Option<u64>) -> Branch {
        Branch { name, repository_url: self.web_url, clone_url: self.git_http_url, repository_id: project }
    }
}

impl MergeRequest {
    /// Tells an event what it is about.
    fn describe(self, event: &mut Event, change: PullRequestChange) -> Result<(), String> {
        if let Some(commit) = self.last_commit {
            event.commit = Some(shape::needed_commit("last_commit.id", &commit.id)?);
            event.commit_message = Some(commit.message);
            event.commit_url = Some(commit.url);
        }
        event.head = self.source.unwrap_or_default().branch(self.source_branch, self.source_project_id);
        event.base = self.target.branch(self.target_branch, Some(self.target_project_id));
        let labels = shape::names(self.labels);
        event.pull_request = Some(PullRequest {
            number: self.iid,
            title: self.title,
            labels,
            change,
            ..PullRequest::default()
        });
        Ok(())
    }
}

#[derive(Deserialize)]
struct MergeRequestEvent {
    user: Account,
    project: Project,
    object_attributes: MergeRequest,
    #[serde(default, deserialize_with = "shape::or_default")]
    changes: Changes,
}

#[derive(Default, Deserialize)]
struct Changes {
    #[serde(default)]
    labels: Option<Value>,
}

impl MergeRequestEvent {
    fn parse(self) -> Answer {
        let merge_request = self.object_attributes;
        let change = match merge_request.action.as_str() {
            "open" | "reopen" => PullRequestChange::Commits,
            "update" if merge_request.oldrev.as_deref().and_then(shape::commit).is_some() => {
                PullRequestChange::Commits
            }
            "update" if self.changes.labels.is_some() => PullRequestChange::Labels,
            "close" | "merge" => PullRequestChange::Closed,
            other => return skipped(format!("merge request {other}: nothing is run for that")),
        };
        let mut event =
            self.project.event(EventType::GitLabMergeRequest, Trigger::PullRequest, self.user.into())?;
        merge_request.describe(&mut event, change)?;
        Ok(Parsed::Event(Box::new(event)))
    }
}

#[derive(Deserialize)]
struct Note {
    user: Account,
    project: Project,
    object_attributes: NoteText,
    /// Absent for notes on anything else.
    #[serde(default)]
    merge_request: Option<MergeRequest>,
}

#[derive(Deserialize)]
struct NoteText {
    note: String,
    #[serde(default)]
    action: Option<String>,
}

impl Note {
    fn parse(self) -> Answer {
        let Some(merge_request) = self.merge_request else {
            return skipped("a note on something that is no merge request");
        };
        if self.object_attributes.action.is_some_and(|action| action != "create") {
            return skipped("a note was changed: only new notes are read");
        }
        if merge_request.state != "opened" {
            return skipped(format!("a note on a merge request that is {}", merge_request.state));
        }
        let comment = super::comment(&self.object_attributes.note);
        let mut event =
            self.project.event(super::event_type(&comment), Trigger::PullRequest, self.user.into())?;
        merge_request.describe(&mut event, PullRequestChange::Commits)?;
        event.comment = Some(comment);
        Ok(Parsed::Event(Box::new(event)))
    }
}
