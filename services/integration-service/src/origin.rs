//! Where a build comes from, as Pipelines-as-Code said it on the build's run, and as it was copied from there to Snapshots and test
//! runs.

use integration_service_api::annotations::PIPELINES_AS_CODE_PREFIX;
use kube::ResourceExt;
use pipelines_as_code_api::annotations::PREFIX;

/// Branches of merge queues begin so: what is built there is neither a pull request nor on a branch yet.
const MERGE_QUEUE: &str = "gh-readonly-queue/";

/// What Pipelines-as-Code says when it has no installation of its App.
const NO_INSTALLATION: &str = "-1";

/// Who asked the forge for a build, and for what. Values are as they were written: anybody in the namespace may have done so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin<'a> {
    /// An event of the forge, such as `push`, `pull_request` or `Merge Request`, or a kind of comment.
    pub(crate) event_type: Option<&'a str>,
    /// Kind of the forge, such as `github`.
    pub(crate) provider: Option<&'a str>,
    /// The commit.
    pub(crate) sha: Option<&'a str>,
    pub(crate) url_org: Option<&'a str>,
    pub(crate) url_repository: Option<&'a str>,
    /// URL of the repository, for people.
    pub(crate) repo_url: Option<&'a str>,
    /// Of the GitHub App, if that reports.
    pub(crate) installation_id: Option<&'a str>,
    /// Number of the pull or merge request.
    pub(crate) pull_request: Option<&'a str>,
    /// GitLab: the project that the merge request comes from.
    pub(crate) source_project_id: Option<&'a str>,
    /// GitLab: the project that the merge request leads to.
    pub(crate) target_project_id: Option<&'a str>,
    /// Branch of the pull request.
    pub(crate) source_branch: Option<&'a str>,
    /// Branch that was pushed to, or that the pull request leads to.
    pub(crate) branch: Option<&'a str>,
}

impl<'a> Origin<'a> {
    /// Of a build's run, or of a Snapshot or test run that was made for it. An annotation counts before the label of the same key, whose
    /// value is cut and cleaned.
    pub(crate) fn of(object: &'a impl ResourceExt) -> Self {
        let value = |key: &str| {
            let copied = format!("{PIPELINES_AS_CODE_PREFIX}/{key}");
            let original = format!("{PREFIX}{key}");
            let (annotations, labels) = (object.annotations(), object.labels());
            let found = [&copied, &original]
                .into_iter()
                .find_map(|key| annotations.get(key).or_else(|| labels.get(key)));
            found.map(String::as_str).filter(|value| !value.is_empty())
        };
        Self {
            event_type: value("event-type"),
            provider: value("git-provider"),
            sha: value("sha"),
            url_org: value("url-org"),
            url_repository: value("url-repository"),
            repo_url: value("repo-url"),
            installation_id: value("installation-id").filter(|id| *id != NO_INSTALLATION),
            pull_request: value("pull-request"),
            source_project_id: value("source-project-id"),
            target_project_id: value("target-project-id"),
            source_branch: value("source-branch"),
            branch: value("branch"),
        }
    }

    /// Whether it was built from what is on a branch already, so that it may be promoted. What no forge asked for counts as that, and a
    /// comment on a commit.
    pub(crate) fn is_push(&self) -> bool {
        if self.is_queued_to_merge() {
            return false;
        }
        self.event_type.is_none_or(|event| {
            let is_comment = event.ends_with("-comment") && self.pull_request.is_none();
            is_comment || ["push", "incoming"].iter().any(|push| event.eq_ignore_ascii_case(push))
        })
    }

    /// Whether it is of a branch that a merge queue made for a trial.
    fn is_queued_to_merge(&self) -> bool {
        [self.source_branch, self.branch].into_iter().flatten().any(|branch| {
            let name = branch.trim_start_matches("refs/heads/");
            name.starts_with(MERGE_QUEUE)
        })
    }
}

#[cfg(test)]
mod tests {
    use application_service_api::Snapshot;
    use pipelines_engine_api::PipelineRun;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn snapshot(labels: &Value, annotations: &Value) -> Snapshot {
        let metadata = json!({"labels": labels, "annotations": annotations});
        serde_json::from_value(json!({"metadata": metadata, "spec": {}})).unwrap()
    }

    #[rstest]
    #[case::made_by_hand(json!({}), true)]
    #[case::empty(json!({"event-type": ""}), true)]
    #[case::push(json!({"event-type": "push"}), true)]
    #[case::gitlab(json!({"event-type": "Push"}), true)]
    #[case::asked_for(json!({"event-type": "incoming"}), true)]
    #[case::comment_on_a_commit(json!({"event-type": "retest-all-comment"}), true)]
    #[case::comment_on_a_pull_request(json!({"event-type": "retest-all-comment", "pull-request": "1"}), false)]
    #[case::pull_request(json!({"event-type": "pull_request"}), false)]
    #[case::merge_request(json!({"event-type": "Merge_Request"}), false)]
    #[case::unknown_event(json!({"event-type": "Tag_Push"}), false)]
    #[case::push_to_a_merge_queue(json!({"event-type": "push", "branch": "refs/heads/gh-readonly-queue/main/pr-1"}), false)]
    #[case::from_a_merge_queue(json!({"event-type": "push", "source-branch": "gh-readonly-queue/main/pr-1"}), false)]
    fn tells_pushes(#[case] keys: Value, #[case] expected: bool) {
        let copied: Value = keys
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| (format!("pac.test.appstudio.openshift.io/{key}"), value.clone()))
            .collect::<serde_json::Map<_, _>>()
            .into();
        assert_eq!(Origin::of(&snapshot(&copied, &json!({}))).is_push(), expected, "as labels");
        assert_eq!(Origin::of(&snapshot(&json!({}), &copied)).is_push(), expected, "as annotations");
    }

    #[test]
    fn reads_the_keys_of_a_build_run() {
        let run: PipelineRun = serde_json::from_value(json!({
            "metadata": {
                "labels": {
                    "pipelinesascode.tekton.dev/event-type": "pull_request",
                    "pipelinesascode.tekton.dev/git-provider": "github",
                    "pipelinesascode.tekton.dev/url-org": "org_x",
                },
                "annotations": {
                    "pipelinesascode.tekton.dev/url-org": "org/x",
                    "pipelinesascode.tekton.dev/pull-request": "7",
                    "pipelinesascode.tekton.dev/installation-id": "-1",
                    "pipelinesascode.tekton.dev/source-branch": "fix",
                },
            },
            "spec": {},
        }))
        .unwrap();
        let expected = Origin {
            event_type: Some("pull_request"),
            provider: Some("github"),
            url_org: Some("org/x"),
            pull_request: Some("7"),
            source_branch: Some("fix"),
            ..Origin::default()
        };
        assert_eq!(Origin::of(&run), expected);
    }
}
