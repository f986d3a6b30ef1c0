use super::*;
use integration_service_api::annotations::{AUTO_RELEASE, BUILD_START, IGNORE_SUPERSESSION};
use release_service_api::labels;
use rstest::rstest;
use serde_json::{Value, json};
use testkit::World;

use crate::conditions::Conditions;

fn now() -> Timestamp {
    "2024-03-01T12:00:00Z".parse().unwrap()
}

fn from<T: serde::de::DeserializeOwned>(object: Value) -> T {
    serde_json::from_value(object).unwrap()
}

/// A Snapshot of a push to Component `web` that has passed.
struct Tenant {
    world: World,
    now: Timestamp,
}

impl Tenant {
    fn new() -> Self {
        let mut world = World::default();
        world.insert(&from::<Application>(
            json!({"metadata": {"name": "app", "namespace": "n"}, "spec": {"displayName": "a"}}),
        ));
        world.insert(&from::<Component>(
            json!({"metadata": {"name": "web", "namespace": "n"}, "spec": {"application": "app"}}),
        ));
        let mut tenant = Self { world, now: now() };
        tenant.insert_snapshot("s", "web", 100);
        tenant
    }

    fn insert_snapshot(&mut self, name: &str, component: &str, began: i64) {
        self.world.insert(&from::<Snapshot>(json!({
            "metadata": {
                "name": name, "namespace": "n",
                "labels": {
                    "appstudio.openshift.io/component": component,
                    "test.appstudio.openshift.io/type": "component",
                    "test.appstudio.openshift.io/pipelinerunfinishtime": "1000",
                    "pac.test.appstudio.openshift.io/event-type": "push",
                    "pac.test.appstudio.openshift.io/sha": "abc",
                },
                "annotations": {
                    BUILD_START.as_str(): began.to_string(),
                    "pac.test.appstudio.openshift.io/sha-title": "Mend it",
                    "build.appstudio.redhat.com/commit_sha": "abc",
                    "fleet.konflux-ci.dev/traceparent": "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
                },
            },
            "spec": {"application": "app", "components": [{"name": component, "containerImage": "i"}]},
        })));
    }

    fn plan(&mut self, name: &str, labels: &Value) {
        self.plan_with(name, labels, &json!({}));
    }

    fn plan_with(&mut self, name: &str, labels: &Value, annotations: &Value) {
        self.world.insert(&from::<ReleasePlan>(json!({
            "metadata": {"name": name, "namespace": "n", "labels": labels, "annotations": annotations},
            "spec": {"application": "app"},
        })));
    }

    fn annotate(&mut self, key: &str, value: &str) {
        self.world.edit::<Snapshot>("n", "s", |snapshot| {
            snapshot.metadata.annotations.get_or_insert_default().insert(key.to_owned(), value.to_owned());
        });
    }

    fn seen(&self) -> Seen {
        let snapshot = Arc::new(self.snapshot());
        let all = |snapshot: &Snapshot| snapshot.name_any();
        let mut others: Vec<Arc<Snapshot>> = self.world.list("n").into_iter().map(Arc::new).collect();
        others.sort_by_key(|snapshot| all(snapshot));
        Seen {
            now: self.now,
            application: Arc::new(self.world.get("n", "app").unwrap()),
            is_listed: true,
            plans: self.world.list("n").into_iter().map(Arc::new).collect(),
            releases: self.releases().into_iter().map(Arc::new).collect(),
            component: self.world.get("n", "web").map(Arc::new),
            others,
            trace: TraceContext::of(&*snapshot),
            snapshot,
        }
    }

    fn snapshot(&self) -> Snapshot {
        self.world.get("n", "s").unwrap()
    }

    fn releases(&self) -> Vec<Release> {
        self.world.list("n")
    }

    /// As `deliver` does, until nothing is left to do.
    fn settle(&mut self) {
        let mut world = std::mem::take(&mut self.world);
        world.settle(|world| writes(world, self.now));
        self.world = world;
    }

    fn outcome(&self) -> Option<String> {
        let conditions = self.snapshot().status?.conditions;
        conditions
            .into_iter()
            .find(|condition| condition.type_ == "AutoReleased")
            .map(|condition| condition.message)
    }

    fn released_by(&self) -> Vec<String> {
        let mut plans: Vec<String> =
            self.releases().into_iter().map(|release| release.spec.release_plan).collect();
        plans.sort();
        plans
    }
}

fn writes(world: &World, now: Timestamp) -> Vec<Write> {
    let tenant = Tenant { world: world.clone(), now };
    let releases = decide(&tenant.seen());
    let conditions = Conditions { released: releases.outcome, ..Conditions::default() };
    let mut writes = releases.writes;
    writes.extend(conditions.write(&tenant.snapshot(), now));
    writes
}

