//! A Release is deleted: its bindings and runs go first (spec, section 4.6).
//!
//! What the status says was taken back is not looked for: thousands may expire at once. Of a Release that is still under way, all is
//! found by its labels, for the status may not yet say what was made.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fleet::{Event, MetadataPatch, ObjectKey, Wake, Write, patience};
use jiff::Timestamp;
use kube::{Api, ResourceExt as _};
use pipelines_engine_api::PipelineRun;
use release_service_api::{Phase, Release, finalizers};
use strum::IntoEnumIterator as _;

use super::account::{Account, State};
use super::cleanup::{self, leftovers};
use super::observe::key_of;
use super::start::Error;
use crate::service::Context;
use crate::stores::BY_RELEASE;
use crate::trim::is_held;

/// How long a Release is kept for what cannot be removed.
const PATIENCE: Duration = Duration::from_mins(10);

/// Removes everything of the Release, then its finalizer.
pub(crate) async fn finalise(context: &Context, release: &Arc<Release>) -> Result<Wake, Error> {
    if !finalizers::RELEASE.is_in(release.metadata.finalizers.as_ref()) {
        return Ok(Wake::OnChange);
    }
    if let Err(error) = Box::pin(remove_all(context, release)).await {
        if !gives_up(release, &error, context.clock.now()) {
            return Err(error);
        }
        let note = format!(
            "{}: what is left of this Release in namespaces {} has to be removed by hand",
            fleet::controller::chain(&error),
            namespaces(context, release).into_iter().collect::<Vec<_>>().join(", ")
        );
        let event = Event::warning(&**release, "CleanupFailed", "Finalise", &note);
        context.writer.apply(&[event.into()]).await?;
    }
    let patch = MetadataPatch::of(&**release).without_finalizer(finalizers::RELEASE).into_write();
    context.writer.apply(patch.as_slice()).await?;
    Ok(Wake::OnChange)
}

async fn remove_all(context: &Context, release: &Arc<Release>) -> Result<(), Error> {
    let key = ObjectKey::of(&**release);
    let account = Account::of(release, context.clock.now());
    let runs = runs(context, release, &account).await?;
    if is_under_way(&account) || runs.iter().any(|run| is_held(run)) {
        for namespace in namespaces(context, release) {
            let (bindings, roles) =
                cleanup::bindings_of(context, &key, &namespace).await.map_err(Error::Read)?;
            for binding in &bindings {
                context.writer.apply(&[Write::delete(binding)]).await?;
            }
            for role in &roles {
                context.writer.apply(&[Write::delete(role)]).await?;
            }
        }
    }
    for run in runs {
        Box::pin(cleanup::let_go(context, &run)).await?;
        if run.metadata.deletion_timestamp.is_none() {
            context.writer.apply(&[Write::delete(&*run)]).await?;
        }
    }
    Ok(())
}

/// Something may have been made that nobody has taken back.
fn is_under_way(account: &Account) -> bool {
    !account.is_finished() || account.running().is_some()
}

/// All runs of all phases and attempts: those that are known, and those of phases under way that only the status names.
async fn runs(
    context: &Context,
    release: &Release,
    account: &Account,
) -> Result<Vec<Arc<PipelineRun>>, Error> {
    let key = ObjectKey::of(release);
    let mut runs = context.stores.runs.indexed(BY_RELEASE, &key);
    runs.retain(|run| leftovers::is_run_of(run, release));
    for named in named(account) {
        if runs.iter().any(|run| ObjectKey::of(&**run) == named) {
            continue;
        }
        let api: Api<PipelineRun> = Api::namespaced(context.client.clone(), &named.namespace);
        let found = patience::read(|| api.get_opt(&named.name)).await.map_err(Error::Read)?;
        runs.extend(found.filter(|run| leftovers::is_run_of(run, release)).map(Arc::new));
    }
    Ok(runs)
}

