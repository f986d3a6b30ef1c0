//! Scenarios 8, 11, 12 and 14, and the promise of the spool: what only a process of its own shows.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::timeout;

use crate::backend::{Backend, HANGS};
use crate::proxy::{PATIENCE, SECRET, client, signed};

/// A sprayproxy of its own.
struct Program {
    child: Child,
    url: String,
    health: String,
}

impl Program {
    fn command(flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sprayproxy"));
        command.arg("server").args(flags).env_clear().stdin(Stdio::null()).stderr(Stdio::piped());
        command
    }

    async fn start(flags: &[&str]) -> Self {
        let [port, metrics, health] = [(); 3].map(|()| testkit::free_port().unwrap());
        let child = Self::command(flags)
            .args(["--host=127.0.0.1", "--log-format=text", "--log-filter=error"])
            .arg(format!("--port={port}"))
            .arg(format!("--metrics-port={metrics}"))
            .arg(format!("--health-addr=127.0.0.1:{health}"))
            .env("GH_APP_WEBHOOK_SECRET", SECRET)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let program = Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
            health: format!("http://127.0.0.1:{health}/readyz"),
        };
        let ready = testkit::eventually(PATIENCE, "the program to be ready", async || {
            anyhow::ensure!(client().get(&program.health).send().await?.status().is_success());
            Ok(())
        });
        ready.await.unwrap();
        program
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Its exit code, when it has ended.
    async fn ended(mut self) -> Option<i32> {
        let ended = tokio::task::spawn_blocking(move || {
            let status = self.child.wait().unwrap();
            status.code()
        });
        timeout(PATIENCE, ended).await.expect("the program ends").unwrap()
    }

    async fn deliver(&self, body: Vec<u8>, delivery: &str) -> reqwest::Result<u16> {
        let request = client().post(&self.url).headers(signed(SECRET, &body, delivery)).body(body);
        Ok(request.send().await?.status().as_u16())
    }

