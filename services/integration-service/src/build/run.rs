//! What a build's run says of itself.

use fleet_api::AnnotationKey;
use integration_service_api::{annotations, finalizers};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;
use pipelines_engine_api::param::ParamValue;
use pipelines_engine_api::status::{RunCondition, succeeded};

/// Written by chains once the run is signed, or will not be. Any value ends the wait.
const SIGNED: AnnotationKey = AnnotationKey::new("chains.tekton.dev/signed");

/// Whether it has ended, and well.
pub(super) fn ended(run: &PipelineRun) -> Option<bool> {
    match condition(run)?.status.as_str() {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

fn condition(run: &PipelineRun) -> Option<&RunCondition> {
    succeeded(&run.status.as_ref()?.conditions)
}

/// When it ended; `None` if it did not, or does not say when.
pub(super) fn completed_at(run: &PipelineRun) -> Option<Timestamp> {
    let time: Option<&Time> = run.status.as_ref().and_then(|status| status.completion_time.as_ref());
    let ended = || ended(run).and_then(|_| condition(run)?.last_transition_time.as_ref());
    time.or_else(ended).map(|time| time.0)
}

pub(super) fn created_at(run: &PipelineRun) -> Option<Timestamp> {
    run.creation_timestamp().map(|time| time.0)
}

pub(super) fn deleted_at(run: &PipelineRun) -> Option<Timestamp> {
    run.metadata.deletion_timestamp.as_ref().map(|time| time.0)
}

pub(super) fn is_signed(run: &PipelineRun) -> bool {
    SIGNED.of(&run.metadata.annotations).is_some()
}

pub(super) fn is_held(run: &PipelineRun) -> bool {
    finalizers::PIPELINE_RUN.is_in(run.metadata.finalizers.as_ref())
}

/// Name of its Snapshot, once that is recorded.
pub(super) fn snapshot(run: &PipelineRun) -> Option<&str> {
    annotations::SNAPSHOT.of(&run.metadata.annotations).filter(|name| !name.is_empty())
}

/// Its results that are text, blanks around them cut off.
pub(super) fn results(run: &PipelineRun) -> impl Iterator<Item = (&str, &str)> {
    let results = run.status.iter().flat_map(|status| &status.results);
    results.filter_map(|result| match &result.value {
        ParamValue::String(text) => Some((result.name.as_str(), text.trim())),
        ParamValue::Array(_) | ParamValue::Object(_) => None,
    })
}
