//! Volumes as folders of the node, for the `StorageClass` `local-path`.
//!
//! Pure decisions, and a loop that carries them out: a claim that has been given a node gets a folder and a
//! `PersistentVolume` named after its UID; a released volume of ours loses both. All steps may be repeated.
use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams},
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::json;
use tokio::time::sleep;

pub const CLASS: &str = "local-path";
pub const PROVISIONER: &str = "dev.konflux/local-path";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// What failed is tried again after this time, and so is everything that an event was missed for.
const RESYNC: Duration = Duration::from_secs(15);

/// Serves claims and volumes for ever; `folder` holds the volumes.
pub async fn run(client: Client, node: String, folder: PathBuf) -> anyhow::Result<()> {
    let claims: Api<PersistentVolumeClaim> = Api::all(client.clone());
    let volumes: Api<PersistentVolume> = Api::all(client);
    let triggers = [
        watcher(claims.clone(), watcher::Config::default())
            .default_backoff()
            .touched_objects()
            .map_ok(drop)
            .boxed(),
        watcher(volumes.clone(), watcher::Config::default())
            .default_backoff()
            .touched_objects()
            .map_ok(drop)
            .boxed(),
    ];
    let mut triggers = stream::select_all(triggers);
    loop {
        if let Err(error) = pass(&claims, &volumes, &node, &folder).await {
            tracing::warn!(error = format!("{error:#}"), "Could not serve volumes");
        }
        tokio::select! {
            event = triggers.next() => {
                if let Some(Err(error)) = event {
                    tracing::warn!(%error, "Watch of volumes failed");
                }
            }
            () = sleep(RESYNC) => {}
        }
    }
}

/// One look at everything. A dev cluster has few volumes.
async fn pass(
    claims: &Api<PersistentVolumeClaim>,
    volumes: &Api<PersistentVolume>,
    node: &str,
    folder: &Path,
) -> anyhow::Result<()> {
    let existing = volumes.list(&ListParams::default()).await.context("list volumes")?.items;
    for claim in claims.list(&ListParams::default()).await.context("list claims")? {
        let Some(volume) = wanted(&claim, node, folder)? else { continue };
        if existing.iter().any(|other| other.name_any() == volume.name_any()) {
            continue;
        }
        let name = volume.name_any();
        make_folder(&folder.join(&name))?;
        match volumes.create(&PostParams::default(), &volume).await {
            Ok(_) => tracing::info!(volume = name, claim = claim.name_any(), "Created volume"),
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(error).with_context(|| format!("create volume {name}")),
        }
    }
    for volume in existing.iter().filter(|volume| is_to_be_removed(volume)) {
        let name = volume.name_any();
        remove_folder(&folder.join(&name))?;
        match volumes.delete(&name, &DeleteParams::default()).await {
            Ok(_) => tracing::info!(volume = name, "Removed volume"),
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => return Err(error).with_context(|| format!("delete volume {name}")),
        }
    }
    Ok(())
}

/// The volume that a claim waits for, if it waits for one of ours on this node.
fn wanted(
    claim: &PersistentVolumeClaim,
    node: &str,
    folder: &Path,
) -> anyhow::Result<Option<PersistentVolume>> {
    let (Some(spec), Some(uid)) = (&claim.spec, claim.uid()) else { return Ok(None) };
    let is_ours = spec.storage_class_name.as_deref() == Some(CLASS)
        && spec.volume_name.as_deref().unwrap_or_default().is_empty()
        && spec.volume_mode.as_deref() != Some("Block")
        && claim.metadata.deletion_timestamp.is_none()
        && claim.annotations().get(SELECTED_NODE).is_some_and(|selected| selected == node);
    if !is_ours {
        return Ok(None);
    }
    let name = format!("pvc-{uid}");
    let size = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()?.get("storage"));
    let volume = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": { "name": name, "annotations": { (PROVISIONED_BY): PROVISIONER } },
        "spec": {
            "accessModes": spec.access_modes,
            // Not enforced: it is a folder.
            "capacity": { "storage": size },
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": claim.namespace(),
                "name": claim.name_any(),
                "uid": uid,
            },
            "hostPath": { "path": folder.join(&name), "type": "Directory" },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{
                "matchExpressions": [{ "key": "kubernetes.io/hostname", "operator": "In", "values": [node] }],
            }] } },
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": CLASS,
        },
    });
    Ok(Some(serde_json::from_value(volume)?))
}

