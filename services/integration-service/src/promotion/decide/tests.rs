use super::*;
use application_service_api::snapshot::SnapshotSource;
use application_service_api::source::GitSource;
use fleet_api::Condition;
use integration_service_api::annotations::{BUILD_START, STATUS};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};
use testkit::World;

use crate::content::{NewSnapshot, Purpose, candidates};

/// More than any test needs: a controller that needs more runs in circles.
const MOST_STEPS: usize = 500;

const NAMES: [&str; 5] = ["api", "db", "job", "lib", "web"];

fn now() -> Timestamp {
    "2024-03-01T12:00:00Z".parse().unwrap()
}

/// Image number `build` of a Component.
fn image(component: &str, build: usize) -> String {
    format!("reg.test/{component}@sha256:{build:064x}")
}

fn commit(build: usize) -> String {
    format!("commit-{build}")
}

fn entry(component: &str, build: usize) -> SnapshotComponent {
    let git = GitSource {
        url: format!("https://git.test/{component}"),
        revision: Some(commit(build)),
        ..GitSource::default()
    };
    SnapshotComponent {
        name: component.to_owned(),
        container_image: image(component, build),
        source: Some(SnapshotSource { git: Some(git) }),
        ..SnapshotComponent::default()
    }
}

/// An Application with one scenario, of which the first image of each Component is in the candidate list.
struct Tenant {
    world: World,
    promotion: Promotion,
    set_aside: BTreeSet<String>,
}

impl Tenant {
    fn new(components: &[&str]) -> Self {
        let mut world = World::default();
        let parse = |object: Value| object;
        world.insert(&from::<Application>(parse(json!({
            "metadata": {"name": "app", "namespace": "n"}, "spec": {"displayName": "app"},
        }))));
        world.insert(&from::<IntegrationTestScenario>(json!({
            "metadata": {"name": "must", "namespace": "n"},
            "spec": {"application": "app", "resolverRef": {"resolver": "git", "params": []}},
        })));
        for name in components {
            world.insert(&from::<Component>(json!({
                "metadata": {"name": name, "namespace": "n"},
                "spec": {
                    "application": "app", "componentName": name, "containerImage": image(name, 1),
                    "source": {"git": {"url": format!("https://git.test/{name}")}},
                },
                "status": {"lastPromotedImage": image(name, 1), "lastBuiltCommit": commit(1)},
            })));
        }
        Self { world, promotion: Promotion::Tests, set_aside: BTreeSet::new() }
    }

    fn application(&self) -> Option<Arc<Application>> {
        self.world.get("n", "app").map(Arc::new)
    }

    fn observe(&self) -> Observed {
        let snapshots = self.world.list::<Snapshot>("n").into_iter().map(Arc::new);
        Observed {
            now: now(),
            promotion: self.promotion,
            mirrors: true,
            application: self.application(),
            components: self.world.list("n").into_iter().map(Arc::new).collect(),
            scenarios: self.world.list("n").into_iter().map(Arc::new).collect(),
            snapshots: snapshots.filter(|snapshot| !super::super::is_settled(snapshot)).collect(),
            set_aside: self.set_aside.clone(),
        }
    }

    /// What was built is made a Snapshot of, as the candidate list now is. A later build has a larger number.
    fn build(&mut self, component: &str, build: usize) -> String {
        let components: Vec<Arc<Component>> = self.world.list("n").into_iter().map(Arc::new).collect();
        let mut list = candidates(&components);
        list.with(entry(component, build));
        let application = self.application().unwrap();
        let name = format!("{component}-{build}");
        let run = from(json!({"metadata": {"name": name, "uid": format!("run-{name}")}, "spec": {}}));
        let finished = Timestamp::from_second(10_000 - i64::try_from(build).unwrap()).unwrap();
        let new = NewSnapshot {
            application: &application,
            purpose: Purpose::Build { component, run: &run, finished },
            components: list.entries,
            labels: [("pac.test.appstudio.openshift.io/event-type".to_owned(), "push".to_owned())].into(),
            annotations: [(BUILD_START.into(), build.to_string())].into(),
            trace: None,
        };
        let snapshot = new.build();
        self.world.insert(&snapshot);
        snapshot.name_any()
    }

