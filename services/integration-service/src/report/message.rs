//! What is to be said, and where.

use forge::{Commit, Provider};
use integration_service_api::status::{ScenarioStatus, TestStatus};
use jiff::Timestamp;

use super::reported::Keys;
use crate::origin::Origin;

/// Characters of a wrong value that are shown.
const MAX_SHOWN: usize = 64;

/// GitLab: up to so many scenarios have a status each.
const MOST_STATUSES: usize = 50;

/// All that is to be said at one pull request at a time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Round {
    /// Why it can be said nowhere, if that is so.
    pub(crate) destination: Result<Destination, Incomplete>,
    /// Snapshot, or the build's run before there is one.
    pub(crate) subject: Subject,
    /// Shown after the scenario's name.
    pub(crate) component: Option<String>,
    pub(crate) messages: Vec<Message>,
    /// All scenarios, where there are too many for a status each.
    pub(crate) overview: Option<Vec<(String, TestStatus)>>,
}

/// The scenarios of a round, if these are all, and they are too many for a status each.
pub(crate) fn overview_at_once(
    destination: &Destination,
    messages: &[Message],
) -> Option<Vec<(String, TestStatus)>> {
    let scenarios = messages.iter().map(|message| (message.scenario.clone(), message.status));
    is_too_much(destination, messages.len()).then(|| scenarios.collect())
}

/// Whether all scenarios share a status.
pub(crate) fn is_too_much(destination: &Destination, scenarios: usize) -> bool {
    destination.provider == Provider::GitLab && scenarios > MOST_STATUSES
}

/// What the scenarios test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Snapshot(String),
    Build(String),
}

/// How a scenario does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) keys: Keys,
    /// `lastUpdateTime` of the state.
    pub(crate) updated: String,
    pub(crate) scenario: String,
    pub(crate) status: TestStatus,
    pub(crate) details: String,
    pub(crate) is_optional: bool,
    /// The newest run of the scenario.
    pub(crate) run: Option<String>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) completed_at: Option<Timestamp>,
}

impl Message {
    pub(crate) fn of(entry: &ScenarioStatus, keys: Keys, is_optional: bool) -> Self {
        let time = |text: &Option<String>| text.as_ref().and_then(|text| text.parse().ok());
        Self {
            keys,
            updated: entry.last_update_time.clone(),
            scenario: entry.scenario.clone(),
            status: entry.state(),
            details: entry.details.clone(),
            is_optional,
            run: entry.test_pipeline_run_name.clone(),
            started_at: time(&entry.start_time),
            completed_at: time(&entry.completion_time),
        }
    }
}

/// A commit of a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) provider: Provider,
    /// As the Repository of Pipelines-as-Code names it, which has to be in the same namespace.
    pub(crate) repo_url: String,
    pub(crate) commit: Commit,
    pub(crate) way: Way,
}

/// How the forge is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// As GitHub App, which makes check runs.
    App { installation: u64 },
    /// By a token, which makes statuses and comments.
    Token {
        /// Absent where there is none, as in a merge queue.
        pull_request: Option<u64>,
        /// GitLab: where the merge request comes from.
        source_project: Option<u64>,
    },
}

/// What lacks for a report; it does not come by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Incomplete {
    #[error("pac.test.appstudio.openshift.io/git-provider is missing: it names the forge to report to")]
    NoProvider,
    #[error("pac.test.appstudio.openshift.io/{0} is missing")]
    Missing(&'static str),
    #[error("pac.test.appstudio.openshift.io/{name} {value:?} {reason}")]
    Wrong { name: &'static str, value: String, reason: &'static str },
}

impl Destination {
    /// Where the pull request is that something comes from.
    pub(crate) fn of(origin: &Origin<'_>) -> Result<Self, Incomplete> {
        let provider = origin.provider.ok_or(Incomplete::NoProvider)?;
        let provider =
            provider_named(provider).ok_or_else(|| wrong("git-provider", provider, "is no forge"))?;
        let sha = origin.sha.ok_or(Incomplete::Missing("sha"))?;
        let commit = sha.parse().map_err(|_| wrong("sha", sha, "is no full name of a commit"))?;
        let repo_url = origin.repo_url.ok_or(Incomplete::Missing("repo-url"))?.to_owned();
        let installation = number("installation-id", origin.installation_id)?;
        let way = if let Some(installation) = installation.filter(|_| provider == Provider::GitHub) {
            Way::App { installation }
        } else {
            // The Repository names it; but where it is wrong, so may be the others.
            number("target-project-id", origin.target_project_id)?;
            Way::Token {
                pull_request: number("pull-request", origin.pull_request)?,
                source_project: number("source-project-id", origin.source_project_id)?,
            }
        };
        Ok(Self { provider, repo_url, commit, way })
    }
}

