//! Who leads, when, and for how long.

use std::time::{Duration, Instant};

use fleet::leader::{Durations, Election, Leadership, Lost};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use rstest::rstest;
use serde_json::json;
use testkit::{DEADLINE, eventually, wait_for};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin;

const LEASE: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_millis(200);

fn durations() -> Durations {
    Durations::new(LEASE, Duration::from_millis(1500), RETRY).unwrap()
}

/// A replica that stands for election in the background.
struct Candidate {
    leadership: Leadership,
    done: CancellationToken,
    running: JoinHandle<Result<(), Lost>>,
}

impl Candidate {
    fn start(client: &Client, namespace: &str, identity: &str) -> Self {
        Self::run(Election::new(client.clone(), namespace, "shop", identity))
    }

    fn run(election: Election) -> Self {
        let election = election.durations(durations());
        let (leadership, done) = (election.leadership(), CancellationToken::new());
        let running = tokio::spawn(election.run(done.clone()));
        Self { leadership, done, running }
    }

    async fn leads(&self) {
        tokio::time::timeout(DEADLINE, self.leadership.held()).await.expect("it leads before long");
    }

    async fn ends(self) -> Result<(), Lost> {
        tokio::time::timeout(DEADLINE, self.running).await.expect("it ends before long").unwrap()
    }
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}

async fn edit(leases: &Api<Lease>, name: &str, patch: serde_json::Value) -> Lease {
    leases.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap()
}

/// All find it free, or see it expire, at the same time, and all write.
#[rstest]
#[case::creating_it(None, 0)]
#[case::taking_it(Some(json!({ "holderIdentity": "vanished", "leaseDurationSeconds": 1 })), 1)]
#[tokio::test]
async fn exactly_one_of_many_leads(#[case] before: Option<serde_json::Value>, #[case] transitions: i32) {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("leader").await.unwrap();
    let leases: Api<Lease> = Api::namespaced(client.clone(), &namespace);
    if let Some(spec) = before {
        let lease = serde_json::from_value(json!({ "metadata": { "name": "shop" }, "spec": spec })).unwrap();
        leases.create(&PostParams::default(), &lease).await.unwrap();
    }
    let candidates: Vec<_> =
        (0..10).map(|i| Candidate::start(&client, &namespace, &format!("replica-{i}"))).collect();
    let taken = |lease: &Lease| holder(lease).is_some_and(|holder| holder != "vanished");
    let first = wait_for(&leases, "shop", "a leader", DEADLINE, taken).await.unwrap();
    let leader = holder(&first).unwrap().to_owned();

    let mut renewals = std::collections::BTreeSet::new();
    eventually(DEADLINE, "ten renewals by one leader", async || {
        let held = candidates.iter().filter(|candidate| candidate.leadership.is_held()).count();
        assert!(held <= 1, "{held} lead at once");
        let lease = leases.get("shop").await?;
        assert_eq!(holder(&lease), Some(leader.as_str()));
        let spec = lease.spec.unwrap_or_default();
        assert_eq!(spec.lease_transitions, Some(transitions));
        renewals.extend(spec.renew_time.map(|time| time.0));
        anyhow::ensure!(renewals.len() > 10, "seen {} so far", renewals.len());
        Ok(())
    })
    .await
    .unwrap();
    let leading = candidates.iter().position(|candidate| candidate.leadership.is_held()).expect("one leads");
    assert_eq!(leader, format!("replica-{leading}"));
}

#[tokio::test]
async fn fails_over_when_the_leader_vanishes() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("leader").await.unwrap();
    let first = Candidate::start(&client, &namespace, "first");
    first.leads().await;
    let second = Candidate::start(&client, &namespace, "second");
    let leases: Api<Lease> = Api::namespaced(client, &namespace);
    // A few renewals later, so that the second has seen the first renew.
    let version = leases.get("shop").await.unwrap().metadata.resource_version;
    wait_for(&leases, "shop", "a renewal", DEADLINE, |l: &Lease| l.metadata.resource_version != version)
        .await
        .unwrap();

    first.running.abort();
    let vanished = Instant::now();
    second.leads().await;
    let took = vanished.elapsed();
    // The renewal before it vanished was at most one retry period ago. Half a second for a busy machine.
    assert!(took + RETRY + Duration::from_millis(500) > LEASE, "took over after {took:?}: too early");
    assert!(took < LEASE + RETRY + Duration::from_millis(500), "took over after {took:?}: too late");
    let lease = leases.get("shop").await.unwrap();
    assert_eq!(holder(&lease), Some("second"));
    assert_eq!(lease.spec.unwrap().lease_transitions, Some(1));
}

