use application_service_api::ApplicationSpec;
use application_service_api::environment::{
    DeploymentTargetClaimReference, EnvironmentConfiguration, EnvironmentTarget,
};
use application_service_api::{Environment, EnvironmentSpec};
use integration_service_api::labels;
use rstest::rstest;
use serde_json::json;
use testkit::World;
use testkit::builders::{Build as _, stored};

use super::*;
use crate::environments::wanted;

const TRACKED: &str = "argocd.argoproj.io/tracking-id";

fn now() -> Timestamp {
    "2024-01-01T12:00:00Z".parse().unwrap()
}

fn application() -> Application {
    let mut application = Application::new("shop", ApplicationSpec::default());
    application.metadata.namespace = Some("n".to_owned());
    stored(application)
}

fn scenario() -> IntegrationTestScenario {
    let scenario = json!({
        "apiVersion": "appstudio.redhat.com/v1beta2", "kind": "IntegrationTestScenario",
        "metadata": {"name": "lint", "namespace": "n"},
        "spec": {
            "application": "shop",
            "resolverRef": {"resolver": "git", "params": [{"name": "url", "value": "https://git.example/a"}]},
        },
    });
    stored(serde_json::from_value(scenario).unwrap())
}

fn needs(environment: &str) -> IntegrationTestScenario {
    scenario().annotation(integration_service_api::annotations::ENVIRONMENT.as_str(), environment)
}

fn seen(scenario: IntegrationTestScenario) -> Seen {
    Seen {
        now: now(),
        application: Named::There(Arc::new(application())),
        environments_enabled: true,
        environment: wanted(&scenario),
        environment_is_there: true,
        leftovers: Leftovers::default(),
        scenario: Arc::new(scenario),
    }
}

/// The scenario as the decision leaves it.
fn after(seen: Seen) -> IntegrationTestScenario {
    let mut world = World::default();
    world.insert(&*seen.scenario);
    let stored = Arc::new(world.get("n", "lint").unwrap());
    world.apply(&decide(&Seen { scenario: stored, ..seen }).writes);
    world.get("n", "lint").unwrap()
}

fn condition(scenario: &IntegrationTestScenario) -> (String, String, String) {
    let condition = scenario.status.clone().unwrap().conditions.remove(0);
    (condition.status, condition.reason, condition.message)
}

#[test]
fn one_that_can_be_run_is_valid_and_belongs_to_its_application() {
    let after = after(seen(scenario()));
    let (status, reason, _) = condition(&after);
    assert_eq!((status.as_str(), reason.as_str()), ("True", "Valid"));
    let owner = &after.owner_references()[0];
    assert_eq!((owner.kind.as_str(), owner.controller), ("Application", Some(true)));
    assert_eq!(owner.uid, application().uid().unwrap());
    assert_eq!(after.finalizers(), [finalizers::SCENARIO.as_str()]);
}

#[test]
fn says_nothing_twice() {
    let decision = decide(&seen(after(seen(scenario()))));
    assert_eq!((decision.writes, decision.hold), (Vec::new(), Some(Hold::UpToDate)));
}

