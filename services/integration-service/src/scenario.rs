//! Says of each scenario whether it can be run, and removes what was made for it before it goes (specification, section 4.10).
//!
//! ```text
//! scenario ─┬─ Application there? Environment there? resolver in order? ─▶ IntegrationTestScenarioValid, owner
//!           └─ being deleted ─▶ its Environments and claims deleted ─▶ finalizer off
//! ```

mod decide;
mod faults;

use std::sync::Arc;

use application_service_api::{Application, Environment};
use fleet::store::Presence;
use fleet::{Fleet, ObjectKey, Runner, Wake, WriteError};
use integration_service_api::IntegrationTestScenario;

use crate::environments::{Leftovers, wanted};
use crate::service::Context;
use crate::stores::{BY_APPLICATION, BY_ENVIRONMENT};
use decide::{Named, Seen};

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    let (of_application, of_environment) = (context.stores.clone(), context.stores.clone());
    let all = context.stores.clone();
    fleet
        .controller("scenario")
        .of(&context.stores.scenarios)
        .reads_changes(&context.stores.applications, move |change| {
            let matters = |application: &Application| {
                (application.metadata.uid.clone(), application.metadata.deletion_timestamp.is_some())
            };
            if change.old.as_deref().map(matters) == change.new.as_deref().map(matters) {
                return Vec::new();
            }
            keys(&of_application.scenarios.indexed(BY_APPLICATION, &change.key))
        })
        .reads_changes(&context.stores.environments, move |change| {
            // Nothing of an Environment matters but whether it is there.
            let is_there = |environment: &Option<Arc<Environment>>| environment.is_some();
            if is_there(&change.old) == is_there(&change.new) {
                return Vec::new();
            }
            keys(&of_environment.scenarios.indexed(BY_ENVIRONMENT, &change.key))
        })
        .reads_presence(&context.stores.applications, move || all.scenarios.keys())
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

fn keys(scenarios: &[Arc<IntegrationTestScenario>]) -> Vec<ObjectKey> {
    scenarios.iter().map(|scenario| ObjectKey::of(&**scenario)).collect()
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, WriteError> {
    let Some(scenario) = context.stores.scenarios.get(&key) else { return Ok(Wake::OnChange) };
    let seen = observe(scenario, &context);
    let decision = decide::decide(&seen);
    tracing::debug!(hold = ?decision.hold, writes = decision.writes.len(), "Decided");
    context.writer.apply(&decision.writes).await?;
    Ok(decision.wake)
}

fn observe(scenario: Arc<IntegrationTestScenario>, context: &Context) -> Seen {
    let stores = &context.stores;
    let key = ObjectKey::of(&*scenario);
    let application = match stores.applications.get(&key.sibling(&scenario.spec.application)) {
        Some(application) => Named::There(application),
        None if stores.applications.presence() == Presence::Unknown => Named::NotHeardOf,
        None => Named::Missing,
    };
    let environment = wanted(&scenario);
    let environment_is_there = match &environment {
        Ok(Some(environment)) => stores.environments.get(&key.sibling(&environment.name)).is_some(),
        Ok(None) | Err(_) => true,
    };
    Seen {
        now: context.clock.now(),
        application,
        environments_enabled: context.args.environments_enabled,
        environment,
        environment_is_there,
        leftovers: Leftovers::of_scenario(stores, &key),
        scenario,
    }
}
