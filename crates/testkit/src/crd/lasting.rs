//! Objects that are older than a rule, or come from a newer program, can be edited and deleted.

use anyhow::{Context as _, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, ValidationRule,
};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::sample::Fault;
use super::{Kinds, dynamic, install, refusal, text, with};
use crate::wait::{DEADLINE, eventually};

/// The name that [`strict`] forbids.
const PROBE: &str = "is-strict";

impl Kinds {
    /// Checks, for each kind and version, that the worst objects which an API server may hold (of older or newer
    /// programs: without any field, or with values that no rule admits, and with unknown fields at each level) can
    /// still get a label, a status, lose their finalizer and go.
    pub async fn worst_objects_can_go(&self) -> anyhow::Result<()> {
        let edit = json!({"metadata": {"annotations": {"a": "b"}}});
        for crd in (self.crds)() {
            for version in crd.spec.versions.iter().filter(|version| version.served) {
                let api_version = format!("{}/{}", crd.spec.group, version.name);
                let model = json!({"apiVersion": api_version, "kind": crd.spec.names.kind});
                let worst = [Fault::Missing, Fault::Invalid].map(|fault| self.spoilt(&model, fault));
                let worst = worst.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
                self.outlive_rules(&worst, &edit).await.with_context(|| crd.spec.names.kind.clone())?;
            }
        }
        Ok(())
    }

    /// `object`, which our rules refuse, was stored before they came: fails unless it can still get a label and (if
    /// its kind has one) a status, be edited by `edit`, lose its finalizer and go.
    pub async fn outlives_rules(&self, object: &Value, edit: &Value) -> anyhow::Result<()> {
        let refused = self.created(&with(object.clone(), &json!({"metadata": {"name": "1.twin"}}))).await?;
        ensure!(refused.is_some(), "the rules would let it be created: it shows nothing");
        self.outlive_rules(std::slice::from_ref(object), edit).await
    }

    /// All `objects` are of one kind and version.
    async fn outlive_rules(&self, objects: &[Value], edit: &Value) -> anyhow::Result<()> {
        let model = objects.first().context("no object")?;
        let plane = self.serving().await?;
        let namespace = plane.namespace("older").await?;
        // A group of its own: rules are taken away from the kinds that other tests use otherwise.
        let group = format!("{}.example.com", namespace.name());
        let definition = self.alone(model, &group)?;
        let api_version = json!(format!("{group}/{}", self.version(model)?.name));
        let probe = json!({"apiVersion": api_version, "kind": model["kind"], "metadata": {"name": PROBE}});

        install(plane, &[without_rules(&definition)?]).await?;
        let api = self.api(plane, &namespace, &probe)?;
        for object in objects {
            let metadata = json!({"finalizers": ["test.example.com/finalizer"]});
            let stored = with(object.clone(), &json!({"apiVersion": api_version, "metadata": metadata}));
            store(&api, &stored).await?;
        }
        install(plane, &[strict(&definition)]).await?;
        is_strict(&api, &probe).await?;
        for object in objects {
            let name = text(&object["metadata"], "name")?;
            edit_and_delete(&api, name, edit, has_status(&definition))
                .await
                .with_context(|| format!("{object:#}"))?;
        }
        Ok(())
    }
}

/// Creates `object` with its status.
async fn store(api: &Api<DynamicObject>, object: &Value) -> anyhow::Result<()> {
    api.create(&PostParams::default(), &dynamic(object)?).await.context("create it without rules")?;
    if let Some(status) = object.get("status") {
        let patch = Patch::Merge(json!({ "status": status }));
        let name = text(&object["metadata"], "name")?;
        api.patch_status(name, &PatchParams::default(), &patch)
            .await
            .context("store its status without rules")?;
    }
    Ok(())
}

async fn edit_and_delete(
    api: &Api<DynamicObject>,
    name: &str,
    edit: &Value,
    has_status: bool,
) -> anyhow::Result<()> {
    let edits = PatchParams::default();
    let label = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    api.patch(name, &edits, &label).await.context("edit its metadata")?;
    if has_status {
        let condition = json!({
            "type": "Created", "status": "False", "reason": "Error", "message": "",
            "lastTransitionTime": "2024-02-01T10:00:00Z",
        });
        let status = Patch::Merge(json!({"status": {"conditions": [condition], "added": 2}}));
        api.patch_status(name, &edits, &status).await.context("write its status")?;
    }
    api.patch(name, &edits, &Patch::Merge(edit)).await.context("edit another field")?;
    api.delete(name, &DeleteParams::default()).await.context("delete it")?;
    let released = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch(name, &edits, &released).await.context("take its finalizer off")?;
    let left = api.get_opt(name).await?;
    ensure!(left.is_none(), "it is still there after its finalizer is gone");
    Ok(())
}

fn has_status(definition: &CustomResourceDefinition) -> bool {
    let mut versions = definition.spec.versions.iter();
    versions.any(|version| version.subresources.as_ref().is_some_and(|all| all.status.is_some()))
}

/// The definition, with a rule more that tells when it is in force.
fn strict(definition: &CustomResourceDefinition) -> CustomResourceDefinition {
    let mut definition = definition.clone();
    for version in &mut definition.spec.versions {
        let root = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        if let Some(root) = root {
            root.x_kubernetes_validations.get_or_insert_default().push(ValidationRule {
                rule: format!("oldSelf.hasValue() || self.metadata.name != '{PROBE}'"),
                message: Some(PROBE.to_owned()),
                optional_old_self: Some(true),
                ..ValidationRule::default()
            });
        }
    }
    definition
}

/// Waits until the API server goes by the [`strict`] definition: it takes one over a moment later.
async fn is_strict(api: &Api<DynamicObject>, probe: &Value) -> anyhow::Result<()> {
    let dry = PostParams { dry_run: true, field_manager: None };
    let probe = dynamic(probe)?;
    eventually(DEADLINE, "the rules to hold", async || {
        ensure!(
            refusal(api.create(&dry, &probe).await)?.is_some(),
            "an object that they forbid would be created"
        );
        Ok(())
    })
    .await
}

/// The definition as it was when nothing was checked.
pub(super) fn without_rules(crd: &CustomResourceDefinition) -> anyhow::Result<CustomResourceDefinition> {
    let mut value = serde_json::to_value(crd)?;
    for version in value["spec"]["versions"].as_array_mut().into_iter().flatten() {
        strip(&mut version["schema"]["openAPIV3Schema"]);
    }
    Ok(serde_json::from_value(value)?)
}

fn strip(schema: &mut Value) {
    const RULES: [&str; 9] = [
        "x-kubernetes-validations",
        "required",
        "pattern",
        "maxLength",
        "minItems",
        "maxItems",
        "minimum",
        "enum",
        "default",
    ];
    // A list by key needs its keys.
    let keys = schema.get("x-kubernetes-list-map-keys").cloned();
    match schema {
        Value::Object(fields) => {
            // A field may be named as a rule is.
            fields.retain(|name, rule| {
                !RULES.contains(&name.as_str()) || (rule.is_object() && rule.get("type").is_some())
            });
            fields.values_mut().for_each(strip);
            if let (Some(keys), Some(items)) = (keys, fields.get_mut("items")) {
                items["required"] = keys;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}