/// Whether a volume is ours, no longer used, and to be deleted then.
fn is_to_be_removed(volume: &PersistentVolume) -> bool {
    let policy = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    volume.annotations().get(PROVISIONED_BY).is_some_and(|by| by == PROVISIONER)
        && policy == Some("Delete")
        && phase == Some("Released")
}

/// Open to every user: pods run as whom they like.
fn make_folder(path: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o777)))
        .with_context(|| format!("make {}", path.display()))
}

fn remove_folder(path: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(change: &serde_json::Value) -> PersistentVolumeClaim {
        let mut claim = json!({
            "metadata": {
                "name": "data", "namespace": "tenant", "uid": "u1",
                "annotations": { (SELECTED_NODE): "dev" },
            },
            "spec": {
                "storageClassName": CLASS,
                "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": "1Gi" } },
            },
        });
        for (path, value) in change.as_object().unwrap() {
            *claim.pointer_mut(path).unwrap() = value.clone();
        }
        serde_json::from_value(claim).unwrap()
    }

    fn wanted_for(claim: &PersistentVolumeClaim) -> Option<PersistentVolume> {
        wanted(claim, "dev", Path::new("/volumes")).unwrap()
    }

    #[test]
    fn a_claim_with_a_node_gets_a_volume_named_after_it() {
        let volume = wanted_for(&claim(&json!({}))).unwrap();
        assert_eq!(volume.name_any(), "pvc-u1");
        let spec = volume.spec.unwrap();
        assert_eq!(spec.host_path.unwrap().path, "/volumes/pvc-u1");
        assert_eq!(spec.claim_ref.unwrap().uid.unwrap(), "u1");
        assert_eq!(spec.capacity.unwrap()["storage"].0, "1Gi");
    }

    #[test]
    fn other_claims_get_none() {
        for change in [
            json!({ "/metadata/annotations": {} }),
            json!({ "/metadata/annotations": { (SELECTED_NODE): "other" } }),
            json!({ "/spec/storageClassName": "fast" }),
            json!({ "/spec": { "storageClassName": CLASS, "volumeName": "bound" } }),
            json!({ "/spec": { "storageClassName": CLASS, "volumeMode": "Block" } }),
        ] {
            assert_eq!(wanted_for(&claim(&change)), None, "{change}");
        }
    }

    #[test]
    fn only_released_volumes_of_ours_are_removed() {
        let volume = |by: &str, policy: &str, phase: &str| -> PersistentVolume {
            serde_json::from_value(json!({
                "metadata": { "name": "v", "annotations": { (PROVISIONED_BY): by } },
                "spec": { "persistentVolumeReclaimPolicy": policy },
                "status": { "phase": phase },
            }))
            .unwrap()
        };
        assert!(is_to_be_removed(&volume(PROVISIONER, "Delete", "Released")));
        assert!(!is_to_be_removed(&volume(PROVISIONER, "Delete", "Bound")));
        assert!(!is_to_be_removed(&volume(PROVISIONER, "Retain", "Released")));
        assert!(!is_to_be_removed(&volume("other", "Delete", "Released")));
    }

    #[test]
    fn folders_are_open_to_all_and_vanish() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("pvc-1");
        make_folder(&path).unwrap();
        make_folder(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o777);
        remove_folder(&path).unwrap();
        remove_folder(&path).unwrap();
        assert!(!path.exists());
    }
}