    /// The tests of a Snapshot end.
    fn ends(&mut self, name: &str, state: &str) {
        self.world.edit::<Snapshot>("n", name, |snapshot| {
            let record = json!([{"scenario": "must", "status": state, "lastUpdateTime": "2024-03-01T12:00:00Z", "details": ""}]);
            snapshot.metadata.annotations.get_or_insert_default().insert(STATUS.into(), record.to_string());
            let conditions = &mut snapshot.status.get_or_insert_default().conditions;
            conditions.retain(|condition| condition.type_ != "AppStudioIntegrationStatus");
            conditions.push(from::<Condition>(json!({
                "type": "AppStudioIntegrationStatus", "status": "True", "reason": "Finished", "message": "",
                "lastTransitionTime": "2024-03-01T12:00:00Z",
            })));
        });
    }

    /// Takes all steps that there are.
    fn settle(&mut self) {
        for _ in 0..MOST_STEPS {
            let Ok(step) = decide(&self.observe()) else { return };
            self.world.apply(&step.writes);
        }
        panic!("still writing after {MOST_STEPS} steps");
    }

    fn snapshot(&self, name: &str) -> Snapshot {
        self.world.get("n", name).unwrap()
    }

    /// Reasons of what a Snapshot says, the list first.
    fn says(&self, name: &str) -> (Option<bool>, Option<String>, bool) {
        let snapshot = self.snapshot(name);
        let status = snapshot.integration_reason().map(str::to_owned);
        (snapshot.passed(), status, snapshot.has::<AddedToGlobalCandidateList>())
    }

    fn composites(&self) -> Vec<Snapshot> {
        let all = self.world.list::<Snapshot>("n").into_iter();
        all.filter(|snapshot| type_of(snapshot) == Some(snapshot_type::COMPOSITE)).collect()
    }

    /// The image, commit and mirrored image of a Component.
    fn candidate(&self, name: &str) -> (String, String, String) {
        let component: Component = self.world.get("n", name).unwrap();
        let status = component.status.unwrap();
        (
            status.last_promoted_image.unwrap_or_default(),
            status.last_built_commit.unwrap_or_default(),
            component.spec.container_image.unwrap_or_default(),
        )
    }

    fn edit(&mut self, component: &str, change: impl FnOnce(&mut Component)) {
        self.world.edit::<Component>("n", component, change);
    }
}

fn from<T: serde::de::DeserializeOwned>(object: Value) -> T {
    serde_json::from_value(object).unwrap()
}

fn is(component: &str, build: usize) -> (String, String, String) {
    (image(component, build), commit(build), image(component, build))
}

fn images(snapshot: &Snapshot) -> Vec<String> {
    snapshot.spec.components.iter().map(|entry| entry.container_image.clone()).collect()
}

const PASSED: (Option<bool>, Option<&str>, bool) = (Some(true), Some("Finished"), true);
const FAILED: (Option<bool>, Option<&str>, bool) = (Some(false), Some("Finished"), false);
const SUPERSEDED: (Option<bool>, Option<&str>, bool) = (None, Some("Invalid"), false);

#[track_caller]
fn check(tenant: &Tenant, snapshot: &str, expected: (Option<bool>, Option<&str>, bool)) {
    let (passed, status, is_added) = tenant.says(snapshot);
    assert_eq!((passed, status.as_deref(), is_added), expected, "{snapshot}");
}

#[test]
fn what_passed_is_in_the_list() {
    let mut tenant = Tenant::new(&["db", "web"]);
    let name = tenant.build("web", 2);
    tenant.settle();
    assert_eq!(tenant.candidate("web"), is("web", 1), "its tests have not ended");
    tenant.ends(&name, "TestPassed");
    tenant.settle();
    check(&tenant, &name, PASSED);
    assert_eq!(tenant.candidate("web"), is("web", 2));
    assert_eq!(tenant.candidate("db"), is("db", 1));
}

#[test]
fn what_failed_is_not() {
    let mut tenant = Tenant::new(&["db", "web"]);
    let name = tenant.build("web", 2);
    tenant.ends(&name, "TestFail");
    tenant.settle();
    check(&tenant, &name, FAILED);
    assert_eq!(tenant.candidate("web"), is("web", 1));
}

