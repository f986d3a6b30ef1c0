//! Keeps one program running, and says what it does.
use std::{fs, process::ExitStatus, process::Stdio, sync::Arc, time::Duration};

use anyhow::Context as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reqwest::StatusCode;
use tokio::{
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{
    components::{Component, Ready},
    layout::Layout,
    packages,
    report::{Reporter, State},
};

/// Between two looks at a program that is not ready yet.
const POLL: Duration = Duration::from_millis(200);
/// Between two looks at one that is.
const CHECK: Duration = Duration::from_secs(10);
/// Waits between restarts: doubled each time from the first to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// A program that ran for so long is started again at once when it ends.
const STABLE: Duration = Duration::from_mins(1);

/// What all children share.
pub struct Nursery {
    pub layout: Layout,
    pub reporter: Arc<Reporter>,
    pub probe: Probe,
}

/// A component that is kept running until [`Kept::stop`].
pub struct Kept {
    ready: watch::Receiver<bool>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Kept {
    /// Waits until it is ready for the first time, however long that takes.
    pub async fn ready(&mut self) {
        // An error means that it was stopped before; there is nothing to wait for then.
        let _ = self.ready.wait_for(|ready| *ready).await;
    }

    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

/// Starts a component and keeps it running.
pub fn keep(component: Component, nursery: Arc<Nursery>) -> Kept {
    let (ready_sender, ready) = watch::channel(false);
    let (stop, stop_receiver) = watch::channel(false);
    let task = tokio::spawn(run(component, nursery, ready_sender, stop_receiver));
    Kept { ready, stop, task }
}

async fn run(
    component: Component,
    nursery: Arc<Nursery>,
    ready: watch::Sender<bool>,
    mut stop: watch::Receiver<bool>,
) {
    let name = component.name;
    let mut wait = BACKOFF.0;
    loop {
        nursery.reporter.set(name, State::Starting, "");
        let began = Instant::now();
        let end = match spawn(&component, &nursery.layout) {
            Ok(mut child) => tokio::select! {
                status = child.wait() => describe(status),
                () = observe(&component, &nursery, &ready) => "its observer ended".to_owned(),
                () = asked(&mut stop) => {
                    terminate(child, component.grace).await;
                    return;
                }
            },
            Err(error) => format!("{error:#}"),
        };
        tracing::warn!(component = name, end, "Ended");
        nursery.reporter.set(name, State::Down, &end);
        if began.elapsed() > STABLE {
            wait = BACKOFF.0;
        }
        tokio::select! {
            () = sleep(wait) => wait = (wait * 2).min(BACKOFF.1),
            () = asked(&mut stop) => return,
        }
    }
}

/// Waits for the word to stop; also when nobody is left to say it.
async fn asked(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Reports readiness for as long as it is polled.
async fn observe(component: &Component, nursery: &Nursery, ready: &watch::Sender<bool>) {
    loop {
        match nursery.probe.check(&component.ready).await {
            Ok(()) => {
                nursery.reporter.set(component.name, State::Ready, "");
                let _ = ready.send(true);
                sleep(CHECK).await;
            }
            Err(reason) => {
                nursery.reporter.set(component.name, State::Starting, &brief(&reason));
                sleep(POLL).await;
            }
        }
    }
}

fn spawn(component: &Component, layout: &Layout) -> anyhow::Result<Child> {
    let path = layout.log(component.name);
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("open {}", path.display()))?;
    Command::new(&component.program)
        .args(&component.arguments)
        .env("PATH", packages::search_path())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("start {}", component.program.display()))
}

async fn terminate(mut child: Child, grace: Duration) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    if let Some(pid) = pid {
        // It may have ended just now.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if timeout(grace, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

/// The innermost cause; of a list of checks, as the API server has one, those that fail.
pub fn brief(error: &anyhow::Error) -> String {
    let text = error.root_cause().to_string();
    let failing: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("[-]")).collect();
    if failing.is_empty() { text } else { failing.join(", ") }
}

fn describe(status: std::io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => format!("ended: {status}"),
        Err(error) => format!("lost: {error}"),
    }
}

/// Asks components whether they are ready.
pub struct Probe {
    pub http: reqwest::Client,
    /// An administrator's client.
    pub kube: kube::Client,
    pub node: String,
}

impl Probe {
    /// Nothing if ready, else the reason why not.
    pub async fn check(&self, ready: &Ready) -> anyhow::Result<()> {
        timeout(Duration::from_secs(5), self.ask(ready)).await.context("no answer within 5 s")?
    }

    async fn ask(&self, ready: &Ready) -> anyhow::Result<()> {
        match ready {
            Ready::Socket(path) => {
                tokio::net::UnixStream::connect(path).await.with_context(|| format!("connect to {path}"))?;
            }
            Ready::Answers(url) => {
                let answer = self.http.get(url).send().await?;
                if answer.status() != StatusCode::UNAUTHORIZED {
                    answer.error_for_status()?;
                }
            }
            Ready::ApiServer => {
                let request = http::Request::get("/readyz").body(Vec::new())?;
                self.kube.request_text(request).await?;
            }
            Ready::Node => self.node_is_ready().await?,
        }
        Ok(())
    }

    async fn node_is_ready(&self) -> anyhow::Result<()> {
        let nodes: kube::Api<k8s_openapi::api::core::v1::Node> = kube::Api::all(self.kube.clone());
        let node = nodes.get_opt(&self.node).await?.context("not registered yet")?;
        let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
        let condition =
            conditions.iter().find(|condition| condition.type_ == "Ready").context("no condition yet")?;
        anyhow::ensure!(
            condition.status == "True",
            "{}",
            condition.message.as_deref().unwrap_or("not ready")
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failing_checks_are_named() {
        let error = anyhow::anyhow!("[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed");
        assert_eq!(brief(&error), "etcd failed: reason withheld");
        assert_eq!(brief(&anyhow::anyhow!("refused").context("connect")), "refused");
    }
}
