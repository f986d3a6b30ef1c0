//! Signs PipelineRuns, after all their TaskRuns: both write to the attestations of the same images.

use std::sync::Arc;

use fleet::{Fleet, ObjectKey, Runner, Wake};
use pipelines_engine_api::{PipelineRun, TaskRun};

use crate::children::owner;
use crate::decide::Children;
use crate::reconcile::{Error, Look, Step};
use crate::run::{Run as _, as_built};
use crate::service::Context;
use crate::sign::Target;
use crate::stores::children;

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let (shared, stores) = (Arc::clone(context), context.stores.clone());
    let of_deleted = Arc::clone(context);
    stores.pipeline_runs.subscribe(move |change| {
        if change.new.is_none() {
            of_deleted.task_runs.forget(&change.key);
        }
    });
    let pipeline_runs = stores.pipeline_runs.clone();
    fleet
        .controller("pipelinerun")
        .of(&stores.pipeline_runs)
        .reads_changes(&stores.task_runs, |change| {
            // Of a TaskRun under way nothing depends.
            let is_settled = change.new.as_ref().is_none_or(|run| run.signed().is_some());
            let run = change.new.as_ref().or(change.old.as_ref()).filter(|_| is_settled);
            run.and_then(|run| owner(run)).into_iter().collect()
        })
        .reads_changes(&stores.configuration, move |_| pipeline_runs.keys())
        .reconcile(move |key| {
            let context = Arc::clone(&shared);
            async move { Box::pin(reconcile(&context, &key)).await }
        })
}

async fn reconcile(context: &Context, key: &ObjectKey) -> Result<Wake, Error> {
    let Some(run) = context.stores.pipeline_runs.get(key) else {
        // Its TaskRuns are kept all the same: it may have been made a moment ago, and be on its way here.
        context.pipeline_run_attempts.forget(key);
        return Ok(Wake::OnChange);
    };
    let seen = TaskRunsSeen::of(context, &run).await?;
    let look = Look {
        context,
        key,
        run: &run,
        store: &context.stores.pipeline_runs,
        attempts: &context.pipeline_run_attempts,
    };
    let config = match look.decide(seen.state()).await? {
        Step::Rest(wake) => {
            if run.signed().is_some() {
                context.task_runs.forget(key);
            }
            return Ok(wake);
        }
        Step::Sign(config) => config,
    };
    let mut task_runs = Vec::new();
    for skeleton in &seen.skeletons {
        let read = context.task_runs.whole(key, skeleton).await;
        match read.map_err(|source| Error::Read { what: format!("TaskRuns of {key}"), source })? {
            Some(task_run) => task_runs.push(as_built(&*task_run)),
            // Its deletion is on its way here, and then there is an answer to that.
            None => return Ok(Wake::OnChange),
        }
    }
    let built = as_built(&*run);
    let target = Target::PipelineRun { run: &built, task_runs: &task_runs };
    Box::pin(look.sign(&config, &target)).await
}

/// The TaskRuns of a PipelineRun that is to be signed.
#[derive(Default)]
struct TaskRunsSeen {
    /// As the store has them.
    skeletons: Vec<Arc<TaskRun>>,
    unsettled: Option<String>,
    gone: Option<String>,
}

impl TaskRunsSeen {
    async fn of(context: &Context, run: &PipelineRun) -> Result<Self, Error> {
        let mut seen = Self::default();
        if !run.is_done() || run.signed().is_some() {
            return Ok(seen);
        }
        for key in children(run) {
            match context.stores.task_runs.get(&key) {
                Some(task_run) if task_run.signed().is_some() => seen.skeletons.push(task_run),
                Some(_) => seen.unsettled = Some(key.name),
                // What the store lacks may be on its way.
                None => {
                    let read = context.task_runs.read(&key).await;
                    let read =
                        read.map_err(|source| Error::Read { what: format!("TaskRun {key}"), source })?;
                    let place = if read.is_some() { &mut seen.unsettled } else { &mut seen.gone };
                    *place = Some(key.name);
                }
            }
        }
        Ok(seen)
    }

    fn state(&self) -> Children {
        match (&self.gone, &self.unsettled) {
            (Some(name), _) => Children::Gone(name.clone()),
            (None, Some(name)) => Children::Unsettled(name.clone()),
            (None, None) => Children::Settled,
        }
    }
}