#[rstest]
#[case::no_application(Seen { application: Named::Missing, ..seen(scenario()) }, "Application shop does not exist")]
#[case::no_environment(Seen { environment_is_there: false, ..seen(needs(r#"{"name": "dev"}"#)) }, "Environment dev does not")]
#[case::environments_are_off(Seen { environments_enabled: false, ..seen(needs(r#"{"name": "dev"}"#)) }, "switched off")]
#[case::unreadable(seen(needs("dev")), "v1beta1-environment cannot be read")]
#[case::edited({
    let mut edited = scenario();
    edited.spec.resolver_ref = None;
    seen(edited)
}, "spec.resolverRef: is missing")]
#[case::two_at_once(
    Seen { application: Named::Missing, environment_is_there: false, ..seen(needs(r#"{"name": "dev"}"#)) },
    "in this namespace; spec.environment"
)]
fn one_that_cannot_be_run_says_why(#[case] seen: Seen, #[case] expected: &str) {
    let after = after(seen);
    let (status, reason, message) = condition(&after);
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Invalid"));
    assert!(message.contains(expected), "{message}");
    assert_eq!(after.finalizers(), [finalizers::SCENARIO.as_str()], "and it is held all the same");
}

#[rstest]
#[case::environment_that_is_there(seen(needs(r#"{"name": "dev"}"#)))]
#[case::none_where_they_are_off(Seen { environments_enabled: false, ..seen(scenario()) })]
fn one_is_valid_with(#[case] seen: Seen) {
    assert_eq!(condition(&after(seen)).0, "True");
}

fn going(mut application: Application) -> Application {
    application.metadata.deletion_timestamp = application.metadata.creation_timestamp.clone();
    application
}

#[rstest]
#[case::another_owner(scenario().owned_by(&application()), application())]
#[case::kept_in_git(scenario().annotation(TRACKED, "x"), application())]
#[case::of_one_that_is_kept_in_git(scenario(), application().annotation(TRACKED, "x"))]
#[case::of_one_that_goes(scenario(), going(application()))]
fn gets_no_owner_with(#[case] scenario: IntegrationTestScenario, #[case] application: Application) {
    let before = scenario.owner_references().to_vec();
    let seen = Seen { application: Named::There(Arc::new(application)), ..seen(scenario) };
    assert_eq!(after(seen).owner_references(), before);
}

#[test]
fn nothing_is_said_while_applications_are_unknown() {
    let decision = decide(&Seen { application: Named::NotHeardOf, ..seen(scenario()) });
    assert_eq!((decision.writes, decision.hold), (Vec::new(), Some(Hold::NotHeardOf)));
}

fn copy() -> Environment {
    let claim = DeploymentTargetClaimReference { claim_name: "c".to_owned() };
    let target = Some(EnvironmentTarget { deployment_target_claim: claim });
    let spec = EnvironmentSpec {
        tags: vec!["ephemeral".to_owned()],
        configuration: Some(EnvironmentConfiguration { target, ..EnvironmentConfiguration::default() }),
        ..EnvironmentSpec::default()
    };
    let mut copy = Environment::new("dev-lint-x", spec);
    copy.metadata.namespace = Some("n".to_owned());
    stored(copy).label(labels::SCENARIO.as_str(), "lint")
}

/// Its claim is gone already, which holds nothing up.
#[test]
fn what_was_made_for_it_goes_before_it() {
    let scenario = scenario().finalizer(finalizers::SCENARIO).deleted_at(now());
    let seen = Seen { leftovers: Leftovers::of(vec![Arc::new(copy())], Vec::new()), ..seen(scenario) };
    let writes: Vec<_> = decide(&seen).writes.iter().map(Write::describe).collect();
    assert_eq!(writes, ["delete Environment n/dev-lint-x", "patch IntegrationTestScenario n/lint"]);
    let Some(Write::Patch(patch)) = decide(&seen).writes.pop() else { panic!("the finalizer stays") };
    assert_eq!(patch.body["metadata"]["finalizers"], json!([]));
}

#[test]
fn one_that_others_hold_is_left_to_them() {
    let scenario = scenario().finalizer(finalizers::COMPONENT).deleted_at(now());
    let decision = decide(&seen(scenario));
    assert_eq!((decision.writes, decision.hold), (Vec::new(), Some(Hold::BeingDeleted)));
}

#[test]
fn a_missing_application_that_comes_makes_it_valid() {
    let missing = Seen { application: Named::Missing, ..seen(scenario()) };
    let now_there = after(seen(after(missing)));
    assert_eq!(condition(&now_there).1, "Valid");
    assert_eq!(now_there.owner_references().len(), 1);
}
