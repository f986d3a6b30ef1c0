use super::*;

use application_service_api::Component;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;
use testkit::World;

use crate::testing::{application, component, now, world};

const LATER: SignedDuration = SignedDuration::from_secs(60);

fn seen(world: &World) -> Observed {
    seen_with(world, SecretState::NotAsked)
}

fn seen_with(world: &World, secret: SecretState) -> Observed {
    let component: Component = world.get("n", "api").unwrap();
    let application = world.get::<Application>("n", &component.spec.application).map(Arc::new);
    Observed { now: now().checked_add(LATER).unwrap(), component: Arc::new(component), application, secret }
}

fn settle(world: &mut World) {
    world.settle(|world| decide(&seen(world)).writes);
}

fn api(world: &World) -> Component {
    world.get("n", "api").unwrap()
}

/// Status, reason and message of a condition of the Component.
fn condition(world: &World, type_: &str) -> Option<(String, String, String)> {
    let conditions = api(world).status?.conditions;
    let found = conditions.into_iter().find(|condition| condition.type_ == type_)?;
    Some((found.status, found.reason, found.message))
}

fn is_ok(world: &World, type_: &str) -> bool {
    condition(world, type_).is_some_and(|(status, reason, _)| status == "True" && reason == "OK")
}

fn cause(world: &World, type_: &str) -> String {
    let (status, reason, message) = condition(world, type_).unwrap();
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Error"));
    message
}

