//! Takes a Release from its creation to its end (spec, sections 4.1 to 4.6 and 4.9).
//!
//! ```text
//! observe ─▶ clean up what is over ─▶ validate ─▶ finalizer ─▶ track what runs ─▶ start what is due ─▶ status ─▶ clean up
//! ```
//! A pass may take several steps: when one phase ends, the next begins in the same pass, and the status is written once. What it
//! says is gathered in an [`Account`](account::Account).

mod account;
mod advance;
mod attempts;
mod author;
mod binding;
pub(crate) mod cleanup;
mod finalise;
mod metadata;
mod observe;
mod order;
mod params;
mod revision;
mod run;
pub(crate) mod start;
mod timeouts;
mod track;
mod validate;
mod wakes;
mod work;
mod workspace;

use std::sync::Arc;

use fleet::{Class, Classed, Fleet, ObjectKey, Runner, Wake, WriteError, is_inert, patience};
use kube::{Api, ResourceExt as _};
use release_service_api::Release;

use crate::service::Context;
use crate::stores::BY_RELEASE;
use crate::trim::{is_held, is_trimmed};
use observe::{observe, slot_of};

pub(crate) use account::{Account, State};
pub(crate) use attempts::retry_info;

/// Why a pass ended early.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("read what a Release depends on")]
    Read(#[source] kube::Error),
    #[error(transparent)]
    Phase(#[from] start::Error),
}

impl Classed for Error {
    fn class(&self) -> Class {
        match self {
            // The Release itself is gone, or is not what it was.
            Self::Write(error) if error.class() == Class::Forget => Class::Forget,
            // What will never go is told in the status; all else is tried again, or the Release would stay as it is for ever.
            Self::Write(_) | Self::Read(_) | Self::Phase(_) => Class::Retry,
        }
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Read(_) => "read",
            Self::Write(error) | Self::Phase(start::Error::Write(error)) => error.label(),
            Self::Phase(start::Error::Read(_)) => "read_phase",
            Self::Phase(start::Error::Revision { .. }) => "revision",
        }
    }
}

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    let controller = wakes::wakes(
        fleet.controller_with_workers("release", context.args.max_concurrent_reconciles),
        &context.stores,
    );
    controller.reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, Error> {
    let Some(release) = context.stores.releases.get(&key) else { return Ok(Wake::OnChange) };
    if release.metadata.deletion_timestamp.is_some() {
        return Ok(Box::pin(finalise::finalise(&context, &release)).await?);
    }
    if is_inert(&release.metadata) {
        tracing::debug!(release = %key, "Came out of a backup, or goes into one: left alone");
        return Ok(Wake::OnChange);
    }
    if !is_trimmed(&release) {
        return Box::pin(pass(&context, release)).await;
    }
    if holds_a_run(&context, &release) {
        return Box::pin(clean_up_after(&context, &release)).await;
    }
    Ok(Wake::OnChange)
}

async fn pass(context: &Context, release: Arc<Release>) -> Result<Wake, Error> {
    let mut seen = observe(context, release).await.map_err(Error::Read)?;
    let mut account = Account::of(&seen.release, seen.now);
    Box::pin(cleanup::clean(context, &seen, &account, account.is_withdrawn())).await?;
    // What was done until an error came is told all the same, such as since when a phase is due.
    let advanced = advance::advance(context, &mut seen, &mut account).await;
    let writes = account.writes(&seen.release, order::has_phases(&seen, &account));
    context.writer.apply(&writes).await?;
    context.metrics.tell(&account);
    let wake = advanced?;
    if !writes.is_empty() {
        Box::pin(cleanup::clean(context, &seen, &account, account.is_withdrawn())).await?;
    }
    Ok(wake)
}

/// Whether a run of a Release that is over still has our finalizer.
fn holds_a_run(context: &Context, release: &Release) -> bool {
    let runs = context.stores.runs.indexed(BY_RELEASE, &ObjectKey::of(release));
    runs.iter().any(|run| is_held(run) && slot_of(run, release).is_some())
}

/// Takes back what a run was given whose Release is over, after a pass that did not come so far.
async fn clean_up_after(context: &Context, release: &Release) -> Result<Wake, Error> {
    let name = release.name_any();
    let api: Api<Release> = Api::namespaced(context.client.clone(), &release.namespace().unwrap_or_default());
    let Some(whole) = patience::read(|| api.get_opt(&name)).await.map_err(Error::Read)? else {
        return Ok(Wake::OnChange);
    };
    let seen = observe(context, Arc::new(whole)).await.map_err(Error::Read)?;
    let account = Account::of(&seen.release, seen.now);
    Box::pin(cleanup::clean(context, &seen, &account, account.is_withdrawn())).await?;
    Ok(Wake::OnChange)
}
