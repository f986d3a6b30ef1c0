//! Scripts of steps and sidecars as files (section 2.1): from annotations of the pod through its downward API, so that no
//! init container has to write them; or, where they are too long for annotations, from a ConfigMap.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapVolumeSource, DownwardAPIVolumeFile, DownwardAPIVolumeSource, ObjectFieldSelector,
    Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::names;

/// Where scripts lie.
pub const FOLDER: &str = "/tekton/scripts";

const VOLUME: &str = "tekton-internal-scripts";

/// Begins the keys of the annotations that hold scripts.
const ANNOTATION_PREFIX: &str = "fleet.konflux-ci.dev/";

/// How much of the 256 KiB that all annotations of an object may have goes to scripts.
const MAX_IN_ANNOTATIONS: usize = 192 * 1024;

/// What begins a script that does not say what runs it.
const SHELL: &str = "#!/bin/sh\nset -e\n";

/// The scripts of one pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scripts {
    /// By file name.
    files: BTreeMap<String, String>,
}

/// How scripts get into a pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub volume: Volume,
    pub mount: VolumeMount,
    pub annotations: BTreeMap<String, String>,
    /// To be created before the pod.
    pub config_map: Option<ConfigMap>,
}

impl Scripts {
    /// Adds a script; `kind` is `script` or `sidecar-script`. The path of its file, which is to be run.
    pub fn add(&mut self, kind: &str, index: usize, script: &str) -> String {
        let content = if script.trim_start().starts_with("#!") {
            // What runs it has to be named in the first line.
            script.trim_start().to_owned()
        } else {
            format!("{SHELL}{script}")
        };
        let name = format!("{kind}-{index}-{}", names::short_hash(&content));
        let path = format!("{FOLDER}/{name}");
        self.files.insert(name, content);
        path
    }

    /// `None` if there are none. `pod` names the ConfigMap that is made where they are too long, `owner` is the TaskRun.
    pub fn deliver(self, pod: &str, namespace: &str, owner: &OwnerReference) -> Option<Delivery> {
        if self.files.is_empty() {
            return None;
        }
        let mount = VolumeMount {
            name: VOLUME.to_owned(),
            mount_path: FOLDER.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        };
        let length: usize = self.files.iter().map(|(name, content)| name.len() + content.len()).sum();
        Some(if length <= MAX_IN_ANNOTATIONS {
            Delivery {
                volume: downward(self.files.keys()),
                mount,
                annotations: self
                    .files
                    .into_iter()
                    .map(|(name, content)| (annotation(&name), content))
                    .collect(),
                config_map: None,
            }
        } else {
            let name = names::child(pod, "-scripts");
            Delivery {
                volume: Volume {
                    name: VOLUME.to_owned(),
                    config_map: Some(ConfigMapVolumeSource {
                        name: name.clone(),
                        default_mode: Some(0o555),
                        ..ConfigMapVolumeSource::default()
                    }),
                    ..Volume::default()
                },
                mount,
                annotations: BTreeMap::new(),
                config_map: Some(ConfigMap {
                    metadata: ObjectMeta {
                        name: Some(name),
                        namespace: Some(namespace.to_owned()),
                        owner_references: Some(vec![owner.clone()]),
                        ..ObjectMeta::default()
                    },
                    data: Some(self.files),
                    immutable: Some(true),
                    ..ConfigMap::default()
                }),
            }
        })
    }
}

fn annotation(file: &str) -> String {
    format!("{ANNOTATION_PREFIX}{file}")
}

fn downward<'a>(files: impl Iterator<Item = &'a String>) -> Volume {
    let items = files.map(|file| DownwardAPIVolumeFile {
        path: file.clone(),
        field_ref: Some(ObjectFieldSelector {
            field_path: format!("metadata.annotations['{}']", annotation(file)),
            ..ObjectFieldSelector::default()
        }),
        ..DownwardAPIVolumeFile::default()
    });
    Volume {
        name: VOLUME.to_owned(),
        downward_api: Some(DownwardAPIVolumeSource {
            default_mode: Some(0o555),
            items: Some(items.collect()),
        }),
        ..Volume::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn owner() -> OwnerReference {
        OwnerReference { uid: "u".into(), ..OwnerReference::default() }
    }

    #[rstest]
    #[case::shell("echo $(x) $$", "#!/bin/sh\nset -e\necho $(x) $$")]
    #[case::own("\n#!/usr/bin/env python3\nprint(1)", "#!/usr/bin/env python3\nprint(1)")]
    fn a_script_is_a_file(#[case] script: &str, #[case] expected: &str) {
        let mut scripts = Scripts::default();
        let path = scripts.add("script", 0, script);
        assert!(path.starts_with("/tekton/scripts/script-0-"), "{path}");
        let delivery = scripts.deliver("pod", "n", &owner()).unwrap();
        assert_eq!(delivery.annotations.values().collect::<Vec<_>>(), [expected]);
        let source = delivery.volume.downward_api.unwrap();
        assert_eq!(source.default_mode, Some(0o555));
        let item = &source.items.unwrap()[0];
        assert_eq!(format!("{FOLDER}/{}", item.path), path);
        let key = delivery.annotations.keys().next().unwrap();
        assert_eq!(item.field_ref.as_ref().unwrap().field_path, format!("metadata.annotations['{key}']"));
    }

    #[test]
    fn long_ones_go_to_a_config_map() {
        let mut scripts = Scripts::default();
        scripts.add("script", 0, &"x".repeat(MAX_IN_ANNOTATIONS));
        let delivery = scripts.deliver("pod", "n", &owner()).unwrap();
        assert!(delivery.annotations.is_empty());
        let config_map = delivery.config_map.unwrap();
        assert_eq!(config_map.metadata.name.as_deref(), Some("pod-scripts"));
        assert_eq!(config_map.metadata.owner_references, Some(vec![owner()]));
        assert_eq!(delivery.volume.config_map.unwrap().default_mode, Some(0o555));
    }

    #[test]
    fn none_need_nothing() {
        assert_eq!(Scripts::default().deliver("pod", "n", &owner()), None);
    }
}
