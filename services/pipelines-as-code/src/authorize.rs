//! Whether somebody may start runs (spec section 4.3).
//!
//! ```text
//! policy of the Repository (teams) ─▶ the forge's own rules, OWNERS ─▶ an approval that is there already
//! ```
//! The question is always about who acts now: of a comment, who wrote it, whoever the pull request is of. What they may do
//! was not asked when somebody could push to the branch, so a push by itself is allowed, and a comment on its commit is not.

mod approval;
mod owners;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use forge::{Commit, Error, Forge, User};
use pipelines_as_code_api::events::EventReason;
use pipelines_as_code_api::pipeline_run::{EventType, GitProvider};
use pipelines_as_code_api::repository;

use self::owners::Owners;
use crate::comment::Command;
use crate::event::{Event, Trigger};
use crate::settings::Settings;

/// Most people whose approval is looked at: each takes calls of the forge.
const MAX_APPROVERS: usize = 10;

/// The branch that is asked for where nobody tells of the default one.
const HEAD: &str = "HEAD";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    Denied {
        /// An [`EventReason`].
        reason: &'static str,
        /// For people: who may not do what, and what helps.
        text: String,
    },
}

/// Judges who did what an event tells of. `pull_request`: as the forge tells of it now, where it was asked; `of_repository`:
/// settings of the Repository.
pub async fn authorize(
    forge: &dyn Forge,
    event: &Event,
    pull_request: Option<&forge::PullRequest>,
    of_repository: Option<&repository::Settings>,
    settings: &Settings,
) -> Result<Verdict, Error> {
    // Who pushes may push, and who asks without an event has the secret for that.
    if event.incoming.is_some() || (event.trigger == Trigger::Push && event.comment.is_none()) {
        return Ok(Verdict::Allowed);
    }
    let of_forge = pull_request.map_or("", |pull| pull.default_branch.as_str());
    let branches = [event.default_branch.as_str(), of_forge, HEAD];
    let mut judge = Judge {
        forge,
        event,
        policy: of_repository
            .and_then(|settings| settings.policy.as_ref())
            .filter(|_| has_teams(event.provider)),
        owners: Owners {
            forge,
            repository: &event.repository,
            provider: event.provider,
            branch: branches.into_iter().find(|branch| !branch.is_empty()).unwrap_or(HEAD),
            found: None,
        },
    };
    let teams = judge.teams(event.event_type);
    if teams.is_none() && is_within_repository(event) {
        return Ok(Verdict::Allowed);
    }
    let Err(refusal) = judge.may(&event.sender, teams).await? else {
        return Ok(match is_bound(event, pull_request, settings) {
            Ok(()) => Verdict::Allowed,
            Err(text) => denied(EventReason::RepositoryPermissionDenied, text),
        });
    };
    let head = pull_request.map(|pull| &pull.head_commit).or(event.commit.as_ref());
    if let (EventReason::RepositoryPermissionDenied, None, Some(head)) =
        (refusal.reason, &event.comment, head)
        && judge.is_approved(head, settings).await?
    {
        return Ok(Verdict::Allowed);
    }
    Ok(judge.explain(&refusal, head))
}

fn denied(reason: EventReason, text: String) -> Verdict {
    Verdict::Denied { reason: reason.into(), text }
}

/// Whether the forge has teams that a policy can name.
fn has_teams(provider: GitProvider) -> bool {
    matches!(provider, GitProvider::GitHub | GitProvider::GitHubEnterprise | GitProvider::Gitea)
}

/// A pull request from one branch of the repository to another: who could push there may push. That says nothing about who
/// comments on it.
fn is_within_repository(event: &Event) -> bool {
    matches!(event.provider, GitProvider::GitHub | GitProvider::GitHubEnterprise)
        && event.comment.is_none()
        && !event.head.repository_url.is_empty()
        && !event.is_of_fork()
        && event.head.name != event.base.name
}

/// Whether a comment that starts runs is about the commit that they would be of. Only strangers' pull requests change under
/// somebody's eyes.
fn is_bound(
    event: &Event,
    pull_request: Option<&forge::PullRequest>,
    settings: &Settings,
) -> Result<(), String> {
    let starts_runs = event.comment.is_some() && !matches!(event.command(), Some(Command::Cancel(_)));
    if event.trigger != Trigger::PullRequest || !starts_runs {
        return Ok(());
    }
    approval::binds(event, pull_request, settings)
}

/// Why somebody may not.
struct Refusal {
    reason: EventReason,
    /// Teams of the policy that are not there.
    unknown_teams: Vec<String>,
}