/// The runs that the status names for phases under way.
fn named(account: &Account) -> BTreeSet<ObjectKey> {
    let running = Phase::iter().filter(|phase| account.phase(*phase) == Some(State::Running));
    let runs = running.filter_map(|phase| account.processing(phase)?.pipeline_run.as_deref());
    runs.filter_map(key_of).collect()
}

/// Where something may have been made for it.
fn namespaces(context: &Context, release: &Release) -> BTreeSet<String> {
    let key = ObjectKey::of(release);
    let plan = context.stores.plans.get(&key.sibling(&release.spec.release_plan));
    let of_plan = plan.and_then(|plan| plan.spec.target.clone());
    let of_status = release.status.as_ref().and_then(|status| status.target.clone());
    let runs = context.stores.runs.indexed(BY_RELEASE, &key);
    let of_runs =
        runs.iter().filter(|run| leftovers::is_run_of(run, release)).filter_map(|run| run.namespace());
    [Some(key.namespace.clone()), of_plan, of_status].into_iter().flatten().chain(of_runs).collect()
}

/// A missing right may be given later, but nobody's namespace is held up by it for ever.
fn gives_up(release: &Release, error: &Error, now: Timestamp) -> bool {
    let is_permanent = match error {
        Error::Write(error) => error.is_permanent(),
        Error::Read(error) => fleet::is_permanent(error),
        Error::Revision { .. } => false,
    };
    let since = release.metadata.deletion_timestamp.as_ref().map(|time| now.duration_since(time.0));
    let is_late =
        since.and_then(|since| Duration::try_from(since).ok()).is_some_and(|since| since >= PATIENCE);
    is_permanent && is_late
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn release(status: &Value) -> Release {
        serde_json::from_value(json!({
            "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "Release",
            "metadata": {"name": "r", "namespace": "t", "uid": "u", "deletionTimestamp": "2024-03-01T12:00:00Z"},
            "spec": {"snapshot": "s", "releasePlan": "p"},
            "status": status,
        }))
        .unwrap()
    }

    fn condition(type_: &str, status: &str, reason: &str) -> Value {
        json!({"type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": "2024-03-01T12:00:00Z"})
    }

    #[rstest]
    #[case::nothing_said(&json!({}), true)]
    #[case::runs(&json!({"conditions": [condition("Released", "False", "Progressing")]}), true)]
    #[case::over(&json!({"conditions": [condition("Released", "True", "Succeeded"), condition("Processed", "True", "Succeeded")]}), false)]
    #[case::failed_and_final_runs(
        &json!({"conditions": [condition("Released", "False", "Failed"), condition("FinalPipelineProcessed", "False", "Progressing")]}),
        true
    )]
    fn looks_for_all_while_it_is_under_way(#[case] status: &Value, #[case] expected: bool) {
        assert_eq!(is_under_way(&Account::of(&release(status), Timestamp::UNIX_EPOCH)), expected);
    }

    #[test]
    fn runs_are_asked_for_that_only_the_status_names() {
        let status = json!({
            "conditions": [condition("Processed", "False", "Progressing"), condition("TenantPipelineProcessed", "True", "Succeeded")],
            "tenantProcessing": {"pipelineRun": "t/tenant-a"},
            "managedProcessing": {"pipelineRun": "m/managed-a"},
        });
        let account = Account::of(&release(&status), Timestamp::UNIX_EPOCH);
        assert_eq!(named(&account), BTreeSet::from([ObjectKey::new("m", "managed-a")]));
    }

    #[rstest]
    #[case::forbidden_lately(403, "2024-03-01T12:09:59Z", false)]
    #[case::forbidden_for_long(403, "2024-03-01T12:10:00Z", true)]
    #[case::away_for_long(500, "2024-03-01T13:00:00Z", false)]
    fn gives_up_what_stays_forbidden(#[case] code: u16, #[case] now: &str, #[case] expected: bool) {
        let error = Error::Read(kube::Error::Api(Status::failure("no", "").with_code(code).boxed()));
        assert_eq!(gives_up(&release(&json!({})), &error, now.parse().unwrap()), expected);
    }
}
