//! What is made for one run: a claim, a copy of the Environment, and the binding of the Snapshot to it.

use std::collections::BTreeMap;

use application_service_api::environment::{
    DeploymentTargetClaimReference, EnvVarPair, EnvironmentConfiguration, EnvironmentTarget, EnvironmentType,
};
use application_service_api::{Environment, EnvironmentSpec, SnapshotEnvironmentBinding};
use fleet::ObjectKey;
use fleet::names::{LABEL_VALUE, fit, hash};
use gitops_service_api::{DeploymentTargetClaim, DeploymentTargetClaimSpec};
use integration_service_api::labels;
use integration_service_api::scenario::TestEnvironment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;

use super::Seen;
use crate::environments::{EPHEMERAL, binding, controlled_by};

/// Of one run (contracts.md, section d).
fn run_hash(seen: &Seen) -> String {
    let snapshot = seen.snapshot.uid().unwrap_or_default();
    hash(10, &[&snapshot, &seen.scenario.name_any(), &seen.attempt.to_string()])
}

/// The name of the claim that is made for the run.
pub(super) fn claim_key(seen: &Seen) -> ObjectKey {
    ObjectKey::of(&*seen.snapshot).sibling(format!("dtc-{}", run_hash(seen)))
}

/// The name of the copy that is made for the run.
pub(super) fn copy_key(seen: &Seen, wanted: &TestEnvironment) -> ObjectKey {
    let base = format!("{}-{}", wanted.name, seen.scenario.name_any());
    ObjectKey::of(&*seen.snapshot).sibling(fit(LABEL_VALUE, &base, &format!("-{}", run_hash(seen))))
}

/// `environment` is the Environment that it is for: a label of ours, by which the claim is found after that has gone.
pub(super) fn claim(seen: &Seen, class: &str, environment: &str) -> DeploymentTargetClaim {
    let mut labels = labels(seen);
    labels.insert(labels::ENVIRONMENT.into(), environment.to_owned());
    let spec = DeploymentTargetClaimSpec {
        deployment_target_class_name: class.to_owned(),
        ..DeploymentTargetClaimSpec::default()
    };
    DeploymentTargetClaim { metadata: metadata(seen, claim_key(seen), labels), spec, status: None }
}

/// As the named Environment, with the variables of the scenario, at the target of the claim.
pub(super) fn copy(seen: &Seen, wanted: &TestEnvironment, original: &Environment) -> Environment {
    let before = original.spec.configuration.as_ref().map(|configuration| configuration.env.as_slice());
    let changes = wanted.configuration.as_ref().map(|configuration| configuration.env.as_slice());
    let claim = DeploymentTargetClaimReference { claim_name: claim_key(seen).name };
    let configuration = EnvironmentConfiguration {
        env: merged(before.unwrap_or_default(), changes.unwrap_or_default()),
        target: Some(EnvironmentTarget { deployment_target_claim: claim }),
    };
    let spec = EnvironmentSpec {
        type_: Some(EnvironmentType::Poc.into()),
        display_name: format!("{}-{}", wanted.name, seen.scenario.name_any()),
        deployment_strategy: EnvironmentSpec::MANUAL.to_owned(),
        tags: vec![EPHEMERAL.to_owned()],
        configuration: Some(configuration),
        ..EnvironmentSpec::default()
    };
    Environment { metadata: metadata(seen, copy_key(seen, wanted), labels(seen)), spec, status: None }
}

/// Goes with the copy.
pub(super) fn binding(seen: &Seen, copy: &Environment) -> SnapshotEnvironmentBinding {
    let scenario = seen.scenario.name_any();
    let mut binding = binding::of(&seen.snapshot, &copy.name_any());
    let mut labels = BTreeMap::from([(labels::SCENARIO.into(), scenario.clone())]);
    if seen.attempt > 0 {
        labels.insert(labels::RUN.into(), scenario);
    }
    binding.metadata.labels = Some(labels);
    binding.metadata.owner_references = controlled_by(copy);
    binding
}

fn labels(seen: &Seen) -> BTreeMap<String, String> {
    BTreeMap::from([
        (labels::SNAPSHOT.into(), seen.snapshot.name_any()),
        (labels::SCENARIO.into(), seen.scenario.name_any()),
    ])
}

fn metadata(seen: &Seen, key: ObjectKey, labels: BTreeMap<String, String>) -> ObjectMeta {
    ObjectMeta {
        namespace: Some(key.namespace),
        name: Some(key.name),
        labels: Some(labels),
        owner_references: controlled_by(&*seen.application),
        ..ObjectMeta::default()
    }
}

/// `before` in its order; those of `changes` take the place of their namesakes, or come last.
fn merged(before: &[EnvVarPair], changes: &[EnvVarPair]) -> Vec<EnvVarPair> {
    let mut merged = before.to_vec();
    for change in changes {
        match merged.iter_mut().find(|variable| variable.name == change.name) {
            Some(variable) => variable.value.clone_from(&change.value),
            None => merged.push(change.clone()),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn variables(pairs: &[(&str, &str)]) -> Vec<EnvVarPair> {
        let pair = |&(name, value): &(&str, &str)| EnvVarPair { name: name.into(), value: value.into() };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn variables_of_the_scenario_win() {
        let merged = merged(&variables(&[("a", "1"), ("b", "2")]), &variables(&[("c", "3"), ("a", "4")]));
        assert_eq!(merged, variables(&[("a", "4"), ("b", "2"), ("c", "3")]));
    }

    proptest! {
        /// Each variable is there, once, with the value that was said last.
        #[test]
        fn no_variable_is_lost(names in proptest::collection::vec("[a-d]", 0..6), split in 0_usize..6) {
            let all: Vec<_> = names.iter().enumerate().map(|(at, name)| (name.clone(), at.to_string())).collect();
            let mut before = variables(&[]);
            for (name, value) in &all[..split.min(all.len())] {
                if before.iter().all(|known| known.name != *name) {
                    before.push(EnvVarPair { name: name.clone(), value: value.clone() });
                }
            }
            let changes: Vec<_> = all[split.min(all.len())..]
                .iter()
                .map(|(name, value)| EnvVarPair { name: name.clone(), value: value.clone() })
                .collect();
            let merged = merged(&before, &changes);
            for name in before.iter().chain(&changes).map(|variable| &variable.name) {
                let last = changes.iter().rev().chain(&before).find(|variable| variable.name == *name);
                let found: Vec<_> = merged.iter().filter(|variable| variable.name == *name).collect();
                prop_assert_eq!(found, last.into_iter().collect::<Vec<_>>());
            }
        }
    }
}
