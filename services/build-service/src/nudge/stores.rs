//! What is read of the cluster.

use std::sync::Arc;

use application_service_api::Component;
use build_service_api::build_run::results;
use build_service_api::{annotations, finalizers, labels};
use fleet::{Fleet, Index, ObjectKey, Store};
use fleet_api::keys;
use kube::ResourceExt as _;
use kube::core::Expression;
use pipelines_as_code_api::{annotations::written::EVENT_TYPE, labels as pac_labels};
use pipelines_engine_api::pipeline_run::PipelineRunSpec;
use pipelines_engine_api::{PipelineRun, PipelineRunStatus};
use release_service_api::ReleasePlanAdmission;
use serde_json::{Value, json};

use crate::stores::{BY_COMPONENT, by_component};

/// Runs of the updater by the Component whose image they propose.
const BY_NUDGING: Index = Index("nudging");

/// Admissions by the namespace that they take Releases from.
const BY_ORIGIN: Index = Index("origin");

#[derive(Clone)]
pub(super) struct Stores {
    pub(super) components: Store<Component>,
    /// Builds, with what they say of their images.
    pub(super) builds: Store<PipelineRun>,
    /// Runs of the updater.
    pub(super) nudges: Store<PipelineRun>,
    pub(super) admissions: Store<ReleasePlanAdmission>,
}

impl Stores {
    pub(super) fn new(fleet: &mut Fleet, components: Store<Component>) -> Self {
        let of_components = Expression::Exists(labels::COMPONENT.into());
        let builds = Expression::Equal(labels::TYPE.into(), labels::TYPE_BUILD.into());
        let selector = kube::core::Selector::from_iter([of_components, builds]);
        let nudges = Expression::Equal(labels::RUN_TYPE.into(), labels::NUDGE_TYPE.into());
        Self {
            components,
            builds: fleet
                .store()
                .labels(selector)
                .optional()
                .trim(trim_build)
                .index(BY_COMPONENT, by_component)
                .build(),
            nudges: fleet
                .store()
                .labels(nudges)
                .optional()
                .trim(trim_nudge)
                .index(BY_NUDGING, by_nudging)
                .build(),
            admissions: fleet
                .store()
                .optional()
                .trim(trim_admission)
                .index(BY_ORIGIN, |admission: &ReleasePlanAdmission| {
                    vec![ObjectKey::new("", admission.spec.origin.as_str())]
                })
                .build(),
        }
    }

    /// A Component that is not on its way out.
    pub(super) fn component(&self, key: &ObjectKey) -> Option<Arc<Component>> {
        self.components.get(key).filter(|component| component.metadata.deletion_timestamp.is_none())
    }

    /// The Components that one nudges, as far as they are there.
    pub(super) fn targets(&self, component: &Component) -> Vec<Arc<Component>> {
        let key = ObjectKey::of(component);
        component.spec.build_nudges_ref.iter().filter_map(|name| self.component(&key.sibling(name))).collect()
    }

    pub(super) fn builds_of(&self, component: &ObjectKey) -> Vec<Arc<PipelineRun>> {
        self.builds.indexed(BY_COMPONENT, component)
    }

    pub(super) fn nudges_of(&self, component: &ObjectKey) -> Vec<Arc<PipelineRun>> {
        self.nudges.indexed(BY_NUDGING, component)
    }

