//! Puts the service together.

use std::sync::Arc;
use std::time::Duration;

use fleet::{Clock, Fleet, ObjectKey, Runner, Writer};
use kube::{Client, ResourceExt as _};
use pipelines_engine_api::{PipelineRun, TaskRun};

use crate::args::Args;
use crate::decide::{Children, Settings};
use crate::keys;
use crate::log::{Source, Task};
use crate::memory::Memories;
use crate::metrics::Metrics;
use crate::names::{self, Place};
use crate::reconcile::{Error, Part, reconcile, store_log};
use crate::remote::Remote;
use crate::run::{Kind, Run};
use crate::stores::Stores;

/// What the shells of all controllers share.
pub(crate) struct Context {
    pub(crate) settings: Settings,
    /// How long the storing of a log may make no progress.
    pub(crate) stall: Duration,
    pub(crate) stores: Stores,
    pub(crate) client: Client,
    pub(crate) writer: Writer,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) remote: Remote,
}

impl Context {
    /// The Result of the PipelineRun that a run belongs to, if that is still there.
    pub(crate) fn result_above<K: Kind>(&self, run: &Run<K>) -> Option<String> {
        let (owner, key) = (run.owning_run()?, run.owning_key()?);
        let above = self.stores.pipeline_runs.get(&key).filter(|above| above.uid_text() == owner.uid)?;
        Some(Place::of(&above, None).result)
    }
}

/// Runs the service until it is told to stop.
pub async fn run(args: Args, mut fleet: Fleet) -> Result<(), fleet::Error> {
    let stores = Stores::new(&mut fleet);
    let metrics = Metrics::new(fleet.registry(), &args)?;
    let remote = Remote::new(&args).map_err(|error| fleet::Error::Configuration(error.to_string()))?;
    let context = Arc::new(Context {
        settings: args.settings(),
        stall: Duration::try_from(args.update_log_timeout).unwrap_or(Duration::from_mins(5)),
        stores,
        client: fleet.client().clone(),
        writer: fleet.writer().clone(),
        clock: fleet.clock().clone(),
        metrics,
        remote,
    });
    let logs = args.concurrent_logs;
    for controller in
        task_runs(&fleet, &context, logs).into_iter().chain(pipeline_runs(&fleet, &context, logs))
    {
        fleet.run(controller);
    }
    fleet.serve().await
}

fn task_runs(fleet: &Fleet, context: &Arc<Context>, workers: u16) -> [Runner; 2] {
    let runs = fleet.controller(TaskRun::METRIC).of(&context.stores.task_runs);
    let logs = fleet.controller_with_workers("taskrun-log", workers).consults(&context.stores.task_runs);
    let part = Arc::new(Part {
        store: context.stores.task_runs.clone(),
        memories: Memories::default(),
        runs: runs.waker(),
        logs: logs.waker(),
    });
    // Where a run belongs is read from its PipelineRun.
    let runs = runs.consults(&context.stores.pipeline_runs);
    let (of_logs, log_part) = (Arc::clone(context), Arc::clone(&part));
    let of_runs = Arc::clone(context);
    [
        runs.reconcile(move |key| {
            let (context, part) = (Arc::clone(&of_runs), Arc::clone(&part));
            async move { Box::pin(reconcile(&context, &part, &key, |_| Children::Ready)).await }
        }),
        logs.reconcile(move |key| {
            let (context, part) = (Arc::clone(&of_logs), Arc::clone(&log_part));
            async move { Box::pin(store_task_log(&context, &part, &key)).await }
        }),
    ]
}

async fn store_task_log(
    context: &Context,
    part: &Part<TaskRun>,
    key: &ObjectKey,
) -> Result<fleet::Wake, Error> {
    let source = |run: &Run<TaskRun>| Source::Pods {
        client: context.client.clone(),
        namespace: key.namespace.clone(),
        attempts: run.facts.attempts.clone(),
    };
    Box::pin(store_log(context, part, key, source)).await
}

fn pipeline_runs(fleet: &Fleet, context: &Arc<Context>, workers: u16) -> [Runner; 2] {
    let runs = fleet.controller(PipelineRun::METRIC).of(&context.stores.pipeline_runs).reads_changes(
        &context.stores.task_runs,
        |change| {
            // Of a TaskRun under way nothing depends.
            let is_settled = change.new.as_ref().is_none_or(|run| run.says_stored());
            let run = change.new.as_ref().or(change.old.as_ref()).filter(|_| is_settled);
            run.and_then(|run| run.owning_key()).into_iter().collect()
        },
    );
    let logs = fleet
        .controller_with_workers("pipelinerun-log", workers)
        .consults(&context.stores.pipeline_runs)
        .consults(&context.stores.task_runs);
    let part = Arc::new(Part {
        store: context.stores.pipeline_runs.clone(),
        memories: Memories::default(),
        runs: runs.waker(),
        logs: logs.waker(),
    });
    let (of_logs, log_part) = (Arc::clone(context), Arc::clone(&part));
    let of_runs = Arc::clone(context);
    [
        runs.reconcile(move |key| {
            let (context, part) = (Arc::clone(&of_runs), Arc::clone(&part));
            async move {
                let children = |run: &Run<PipelineRun>| context.stores.children(&key, run);
                Box::pin(reconcile(&context, &part, &key, children)).await
            }
        }),
        logs.reconcile(move |key| {
            let (context, part) = (Arc::clone(&of_logs), Arc::clone(&log_part));
            async move { Box::pin(store_pipeline_log(&context, &part, &key)).await }
        }),
    ]
}

async fn store_pipeline_log(
    context: &Context,
    part: &Part<PipelineRun>,
    key: &ObjectKey,
) -> Result<fleet::Wake, Error> {
    let source = |run: &Run<PipelineRun>| Source::Tasks {
        remote: context.remote.clone(),
        tasks: tasks(&context.stores, key, run),
    };
    Box::pin(store_log(context, part, key, source)).await
}

/// The tasks of a PipelineRun, in its order.
fn tasks(stores: &Stores, key: &ObjectKey, run: &Run<PipelineRun>) -> Vec<Task> {
    let namespace = run.namespace().unwrap_or_default();
    let children = run.facts.children.iter().filter(|child| child.kind == "TaskRun");
    let task = children.map(|child| {
        let found = stores.task_runs.get(&key.sibling(&child.name));
        let found = found
            .filter(|found| found.owning_run().is_some_and(|owner| Some(&owner.uid) == run.uid().as_ref()));
        let log = found.and_then(|found| found.annotation(keys::LOG).map(str::to_owned));
        let log = log.filter(|log| names::is_log_within(log, &namespace));
        Task { name: child.task.clone(), log }
    });
    task.collect()
}
