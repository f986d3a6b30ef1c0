//! The runs that build a Component: those in `.tekton/` of its repository, which Pipelines-as-Code starts, and the one that is
//! started without it (sections 4.2 and 4.5).

mod condition;
mod proposed;
mod simple;

use build_service_api::build_pipeline_selector::PipelineParam;
use build_service_api::{annotations, build_run, labels};
use serde_json::{Map, Value, json};

pub(crate) use proposed::{Event, Proposed, component_account};
pub(crate) use simple::Simple;

use crate::devfile::Dockerfile;
use crate::path;

/// What both kinds of run say about their Component.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Built<'a> {
    pub(crate) component: &'a str,
    pub(crate) application: &'a str,
    pub(crate) namespace: &'a str,
    /// Repository of the image, without tag.
    pub(crate) image: &'a str,
    /// Directory in the repository of the source, as the user wrote it.
    pub(crate) context: &'a str,
    pub(crate) dockerfile: Option<&'a Dockerfile>,
    /// Of the user's choice: they win over those of the service.
    pub(crate) params: &'a [PipelineParam],
    /// The account that the run works with, if it is another than the engine's own choice.
    pub(crate) account: Option<&'a str>,
}

impl Built<'_> {
    fn labels(&self) -> Value {
        json!({
            labels::APPLICATION.as_str(): self.application,
            labels::COMPONENT.as_str(): self.component,
            labels::TYPE.as_str(): labels::TYPE_BUILD,
        })
    }

    /// `dockerfile` and `path-context`, as far as something is said.
    fn source_params(&self) -> Vec<(&'static str, Value)> {
        let build_context = self.dockerfile.map_or("", |dockerfile| &dockerfile.build_context);
        let dockerfile = self.dockerfile.map(|dockerfile| json!(dockerfile.uri));
        let context = path::build_context(self.context, build_context).map(|path| json!(path));
        [(build_run::params::DOCKERFILE, dockerfile), (build_run::params::PATH_CONTEXT, context)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }

    /// All params as the list of a run: sorted, and of one name the user's.
    fn params_of(&self, own: impl IntoIterator<Item = (String, Value)>) -> Value {
        let mut params: std::collections::BTreeMap<String, Value> = own.into_iter().collect();
        params.extend(self.params.iter().map(|param| (param.name.clone(), json!(param.value))));
        params.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
    }
}

/// A volume of one gibibyte for the sources.
fn workspace_volume() -> Value {
    json!({
        "name": build_run::workspaces::WORKSPACE,
        "volumeClaimTemplate": {
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        },
    })
}

fn git_auth(secret: &str) -> Value {
    json!({"name": build_run::workspaces::GIT_AUTH, "secret": {"secretName": secret}})
}

fn annotation_map<'a>(
    entries: impl IntoIterator<Item = (fleet_api::AnnotationKey, &'a str)>,
) -> Map<String, Value> {
    entries.into_iter().map(|(key, value)| (key.to_string(), json!(value))).collect()
}

/// The annotation that says which branch is built.
const TARGET_BRANCH: fleet_api::AnnotationKey = annotations::TARGET_BRANCH;