#[test]
fn of_two_that_pass_together_the_later_is_tested_with_the_earlier() {
    let mut tenant = Tenant::new(&["db", "web"]);
    let (web, db) = (tenant.build("web", 2), tenant.build("db", 3));
    tenant.ends(&web, "TestPassed");
    tenant.ends(&db, "TestPassed");
    tenant.settle();
    check(&tenant, &web, PASSED);
    check(&tenant, &db, SUPERSEDED);
    assert_eq!((tenant.candidate("web"), tenant.candidate("db")), (is("web", 2), is("db", 1)));

    let [composite] = &tenant.composites()[..] else { panic!("one composite") };
    assert_eq!(images(composite), [image("db", 3), image("web", 2)]);
    assert_eq!(component_of(composite), Some("db"));
    assert_eq!(Age::of(composite), Age::of(&tenant.snapshot(&db)));
    assert!(composite.annotations()[STATUS.as_str()].contains("Pending"), "its tests are set up");
    assert!(!composite.labels().contains_key("appstudio.openshift.io/build-pipelinerun"), "no run made it");
    tenant.ends(&composite.name_any(), "TestPassed");
    tenant.settle();
    check(&tenant, &composite.name_any(), PASSED);
    assert_eq!(tenant.candidate("db"), is("db", 3));
}

/// It may have failed for the want of what was promoted meanwhile.
#[test]
fn what_failed_with_the_list_of_before_is_tested_again() {
    let mut tenant = Tenant::new(&["db", "web"]);
    let (web, db) = (tenant.build("web", 2), tenant.build("db", 3));
    tenant.ends(&web, "TestPassed");
    tenant.ends(&db, "TestFail");
    tenant.settle();
    check(&tenant, &db, SUPERSEDED);
    assert_eq!(tenant.composites().len(), 1);
}

#[test]
fn a_composite_is_measured_against_the_list_of_its_end() {
    let mut tenant = Tenant::new(&["db", "job", "web"]);
    let names = [tenant.build("web", 2), tenant.build("db", 3), tenant.build("job", 4)];
    for name in &names {
        tenant.ends(name, "TestPassed");
    }
    tenant.settle();
    let first = tenant.composites();
    assert_eq!(first.len(), 2, "of db and of job");
    for composite in &first {
        tenant.ends(&composite.name_any(), "TestPassed");
    }
    tenant.settle();
    assert_eq!((tenant.candidate("db"), tenant.candidate("job")), (is("db", 3), is("job", 1)));
    let last: Vec<_> = tenant
        .composites()
        .into_iter()
        .filter(|new| !first.iter().any(|old| old.name_any() == new.name_any()))
        .collect();
    let [last] = &last[..] else { panic!("one more: {last:?}") };
    assert_eq!(images(last), [image("db", 3), image("job", 4), image("web", 2)]);
}

#[test]
fn a_newer_build_ends_the_composite_of_an_older_one() {
    let mut tenant = Tenant::new(&["db", "web"]);
    let (web, older, newer) = (tenant.build("web", 2), tenant.build("db", 3), tenant.build("db", 4));
    tenant.ends(&web, "TestPassed");
    tenant.ends(&older, "TestPassed");
    tenant.settle();
    let first = tenant.composites().remove(0);
    tenant.ends(&newer, "TestPassed");
    tenant.settle();
    check(&tenant, &first.name_any(), SUPERSEDED);
    assert_eq!(tenant.composites().len(), 2);
}

/// Numbers are in the order in which the builds began; here they end in the other order.
#[test]
fn an_older_build_that_passes_later_leaves_the_newer_one() {
    let mut tenant = Tenant::new(&["db", "web"]);
    let (older, newer) = (tenant.build("web", 2), tenant.build("web", 3));
    tenant.ends(&newer, "TestPassed");
    tenant.settle();
    tenant.ends(&older, "TestPassed");
    tenant.settle();
    check(&tenant, &older, PASSED);
    assert_eq!(tenant.candidate("web"), is("web", 3));
    assert_eq!(tenant.composites(), [], "nobody waits for the older one");
    let added = tenant.snapshot(&older).status.unwrap().conditions;
    let added = added.iter().find(|condition| condition.type_ == "AddedToGlobalCandidateList").unwrap();
    assert!(added.message.contains("newer build"), "{}", added.message);
}

