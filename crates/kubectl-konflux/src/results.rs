//! `kubectl konflux results`: runs of the archive.

use std::io;

use anyhow::bail;
use jiff::Timestamp;

use crate::cli::{Get, List, Results};
use crate::filter;
use crate::output::{self, Look};
use crate::run::Run;
use crate::session::Session;
use crate::target::{Kind, Target};

pub(crate) async fn run(command: Results, session: &Session) -> anyhow::Result<()> {
    match command {
        Results::List(command) => list(&command, session).await,
        Results::Get(command) => get(&command, session).await,
    }
}

async fn list(command: &List, session: &Session) -> anyhow::Result<()> {
    let namespace = if command.all_namespaces { "-" } else { &session.namespace };
    let filter = filter::list(command.kind, &command.choice, now());
    let mut pages = session.archive().await?.runs(namespace, filter, command.limit);
    let limit = if command.limit == 0 { usize::MAX } else { command.limit };
    let mut runs = Vec::new();
    // More than the limit is looked for, to know whether to say so.
    while runs.len() <= limit
        && let Some(page) = pages.next().await
    {
        runs.extend(page?.into_iter().filter(|run| is_chosen(command, run)));
    }
    let is_cut = runs.len() > limit;
    runs.truncate(limit);
    let look = Look {
        format: command.output,
        has_headers: !command.no_headers,
        has_namespace: command.all_namespaces,
    };
    if runs.is_empty() {
        let place = if command.all_namespaces {
            "any namespace".to_owned()
        } else {
            format!("namespace {namespace}")
        };
        eprintln!("No such {}s are archived in {place}.", command.kind);
        if matches!(command.output, crate::cli::Format::Table | crate::cli::Format::Wide) {
            return Ok(());
        }
    }
    output::list(&runs, look, now(), &mut io::stdout().lock())?;
    if is_cut {
        eprintln!("There are more than {limit}; --limit 0 shows all.");
    }
    Ok(())
}

/// What the archive cannot be asked for.
fn is_chosen(command: &List, run: &Run) -> bool {
    command.choice.selector.as_ref().is_none_or(|selector| selector.matches(|key| run.label(key)))
}

async fn get(command: &Get, session: &Session) -> anyhow::Result<()> {
    let run = find(&command.run, session).await?;
    let look = Look { format: command.output, has_headers: !command.no_headers, has_namespace: false };
    output::one(&run, look, now(), &mut io::stdout().lock())
}

/// The run that is meant; of several, the newest.
pub(crate) async fn find(target: &Target, session: &Session) -> anyhow::Result<Run> {
    let archive = session.archive().await?;
    let namespace = &session.namespace;
    let (filter, what) = match target {
        Target::Record(name) => return Ok(archive.run(name).await?),
        Target::Uid(uid) => (filter::uid(uid), format!("run with UID {uid}")),
        Target::Named { kind, name } => (filter::named(*kind, name), format!("{kind} {name}")),
    };
    let found = archive.runs(namespace, filter, 1).first().await?;
    match (found, target) {
        (Some(run), _) => Ok(run),
        (None, Target::Named { kind: Kind::PipelineRun, name }) => {
            bail!("no {what} is archived in namespace {namespace}; if it is a TaskRun, write taskrun/{name}")
        }
        (None, _) => bail!("no {what} is archived in namespace {namespace}; is it in another one (-n)?"),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long ago something was is asked once, by who sits in front of it"
)]
fn now() -> Timestamp {
    Timestamp::now()
}
