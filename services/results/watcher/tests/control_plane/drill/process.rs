//! A program that is killed and started again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail, ensure};

/// How many of the last lines are told with a failure.
const LAST_LINES: usize = 30;

/// Killed when dropped.
pub(super) struct Process {
    name: &'static str,
    program: PathBuf,
    flags: Vec<String>,
    /// Of the files that it prints to, one for each run.
    folder: PathBuf,
    runs: usize,
    running: Option<Child>,
    pub(super) kills: usize,
    /// How often it ended by itself.
    pub(super) ends: usize,
}

impl Process {
    pub(super) fn new(name: &'static str, program: PathBuf, folder: &Path, flags: Vec<String>) -> Self {
        let folder = folder.to_owned();
        Self { name, program, flags, folder, runs: 0, running: None, kills: 0, ends: 0 }
    }

    /// Nothing if it runs.
    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        self.runs += 1;
        let output = File::create(self.output_of(self.runs))?;
        let child = Command::new(&self.program)
            .args(&self.flags)
            .env_clear()
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .with_context(|| {
                let program = self.program.display();
                format!("start {program}; `cargo build -p results -p results-watcher` makes it")
            })?;
        self.running = Some(child);
        Ok(())
    }

    /// In the middle of whatever it does.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        self.kills += 1;
        self.end()
    }

    /// By SIGKILL. It is gone on return.
    pub(super) fn end(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.running.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Starts it again if it has ended by itself, as a kubelet does. Fails if it never should have.
    pub(super) fn look_after(&mut self, may_end: bool) -> anyhow::Result<()> {
        let Some(child) = &mut self.running else { return Ok(()) };
        let Some(status) = child.try_wait()? else { return Ok(()) };
        if !may_end {
            bail!("{} ended by itself, {status}", self.name);
        }
        self.running = None;
        self.ends += 1;
        self.start()
    }

    /// Fails if a run told of what must never be.
    pub(super) fn check_output(&self, never: &[&str]) -> anyhow::Result<()> {
        for run in 1..=self.runs {
            let output = std::fs::read_to_string(self.output_of(run))?;
            let found = output.lines().find(|line| never.iter().any(|word| line.contains(word)));
            ensure!(found.is_none(), "{} said: {}", self.name, found.unwrap_or_default());
        }
        Ok(())
    }

    /// The end of what its last run printed.
    pub(super) fn last_words(&self) -> String {
        let output = std::fs::read_to_string(self.output_of(self.runs)).unwrap_or_default();
        let lines: Vec<&str> = output.lines().collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
        format!("the last that {} printed:\n{last}\n", self.name)
    }

    fn output_of(&self, run: usize) -> PathBuf {
        self.folder.join(format!("{}-{run}.log", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.end());
    }
}
