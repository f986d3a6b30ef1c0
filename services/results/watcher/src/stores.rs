//! What this service reads, and which part of it.
//!
//! A run is kept whole, as text, until its end is archived; then without what the archive has. So ten thousand finished runs cost
//! little more than their names, and what others write on them later, which is metadata, is archived with the rest as it
//! is in the archive.

use fleet::{Fleet, Index, ObjectKey, Store};
use kube::ResourceExt as _;
use pipelines_engine_api::{PipelineRun, TaskRun};

use crate::decide::Children;
use crate::facts::Facts;
use crate::keys::{CHILD_READY, TRUE};
use crate::run::{Kind, Run};

/// TaskRuns by the uid of their PipelineRun.
const OF_PIPELINE_RUN: Index = Index("of pipeline run");

/// The objects that this service reads.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) pipeline_runs: Store<Run<PipelineRun>>,
    pub(crate) task_runs: Store<Run<TaskRun>>,
}

impl Stores {
    pub(crate) fn new(fleet: &mut Fleet) -> Self {
        Self {
            pipeline_runs: fleet.store().optional().trim(trim).build(),
            task_runs: fleet
                .store()
                .optional()
                .trim(trim)
                .index(OF_PIPELINE_RUN, |run: &Run<TaskRun>| {
                    let owner = run.owning_run();
                    owner.map(|owner| ObjectKey::of(run).sibling(&owner.uid)).into_iter().collect()
                })
                .build(),
        }
    }

    /// How far the TaskRuns of a PipelineRun are.
    pub(crate) fn children(&self, key: &ObjectKey, run: &Run<PipelineRun>) -> Children {
        let task_runs = self.task_runs.indexed(OF_PIPELINE_RUN, &key.sibling(run.uid_text()));
        let waits =
            task_runs.iter().find(|run| !(run.is_done() && run.annotation(CHILD_READY) == Some(TRUE)));
        waits.map_or(Children::Ready, |run| Children::Waits(run.name_any()))
    }
}

fn trim<K: Kind>(run: &mut Run<K>) {
    if run.is_done() && run.says_stored() {
        run.rest = None;
        // Its log is stored.
        run.facts = Facts { children: Vec::new(), attempts: Vec::new(), ..std::mem::take(&mut run.facts) };
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::run::tests::task_run;

    #[rstest]
    #[case::running("Unknown", "true", true)]
    #[case::not_stored("True", "false", true)]
    #[case::stored("True", "true", false)]
    fn is_whole_until_its_end_is_stored(
        #[case] condition: &str,
        #[case] stored: &str,
        #[case] is_whole: bool,
    ) {
        let mut run = task_run(json!({
            "metadata": {"name": "r", "uid": "u", "annotations": {"results.tekton.dev/stored": stored}},
            "status": {"conditions": [{"type": "Succeeded", "status": condition}], "podName": "p"},
        }));
        let digest = run.digest();
        trim(&mut run);
        assert_eq!((run.rest.is_some(), !run.facts.attempts.is_empty()), (is_whole, is_whole));
        assert_eq!(run.digest(), digest);
    }
}
