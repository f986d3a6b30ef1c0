//! Carries decisions about the end of runs out.

use std::sync::Arc;

use fleet::{Controller, Event, ObjectKey, Runner, Wake, Write, WriteError};
use pipelines_as_code_api::Repository;
use pipelines_as_code_api::events::EventReason;
use pipelines_engine_api::PipelineRun;
use pipelines_engine_api::status::succeeded;

use super::closing::{Hold, Next, Observed, decide};
use super::stores::{BY_REPOSITORY, run_of};
use super::telling::Telling;
use super::{Context, ending, run};

pub(super) fn controller(controller: Controller, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    let runs = context.pipeline_runs.clone();
    controller
        .of(&context.pipeline_runs)
        .reads(&context.task_runs, run_of)
        // Its history, for runs that wait to be in it.
        .reads_changes(&context.repositories.store, move |change| open_runs(&runs, &change.key))
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

/// The runs of a Repository that are not reported yet.
fn open_runs(runs: &fleet::Store<PipelineRun>, repository: &ObjectKey) -> Vec<ObjectKey> {
    let runs = runs.indexed(BY_REPOSITORY, repository);
    let open = runs.iter().filter(|run| run::state(run).is_some_and(|state| !run::is_final(state)));
    open.map(|run| ObjectKey::of(&**run)).collect()
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, WriteError> {
    let Some(run) = context.pipeline_runs.get(&key) else {
        context.tellings.forget(&key);
        return Ok(Wake::OnChange);
    };
    let repository = run::repository(&run).and_then(|key| context.repositories.get(&key));
    let telling = context.tellings.of(&run);
    let next = decide(&Observed {
        now: context.clock.now(),
        run: &run,
        repository: repository.as_deref(),
        tasks_are_final: tasks_are_final(&context, &run, &key),
        telling: telling.clone(),
    });
    match next {
        Next::Hold(hold, wake) => {
            tracing::debug!(?hold, "Decided");
            if let (Hold::NotInHistory, Some(repository)) = (hold, &repository) {
                context.repository_waker.wake(ObjectKey::of(&**repository));
            }
            Ok(wake)
        }
        Next::Tell => {
            context.tellings.begin(&run, ending::tell_end(Arc::clone(&context), Arc::clone(&run)));
            Ok(Wake::OnChange)
        }
        Next::Write(write) => {
            context.writer.apply(&[write]).await?;
            Ok(Wake::OnChange)
        }
        Next::Close(write, state) => {
            context.writer.apply(&[write]).await?;
            context.tellings.forget(&key);
            (context.run_ended)(&run);
            context.writer.apply(&untold(repository.as_deref(), &run, &telling)).await?;
            tracing::info!(namespace = key.namespace, pipeline_run = key.name, reason = ?state, "Run is over");
            Ok(Wake::OnChange)
        }
    }
}

/// Tells the users of a Repository that their forge does not know how a run has ended.
fn untold(repository: Option<&Repository>, run: &PipelineRun, telling: &Telling) -> Vec<Write> {
    let (Some(repository), Telling::Over(told)) = (repository, telling) else { return Vec::new() };
    let Some(error) = &told.error else { return Vec::new() };
    let reason = EventReason::RepositoryReportFinalStatus.into();
    let event = Event::warning(repository, reason, "ReportFinalStatus", error.as_str()).about(run);
    vec![Write::Event(event)]
}

/// Whether the runs of all its tasks are known, and known to have ended.
fn tasks_are_final(context: &Context, run: &PipelineRun, key: &ObjectKey) -> bool {
    let children = run.status.iter().flat_map(|status| &status.child_references);
    let mut of_tekton = children.filter(|child| child.kind != "CustomRun");
    of_tekton.all(|child| {
        let task_run = context.task_runs.get(&key.sibling(child.name.as_str()));
        let status = task_run.as_ref().and_then(|task_run| task_run.status.as_ref());
        let condition = status.and_then(|status| succeeded(&status.conditions));
        condition.is_some_and(|condition| condition.status != "Unknown")
    })
}
