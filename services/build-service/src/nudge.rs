//! Proposes a new image to the Components that use it (specification, section 5).
//!
//! ```text
//! build's run, by a push ──▶ decide ─┬─▶ finalizer, so that it stays until its image is proposed
//!   (its Component nudges)           ├─▶ a run of the updater per repository and branch: pending ─▶ ConfigMap, Secret ─▶ let go
//!                                    ├─▶ its token goes when it is over
//!                                    └─▶ processed, finalizer off: of older builds too, for the newest image wins
//! ```
//! One key of the queue is one Component: its builds are decided about together.

mod act;
mod decide;
mod group;
mod run;
mod stores;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use application_service_api::Component;
use fleet::{Clock, Fleet, ObjectKey, Runner, Store, Wake, Writer};
use jiff::Timestamp;
use kube::{Client, ResourceExt as _};
use parking_lot::Mutex;
use pipelines_engine_api::PipelineRun;

pub(crate) use self::decide::ended;
use self::decide::{Observed, decide};
use self::stores::Stores;
use crate::args::AccountMode;
use crate::git::Gits;
use crate::renovate::Error;
use crate::renovate::options::Options;

/// What the controller is made of.
pub(crate) struct Parts {
    pub(crate) components: Store<Component>,
    pub(crate) gits: Gits,
    pub(crate) options: Options,
    pub(crate) accounts: AccountMode,
}

struct Context {
    stores: Stores,
    gits: Gits,
    options: Options,
    accounts: AccountMode,
    client: Client,
    writer: Writer,
    clock: Clock,
    memory: Mutex<Memory>,
}

/// What is known of failures. A restart forgets it, and tries at once what it would have waited for.
#[derive(Default)]
struct Memory {
    /// Causes of runs that cannot be started: they are not tried again for the same build.
    skipped: HashMap<ObjectKey, HashSet<String>>,
    /// When a build may be tried again, by the Component and the uid of its run.
    not_before: HashMap<ObjectKey, HashMap<String, Timestamp>>,
    /// How often in a row, and since when, the credentials of runs could not be had, by their causes.
    tries: HashMap<ObjectKey, HashMap<String, (u32, Timestamp)>>,
}

impl Memory {
    /// Drops what was known of builds that are done with, or gone.
    fn forget(&mut self, component: &ObjectKey, builds: &[Arc<PipelineRun>]) {
        let open: Vec<String> = builds
            .iter()
            .filter(|build| !decide::is_processed(build))
            .filter_map(|build| build.uid())
            .collect();
        if let Some(skipped) = self.skipped.get_mut(component) {
            skipped.retain(|cause| open.iter().any(|uid| cause.starts_with(uid.as_str())));
        }
        if let Some(not_before) = self.not_before.get_mut(component) {
            not_before.retain(|uid, _| open.contains(uid));
        }
        if let Some(tries) = self.tries.get_mut(component) {
            tries.retain(|cause, _| open.iter().any(|uid| cause.starts_with(uid.as_str())));
        }
        self.tries.retain(|_, tries| !tries.is_empty());
        self.skipped.retain(|_, skipped| !skipped.is_empty());
        self.not_before.retain(|_, not_before| !not_before.is_empty());
    }
}

/// The controller, for the leader to run.
pub(crate) fn controller(fleet: &mut Fleet, parts: Parts) -> Runner {
    let stores = Stores::new(fleet, parts.components);
    let context = Arc::new(Context {
        stores: stores.clone(),
        gits: parts.gits,
        options: parts.options,
        accounts: parts.accounts,
        client: fleet.client().clone(),
        writer: fleet.writer().clone().patient(),
        clock: fleet.clock().clone(),
        memory: Mutex::default(),
    });
    let known = stores.clone();
    fleet
        .controller("nudge")
        .reads_changes(&stores.components, |change| {
            // Only whom it nudges matters, and whether it is there.
            let nudges = |component: &Option<Arc<Component>>| {
                component.as_ref().map(|component| component.spec.build_nudges_ref.clone())
            };
            if nudges(&change.old) == nudges(&change.new) { Vec::new() } else { vec![change.key.clone()] }
        })
        .reads(&stores.builds, crate::stores::by_component)
        .reads(&stores.nudges, stores::by_nudging)
        .consults(&stores.admissions)
        .reads_presence(&stores.components, move || known.keys())
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, Error> {
    let stores = &context.stores;
    let component = stores.component(&key);
    let targets = component.as_ref().map(|component| stores.targets(component)).unwrap_or_default();
    let groups = group::groups(&targets);
    let builds = stores.builds_of(&key);
    let (skipped, not_before) = {
        let mut memory = context.memory.lock();
        memory.forget(&key, &builds);
        (
            memory.skipped.get(&key).cloned().unwrap_or_default(),
            memory.not_before.get(&key).cloned().unwrap_or_default(),
        )
    };
    let next = decide(&Observed {
        now: context.clock.now(),
        component: component.as_deref(),
        components: stores.components.presence(),
        builds,
        nudges: stores.nudges_of(&key),
        groups: &groups,
        skipped: &skipped,
        not_before: &not_before,
        retry_after: context.options.nudge_retry_after,
    });
    Ok(Box::pin(act::act(&context, &key, component.as_deref(), &groups, next)).await?)
}
