//! What a Component's annotation asks for (section 4.1, step 7).
//!
//! ```text
//! Component ─▶ decide ─┬─▶ hold, or tell what is waited for
//!                      ├─▶ claim ───────▶ annotation
//!                      ├─▶ handle ──────▶ simple | configure | unconfigure | trigger ─▶ status; request and claim off: one write
//!                      └─▶ leave ───────▶ the Component goes: clean-up at its forge, then the finalizer off
//! ```
//! Each reconcile takes one step; a write of its own wakes it for the next.

mod decide;
mod handle;
mod leave;
mod simple;
mod stop;
mod task;

use std::sync::Arc;

use application_service_api::Component;
use build_service_api::{Request, annotations};
use fleet::store::Change;
use fleet::{Fleet, ObjectKey, Runner, Wake, Write, WriteError};
use fleet_api::keys::RECORDED_UID;
use kube::ResourceExt as _;
use serde_json::{Map, Value, json};

pub(crate) use self::handle::hold;
pub(crate) use self::stop::Stop;
pub(crate) use self::task::Task;

use self::decide::{Step, decide};
use crate::args::InitialRequest;
use crate::claim::Claim;
use crate::status::{self, Outcome};
use crate::{Context, metrics};

/// Why a step was not taken.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub(crate) enum Error {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("read Component {component}")]
    Read { component: ObjectKey, source: kube::Error },
    /// Tried again with the same claim.
    #[error("{request} of Component {component}: {detail}")]
    Unfinished { request: &'static str, component: ObjectKey, detail: String },
}

impl fleet::Classed for Error {
    fn class(&self) -> fleet::Class {
        match self {
            Self::Write(error) => error.class(),
            Self::Read { source, .. } => fleet::classify(source),
            Self::Unfinished { .. } => fleet::Class::Retry,
        }
    }

    fn label(&self) -> &'static str {
        self.into()
    }
}

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    fleet
        .controller("request")
        .reads_changes(&context.stores.components, wakes)
        .consults(&context.stores.selectors)
        .consults(&context.stores.global_selectors)
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

/// The Component, unless nothing has changed but what its status says: that is our own doing, and what is tried again would be
/// tried at once.
fn wakes(change: &Change<Component>) -> Vec<ObjectKey> {
    let relevant = |component: &Component| {
        let mut component = component.clone();
        component.metadata.resource_version = None;
        component.metadata.generation = None;
        if let Some(text) = component.annotations_mut().get_mut(annotations::STATUS.as_str()) {
            text.clear();
        }
        component
    };
    match (change.old.as_deref(), change.new.as_deref()) {
        (Some(old), Some(new)) if relevant(old) == relevant(new) => Vec::new(),
        (_, None) => Vec::new(),
        _ => vec![change.key.clone()],
    }
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, Error> {
    let Some(component) = context.stores.components.get(&key) else { return Ok(Wake::OnChange) };
    let initial = match context.args.initial_request {
        InitialRequest::TriggerSimpleBuild => Request::TriggerSimpleBuild,
        InitialRequest::ConfigurePac => Request::ConfigurePac,
    };
    let step = decide(&component, initial);
    tracing::debug!(?step, "Decided");
    match step {
        Step::Hold(_) => Ok(Wake::OnChange),
        Step::Write(changes) => {
            context.write(&[annotate(&component, &changes)]).await?;
            Ok(Wake::OnChange)
        }
        Step::Claim(request) => {
            let claim = Claim::new(context.clock.now());
            let changes = [
                (annotations::CLAIM.to_string(), json!(claim.to_string())),
                (annotations::REQUEST.to_string(), json!(<&str>::from(request))),
                (RECORDED_UID.to_string(), json!(component.uid())),
            ];
            context.write(&[annotate(&component, &changes.into_iter().collect())]).await?;
            Ok(Wake::OnChange)
        }
        Step::Finish(outcome) => {
            let status = status::after(status::of(&component), &outcome, context.clock.now());
            context.write(&[annotate(&component, &decide::ended(&status))]).await?;
            Ok(Wake::OnChange)
        }
        Step::Handle(request, claim) => Box::pin(handle::handle(&context, &component, request, claim)).await,
        Step::Leave => {
            Box::pin(leave::leave(&context, &component)).await?;
            Ok(Wake::OnChange)
        }
    }
}

/// Sets annotations under the version that was read.
fn annotate(component: &Component, changes: &Map<String, Value>) -> Write {
    Write::merge(component, json!({"metadata": {"annotations": changes}}))
}

/// How long a request took, where it ended well.
fn observe(
    metrics: &metrics::Metrics,
    component: &Component,
    claim: &Claim,
    outcome: &Outcome,
    now: jiff::Timestamp,
) {
    let took = now.duration_since(claim.since());
    let age = component.creation_timestamp().map(|created| now.duration_since(created.0));
    let was_untold = status::of(component) == build_service_api::BuildStatus::default();
    match outcome {
        Outcome::Built => metrics.simple_build(took),
        Outcome::Enabled { url: Some(_), .. } => metrics.configuration(took),
        Outcome::Disabled { url: Some(_) } => metrics.unconfiguration(took),
        Outcome::Triggered => metrics.trigger(took),
        _ => return,
    }
    if let Some(age) = age.filter(|_| was_untold) {
        metrics.onboarding(age);
    }
}
