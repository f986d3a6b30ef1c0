//! Other Releases of the same plan.

use std::sync::Arc;

use fleet::{ObjectKey, is_inert};
use kube::ResourceExt as _;
use release_service_api::conditions::Released;
use release_service_api::release_plan_admission::ReleasePlanAdmission;
use release_service_api::{Phase, Release, ReleasePlan, annotations};

use crate::conditions::{find, has_failed, is_finished, of_phase};
use crate::matching::Mismatch;
use crate::stores::{BY_PLAN, Stores};

type Admission = Result<Arc<ReleasePlanAdmission>, Mismatch>;

/// The newest Release before this one that did not fail and was of another Snapshot: what collectors compare with.
pub(super) fn previous(
    stores: &Stores,
    release: &Release,
    plan: Option<&ReleasePlan>,
    admission: Option<&Admission>,
) -> Option<ObjectKey> {
    let of_plan = plan.and_then(|plan| plan.spec.collectors.as_ref());
    let of_admission = admission.and_then(|admission| admission.as_ref().ok()?.spec.collectors.as_ref());
    if !of_plan.into_iter().chain(of_admission).any(|collectors| !collectors.items.is_empty()) {
        return None;
    }
    let failed = |other: &Release| released(other).is_some_and(has_failed);
    older(stores, release)
        .filter(|other| other.spec.snapshot != release.spec.snapshot && !failed(other))
        .max_by(|a, b| age(a).cmp(&age(b)))
        .map(|other| ObjectKey::of(&*other))
}

/// The oldest of those that are to go first.
pub(super) fn waits_for(
    stores: &Stores,
    release: &Release,
    admission: Option<&Admission>,
) -> Option<ObjectKey> {
    if !is_serial(admission?.as_ref().ok()?) {
        return None;
    }
    older(stores, release)
        .filter(|other| goes_first(other))
        .min_by(|a, b| age(a).cmp(&age(b)))
        .map(|other| ObjectKey::of(&*other))
}

/// Releases of one plan go through their managed phase one after the other.
pub(in crate::release) fn is_serial(admission: &ReleasePlanAdmission) -> bool {
    annotations::SERIALIZE.of(&admission.metadata.annotations) == Some("true")
}

/// Its managed phase is still to come, or goes on, so that younger ones wait for it.
pub(in crate::release) fn goes_first(release: &Release) -> bool {
    let conditions = release.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let is_over = match of_phase(conditions, Phase::Managed) {
        Some(condition) => is_finished(condition),
        None => released(release).is_some_and(is_finished),
    };
    !is_over && release.metadata.deletion_timestamp.is_none() && !is_inert(&release.metadata)
}

fn older(stores: &Stores, release: &Release) -> impl Iterator<Item = Arc<Release>> {
    let plan = ObjectKey::of(release).sibling(&release.spec.release_plan);
    let than = owned_age(release);
    stores.releases.indexed(BY_PLAN, &plan).into_iter().filter(move |other| owned_age(other) < than)
}

/// The order of Releases: by their creation, which is told in seconds, then by name.
fn age(release: &Release) -> (Option<jiff::Timestamp>, &str) {
    let created = release.metadata.creation_timestamp.as_ref().map(|created| created.0);
    (created, release.metadata.name.as_deref().unwrap_or_default())
}

fn owned_age(release: &Release) -> (Option<jiff::Timestamp>, String) {
    (release.creation_timestamp().map(|created| created.0), release.name_any())
}

