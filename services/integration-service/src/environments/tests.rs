//! Objects that the tests of this folder are about. All are in namespace `n`.

use application_service_api::environment::{
    DeploymentTargetClaimReference, EnvironmentConfiguration, EnvironmentTarget,
};
use application_service_api::snapshot::SnapshotComponent;
use application_service_api::{
    Application, ApplicationSpec, Environment, EnvironmentSpec, Snapshot, SnapshotSpec,
};
use gitops_service_api::{DeploymentTargetClaim, DeploymentTargetClaimSpec};
use integration_service_api::IntegrationTestScenario;
use integration_service_api::{annotations, labels};
use jiff::Timestamp;
use kube::Resource;
use rstest::rstest;
use testkit::builders::{Build as _, stored};

use super::wanted;

pub(super) fn now() -> Timestamp {
    "2024-01-01T12:00:00Z".parse().unwrap()
}

fn there<K: Resource<DynamicType = ()>>(mut object: K) -> K {
    object.meta_mut().namespace = Some("n".to_owned());
    stored(object)
}

pub(super) fn application() -> Application {
    there(Application::new("shop", ApplicationSpec::default()))
}

/// Of Application `shop`, with these Components.
pub(super) fn snapshot(name: &str, components: &[&str]) -> Snapshot {
    let components = components
        .iter()
        .map(|name| SnapshotComponent { name: (*name).to_owned(), ..SnapshotComponent::default() });
    let spec = SnapshotSpec {
        application: "shop".to_owned(),
        components: components.collect(),
        ..SnapshotSpec::default()
    };
    there(Snapshot::new(name, spec))
}

/// A user's.
pub(super) fn environment(name: &str) -> Environment {
    there(Environment::new(name, EnvironmentSpec::default()))
}

/// Made for a test, with this claim.
pub(super) fn copy(name: &str, claim: &str) -> Environment {
    let claim = DeploymentTargetClaimReference { claim_name: claim.to_owned() };
    let spec = EnvironmentSpec {
        tags: vec!["ephemeral".to_owned()],
        configuration: Some(EnvironmentConfiguration {
            target: Some(EnvironmentTarget { deployment_target_claim: claim }),
            ..EnvironmentConfiguration::default()
        }),
        ..EnvironmentSpec::default()
    };
    let copy = there(Environment::new(name, spec));
    copy.label(labels::SNAPSHOT.as_str(), "s").label(labels::SCENARIO.as_str(), "lint")
}

pub(super) fn claim(name: &str) -> DeploymentTargetClaim {
    there(DeploymentTargetClaim::new(name, DeploymentTargetClaimSpec::default()))
}

/// Scenario `lint` that says this of its environment.
pub(super) fn scenario(environment: Option<&str>) -> IntegrationTestScenario {
    let scenario = there(IntegrationTestScenario::new("lint", Default::default()));
    match environment {
        Some(json) => scenario.annotation(annotations::ENVIRONMENT.as_str(), json),
        None => scenario,
    }
}

#[rstest]
#[case::none(None, Ok(None))]
#[case::null(Some("null"), Ok(None))]
#[case::nameless(Some(r#"{"type": "POC"}"#), Ok(None))]
#[case::named(Some(r#"{"name": "dev", "type": "POC", "added": 1}"#), Ok(Some("dev")))]
#[case::no_json(Some("{name: dev}"), Err(()))]
#[case::of_another_type(Some("\"dev\""), Err(()))]
fn an_environment_is_wanted(#[case] text: Option<&str>, #[case] expected: Result<Option<&str>, ()>) {
    let wanted = wanted(&scenario(text)).map_err(drop);
    let name = wanted.as_ref().map(|wanted| wanted.as_ref().map(|wanted| wanted.name.as_str()));
    assert_eq!(name.map_err(drop), expected);
}
