//! The volumes that every pod has, and those of workspaces (section 2.1).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, DownwardAPIVolumeFile, DownwardAPIVolumeSource, EmptyDirVolumeSource,
    ImageVolumeSource, KeyToPath, ObjectFieldSelector, Volume, VolumeMount,
};
use pipelines_engine_api::{WorkspaceBinding, WorkspaceDeclaration, annotations};

use crate::names;
use crate::pipeline_run::workspaces;

/// How the entrypoint gets into the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entrypoint {
    /// The image that holds nothing but it.
    ImageVolume { image: String },
    /// The ConfigMap that holds it, and under which key.
    ConfigMap { name: String },
    /// The image whose init container copies it.
    InitContainer { image: String },
}

/// Key of the entrypoint in its ConfigMap, and its name in its image.
pub const ENTRYPOINT_FILE: &str = "entrypoint";

const BIN: &str = "tekton-internal-bin";

/// The volume at /tekton/bin.
pub fn bin(entrypoint: &Entrypoint) -> (Volume, VolumeMount) {
    let mut volume = Volume { name: BIN.to_owned(), ..Volume::default() };
    match entrypoint {
        Entrypoint::ImageVolume { image } => {
            volume.image = Some(ImageVolumeSource {
                reference: Some(image.clone()),
                pull_policy: Some("IfNotPresent".to_owned()),
            });
        }
        Entrypoint::ConfigMap { name } => {
            volume.config_map = Some(ConfigMapVolumeSource {
                name: name.clone(),
                default_mode: Some(0o555),
                items: Some(vec![KeyToPath {
                    key: ENTRYPOINT_FILE.to_owned(),
                    path: ENTRYPOINT_FILE.to_owned(),
                    mode: None,
                }]),
                ..ConfigMapVolumeSource::default()
            });
        }
        Entrypoint::InitContainer { .. } => volume.empty_dir = Some(EmptyDirVolumeSource::default()),
    }
    (volume, mount(BIN, "/tekton/bin", true))
}