#[test]
fn each_automatic_plan_gets_one_release() {
    let mut tenant = Tenant::new();
    tenant.plan("absent", &json!({}));
    tenant.plan("no", &json!({labels::AUTO_RELEASE.as_str(): "false"}));
    tenant.plan("yes", &json!({labels::AUTO_RELEASE.as_str(): "true"}));
    tenant.settle();
    assert_eq!(tenant.released_by(), ["absent", "yes"]);
    assert_eq!(tenant.outcome().as_deref(), Some("Released automatically by ReleasePlan absent, yes"));
    for release in tenant.releases() {
        assert_eq!(release.spec.snapshot, "s");
        assert_eq!(release.status.as_ref().unwrap().automated, Some(true));
        assert_eq!(
            (&*release.owner_references()[0].kind, release.owner_references()[0].controller),
            ("Application", Some(true))
        );
        let labels: Vec<_> = release.labels().keys().map(String::as_str).collect();
        assert_eq!(
            labels,
            [
                "appstudio.openshift.io/component",
                "pac.test.appstudio.openshift.io/event-type",
                "pac.test.appstudio.openshift.io/sha",
                "release.appstudio.openshift.io/automated",
            ]
        );
        let annotations: Vec<_> = release.annotations().keys().map(String::as_str).collect();
        assert_eq!(
            annotations,
            ["fleet.konflux-ci.dev/traceparent", "pac.test.appstudio.openshift.io/sha-title"]
        );
    }

    tenant.plan("later", &json!({}));
    tenant.settle();
    assert_eq!(tenant.released_by(), ["absent", "yes"], "it is asked once");
}

#[test]
fn without_a_plan_it_is_said_once() {
    let mut tenant = Tenant::new();
    tenant.settle();
    assert!(tenant.outcome().unwrap().starts_with("No ReleasePlan"));
    tenant.plan("later", &json!({}));
    tenant.settle();
    assert_eq!(tenant.releases(), []);
}

#[test]
fn nothing_is_said_while_plans_are_unknown() {
    let tenant = Tenant::new();
    let seen = Seen { is_listed: false, ..tenant.seen() };
    let decided = decide(&seen);
    assert_eq!((decided.outcome, decided.writes), (None, vec![]));
    assert_eq!(decided.wake, Wake::After(UNTIL_LISTED));
}

/// Killed after each number of writes, it ends where a calm run ends.
#[rstest]
fn settles_after_a_crash(#[values(0, 1, 2, 3, 4)] after: usize) {
    let mut calm = Tenant::new();
    for plan in ["a", "b"] {
        calm.plan(plan, &json!({}));
    }
    let mut world = calm.world.clone();
    calm.settle();
    for _ in 0..3 {
        let crashed: Vec<_> = writes(&world, now()).into_iter().take(after).collect();
        world.apply(&crashed);
    }
    let mut crashed = Tenant { world, now: now() };
    crashed.settle();
    assert!(crashed.world == calm.world);
}

#[rstest]
#[case::says_no(Some("false"), &[])]
#[case::says_no_loudly(Some(" FALSE\n"), &[])]
#[case::says_yes(Some("true"), &["p"])]
#[case::says_nothing(None, &["p"])]
fn the_build_may_say_no(#[case] said: Option<&str>, #[case] expected: &[&str]) {
    let mut tenant = Tenant::new();
    tenant.plan("p", &json!({}));
    if let Some(said) = said {
        tenant.annotate("test.appstudio.openshift.io/result-should-release", said);
    }
    tenant.settle();
    assert_eq!(tenant.released_by(), expected);
    assert!(tenant.outcome().is_some());
}

#[rstest]
#[case::component("updatedComponentIs('web')", true)]
#[case::another_component("updatedComponentIs('db')", false)]
#[case::build("shouldRelease()", false)]
#[case::snapshot("snapshot.spec.components.exists(c, c.name == 'web')", true)]
#[case::metadata(
    "snapshot.metadata.annotations['pac.test.appstudio.openshift.io/sha-title'].startsWith('Mend')",
    true
)]
#[case::now("now > '2024-01-01T00:00:00Z' && now < '2025-01-01T00:00:00Z'", true)]
fn an_expression_decides_alone(#[case] expression: &str, #[case] expected: bool) {
    let mut tenant = Tenant::new();
    tenant.annotate("test.appstudio.openshift.io/result-should-release", "false");
    // The other way round.
    let label = json!({labels::AUTO_RELEASE.as_str(): (!expected).to_string()});
    tenant.plan_with("p", &label, &json!({AUTO_RELEASE.as_str(): expression}));
    tenant.settle();
    assert_eq!(!tenant.releases().is_empty(), expected);
}

#[test]
fn a_wrong_expression_is_told_and_releases_nothing() {
    let mut tenant = Tenant::new();
    tenant.plan_with("bad", &json!({}), &json!({AUTO_RELEASE.as_str(): "now ++"}));
    tenant.plan("good", &json!({}));
    let told = decide(&tenant.seen()).writes;
    assert!(
        told.iter().any(|write| matches!(write, Write::Event(event) if event.reason == "ExpressionInvalid"))
    );
    tenant.settle();
    assert_eq!(tenant.released_by(), ["good"]);
    assert!(tenant.outcome().unwrap().ends_with("invalid of ReleasePlan bad"));
}

