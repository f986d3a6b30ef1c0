//! Reads YAML, folders and kustomizations, and applies what is in them.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, ResourceExt as _, ValidationDirective};
use kube::core::{DynamicObject, GroupVersionKind};
use kube::discovery::{self, ApiCapabilities, ApiResource, Scope};
use kube::runtime::wait::{Condition as _, conditions::is_crd_established};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use crate::control_plane::ControlPlane;
use crate::control_plane::programs::Programs;
use crate::wait::{DEADLINE, eventually, wait_for};

/// The field manager of all that is applied here.
const MANAGER: &str = "testkit";

impl ControlPlane {
    /// Applies every document (server-side, taking fields over, refusing unknown ones) as the administrator;
    /// namespaced ones that name no namespace go to `default`. Namespaces and CRDs come first, and their kinds are
    /// usable on return.
    /// Returns the objects as stored, in that order.
    pub async fn apply_yaml(&self, text: &str) -> anyhow::Result<Vec<DynamicObject>> {
        apply(&self.admin(), parse(text)?, "default").await
    }

    /// Applies a file, every `.yaml` file of a folder, or a folder that is a kustomization, as [`Self::apply_yaml`].
    pub async fn apply_path(&self, path: &Path) -> anyhow::Result<Vec<DynamicObject>> {
        apply(&self.admin(), read(path).await?, "default").await
    }
}

/// The objects of a YAML text with any number of documents; empty ones are left out.
pub fn parse(text: &str) -> anyhow::Result<Vec<DynamicObject>> {
    // As YAML 1.2 has it: a namespace may be called `n`, a data key's value `on`.
    let options = serde_saphyr::options! { strict_booleans: true, leading_zero_numbers_as_strings: true };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options).context("read YAML")?;
    let documents = documents.into_iter().filter(|document| !document.is_null());
    documents
        .enumerate()
        .map(|(index, document)| {
            let object: DynamicObject = serde_json::from_value(document)
                .with_context(|| format!("document {} is no Kubernetes object", index + 1))?;
            ensure!(object.types.is_some(), "document {} has no apiVersion and kind", index + 1);
            Ok(object)
        })
        .collect()
}

/// The objects in a file, in all `.yaml` files of a folder in order of their names, or made by a kustomization.
pub async fn read(path: &Path) -> anyhow::Result<Vec<DynamicObject>> {
    if path.join("kustomization.yaml").is_file() {
        return parse(&kustomize(path).await?).with_context(|| format!("kustomize {}", path.display()));
    }
    let mut objects = Vec::new();
    for file in yaml_files(path).with_context(|| format!("read {}", path.display()))? {
        let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        objects.extend(parse(&text).with_context(|| format!("read {}", file.display()))?);
    }
    Ok(objects)
}

fn yaml_files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = path.read_dir()?.collect::<Result<Vec<_>, _>>()?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    Ok(files)
}

