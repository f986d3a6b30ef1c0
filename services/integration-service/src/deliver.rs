//! What follows from a Snapshot that was merged and has passed: Releases, and the root environments.
//!
//! ```text
//! promotable Snapshot ─┬▶ release ──────────▶ Releases ──┐
//!                      └▶ environments::root ─▶ bindings ─┴▶ one write of its conditions
//! ```
//! Neither waits for the other. What is refused for good is said on the Snapshot and tried again until it is three hours old.

use std::sync::Arc;

use application_service_api::Snapshot;
use fleet::controller::chain;
use fleet::{Class, Classed, Fleet, ObjectKey, Runner, Wake, Write, WriteError, is_inert};
use integration_service_api::conditions::{
    AutoReleased, DeployedToRootEnvironments, IntegrationStatus, TestSucceeded,
};
use jiff::{SignedDuration, Timestamp};

use crate::conditions::{Conditions, Says as _};
use crate::environments::root;
use crate::promotion::{is_held_back, is_push};
use crate::release;
use crate::service::Context;

/// How old a Snapshot may be until what is refused for good is tried no more.
const RETRIED_FOR: SignedDuration = SignedDuration::from_hours(3);

#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub(crate) enum Error {
    #[error("read all of the Snapshot")]
    Read(#[source] kube::Error),
    #[error("deliver the Snapshot")]
    Refused(#[source] WriteError),
}

impl Classed for Error {
    fn class(&self) -> Class {
        match self {
            Self::Read(source) => fleet::classify(source),
            // A plan or a webhook that stands in the way may be put right without the Snapshot changing.
            Self::Refused(source) if source.is_permanent() => Class::Retry,
            Self::Refused(source) => source.class(),
        }
    }

    fn label(&self) -> &'static str {
        self.into()
    }
}

/// Why nothing is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    BeingDeleted,
    /// It came out of a backup.
    Restored,
    PullRequest,
    /// A label keeps it from being promoted.
    HeldBack,
    TestsRunning,
    TestsFailed,
    /// Superseded, wrong, or cancelled.
    Out,
}

/// What stands in the way of a Snapshot, if anything does.
fn hold(snapshot: &Snapshot) -> Option<Hold> {
    if snapshot.metadata.deletion_timestamp.is_some() {
        return Some(Hold::BeingDeleted);
    }
    if is_inert(&snapshot.metadata) {
        return Some(Hold::Restored);
    }
    if snapshot.is_out() {
        return Some(Hold::Out);
    }
    match snapshot.passed() {
        None => return Some(Hold::TestsRunning),
        Some(false) => return Some(Hold::TestsFailed),
        Some(true) => {}
    }
    if is_held_back(snapshot) {
        return Some(Hold::HeldBack);
    }
    (!is_push(snapshot)).then_some(Hold::PullRequest)
}

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    let stores = &context.stores;
    let is_deployed = context.args.environments_enabled;
    fleet
        .controller("deliver")
        // Nearly all Snapshots are done with.
        .reads_changes(&stores.snapshots, move |change| {
            let is_left = |snapshot: &Snapshot| {
                let is_open = !snapshot.has::<AutoReleased>()
                    || is_deployed && !snapshot.has::<DeployedToRootEnvironments>();
                is_open && hold(snapshot).is_none()
            };
            let is_left = change.new.as_deref().is_some_and(is_left);
            if is_left { vec![change.key.clone()] } else { Vec::new() }
        })
        .reads(&stores.releases, |release| {
            let snapshot = &release.spec.snapshot;
            if snapshot.is_empty() { Vec::new() } else { vec![ObjectKey::of(release).sibling(snapshot)] }
        })
        .consults(&stores.applications)
        .consults(&stores.components)
        .consults(&stores.plans)
        .consults(&stores.environments)
        .consults(&stores.bindings)
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, Error> {
    let stores = &context.stores;
    let Some(snapshot) = stores.snapshots.get(&key) else { return Ok(Wake::OnChange) };
    if let Some(hold) = hold(&snapshot) {
        tracing::debug!(?hold, "Decided");
        return Ok(Wake::OnChange);
    }
    let application = stores.applications.get(&key.sibling(&snapshot.spec.application));
    let application = application.filter(|application| application.metadata.deletion_timestamp.is_none());
    let Some(application) = application else { return Ok(Wake::OnChange) };
    let now = context.clock.now();

    let snapshot = if snapshot.has::<AutoReleased>() && snapshot.has::<DeployedToRootEnvironments>() {
        snapshot
    } else {
        context.whole(&snapshot).await.map_err(Error::Read)?
    };
    let releases = release::decide(&release::observe(stores, &application, &snapshot, now));
    let roots = if snapshot.has::<DeployedToRootEnvironments>() {
        root::Root::default()
    } else {
        let enabled = context.args.environments_enabled;
        root::decide(&root::observe(stores, &application, &snapshot, now, enabled))
    };
    let delivered = apply_each(&context, &releases.writes).await;
    if releases.is_first
        && delivered.is_ok()
        && let Some(passed) = snapshot.since::<TestSucceeded>()
    {
        context.metrics.released(passed, now);
    }
    let deployed = apply_each(&context, &roots.writes).await;

    let refused = [&delivered, &deployed].into_iter().find_map(|result| result.as_ref().err());
    let conditions = Conditions {
        released: releases.outcome.filter(|_| delivered.is_ok()),
        deployed: roots.is_done && deployed.is_ok(),
        integration_status: integration_status(&snapshot, refused),
        ..Conditions::default()
    };
    let written = conditions.write(&snapshot, now);
    context.writer.apply(written.as_slice()).await.map_err(Error::Refused)?;
    match delivered.and(deployed) {
        Ok(()) => Ok(releases.wake.or(roots.wake, now)),
        Err(error) if error.is_permanent() && is_given_up(&snapshot, now) => {
            tracing::debug!(error = chain(&error), "Gave up");
            Ok(Wake::OnChange)
        }
        Err(error) => Err(Error::Refused(error)),
    }
}

