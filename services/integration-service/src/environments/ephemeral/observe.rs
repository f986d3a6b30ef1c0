//! Finds what there is of the environment of one run.

use std::sync::Arc;
use std::time::Duration;

use application_service_api::{Application, Environment, Snapshot, SnapshotEnvironmentBinding};
use fleet::ObjectKey;
use fleet::store::Presence;
use gitops_service_api::DeploymentTargetClass;
use gitops_service_api::deployment_target_class::DeploymentTargetClassSpec;
use integration_service_api::scenario::TestEnvironment;
use integration_service_api::{IntegrationTestScenario, labels};
use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};

use super::{Installed, Seen, objects};
use crate::environments::{claim_of, wanted};
use crate::service::Context;
use crate::stores::{BY_ENVIRONMENT, BY_SNAPSHOT, Stores};

/// How often to look for a class that is missing: classes are not watched.
pub(super) const LOOK_FOR_CLASS: Duration = Duration::from_secs(30);

/// Of how many classes one is chosen. There is one, as a rule.
const MOST_CLASSES: u32 = 100;

/// The run that an environment is wanted for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) application: &'a Arc<Application>,
    /// With its components.
    pub(crate) snapshot: &'a Arc<Snapshot>,
    pub(crate) scenario: &'a Arc<IntegrationTestScenario>,
    pub(crate) attempt: u32,
    /// When the entry of the scenario went in progress, if it is.
    pub(crate) since: Option<Timestamp>,
}

/// `None` if the runs of the scenario need no environment. Fails if classes have to be looked up and cannot be.
pub(crate) async fn observe(context: &Context, asked: &Asked<'_>) -> kube::Result<Option<Seen>> {
    let Some(wanted) = wanted(asked.scenario).transpose() else { return Ok(None) };
    let stores = &context.stores;
    let mut seen = Seen {
        now: context.clock.now(),
        enabled: context.args.environments_enabled,
        application: Arc::clone(asked.application),
        snapshot: Arc::clone(asked.snapshot),
        scenario: Arc::clone(asked.scenario),
        attempt: asked.attempt,
        since: asked.since,
        wanted,
        installed: installed(stores),
        original: None,
        copy: None,
        claim: None,
        target: None,
        binding: None,
        class: None,
        refused: None,
    };
    let Ok(wanted) = &seen.wanted else { return Ok(Some(seen)) };
    let key = ObjectKey::of(&**asked.snapshot);
    let copy = find_copy(stores, &seen, wanted);
    // The original gave its claims names that only the Environments know.
    let claim = copy.as_ref().map_or_else(|| objects::claim_key(&seen), |copy| key.sibling(claim_of(copy)));
    seen.original = stores.environments.get(&key.sibling(&wanted.name));
    seen.claim = stores.claims.get(&claim);
    let target = seen.claim.as_ref().and_then(|claim| claim.spec.target_name.as_ref());
    seen.target = target.and_then(|target| stores.targets.get(&key.sibling(target)));
    seen.binding = copy.as_ref().and_then(|copy| find_binding(stores, &seen, copy));
    seen.copy = copy;
    let is_to_be_made = seen.enabled && seen.copy.is_none() && seen.original.is_some();
    if is_to_be_made && seen.claim.is_none() && seen.installed == Installed::Yes {
        match class(&context.client).await {
            Ok(class) => seen.class = class,
            Err(kube::Error::Api(status)) if status.is_not_found() => seen.installed = Installed::No,
            Err(error) => return Err(error),
        }
    }
    Ok(Some(seen))
}

fn installed(stores: &Stores) -> Installed {
    let all = [
        stores.claims.presence(),
        stores.targets.presence(),
        stores.environments.presence(),
        stores.bindings.presence(),
    ];
    if all.contains(&Presence::Absent) {
        Installed::No
    } else if all.contains(&Presence::Unknown) {
        Installed::Unknown
    } else {
        Installed::Yes
    }
}

/// The one of our name; of the first attempt also one that the original made.
fn find_copy(stores: &Stores, seen: &Seen, wanted: &TestEnvironment) -> Option<Arc<Environment>> {
    stores.environments.get(&objects::copy_key(seen, wanted)).or_else(|| {
        let scenario = seen.scenario.name_any();
        let is_its = |environment: &Arc<Environment>| {
            labels::SCENARIO.of(&environment.metadata.labels) == Some(&scenario)
                && environment.metadata.deletion_timestamp.is_none()
        };
        let of_snapshot = stores.environments.indexed(BY_SNAPSHOT, &ObjectKey::of(&*seen.snapshot));
        of_snapshot.into_iter().filter(|_| seen.attempt == 0).find(is_its)
    })
}

fn find_binding(stores: &Stores, seen: &Seen, copy: &Environment) -> Option<Arc<SnapshotEnvironmentBinding>> {
    let bindings = stores.bindings.indexed(BY_ENVIRONMENT, &ObjectKey::of(copy));
    let is_its = |binding: &Arc<SnapshotEnvironmentBinding>| {
        binding.spec.snapshot == seen.snapshot.name_any() && binding.metadata.deletion_timestamp.is_none()
    };
    bindings.into_iter().find(is_its)
}

/// The first class, by name, of targets that are made on demand.
async fn class(client: &Client) -> kube::Result<Option<String>> {
    let classes = Api::<DeploymentTargetClass>::all(client.clone());
    let all = classes.list(&ListParams::default().limit(MOST_CLASSES)).await?;
    let made =
        all.items.into_iter().filter(|class| class.spec.provisioner == DeploymentTargetClassSpec::DEVSANDBOX);
    Ok(made.map(|class| class.name_any()).min())
}
