//! What the stores do not keep, because nobody here reads it. Snapshots are trimmed by what has become of them: see
//! [`mod@crate::settled`].

use application_service_api::{Application, ApplicationSpec, Component, ComponentSpec, ComponentStatus};
use fleet_api::keys;
use integration_service_api::annotations::{CANCELLED, PIPELINES_AS_CODE_PREFIX, SNAPSHOT};
use integration_service_api::{finalizers, labels};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use pipelines_as_code_api::Repository;
use pipelines_as_code_api::annotations::PREFIX;
use pipelines_engine_api::pipeline_run::ChildStatusReference;
use pipelines_engine_api::status::succeeded;
use pipelines_engine_api::{PipelineRun, PipelineRunSpec, PipelineRunStatus};
use release_service_api::{Release, ReleaseSpec, ReleaseStatus};

use crate::settled::KEPT_OF_ORIGIN;

/// What a client of the API remembers of the object that it applied: as large as the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Annotations of Pipelines-as-Code that are about its own work: by what it chose the run, and all tasks to fetch.
const OF_ITS_WORK: [&str; 7] =
    ["on-", "task", "pipeline", "execution-order", "log-url", "controller-info", "git-auth-secret"];

/// The same as long as something is to be done about it: how a run does, and what it has made. Of one that is over, that it is.
pub(crate) fn pipeline_run(run: &mut PipelineRun) {
    let is_over = is_over(run);
    if let Some(annotations) = &mut run.metadata.annotations {
        annotations.retain(|key, _| if is_over { is_kept(key) } else { !is_of_its_work(key) });
    }
    run.spec = PipelineRunSpec { status: std::mem::take(&mut run.spec.status), ..PipelineRunSpec::default() };
    run.status = run.status.take().map(|status| PipelineRunStatus {
        conditions: status.conditions,
        start_time: status.start_time,
        completion_time: status.completion_time,
        results: if is_over { Vec::new() } else { status.results },
        child_references: if is_over {
            Vec::new()
        } else {
            status.child_references.into_iter().map(child).collect()
        },
        ..PipelineRunStatus::default()
    });
    if is_over {
        // What was read from JSON has lists with room for more. A copy has none.
        *run = run.clone();
    }
}

/// It has ended, nothing of ours holds it, and of a build the Snapshot is known.
fn is_over(run: &PipelineRun) -> bool {
    let is_test = keys::PIPELINE_TYPE.of(&run.metadata.labels) == Some(labels::PIPELINE_TYPE_TEST);
    let holds = |finalizer: &String| finalizer == finalizers::PIPELINE_RUN.as_str();
    let conditions = run.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let has_ended = succeeded(conditions).is_some_and(|condition| condition.status != "Unknown");
    has_ended
        && !run.finalizers().iter().any(holds)
        && (is_test || run.annotations().contains_key(SNAPSHOT.as_str()))
}

/// What is read of a run that is over: where it came from, and what was said of it.
fn is_kept(key: &str) -> bool {
    let is_ours = ["appstudio.openshift.io/", "test.appstudio.openshift.io/", "fleet.konflux-ci.dev/"]
        .iter()
        .any(|prefix| key.starts_with(prefix));
    let is_of_origin = |prefix: &str| {
        let key = key.strip_prefix(prefix).map(|key| key.trim_start_matches('/'));
        key.is_some_and(|key| KEPT_OF_ORIGIN.contains(&key))
    };
    is_ours || is_of_origin(PREFIX) || is_of_origin(PIPELINES_AS_CODE_PREFIX) || key == CANCELLED.as_str()
}

fn is_of_its_work(key: &str) -> bool {
    let of_pipelines_as_code = key.strip_prefix(PREFIX);
    key == LAST_APPLIED
        || key.starts_with("results.tekton.dev/")
        || of_pipelines_as_code.is_some_and(|key| OF_ITS_WORK.iter().any(|prefix| key.starts_with(prefix)))
}

fn child(child: ChildStatusReference) -> ChildStatusReference {
    ChildStatusReference { when_expressions: Vec::new(), display_name: String::new(), ..child }
}

/// What is released, and whether it says that a program asked for it.
pub(crate) fn release(release: &mut Release) {
    metadata(&mut release.metadata);
    let spec = std::mem::take(&mut release.spec);
    release.spec = ReleaseSpec {
        snapshot: spec.snapshot,
        release_plan: spec.release_plan,
        // That there is some.
        data: spec.data.map(|_| serde_json::Value::Null),
        ..ReleaseSpec::default()
    };
    let automated = release.status.take().map(|status| status.automated);
    release.status = automated.map(|automated| ReleaseStatus { automated, ..ReleaseStatus::default() });
}

/// Its image and its source.
pub(crate) fn component(component: &mut Component) {
    metadata(&mut component.metadata);
    let spec = std::mem::take(&mut component.spec);
    component.spec = ComponentSpec {
        component_name: spec.component_name,
        application: spec.application,
        container_image: spec.container_image,
        source: spec.source,
        ..ComponentSpec::default()
    };
    component.status = component.status.take().map(|status| ComponentStatus {
        last_built_commit: status.last_built_commit,
        last_promoted_image: status.last_promoted_image,
        ..ComponentStatus::default()
    });
}

