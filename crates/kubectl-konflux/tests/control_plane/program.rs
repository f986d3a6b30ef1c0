//! Runs the program, with nothing of this machine's in its environment.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::world::World;

/// How the program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// What was printed by a program that has done what was asked for.
    pub(crate) fn well(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    /// The complaint of one that has not.
    pub(crate) fn badly(self) -> String {
        assert_eq!(self.code, Some(1), "{self:?}");
        self.stderr
    }
}

/// One that runs.
pub(crate) struct Running {
    program: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

fn command(world: &World, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-konflux"));
    command
        .args(["--namespace", &world.namespace, "--results-url", &world.archive.url])
        .arg("--token-file")
        .arg(world.token_file())
        .args(arguments)
        .env_clear()
        .env("KUBECONFIG", world.plane.kubeconfig())
        .kill_on_drop(true);
    command
}

/// Runs it to its end.
pub(crate) async fn run(world: &World, arguments: &[&str]) -> anyhow::Result<Ended> {
    ended(command(world, arguments)).await
}

/// Without a token, and asking the archive at its default place, or where `environment` says.
pub(crate) async fn run_bare(
    world: &World,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> anyhow::Result<Ended> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-konflux"));
    let environment = environment.iter().copied();
    command.args(arguments).env_clear().env("KUBECONFIG", world.plane.kubeconfig()).envs(environment);
    ended(command).await
}

async fn ended(mut command: Command) -> anyhow::Result<Ended> {
    let output = timeout(testkit::DEADLINE, command.output()).await??;
    Ok(Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

/// Starts it.
pub(crate) fn start(world: &World, arguments: &[&str]) -> anyhow::Result<Running> {
    let mut program = command(world, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stdout = program.stdout.take().expect("it is piped");
    Ok(Running { program, lines: BufReader::new(stdout).lines() })
}

impl Running {
    /// The next line that it prints; absent at the end.
    pub(crate) async fn line(&mut self) -> anyhow::Result<Option<String>> {
        Ok(timeout(testkit::DEADLINE, self.lines.next_line()).await??)
    }

    /// Waits for its end.
    pub(crate) async fn end(mut self) -> anyhow::Result<Ended> {
        let mut rest = Vec::new();
        while let Some(line) = self.line().await? {
            rest.push(line);
        }
        let status = timeout(testkit::DEADLINE, self.program.wait()).await??;
        let mut stderr = String::new();
        self.program.stderr.take().expect("it is piped").read_to_string(&mut stderr).await?;
        Ok(Ended { code: status.code(), stdout: rest.join("\n"), stderr })
    }
}