/// Carries out all, whatever becomes of the others. The error is the first one that somebody has to do something about, else the
/// first.
async fn apply_each(context: &Context, writes: &[Write]) -> Result<(), WriteError> {
    let mut first: Option<WriteError> = None;
    for write in writes {
        if let Err(error) = context.writer.apply(std::slice::from_ref(write)).await
            && first.as_ref().is_none_or(|first| error.is_permanent() && !first.is_permanent())
        {
            first = Some(error);
        }
    }
    first.map_or(Ok(()), Err)
}

/// That something is refused for good, and that it is so no more.
fn integration_status(snapshot: &Snapshot, refused: Option<&WriteError>) -> Option<IntegrationStatus> {
    match refused {
        Some(error) if error.is_permanent() => {
            Some(IntegrationStatus::ErrorOccured { cause: format!("Not promoted: {}", chain(error)) })
        }
        Some(_) => None,
        None => {
            (snapshot.integration_reason() == Some("ErrorOccured")).then_some(IntegrationStatus::Finished)
        }
    }
}

fn is_given_up(snapshot: &Snapshot, now: Timestamp) -> bool {
    let created = snapshot.metadata.creation_timestamp.as_ref();
    created.is_some_and(|created| now.duration_since(created.0) >= RETRIED_FOR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn snapshot(labels: &Value, verdict: &str, status: &str) -> Snapshot {
        let condition = |type_: &str, status: &str, reason: &str| json!({"type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": "2024-03-01T12:00:00Z"});
        serde_json::from_value(json!({
            "metadata": {"name": "s", "labels": labels, "creationTimestamp": "2024-03-01T12:00:00Z"},
            "spec": {"application": "app"},
            "status": {"conditions": [
                condition("AppStudioTestSucceeded", verdict, "x"), condition("AppStudioIntegrationStatus", "True", status),
            ]},
        }))
        .unwrap()
    }

    #[rstest]
    #[case::push(json!({"pac.test.appstudio.openshift.io/event-type": "push"}), "True", "Finished", None)]
    #[case::by_hand(json!({}), "True", "Finished", None)]
    #[case::was_refused(json!({}), "True", "ErrorOccured", None)]
    #[case::running(json!({}), "Unknown", "InProgress", Some(Hold::TestsRunning))]
    #[case::failed(json!({}), "False", "Finished", Some(Hold::TestsFailed))]
    #[case::superseded(json!({}), "True", "Invalid", Some(Hold::Out))]
    #[case::held_back(
        json!({"release.appstudio.openshift.io/auto-release": "false"}), "True", "Finished", Some(Hold::HeldBack)
    )]
    #[case::restored(json!({"velero.io/restore-name": "r"}), "True", "Finished", Some(Hold::Restored))]
    #[case::group(json!({"test.appstudio.openshift.io/type": "group"}), "True", "Finished", Some(Hold::PullRequest))]
    #[case::pull_request(
        json!({"pac.test.appstudio.openshift.io/event-type": "pull_request"}), "True", "Finished", Some(Hold::PullRequest)
    )]
    fn holds(
        #[case] labels: Value,
        #[case] verdict: &str,
        #[case] status: &str,
        #[case] expected: Option<Hold>,
    ) {
        assert_eq!(hold(&snapshot(&labels, verdict, status)), expected);
    }

    fn refused(code: u16) -> WriteError {
        let status = kube::core::Status::failure("no", "").with_code(code).boxed();
        WriteError::Refused { write: "create Release".to_owned(), source: kube::Error::Api(status) }
    }

    #[rstest]
    #[case::for_good(Some(422), "Finished", Some("ErrorOccured"))]
    #[case::for_now(Some(409), "Finished", None)]
    #[case::no_more(None, "ErrorOccured", Some("Finished"))]
    #[case::never(None, "Finished", None)]
    fn says_what_is_refused(#[case] code: Option<u16>, #[case] before: &str, #[case] expected: Option<&str>) {
        let error = code.map(refused);
        let status = integration_status(&snapshot(&json!({}), "True", before), error.as_ref());
        assert_eq!(status.as_ref().map(fleet_api::ConditionState::reason), expected);
    }

    #[rstest]
    #[case::young("2024-03-01T14:59:59Z", false)]
    #[case::old("2024-03-01T15:00:00Z", true)]
    fn gives_up(#[case] now: &str, #[case] expected: bool) {
        let snapshot = snapshot(&json!({}), "True", "Finished");
        assert_eq!(is_given_up(&snapshot, now.parse().unwrap()), expected);
    }
}
