//! What is read of the cluster: Components of all namespaces, everything else of the program's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use application_service_api::component::ComponentSource;
use application_service_api::{Component, ComponentSpec};
use build_service_api::DependencyUpdateCheck;
use build_service_api::labels::mintmaker as labels;
use fleet::{Fleet, Index, ObjectKey, Store};
use k8s_openapi::api::core::v1::{ConfigMap, Event};
use kube::core::Expression;
use pipelines_engine_api::pipeline_run::PipelineRunSpec;
use pipelines_engine_api::{PipelineRun, PipelineRunStatus};

use super::progress::PURPOSE;
use crate::nudge::ended;

/// Runs by the hash of their branch.
const BY_BRANCH: Index = Index("branch");

/// Reason of the Events by which the kubelet tells of volumes that it cannot mount.
const FAILED_MOUNT: &str = "reason=FailedMount";

#[derive(Clone)]
pub(super) struct Stores {
    pub(super) components: Store<Component>,
    pub(super) checks: Store<DependencyUpdateCheck>,
    pub(super) runs: Store<PipelineRun>,
    pub(super) events: Store<Event>,
    /// Progress of checks, and clean runs.
    pub(super) notes: Store<ConfigMap>,
}

impl Stores {
    pub(super) fn new(fleet: &mut Fleet) -> Self {
        let own = fleet.namespace().to_owned();
        let of_branches = Expression::Exists(labels::REPO_BRANCH_HASH.into());
        Self {
            components: fleet.store().optional().trim(trim_component).build(),
            checks: fleet.store().only_in(own.as_str()).build(),
            runs: fleet
                .store()
                .only_in(own.as_str())
                .labels(of_branches)
                .optional()
                .trim(trim_run)
                .index(BY_BRANCH, by_branch)
                .build(),
            events: fleet.store().only_in(own.as_str()).fields(FAILED_MOUNT).build(),
            notes: fleet.store().only_in(own).labels(Expression::Exists(PURPOSE.into())).build(),
        }
    }

    /// The run of a branch that goes on.
    pub(super) fn going_on(&self, namespace: &str, hash: &str) -> Option<Arc<PipelineRun>> {
        let runs = self.runs.indexed(BY_BRANCH, &ObjectKey::new(namespace, hash));
        runs.into_iter().find(|run| ended(run).is_none() && run.metadata.deletion_timestamp.is_none())
    }

    /// All runs that go on.
    pub(super) fn active(&self) -> Vec<Arc<PipelineRun>> {
        let runs = self.runs.keys().into_iter().filter_map(|key| self.runs.get(&key));
        runs.filter(|run| ended(run).is_none()).collect()
    }
}

fn by_branch(run: &PipelineRun) -> Vec<ObjectKey> {
    let hash = labels::REPO_BRANCH_HASH.of(&run.metadata.labels);
    hash.map(|hash| ObjectKey::of(run).sibling(hash)).into_iter().collect()
}

/// Keeps where the source is, and whether it may be looked at.
fn trim_component(component: &mut Component) {
    let is_wanted =
        |key: &String| key.starts_with("git-provider") || key.starts_with("mintmaker.appstudio.redhat.com/");
    component.metadata.labels = None;
    keep(&mut component.metadata.annotations, |key| is_wanted(key));
    let spec = std::mem::take(&mut component.spec);
    component.spec = ComponentSpec {
        application: spec.application,
        source: spec.source.map(|source| ComponentSource { git: source.git, ..ComponentSource::default() }),
        ..ComponentSpec::default()
    };
    component.status = None;
}

fn keep(map: &mut Option<BTreeMap<String, String>>, is_wanted: impl Fn(&String) -> bool) {
    if let Some(entries) = map {
        entries.retain(|key, _| is_wanted(key));
    }
}

/// Keeps what a run is for, and how it ended.
fn trim_run(run: &mut PipelineRun) {
    run.metadata.owner_references = None;
    run.spec = PipelineRunSpec { status: std::mem::take(&mut run.spec.status), ..PipelineRunSpec::default() };
    if let Some(status) = run.status.take() {
        run.status = Some(PipelineRunStatus {
            conditions: status.conditions,
            completion_time: status.completion_time,
            ..PipelineRunStatus::default()
        });
    }
}
