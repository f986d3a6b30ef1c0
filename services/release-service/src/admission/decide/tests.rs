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

fn plan(name: &str, is_automatic: &str) -> Arc<ReleasePlan> {
    Arc::new(read(json!({
        "metadata": {
            "name": name, "namespace": "dev", "labels": {"release.appstudio.openshift.io/auto-release": is_automatic},
        },
        "spec": {"application": "shop", "target": "managed"},
    })))
}

/// An admission in a world where decisions are carried out.
struct Managed(World);

impl Managed {
    fn new() -> Self {
        let mut world = World::default();
        world.insert(&read::<ReleasePlanAdmission>(json!({
            "metadata": {"name": "a", "namespace": "managed"},
            "spec": {"applications": ["shop", "web"], "origin": "dev", "policy": "p"},
        })));
        Self(world)
    }

    fn admission(&self) -> ReleasePlanAdmission {
        self.0.get("managed", "a").unwrap()
    }

    fn decide(&mut self, minute: i64, plans: &[Arc<ReleasePlan>]) -> Decision<Hold> {
        self.decide_with(minute, plans, RetryInfo::default())
    }

    fn decide_with(
        &mut self,
        minute: i64,
        plans: &[Arc<ReleasePlan>],
        retry_info: RetryInfo,
    ) -> Decision<Hold> {
        let seen = Seen {
            now: now() + jiff::SignedDuration::from_mins(minute),
            admission: Arc::new(self.admission()),
            plans: plans.to_vec(),
            retry_info,
        };
        let decision = decide(&seen);
        self.0.apply(&decision.writes);
        decision
    }

    /// Status of the condition, the minute of its time, the plans.
    fn said(&self) -> (String, i64, Vec<(String, bool)>) {
        let status = self.admission().status.unwrap();
        assert_eq!(status.conditions.len(), 1);
        let condition = &status.conditions[0];
        assert_eq!((condition.type_.as_str(), condition.reason.as_str()), ("Matched", "Matched"));
        let minute = (condition.last_transition_time.0 - now()).total(jiff::Unit::Minute).unwrap();
        let plans = status.release_plans.into_iter().map(|plan| (plan.name, plan.active)).collect();
        #[expect(clippy::cast_possible_truncation, reason = "a small number")]
        (condition.status.clone(), minute as i64, plans)
    }
}

fn list(plans: &[(&str, bool)]) -> Vec<(String, bool)> {
    plans.iter().map(|(name, active)| ((*name).to_owned(), *active)).collect()
}

#[test]
fn lists_its_plans() {
    let mut managed = Managed::new();
    let _ = managed.decide(0, &[plan("b", "false"), plan("c", "true"), plan("d", "a.b")]);
    let plans = list(&[("dev/b", false), ("dev/c", true), ("dev/d", true)]);
    assert_eq!(managed.said(), ("True".to_owned(), 0, plans));
}

#[test]
fn has_an_empty_list_and_says_why() {
    let mut managed = Managed::new();
    let _ = managed.decide(0, &[]);
    assert_eq!(managed.said(), ("False".to_owned(), 0, list(&[])));
    let message = managed.admission().status.unwrap().conditions[0].message.clone();
    assert_eq!(
        message,
        "no ReleasePlan in namespace dev has target managed and one of the Applications shop, web"
    );
    let written: Value = serde_json::to_value(managed.admission()).unwrap();
    assert_eq!(written["status"]["releasePlans"], json!([]));
}

/// The time is that of the last change of anything that the list says.
#[rstest]
#[case::another(&[("p", "true"), ("q", "true")], 1)]
#[case::none(&[], 1)]
#[case::switched_off(&[("p", "false")], 1)]
#[case::the_same(&[("p", "true")], 0)]
fn renews_its_time(#[case] plans: &[(&str, &str)], #[case] minute: i64) {
    let mut managed = Managed::new();
    let _ = managed.decide(0, &[plan("p", "true")]);
    let plans: Vec<_> = plans.iter().map(|(name, automatic)| plan(name, automatic)).collect();
    let decision = managed.decide(1, &plans);
    assert_eq!(managed.said().1, minute);
    assert_eq!(decision.hold == Some(Hold::UpToDate), minute == 0);
    assert_eq!(decision.writes.is_empty(), minute == 0);
}

#[test]
fn says_whether_runs_are_repeated() {
    let mut managed = Managed::new();
    let info = RetryInfo { enabled: Some(true), max_retries: Some(2), ..RetryInfo::default() };
    let _ = managed.decide_with(0, &[], info.clone());
    assert_eq!(managed.admission().status.unwrap().retry_info, Some(info));
    let _ = managed.decide(1, &[]);
    assert_eq!(managed.admission().status.unwrap().retry_info, None);
    assert_eq!(managed.said().1, 0, "that is no other list");
}

#[test]
fn an_empty_origin_is_named() {
    let admission: ReleasePlanAdmission = read(json!({
        "metadata": {"name": "a", "namespace": "managed"}, "spec": {"applications": ["shop"]},
    }));
    assert!(unmatched(&admission).starts_with("spec.origin is empty"));
}

#[test]
fn many_applications_are_not_all_named() {
    let names: Vec<String> = (0..30).map(|number| format!("app-{number}")).collect();
    let listed = listed(&names);
    assert!(listed.ends_with("app-19, …"), "{listed}");
}

#[rstest]
#[case::going(json!({"deletionTimestamp": "2024-03-01T12:00:00Z", "finalizers": ["a.b/c"]}), Hold::BeingDeleted)]
#[case::restored(json!({"labels": {"velero.io/restore-name": "x"}}), Hold::Restored)]
fn is_left_alone(#[case] metadata: Value, #[case] expected: Hold) {
    let mut admission: ReleasePlanAdmission = read(json!({"metadata": metadata, "spec": {}}));
    admission.metadata.name = Some("a".to_owned());
    let seen = Seen {
        now: now(),
        admission: Arc::new(admission),
        plans: vec![plan("p", "true")],
        retry_info: RetryInfo::default(),
    };
    assert_eq!(decide(&seen), Decision::from(expected));
}