#[test]
fn testing_again_what_is_listed_makes_no_composite() {
    let mut tenant = Tenant::new(&["db", "web"]);
    let (web, db) = (tenant.build("web", 2), "db");
    tenant.ends(&web, "TestPassed");
    tenant.settle();
    let later = tenant.build(db, 3);
    tenant.ends(&later, "TestPassed");
    tenant.settle();
    tenant.world.edit::<Snapshot>("n", &web, |snapshot| {
        snapshot
            .status
            .get_or_insert_default()
            .conditions
            .retain(|condition| condition.type_ != "AppStudioTestSucceeded");
    });
    tenant.ends(&web, "TestFail");
    tenant.settle();
    assert_eq!(tenant.says(&web).0, Some(false));
    assert_eq!(tenant.composites(), []);
}

#[rstest]
#[case::argo("argocd.argoproj.io/tracking-id", "app")]
#[case::said_so("fleet.konflux-ci.dev/mirror-container-image", "false")]
fn keeps_the_image_that_others_write(#[case] key: &str, #[case] value: &str) {
    let mut tenant = Tenant::new(&["db", "web"]);
    tenant.edit("web", |component| {
        component.metadata.annotations.get_or_insert_default().insert(key.to_owned(), value.to_owned());
    });
    let name = tenant.build("web", 2);
    tenant.ends(&name, "TestPassed");
    tenant.settle();
    check(&tenant, &name, PASSED);
    assert_eq!(tenant.candidate("web"), (image("web", 2), commit(2), image("web", 1)));
}

#[test]
fn with_promotion_at_the_build_nothing_waits() {
    let mut tenant = Tenant::new(&["db", "web"]);
    tenant.promotion = Promotion::Build;
    let (newer, older) = (tenant.build("web", 3), tenant.build("web", 2));
    let db = tenant.build("db", 4);
    tenant.settle();
    for name in [&newer, &older, &db] {
        assert_eq!(tenant.says(name), (None, None, true), "{name}");
    }
    assert_eq!((tenant.candidate("web"), tenant.candidate("db")), (is("web", 3), is("db", 4)));
    assert_eq!(tenant.composites(), []);
}

fn over(entries: &[SnapshotComponent]) -> Snapshot {
    from(json!({
        "metadata": {
            "name": "over", "namespace": "n", "creationTimestamp": "2024-03-01T11:00:00Z",
            "labels": {"test.appstudio.openshift.io/type": "override"},
        },
        "spec": {"application": "app", "components": entries},
    }))
}

#[test]
fn an_override_sets_the_list() {
    let mut tenant = Tenant::new(&["db", "web"]);
    let older = tenant.build("web", 5);
    tenant.world.insert(&over(&[entry("db", 2), entry("web", 3)]));
    tenant.settle();
    assert!(tenant.says("over").2);
    assert_eq!((tenant.candidate("web"), tenant.candidate("db")), (is("web", 3), is("db", 2)));
    tenant.ends(&older, "TestPassed");
    tenant.settle();
    assert_eq!(tenant.candidate("web"), is("web", 3), "it was said after that build");
}

#[test]
fn an_override_with_a_fault_sets_nothing() {
    let mut tenant = Tenant::new(&["db", "web"]);
    tenant.world.insert(&over(&[entry("db", 2), entry("gone", 3)]));
    tenant.settle();
    assert!(!tenant.says("over").2);
    assert_eq!(tenant.candidate("db"), is("db", 1));
}

#[test]
fn a_step_that_was_refused_holds_up_no_other() {
    let mut tenant = Tenant::new(&["db", "web"]);
    let (web, db) = (tenant.build("web", 2), tenant.build("db", 3));
    tenant.ends(&web, "TestPassed");
    tenant.ends(&db, "TestPassed");
    tenant.set_aside = [tenant.snapshot(&web).uid().unwrap()].into();
    tenant.settle();
    check(&tenant, &db, PASSED);
    assert_eq!(tenant.says(&web).0, None);
}