#[tokio::test]
async fn hands_over_at_once_when_it_is_done() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("leader").await.unwrap();
    let first = Candidate::start(&client, &namespace, "first");
    first.leads().await;
    let second = Candidate::start(&client, &namespace, "second");
    let leadership = first.leadership.clone();

    first.done.cancel();
    first.ends().await.unwrap();
    assert!(!leadership.is_held());
    let released = Instant::now();
    second.leads().await;
    assert!(released.elapsed() < LEASE / 2, "waited {:?}", released.elapsed());

    second.done.cancel();
    second.ends().await.unwrap();
    let leases: Api<Lease> = Api::namespaced(client, &namespace);
    assert_eq!(holder(&leases.get("shop").await.unwrap()), Some(""));
}

#[tokio::test]
async fn a_standby_that_ends_takes_nothing_with_it() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("leader").await.unwrap();
    let first = Candidate::start(&client, &namespace, "first");
    first.leads().await;
    let second = Candidate::start(&client, &namespace, "second");
    second.done.cancel();
    second.ends().await.unwrap();
    let leases: Api<Lease> = Api::namespaced(client, &namespace);
    assert_eq!(holder(&leases.get("shop").await.unwrap()), Some("first"));
    assert!(first.leadership.is_held());
}

#[tokio::test]
async fn loses_when_somebody_else_is_written_into_the_lease() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("leader").await.unwrap();
    let candidate = Candidate::start(&client, &namespace, "first");
    candidate.leads().await;
    let leadership = candidate.leadership.clone();
    let leases: Api<Lease> = Api::namespaced(client, &namespace);
    edit(&leases, "shop", json!({ "spec": { "holderIdentity": "intruder" } })).await;

    let lost = candidate.ends().await.unwrap_err();
    assert_eq!(lost, Lost::Taken { lease: format!("{namespace}/shop"), holder: "intruder".to_owned() });
    assert!(!leadership.is_held());
    assert!(!*leadership.watch().borrow());
    assert_eq!(holder(&leases.get("shop").await.unwrap()), Some("intruder"));
}

#[tokio::test]
async fn keeps_leading_when_others_touch_the_lease_or_remove_it() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("leader").await.unwrap();
    let candidate = Candidate::start(&client, &namespace, "first");
    candidate.leads().await;
    let leases: Api<Lease> = Api::namespaced(client, &namespace);
    // Each makes what the leader remembers out of date, so that its next renewal is a conflict.
    for turn in 0..3 {
        let note = json!({ "metadata": { "annotations": { "example.com/turn": turn.to_string() } } });
        let before = edit(&leases, "shop", note).await.spec.unwrap().renew_time;
        let renewed = |lease: &Lease| lease.spec.as_ref().is_some_and(|spec| spec.renew_time != before);
        wait_for(&leases, "shop", "a renewal", DEADLINE, renewed).await.unwrap();
    }
    leases.delete("shop", &DeleteParams::default()).await.unwrap();
    wait_for(&leases, "shop", "it to be made again", DEADLINE, |lease| holder(lease) == Some("first"))
        .await
        .unwrap();
    assert!(candidate.leadership.is_held());
    candidate.done.cancel();
    candidate.ends().await.unwrap();
}

#[tokio::test]
async fn loses_when_it_cannot_renew() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("leader").await.unwrap();
    namespace
        .apply_yaml(
            "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: shop }
rules:
  - { apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create] }
  - { apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [shop], verbs: [get, patch] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: shop }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: shop }
subjects: [{ kind: ServiceAccount, name: shop }]
",
        )
        .await
        .unwrap();
    let account = namespace.client_as("shop").await.unwrap();
    let candidate = Candidate::start(&account, &namespace, "first");
    candidate.leads().await;

    let bindings: Api<RoleBinding> = Api::namespaced(client, &namespace);
    bindings.delete("shop", &DeleteParams::default()).await.unwrap();
    let leadership = candidate.leadership.clone();
    let lost = candidate.ends().await.unwrap_err();
    assert!(
        matches!(&lost, Lost::NotRenewed { lease, .. } if *lease == format!("{namespace}/shop")),
        "{lost}"
    );
    assert!(!leadership.is_held());
}

#[tokio::test]
async fn waits_for_a_further_lease_and_leads_only_with_it() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("leader").await.unwrap();
    let leases: Api<Lease> = Api::namespaced(client.clone(), &namespace);
    let original = Candidate::run(Election::new(client.clone(), &namespace, "original", "theirs"));
    original.leads().await;

    let ours =
        Candidate::run(Election::new(client, &namespace, "shop", "ours").also_hold(&namespace, "original"));
    wait_for(&leases, "shop", "our own Lease to be held", DEADLINE, |lease| holder(lease) == Some("ours"))
        .await
        .unwrap();
    assert!(!ours.leadership.is_held());

    original.done.cancel();
    original.ends().await.unwrap();
    ours.leads().await;
    assert_eq!(holder(&leases.get("original").await.unwrap()), Some("ours"));

    edit(&leases, "original", json!({ "spec": { "holderIdentity": "theirs" } })).await;
    let lost = ours.ends().await.unwrap_err();
    assert_eq!(lost, Lost::Taken { lease: format!("{namespace}/original"), holder: "theirs".to_owned() });
}