#[rstest]
#[case::newer("web", 200, true)]
#[case::older("web", 50, false)]
#[case::same("web", 100, false)]
#[case::another_component("db", 200, false)]
fn a_newer_build_supersedes(#[case] component: &str, #[case] began: i64, #[case] expected: bool) {
    let mut tenant = Tenant::new();
    tenant.plan("p", &json!({}));
    tenant.insert_snapshot("other", component, began);
    tenant.settle();
    assert_eq!(tenant.releases().is_empty(), expected);
    let outcome = tenant.outcome().unwrap();
    assert_eq!(
        outcome.contains("Snapshot other is of a newer build of Component web"),
        expected,
        "{outcome}"
    );
}

#[test]
fn what_was_promoted_supersedes_though_its_snapshot_is_gone() {
    let mut tenant = Tenant::new();
    tenant.plan("p", &json!({}));
    tenant.world.edit::<Component>("n", "web", |component| {
        component.metadata.annotations =
            Some([("fleet.konflux-ci.dev/promoted-build".to_owned(), "200/300".to_owned())].into());
    });
    tenant.settle();
    assert_eq!(tenant.releases(), []);
    assert!(tenant.outcome().unwrap().contains("the candidate list has a newer build"));
}

#[rstest]
#[case::pull_request(|snapshot: &mut Snapshot| {
    snapshot.labels_mut().insert("pac.test.appstudio.openshift.io/event-type".to_owned(), "pull_request".to_owned());
})]
#[case::restored(|snapshot: &mut Snapshot| {
    snapshot.labels_mut().insert("velero.io/restore-name".to_owned(), "r".to_owned());
})]
#[case::over(|snapshot: &mut Snapshot| {
    snapshot.labels_mut().insert("test.appstudio.openshift.io/type".to_owned(), "override".to_owned());
})]
fn only_builds_of_pushes_supersede(#[case] change: fn(&mut Snapshot)) {
    let mut tenant = Tenant::new();
    tenant.plan("p", &json!({}));
    tenant.insert_snapshot("other", "web", 200);
    tenant.world.edit::<Snapshot>("n", "other", change);
    tenant.settle();
    assert_eq!(tenant.released_by(), ["p"]);
}

#[test]
fn supersession_can_be_ignored() {
    let mut tenant = Tenant::new();
    tenant.plan("p", &json!({}));
    tenant.insert_snapshot("other", "web", 200);
    tenant.annotate(IGNORE_SUPERSESSION.as_str(), "true");
    tenant.settle();
    assert_eq!(tenant.released_by(), ["p"]);
}

/// What was begun is brought to its end.
#[test]
fn a_newer_build_does_not_leave_a_release_without_its_mark() {
    let mut tenant = Tenant::new();
    tenant.plan("p", &json!({}));
    let first: Vec<_> = writes(&tenant.world, now()).into_iter().take(1).collect();
    tenant.world.apply(&first);
    tenant.insert_snapshot("other", "web", 200);
    tenant.settle();
    assert_eq!(tenant.releases()[0].status.as_ref().unwrap().automated, Some(true));
}

fn unmark(tenant: &mut Tenant, created: &str, change: impl FnOnce(&mut Release)) {
    let name = tenant.releases()[0].name_any();
    tenant.world.edit::<Release>("n", &name, |release| {
        release.metadata.creation_timestamp = Some(from(json!(created)));
        release.status = None;
        change(release);
    });
}

#[rstest]
#[case::ours("2024-03-01T12:00:00Z", |_: &mut Release| {}, true)]
#[case::made_later("2024-03-01T12:00:01Z", |_: &mut Release| {}, false)]
#[case::with_data_of_a_user("2024-03-01T12:00:00Z", |release: &mut Release| release.spec.data = Some(json!({})), false)]
#[case::without_our_label("2024-03-01T12:00:00Z", |release: &mut Release| release.metadata.labels = None, false)]
fn gives_the_mark_back_to_what_is_ours(
    #[case] created: &str,
    #[case] change: impl FnOnce(&mut Release),
    #[case] expected: bool,
) {
    let mut tenant = Tenant::new();
    tenant.plan("p", &json!({}));
    tenant.settle();
    unmark(&mut tenant, created, change);
    tenant.settle();
    let automated = tenant.releases()[0].status.clone().and_then(|status| status.automated);
    assert_eq!(automated == Some(true), expected);
}

#[test]
fn a_release_of_a_user_by_the_plan_is_enough_and_stays_theirs() {
    let mut tenant = Tenant::new();
    tenant.plan("p", &json!({}));
    tenant.world.insert(&from::<Release>(json!({
        "metadata": {"name": "mine", "namespace": "n", "labels": {"release.appstudio.openshift.io/automated": "true"}},
        "spec": {"snapshot": "s", "releasePlan": "p"},
    })));
    tenant.settle();
    let releases = tenant.releases();
    assert_eq!(releases.len(), 1);
    assert_eq!(releases[0].status, None);
}
