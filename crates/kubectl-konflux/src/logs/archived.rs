//! Logs that are stored.

use anyhow::{Context as _, bail};
use pipelines_engine_api::labels::PIPELINE_TASK;
use results_api::names::RecordName;

use super::lines::Stored;
use super::{Choice, write};
use crate::archive::{Archive, Error};
use crate::filter;
use crate::run::Run;
use crate::session::Session;
use crate::target::Kind;

/// Prints the stored log of an archived run.
pub(super) async fn print(session: &Session, kind: Kind, run: &Run, choice: &Choice) -> anyhow::Result<()> {
    let archive = session.archive().await?;
    let name = record(run)?;
    if kind == Kind::TaskRun {
        return copy_task(archive, &name, None, choice).await.map_err(|error| explain(error, kind, run));
    }
    // A log of all tasks is there for who wants all; the tasks' own are shorter.
    if choice.tasks.is_empty() {
        match copy(archive, &name, |text| of_pipeline(text, choice)).await {
            Ok(()) => return Ok(()),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let tasks = tasks(archive, &name, run).await?;
    let mut printed = 0_usize;
    for task in tasks.iter().filter(|task| choice.has_task(task_name(task))) {
        match copy_task(archive, &record(task)?, Some(task_name(task)), choice).await {
            Ok(()) => printed += 1,
            Err(error) if is_missing(&error) => eprintln!("{}", explain(error, Kind::TaskRun, task)),
            Err(error) => return Err(error),
        }
    }
    if printed > 0 {
        return Ok(());
    }
    let named = tasks.iter().map(task_name).collect::<Vec<_>>().join(", ");
    if tasks.is_empty() || choice.tasks.is_empty() {
        bail!("no log of PipelineRun {} is stored", run.name());
    }
    bail!(
        "no log of task {} of PipelineRun {} is stored; its tasks: {named}",
        choice.tasks.join(", "),
        run.name()
    );
}

/// Prints the stored log of a TaskRun that is still there, but not its pod. Whether there is one.
pub(super) async fn print_task(
    session: &Session,
    task: &Run,
    shown: Option<&str>,
    choice: &Choice,
) -> anyhow::Result<bool> {
    let archive = session.archive().await?;
    let name = match task.annotation(results_api::annotations::RECORD.as_str()) {
        Some(name) => {
            name.parse::<RecordName>().map_err(|error| anyhow::anyhow!("TaskRun {}: {error}", task.name()))?
        }
        None => match archive.runs(task.namespace(), filter::uid(task.uid()), 1).first().await? {
            Some(found) => record(&found)?,
            None => return Ok(false),
        },
    };
    match copy_task(archive, &name, shown, choice).await {
        Ok(()) => Ok(true),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// TaskRuns of an archived PipelineRun, in the order in which they began.
async fn tasks(archive: &Archive, name: &RecordName, run: &Run) -> anyhow::Result<Vec<Run>> {
    let mut tasks = archive.runs_of(name, filter::tasks(run.name())).all().await?;
    tasks.sort_by_key(Run::started);
    Ok(tasks)
}

/// Name of the task within the Pipeline.
pub(super) fn task_name(task: &Run) -> &str {
    task.label(PIPELINE_TASK.as_str()).unwrap_or(task.name())
}

fn record(run: &Run) -> anyhow::Result<RecordName> {
    let name = run.record.as_deref().context("the archive gave a record without a name")?;
    name.parse().map_err(|error| anyhow::anyhow!("the archive gave a record with a strange name: {error}"))
}

async fn copy_task(
    archive: &Archive,
    name: &RecordName,
    task: Option<&str>,
    choice: &Choice,
) -> anyhow::Result<()> {
    copy(archive, name, |step| {
        choice.has_step(step).then(|| task.map_or_else(|| step.to_owned(), |task| format!("{task} : {step}")))
    })
    .await
}

/// The prefix `task : step` as it is, if it is chosen.
fn of_pipeline(text: &str, choice: &Choice) -> Option<String> {
    let step = text.split_once(" : ").map_or(text, |(_, step)| step);
    choice.has_step(step).then(|| text.to_owned())
}

async fn copy(
    archive: &Archive,
    name: &RecordName,
    change: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<()> {
    let mut log = archive.log(name).await?;
    let mut lines = Stored::new(change);
    while let Some(bytes) = log.next().await {
        write(&lines.feed(bytes?.as_ref()))?;
    }
    write(&lines.finish())?;
    Ok(())
}

fn is_missing(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Error::NotFound { .. }))
}

fn explain(error: anyhow::Error, kind: Kind, run: &Run) -> anyhow::Error {
    if is_missing(&error) {
        return anyhow::anyhow!(
            "no log of {kind} {} is stored: it has printed nothing, or its pod was gone too soon",
            run.name()
        );
    }
    error
}