    /// The most resident memory that it ever had, in MiB.
    fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn fails_to_start(flags: &[&str]) -> String {
    let mut child = Program::command(flags).spawn().unwrap();
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{text}");
    text
}

#[test]
fn does_not_start_without_a_secret_and_says_so() {
    let text = fails_to_start(&[]);
    assert!(text.contains("no webhook secret") && text.contains("GH_APP_WEBHOOK_SECRET"), "{text}");
}

#[tokio::test]
async fn starts_without_a_secret_when_nothing_is_verified() {
    let backend = Backend::start().await;
    let program =
        Program::start(&["--insecure-skip-webhook-verify", &format!("--backend={}", backend.url())]).await;
    let answer = client().post(&program.url).body("anything").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    backend.wait(1).await;
}

#[tokio::test]
async fn a_signal_lets_a_slow_request_finish() {
    let backend = Backend::start().await;
    backend.answers(HANGS);
    let program = Program::start(&[&format!("--backend={}", backend.url())]).await;
    let url = program.url.clone();
    let slow = tokio::spawn(async move {
        let request = client().post(url).headers(signed(SECRET, b"{}", "d")).body("{}");
        request.send().await.map(|answer| answer.status().as_u16())
    });
    backend.wait(1).await;
    program.signal(Signal::SIGTERM);
    let url = program.url.clone();
    let refused = testkit::eventually(PATIENCE, "new connections to be refused", async || {
        anyhow::ensure!(tokio::net::TcpStream::connect(url.trim_start_matches("http://")).await.is_err());
        Ok(())
    });
    refused.await.unwrap();
    assert_eq!(slow.await.unwrap().unwrap(), 502, "an answer, if not a good one");
    assert_eq!(program.ended().await, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let backend = Backend::start().await;
    backend.answers(HANGS);
    let program = Program::start(&[&format!("--backend={}", backend.url())]).await;
    let url = program.url.clone();
    tokio::spawn(
        async move { client().post(url).headers(signed(SECRET, b"{}", "d")).body("{}").send().await },
    );
    backend.wait(1).await;
    program.signal(Signal::SIGTERM);
    let url = program.url.clone();
    let refused = testkit::eventually(PATIENCE, "the first signal to be heard", async || {
        anyhow::ensure!(tokio::net::TcpStream::connect(url.trim_start_matches("http://")).await.is_err());
        Ok(())
    });
    refused.await.unwrap();
    program.signal(Signal::SIGINT);
    assert_eq!(program.ended().await, Some(1));
}

/// What was answered with 200 reaches a back end that was dead, over a kill of sprayproxy.
#[tokio::test]
async fn what_was_accepted_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let dead = Backend::nobody().await;
    let flags = [format!("--spool-dir={}", folder.path().display()), format!("--backend=http://{dead}")];
    let flags = flags.each_ref().map(String::as_str);
    let program = Program::start(&flags).await;
    for number in 0..20 {
        assert_eq!(program.deliver(b"{}".to_vec(), &number.to_string()).await.unwrap(), 200);
    }
    program.signal(Signal::SIGKILL);
    assert_eq!(program.ended().await, None);
    let backend = Backend::at(dead).await;
    let _program = Program::start(&flags).await;
    let mut seen: Vec<u32> =
        backend.wait(20).await.iter().map(|seen| seen.header("x-github-delivery").parse().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn many_large_webhooks_stay_within_memory_and_none_is_cut() {
    const SIZE: usize = 20 * 1024 * 1024;
    let backend = Backend::start().await;
    let program = Program::start(&[&format!("--backend={}", backend.url())]).await;
    let body = vec![b' '; SIZE];
    let headers = signed(SECRET, &body, "d");
    let body = bytes::Bytes::from(body);
    let sends = (0..50).map(|_| {
        let request = client().post(&program.url).headers(headers.clone()).body(body.clone());
        async move { request.send().await.map(|answer| answer.status().as_u16()) }
    });
    let answers = timeout(PATIENCE * 4, futures::future::join_all(sends)).await.expect("all are answered");
    // A refusal while the body is still being sent may reach the sender as a broken connection.
    let taken = answers.iter().filter(|answer| matches!(answer, Ok(200))).count();
    let others = answers.iter().filter(|answer| !matches!(answer, Ok(200 | 503) | Err(_))).count();
    assert!(taken > 0 && others == 0, "{answers:?}");
    assert!(taken < 50, "64 MiB hold no 1000");
    let seen = backend.seen();
    assert_eq!(seen.len(), taken);
    assert!(seen.iter().all(|seen| seen.body.len() == SIZE), "none is half-forwarded");
    let peak = program.peak();
    // What the pod is limited to.
    assert!(peak < 384, "{peak} MiB");
    assert_eq!(program.deliver(b"{}".to_vec(), "after").await.unwrap(), 200);
}

#[tokio::test]
async fn given_up_deliveries_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let backend = Backend::start().await;
    backend.answers(500);
    let flags = [
        format!("--spool-dir={}", folder.path().display()),
        format!("--backend={}", backend.url()),
        "--retry-attempts=1".to_owned(),
    ];
    let program = Program::start(&flags.each_ref().map(String::as_str)).await;
    assert_eq!(program.deliver(b"{}".to_vec(), "lost").await.unwrap(), 200);
    let listed = testkit::eventually(PATIENCE, "the delivery to be listed", async || {
        let all = list(folder.path(), &[])?;
        anyhow::ensure!(all.len() == 1, "{all:?}");
        Ok(all)
    });
    let line = listed.await.unwrap().remove(0);
    assert!(
        line.contains("\"gave_up\"") && line.contains("HTTP 500") && line.contains(&backend.url()),
        "{line}"
    );
    assert_eq!(list(folder.path(), &["--delivery=lost"]).unwrap().len(), 1);
    assert_eq!(list(folder.path(), &["--delivery=other"]).unwrap().len(), 0);
    assert!(list(&folder.path().join("typo"), &[]).is_err());
}

fn list(folder: &Path, flags: &[&str]) -> anyhow::Result<Vec<String>> {
    let output = Command::new(env!("CARGO_BIN_EXE_sprayproxy"))
        .arg("deliveries")
        .arg(format!("--spool-dir={}", folder.display()))
        .args(flags)
        .env_clear()
        .output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}

/// Each line of the log says whose it is.
#[test]
fn logs_json_with_constant_fields() {
    let output = Program::command(&["--metrics-auth", "--kubeconfig=/nowhere/config"])
        .env("GH_APP_WEBHOOK_SECRET", SECRET)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((&first["service"], &first["audit"]), (&"sprayproxy".into(), &"true".into()), "{text}");
    assert!(first["timestamp"].as_str().unwrap().ends_with('Z'), "{text}");
    assert!(text.contains("/nowhere/config"), "a cluster is needed, and the error names it: {text}");
    assert!(!text.contains(SECRET));
}

#[tokio::test]
async fn a_timeout_that_can_be_read_is_honoured() {
    let backend = Backend::start().await;
    backend.answers(HANGS);
    let flags = [format!("--backend={}", backend.url()), "--forwarding-request-timeout=300ms".to_owned()];
    let program = Program::start(&flags.each_ref().map(String::as_str)).await;
    let answer = timeout(Duration::from_secs(6), program.deliver(b"{}".to_vec(), "d")).await;
    assert_eq!(answer.expect("before the 8 s of all back ends").unwrap(), 502);
}
