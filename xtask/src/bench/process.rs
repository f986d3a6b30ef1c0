//! A service as a process of its own, seen from outside: what the kernel and its own metrics say.
use std::{
    fs::{self, File},
    net::TcpListener,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, SysconfVar, sysconf},
};
use tokio::process::{Child, Command};

/// How long a start or an end may take before the benchmark gives up.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running service.
pub(super) struct Service {
    child: Child,
    pid: i32,
    metrics: String,
    /// From the start of the process until it was ready, which is when its caches were filled.
    pub(super) ready_after: Duration,
}

impl Service {
    /// Starts `binary` with `arguments` and ports of its own, and waits until it is ready. Its log goes to `log`.
    pub(super) async fn start(binary: &Path, arguments: &[String], log: &Path) -> anyhow::Result<Self> {
        let (metrics, health) = (free_port()?, free_port()?);
        let output = File::options().create(true).append(true).open(log)?;
        let began = Instant::now();
        let mut child = Command::new(binary)
            .args(arguments)
            .arg(format!("--metrics-addr=127.0.0.1:{metrics}"))
            .arg(format!("--health-addr=127.0.0.1:{health}"))
            // Nothing of this shell may configure it.
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).context("the service has a process id")?;
        let ready = format!("http://127.0.0.1:{health}/readyz");
        while !reqwest::get(&ready).await.is_ok_and(|answer| answer.status().is_success()) {
            if let Some(status) = child.try_wait()? {
                anyhow::bail!("the service ended ({status}):\n{}", last_lines(log));
            }
            anyhow::ensure!(
                began.elapsed() < PATIENCE,
                "the service is not ready after {PATIENCE:?}:\n{}",
                last_lines(log)
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let metrics = format!("http://127.0.0.1:{metrics}/metrics");
        Ok(Self { child, pid, metrics, ready_after: began.elapsed() })
    }

    /// Stops it as a pod is stopped.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(self.pid), Signal::SIGTERM).context("stop the service")?;
        tokio::time::timeout(PATIENCE, self.child.wait()).await.context("the service does not stop")??;
        Ok(())
    }

    /// Resident memory now, in bytes.
    pub(super) fn memory(&self) -> anyhow::Result<u64> {
        self.status("VmRSS:")
    }

    /// The most resident memory that it ever had, in bytes.
    pub(super) fn peak_memory(&self) -> anyhow::Result<u64> {
        self.status("VmHWM:")
    }

    /// Pages of its file that are in memory, in bytes.
    pub(super) fn file_memory(&self) -> anyhow::Result<u64> {
        self.status("RssFile:")
    }

    fn status(&self, field: &str) -> anyhow::Result<u64> {
        status_of(self.pid, field)
    }

    /// Processor time used since its start.
    pub(super) fn processor_time(&self) -> anyhow::Result<Duration> {
        time_of(self.pid)
    }

    /// Sum over all labels of one of its metrics.
    pub(super) async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let text = reqwest::get(&self.metrics).await?.error_for_status()?.text().await?;
        Ok(sum(&text, name, ""))
    }

    /// Requests to the API server that change something, since its start, by its own count.
    pub(super) async fn writes(&self) -> anyhow::Result<f64> {
        let text = reqwest::get(&self.metrics).await?.error_for_status()?.text().await?;
        let methods = ["POST", "PUT", "PATCH", "DELETE"];
        Ok(methods
            .iter()
            .map(|method| sum(&text, "rest_client_requests_total", &format!("method=\"{method}\"")))
            .sum())
    }

    /// Waits until nothing is queued, nothing is worked on and nothing new has been for `calm`.
    pub(super) async fn settle(&self, calm: Duration, progress: impl Fn(&str)) -> anyhow::Result<()> {
        let mut done = -1.0;
        let mut since = Instant::now();
        loop {
            let waiting = self.metric("workqueue_depth").await?
                + self.metric("controller_runtime_active_workers").await?;
            let now_done = self.metric("controller_runtime_reconcile_total").await?;
            // Counters: equal means that not one was added.
            if waiting > 0.0 || now_done > done {
                since = Instant::now();
                done = now_done;
            } else if since.elapsed() >= calm {
                return Ok(());
            }
            progress(&format!("{waiting} waiting, {now_done} reconciled"));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// What the kernel says of a process under this name, as `VmHWM:`, in bytes.
pub(super) fn status_of(pid: i32, field: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("read the process's status")?;
    kibibytes(&status, field)
        .map(|value| value * 1024)
        .with_context(|| format!("no {field} in the process's status"))
}

/// Processor time that a process has used since its start.
pub(super) fn time_of(pid: i32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("read the process's times")?;
    let ticks = ticks(&stat).context("no times in the process's stat")?;
    let per_second = sysconf(SysconfVar::CLK_TCK)?.and_then(|value| u32::try_from(value).ok()).unwrap_or(100);
    Ok(Duration::from_secs(ticks) / per_second)
}

/// Value of a line like `VmRSS:     1234 kB`.
fn kibibytes(status: &str, field: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(field))?.split_whitespace().next()?.parse().ok()
}

/// User and system time of /proc/<pid>/stat. Its second field is the program's name, which may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

/// Sum of the samples of a metric, in the text format, that carry `label`.
pub(super) fn sum(text: &str, name: &str, label: &str) -> f64 {
    text.lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
        .filter(|line| line.contains(label))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// One that nobody listens on just now.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").context("ask for a free port")?.local_addr()?.port())
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_says() {
        assert_eq!(kibibytes("VmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n", "VmRSS:"), Some(1024));
        assert_eq!(ticks("7 (a) b) S 1 1 1 0 -1 4 0 0 0 0 12 30 0 0 20 0"), Some(42));
    }

    #[test]
    fn sums_a_metric_by_label() {
        let text = "# TYPE x counter\nx{method=\"GET\"} 1\nx{method=\"POST\"} 2\nx_more{method=\"GET\"} 4\n";
        assert!((sum(text, "x", "") - 3.0).abs() < f64::EPSILON);
        assert!((sum(text, "x", "method=\"POST\"") - 2.0).abs() < f64::EPSILON);
    }
}
