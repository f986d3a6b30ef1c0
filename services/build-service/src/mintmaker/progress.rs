//! What became of the branches of a check: a ConfigMap that goes with it, with a letter for each branch.
//!
//! Runs are deleted after a while, and what was left out makes no run, so neither tells how far a check has come.

use std::collections::BTreeMap;

use build_service_api::DependencyUpdateCheck;
use fleet::names::{fit, hash};
use fleet::write::PatchKind;
use fleet::{ObjectKey, Write};
use fleet_api::LabelKey;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use kube::{Resource as _, ResourceExt as _};
use serde_json::{Map, Value, json};

/// On ConfigMaps of ours: what they are for.
pub(super) const PURPOSE: LabelKey = LabelKey::new("mintmaker.appstudio.redhat.com/purpose");

/// [`PURPOSE`] of the ConfigMap of a check.
const PROGRESS: &str = "progress";

/// Longest name of a ConfigMap.
const LONGEST: usize = 253;

/// What became of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
pub(super) enum Outcome {
    /// It has a run.
    #[strum(serialize = "s")]
    Scheduled,
    /// Left out: a run went on already, nothing had changed, or it is a tag.
    #[strum(serialize = "l")]
    LeftOut,
    #[strum(serialize = "f")]
    Failed,
}

/// How many there are of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) scheduled: i64,
    pub(super) left_out: i64,
    pub(super) failed: i64,
}

impl Counts {
    pub(super) fn total(self) -> i64 {
        self.scheduled + self.left_out + self.failed
    }
}

/// Where the progress of a check is.
pub(super) fn key(check: &DependencyUpdateCheck) -> ObjectKey {
    let uid = check.uid().unwrap_or_default();
    ObjectKey::of(check).sibling(fit(
        LONGEST,
        &check.name_any(),
        &format!("-{}", hash(10, &[&uid, PROGRESS])),
    ))
}

/// Nothing is known yet.
pub(super) fn begin(check: &DependencyUpdateCheck) -> Write {
    let key = key(check);
    Write::create(&ConfigMap {
        metadata: ObjectMeta {
            name: Some(key.name),
            namespace: Some(key.namespace),
            labels: Some([(PURPOSE.into(), PROGRESS.to_owned())].into()),
            owner_references: Some(vec![OwnerReference {
                api_version: DependencyUpdateCheck::api_version(&()).into_owned(),
                kind: DependencyUpdateCheck::kind(&()).into_owned(),
                name: check.name_any(),
                uid: check.uid().unwrap_or_default(),
                ..OwnerReference::default()
            }]),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    })
}

/// Adds outcomes by the ids of their branches. `None` if there are none.
pub(super) fn record(progress: &ConfigMap, outcomes: &[(String, Outcome)]) -> Option<Write> {
    if outcomes.is_empty() {
        return None;
    }
    let data: Map<String, Value> = outcomes
        .iter()
        .map(|(id, outcome)| {
            let word: &str = outcome.into();
            (id.clone(), json!(word))
        })
        .collect();
    Some(Write::patch(progress, PatchKind::Merge, json!({ "data": data })))
}

pub(super) fn has(progress: &ConfigMap, id: &str) -> bool {
    progress.data.as_ref().is_some_and(|data| data.contains_key(id))
}

pub(super) fn counts(progress: &ConfigMap) -> Counts {
    let mut counts = Counts::default();
    let empty = BTreeMap::new();
    for word in progress.data.as_ref().unwrap_or(&empty).values() {
        match word.parse() {
            Ok(Outcome::Scheduled) => counts.scheduled += 1,
            Ok(Outcome::LeftOut) => counts.left_out += 1,
            Ok(Outcome::Failed) | Err(_) => counts.failed += 1,
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_was_recorded() {
        let data = [("a", "s"), ("b", "l"), ("c", "s"), ("d", "f"), ("e", "?")];
        let data = data.map(|(id, word)| (id.to_owned(), word.to_owned())).into();
        let progress = ConfigMap { data: Some(data), ..ConfigMap::default() };
        let counts = counts(&progress);
        assert_eq!(counts, Counts { scheduled: 2, left_out: 1, failed: 2 });
        assert_eq!(counts.total(), 5);
        assert!(has(&progress, "a") && !has(&progress, "x"));
    }

    #[test]
    fn a_check_of_the_same_name_has_a_progress_of_its_own() {
        let check = |uid: &str| {
            let mut check = DependencyUpdateCheck::new("nightly", Default::default());
            check.metadata.uid = Some(uid.to_owned());
            check
        };
        assert_ne!(key(&check("1")), key(&check("2")));
        assert_eq!(record(&ConfigMap::default(), &[]), None);
    }
}
