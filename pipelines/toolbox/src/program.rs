//! Programs that a step runs: without a shell, in a clean environment, their output in the step's log.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::Command;

/// Where programs are looked for, whatever the step's image says.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Lines of its output that an error names.
const TAIL: usize = 8;
/// Bytes of a line that are kept.
const MAX_LINE: u64 = 16 * 1024;
/// Bytes that are read of what is captured.
const MAX_CAPTURED: u64 = 64 * 1024 * 1024;

/// A program with its arguments.
#[derive(Clone, Debug)]
pub struct Program {
    /// As errors name it.
    shown: &'static str,
    name: &'static str,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    capture: bool,
    quiet: bool,
}

/// How a program ended.
#[derive(Clone, Debug)]
pub struct Ended {
    name: &'static str,
    /// `None` after a signal.
    pub code: Option<i32>,
    /// What it wrote to stdout, if that was captured.
    pub stdout: Vec<u8>,
    /// The last lines of what it wrote, without secrets.
    pub tail: Vec<String>,
}

/// A program that ended badly.
#[derive(Debug, thiserror::Error)]
pub struct Failed(Ended);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.code {
            Some(code) => write!(f, "{} ended with {code}", self.0.name)?,
            None => write!(f, "{} was killed (out of memory?)", self.0.name)?,
        }
        // The log has the lines before it; the reason is to be its last line.
        self.0.tail.last().map_or(Ok(()), |line| write!(f, ": {line}"))
    }
}

impl Ended {
    /// An error with the last line of its output, unless it ended well.
    pub fn success(self) -> Result<Self, Failed> {
        if self.code == Some(0) { Ok(self) } else { Err(Failed(self)) }
    }

    /// What was captured, without white space around it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }
}

impl Program {
    /// With [`PATH`] and nothing else in its environment.
    pub fn new(name: &'static str) -> Self {
        Self {
            shown: name,
            name,
            arguments: Vec::new(),
            environment: vec![("PATH".into(), PATH.into()), ("LC_ALL".into(), "C.UTF-8".into())],
            folder: None,
            capture: false,
            quiet: false,
        }
    }

    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Keeps what it writes to stdout instead of showing it.
    #[must_use]
    pub fn capture(mut self) -> Self {
        self.capture = true;
        self
    }

    /// Shows nothing of what it writes, unless it fails.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// This program, run by another one, which takes program and arguments as its last arguments.
    #[must_use]
    pub fn within(self, outer: Self) -> Self {
        let mut arguments = outer.arguments;
        arguments.push(self.name.into());
        arguments.extend(self.arguments);
        Self { name: outer.name, arguments, ..self }
    }

    /// Runs it. However it ends is no error of this function's.
    pub async fn run(self) -> anyhow::Result<Ended> {
        self.run_started(async |_| Ok(())).await
    }

    /// Runs it, and does something with its process as soon as there is one. If that fails, the program is ended.
    pub async fn run_started(
        self,
        started: impl AsyncFnOnce(u32) -> anyhow::Result<()>,
    ) -> anyhow::Result<Ended> {
        let mut command = Command::new(self.name);
        command.args(&self.arguments).env_clear().envs(self.environment).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let mut child =
            command.spawn().with_context(|| format!("start {}: is it in the step's image?", self.name))?;
        let (process, stdout, stderr) = (child.id(), child.stdout.take(), child.stderr.take());
        if let Some(process) = process {
            started(process).await?;
        }
        let quiet = self.quiet;
        let stdout = async {
            match stdout {
                Some(stdout) if self.capture => {
                    let mut all = Vec::new();
                    stdout.take(MAX_CAPTURED).read_to_end(&mut all).await.map(|_| (all, Vec::new()))
                }
                Some(stdout) => follow(stdout, quiet).await.map(|tail| (Vec::new(), tail)),
                None => Ok(Default::default()),
            }
        };
        let stderr = async {
            match stderr {
                Some(stderr) => follow(stderr, quiet).await,
                None => Ok(Vec::new()),
            }
        };
        let (stdout, stderr) = tokio::join!(stdout, stderr);
        let status = child.wait().await?;
        let ((stdout, shown), mut tail) = (stdout?, stderr?);
        if tail.is_empty() {
            tail = shown;
        }
        if quiet && !status.success() {
            for line in &tail {
                crate::context::say(line);
            }
        }
        Ok(Ended { name: self.shown, code: status.code(), stdout, tail })
    }
}

/// Shows what is written, line by line, and returns the last lines.
async fn follow(from: impl AsyncRead + Unpin, is_quiet: bool) -> std::io::Result<Vec<String>> {
    let (mut from, mut tail, mut line) = (BufReader::new(from), VecDeque::new(), Vec::new());
    loop {
        line.clear();
        if (&mut from).take(MAX_LINE).read_until(b'\n', &mut line).await? == 0 {
            return Ok(tail.into());
        }
        let text = fleet::redact(String::from_utf8_lossy(&line).trim_end());
        if !is_quiet {
            crate::context::say(&text);
        }
        if !text.is_empty() {
            tail.push_back(text);
        }
        if tail.len() > TAIL {
            tail.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program::new("sh").arg("-c").arg(script)
    }

    #[tokio::test]
    async fn a_failure_says_the_last_line() {
        let ended =
            shell("for i in 1 2 3 4 5 6 7 8 9; do echo line $i >&2; done; exit 3").run().await.unwrap();
        assert_eq!(ended.code, Some(3));
        assert_eq!(ended.tail.len(), TAIL);
        assert_eq!(ended.success().unwrap_err().to_string(), "sh ended with 3: line 9");
    }

    #[tokio::test]
    async fn its_environment_is_clean_and_its_input_empty() {
        let ended = shell("cat; env").capture().env("A", "b").run().await.unwrap();
        let text = ended.text();
        let mut names: Vec<_> =
            text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
        names.sort_unstable();
        names.retain(|name| !["PWD", "_", "SHLVL", "OLDPWD"].contains(name));
        assert_eq!(names, ["A", "LC_ALL", "PATH"]);
    }

    #[tokio::test]
    async fn a_program_that_is_missing_is_named() {
        let error = format!("{:#}", Program::new("no-such-program").run().await.unwrap_err());
        assert!(error.contains("start no-such-program: is it in the step's image?"), "{error}");
    }

    #[tokio::test]
    async fn runs_one_within_another() {
        let ended = shell("echo hello").capture().within(Program::new("env").arg("-i")).run().await.unwrap();
        assert_eq!(ended.success().unwrap().text(), "hello");
    }
}