/// In the words of Pipelines-as-Code.
fn provider_named(name: &str) -> Option<Provider> {
    match name {
        "github-enterprise" => Some(Provider::GitHub),
        name => name.parse().ok(),
    }
}

fn number(name: &'static str, value: Option<&str>) -> Result<Option<u64>, Incomplete> {
    value.map(|value| value.parse().map_err(|_| wrong(name, value, "is no number"))).transpose()
}

fn wrong(name: &'static str, value: &str, reason: &'static str) -> Incomplete {
    Incomplete::Wrong { name, value: value.chars().take(MAX_SHOWN).collect(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const SHA: &str = "8cc5aef17d528ca5ab893dd430004fec8bf9beaa";

    fn origin(provider: &'static str) -> Origin<'static> {
        Origin {
            event_type: Some("pull_request"),
            provider: Some(provider),
            sha: Some(SHA),
            repo_url: Some("https://git.test/acme/app"),
            pull_request: Some("7"),
            ..Origin::default()
        }
    }

    #[rstest]
    #[case::app(
        Origin { installation_id: Some("9"), ..origin("github") }, Provider::GitHub, Way::App { installation: 9 }
    )]
    #[case::enterprise(
        Origin { installation_id: Some("9"), ..origin("github-enterprise") }, Provider::GitHub, Way::App { installation: 9 }
    )]
    #[case::token(
        origin("github"), Provider::GitHub, Way::Token { pull_request: Some(7), source_project: None }
    )]
    #[case::gitlab(
        Origin { source_project_id: Some("4"), target_project_id: Some("3"), ..origin("gitlab") },
        Provider::GitLab, Way::Token { pull_request: Some(7), source_project: Some(4) }
    )]
    #[case::forgejo(
        Origin { installation_id: Some("9"), ..origin("forgejo") },
        Provider::Gitea, Way::Token { pull_request: Some(7), source_project: None }
    )]
    #[case::merge_queue(
        Origin { pull_request: None, ..origin("gitea") },
        Provider::Gitea, Way::Token { pull_request: None, source_project: None }
    )]
    fn finds_the_way(#[case] origin: Origin<'_>, #[case] provider: Provider, #[case] way: Way) {
        let found = Destination::of(&origin).unwrap();
        assert_eq!((found.provider, found.way), (provider, way));
        assert_eq!((found.commit.as_str(), found.repo_url.as_str()), (SHA, "https://git.test/acme/app"));
    }

    #[rstest]
    #[case::no_provider(Origin { provider: None, ..origin("") }, "git-provider")]
    #[case::another_provider(origin("subversion"), "git-provider \"subversion\"")]
    #[case::no_commit(Origin { sha: None, ..origin("github") }, "sha")]
    #[case::cut_commit(Origin { sha: Some("8cc5aef"), ..origin("github") }, "sha \"8cc5aef\"")]
    #[case::no_repository(Origin { repo_url: None, ..origin("github") }, "repo-url")]
    #[case::installation(Origin { installation_id: Some("x"), ..origin("github") }, "installation-id \"x\"")]
    #[case::pull_request(Origin { pull_request: Some("x"), ..origin("gitea") }, "pull-request \"x\"")]
    #[case::source(Origin { source_project_id: Some("x"), ..origin("gitlab") }, "source-project-id \"x\"")]
    #[case::target(Origin { target_project_id: Some("x"), ..origin("gitlab") }, "target-project-id \"x\"")]
    fn names_what_lacks(#[case] origin: Origin<'_>, #[case] named: &str) {
        let text = Destination::of(&origin).unwrap_err().to_string();
        assert!(text.contains(named), "{text}");
    }
}
