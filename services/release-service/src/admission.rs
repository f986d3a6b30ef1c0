//! Says of each admission which plans it takes, and whether failed runs of it are repeated (spec, sections 4.3 and 4.11).

mod decide;

use std::sync::Arc;

use fleet::{Fleet, ObjectKey, Runner, Wake, WriteError};
use release_service_api::{
    ReleasePlan, ReleasePlanSpec, ReleaseServiceConfig, ReleaseServiceConfigSpec, labels,
};

use crate::matching;
use crate::release::retry_info;
use crate::service::Context;
use decide::{Seen, decide};

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    let (of_plan, of_config) = (context.stores.clone(), context.stores.clone());
    fleet
        .controller("admission")
        .of(&context.stores.admissions)
        .reads_changes(&context.stores.plans, move |change| {
            if change.old.as_deref().map(facts) == change.new.as_deref().map(facts) {
                return Vec::new();
            }
            let sides = change.old.iter().chain(&change.new);
            sides.flat_map(|plan| matching::admissions_near(&of_plan, plan)).collect()
        })
        .reads_changes(&context.stores.configs, move |_| of_config.admissions.keys())
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

/// What admissions depend on in a plan. Its status changes with theirs.
fn facts(plan: &ReleasePlan) -> (&ReleasePlanSpec, bool, Option<&str>) {
    let named = labels::RELEASE_PLAN_ADMISSION.of(&plan.metadata.labels);
    (&plan.spec, matching::is_automatic(plan), named)
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, WriteError> {
    let Some(admission) = context.stores.admissions.get(&key) else { return Ok(Wake::OnChange) };
    let plans = matching::plans_of(&context.stores, &admission);
    let retry_info = retry_info(&config(&context), &admission, &plans);
    let decision = decide(&Seen { now: context.clock.now(), admission, plans, retry_info });
    tracing::debug!(hold = ?decision.hold, writes = decision.writes.len(), "Decided");
    context.writer.apply(&decision.writes).await?;
    Ok(decision.wake)
}

/// The settings; empty ones where there are none. The store holds those of the service's own namespace alone.
fn config(context: &Context) -> Arc<ReleaseServiceConfig> {
    let configs = &context.stores.configs;
    let key = configs.keys().into_iter().find(|key: &ObjectKey| key.name == ReleaseServiceConfigSpec::NAME);
    key.and_then(|key| configs.get(&key)).unwrap_or_default()
}
