use application_service_api::snapshot_environment_binding::{BindingComponent, BindingConfiguration};
use fleet::write::Create;
use integration_service_api::labels;
use rstest::rstest;
use testkit::World;
use testkit::builders::{Build as _, stored};

use super::*;
use crate::environments::tests::{application, copy, environment, now, snapshot};

const STAGE: &str = "shop-stage-generated-binding";

fn child(name: &str) -> Environment {
    let mut child = environment(name);
    child.spec.parent_environment = Some("stage".to_owned());
    child
}

fn seen(environments: Vec<Environment>) -> Seen {
    Seen {
        now: now(),
        enabled: true,
        application: Arc::new(application()),
        snapshot: Arc::new(snapshot("s2", &["a", "b"])),
        environments: environments.into_iter().map(Arc::new).collect(),
        bindings: Vec::new(),
    }
}

/// Of Snapshot `s1`, with one component that has settings.
fn bound() -> SnapshotEnvironmentBinding {
    let mut binding = binding::of(&snapshot("s1", &["a"]), "stage");
    binding.spec.components[0].configuration =
        Some(BindingConfiguration { replicas: Some(3), ..BindingConfiguration::default() });
    stored(binding)
}

fn with(binding: SnapshotEnvironmentBinding, deployed: Option<Snapshot>) -> Seen {
    let mut seen = seen(vec![environment("stage")]);
    seen.bindings = vec![(Arc::new(binding), deployed.map(Arc::new))];
    seen
}

/// The binding as the decision leaves it.
fn after(mut seen: Seen) -> SnapshotEnvironmentBinding {
    let mut world = World::default();
    for (binding, _) in &mut seen.bindings {
        world.insert(&**binding);
        *binding = Arc::new(world.get("n", &binding.name_any()).unwrap());
    }
    let root = decide(&seen);
    assert!(root.is_done);
    world.apply(&root.writes);
    world.list("n").remove(0)
}

fn names(components: &[BindingComponent]) -> Vec<&str> {
    components.iter().map(|component| component.name.as_str()).collect()
}

#[test]
fn only_environments_without_a_parent_are_bound() {
    let mut going = environment("gone");
    going.metadata.deletion_timestamp = going.metadata.creation_timestamp.clone();
    let seen = seen(vec![environment("stage"), child("prod"), copy("dev-lint-x", "c"), going]);
    let root = decide(&seen);
    let [Write::Create(Create { object, key, .. })] = root.writes.as_slice() else { panic!("{root:?}") };
    assert_eq!((key.name.as_str(), root.is_done), (STAGE, true));
    let owners = object["metadata"]["ownerReferences"].as_array().unwrap();
    assert_eq!((owners.len(), &owners[0]["kind"]), (1, &json!("Application")));
    let names = [json!({"name": "a"}), json!({"name": "b"})];
    let spec = json!({"application": "shop", "environment": "stage", "snapshot": "s2", "components": names});
    assert_eq!(object["spec"], spec);
}

#[test]
fn a_binding_is_pointed_at_the_snapshot_and_keeps_what_users_set() {
    let after = after(with(bound(), None));
    assert_eq!(after.spec.snapshot, "s2");
    assert_eq!(names(&after.spec.components), ["a", "b"]);
    assert_eq!(after.spec.components[0].configuration.as_ref().unwrap().replicas, Some(3));
    let again = decide(&with(after, Some(snapshot("s2", &["a", "b"]))));
    assert_eq!((again.writes, again.is_done), (Vec::new(), true), "and then it is quiet");
}

#[test]
fn a_binding_under_any_name_is_the_one() {
    let mut binding = bound();
    binding.metadata.name = Some("by-hand".to_owned());
    assert_eq!(after(with(binding, None)).name_any(), "by-hand");
}

fn built(name: &str, component: &str, finished: &str, created: i64) -> Snapshot {
    let created = now() + SignedDuration::from_secs(created);
    let mut snapshot = snapshot(name, &["a"])
        .label(keys::COMPONENT.as_str(), component)
        .label(labels::PIPELINE_RUN_FINISH_TIME.as_str(), finished);
    snapshot.metadata.creation_timestamp = None;
    snapshot.created_at(created)
}

#[rstest]
#[case::built_later(built("s1", "a", "20", 0), built("s2", "a", "10", 5), false)]
#[case::built_earlier(built("s1", "a", "10", 5), built("s2", "a", "20", 0), true)]
#[case::built_at_once_and_made_later(built("s1", "a", "10", 5), built("s2", "a", "10", 0), false)]
#[case::of_another_component_and_made_later(built("s1", "b", "10", 5), built("s2", "a", "20", 0), false)]
#[case::of_another_component_and_made_earlier(built("s1", "b", "20", 0), built("s2", "a", "10", 5), true)]
fn one_of_a_snapshot(#[case] deployed: Snapshot, #[case] passed: Snapshot, #[case] moves: bool) {
    let mut seen = with(bound(), Some(deployed));
    seen.snapshot = Arc::new(passed);
    let root = decide(&seen);
    assert_eq!((root.writes.len(), root.is_done), (usize::from(moves), true));
}

#[rstest]
#[case::just_now(0, false)]
#[case::for_half_an_hour(30, true)]
fn one_that_is_being_deleted_is_waited_for(#[case] minutes: i64, #[case] is_done: bool) {
    let since = now() - SignedDuration::from_mins(minutes);
    let root = decide(&with(bound().deleted_at(since), None));
    let wake = if is_done { Wake::OnChange } else { Wake::After(LOOK_AGAIN) };
    assert_eq!(root, Root { writes: Vec::new(), is_done, wake });
}

#[test]
fn nothing_happens_where_environments_are_off_or_the_application_goes() {
    let mut off = seen(vec![environment("stage")]);
    off.enabled = false;
    assert_eq!(decide(&off), Root::default());
    let mut gone = seen(vec![environment("stage")]);
    gone.application =
        Arc::new(application().finalizer(integration_service_api::finalizers::SCENARIO).deleted_at(now()));
    assert_eq!(decide(&gone), Root::default());
}

#[test]
fn without_environments_it_is_done() {
    assert!(decide(&seen(Vec::new())).is_done);
}
