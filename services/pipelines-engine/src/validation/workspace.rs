//! Volumes that runs bind to workspaces.

use std::collections::BTreeSet;

use pipelines_engine_api::WorkspaceBinding;

use super::errors::Errors;

const SOURCES: [&str; 7] =
    ["configmap", "csi", "emptydir", "persistentvolumeclaim", "projected", "secret", "volumeclaimtemplate"];

/// All bindings of a run: each with one source, each name once.
pub(super) fn bindings(bindings: &[WorkspaceBinding]) -> Errors {
    let mut errors = Errors::none();
    let mut names = BTreeSet::new();
    for (index, given) in bindings.iter().enumerate() {
        errors.add_if(!names.insert(&given.name), || {
            Errors::multiple_one_of(&["name"]).via_index("workspaces", index)
        });
        errors.add_if(given.name.is_empty(), || Errors::missing("name").via_index("workspaces", index));
        errors.add(binding(given).via_index("workspaces", index));
    }
    errors
}

fn binding(given: &WorkspaceBinding) -> Errors {
    let sources = [
        given.config_map.is_some(),
        given.csi.is_some(),
        given.empty_dir.is_some(),
        given.persistent_volume_claim.is_some(),
        given.projected.is_some(),
        given.secret.is_some(),
        given.volume_claim_template.is_some(),
    ];
    let set: Vec<&str> =
        SOURCES.into_iter().zip(sources).filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect();
    match set.as_slice() {
        [] => return Errors::missing_one_of(&SOURCES),
        [_] => {}
        several => return Errors::multiple_one_of(several),
    }
    let mut errors = Errors::none();
    let claim = given.persistent_volume_claim.as_ref();
    errors.add_if(claim.is_some_and(|claim| claim.claim_name.is_empty()), || {
        Errors::missing("persistentvolumeclaim.claimname")
    });
    errors.add_if(given.config_map.as_ref().is_some_and(|source| source.name.is_empty()), || {
        Errors::missing("configmap.name")
    });
    let secret = given.secret.as_ref();
    errors
        .add_if(secret.is_some_and(|source| source.secret_name.as_deref().is_none_or(str::is_empty)), || {
            Errors::missing("secret.secretName")
        });
    let projected = given.projected.as_ref();
    errors.add_if(projected.is_some_and(|source| source.sources.as_ref().is_none_or(Vec::is_empty)), || {
        Errors::missing("projected.sources")
    });
    errors.add_if(given.csi.as_ref().is_some_and(|source| source.driver.is_empty()), || {
        Errors::missing("csi.driver")
    });
    errors
}
