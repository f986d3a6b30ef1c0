//! The proxy that is measured, as a process of its own with what it needs around it.
use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::load::SECRET;
use crate::{
    bench::process::{status_of, time_of},
    cluster::packages,
};

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A proxy that is not running yet.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    command: Command,
    folder: TempDir,
}

/// A running one; dropped, it ends.
pub(super) struct Running {
    child: Child,
    _folder: TempDir,
}

impl Proxy {
    /// Debian's, with its own defaults but for what the task needs: one server, connections that are kept.
    pub(super) fn nginx(backend: SocketAddr) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("create a folder for nginx")?;
        let address = free_address()?;
        let root = folder.path().display();
        let configuration = format!(
            "user root;\nworker_processes auto;\ndaemon off;\npid {root}/pid;\nerror_log {root}/error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n  access_log {root}/access.log;\n  client_max_body_size 25m;\n  client_body_temp_path {root}/body;\n  \
             proxy_temp_path {root}/proxy;\n  fastcgi_temp_path {root}/fastcgi;\n  uwsgi_temp_path {root}/uwsgi;\n  \
             scgi_temp_path {root}/scgi;\n  keepalive_requests 1000000000;\n  \
             upstream backend {{ server {backend}; keepalive 64; keepalive_requests 1000000000; }}\n  \
             server {{\n    listen {address};\n    location / {{\n      proxy_pass http://backend;\n      \
             proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n      \
             proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n      \
             proxy_intercept_errors off;\n    }}\n  }}\n}}\n"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, configuration).with_context(|| format!("write {}", file.display()))?;
        let mut command = Command::new(packages::find("nginx").context("nginx is not installed")?);
        command.arg("-p").arg(folder.path()).arg("-c").arg(file);
        Ok(Self { address, command, folder })
    }

    /// Ours. With a spool for so many deliveries, if any.
    pub(super) fn sprayproxy(
        binary: &Path,
        backends: &[SocketAddr],
        spool: Option<usize>,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("create a folder for sprayproxy")?;
        let address = free_address()?;
        let mut command = Command::new(binary);
        command
            .arg("server")
            .args(["--host=127.0.0.1".to_owned(), format!("--port={}", address.port())])
            .arg(format!("--metrics-port={}", free_address()?.port()))
            .arg(format!("--health-addr={}", free_address()?))
            .args(backends.iter().map(|backend| format!("--backend=http://{backend}")))
            .env_clear()
            .env("GH_APP_WEBHOOK_SECRET", SECRET);
        if let Some(count) = spool {
            command
                .arg(format!("--spool-dir={}", folder.path().join("spool").display()))
                .arg(format!("--spool-count={count}"))
                .arg("--spool-bytes=8589934592");
        }
        Ok(Self { address, command, folder })
    }

    /// Starts it and waits until it listens. It logs into a file, as it does in a pod.
    pub(super) async fn start(mut self) -> anyhow::Result<Running> {
        let log = self.folder.path().join("log");
        let mut child = self
            .command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", self.command.as_std().get_program().display()))?;
        let began = Instant::now();
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            if let Some(status) = child.try_wait()? {
                anyhow::bail!(
                    "the proxy ended ({status}):\n{}",
                    fs::read_to_string(&log).unwrap_or_default()
                );
            }
            anyhow::ensure!(began.elapsed() < PATIENCE, "the proxy does not listen after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(Running { child, _folder: self.folder })
    }
}

impl Running {
    /// Processor time so far, with that of its workers.
    pub(super) fn processor_time(&self) -> anyhow::Result<Duration> {
        self.processes()?.into_iter().map(time_of).sum()
    }

    /// The most resident memory so far, in bytes, with that of its workers.
    pub(super) fn peak_memory(&self) -> anyhow::Result<u64> {
        self.processes()?.into_iter().map(|pid| status_of(pid, "VmHWM:")).sum()
    }

    fn processes(&self) -> anyhow::Result<Vec<i32>> {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).context("the proxy has ended")?;
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        Ok(children.split_whitespace().filter_map(|child| child.parse().ok()).chain([pid]).collect())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // nginx stops its workers only when it is asked.
        if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            let _ =
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
            let end = Instant::now() + Duration::from_secs(10);
            while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// One that nobody listens on just now.
pub(super) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0").context("ask for a free port")?.local_addr()?)
}