/// That it is there.
pub(crate) fn application(application: &mut Application) {
    metadata(&mut application.metadata);
    application.spec = ApplicationSpec::default();
    application.status = None;
}

/// Where the code is, and by which Secret.
pub(crate) fn repository(repository: &mut Repository) {
    metadata(&mut repository.metadata);
    repository.spec.pipelinerun_status = Vec::new();
}

fn metadata(metadata: &mut ObjectMeta) {
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(LAST_APPLIED);
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_run_keeps_what_decisions_read() {
        let mut run: PipelineRun = serde_json::from_value(json!({
            "metadata": {"name": "r", "annotations": {
                "pipelinesascode.tekton.dev/on-cel-expression": "event == 'push'",
                "pipelinesascode.tekton.dev/task-1": "git-clone",
                "pipelinesascode.tekton.dev/repo-url": "https://git.example/acme/app",
                "chains.tekton.dev/signed": "true",
                LAST_APPLIED: "{}",
            }},
            "spec": {"pipelineRef": {"name": "p"}, "status": "Cancelled"},
            "status": {
                "conditions": [{"type": "Succeeded", "status": "True"}],
                "results": [{"name": "IMAGE_URL", "value": "i"}],
                "childReferences": [{"kind": "TaskRun", "name": "r-build", "pipelineTaskName": "build"}],
                "pipelineSpec": {"tasks": []},
            },
        }))
        .unwrap();
        pipeline_run(&mut run);
        let annotations: Vec<_> = run.metadata.annotations.unwrap().into_keys().collect();
        assert_eq!(annotations, ["chains.tekton.dev/signed", "pipelinesascode.tekton.dev/repo-url"]);
        assert_eq!((run.spec.status.as_str(), run.spec.pipeline_ref), ("Cancelled", None));
        let status = run.status.unwrap();
        assert_eq!((status.conditions.len(), status.results.len(), status.child_references.len()), (1, 1, 1));
        assert_eq!(status.pipeline_spec, None);
    }

    #[rstest]
    #[case::build_with_snapshot("build", json!({"appstudio.openshift.io/snapshot": "s"}), json!([]), true)]
    #[case::build_without("build", json!({}), json!([]), false)]
    #[case::held("build", json!({"appstudio.openshift.io/snapshot": "s"}), json!(["test.appstudio.openshift.io/pipelinerun"]), false)]
    #[case::of_a_test("test", json!({}), json!(["of/others"]), true)]
    #[case::of_a_test_that_is_held("test", json!({}), json!(["test.appstudio.openshift.io/pipelinerun"]), false)]
    fn the_results_of_a_run_that_is_over_go(
        #[case] kind: &str,
        #[case] annotations: Value,
        #[case] finalizers: Value,
        #[case] expected: bool,
    ) {
        let mut run: PipelineRun = serde_json::from_value(json!({
            "metadata": {
                "name": "r", "labels": {"pipelines.appstudio.openshift.io/type": kind}, "annotations": annotations,
                "finalizers": finalizers,
            },
            "spec": {},
            "status": {
                "conditions": [{"type": "Succeeded", "status": "True"}],
                "results": [{"name": "IMAGE_URL", "value": "i"}],
            },
        }))
        .unwrap();
        let before = run.metadata.clone();
        pipeline_run(&mut run);
        assert_eq!(run.status.unwrap().results.is_empty(), expected);
        assert_eq!(run.metadata, before);
    }

    #[test]
    fn a_component_keeps_its_image_and_its_source() {
        let mut object: Component = serde_json::from_value(json!({
            "metadata": {"name": "a"},
            "spec": {
                "componentName": "a", "application": "shop", "containerImage": "i", "replicas": 2,
                "source": {"git": {"url": "https://git.example/a"}},
            },
            "status": {"lastBuiltCommit": "c", "lastPromotedImage": "i", "devfile": "large"},
        }))
        .unwrap();
        component(&mut object);
        assert_eq!(object.spec.container_image.as_deref(), Some("i"));
        assert!(object.spec.source.is_some());
        assert_eq!(object.spec.replicas, None);
        let status = object.status.unwrap();
        assert_eq!((status.last_built_commit.as_deref(), status.devfile), (Some("c"), None));
        assert_eq!(status.last_promoted_image.as_deref(), Some("i"));
    }

    #[test]
    fn a_release_keeps_what_it_is_of() {
        let mut object: Release = serde_json::from_value(json!({
            "metadata": {"name": "r"},
            "spec": {"snapshot": "s", "releasePlan": "p", "data": {"large": "x"}},
            "status": {"automated": true, "artifacts": {"large": "x"}},
        }))
        .unwrap();
        release(&mut object);
        assert_eq!((object.spec.snapshot.as_str(), object.spec.release_plan.as_str()), ("s", "p"));
        assert_eq!(object.spec.data, Some(serde_json::Value::Null), "there was some");
        let status = object.status.unwrap();
        assert_eq!((status.automated, status.artifacts), (Some(true), None));
    }
}
