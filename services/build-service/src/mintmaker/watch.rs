//! Looks after runs: the token of one that is over goes, and what it looked through is noted.

use std::sync::Arc;

use build_service_api::annotations;
use build_service_api::annotations::mintmaker::PROCESSED;
use build_service_api::labels::mintmaker::REPO_BRANCH_HASH;
use fleet::{Fleet, MetadataPatch, ObjectKey, Runner, Wake, Write};
use fleet_api::keys;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::DeleteParams;
use pipelines_engine_api::PipelineRun;
use pipelines_engine_api::pipeline_run::PENDING;

use super::{Context, clean};
use crate::failure::Failure;
use crate::nudge::ended;
use crate::renovate::Error;

pub(super) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    let stores = context.stores.clone();
    let known = context.stores.clone();
    fleet
        .controller("runs")
        .of(&stores.runs)
        .consults(&stores.notes)
        // Runs that nobody lets go when their check is gone.
        .reads_changes(&stores.checks, move |change| {
            if change.new.is_some() {
                Vec::new()
            } else {
                known.active().iter().map(|run| ObjectKey::of(&**run)).collect()
            }
        })
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, Error> {
    let Some(run) = context.stores.runs.get(&key) else { return Ok(Wake::OnChange) };
    if run.metadata.deletion_timestamp.is_some() || PROCESSED.of(&run.metadata.annotations) == Some("true") {
        return Ok(Wake::OnChange);
    }
    match ended(&run) {
        None if is_stray(&context, &run) => apply(&context, [Write::delete(&*run)]).await?,
        None => {}
        Some(is_good) => {
            forget_token(&context, &key).await?;
            if is_good {
                note(&context, &run).await?;
            }
            let processed = MetadataPatch::of(&*run).annotation(PROCESSED, Some("true"));
            apply(&context, processed.into_write()).await?;
        }
    }
    Ok(Wake::OnChange)
}

/// Whether it was made and not let go, for a check that is gone.
fn is_stray(context: &Context, run: &PipelineRun) -> bool {
    let cause = keys::CAUSE.of(&run.metadata.annotations).unwrap_or_default();
    let uid = cause.split(' ').next();
    let checks = &context.stores.checks;
    let mut all = checks.keys().into_iter().filter_map(|key| checks.get(&key));
    run.spec.status == PENDING && !all.any(|check| check.metadata.uid.as_deref() == uid)
}

async fn forget_token(context: &Context, key: &ObjectKey) -> Result<(), Failure> {
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), &key.namespace);
    match secrets.delete(&key.name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(Failure::of_api(&format!("delete Secret {key}"), &error)),
        Ok(_) => Ok(()),
    }
}

/// Notes that the branch was looked through without trouble.
async fn note(context: &Context, run: &PipelineRun) -> Result<(), Failure> {
    let hash = REPO_BRANCH_HASH.of(&run.metadata.labels);
    let commit = annotations::COMMIT_SHA.of(&run.metadata.annotations);
    let (Some(hash), Some(commit)) = (hash, commit) else { return Ok(()) };
    let key = clean::key(&context.namespace, hash);
    if context.stores.notes.get(&key).is_none() {
        apply(context, [clean::begin(&key)]).await?;
    }
    let at = run.status.as_ref().and_then(|status| status.completion_time.as_ref());
    let at = at.map_or_else(|| context.clock.now(), |time| time.0);
    let map = context.stores.notes.get(&key);
    apply(context, map.and_then(|map| clean::note(&map, hash, commit, at))).await
}

async fn apply(context: &Context, writes: impl IntoIterator<Item = Write>) -> Result<(), Failure> {
    Ok(context.writer.apply(&Vec::from_iter(writes)).await?)
}
