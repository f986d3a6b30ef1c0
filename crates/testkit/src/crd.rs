//! What the tests of every api crate ask of its kinds: that a real API server takes the definitions, keeps what the
//! types say, refuses what the rules refuse, and leaves objects alone that are older than a rule.
//!
//! ```text
//! static KINDS: Kinds = Kinds::new("release-service", release_service_api::crds);
//!
//! KINDS.nothing_is_lost::<Release>("release.yaml", &[]).await?;
//! KINDS.worst_objects_can_go().await?;
//! assert_verdict(KINDS.created(&with(release(), &json!({"spec": {"snapshot": null}}))).await?, &["spec.snapshot: Required"]);
//! assert_eq!(KINDS.stored(&object).await?, expected);
//! ```
//! Objects are JSON values, to be spoilt at will.

mod converting;
mod coverage;
mod keeping;
mod lasting;
mod sample;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion,
};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::core::discovery::ApiResource;
use kube::core::{DynamicObject, GroupVersionKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::control_plane::ControlPlane;

pub use self::converting::Converting;

/// The kinds of one api crate. One static for each test binary.
#[derive(Debug)]
pub struct Kinds {
    service: &'static str,
    crds: fn() -> Vec<CustomResourceDefinition>,
    installed: OnceCell<()>,
}

impl Kinds {
    /// The kinds that `crds` defines, checked in below `deploy/kustomize/crds/<service>`.
    pub const fn new(service: &'static str, crds: fn() -> Vec<CustomResourceDefinition>) -> Self {
        Self { service, crds, installed: OnceCell::const_new() }
    }

    /// The shared control plane, with these kinds.
    pub async fn serving(&self) -> anyhow::Result<&'static ControlPlane> {
        let plane = ControlPlane::shared().await;
        self.installed.get_or_try_init(async || install(plane, &(self.crds)()).await).await?;
        Ok(plane)
    }

    /// The definition of `kind`.
    pub fn definition(&self, kind: &str) -> anyhow::Result<CustomResourceDefinition> {
        let found = (self.crds)().into_iter().find(|crd| crd.spec.names.kind == kind);
        found.with_context(|| format!("{} defines no kind {kind}", self.service))
    }

    /// The version that `object` is written in.
    pub fn version(&self, object: &Value) -> anyhow::Result<CustomResourceDefinitionVersion> {
        let (_, name) = text(object, "apiVersion")?.split_once('/').context("not of the core group")?;
        let crd = self.definition(text(object, "kind")?)?;
        let found = crd.spec.versions.into_iter().find(|version| version.name == name);
        found.with_context(|| format!("{} has no version {name}", crd.spec.names.kind))
    }

    /// The definition of the kind of `object` in another group, where the version that `object` is written in is the only
    /// one: nothing is converted there, so it needs no webhook.
    fn alone(&self, object: &Value, group: &str) -> anyhow::Result<CustomResourceDefinition> {
        let mut version = self.version(object)?;
        (version.served, version.storage) = (true, true);
        let mut definition = self.definition(text(object, "kind")?)?;
        definition.metadata.name = Some(format!("{}.{group}", definition.spec.names.plural));
        group.clone_into(&mut definition.spec.group);
        definition.spec.versions = vec![version];
        definition.spec.conversion = None;
        Ok(definition)
    }

    /// Whether the API server has to ask a webhook before it stores `object`.
    fn is_converted(&self, object: &Value) -> anyhow::Result<bool> {
        let conversion = self.definition(text(object, "kind")?)?.spec.conversion;
        Ok(conversion.is_some_and(|conversion| conversion.strategy == "Webhook")
            && !self.version(object)?.storage)
    }

    /// The schema of the kind and version that `object` is written in.
    pub fn schema(&self, object: &Value) -> anyhow::Result<Value> {
        Ok(serde_json::to_value(self.version(object)?)?["schema"]["openAPIV3Schema"].take())
    }

    /// The API of the kind and version that `object` says it is.
    pub fn api(
        &self,
        plane: &ControlPlane,
        namespace: &str,
        object: &Value,
    ) -> anyhow::Result<Api<DynamicObject>> {
        let kind = text(object, "kind")?;
        let (group, version) =
            text(object, "apiVersion")?.split_once('/').context("not of the core group")?;
        let crd = self.definition(kind)?;
        let gvk = GroupVersionKind::gvk(group, version, kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, &crd.spec.names.plural);
        Ok(if crd.spec.scope == "Cluster" {
            Api::all_with(plane.admin(), &resource)
        } else {
            Api::namespaced_with(plane.admin(), namespace, &resource)
        })
    }

    /// What differs between the types and the checked-in definitions; one line for each file.
    pub fn stale(&self) -> anyhow::Result<Vec<String>> {
        let folder = self.folder();
        let hint = || format!("read {}; run `cargo xtask crds`", folder.display());
        let kustomization = std::fs::read_to_string(folder.join("kustomization.yaml")).with_context(hint)?;
        let mut faults = Vec::new();
        for crd in (self.crds)() {
            let file = format!("{}.yaml", crd.spec.names.plural);
            let text = std::fs::read_to_string(folder.join(&file)).with_context(hint)?;
            let found: Value = serde_saphyr::from_str(&text)?;
            // Two schemas side by side help nobody.
            if found != serde_json::to_value(&crd)? {
                faults.push(format!("{file} is stale: run `cargo xtask crds`"));
            }
            if !kustomization.contains(&file) {
                faults.push(format!("kustomization.yaml does not name {file}: run `cargo xtask crds`"));
            }
        }
        Ok(faults)
    }

    fn folder(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kustomize/crds").join(self.service)
    }

    /// The crate of these kinds.
    fn crate_folder(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../services").join(self.service).join("api")
    }

    /// Kinds whose names the API server does not accept: two short names for two kinds make kubectl choose.
    pub async fn refused_names(&self) -> anyhow::Result<Vec<String>> {
        let plane = self.serving().await?;
        let api = Api::<CustomResourceDefinition>::all(plane.admin());
        let mut refused = Vec::new();
        for crd in (self.crds)() {
            let name = crd.metadata.name.context("a definition has a name")?;
            let conditions = api.get(&name).await?.status.and_then(|status| status.conditions);
            let names = conditions.into_iter().flatten().find(|found| found.type_ == "NamesAccepted");
            if names.is_none_or(|condition| condition.status != "True") {
                refused.push(name);
            }
        }
        Ok(refused)
    }

    /// Why the API server would not create `object`; `None` if it would.
    pub async fn created(&self, object: &Value) -> anyhow::Result<Option<String>> {
        let plane = self.serving().await?;
        let dry = PostParams { dry_run: true, field_manager: None };
        refusal(self.api(plane, "default", object)?.create(&dry, &dynamic(object)?).await)
    }

    /// Creates `object`; why the API server does not take `patch` (RFC 7386) to it then; `None` if it does.
    pub async fn updated(&self, object: &Value, patch: &Value) -> anyhow::Result<Option<String>> {
        let plane = self.serving().await?;
        let namespace = plane.namespace("updates").await?;
        let api = self.api(plane, &namespace, object)?;
        api.create(&PostParams::default(), &dynamic(object)?).await?;
        let name = text(&object["metadata"], "name")?;
        refusal(api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await)
    }

    /// Creates `object`, writes its status, and returns what the API server kept: all top-level fields but
    /// `apiVersion`, `kind` and `metadata`. A version that would be converted is stored as it is, in a group of its own.
    pub async fn stored(&self, object: &Value) -> anyhow::Result<Value> {
        let plane = self.serving().await?;
        let namespace = plane.namespace("stored").await?;
        let mut object = object.clone();
        if self.is_converted(&object)? {
            let group = format!("{}.example.com", namespace.name());
            install(plane, &[self.alone(&object, &group)?]).await?;
            object["apiVersion"] = format!("{group}/{}", self.version(&object)?.name).into();
        }
        let api = self.api(plane, &namespace, &object)?;
        let mut stored = api.create(&PostParams::default(), &dynamic(&object)?).await?;
        if let Some(status) = object.get("status") {
            let patch = Patch::Merge(json!({ "status": status }));
            let name = text(&object["metadata"], "name")?;
            stored = api.patch_status(name, &PatchParams::default(), &patch).await?;
        }
        Ok(stored.data)
    }

    /// Whether lists find `object` by the value that it has in `field`, such as `spec.application`, and only by
    /// that.
    pub async fn selects(&self, object: &Value, field: &str) -> anyhow::Result<()> {
        let plane = self.serving().await?;
        let namespace = plane.namespace("fields").await?;
        let api = self.api(plane, &namespace, object)?;
        api.create(&PostParams::default(), &dynamic(object)?).await?;
        let pointer = format!("/{}", field.replace('.', "/"));
        let value = object.pointer(&pointer).and_then(Value::as_str);
        for (value, expected) in [(value.with_context(|| format!("no text in {field}"))?, 1), ("other", 0)] {
            let selected = ListParams::default().fields(&format!("{field}={value}"));
            let found = api.list(&selected).await?.items.len();
            ensure!(found == expected, "{found} objects instead of {expected} with {field}={value}");
        }
        Ok(())
    }

    /// What of the schema of `object`'s kind no value in it uses, and what of its values the schema does not
    /// declare: a misspelling of ours or of the file, which would be kept, unseen, as an unknown field. Types of
    /// Kubernetes itself, and fields named in `others`, are not looked into.
    pub fn uncovered(&self, object: &Value, others: &[&str]) -> anyhow::Result<Vec<String>> {
        self.uncovered_by_all(&[object], others)
    }

    /// As [`Self::uncovered`], by several objects of one kind together.
    fn uncovered_by_all(&self, objects: &[&Value], others: &[&str]) -> anyhow::Result<Vec<String>> {
        let schema = self.schema(objects.first().context("no object to compare with the schema")?)?;
        let parts = schema["properties"].as_object().context("the schema declares no fields")?;
        let of = |part: &str| objects.iter().filter_map(|object| object.get(part)).collect::<Vec<_>>();
        Ok(parts
            .iter()
            .flat_map(|(part, schema)| coverage::faults(schema, &of(part), part, others))
            .collect())
    }
}

