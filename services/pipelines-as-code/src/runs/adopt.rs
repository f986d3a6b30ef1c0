//! Which runs an earlier attempt has made.

use fleet_api::{LabelKey, keys};
use kube::ResourceExt as _;
use pipelines_as_code_api::labels;
use pipelines_engine_api::PipelineRun;

/// What ties a run to its cause. `state` and `check-run-id` change while it runs.
const LINKS: [LabelKey; 7] = [
    labels::MANAGED_BY,
    labels::REPOSITORY,
    labels::URL_ORG,
    labels::URL_REPOSITORY,
    labels::SHA,
    labels::EVENT_TYPE,
    labels::ORIGINAL_PIPELINE_RUN,
];

/// Whether `existing`, which has the name of `wanted`, is what an attempt before this one made of the same delivery
/// (contracts.md, section d). One that is being deleted does not count.
pub fn adopts(existing: &PipelineRun, wanted: &PipelineRun) -> bool {
    let cause = |run: &PipelineRun| keys::CAUSE.of(&run.metadata.annotations).map(str::to_owned);
    let link = |run: &PipelineRun, key: LabelKey| key.of(&run.metadata.labels).map(str::to_owned);
    let has_owner = |uid: &str| existing.owner_references().iter().any(|owner| owner.uid == uid);
    existing.metadata.deletion_timestamp.is_none()
        && cause(wanted).is_some()
        && cause(existing) == cause(wanted)
        && LINKS.iter().all(|key| link(existing, *key) == link(wanted, *key))
        && wanted.owner_references().iter().all(|owner| has_owner(&owner.uid))
}
