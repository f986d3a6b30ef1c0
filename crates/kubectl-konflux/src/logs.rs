//! `kubectl konflux logs`: of pods while they exist, else of the archive.
//!
//! ```text
//! run in the cluster? ─ yes ─▶ live: each TaskRun's pod ─ gone ─▶ archived: that TaskRun's stored log
//!          └─ no, or --archived ─▶ archived: the stored log of the run, or those of its TaskRuns
//! ```
//! Each line begins as stored logs have it: `[task : step] ` of a PipelineRun, `[step] ` of a TaskRun.

mod archived;
mod lines;
mod live;

use std::io::{self, Write as _};

use crate::cli::Logs;
use crate::results;
use crate::session::Session;
use crate::target::{Kind, Target};

/// Which lines are printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Names of tasks within the Pipeline. None: all.
    pub(crate) tasks: Vec<String>,
    /// None: all.
    pub(crate) steps: Vec<String>,
}

impl Choice {
    pub(crate) fn has_task(&self, name: &str) -> bool {
        self.tasks.is_empty() || self.tasks.iter().any(|task| task == name)
    }

    pub(crate) fn has_step(&self, name: &str) -> bool {
        self.steps.is_empty() || self.steps.iter().any(|step| step == name)
    }
}

pub(crate) async fn run(command: Logs, session: &Session) -> anyhow::Result<()> {
    let choice = Choice { tasks: command.tasks, steps: command.steps };
    if let Target::Named { kind, name } = &command.run
        && !command.archived
    {
        let found = live::find(session, *kind, name).await?;
        if let Some(found) = found
            && live::print(session, *kind, &found, &choice, command.follow).await?
        {
            return Ok(());
        }
    }
    let run = results::find(&command.run, session).await?;
    let kind = if run.kind() == Kind::TaskRun.as_str() { Kind::TaskRun } else { Kind::PipelineRun };
    archived::print(session, kind, &run, &choice).await
}

/// Writes some of a log. Not held back: whoever follows wants to see it now.
pub(crate) fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}
