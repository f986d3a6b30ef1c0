use application_service_api::environment::{EnvVarPair, EnvironmentConfiguration};
use fleet::write::Create;
use fleet_api::Condition;
use gitops_service_api::DeploymentTargetSpec;
use gitops_service_api::deployment_target::TargetCredentials;
use gitops_service_api::deployment_target_claim::{DeploymentTargetClaimPhase, DeploymentTargetClaimStatus};
use rstest::rstest;
use serde_json::{Value, json};
use testkit::builders::{Build as _, stored};

use super::*;
use crate::environments::tests::{application, claim, copy, environment, now, scenario, snapshot};
use crate::environments::{binding, wanted};

const WANTED: &str =
    r#"{"name": "dev", "type": "POC", "configuration": {"env": [{"name": "LEVEL", "value": "debug"}]}}"#;

/// Nothing is there but what users made.
fn seen() -> Seen {
    let scenario = scenario(Some(WANTED));
    let mut original = environment("dev");
    let level = EnvVarPair { name: "LEVEL".to_owned(), value: "info".to_owned() };
    original.spec.configuration =
        Some(EnvironmentConfiguration { env: vec![level], ..EnvironmentConfiguration::default() });
    Seen {
        now: now(),
        enabled: true,
        application: Arc::new(application()),
        snapshot: Arc::new(snapshot("s", &["a"])),
        attempt: 0,
        since: None,
        wanted: Ok(wanted(&scenario).unwrap().unwrap()),
        scenario: Arc::new(scenario),
        installed: Installed::Yes,
        original: Some(Arc::new(original)),
        copy: None,
        claim: None,
        target: None,
        binding: None,
        class: Some("sandbox".to_owned()),
        refused: None,
    }
}

fn bound_claim() -> DeploymentTargetClaim {
    let mut claim = claim("c");
    claim.spec.target_name = Some("t".to_owned());
    claim.status = Some(DeploymentTargetClaimStatus {
        phase: Some(DeploymentTargetClaimPhase::Bound.into()),
        ..DeploymentTargetClaimStatus::default()
    });
    claim
}

fn target() -> DeploymentTarget {
    let kubernetes_credentials = TargetCredentials {
        default_namespace: "shop-env".to_owned(),
        cluster_credentials_secret: "kubeconfig".to_owned(),
        ..TargetCredentials::default()
    };
    DeploymentTarget::new("t", DeploymentTargetSpec { kubernetes_credentials, ..Default::default() })
}

/// With a status that has this condition in this list, `seconds` old.
fn binding_that_says(list: &str, type_: &str, truth: &str, seconds: i64) -> SnapshotEnvironmentBinding {
    let condition = json!({
        "type": type_, "status": truth, "reason": type_, "message": "no such image",
        "lastTransitionTime": now() - SignedDuration::from_secs(seconds),
    });
    let mut binding = stored(binding::of(&snapshot("s", &["a"]), "dev-lint-x"));
    binding.status = Some(serde_json::from_value(json!({ list: [condition] })).unwrap());
    binding
}

fn deployed() -> SnapshotEnvironmentBinding {
    binding_that_says("componentDeploymentConditions", "AllComponentsDeployed", "True", 0)
}

fn broken(seconds: i64) -> SnapshotEnvironmentBinding {
    binding_that_says("bindingConditions", "ErrorOccurred", "True", seconds)
}

/// All is there, and bound; `binding` tells how far it is.
fn made(binding: SnapshotEnvironmentBinding) -> Seen {
    Seen {
        since: Some(now()),
        copy: Some(Arc::new(copy("dev-lint-x", "c"))),
        claim: Some(Arc::new(bound_claim())),
        target: Some(Arc::new(target())),
        binding: Some(Arc::new(binding)),
        class: None,
        ..seen()
    }
}

fn minutes_later(minutes: i64, seen: Seen) -> Seen {
    Seen { now: now() + SignedDuration::from_mins(minutes), since: Some(now()), ..seen }
}

fn created(step: &Step) -> Vec<Value> {
    let Step::Waiting { writes, .. } = step else { panic!("{step:?}") };
    let object = |write: &Write| match write {
        Write::Create(Create { object, .. }) => object.clone(),
        other => panic!("{other:?}"),
    };
    writes.iter().map(object).collect()
}

#[test]
fn a_claim_and_a_copy_of_the_environment_are_made() {
    let made = created(&decide(&seen()));
    let [claim, copy] = made.as_slice() else { panic!("{made:#?}") };
    let (claim_name, copy_name) = (&claim["metadata"]["name"], &copy["metadata"]["name"]);
    assert!(claim_name.as_str().unwrap().starts_with("dtc-"), "{claim_name}");
    assert!(copy_name.as_str().unwrap().starts_with("dev-lint-"), "{copy_name}");
    assert_eq!(claim["spec"]["deploymentTargetClassName"], "sandbox");
    assert_eq!(claim["metadata"]["labels"]["appstudio.openshift.io/environment"], *copy_name);
    let spec = json!({
        "displayName": "dev-lint", "type": "POC", "deploymentStrategy": "Manual", "tags": ["ephemeral"],
        "configuration": {
            "env": [{"name": "LEVEL", "value": "debug"}],
            "target": {"deploymentTargetClaim": {"claimName": claim_name}},
        },
    });
    assert_eq!(copy["spec"], spec);
    let labels = json!({
        "appstudio.openshift.io/snapshot": "s", "test.appstudio.openshift.io/scenario": "lint",
    });
    assert_eq!(copy["metadata"]["labels"], labels);
    for object in &made {
        assert_eq!(object["metadata"]["ownerReferences"][0]["kind"], "Application");
    }
}