/// Applies definitions and waits until their kinds can be used.
pub async fn install(plane: &ControlPlane, crds: &[CustomResourceDefinition]) -> anyhow::Result<()> {
    let documents: Vec<String> = crds.iter().map(serde_saphyr::to_string).collect::<Result<_, _>>()?;
    plane.apply_yaml(&documents.join("\n---\n")).await?;
    Ok(())
}

/// Fails unless the API server's `refusal` has all of `expected` in it; no parts mean that it took the object.
#[track_caller]
#[expect(clippy::panic, reason = "an assertion")]
pub fn assert_verdict(refusal: Option<String>, expected: &[&str]) {
    match refusal {
        Some(message) if expected.is_empty() => panic!("refused: {message}"),
        Some(message) => {
            for part in expected {
                assert!(message.contains(part), "no {part:?} in: {message}");
            }
        }
        None => assert!(expected.is_empty(), "taken, but should be refused with {expected:?}"),
    }
}

/// Why the API server calls an object invalid; `None` if it takes it.
pub fn refusal<T>(answer: kube::Result<T>) -> anyhow::Result<Option<String>> {
    match answer {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if status.code == 422 => Ok(Some(status.message.clone())),
        Err(error) => bail!("expected a verdict on the object: {error}"),
    }
}

/// `object` with `patch` merged into it (RFC 7386).
#[must_use]
pub fn with(mut object: Value, patch: &Value) -> Value {
    json_patch::merge(&mut object, patch);
    object
}

/// Reads a YAML file with one object.
pub fn read(path: impl AsRef<Path>) -> anyhow::Result<Value> {
    let path = path.as_ref();
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("parse {}", path.display()))
}

/// `value` read into `K` and written again.
pub fn through<K: Serialize + DeserializeOwned>(value: &Value) -> anyhow::Result<Value> {
    Ok(serde_json::to_value(serde_json::from_value::<K>(value.clone())?)?)
}

/// For requests.
pub fn dynamic(object: &Value) -> anyhow::Result<DynamicObject> {
    serde_json::from_value(object.clone()).context("not a Kubernetes object")
}

fn text<'a>(object: &'a Value, key: &str) -> anyhow::Result<&'a str> {
    object[key].as_str().with_context(|| format!("no {key} in {object}"))
}
