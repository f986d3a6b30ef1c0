//! The service's process: started, killed, and asked what it said.

use std::path::Path;

use anyhow::{bail, ensure};

use crate::control_plane::guard::{Folder, Program};

/// How many of the last lines of each run are told with a failure.
const LAST_LINES: usize = 25;

/// What a service of the kit says last when it could not renew its Lease (`fleet::leader::Lost`).
const LEASE_LOST: &str = "could not be renewed within 10s; is the API server reachable?";

/// One service, run any number of times after each other. Killed when dropped, and when we die.
pub(super) struct Process<'a> {
    folder: &'a Folder,
    binary: &'a Path,
    flags: Vec<String>,
    name: String,
    running: Option<Program>,
    /// What earlier runs printed.
    outputs: Vec<String>,
}

impl<'a> Process<'a> {
    pub(super) fn new(folder: &'a Folder, binary: &'a Path, name: String, flags: Vec<String>) -> Self {
        Self { folder, binary, flags, name, running: None, outputs: Vec::new() }
    }

    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        let name = format!("{}-{}", self.name, self.outputs.len());
        self.running = Some(self.folder.start(&name, &[self.binary.into()], &self.flags)?);
        Ok(())
    }

    /// By SIGKILL. It is gone on return.
    pub(super) fn kill(&mut self) {
        if let Some(program) = self.running.take() {
            self.outputs.push(program.output());
        }
    }

    /// Fails if it has ended by itself. `may_lose_lease` allows for the one good reason, which faults can be: a replica
    /// that cannot renew its Lease ends, and is started anew, as kubelet does.
    pub(super) fn check_runs(&mut self, may_lose_lease: bool) -> anyhow::Result<()> {
        let Some(program) = &mut self.running else { return Ok(()) };
        let Some(status) = program.ended()? else { return Ok(()) };
        if !(may_lose_lease && program.output().trim_end().ends_with(LEASE_LOST)) {
            bail!("the service ended by itself, {status}");
        }
        self.kill();
        self.start()
    }

    /// Fails if a run told of a panic.
    pub(super) fn check_output(&self) -> anyhow::Result<()> {
        let running = self.running.iter().map(Program::output);
        for output in self.outputs.iter().cloned().chain(running) {
            let panic = output.lines().find(|line| line.contains("panicked"));
            ensure!(panic.is_none(), "the service panicked: {}", panic.unwrap_or_default());
        }
        Ok(())
    }

    /// The last lines of each run that was killed.
    pub(super) fn last_words(&self) -> String {
        let last = self.outputs.iter().enumerate().map(|(run, output)| {
            let lines: Vec<&str> = output.lines().collect();
            let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
            format!("the last that run {run} printed:\n{last}\n")
        });
        last.collect()
    }
}
