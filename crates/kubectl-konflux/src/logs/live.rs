//! Logs of pods.
//!
//! ```text
//! watch of the run ──┐                         ┌─▶ task(TaskRun a): step 1, step 2, … ─┐
//! watch of TaskRuns ─┴─▶ latest state of each ─┼─▶ task(TaskRun b)                      ├─▶ standard output
//!                                              └─▶ …                                    ┘
//! ```
//! Not followed, it is the same without watches: each TaskRun in the order in which they began.

use std::collections::BTreeMap;
use std::pin::pin;

use anyhow::Context as _;
use futures::stream::FuturesUnordered;
use futures::{AsyncBufRead, AsyncBufReadExt as _, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject, ListParams, LogParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use pipelines_engine_api::labels::PIPELINE_RUN;
use tokio::sync::watch;

use super::archived::{self, task_name};
use super::lines::Prefixed;
use super::{Choice, write};
use crate::run::{Run, Step};
use crate::session::Session;
use crate::target::Kind;

/// The run in the cluster. Absent also where the user may not see it: the archive may know another answer.
pub(super) async fn find(session: &Session, kind: Kind, name: &str) -> anyhow::Result<Option<Run>> {
    match api(session.cluster.clone(), kind, &session.namespace).get_opt(name).await {
        Ok(found) => found.map(run).transpose(),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            eprintln!(
                "You may not see {kind} {name} in the cluster ({}); looking into the archive.",
                status.message
            );
            Ok(None)
        }
        Err(kube::Error::Api(status)) if status.code == 401 => {
            anyhow::bail!(
                "the API server does not accept your login ({}); log in to the cluster again",
                status.message
            )
        }
        Err(error) => {
            Err(error).with_context(|| format!("read {kind} {name} of namespace {}", session.namespace))
        }
    }
}

/// Prints what there is. False: nothing is left in the cluster to print, and the archive is to be asked.
pub(super) async fn print(
    session: &Session,
    kind: Kind,
    found: &Run,
    choice: &Choice,
    follow: bool,
) -> anyhow::Result<bool> {
    let is_followed = follow && !found.is_done();
    if is_followed {
        return self::follow(session, kind, found, choice).await.map(|()| true);
    }
    let tasks = match kind {
        Kind::TaskRun => vec![found.clone()],
        Kind::PipelineRun => tasks(session, found.name()).await?,
    };
    // A run whose TaskRuns are deleted before it has nothing here any more.
    if tasks.is_empty() {
        return Ok(!found.is_done());
    }
    let chosen: Vec<_> =
        tasks.into_iter().filter(|task| kind == Kind::TaskRun || choice.has_task(task_name(task))).collect();
    if chosen.is_empty() {
        anyhow::bail!("no task {} of PipelineRun {} has begun", choice.tasks.join(", "), found.name());
    }
    for task in chosen {
        // Nobody sends another state: what it is now is all.
        let (_, state) = watch::channel(task);
        one(session, kind, state, choice).await?;
    }
    Ok(true)
}

/// Prints until the run ends.
async fn follow(session: &Session, kind: Kind, found: &Run, choice: &Choice) -> anyhow::Result<()> {
    let named = watcher::Config::default().fields(&format!("metadata.name={}", found.name()));
    let of_it = watcher::Config::default().labels(&format!("{PIPELINE_RUN}={}", found.name()));
    let client = || session.cluster.clone();
    let runs = watcher::watcher(api(client(), kind, &session.namespace), named)
        .default_backoff()
        .map_ok(|event| (true, event))
        .boxed();
    let events = match kind {
        Kind::TaskRun => runs,
        Kind::PipelineRun => {
            let tasks =
                watcher::watcher(api(client(), Kind::TaskRun, &session.namespace), of_it).default_backoff();
            futures::stream::select(runs, tasks.map_ok(|event| (false, event))).boxed()
        }
    };
    let mut events = pin!(events);
    let mut states: BTreeMap<String, watch::Sender<Run>> = BTreeMap::new();
    let mut printing = FuturesUnordered::new();
    let mut is_over = false;
    loop {
        tokio::select! {
            event = events.next(), if !is_over => {
                // Watches go on for ever; broken ones are begun again.
                let Some(event) = event else { break };
                let (is_run, event) = match event {
                    Ok(event) => event,
                    Err(error) => {
                        refuse_if_final(&error)?;
                        continue;
                    }
                };
                let mut latest = match event {
                    Event::Apply(object) | Event::InitApply(object) => {
                        let seen = run(object)?;
                        is_over |= is_run && (seen.is_done() || seen.uid() != found.uid());
                        vec![seen]
                    }
                    Event::Delete(object) => {
                        is_over |= is_run && run(object)?.uid() == found.uid();
                        Vec::new()
                    }
                    Event::Init | Event::InitDone => Vec::new(),
                };
                if is_over && kind == Kind::PipelineRun {
                    // The watch of TaskRuns may be behind.
                    latest.extend(tasks(session, found.name()).await?);
                }
                let wanted = |task: &Run| if kind == Kind::TaskRun { task.uid() == found.uid() }
                    else { task.kind() == "TaskRun" && choice.has_task(task_name(task)) };
                for task in latest.into_iter().filter(wanted) {
                    if let Some(state) = states.get(task.uid()) {
                        state.send_replace(task);
                    } else {
                        let uid = task.uid().to_owned();
                        let (state, seen) = watch::channel(task);
                        states.insert(uid, state);
                        printing.push(one(session, kind, seen, choice));
                    }
                }
                if is_over {
                    // Whoever waits for another state now learns that there is none.
                    states.clear();
                }
            }
            Some(printed) = printing.next() => printed?,
            else => break,
        }
    }
    Ok(())
}

