//! Ends runs that nobody needs any more: `/cancel`, and `cancel-in-progress` (spec sections 2.4 and 4.8).

use std::sync::Arc;

use fleet::write::PatchKind;
use fleet::{Class, Classed as _, ObjectKey, Store, Write, WriteError, Writer};
use jiff::Timestamp;
use kube::ResourceExt as _;
use pipelines_as_code_api::annotations::written as annotations;
use pipelines_engine_api::PipelineRun;
use pipelines_engine_api::pipeline_run::{CANCELLED, CANCELLED_RUN_FINALLY, STOPPED_RUN_FINALLY};
use serde_json::json;

use crate::watch::run;
use crate::watch::stores::BY_REPOSITORY;

/// Which runs are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    /// Whose runs.
    pub repository: &'a ObjectKey,
    pub cause: Cause<'a>,
    /// Name in `.tekton/`. `None`: whatever their names.
    pub original: Option<&'a str>,
    /// Only those that were made before this run, by its time and then its name: of two runs that take the place of others one
    /// ends the other, and never both each other.
    pub before: Option<(Timestamp, &'a str)>,
}

/// What the runs were started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause<'a> {
    PullRequest(u64),
    /// Anything about this commit but a pull request.
    Commit(&'a str),
    /// Pushes to this branch, with or without `refs/heads/`.
    Branch(&'a str),
}

/// The runs that are meant and can still be ended, oldest first.
pub fn running(runs: &Store<PipelineRun>, scope: &Scope<'_>) -> Vec<Arc<PipelineRun>> {
    let mut meant = runs.indexed(BY_REPOSITORY, scope.repository);
    meant.retain(|run| is_meant(run, scope));
    meant.sort_by_cached_key(|run| (run::created_at(run), run.name_any()));
    meant
}

fn is_meant(run: &PipelineRun, scope: &Scope<'_>) -> bool {
    let is_ending =
        [CANCELLED, CANCELLED_RUN_FINALLY, STOPPED_RUN_FINALLY].contains(&run.spec.status.as_str());
    let is_over = run::is_done(run) || run::state(run).is_none_or(run::is_final);
    if is_ending || is_over || run::is_being_deleted(run) {
        return false;
    }
    let pull_request = run::pull_request(run);
    let is_of_cause = match scope.cause {
        Cause::PullRequest(number) => pull_request == Some(number),
        Cause::Commit(sha) => pull_request.is_none() && run::annotation(run, annotations::SHA) == Some(sha),
        Cause::Branch(branch) => {
            let own = run::annotation(run, annotations::BRANCH);
            pull_request.is_none() && own.is_some_and(|own| short(own) == short(branch))
        }
    };
    let has_name = scope.original.is_none_or(|name| run::original(run).is_some_and(|own| is_name(own, name)));
    let is_before =
        scope.before.is_none_or(|(at, name)| (run::created_at(run), &*run.name_any()) < (at, name));
    is_of_cause && has_name && is_before
}

fn short(branch: &str) -> &str {
    branch.strip_prefix("refs/heads/").unwrap_or(branch)
}

/// A name that was generated may be given without the `-` that it ends in.
fn is_name(own: &str, name: &str) -> bool {
    own.trim_end_matches('-') == name.trim_end_matches('-')
}

/// Ends runs: what goes on of them is stopped, and `finally` runs.
///
/// # Errors
/// The first that the API server does not take; the others are tried all the same. One that is gone is fine.
pub async fn cancel(writer: &Writer, runs: &[Arc<PipelineRun>]) -> Result<(), WriteError> {
    let mut outcome = Ok(());
    for run in runs {
        match writer.apply(&[write(run)]).await {
            Err(error) if error.class() != Class::Forget => outcome = outcome.and(Err(error)),
            _ => {}
        }
    }
    outcome
}

/// Whatever else changes about the run: it shall end.
fn write(run: &PipelineRun) -> Write {
    Write::patch(run, PatchKind::Merge, json!({"spec": {"status": CANCELLED_RUN_FINALLY}}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    use crate::watch::testing::{RunBuilder, at, names, run};

    fn store(runs: impl IntoIterator<Item = RunBuilder>) -> Store<PipelineRun> {
        let by_repository = |run: &PipelineRun| run::repository(run).into_iter().collect();
        let store = Store::new(|_| {}, vec![(BY_REPOSITORY, Arc::new(by_repository))]);
        for run in runs {
            store.apply(run.build());
        }
        store
    }

    fn of_pull_request(name: &str, original: &str) -> RunBuilder {
        run(name).original(original).both("pull-request", "7")
    }

    fn meant(
        runs: impl IntoIterator<Item = RunBuilder>,
        cause: Cause<'_>,
        original: Option<&str>,
    ) -> Vec<String> {
        let repository = ObjectKey::new("team", "app");
        names(&running(&store(runs), &Scope { repository: &repository, cause, original, before: None }))
    }

    /// Scenario 5: `/cancel b` ends `b` only.
    #[rstest]
    #[case::one(Some("b"), &["b-1"])]
    #[case::without_the_dash(Some("b-"), &["b-1"])]
    #[case::all(None, &["a-1", "b-1"])]
    #[case::none(Some("c"), &[])]
    fn cancels_by_name(#[case] original: Option<&str>, #[case] expected: &[&str]) {
        let runs = [
            of_pull_request("a-1", "a"),
            of_pull_request("b-1", "b"),
            of_pull_request("b-2", "b").of("other"),
            run("b-3").original("b").both("pull-request", "8"),
            run("b-4").original("b"),
        ];
        assert_eq!(meant(runs, Cause::PullRequest(7), original), expected);
    }

    #[rstest]
    #[case::waiting(of_pull_request("a", "a").paused(), true)]
    #[case::ended(of_pull_request("a", "a").ended_at(1, "True"), false)]
    #[case::reported(of_pull_request("a", "a").state("completed"), false)]
    #[case::cancelled(of_pull_request("a", "a").spec_status("CancelledRunFinally"), false)]
    #[case::cancelled_at_once(of_pull_request("a", "a").spec_status("Cancelled"), false)]
    #[case::stopped(of_pull_request("a", "a").spec_status("StoppedRunFinally"), false)]
    #[case::deleted(of_pull_request("a", "a").deleted(), false)]
    fn what_ends_anyway_is_left_alone(#[case] run: RunBuilder, #[case] is_cancelled: bool) {
        assert_eq!(meant([run], Cause::PullRequest(7), None).len(), usize::from(is_cancelled));
    }

    #[test]
    fn a_push_is_found_by_its_commit_or_branch() {
        let push = |name: &str, sha: &str, branch: &str| {
            run(name).both("sha", sha).annotation("pipelinesascode.tekton.dev/branch", branch)
        };
        let runs = || {
            [
                push("a", "c1", "refs/heads/main"),
                push("b", "c2", "main"),
                push("c", "c1", "refs/heads/dev"),
                push("d", "c1", "refs/heads/main").both("pull-request", "7"),
            ]
        };
        assert_eq!(meant(runs(), Cause::Commit("c1"), None), ["a", "c"]);
        assert_eq!(meant(runs(), Cause::Branch("main"), None), ["a", "b"]);
    }

    #[test]
    fn two_runs_never_end_each_other() {
        let store = store([
            of_pull_request("a-1", "a").created_at(1),
            of_pull_request("a-2", "a").created_at(2),
            of_pull_request("a-3", "a").created_at(2),
        ]);
        let repository = ObjectKey::new("team", "app");
        let before = |second, name| {
            let cause = Cause::PullRequest(7);
            let before = Some((at(second), name));
            names(&running(&store, &Scope { repository: &repository, cause, original: Some("a"), before }))
        };
        assert_eq!(before(2, "a-2"), ["a-1"]);
        assert_eq!(before(2, "a-3"), ["a-1", "a-2"]);
    }

    #[test]
    fn finally_runs() {
        let Write::Patch(patch) = write(&run("a").build()) else { panic!("a patch is expected") };
        assert_eq!(
            patch.body,
            json!({"metadata": {"uid": "u-a"}, "spec": {"status": "CancelledRunFinally"}})
        );
    }
}