    /// The repositories that a Component is released to.
    pub(super) fn distributions(&self, component: &ObjectKey) -> Vec<String> {
        let admissions =
            self.admissions.indexed(BY_ORIGIN, &ObjectKey::new("", component.namespace.as_str()));
        let mut found: Vec<String> =
            admissions.iter().flat_map(|admission| distributions(admission, &component.name)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// All Components that have runs, for when it becomes known which Components there are.
    pub(super) fn keys(&self) -> Vec<ObjectKey> {
        let runs = self.builds.keys().into_iter().filter_map(|key| self.builds.get(&key));
        runs.flat_map(|run| by_component(&run)).collect()
    }
}

/// The Component whose image a run of the updater proposes.
pub(super) fn by_nudging(run: &PipelineRun) -> Vec<ObjectKey> {
    let name = annotations::nudge::NUDGING_COMPONENT.of(&run.metadata.annotations);
    name.map(|name| ObjectKey::of(run).sibling(name)).into_iter().collect()
}

/// What an admission maps a Component to: the repositories that people pull from.
fn distributions(admission: &ReleasePlanAdmission, component: &str) -> Vec<String> {
    let components = admission.spec.data.as_ref().and_then(|data| data.pointer("/mapping/components"));
    let components = components.and_then(Value::as_array).into_iter().flatten();
    let named = components.filter(|entry| entry.get("name").and_then(Value::as_str) == Some(component));
    let urls = named.flat_map(|entry| {
        let several = entry.get("repositories").and_then(Value::as_array).into_iter().flatten();
        let several = several.filter_map(|repository| repository.get("url").and_then(Value::as_str));
        entry.get("repository").and_then(Value::as_str).into_iter().chain(several)
    });
    urls.filter_map(pulled_from).collect()
}

/// Some registries are pushed to by another name than they are pulled by.
fn pulled_from(repository: &str) -> Option<String> {
    let repository = crate::image::repository_of(repository);
    let public = match repository.split_once('/')? {
        ("quay.io", path) => match path.split_once('/') {
            Some(("redhat-prod", name)) => dashed("registry.redhat.io", name),
            Some(("redhat-pending", name)) => dashed("registry.stage.redhat.io", name),
            _ => repository.to_owned(),
        },
        _ => repository.to_owned(),
    };
    Some(public).filter(|name| name.parse::<registry::Reference>().is_ok())
}

/// `a----b` is pushed where `a/b` is pulled from.
fn dashed(host: &str, name: &str) -> String {
    format!("{host}/{}", name.replacen("----", "/", 1))
}

/// Keeps what decides whether and which image is proposed.
fn trim_build(run: &mut PipelineRun) {
    let kept = [
        EVENT_TYPE,
        annotations::NUDGE_FILES,
        annotations::NUDGE_PROCESSED,
        annotations::NUDGE_FAILURES,
        annotations::COMMIT_SHA,
        keys::RECORDED_UID,
    ];
    let labels = [labels::COMPONENT, labels::TYPE, pac_labels::EVENT_TYPE, keys::VELERO_RESTORE];
    run.annotations_mut().retain(|key, _| kept.iter().any(|kept| kept.as_str() == key));
    run.labels_mut().retain(|key, _| labels.iter().any(|kept| kept.as_str() == key));
    run.metadata.owner_references = None;
    run.spec = PipelineRunSpec::default();
    let is_ours = finalizers::NUDGE.is_in(run.metadata.finalizers.as_ref());
    let wanted = [results::IMAGE_URL, results::IMAGE_DIGEST];
    if let Some(status) = run.status.take() {
        let results = status.results.into_iter().filter(|result| wanted.contains(&result.name.as_str()));
        run.status = Some(PipelineRunStatus {
            conditions: status.conditions.into_iter().map(without_text).collect(),
            completion_time: status.completion_time,
            // Of those that are over and done with nothing is read.
            results: if is_ours || !super::decide::is_processed(run) {
                results.collect()
            } else {
                Vec::new()
            },
            ..PipelineRunStatus::default()
        });
    }
}

fn without_text(
    condition: pipelines_engine_api::status::RunCondition,
) -> pipelines_engine_api::status::RunCondition {
    pipelines_engine_api::status::RunCondition { message: String::new(), ..condition }
}

/// Keeps whose run it is, and how it ended.
fn trim_nudge(run: &mut PipelineRun) {
    run.spec = PipelineRunSpec { status: std::mem::take(&mut run.spec.status), ..PipelineRunSpec::default() };
    if let Some(status) = run.status.take() {
        run.status = Some(PipelineRunStatus {
            conditions: status.conditions,
            completion_time: status.completion_time,
            ..PipelineRunStatus::default()
        });
    }
}

/// Keeps where images of Components go to.
fn trim_admission(admission: &mut ReleasePlanAdmission) {
    let spec = &mut admission.spec;
    let components = spec.data.as_ref().and_then(|data| data.pointer("/mapping/components")).cloned();
    let origin = std::mem::take(&mut spec.origin);
    *spec = release_service_api::ReleasePlanAdmissionSpec {
        origin,
        data: components.map(|components| json!({"mapping": {"components": components}})),
        ..Default::default()
    };
    admission.status = None;
    admission.metadata.annotations = None;
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn admission(data: &Value) -> ReleasePlanAdmission {
        let spec = json!({"origin": "tenant", "policy": "p", "data": data});
        serde_json::from_value(json!({"metadata": {"name": "a", "namespace": "managed"}, "spec": spec}))
            .unwrap()
    }

    #[rstest]
    #[case::repository(json!({"name": "lib", "repository": "quay.io/acme/lib:latest"}), &["quay.io/acme/lib"])]
    #[case::repositories(
        json!({"name": "lib", "repositories": [{"url": "quay.io/a/b"}, {"url": "quay.io/c/d"}]}),
        &["quay.io/a/b", "quay.io/c/d"]
    )]
    #[case::pushed_elsewhere(
        json!({"name": "lib", "repository": "quay.io/redhat-prod/rhel----lib"}), &["registry.redhat.io/rhel/lib"])]
    #[case::staged(
        json!({"name": "lib", "repository": "quay.io/redhat-pending/rhel----lib"}),
        &["registry.stage.redhat.io/rhel/lib"]
    )]
    #[case::another(json!({"name": "app", "repository": "quay.io/acme/app"}), &[])]
    #[case::no_image(json!({"name": "lib", "repository": "quay.io/A b"}), &[])]
    #[case::no_text(json!({"name": "lib", "repository": 7}), &[])]
    fn finds_where_a_component_is_released_to(#[case] entry: Value, #[case] expected: &[&str]) {
        let mut admission = admission(&json!({"mapping": {"components": [entry]}, "other": {"x": 1}}));
        trim_admission(&mut admission);
        assert_eq!(distributions(&admission, "lib"), expected);
        assert_eq!(admission.spec.origin, "tenant");
    }

    #[test]
    fn data_of_any_shape_maps_nothing() {
        for data in [json!({}), json!({"mapping": []}), json!({"mapping": {"components": {"name": "lib"}}})] {
            let mut admission = admission(&data);
            trim_admission(&mut admission);
            assert_eq!(distributions(&admission, "lib"), [""; 0], "{data}");
        }
    }
}