struct Judge<'a> {
    forge: &'a dyn Forge,
    event: &'a Event,
    policy: Option<&'a repository::Policy>,
    owners: Owners<'a>,
}

impl<'a> Judge<'a> {
    /// Teams whose members may do something. `None` if no policy says so.
    fn teams(&self, event_type: EventType) -> Option<&'a [String]> {
        let policy = self.policy?;
        match event_type {
            EventType::OkToTestComment
            | EventType::TestComment
            | EventType::TestAllComment
            | EventType::RetestComment
            | EventType::RetestAllComment => policy.ok_to_test.as_deref(),
            EventType::PullRequest
            | EventType::GitLabMergeRequest
            | EventType::NoOpsComment
            | EventType::OnComment => policy.pull_request.as_deref(),
            EventType::Push
            | EventType::GitLabPush
            | EventType::GitLabTagPush
            | EventType::Incoming
            | EventType::CancelComment
            | EventType::CancelAllComment => None,
        }
    }

    async fn may(&mut self, user: &User, teams: Option<&[String]>) -> Result<Result<(), Refusal>, Error> {
        let mut unknown_teams = Vec::new();
        let reason = if let Some(teams) = teams {
            for team in teams {
                match self.forge.is_in_team(&self.event.repository, team, user).await? {
                    Some(true) => return Ok(Ok(())),
                    Some(false) => {}
                    None => unknown_teams.push(team.clone()),
                }
            }
            EventReason::PolicySetDisallowed
        } else {
            if self.forge.is_contributor(&self.event.repository, user).await? {
                return Ok(Ok(()));
            }
            EventReason::RepositoryPermissionDenied
        };
        let is_owner = self.owners.has(user).await?;
        Ok(if is_owner { Ok(()) } else { Err(Refusal { reason, unknown_teams }) })
    }

    /// Whether somebody who may has approved this commit, or the whole pull request where that is remembered.
    async fn is_approved(&mut self, head: &Commit, settings: &Settings) -> Result<bool, Error> {
        let Some(pull_request) = &self.event.pull_request else { return Ok(false) };
        let comments = self.forge.comments(&self.event.repository, pull_request.number).await?;
        let covers =
            |text: &str| approval::approved(text).is_some_and(|approved| approved.covers(head, settings));
        // The latest first. Each once, and not those who were refused just now.
        let mut asked = BTreeSet::from([self.event.sender.login.as_str()]);
        let approvers = comments.iter().rev().filter(|comment| covers(&comment.text));
        let approvers = approvers.filter(|comment| asked.insert(comment.author.login.as_str()));
        let teams = self.teams(EventType::OkToTestComment);
        for comment in approvers.take(MAX_APPROVERS) {
            if self.may(&comment.author, teams).await?.is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn explain(&self, refusal: &Refusal, head: Option<&Commit>) -> Verdict {
        let event = self.event;
        let how = match (event.command(), &event.comment, &event.pull_request) {
            (Some(Command::Test(_)), ..) => "the comment /test".to_owned(),
            (Some(Command::Retest(_)), ..) => "the comment /retest".to_owned(),
            (Some(Command::OkToTest(_)), ..) => "the comment /ok-to-test".to_owned(),
            (Some(Command::Cancel(_)), ..) => "the comment /cancel".to_owned(),
            (None, Some(_), _) => "a comment".to_owned(),
            (None, None, Some(pull_request)) => format!("pull request {}", pull_request.number),
            (None, None, None) => event.trigger.to_string(),
        };
        let who_may = match refusal.reason {
            EventReason::PolicySetDisallowed => "The Repository lets members of certain teams do that.",
            _ => "Members of the organization, collaborators and those in the file OWNERS may.",
        };
        let way_out = (event.pull_request.is_some() && event.comment.is_none()).then(|| {
            let commit = head.map_or("<commit>", Commit::as_str);
            format!("One of them can approve this commit by the comment `/ok-to-test {commit}`.")
        });
        let unknown_teams = (!refusal.unknown_teams.is_empty())
            .then(|| format!("There are no such teams: {}.", refusal.unknown_teams.join(", ")));
        let sentences = [
            Some(format!("User {} may not start or stop runs here, by {how}.", event.sender.login)),
            Some(who_may.to_owned()),
            way_out,
            unknown_teams,
            self.owners.fault().map(|fault| format!("{fault}.")),
        ];
        let text = sentences.into_iter().flatten().collect::<Vec<_>>().join(" ");
        denied(refusal.reason, text)
    }
}