/// A place in a container.
pub fn mount(volume: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

fn empty(name: &str) -> Volume {
    Volume { name: name.to_owned(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() }
}

/// What all steps share, with where it lies in each: /workspace, /tekton/home, /tekton/results. The user may have a volume
/// of their own at the same path instead.
pub fn implicit() -> [(Volume, VolumeMount); 3] {
    [
        ("tekton-internal-workspace", "/workspace"),
        ("tekton-internal-home", "/tekton/home"),
        ("tekton-internal-results", "/tekton/results"),
    ]
    .map(|(name, path)| (empty(name), mount(name, path, false)))
}

/// /tekton/steps: links to what each step leaves for later ones. The first step makes them.
pub fn steps() -> Volume {
    empty("tekton-internal-steps")
}

/// As [`steps`], in the step at `index`.
pub fn steps_mount(index: usize) -> VolumeMount {
    mount("tekton-internal-steps", "/tekton/steps", index > 0)
}

/// /tekton/run/<i> of each of `count` steps.
pub fn run(count: usize) -> impl Iterator<Item = Volume> {
    (0..count).map(|index| empty(&format!("tekton-internal-run-{index}")))
}

/// All of them in the step at `index`, which can write its own only.
pub fn run_mounts(index: usize, count: usize) -> impl Iterator<Item = VolumeMount> {
    (0..count).map(move |other| {
        mount(&format!("tekton-internal-run-{other}"), &format!("/tekton/run/{other}"), other != index)
    })
}

/// /tekton/creds of the step at `index`, in memory.
pub fn credentials(index: usize) -> (Volume, VolumeMount) {
    let name = format!("tekton-creds-init-home-{index}");
    let mount = mount(&name, "/tekton/creds", false);
    let source =
        EmptyDirVolumeSource { medium: Some("Memory".to_owned()), ..EmptyDirVolumeSource::default() };
    (Volume { name, empty_dir: Some(source), ..Volume::default() }, mount)
}

/// /tekton/downward: what the engine tells a running pod.
pub fn downward(with_cancel: bool) -> (Volume, VolumeMount) {
    const NAME: &str = "tekton-internal-downward";
    let file = |path: &str, annotation: &str| DownwardAPIVolumeFile {
        path: path.to_owned(),
        field_ref: Some(ObjectFieldSelector {
            field_path: format!("metadata.annotations['{annotation}']"),
            ..ObjectFieldSelector::default()
        }),
        ..DownwardAPIVolumeFile::default()
    };
    let mut items = vec![file("ready", annotations::READY.as_str())];
    if with_cancel {
        items.push(file("cancel", annotations::CANCEL.as_str()));
    }
    let source = DownwardAPIVolumeSource { items: Some(items), ..DownwardAPIVolumeSource::default() };
    let volume = Volume { name: NAME.to_owned(), downward_api: Some(source), ..Volume::default() };
    (volume, mount(NAME, "/tekton/downward", true))
}

/// The volume of a workspace and where it lies.
#[derive(Clone, Debug, PartialEq)]
pub struct Workspace {
    pub name: String,
    pub volume: Volume,
    pub mount: VolumeMount,
}

/// Volumes of the workspaces that are bound. A claim that two of them use is one volume. Templates have become claims
/// before; `owner_uid` is of the run that a claim was made for.
pub fn workspaces(
    declared: &[WorkspaceDeclaration],
    bindings: &[WorkspaceBinding],
    owner_uid: &str,
) -> Vec<Workspace> {
    let names = names::workspace_volumes(bindings.iter().map(|binding| binding.name.as_str()));
    let mut by_claim: BTreeMap<String, String> = BTreeMap::new();
    let mut workspaces = Vec::new();
    for (binding, own_name) in bindings.iter().zip(names) {
        let Some(declaration) = declared.iter().find(|declared| declared.name == binding.name) else {
            continue;
        };
        let mut volume = source(binding, owner_uid);
        let claim = volume.persistent_volume_claim.as_ref().map(|claim| claim.claim_name.clone());
        let name = match claim {
            Some(claim) => by_claim.entry(claim).or_insert(own_name).clone(),
            None => own_name,
        };
        volume.name.clone_from(&name);
        let mount = VolumeMount {
            name,
            mount_path: declaration.path(),
            sub_path: Some(binding.sub_path.clone()).filter(|path| !path.is_empty()),
            read_only: declaration.read_only.then_some(true),
            ..VolumeMount::default()
        };
        workspaces.push(Workspace { name: binding.name.clone(), volume, mount });
    }
    workspaces
}

fn source(binding: &WorkspaceBinding, owner_uid: &str) -> Volume {
    let binding = workspaces::bound(binding, owner_uid);
    Volume {
        persistent_volume_claim: binding.persistent_volume_claim,
        empty_dir: binding.empty_dir,
        config_map: binding.config_map,
        secret: binding.secret,
        projected: binding.projected,
        csi: binding.csi,
        ..Volume::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_step_writes_its_own_folder_only() {
        let read_only: Vec<_> = run_mounts(1, 3).map(|mount| mount.read_only.unwrap_or(false)).collect();
        assert_eq!(read_only, [true, false, true]);
        assert_eq!((steps_mount(0).read_only, steps_mount(1).read_only), (None, Some(true)));
    }

    #[test]
    fn a_claim_is_one_volume() {
        let declared: Vec<WorkspaceDeclaration> = serde_json::from_value(
            json!([{"name": "a"}, {"name": "b", "mountPath": "/b", "readOnly": true}, {"name": "c"}]),
        )
        .unwrap();
        let bindings: Vec<WorkspaceBinding> = serde_json::from_value(json!([
            {"name": "a", "persistentVolumeClaim": {"claimName": "p"}},
            {"name": "b", "persistentVolumeClaim": {"claimName": "p"}, "subPath": "x"},
            {"name": "c", "emptyDir": {}},
            {"name": "undeclared", "emptyDir": {}},
        ]))
        .unwrap();
        let workspaces = workspaces(&declared, &bindings, "u");
        assert_eq!(workspaces.len(), 3);
        assert_eq!(workspaces[0].volume.name, workspaces[1].volume.name);
        assert_ne!(workspaces[0].volume.name, workspaces[2].volume.name);
        assert_eq!(workspaces[0].mount.mount_path, "/workspace/a");
        assert_eq!((&*workspaces[1].mount.mount_path, workspaces[1].mount.read_only), ("/b", Some(true)));
        assert_eq!(workspaces[1].mount.sub_path.as_deref(), Some("x"));
    }

    #[test]
    fn the_entrypoint_comes_in_three_ways() {
        let (volume, mount) = bin(&Entrypoint::ConfigMap { name: "c".into() });
        assert_eq!(volume.config_map.unwrap().default_mode, Some(0o555));
        assert_eq!((&*mount.mount_path, mount.read_only), ("/tekton/bin", Some(true)));
        assert!(bin(&Entrypoint::ImageVolume { image: "i".into() }).0.image.is_some());
        assert!(bin(&Entrypoint::InitContainer { image: "i".into() }).0.empty_dir.is_some());
    }
}