#[test]
fn belongs_to_its_application_and_is_modelled() {
    let mut world = world([application("shop")]);
    world.insert(&component("api").of("shop").build());
    settle(&mut world);
    assert!(is_ok(&world, "Created"));
    let owners = api(&world).owner_references().to_vec();
    let owner = serde_json::to_value(&owners[0]).unwrap();
    let shop: Application = world.get("n", "shop").unwrap();
    assert_eq!(
        owner,
        json!({"apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "Application", "name": "shop", "uid": shop.uid()}),
        "neither controller nor blockOwnerDeletion"
    );
}

#[test]
fn a_component_before_its_application_converges_when_that_exists() {
    let mut world = world::<Application>([]);
    world.insert(&component("api").of("shop").build());
    settle(&mut world);
    assert!(cause(&world, "Created").contains("Application shop"), "{}", cause(&world, "Created"));
    world.insert(&application("shop"));
    settle(&mut world);
    assert!(is_ok(&world, "Created"));
    assert!(condition(&world, "Updated").is_none());
}

#[test]
fn says_nothing_of_a_missing_application_in_the_first_moments() {
    let mut world = world::<Application>([]);
    world.insert(&component("api").of("shop").build());
    let observed = Observed { now: now(), ..seen(&world) };
    let decision = decide(&observed);
    assert_eq!((decision.hold, decision.writes), (Some(Hold::JustCreated), vec![]));
    assert_eq!(decision.wake, Wake::At(now().checked_add(GRACE).unwrap()));
}

#[test]
fn gives_no_owner_that_is_being_deleted() {
    let mut shop = application("shop");
    shop.metadata.finalizers = Some(vec!["example.com/theirs".into()]);
    let mut world = world([shop]);
    world.remove::<Application>("n", "shop");
    world.insert(&component("api").of("shop").build());
    settle(&mut world);
    assert!(cause(&world, "Created").contains("being deleted"));
    assert!(api(&world).owner_references().is_empty());
}

#[rstest]
#[case::argo("argocd.argoproj.io/tracking-id")]
#[case::flux("kustomize.toolkit.fluxcd.io/name")]
fn gives_no_owner_to_what_a_gitops_tool_tracks(#[case] key: &str) {
    let mut world = world([application("shop")]);
    world.insert(&component("api").of("shop").annotation(key, "x").build());
    settle(&mut world);
    assert!(is_ok(&world, "Created"));
    assert!(api(&world).owner_references().is_empty());
}

#[test]
fn an_owner_of_an_earlier_application_is_replaced() {
    let mut world = world([application("shop")]);
    world.insert(&component("api").of("shop").build());
    settle(&mut world);
    world.remove::<Application>("n", "shop");
    world.insert(&application("shop"));
    let shop: Application = world.get("n", "shop").unwrap();
    settle(&mut world);
    let uids: Vec<_> = api(&world).owner_references().iter().map(|owner| owner.uid.clone()).collect();
    assert_eq!(uids, [shop.uid().unwrap()]);
}

#[rstest]
#[case::missing(SecretState::Missing, "Secret token (spec.secret) does not exist")]
#[case::unknown(SecretState::Unknown("timeout".into()), "cannot be looked up: timeout")]
fn a_secret_that_cannot_be_found_is_named_and_asked_for_again(
    #[case] secret: SecretState,
    #[case] expected: &str,
) {
    let mut world = world([application("shop")]);
    world.insert(&component("api").of("shop").secret("token").build());
    let decision = decide(&seen_with(&world, secret));
    assert_eq!(decision.wake, Wake::After(SECRET_RETRY));
    world.apply(&decision.writes);
    assert!(cause(&world, "Created").contains(expected), "{}", cause(&world, "Created"));
    world.apply(&decide(&seen_with(&world, SecretState::Present)).writes);
    assert!(is_ok(&world, "Created"));
}

/// Scenario 10, registry side.
#[test]
fn a_variable_with_value_from_is_refused_by_name() {
    let mut world = world([application("shop")]);
    world.insert(&component("api").of("shop").env_from("TOKEN").build());
    settle(&mut world);
    assert!(cause(&world, "Created").contains("variable TOKEN has valueFrom"));
}

/// Scenario 7, registry side.
#[test]
fn the_status_follows_the_image() {
    let mut world = world([application("shop")]);
    world.insert(&component("api").of("shop").image("images.example/api:1").build());
    settle(&mut world);
    assert!(condition(&world, "Updated").is_none());
    world.edit::<Component>("n", "api", |api| api.spec.container_image = Some("images.example/api:2".into()));
    settle(&mut world);
    assert_eq!(api(&world).status.unwrap().container_image.as_deref(), Some("images.example/api:2"));
    assert!(is_ok(&world, "Updated"));
}

#[test]
fn an_error_after_creation_keeps_the_model_and_is_an_update_that_failed() {
    let mut world = world([application("shop")]);
    world.insert(&component("api").of("shop").build());
    settle(&mut world);
    let model = api(&world).status.unwrap().devfile;
    world.remove::<Application>("n", "shop");
    settle(&mut world);
    assert!(cause(&world, "Updated").contains("Application shop"));
    assert!(is_ok(&world, "Created"));
    assert_eq!(api(&world).status.unwrap().devfile, model);
}

#[test]
fn leaves_what_other_services_wrote() {
    let mut world = world([application("shop")]);
    let mut api_component = component("api").of("shop").build();
    api_component.status =
        Some(serde_json::from_value(json!({"lastBuiltCommit": "abc", "build-nudged-by": ["x"]})).unwrap());
    world.insert(&api_component);
    settle(&mut world);
    let status = api(&world).status.unwrap();
    assert_eq!(status.last_built_commit.as_deref(), Some("abc"));
    assert_eq!(status.build_nudged_by, ["x"]);
}

#[test]
fn a_finalizer_of_the_original_does_not_hold_a_deletion_up() {
    let mut world = world([application("shop")]);
    world.insert(&component("api").of("shop").finalizer(finalizers::COMPONENT.as_str()).build());
    world.remove::<Component>("n", "api");
    world.apply(&decide(&seen(&world)).writes);
    assert!(world.get::<Component>("n", "api").is_none());
}

fn any_world() -> impl Strategy<Value = World> {
    let sources = prop_oneof![Just("git"), Just("image"), Just("none"), Just("env")];
    (any::<bool>(), any::<bool>(), sources, any::<bool>(), any::<bool>()).prop_map(
        |(has_application, has_stale_owner, source, has_finalizer, is_tracked)| {
            let mut world = world(has_application.then(|| application("shop")));
            let mut builder = component("api").of("shop");
            match source {
                "image" => builder = builder.image("images.example/api:1"),
                "none" => builder = builder.without_source(),
                "env" => builder = builder.env_from("X"),
                _ => {}
            }
            if has_finalizer {
                builder = builder.finalizer(finalizers::COMPONENT.as_str());
            }
            if is_tracked {
                builder = builder.annotation("argocd.argoproj.io/tracking-id", "x");
            }
            let mut api = builder.build();
            if has_stale_owner {
                api.metadata.owner_references = Some(vec![OwnerReference {
                    api_version: "appstudio.redhat.com/v1alpha1".into(),
                    kind: "Application".into(),
                    name: "shop".into(),
                    uid: "gone".into(),
                    ..OwnerReference::default()
                }]);
            }
            world.insert(&api);
            world
        },
    )
}

proptest! {
    /// A crash after any write ends where a calm run ends, with nothing left to do.
    #[test]
    fn settles(world in any_world(), crash_after in 0_usize..4) {
        let mut calm = world.clone();
        settle(&mut calm);
        let mut crashed = world;
        let writes = decide(&seen(&crashed)).writes;
        crashed.apply(&writes[..crash_after.min(writes.len())]);
        settle(&mut crashed);
        prop_assert_eq!(&crashed, &calm);
        prop_assert!(decide(&seen(&calm)).writes.is_empty());
    }
}
