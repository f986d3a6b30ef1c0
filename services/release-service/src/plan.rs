//! Says of each plan which admission takes its Releases, and makes its Application its owner (spec, section 4.3).
//!
//! ```text
//! plan ─┬─ admission? one, none, several ─▶ Matched, releasePlanAdmission
//!       └─ nobody's yet ─▶ Application there? ─▶ its owner     (missing: again in a minute)
//! ```

mod decide;

use std::sync::Arc;

use application_service_api::Application;
use fleet::{Classed, Fleet, ObjectKey, Runner, Wake, WriteError, patience};
use kube::Api;
use release_service_api::{ReleasePlan, ReleasePlanAdmission};

use crate::matching;
use crate::service::Context;
use decide::{Owner, Seen, decide};

/// Why a plan is looked at again.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
enum Error {
    #[error("read the Application of the plan")]
    Application(#[source] kube::Error),
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Classed for Error {
    fn class(&self) -> fleet::Class {
        match self {
            Self::Application(_) => fleet::Class::Retry,
            Self::Write(error) => error.class(),
        }
    }

    fn label(&self) -> &'static str {
        self.into()
    }
}

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    let stores = context.stores.clone();
    fleet
        .controller("plan")
        .of(&context.stores.plans)
        .reads_changes(&context.stores.admissions, move |change| {
            if change.old.as_deref().map(facts) == change.new.as_deref().map(facts) {
                return Vec::new();
            }
            let sides = change.old.iter().chain(&change.new);
            sides.flat_map(|admission| matching::plans_near(&stores, admission)).collect()
        })
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

/// What plans depend on in an admission. Its status changes with theirs.
fn facts(admission: &ReleasePlanAdmission) -> (&str, &[String], bool) {
    (&admission.spec.origin, &admission.spec.applications, matching::is_active(admission))
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, Error> {
    let Some(plan) = context.stores.plans.get(&key) else { return Ok(Wake::OnChange) };
    let owner = owner(&plan, &context).await?;
    let seen = Seen {
        now: context.clock.now(),
        admission: matching::admission_of(&context.stores, &plan),
        owner,
        plan,
    };
    let decision = decide(&seen);
    tracing::debug!(hold = ?decision.hold, writes = decision.writes.len(), "Decided");
    context.writer.apply(&decision.writes).await?;
    Ok(decision.wake)
}

/// The Application, read only where it is to become the owner: plans are many, and each asks once in its life.
async fn owner(plan: &ReleasePlan, context: &Context) -> Result<Owner, Error> {
    if !context.args.plan_owner_reference || !decide::wants_owner(plan) {
        return Ok(Owner::NotWanted);
    }
    let key = ObjectKey::of(plan).sibling(&plan.spec.application);
    let api = Api::<Application>::namespaced(context.client.clone(), &key.namespace);
    // A name that cannot be one would be another request.
    if key.name.is_empty() {
        return Ok(Owner::Missing);
    }
    let application = patience::read(|| api.get_opt(&key.name)).await.map_err(Error::Application)?;
    Ok(application.map_or(Owner::Missing, |application| Owner::There(Box::new(application))))
}
