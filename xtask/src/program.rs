//! Programs that xtask runs to their end: output kept, stopped together with all their children when nobody
//! waits for them any more (Ctrl-C, a failure elsewhere).
use std::{
    ffi::OsStr,
    fmt::Write as _,
    future::Future,
    path::Path,
    process::{ExitStatus, Stdio},
};

use anyhow::Context as _;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::Command,
    signal::unix::{SignalKind, signal},
};

/// A program and its arguments, not yet started.
pub struct Program {
    command: Command,
    shown: String,
}

/// What a program left behind.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    shown: String,
}

/// Which of its two outputs a program wrote a line to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipe {
    Stdout,
    Stderr,
}

impl Program {
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let shown = program.as_ref().to_string_lossy().into_owned();
        let mut command = Command::new(program);
        // A group of its own: stopping the group also stops what cargo or a test binary started.
        command.stdin(Stdio::null()).process_group(0);
        Self { command, shown }
    }

    /// The cargo that runs us, in `directory`.
    pub fn cargo(directory: &Path) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut program = Self::new(cargo).directory(directory);
        "cargo".clone_into(&mut program.shown);
        program
    }

    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        let _ = write!(self.shown, " {}", argument.as_ref().to_string_lossy());
        self.command.arg(argument);
        self
    }

    #[must_use]
    pub fn args<A: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = A>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    #[must_use]
    pub fn directory(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Runs it with output kept; `line` sees each line as it comes.
    pub async fn watch(mut self, mut line: impl FnMut(Pipe, &str)) -> anyhow::Result<Finished> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let (mut child, _group) = self.start()?;
        let mut out = Lines::new(child.stdout.take());
        let mut err = Lines::new(child.stderr.take());
        while out.is_open() || err.is_open() {
            tokio::select! {
                read = out.next(), if out.is_open() => if let Some(text) = read? { line(Pipe::Stdout, text) },
                read = err.next(), if err.is_open() => if let Some(text) = read? { line(Pipe::Stderr, text) },
            }
        }
        let status = child.wait().await.with_context(|| format!("wait for `{}`", self.shown))?;
        Ok(Finished { status, stdout: out.all, stderr: err.all, shown: self.shown })
    }

    /// Runs it with output kept, whatever its exit status.
    pub async fn run(self) -> anyhow::Result<Finished> {
        self.watch(|_, _| {}).await
    }

    /// Runs it with its output going where ours goes.
    pub async fn show(mut self) -> anyhow::Result<ExitStatus> {
        let (mut child, _group) = self.start()?;
        child.wait().await.with_context(|| format!("wait for `{}`", self.shown))
    }

    fn start(&mut self) -> anyhow::Result<(tokio::process::Child, Group)> {
        let child = self
            .command
            .spawn()
            .with_context(|| format!("start `{}`; is it installed and on the PATH?", self.shown))?;
        let group = Group(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw));
        Ok((child, group))
    }
}

impl Finished {
    /// Standard output of a program that has succeeded.
    pub fn success(self) -> anyhow::Result<String> {
        anyhow::ensure!(self.status.success(), "`{}` failed ({})\n{}", self.shown, self.status, self.text());
        Ok(self.stdout)
    }

    /// All that it printed, standard output first.
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// A process group that is told to stop when dropped. Those that have ended already do not notice.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Fails only when nothing of the group is left.
            let _ = killpg(group, Signal::SIGTERM);
        }
    }
}

/// One output of a program: all of it, and how far it was handed on.
struct Lines<R> {
    reader: Option<BufReader<R>>,
    /// A line that has not ended yet. Here, because the read that fills it may be cancelled half-way.
    partial: Vec<u8>,
    all: String,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(pipe: Option<R>) -> Self {
        Self { reader: pipe.map(BufReader::new), partial: Vec::new(), all: String::new() }
    }

    fn is_open(&self) -> bool {
        self.reader.is_some()
    }

    /// The next line without its end; nothing at the end of the output.
    async fn next(&mut self) -> std::io::Result<Option<&str>> {
        let Some(reader) = &mut self.reader else { return Ok(None) };
        // Bytes, not text: a compiler message may quote a file that is no UTF-8.
        let read = reader.read_until(b'\n', &mut self.partial).await?;
        if read == 0 && self.partial.is_empty() {
            self.reader = None;
            return Ok(None);
        }
        let begin = self.all.len();
        self.all.push_str(&String::from_utf8_lossy(&self.partial));
        self.partial.clear();
        Ok(Some(self.all[begin..].trim_end_matches(['\n', '\r'])))
    }
}

/// Runs `work` until it ends or the user (Ctrl-C) or the system (SIGTERM) ends it; programs that it waits for are
/// stopped then, and what comes after this call still runs.
pub async fn interruptible<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    tokio::select! {
        outcome = work => outcome,
        _ = interrupt.recv() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("told to stop by SIGTERM")),
    }
}
