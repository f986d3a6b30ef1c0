use super::*;
use rstest::rstest;
use serde_json::{Value, json};
use testkit::World;

fn now() -> Timestamp {
    "2024-03-01T12:00:00Z".parse().unwrap()
}

fn read<K: serde::de::DeserializeOwned>(object: Value) -> K {
    serde_json::from_value(object).unwrap()
}

fn admission(labels: &Value) -> Arc<ReleasePlanAdmission> {
    Arc::new(read(json!({
        "metadata": {"name": "a", "namespace": "managed", "labels": labels},
        "spec": {"applications": ["shop"], "origin": "dev", "policy": "p"},
    })))
}

fn application(metadata: &Value) -> Owner {
    let mut application: Application = read(
        json!({"metadata": {"name": "shop", "namespace": "dev", "uid": "u"}, "spec": {"displayName": "s"}}),
    );
    let changes: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta = read(metadata.clone());
    application.metadata.annotations = changes.annotations;
    application.metadata.deletion_timestamp = changes.deletion_timestamp;
    Owner::There(Box::new(application))
}

/// A plan in a world where decisions are carried out.
struct Tenant(World);

impl Tenant {
    fn new(metadata: &Value) -> Self {
        let mut plan = json!({
            "metadata": {"name": "p", "namespace": "dev"}, "spec": {"application": "shop", "target": "managed"},
        });
        for (key, value) in metadata.as_object().into_iter().flatten() {
            plan["metadata"][key] = value.clone();
        }
        let mut world = World::default();
        world.insert(&read::<ReleasePlan>(plan));
        Self(world)
    }

    fn plan(&self) -> ReleasePlan {
        self.0.get("dev", "p").unwrap()
    }

    fn decide(
        &mut self,
        now: Timestamp,
        admission: Result<Arc<ReleasePlanAdmission>, Mismatch>,
        owner: Owner,
    ) -> Decision<Hold> {
        let decision = decide(&Seen { now, plan: Arc::new(self.plan()), admission, owner });
        self.0.apply(&decision.writes);
        decision
    }

    /// Condition's status and message, name and activity of the admission.
    fn said(&self) -> (String, String, Option<String>, bool) {
        let status = self.plan().status.unwrap();
        assert_eq!((status.conditions.len(), status.conditions[0].type_.as_str()), (1, "Matched"));
        let condition = &status.conditions[0];
        assert_eq!(condition.reason, "Matched");
        let admission = status.release_plan_admission.unwrap();
        (condition.status.clone(), condition.message.clone(), admission.name, admission.active)
    }
}

#[rstest]
#[case::open(json!({}), true)]
#[case::switched_off(json!({"release.appstudio.openshift.io/block-releases": "true"}), false)]
fn names_its_admission(#[case] labels: Value, #[case] active: bool) {
    let mut tenant = Tenant::new(&json!({}));
    let _ = tenant.decide(now(), Ok(admission(&labels)), Owner::NotWanted);
    assert_eq!(tenant.said(), ("True".into(), String::new(), Some("managed/a".into()), active));
}

#[rstest]
#[case::none(Mismatch::None { target: "t".into(), origin: "dev".into(), application: "shop".into() }, "no ReleasePlanAdmission")]
#[case::several(
    Mismatch::Several { target: "t".into(), origin: "dev".into(), application: "shop".into(), names: vec!["a".into(), "b".into()] },
    "a, b"
)]
#[case::no_target(Mismatch::NoTarget, "no target")]
fn says_why_it_has_none(#[case] mismatch: Mismatch, #[case] expected: &str) {
    let mut tenant = Tenant::new(&json!({}));
    let _ = tenant.decide(now(), Ok(admission(&json!({}))), Owner::NotWanted);
    let _ = tenant.decide(now(), Err(mismatch), Owner::NotWanted);
    let (status, message, name, active) = tenant.said();
    assert_eq!((status.as_str(), name, active), ("False", None, false));
    assert!(message.contains(expected), "{message}");
}

