//! What this service reads, and which part of it.

use application_service_api::{Application, Component, Environment, Snapshot, SnapshotEnvironmentBinding};
use fleet::{Fleet, Index, ObjectKey, Store};
use fleet_api::keys;
use gitops_service_api::{DeploymentTarget, DeploymentTargetClaim};
use image_controller_api::names::INTEGRATION_RUNNER;
use integration_service_api::{IntegrationTestScenario, labels};
use kube::ResourceExt as _;
use kube::core::Expression;
use pipelines_as_code_api::Repository;
use pipelines_engine_api::PipelineRun;
use release_service_api::{Release, ReleasePlan};

use crate::environments;
use crate::promotion::turn_of;
use crate::{report, settled, trim};

/// Components, Snapshots, scenarios, plans, bindings and build runs by the Application that they name.
pub(crate) const BY_APPLICATION: Index = Index("application");
/// Test runs, Releases, Environments and claims by the Snapshot that they are of.
pub(crate) const BY_SNAPSHOT: Index = Index("snapshot");
/// Snapshots that the candidate list may still hear of, by their Application.
pub(crate) const IN_TURN: Index = Index("turn");
/// Applications by the account that runs of their namespace's tests run as.
pub(crate) const BY_RUNNER: Index = Index("runner");
/// Snapshots by the build run that they were made for.
pub(crate) const BY_BUILD: Index = Index("build");
/// Build runs by their Component.
pub(crate) const BY_COMPONENT: Index = Index("component");
/// Snapshots and build runs of pull requests by what belongs together: namespace, and hash of the group.
pub(crate) const BY_GROUP: Index = Index("group");
/// Bindings by the Environment that they are for, scenarios by the one that they copy, claims by the copy that they were made for.
pub(crate) const BY_ENVIRONMENT: Index = Index("environment");
/// Environments and claims made for a test by its scenario.
pub(crate) const BY_SCENARIO: Index = Index("scenario");
/// Repositories of Pipelines-as-Code by their namespace and URL.
pub(crate) const BY_URL: Index = Index("url");
/// Environments by their namespace, with an empty name.
pub(crate) const BY_NAMESPACE: Index = Index("namespace");

/// The objects that this service reads. TaskRuns, Secrets and `DeploymentTargetClasses` are read when they are needed.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) applications: Store<Application>,
    pub(crate) components: Store<Component>,
    pub(crate) snapshots: Store<Snapshot>,
    pub(crate) scenarios: Store<IntegrationTestScenario>,
    /// PipelineRuns of type `build`.
    pub(crate) builds: Store<PipelineRun>,
    /// PipelineRuns of type `test`.
    pub(crate) tests: Store<PipelineRun>,
    pub(crate) plans: Store<ReleasePlan>,
    pub(crate) releases: Store<Release>,
    pub(crate) environments: Store<Environment>,
    pub(crate) bindings: Store<SnapshotEnvironmentBinding>,
    pub(crate) claims: Store<DeploymentTargetClaim>,
    pub(crate) targets: Store<DeploymentTarget>,
    pub(crate) repositories: Store<Repository>,
}