/// Errors of a watch that trying again does not mend.
fn refuse_if_final(error: &watcher::Error) -> anyhow::Result<()> {
    let (watcher::Error::InitialListFailed(kube::Error::Api(status))
    | watcher::Error::WatchStartFailed(kube::Error::Api(status))) = error
    else {
        return Ok(());
    };
    match status.code {
        401 | 403 => anyhow::bail!("the run cannot be followed: {}", status.message),
        _ => Ok(()),
    }
}

/// Prints the steps of one TaskRun, each when it has begun.
async fn one(
    session: &Session,
    kind: Kind,
    mut state: watch::Receiver<Run>,
    choice: &Choice,
) -> anyhow::Result<()> {
    let mut pod = String::new();
    let mut next = 0_usize;
    let mut is_last = false;
    loop {
        let task = state.borrow_and_update().clone();
        let shown = (kind == Kind::PipelineRun).then(|| task_name(&task).to_owned());
        // A pod of a TaskRun that is tried again has another name, and its steps begin anew.
        if let Some(now) = task.pod()
            && now != pod
        {
            (pod, next) = (now.to_owned(), 0);
        }
        let steps = task.steps();
        if let Some(step) = steps.get(next).filter(|step| step.has_started && !pod.is_empty()) {
            if choice.has_step(&step.name)
                && !copy(session, &pod, step, shown.as_deref(), !task.is_done()).await?
            {
                return from_archive(session, &task, shown.as_deref(), choice, next).await;
            }
            next += 1;
            continue;
        }
        if is_last || task.is_done() {
            return Ok(());
        }
        is_last = state.changed().await.is_err();
    }
}

/// The pod gives no log.
async fn from_archive(
    session: &Session,
    task: &Run,
    shown: Option<&str>,
    choice: &Choice,
    printed: usize,
) -> anyhow::Result<()> {
    let name = task_name(task);
    if printed > 0 {
        // From the beginning, it would repeat what is printed.
        eprintln!("The pod of {name} gives no more; the rest of its log is in the archive (--archived).");
    } else if !archived::print_task(session, task, shown, choice).await? {
        eprintln!("The pod of {name} gives no log, and none is stored yet.");
    }
    Ok(())
}

/// Prints the log of a step. False: there is no such pod, or the user may not read its log.
async fn copy(
    session: &Session,
    pod: &str,
    step: &Step,
    task: Option<&str>,
    follow: bool,
) -> anyhow::Result<bool> {
    let pods: Api<Pod> = Api::namespaced(session.cluster.clone(), &session.namespace);
    let params = LogParams { container: Some(step.container.clone()), follow, ..LogParams::default() };
    let log = match pods.log_stream(pod, &params).await {
        Ok(log) => log,
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(false),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            eprintln!("You may not read logs of pods ({}); looking into the archive.", status.message);
            return Ok(false);
        }
        Err(error) => {
            return Err(error).with_context(|| format!("read the log of step {} of pod {pod}", step.name));
        }
    };
    pump(log, Prefixed::new(task, &step.name))
        .await
        .with_context(|| format!("print the log of pod {pod}"))?;
    Ok(true)
}

async fn pump(log: impl AsyncBufRead, mut lines: Prefixed) -> std::io::Result<()> {
    let mut log = pin!(log);
    loop {
        let bytes = log.fill_buf().await?;
        if bytes.is_empty() {
            return write(&lines.finish());
        }
        let read = bytes.len();
        let ready = lines.feed(bytes);
        log.as_mut().consume_unpin(read);
        write(&ready)?;
    }
}

/// TaskRuns of a PipelineRun, in the order in which they began.
async fn tasks(session: &Session, pipeline_run: &str) -> anyhow::Result<Vec<Run>> {
    let params = ListParams::default().labels(&format!("{PIPELINE_RUN}={pipeline_run}"));
    let found = api(session.cluster.clone(), Kind::TaskRun, &session.namespace).list(&params).await;
    let found = found.with_context(|| format!("list TaskRuns of PipelineRun {pipeline_run}"))?;
    let mut tasks = found.items.into_iter().map(run).collect::<anyhow::Result<Vec<_>>>()?;
    tasks.sort_by_key(Run::started);
    Ok(tasks)
}

fn api(client: Client, kind: Kind, namespace: &str) -> Api<DynamicObject> {
    let resource = ApiResource {
        group: "tekton.dev".to_owned(),
        version: "v1".to_owned(),
        api_version: "tekton.dev/v1".to_owned(),
        kind: kind.as_str().to_owned(),
        plural: kind.plural().to_owned(),
    };
    Api::namespaced_with(client, namespace, &resource)
}

fn run(object: DynamicObject) -> anyhow::Result<Run> {
    let mut object = serde_json::to_value(object).context("an object that was read can be written")?;
    // Items of lists do not say it.
    object["kind"] = object["kind"].as_str().unwrap_or("TaskRun").into();
    Ok(Run { record: None, object })
}
