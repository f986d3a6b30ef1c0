//! All that services are deployed with, service by service: the API server takes every field of it, and serves every
//! version of every kind. Run with `--kube oldest` and `--kube newest`, this is what the supported range rests on.
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams},
    core::GroupVersionKind,
};
use testkit::{ControlPlane, Options};

use crate::repository;

/// Conditions, with their status, that a definition must not have. The API server stores such a definition all the
/// same, and leaves out what depends on it: pruning and defaults, the whole kind, a short name.
const COMPLAINTS: [(&str, &str); 3] = [
    ("NonStructuralSchema", "True"),
    ("KubernetesAPIApprovalPolicyConformant", "False"),
    ("NamesAccepted", "False"),
];

/// The kustomizations directly below a folder of deploy/kustomize.
fn kustomizations(part: &str) -> anyhow::Result<Vec<PathBuf>> {
    let folder = repository().join("deploy/kustomize").join(part);
    let entries = folder.read_dir().with_context(|| format!("read {}", folder.display()))?;
    let mut found: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    found.retain(|path| path.join("kustomization.yaml").is_file());
    found.sort();
    anyhow::ensure!(!found.is_empty(), "{} holds no kustomization", folder.display());
    Ok(found)
}

/// A control plane of its own: here lie the webhooks of all services, and none of them answers.
#[tokio::test]
async fn everything_is_accepted_and_every_kind_is_served() -> anyhow::Result<()> {
    let plane = ControlPlane::start(Options::default()).await?;
    let mut faults = Vec::new();
    for folder in kustomizations("crds")? {
        for object in apply(&plane, &folder).await? {
            let name = object.metadata.name.unwrap_or_default();
            faults.extend(complaints(&plane.admin(), &name).await?);
        }
    }
    for folder in kustomizations("base")? {
        apply(&plane, &folder).await?;
    }
    assert_eq!(faults, Vec::<String>::new());
    Ok(())
}

/// Server-side with strict validation of fields; kinds are established on return.
async fn apply(plane: &ControlPlane, folder: &Path) -> anyhow::Result<Vec<DynamicObject>> {
    let applied = plane.apply_path(folder).await?;
    anyhow::ensure!(!applied.is_empty(), "{} makes no object", folder.display());
    Ok(applied)
}

/// What is wrong with an established definition, one line each.
async fn complaints(client: &Client, name: &str) -> anyhow::Result<Vec<String>> {
    let definitions = Api::<CustomResourceDefinition>::all(client.clone());
    let definition = definitions.get(name).await.with_context(|| format!("{name} is no definition"))?;
    let conditions = definition.status.and_then(|status| status.conditions).unwrap_or_default();
    let mut faults: Vec<String> = conditions
        .into_iter()
        .filter(|condition| COMPLAINTS.contains(&(condition.type_.as_str(), condition.status.as_str())))
        .map(|condition| {
            let message = condition.message.unwrap_or_default();
            format!("{name}: {}={}: {message}", condition.type_, condition.status)
        })
        .collect();

    let spec = definition.spec;
    for version in spec.versions.into_iter().filter(|version| version.served) {
        let kind = GroupVersionKind::gvk(&spec.group, &version.name, &spec.names.kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, &spec.names.plural);
        let objects: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        if let Err(error) = objects.list(&ListParams::default().limit(1)).await {
            faults.push(format!("{name}: {} is not served: {error}", version.name));
        }
    }
    Ok(faults)
}
