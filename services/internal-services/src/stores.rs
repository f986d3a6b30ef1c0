//! What this service reads, and which part of it.

use std::collections::BTreeMap;

use fleet::{Fleet, Index, ObjectKey, Remote, Store};
use fleet_api::keys;
use internal_services_api::{
    InternalRequest, InternalRequestStatus, InternalServicesConfig, finalizers, labels,
};
use kube::core::Expression;
use pipelines_engine_api::{PipelineRun, PipelineRunSpec, PipelineRunStatus};

use crate::request::state::is_completed;

/// Runs by the request that their labels name.
pub(crate) const BY_REQUEST: Index = Index("request");
/// Requests for which something is still to be done, all under [`all`].
pub(crate) const OPEN: Index = Index("open");
/// Requests that cannot go without this service, by namespace, with an empty name.
pub(crate) const HELD: Index = Index("held");

/// What a client of the API remembers of the object that it applied: as large as the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Pipelines are read when they are needed.
#[derive(Clone)]
pub(crate) struct Stores {
    /// Of the remote cluster.
    pub(crate) requests: Store<InternalRequest>,
    pub(crate) runs: Store<PipelineRun>,
    pub(crate) configs: Store<InternalServicesConfig>,
}

impl Stores {
    /// `home` is the namespace of runs and settings.
    pub(crate) fn new(fleet: &mut Fleet, remote: &Remote, home: &str, watch_all: bool) -> Self {
        let requests = fleet
            .remote_store(remote)
            .trim(trim_request)
            .index(OPEN, |request: &InternalRequest| {
                let is_open = !is_completed(request) || is_held(request);
                if is_open { vec![all()] } else { Vec::new() }
            })
            .index(HELD, |request: &InternalRequest| {
                if is_held(request) { vec![ObjectKey::of(request).sibling("")] } else { Vec::new() }
            });
        Self {
            requests: if watch_all { requests.build() } else { requests.in_told_namespaces().build() },
            runs: fleet
                .store()
                .only_in(home)
                .labels(Expression::Equal(
                    keys::PIPELINE_TYPE.as_str().into(),
                    labels::PIPELINE_TYPE_RELEASE.into(),
                ))
                .trim(trim_run)
                .index(BY_REQUEST, |run: &PipelineRun| request_of(run).into_iter().collect())
                .build(),
            configs: fleet.store().only_in(home).build(),
        }
    }
}

/// The one key of an index that only tells some objects from others.
pub(crate) fn all() -> ObjectKey {
    ObjectKey::new("", "")
}

/// The request that a run says it is of.
pub(crate) fn request_of(run: &PipelineRun) -> Option<ObjectKey> {
    let labels = &run.metadata.labels;
    Some(ObjectKey::new(labels::NAMESPACE.of(labels)?, labels::NAME.of(labels)?))
}

/// Whether the request cannot go before this service lets it.
pub(crate) fn is_held(request: &InternalRequest) -> bool {
    finalizers::PIPELINE_RUN_CLEANUP.is_in(request.metadata.finalizers.as_ref())
}

/// Of one that is over, what it was given and what came of it: that is for others to read.
fn trim_request(request: &mut InternalRequest) {
    forget_last_applied(&mut request.metadata.annotations);
    if !is_completed(request) {
        return;
    }
    request.spec.params.clear();
    if let Some(status) = request.status.take() {
        request.status = Some(InternalRequestStatus { results: BTreeMap::new(), ..status });
    }
}

/// How a run does and what it says; what it runs may be much.
fn trim_run(run: &mut PipelineRun) {
    forget_last_applied(&mut run.metadata.annotations);
    run.spec = PipelineRunSpec { status: std::mem::take(&mut run.spec.status), ..PipelineRunSpec::default() };
    run.status = run.status.take().map(|status| PipelineRunStatus {
        conditions: status.conditions,
        results: status.results,
        ..PipelineRunStatus::default()
    });
}

fn forget_last_applied(annotations: &mut Option<BTreeMap<String, String>>) {
    if let Some(annotations) = annotations {
        annotations.remove(LAST_APPLIED);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(reason: &str) -> InternalRequest {
        let condition = json!({"type": "Succeeded", "status": if reason == "Succeeded" { "True" } else { "False" },
            "reason": reason, "message": "", "lastTransitionTime": "2024-03-01T12:00:00Z"});
        serde_json::from_value(json!({
            "metadata": {"name": "r", "annotations": {LAST_APPLIED: "{}", "a": "b"}},
            "spec": {"request": "sign", "params": {"p": "v"}},
            "status": {"conditions": [condition], "results": {"r": "v"}, "pipelineRun": "home/run"},
        }))
        .unwrap()
    }

    #[test]
    fn what_a_request_was_given_is_kept_until_it_is_over() {
        let (mut running, mut done) = (request("Running"), request("Succeeded"));
        trim_request(&mut running);
        trim_request(&mut done);
        assert_eq!((running.spec.params.len(), done.spec.params.len()), (1, 0));
        let status = done.status.unwrap();
        assert!(status.results.is_empty());
        assert_eq!((status.conditions.len(), status.pipeline_run.as_deref()), (1, Some("home/run")));
        assert_eq!(done.metadata.annotations.unwrap().into_keys().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn a_run_keeps_what_it_said() {
        let mut run: PipelineRun = serde_json::from_value(json!({
            "metadata": {"name": "r", "labels": {
                "internal-services.appstudio.openshift.io/name": "sign",
                "internal-services.appstudio.openshift.io/namespace": "managed",
            }},
            "spec": {"pipelineRef": {"name": "p"}, "status": "Cancelled", "params": [{"name": "a", "value": "secret"}]},
            "status": {
                "conditions": [{"type": "Succeeded", "status": "True"}],
                "results": [{"name": "foo", "value": "bar"}], "pipelineSpec": {"tasks": []},
            },
        }))
        .unwrap();
        trim_run(&mut run);
        assert_eq!((run.spec.status.as_str(), run.spec.params.len()), ("Cancelled", 0));
        let status = run.status.as_ref().unwrap();
        assert_eq!((status.conditions.len(), status.results.len(), &status.pipeline_spec), (1, 1, &None));
        assert_eq!(request_of(&run), Some(ObjectKey::new("managed", "sign")));
    }
}