/// What `kubectl kustomize` prints.
async fn kustomize(path: &Path) -> anyhow::Result<String> {
    const TIME: Duration = Duration::from_mins(1);
    let words: Vec<OsString> = Programs::locate().context("find kubectl")?.command("kubectl");
    let [program, arguments @ ..] = words.as_slice() else { bail!("kubectl has no command") };
    let mut kubectl = Command::new(program);
    kubectl.args(arguments).arg("kustomize").arg(path).kill_on_drop(true);
    let output = timeout(TIME, kubectl.output())
        .await
        .with_context(|| format!("kustomize {}: no end after {TIME:?}", path.display()))?
        .with_context(|| format!("run {}", program.display()))?;
    ensure!(
        output.status.success(),
        "kustomize {}: {}",
        path.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// Server-side apply of all `objects`; see [`ControlPlane::apply_yaml`].
pub async fn apply(
    client: &Client,
    mut objects: Vec<DynamicObject>,
    default_namespace: &str,
) -> anyhow::Result<Vec<DynamicObject>> {
    objects.sort_by_key(rank);
    let mut kinds = HashMap::new();
    let mut applied = Vec::with_capacity(objects.len());
    for object in objects {
        let what = title(&object);
        let object = apply_one(client, object, default_namespace, &mut kinds)
            .await
            .with_context(|| format!("apply {what}"))?;
        applied.push(object);
    }
    Ok(applied)
}

/// What others are in or of comes before them, and webhooks last: they might refuse the rest.
fn rank(object: &DynamicObject) -> u8 {
    match kind(object) {
        "Namespace" => 0,
        "CustomResourceDefinition" => 1,
        "ServiceAccount" | "Role" | "ClusterRole" => 2,
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => 4,
        _ => 3,
    }
}

async fn apply_one(
    client: &Client,
    mut object: DynamicObject,
    default_namespace: &str,
    kinds: &mut HashMap<GroupVersionKind, (ApiResource, ApiCapabilities)>,
) -> anyhow::Result<DynamicObject> {
    let types = object.types.as_ref().context("it has no apiVersion and kind")?;
    let gvk = GroupVersionKind::try_from(types)?;
    if !kinds.contains_key(&gvk) {
        // A CRD is established a moment before discovery tells of it.
        let found = eventually(DEADLINE, "the API server to know the kind", async || {
            Ok(discovery::pinned_kind(client, &gvk).await?)
        });
        kinds.insert(gvk.clone(), found.await?);
    }
    let (resource, capabilities) = &kinds[&gvk];
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), resource),
        Scope::Namespaced => {
            let namespace = object.metadata.namespace.get_or_insert_with(|| default_namespace.to_owned());
            Api::namespaced_with(client.clone(), namespace, resource)
        }
    };
    let name = object.metadata.name.clone().context("it has no metadata.name")?;
    object.metadata.managed_fields = None;
    let parameters = PatchParams {
        // As `cargo xtask deploy` does it: a field that the server does not know is a mistake, not a warning.
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::apply(MANAGER).force()
    };
    let stored = api.patch(&name, &parameters, &Patch::Apply(&object)).await?;
    if kind(&stored) == "CustomResourceDefinition" {
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        let is_established = |crd: &CustomResourceDefinition| is_crd_established().matches_object(Some(crd));
        wait_for(&definitions, &name, "condition Established", DEADLINE, is_established).await?;
    }
    Ok(stored)
}

pub(crate) fn kind(object: &DynamicObject) -> &str {
    object.types.as_ref().map_or("", |types| types.kind.as_str())
}

/// `<kind> [<namespace>/]<name>`, for messages.
fn title(object: &DynamicObject) -> String {
    let namespace = object.namespace().map(|namespace| namespace + "/").unwrap_or_default();
    format!("{} {namespace}{}", kind(object), object.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_several_documents_and_skips_empty_ones() {
        let text = "---\n# nothing\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n\
                    apiVersion: v1\nkind: Secret\nmetadata: {name: b, namespace: n}\n";
        let titles: Vec<String> = parse(text).unwrap().iter().map(title).collect();
        assert_eq!(titles, ["ConfigMap a", "Secret n/b"]);
    }

    #[test]
    fn refuses_what_is_no_object() {
        assert!(parse("just: a map").is_err());
        assert!(parse("{").is_err());
    }

    #[tokio::test]
    async fn reads_the_yaml_files_of_a_folder_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = |name| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
        std::fs::write(folder.path().join("b.yaml"), manifest("second")).unwrap();
        std::fs::write(folder.path().join("a.yaml"), manifest("first")).unwrap();
        std::fs::write(folder.path().join("README.md"), "# words").unwrap();
        let titles: Vec<String> = read(folder.path()).await.unwrap().iter().map(title).collect();
        assert_eq!(titles, ["ConfigMap first", "ConfigMap second"]);
    }

    #[tokio::test]
    async fn names_the_file_that_cannot_be_read() {
        let error = read(Path::new("/nonexistent/x.yaml")).await.unwrap_err();
        assert!(format!("{error:#}").contains("/nonexistent/x.yaml"), "{error:#}");
    }
}