impl Stores {
    #[expect(clippy::too_many_lines, reason = "a list")]
    pub(crate) fn new(fleet: &mut Fleet) -> Self {
        Self {
            applications: fleet
                .store()
                .optional()
                .trim(trim::application)
                .index(BY_RUNNER, |application: &Application| sibling(application, INTEGRATION_RUNNER))
                .build(),
            components: fleet
                .store()
                .optional()
                .trim(trim::component)
                .index(BY_APPLICATION, |component: &Component| {
                    sibling(component, &component.spec.application)
                })
                .build(),
            snapshots: fleet
                .store()
                .optional()
                .trim(settled::trim)
                .index(BY_APPLICATION, |snapshot: &Snapshot| sibling(snapshot, &snapshot.spec.application))
                .index(IN_TURN, turn_of)
                .index(BY_BUILD, |snapshot: &Snapshot| {
                    labelled(snapshot, labels::BUILD_PIPELINE_RUN.as_str())
                })
                .index(BY_GROUP, |snapshot: &Snapshot| labelled(snapshot, labels::PR_GROUP_SHA.as_str()))
                .build(),
            scenarios: fleet
                .store()
                .index(BY_APPLICATION, |scenario: &IntegrationTestScenario| {
                    sibling(scenario, &scenario.spec.application)
                })
                .index(BY_ENVIRONMENT, |scenario: &IntegrationTestScenario| {
                    let wanted = environments::wanted(scenario).ok().flatten();
                    wanted.map(|environment| sibling(scenario, &environment.name)).unwrap_or_default()
                })
                .build(),
            builds: fleet
                .store()
                .labels(of_type(labels::PIPELINE_TYPE_BUILD))
                .optional()
                .trim(trim::pipeline_run)
                .index(BY_APPLICATION, |run: &PipelineRun| labelled(run, keys::APPLICATION.as_str()))
                .index(BY_COMPONENT, |run: &PipelineRun| labelled(run, keys::COMPONENT.as_str()))
                .index(BY_GROUP, |run: &PipelineRun| labelled(run, labels::PR_GROUP_SHA.as_str()))
                .build(),
            tests: fleet
                .store()
                .labels(of_type(labels::PIPELINE_TYPE_TEST))
                .optional()
                .trim(trim::pipeline_run)
                .index(BY_SNAPSHOT, |run: &PipelineRun| labelled(run, labels::SNAPSHOT.as_str()))
                .build(),
            plans: fleet
                .store()
                .optional()
                .index(BY_APPLICATION, |plan: &ReleasePlan| sibling(plan, &plan.spec.application))
                .build(),
            releases: fleet
                .store()
                .optional()
                .trim(trim::release)
                .index(BY_SNAPSHOT, |release: &Release| sibling(release, &release.spec.snapshot))
                .build(),
            environments: fleet
                .store()
                .optional()
                .index(BY_SNAPSHOT, |environment: &Environment| {
                    labelled(environment, labels::SNAPSHOT.as_str())
                })
                .index(BY_SCENARIO, |environment: &Environment| {
                    labelled(environment, labels::SCENARIO.as_str())
                })
                .index(BY_NAMESPACE, |environment: &Environment| vec![ObjectKey::of(environment).sibling("")])
                .build(),
            bindings: fleet
                .store()
                .optional()
                .index(BY_APPLICATION, |binding: &SnapshotEnvironmentBinding| {
                    sibling(binding, &binding.spec.application)
                })
                .index(BY_ENVIRONMENT, |binding: &SnapshotEnvironmentBinding| {
                    sibling(binding, &binding.spec.environment)
                })
                .build(),
            claims: fleet
                .store()
                .optional()
                .index(BY_SNAPSHOT, |claim: &DeploymentTargetClaim| {
                    labelled(claim, labels::SNAPSHOT.as_str())
                })
                .index(BY_SCENARIO, |claim: &DeploymentTargetClaim| {
                    labelled(claim, labels::SCENARIO.as_str())
                })
                .index(BY_ENVIRONMENT, |claim: &DeploymentTargetClaim| {
                    labelled(claim, labels::ENVIRONMENT.as_str())
                })
                .build(),
            targets: fleet.store().optional().build(),
            repositories: fleet
                .store()
                .optional()
                .trim(trim::repository)
                .index(BY_URL, |repository: &Repository| {
                    let url = repository.spec.spec.url.as_deref();
                    let namespace = repository.namespace().unwrap_or_default();
                    url.map(|url| report::repository_key(&namespace, url)).into_iter().collect()
                })
                .build(),
        }
    }
}

fn of_type(kind: &str) -> Expression {
    Expression::Equal(keys::PIPELINE_TYPE.as_str().into(), kind.into())
}

/// What an object names in its namespace.
fn sibling<K: kube::Resource<DynamicType = ()>>(object: &K, name: &str) -> Vec<ObjectKey> {
    if name.is_empty() { Vec::new() } else { vec![ObjectKey::of(object).sibling(name)] }
}

/// What a label of an object names in its namespace.
fn labelled<K: kube::Resource<DynamicType = ()>>(object: &K, label: &str) -> Vec<ObjectKey> {
    object.labels().get(label).map(|name| sibling(object, name)).unwrap_or_default()
}
