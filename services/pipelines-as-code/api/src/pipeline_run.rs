//! Values of labels and annotations on the runs.

use serde::{Deserialize, Serialize};

/// `state`: how far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum State {
    /// It waits for another one to end.
    Queued,
    /// It goes on.
    Started,
    /// It has ended, and how was reported.
    Completed,
    /// It has ended, and how could not be reported.
    Failed,
}

/// `event-type`: what started a run. GitLab's own words stand for its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
pub enum EventType {
    #[strum(serialize = "pull_request")]
    PullRequest,
    #[strum(serialize = "push")]
    Push,
    /// Asked for without an event. Counts as a push.
    #[strum(serialize = "incoming")]
    Incoming,
    #[strum(serialize = "Merge Request")]
    GitLabMergeRequest,
    #[strum(serialize = "Push")]
    GitLabPush,
    #[strum(serialize = "Tag Push")]
    GitLabTagPush,
    /// `/test`
    #[strum(serialize = "test-all-comment")]
    TestAllComment,
    /// `/test <name>`
    #[strum(serialize = "test-comment")]
    TestComment,
    /// `/retest`
    #[strum(serialize = "retest-all-comment")]
    RetestAllComment,
    /// `/retest <name>`
    #[strum(serialize = "retest-comment")]
    RetestComment,
    /// `/ok-to-test`
    #[strum(serialize = "ok-to-test-comment")]
    OkToTestComment,
    /// `/cancel <name>`
    #[strum(serialize = "cancel-comment")]
    CancelComment,
    /// `/cancel`
    #[strum(serialize = "cancel-all-comment")]
    CancelAllComment,
    /// A comment that the run's annotation `on-comment` matches.
    #[strum(serialize = "on-comment")]
    OnComment,
    /// A comment without a command.
    #[strum(serialize = "no-ops-comment")]
    NoOpsComment,
}

/// `git-provider`: kind of the forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
pub enum GitProvider {
    #[strum(serialize = "github")]
    GitHub,
    #[strum(serialize = "github-enterprise")]
    GitHubEnterprise,
    #[strum(serialize = "gitlab")]
    GitLab,
    #[strum(serialize = "gitea")]
    Gitea,
    #[strum(serialize = "bitbucket-cloud")]
    BitbucketCloud,
    #[strum(serialize = "bitbucket-server")]
    BitbucketServer,
}

/// `controller-info`, in JSON: the settings that a run was started under. Several controllers may share a
/// watcher.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControllerInfo {
    /// Label of the controller.
    #[serde(default)]
    pub name: String,
    /// Its ConfigMap.
    #[serde(default)]
    pub configmap: String,
    /// Secret with its credentials.
    #[serde(default)]
    pub secret: String,
}

/// `results.tekton.dev/recordSummaryAnnotations`, in JSON: by what the archive finds a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordSummary {
    /// Name of the repository.
    #[serde(default)]
    pub repo: String,
    /// The commit.
    #[serde(default)]
    pub commit: String,
    /// What started it.
    #[serde(default, rename = "eventType")]
    pub event_type: String,
    /// Number of the pull request. Absent if there is none.
    #[serde(default, rename = "pull_request-id", skip_serializing_if = "Option::is_none")]
    pub pull_request_id: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("pull_request", EventType::PullRequest)]
    #[case("push", EventType::Push)]
    #[case("incoming", EventType::Incoming)]
    #[case("Merge Request", EventType::GitLabMergeRequest)]
    #[case("Push", EventType::GitLabPush)]
    #[case("Tag Push", EventType::GitLabTagPush)]
    #[case("test-all-comment", EventType::TestAllComment)]
    #[case("on-comment", EventType::OnComment)]
    #[case("no-ops-comment", EventType::NoOpsComment)]
    fn spells_events(#[case] text: &str, #[case] event: EventType) {
        assert_eq!(text.parse(), Ok(event));
        assert_eq!(<&str>::from(event), text);
    }

    #[rstest]
    #[case("queued", State::Queued)]
    #[case("started", State::Started)]
    #[case("completed", State::Completed)]
    #[case("failed", State::Failed)]
    fn spells_states(#[case] text: &str, #[case] state: State) {
        assert_eq!(text.parse(), Ok(state));
        assert_eq!(<&str>::from(state), text);
    }
}