/// A crash may come between the two.
#[test]
fn a_claim_that_is_there_is_used() {
    let first = created(&decide(&seen()));
    let rest = created(&decide(&Seen { claim: Some(Arc::new(bound_claim())), class: None, ..seen() }));
    assert_eq!(rest, first[1..]);
}

#[test]
fn each_attempt_has_an_environment_of_its_own() {
    let (first, second) = (created(&decide(&seen())), created(&decide(&Seen { attempt: 1, ..seen() })));
    for (first, second) in first.iter().zip(&second) {
        assert_ne!(first["metadata"]["name"], second["metadata"]["name"]);
    }
}

#[test]
fn long_names_fit() {
    let mut seen = seen();
    seen.wanted.as_mut().unwrap().name = "e".repeat(63);
    let name = created(&decide(&seen))[1]["metadata"]["name"].as_str().unwrap().to_owned();
    assert_eq!(name.len(), 63);
}

#[rstest]
#[case::first(0, None)]
#[case::rerun(2, Some("lint"))]
fn the_copy_is_bound_and_goes_with_its_binding(#[case] attempt: u32, #[case] run: Option<&str>) {
    let made = created(&decide(&Seen { binding: None, attempt, ..made(deployed()) }));
    let [binding] = made.as_slice() else { panic!("{made:#?}") };
    assert_eq!(binding["metadata"]["name"], "shop-dev-lint-x-generated-binding");
    let owner = &binding["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["kind"], &owner["name"]), (&json!("Environment"), &json!("dev-lint-x")));
    assert_eq!(binding["metadata"]["labels"]["test.appstudio.openshift.io/scenario"], "lint");
    assert_eq!(binding["metadata"]["labels"]["test.appstudio.openshift.io/run"], json!(run));
    assert_eq!(binding["spec"]["components"], json!([{"name": "a"}]));
}

#[test]
fn the_run_starts_where_it_is_deployed() {
    let ready = Step::Ready(RunsIn {
        namespace: "shop-env".to_owned(),
        credentials_secret: "kubeconfig".to_owned(),
        environment: "dev-lint-x".to_owned(),
    });
    assert_eq!(decide(&made(deployed())), ready);
    let late = minutes_later(45, made(deployed()));
    assert_eq!(decide(&late), ready, "however long that took");
}

fn edited_since(mut binding: SnapshotEnvironmentBinding) -> SnapshotEnvironmentBinding {
    let status = binding.status.as_mut().unwrap();
    status.component_deployment_conditions[0].observed_generation = Some(1);
    binding.metadata.generation = Some(2);
    binding
}

fn undeployed() -> SnapshotEnvironmentBinding {
    binding_that_says("componentDeploymentConditions", "AllComponentsDeployed", "False", 0)
}

fn repository_missing() -> SnapshotEnvironmentBinding {
    binding_that_says("gitopsRepoConditions", "GitOpsResourcesGenerated", "False", 0)
}

#[rstest]
#[case::no_word_of_it(stored(binding::of(&snapshot("s", &["a"]), "dev-lint-x")), "to be deployed")]
#[case::not_yet_deployed(undeployed(), "to be deployed: AllComponentsDeployed: no such image")]
#[case::deployed_before_an_edit(edited_since(deployed()), "to be deployed")]
#[case::of_the_repository(repository_missing(), "GitOpsResourcesGenerated: no such image")]
fn waits_and_says_for_what(#[case] binding: SnapshotEnvironmentBinding, #[case] expected: &str) {
    let Step::Waiting { writes, details, wake } = decide(&made(binding.clone())) else {
        panic!("it goes on")
    };
    assert!(details.contains(expected), "{details}");
    assert_eq!((writes, wake), (Vec::new(), Wake::At(now() + PATIENCE)));

    let Step::Failed { status, details, writes } = decide(&minutes_later(30, made(binding))) else {
        panic!("it waits for ever")
    };
    assert_eq!(status, TestStatus::DeploymentError);
    assert!(details.contains("No answer for 30 minutes") && details.contains(expected), "{details}");
    let writes: Vec<_> = writes.iter().map(Write::describe).collect();
    assert_eq!(writes, ["delete DeploymentTargetClaim n/c", "delete Environment n/dev-lint-x"]);
}

fn unbound() -> Seen {
    Seen { claim: Some(Arc::new(claim("c"))), target: None, ..made(undeployed()) }
}

#[rstest]
#[case::unbound(unbound(), "DeploymentTargetClaim c")]
#[case::no_claim(Seen { claim: None, ..made(undeployed()) }, "DeploymentTargetClaim c, which does not exist")]
#[case::not_even_a_copy(Seen { class: None, claim: Some(Arc::new(claim("c"))), ..seen() }, "Making Environment")]
fn an_environment_without_an_answer_is_given_up(#[case] seen: Seen, #[case] expected: &str) {
    let Step::Failed { status, details, .. } = decide(&minutes_later(30, seen)) else { panic!("it waits") };
    assert_eq!(status, TestStatus::EnvironmentProvisionError);
    assert!(details.contains(expected), "{details}");
}

#[test]
fn an_error_of_the_binding_has_five_minutes_to_go_away() {
    let Step::Waiting { details, wake, .. } = decide(&made(broken(299))) else { panic!("it is given up") };
    assert!(details.contains("ErrorOccurred: no such image"), "{details}");
    assert_eq!(wake, Wake::At(now() + SignedDuration::from_secs(1)));
    let Step::Failed { status, details, writes } = decide(&made(broken(300))) else { panic!("it waits") };
    assert_eq!((status, writes.len()), (TestStatus::DeploymentError, 2));
    assert!(details.contains("no such image"), "{details}");
}

#[test]
fn an_error_wins_over_what_was_deployed_before() {
    let mut both = broken(0);
    let deployed = deployed().status.unwrap().component_deployment_conditions;
    both.status.as_mut().unwrap().component_deployment_conditions = deployed;
    assert!(matches!(decide(&made(both)), Step::Waiting { .. }));
}

#[test]
fn an_error_that_has_gone_away_is_forgotten() {
    let mut mended = deployed();
    let resolved =
        Condition { status: "False".to_owned(), ..broken(600).status.unwrap().binding_conditions.remove(0) };
    mended.status.as_mut().unwrap().binding_conditions = vec![resolved];
    assert!(matches!(decide(&made(mended)), Step::Ready(_)));
}

#[test]
fn a_class_may_come_late_but_not_too_late() {
    let without = |minutes| minutes_later(minutes, Seen { class: None, ..seen() });
    let Step::Waiting { writes, details, wake } = decide(&without(4)) else { panic!("it is given up") };
    assert!(writes.is_empty() && details.contains("appstudio.redhat.com/devsandbox"), "{details}");
    assert_eq!(wake, Wake::After(observe::LOOK_FOR_CLASS));
    let Step::Failed { status, .. } = decide(&without(5)) else { panic!("it waits") };
    assert_eq!(status, TestStatus::EnvironmentProvisionError);
}

#[rstest]
#[case::switched_off(Seen { enabled: false, ..seen() }, "switched off")]
#[case::gitops_is_absent(Seen { installed: Installed::No, ..seen() }, "gitops-service is not installed")]
#[case::no_such_environment(Seen { original: None, ..seen() }, "Environment dev does not exist")]
#[case::refused(Seen { refused: Some("the quota is used up".to_owned()), ..seen() }, "the quota is used up")]
#[case::copy_was_deleted(
    Seen {
        copy: Some(Arc::new({
            let mut copy = copy("dev-lint-x", "c");
            copy.metadata.deletion_timestamp = copy.metadata.creation_timestamp.clone();
            copy
        })),
        ..seen()
    },
    "was deleted"
)]
fn ends_at_once(#[case] seen: Seen, #[case] expected: &str) {
    let Step::Failed { status, details, .. } = decide(&seen) else { panic!("it goes on") };
    assert_eq!(status, TestStatus::EnvironmentProvisionError);
    assert!(details.contains(expected), "{details}");
}

#[test]
fn what_cannot_be_read_makes_the_test_invalid() {
    let unreadable = Seen { wanted: wanted(&scenario(Some("dev"))).map(Option::unwrap), ..seen() };
    let Step::Failed { status, .. } = decide(&unreadable) else { panic!("it goes on") };
    assert_eq!(status, TestStatus::TestInvalid);
}

#[test]
fn a_kind_that_was_not_heard_of_is_no_reason_to_give_up() {
    let step = decide(&Seen { installed: Installed::Unknown, ..seen() });
    assert!(matches!(step, Step::Waiting { ref writes, .. } if writes.is_empty()), "{step:?}");
}

/// Some of what a refused step had made before is there: it goes as well.
#[test]
fn what_was_made_before_a_refusal_goes() {
    let refused = Seen {
        claim: Some(Arc::new(claim("c").label(labels::SCENARIO.as_str(), "lint"))),
        refused: Some("no".to_owned()),
        ..seen()
    };
    let Step::Failed { writes, .. } = decide(&refused) else { panic!("it goes on") };
    assert_eq!(writes.iter().map(Write::describe).collect::<Vec<_>>(), ["delete DeploymentTargetClaim n/c"]);
}