fn released(release: &Release) -> Option<&fleet_api::Condition> {
    find::<Released>(&release.status.as_ref()?.conditions)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use fleet::Fleet;
    use kube::{Client, Config};
    use prometheus::Registry;
    use rstest::rstest;
    use serde_json::{Value, json};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::Args;

    fn condition(type_: &str, reason: &str) -> Value {
        let status = if reason == "Succeeded" || reason == "Skipped" { "True" } else { "False" };
        let time = "2024-03-01T12:00:00Z";
        json!({"type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": time})
    }

    /// A Release of plan `p`, made at this minute.
    fn release(name: &str, minute: u8, snapshot: &str, conditions: &[Value]) -> Release {
        serde_json::from_value(json!({
            "metadata": {
                "name": name, "namespace": "n", "uid": name, "resourceVersion": "1",
                "creationTimestamp": format!("2024-03-01T12:{minute:02}:00Z"),
            },
            "spec": {"snapshot": snapshot, "releasePlan": "p"},
            "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    fn stores(releases: Vec<Release>) -> Stores {
        let args = Args::try_parse_from(["release-service", "--namespace=home", "--identity=test"]).unwrap();
        let client = Client::try_from(Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        let stop = CancellationToken::new();
        let mut fleet =
            Fleet::new("release-service", args.fleet.clone(), client, Registry::new(), stop).unwrap();
        let stores = Stores::new(&mut fleet, &args);
        for release in releases {
            stores.releases.apply(release);
        }
        stores
    }

    fn admission(spec: &Value, serialize: &str) -> Arc<ReleasePlanAdmission> {
        let metadata = json!({
            "name": "a", "namespace": "m", "annotations": {"release.appstudio.openshift.io/serialize": serialize},
        });
        Arc::new(serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap())
    }

    fn collectors() -> Value {
        json!({"collectors": {"items": [{"name": "a", "type": "b"}]}})
    }

    #[tokio::test]
    async fn compares_with_the_last_one_of_another_snapshot_that_did_not_fail() {
        let done = condition("Released", "Succeeded");
        let mut elsewhere = release("f", 9, "1", &[]);
        elsewhere.spec.release_plan = "other".to_owned();
        let this = release("x", 10, "5", &[]);
        let stores = stores(vec![
            release("a", 1, "1", std::slice::from_ref(&done)),
            release("b", 5, "2", &[done.clone(), condition("ManagedPipelineProcessed", "Succeeded")]),
            release("c", 6, "3", &[condition("Released", "Failed")]),
            release("d", 7, "5", &[done]),
            release("e", 11, "6", &[]),
            elsewhere,
            this.clone(),
        ]);
        let with = Ok(admission(&collectors(), ""));
        assert_eq!(previous(&stores, &this, None, Some(&with)), Some(ObjectKey::new("n", "b")));
        let without = Ok(admission(&json!({}), ""));
        assert_eq!(previous(&stores, &this, None, Some(&without)), None, "nobody asks");
    }

    #[rstest]
    #[case::new(&[], true)]
    #[case::before_its_managed_phase(&[condition("Released", "Progressing"), condition("TenantPipelineProcessed", "Progressing")], true)]
    #[case::in_it(&[condition("Released", "Progressing"), condition("ManagedPipelineProcessed", "Progressing")], true)]
    #[case::refused_while_it_runs(&[condition("Released", "Failed"), condition("ManagedPipelineProcessed", "Progressing")], true)]
    #[case::after_it(&[condition("Released", "Progressing"), condition("ManagedPipelineProcessed", "Succeeded")], false)]
    #[case::refused(&[condition("Released", "Failed")], false)]
    #[tokio::test]
    async fn an_older_one_goes_first(#[case] conditions: &[Value], #[case] expected: bool) {
        let this = release("b", 2, "2", &[]);
        let older = release("a", 1, "1", conditions);
        let stores = stores(vec![older, this.clone(), release("c", 3, "3", &[])]);
        let serial = Ok(admission(&json!({}), "true"));
        let found = waits_for(&stores, &this, Some(&serial));
        assert_eq!(found, expected.then(|| ObjectKey::new("n", "a")));
        assert_eq!(
            waits_for(&stores, &this, Some(&Ok(admission(&json!({}), "false")))),
            None,
            "no order is asked for"
        );
    }

    #[tokio::test]
    async fn those_of_one_second_go_by_name() {
        let (a, b) = (release("a", 1, "1", &[]), release("b", 1, "1", &[]));
        let stores = stores(vec![a.clone(), b.clone()]);
        let serial = Ok(admission(&json!({}), "true"));
        assert_eq!(waits_for(&stores, &a, Some(&serial)), None);
        assert_eq!(waits_for(&stores, &b, Some(&serial)), Some(ObjectKey::new("n", "a")));
    }

    #[tokio::test]
    async fn one_that_is_deleted_or_restored_holds_up_nobody() {
        let this = release("c", 3, "2", &[]);
        let (mut deleted, mut restored) = (release("a", 1, "1", &[]), release("b", 2, "1", &[]));
        deleted.metadata.deletion_timestamp = serde_json::from_value(json!("2024-03-01T12:00:00Z")).unwrap();
        restored.metadata.labels = Some([("velero.io/restore-name".to_owned(), "x".to_owned())].into());
        let stores = stores(vec![deleted, restored, this.clone()]);
        assert_eq!(waits_for(&stores, &this, Some(&Ok(admission(&json!({}), "true")))), None);
    }
}
