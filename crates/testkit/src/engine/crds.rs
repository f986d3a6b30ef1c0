//! The kinds of tekton.dev, as far as the API server has to know them: whatever is in an object is kept.

use anyhow::Context as _;
use futures::future::try_join_all;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, ListParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::wait::{Condition as _, conditions::is_crd_established};
use serde_json::json;

use super::object::{GROUP, VERSION};
use crate::wait::{DEADLINE, eventually, wait_for};

/// Kind, plural, short names.
const KINDS: [(&str, &str, &[&str]); 4] = [
    ("PipelineRun", "pipelineruns", &["pr", "prs"]),
    ("TaskRun", "taskruns", &["tr", "trs"]),
    ("Pipeline", "pipelines", &[]),
    ("Task", "tasks", &[]),
];

/// Defines PipelineRun, TaskRun, Pipeline and Task where nobody has, and waits until they can be used.
///
/// The engine's own definitions are left alone; they can also come later and take the place of these.
pub async fn install(client: &Client) -> anyhow::Result<()> {
    // All at once: the API server takes a second over each.
    let each = KINDS.map(async |(kind, plural, short_names)| {
        let wanted = definition(kind, plural, short_names)?;
        define(client, kind, plural, &wanted).await.with_context(|| format!("define {kind}"))
    });
    try_join_all(each).await.map(drop)
}

async fn define(
    client: &Client,
    kind: &str,
    plural: &str,
    wanted: &CustomResourceDefinition,
) -> anyhow::Result<()> {
    let definitions = Api::<CustomResourceDefinition>::all(client.clone());
    let name = format!("{plural}.{GROUP}");
    if definitions.get_opt(&name).await?.is_none() {
        match definitions.create(&PostParams::default(), wanted).await {
            // Another test does the same.
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            created => drop(created?),
        }
    }
    let is_established = |crd: &CustomResourceDefinition| is_crd_established().matches_object(Some(crd));
    wait_for(&definitions, &name, "condition Established", DEADLINE, is_established).await?;
    // The API server says so a moment before it serves the kind.
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, kind), plural);
    let objects = Api::<DynamicObject>::all_with(client.clone(), &resource);
    let one = ListParams::default().limit(1);
    eventually(DEADLINE, "the API server to serve the kind", async || {
        Ok(objects.list(&one).await.map(drop)?)
    })
    .await
}

fn definition(
    kind: &str,
    plural: &str,
    short_names: &[&str],
) -> serde_json::Result<CustomResourceDefinition> {
    serde_json::from_value(json!({
        "metadata": {"name": format!("{plural}.{GROUP}")},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "plural": plural,
                "singular": kind.to_lowercase(),
                "shortNames": short_names,
                "categories": ["tekton", "tekton-pipelines"],
            },
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    }))
}