#[test]
fn says_nothing_twice() {
    let mut tenant = Tenant::new(&json!({}));
    let later = now() + jiff::SignedDuration::from_mins(1);
    let _ = tenant.decide(now(), Ok(admission(&json!({}))), Owner::NotWanted);
    let said = tenant.plan();
    let decision = tenant.decide(later, Ok(admission(&json!({}))), Owner::NotWanted);
    assert_eq!((decision.hold, decision.writes.len()), (Some(Hold::UpToDate), 0));
    // What becomes of the admission is told; when the plan was matched is not touched by that.
    let blocked = admission(&json!({"release.appstudio.openshift.io/block-releases": "true"}));
    let _ = tenant.decide(later, Ok(blocked), Owner::NotWanted);
    assert!(!tenant.said().3);
    let time = |plan: &ReleasePlan| plan.status.clone().unwrap().conditions[0].last_transition_time.clone();
    assert_eq!(time(&tenant.plan()), time(&said));
    let _ = tenant.decide(later, Err(Mismatch::NoTarget), Owner::NotWanted);
    assert_ne!(time(&tenant.plan()), time(&said));
}

#[test]
fn publishes_no_event() {
    let mut tenant = Tenant::new(&json!({}));
    let decision = tenant.decide(now(), Err(Mismatch::NoTarget), Owner::NotWanted);
    let Write::Status(apply) = &decision.writes[0] else { panic!("{:?}", decision.writes) };
    assert_eq!(apply.transitions, []);
}

#[rstest]
#[case::there(application(&json!({})), true, Wake::OnChange)]
#[case::missing(Owner::Missing, false, Wake::After(MISSING))]
#[case::not_wanted(Owner::NotWanted, false, Wake::OnChange)]
#[case::going(application(&json!({"deletionTimestamp": "2024-03-01T12:00:00Z"})), false, Wake::OnChange)]
#[case::tracked(application(&json!({"annotations": {"argocd.argoproj.io/tracking-id": "x"}})), false, Wake::OnChange)]
fn is_owned_by_its_application(#[case] owner: Owner, #[case] is_owned: bool, #[case] wake: Wake) {
    let mut tenant = Tenant::new(&json!({}));
    let decision = tenant.decide(now(), Err(Mismatch::NoTarget), owner);
    assert_eq!(decision.wake, wake);
    let owners = tenant.plan().owner_references().to_vec();
    let owners: Vec<_> = owners.iter().map(|owner| (owner.kind.as_str(), owner.controller)).collect();
    assert_eq!(owners, if is_owned { vec![("Application", Some(true))] } else { vec![] });
    assert_eq!(tenant.said().0, "False", "the status is said in any case");
}

#[rstest]
#[case::new(json!({}), true)]
#[case::owned(json!({"ownerReferences": [{"apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "Application", "name": "shop", "uid": "u"}]}), false)]
#[case::controlled(json!({"ownerReferences": [{"apiVersion": "v1", "kind": "Thing", "name": "t", "uid": "u", "controller": true}]}), false)]
#[case::owned_by_another(json!({"ownerReferences": [{"apiVersion": "v1", "kind": "Thing", "name": "t", "uid": "u"}]}), true)]
#[case::tracked_by_annotation(json!({"annotations": {"argocd.argoproj.io/tracking-id": "x"}}), false)]
#[case::tracked_by_label(json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "x"}}), false)]
#[case::restored(json!({"labels": {"velero.io/restore-name": "x"}}), false)]
#[case::going(json!({"deletionTimestamp": "2024-03-01T12:00:00Z"}), false)]
fn wants_an_owner(#[case] metadata: Value, #[case] expected: bool) {
    assert_eq!(wants_owner(&read(json!({"metadata": metadata, "spec": {}}))), expected);
}

#[rstest]
#[case::going(json!({"deletionTimestamp": "2024-03-01T12:00:00Z", "finalizers": ["a.b/c"]}), Hold::BeingDeleted)]
#[case::restored(json!({"labels": {"velero.io/restore-name": "x"}}), Hold::Restored)]
fn is_left_alone(#[case] metadata: Value, #[case] expected: Hold) {
    let mut plan: ReleasePlan = read(json!({"metadata": metadata, "spec": {}}));
    plan.metadata.name = Some("p".to_owned());
    let seen = Seen {
        now: now(),
        plan: Arc::new(plan),
        admission: Ok(admission(&json!({}))),
        owner: application(&json!({})),
    };
    assert_eq!(decide(&seen), Decision::from(expected));
}
