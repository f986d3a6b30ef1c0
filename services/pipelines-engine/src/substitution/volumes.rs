//! The fields of volumes and of the bindings of workspaces that values are put into.

use k8s_openapi::api::core::v1::{
    CSIVolumeSource, ConfigMapVolumeSource, KeyToPath, ProjectedVolumeSource, SecretVolumeSource, Volume,
};
use pipelines_engine_api::WorkspaceBinding;

use super::Replacements;

/// Puts values into a volume of a Task.
pub fn in_volume(volume: &mut Volume, with: &Replacements) {
    with.in_string(&mut volume.name);
    if let Some(source) = &mut volume.config_map {
        in_config_map(source, with);
    }
    if let Some(source) = &mut volume.secret {
        in_secret(source, with);
    }
    if let Some(source) = &mut volume.persistent_volume_claim {
        with.in_string(&mut source.claim_name);
    }
    if let Some(source) = &mut volume.projected {
        in_projected(source, with);
    }
    if let Some(source) = &mut volume.csi {
        in_csi(source, with);
    }
}

/// Puts values into what a run binds to a workspace.
pub fn in_binding(binding: &mut WorkspaceBinding, with: &Replacements) {
    with.in_string(&mut binding.sub_path);
    if let Some(source) = &mut binding.persistent_volume_claim {
        with.in_string(&mut source.claim_name);
    }
    if let Some(source) = &mut binding.config_map {
        in_config_map(source, with);
    }
    if let Some(source) = &mut binding.secret {
        in_secret(source, with);
    }
    if let Some(source) = &mut binding.projected {
        in_projected(source, with);
    }
    if let Some(source) = &mut binding.csi {
        with.in_string(&mut source.driver);
        in_csi(source, with);
    }
}

fn in_config_map(source: &mut ConfigMapVolumeSource, with: &Replacements) {
    with.in_string(&mut source.name);
    in_items(source.items.as_mut(), with);
}

fn in_secret(source: &mut SecretVolumeSource, with: &Replacements) {
    with.in_option(&mut source.secret_name);
    in_items(source.items.as_mut(), with);
}

fn in_projected(source: &mut ProjectedVolumeSource, with: &Replacements) {
    for source in source.sources.iter_mut().flatten() {
        if let Some(config_map) = &mut source.config_map {
            with.in_string(&mut config_map.name);
            in_items(config_map.items.as_mut(), with);
        }
        if let Some(secret) = &mut source.secret {
            with.in_string(&mut secret.name);
            in_items(secret.items.as_mut(), with);
        }
        if let Some(token) = &mut source.service_account_token {
            with.in_option(&mut token.audience);
        }
    }
}

fn in_csi(source: &mut CSIVolumeSource, with: &Replacements) {
    if let Some(secret) = &mut source.node_publish_secret_ref {
        with.in_string(&mut secret.name);
    }
    if let Some(attributes) = &mut source.volume_attributes {
        with.in_map(attributes);
    }
}

fn in_items(items: Option<&mut Vec<KeyToPath>>, with: &Replacements) {
    for item in items.into_iter().flatten() {
        with.in_string(&mut item.key);
        with.in_string(&mut item.path);
    }
}