#[test]
fn what_was_made_for_the_rest_of_a_component_that_went_needs_no_substitute() {
    let mut tenant = Tenant::new(&["db", "web"]);
    let gone =
        from::<Component>(json!({"metadata": {"name": "gone", "uid": "g"}, "spec": {"application": "app"}}));
    let application = tenant.application().unwrap();
    let new = NewSnapshot {
        application: &application,
        purpose: Purpose::Removal { component: &gone },
        components: vec![entry("db", 1), entry("web", 1)],
        labels: std::collections::BTreeMap::new(),
        annotations: std::collections::BTreeMap::new(),
        trace: None,
    };
    let rest = new.build();
    tenant.world.insert(&rest);
    let web = tenant.build("web", 2);
    tenant.ends(&web, "TestPassed");
    tenant.settle();
    tenant.ends(&rest.name_any(), "TestPassed");
    tenant.settle();
    check(&tenant, &rest.name_any(), SUPERSEDED);
    assert_eq!(tenant.composites().len(), 1, "that is itself");
}

#[rstest]
#[case::no_digest("reg.test/web:latest")]
#[case::nothing("")]
fn an_image_without_digest_stays_out(#[case] image: &str) {
    let mut tenant = Tenant::new(&["db", "web"]);
    let mut by_hand = over(&[SnapshotComponent { container_image: image.to_owned(), ..entry("web", 2) }]);
    let labels = [("appstudio.openshift.io/component".to_owned(), "web".to_owned())].into();
    by_hand.metadata.labels = Some(labels);
    by_hand.status = Some(from(json!({"conditions": [{
        "type": "AppStudioTestSucceeded", "status": "True", "reason": "Passed", "message": "",
        "lastTransitionTime": "2024-03-01T12:00:00Z",
    }]})));
    tenant.world.insert(&by_hand);
    tenant.settle();
    assert!(tenant.says("over").2, "it is done with");
    assert_eq!(tenant.candidate("web"), is("web", 1));
}

#[test]
fn an_application_that_goes_is_left_alone() {
    let mut tenant = Tenant::new(&["web"]);
    let name = tenant.build("web", 2);
    tenant.ends(&name, "TestPassed");
    let mut seen = tenant.observe();
    let mut application = (*seen.application.clone().unwrap()).clone();
    application.metadata.deletion_timestamp = Some(from(json!("2024-03-01T12:00:00Z")));
    seen.application = Some(Arc::new(application));
    assert_eq!(decide(&seen).unwrap_err(), Hold::ApplicationGoes);
    seen.application = None;
    assert_eq!(decide(&seen).unwrap_err(), Hold::NoApplication);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// The race drill: whatever the order in which the tests of 50 builds of five Components end, and wherever the service stops in
    /// between, the list has the newest build of each.
    #[test]
    fn the_list_has_the_newest_build_of_each(
        order in Just((0..50_usize).collect::<Vec<_>>()).prop_shuffle(),
        stops in proptest::collection::vec(0..4_usize, 50),
        promotion in prop_oneof![Just(Promotion::Tests), Just(Promotion::Build)],
    ) {
        let mut tenant = Tenant::new(&NAMES);
        tenant.promotion = promotion;
        let builds: Vec<String> = (0..50).map(|number| tenant.build(NAMES[number % 5], number + 2)).collect();
        for (number, stop) in order.into_iter().zip(stops) {
            tenant.ends(&builds[number], "TestPassed");
            // Killed after some of the writes.
            if let Ok(step) = decide(&tenant.observe()) {
                let writes: Vec<_> = step.writes.into_iter().take(stop).collect();
                tenant.world.apply(&writes);
            }
            if stop == 0 {
                tenant.settle();
            }
        }
        for _ in 0..20 {
            tenant.settle();
            let open: Vec<String> = tenant.composites().iter().filter(|composite| {
                composite.passed().is_none() && !composite.is_out()
            }).map(kube::ResourceExt::name_any).collect();
            if open.is_empty() {
                break;
            }
            for name in open {
                tenant.ends(&name, "TestPassed");
            }
        }
        for (at, name) in NAMES.iter().enumerate() {
            prop_assert_eq!(tenant.candidate(name), is(name, 47 + at));
        }
        prop_assert!(decide(&tenant.observe()).is_err(), "quiet");
    }
}
