//! Says of each policy whether images can be judged by it. `ec` needs none of this: it fetches and checks by itself.
//!
//! ```text
//! EnterpriseContractPolicy ─▶ due? ─▶ Resolver: sources fetched and compiled, key read ─▶ decide ─▶ status
//!                               │ nothing, the key alone, or all
//!                             Found: what was found the last time
//! ```

mod decide;
mod due;
mod key;
mod resolve;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use enterprise_contract_api::EnterpriseContractPolicy;
use fleet::{Fleet, ObjectKey, Runner, Wake, WriteError};
use jiff::Timestamp;
use kube::ResourceExt as _;
use parking_lot::Mutex;

use self::decide::{Observed, decide};
use self::due::{Due, due};
use self::resolve::Resolution;
pub(crate) use self::resolve::Resolver;
use crate::service::Context;

/// What was found of each policy the last time, by the policy's uid. Forgotten with the process: then everything is looked at
/// anew, and nothing is written if nothing has changed.
#[derive(Debug, Default)]
pub(crate) struct Found(Mutex<HashMap<ObjectKey, Finding>>);

/// What was found of one policy.
#[derive(Clone, Debug, PartialEq)]
struct Finding {
    uid: Option<String>,
    generation: Option<i64>,
    sources: Resolution,
    /// When the sources were fetched.
    sources_at: Timestamp,
    /// What is wrong with the key, if anything.
    key: Result<(), String>,
    /// When the key was looked at.
    key_at: Timestamp,
}

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    let forgetting = Arc::clone(&context);
    context.stores.policies.subscribe(move |change| {
        if change.new.is_none() {
            forgetting.found.0.lock().remove(&change.key);
        }
    });
    fleet
        .controller("policy")
        .of(&context.stores.policies)
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, WriteError> {
    let Some(policy) = context.stores.policies.get(&key) else { return Ok(Wake::OnChange) };
    if policy.metadata.deletion_timestamp.is_some() {
        return Ok(Wake::OnChange);
    }
    let finding = observe(&key, &policy, &context).await;
    let seen = Observed { now: context.clock.now(), policy, finding, intervals: intervals(&context) };
    let decision = decide(&seen);
    tracing::debug!(writes = decision.writes.len(), "Decided");
    context.writer.apply(&decision.writes).await.map(|()| decision.wake)
}

/// Looks at what is due, and remembers it.
async fn observe(key: &ObjectKey, policy: &EnterpriseContractPolicy, context: &Context) -> Finding {
    let known = context.found.0.lock().get(key).cloned();
    let now = context.clock.now();
    let finding = match (due(policy, known.as_ref(), now, intervals(context)), known) {
        (Due::Nothing, Some(known)) => return known,
        (Due::Key, Some(known)) => Finding { key: context.resolver.key(policy).await, key_at: now, ..known },
        _ => resolve(policy, context).await,
    };
    // A policy that was deleted meanwhile is not to be remembered.
    if context.stores.policies.get(key).is_some_and(|present| present.uid() == policy.uid()) {
        context.found.0.lock().insert(key.clone(), finding.clone());
    }
    finding
}

async fn resolve(policy: &EnterpriseContractPolicy, context: &Context) -> Finding {
    let _turn = context.turns.acquire().await;
    let began = Instant::now();
    let sources = context.resolver.sources(policy, context.clock.now()).await;
    context.metrics.resolved(began.elapsed(), sources.fault().is_none());
    let key = context.resolver.key(policy).await;
    let now = context.clock.now();
    let (uid, generation) = (policy.uid(), policy.metadata.generation);
    Finding { uid, generation, sources, sources_at: now, key, key_at: now }
}

fn intervals(context: &Context) -> due::Intervals {
    due::Intervals { sources: context.args.resolve_interval, key: context.args.key_interval }
}
