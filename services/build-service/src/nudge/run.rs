//! The run that proposes an image to one repository, and what it works with.

use application_service_api::Component;
use build_service_api::{annotations, labels, names};
use fleet::names::{LABEL_VALUE, fit, hash};
use fleet::{ObjectKey, Secret as Hidden};
use fleet_api::keys;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt as _};
use pipelines_engine_api::PipelineRun;
use pipelines_engine_api::pipeline_run::PENDING;
use serde_json::{Map, Value, json};

use super::decide::Image;
use super::group::Group;
use crate::args::AccountMode;
use crate::renovate::options::Updater;
use crate::renovate::step;

/// Under which settings and token lie in ConfigMap and Secret: a run has one of each.
const ID: &str = "nudge";

/// How long a run may take.
const TIMEOUT: &str = "30m";

/// What a run is for.
pub(super) struct Purpose<'a> {
    pub(super) component: &'a Component,
    pub(super) build: &'a PipelineRun,
    pub(super) image: &'a Image,
    pub(super) group: &'a Group,
    pub(super) cause: &'a str,
}

impl Purpose<'_> {
    /// The run, which does not begin before it is [let go](release). And the name to take if that of it is taken.
    pub(super) fn run(&self, updater: &Updater, accounts: AccountMode) -> (PipelineRun, String) {
        let (name, alternative) = (self.name(5), self.name(10));
        let component = self.component.name_any();
        let account = match accounts {
            AccountMode::Tenant => json!({}),
            AccountMode::PerComponent => {
                json!({"serviceAccountName": format!("{}{component}", names::COMPONENT_SERVICE_ACCOUNT_PREFIX)})
            }
        };
        let mut container = step::container(updater, &name, &[ID]);
        let Image { repository, tag, digest } = self.image;
        // What was built is known here: the toolbox need not ask the registry, nor have a login for it.
        let digests = json!({ format!("{repository}:{tag}"): digest }).to_string();
        step::push(&mut container, "env", json!({"name": "UPDATE_DIGESTS", "value": digests}));
        let task = json!({"steps": [container], "volumes": step::volumes(&name)});
        let run = json!({
            "metadata": {
                "name": name,
                "namespace": self.component.namespace(),
                "labels": {labels::RUN_TYPE.as_str(): labels::NUDGE_TYPE},
                "annotations": self.annotations(),
                "ownerReferences": [owner(self.component)],
            },
            "spec": {
                "status": PENDING,
                "pipelineSpec": {"tasks": [{"name": "renovate", "taskSpec": task}]},
                "taskRunTemplate": account,
                "timeouts": {"pipeline": TIMEOUT},
            },
        });
        (serde_json::from_value(run).expect("it is a PipelineRun"), alternative)
    }

    /// `renovate-pipeline-<unix time>-<hash>`; the same for the same attempt.
    fn name(&self, length: usize) -> String {
        let at = super::decide::completed(self.build).map_or(0, jiff::Timestamp::as_second);
        fit(LABEL_VALUE, &format!("renovate-pipeline-{at}"), &format!("-{}", hash(length, &[self.cause])))
    }

    fn annotations(&self) -> Map<String, Value> {
        let Image { repository, tag, digest } = self.image;
        let commit = annotations::COMMIT_SHA.of(&self.build.metadata.annotations).unwrap_or_default();
        let entries = [
            (keys::CAUSE.as_str(), self.cause.to_owned()),
            (annotations::nudge::NUDGED_COMPONENTS.as_str(), self.group.nudged.join(",")),
            (annotations::nudge::NUDGING_COMPONENT.as_str(), self.component.name_any()),
            (annotations::nudge::NUDGING_IMAGE.as_str(), format!("{repository}:{tag}@{digest}")),
            (annotations::nudge::NUDGING_PIPELINE.as_str(), self.build.name_any()),
            (annotations::nudge::NUDGING_COMMIT.as_str(), commit.to_owned()),
        ];
        let given = entries.into_iter().filter(|(_, value)| !value.is_empty());
        given.map(|(key, value)| (key.to_owned(), json!(value))).collect()
    }
}

/// What a run reads, which goes with it.
pub(super) fn config_map(run: &PipelineRun, settings: &Map<String, Value>) -> ConfigMap {
    let text = serde_json::to_string_pretty(settings).expect("JSON is JSON");
    ConfigMap {
        metadata: metadata_of(run),
        data: Some([(step::config_key(ID), text)].into()),
        ..ConfigMap::default()
    }
}

/// The token of a run, which goes with it, or before.
pub(super) fn secret(run: &PipelineRun, token: &Hidden<String>) -> Secret {
    Secret {
        metadata: metadata_of(run),
        data: Some([(ID.to_owned(), ByteString(token.expose().clone().into_bytes()))].into()),
        ..Secret::default()
    }
}

fn metadata_of(run: &PipelineRun) -> ObjectMeta {
    ObjectMeta {
        name: Some(run.name_any()),
        namespace: run.namespace(),
        labels: Some([(labels::RUN_TYPE.into(), labels::NUDGE_TYPE.to_owned())].into()),
        owner_references: Some(vec![owner(run)]),
        ..ObjectMeta::default()
    }
}

/// That it goes with `object`.
fn owner<K: Resource<DynamicType = ()>>(object: &K) -> OwnerReference {
    let key = ObjectKey::of(object);
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: key.name,
        uid: object.meta().uid.clone().unwrap_or_default(),
        ..OwnerReference::default()
    }
}
