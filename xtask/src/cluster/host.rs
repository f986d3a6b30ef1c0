//! What the host does for a cluster: everything that `up` prepares outside of it, and all that `down` takes away.
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::{
    process::Command,
    time::{Instant, sleep},
};

use super::{
    Choice, Cluster, cgroups, config, credentials, forge,
    layout::Layout,
    network, packages,
    processes::{self, INIT, Processes},
    programs::{self, Programs},
    report::{Part, Report},
    settings::{Embedded, Settings, Wishes},
    supervisor,
};
use crate::ui;

/// Without any change for so long, something is wrong. Much more than any part takes on a slow machine.
const PATIENCE: Duration = Duration::from_mins(3);
const POLL: Duration = Duration::from_millis(100);
/// What images, logs and objects of a small cluster take.
const RUN_SPACE: u64 = 2 << 30;
const LOG_LINES: usize = 15;

/// Installs and builds what clusters need.
async fn prepare(cluster: &Embedded) -> anyhow::Result<Programs> {
    packages::install().await?;
    programs::build(cluster.forge).await
}

/// Brings an embedded cluster up, from whatever it is in: absent, killed, half up, old, or running.
pub async fn up(choice: &Choice, wishes: Wishes) -> anyhow::Result<Cluster> {
    let layout = choice.layout()?;
    let cluster = settle(choice, &layout, wishes)?;
    require_root()?;
    let programs = prepare(&cluster).await?;
    fs::create_dir_all(layout.root()).with_context(|| format!("make {}", layout.root().display()))?;
    // Links resolved only now that it exists.
    let layout = choice.layout()?;
    let _lock = lock(&layout)?;

    let wanted = supervisor::fingerprint(&cluster, &programs)?;
    let running = Processes::find(layout.root());
    let is_current = running.is_complete()
        && Report::read(&layout).is_some_and(|report| report.fingerprint == wanted && !report.is_broken())
        && network::is_attached(&cluster).await;
    if !is_current {
        clean(&layout, &cluster).await?;
        network::check_free(&cluster).await?;
        check_space(layout.root(), RUN_SPACE, "a cluster")?;
        start(&layout, &cluster).await?;
    }
    await_ready(&layout, &cluster).await?;
    if cluster.forge {
        forge::connect(&layout, &choice.flags()).await?;
    }
    Cluster::load(choice)
}

/// Ends a cluster and removes what it left on the host. With `purge`, also all that it kept.
pub async fn down(choice: &Choice, purge: bool) -> anyhow::Result<()> {
    let layout = choice.layout()?;
    // Whatever the folder says or no longer says, name and folder tell what to look for.
    let cluster = match Settings::read(&layout) {
        Ok(Some(Settings::Embedded(cluster))) => cluster,
        Ok(Some(Settings::External(_))) => {
            fs::remove_file(layout.settings())?;
            ui::note("the cluster is not ours: forgotten, but left as it is");
            return Ok(());
        }
        Ok(None) | Err(_) => choice.derive()?,
    };
    if !layout.root().exists() && !is_on_host(&layout, &cluster).await {
        ui::note("there is no such cluster: nothing to do");
        return Ok(());
    }
    require_root()?;
    // Somebody may have removed it under a running cluster.
    fs::create_dir_all(layout.root())?;
    let _lock = lock(&layout)?;
    let step = ui::step("cluster is down");
    remove(&layout, &cluster, &step).await?;
    network::forward_no_more(&cluster)?;
    // Left behind if others use it.
    let _ = fs::remove_dir("/var/lib/cni");
    step.done();
    if purge {
        let step = ui::step("its state is removed");
        purge_state(layout.root())?;
        step.done();
    }
    Ok(())
}

/// What the cluster is to be: as recorded, else as asked for, else as its name says.
fn settle(choice: &Choice, layout: &Layout, wishes: Wishes) -> anyhow::Result<Embedded> {
    let derived = choice.derive()?;
    let wanted = |recorded: Option<&Embedded>| {
        let base = recorded.unwrap_or(&derived);
        Embedded {
            pods: wishes.pods.unwrap_or(base.pods),
            services: wishes.services.unwrap_or(base.services),
            forge: wishes.forge.unwrap_or(base.forge),
            ..base.clone()
        }
    };
    let cluster = match Settings::read(layout)? {
        Some(Settings::Embedded(recorded)) => {
            let cluster = wanted(Some(&recorded));
            if (cluster.pods, cluster.services) != (recorded.pods, recorded.services) {
                bail!(
                    "cluster {:?} was made with --pods-subnet {} --services-subnet {}, which cannot be changed: run \
                     `cargo xtask down --purge{}` first, or leave the flags out",
                    recorded.name,
                    recorded.pods,
                    recorded.services,
                    choice.flags(),
                );
            }
            cluster
        }
        _ => wanted(None),
    };
    if cluster.pods.overlaps(cluster.services.address(0, 0), 16) {
        bail!("--pods-subnet and --services-subnet must differ: both are {}", cluster.pods);
    }
    Ok(cluster)
}

/// Refuses to begin what would fail after minutes.
pub fn check_space(folder: &Path, needed: u64, what: &str) -> anyhow::Result<()> {
    let space = nix::sys::statvfs::statvfs(folder)
        .with_context(|| format!("ask free space of {}", folder.display()))?;
    let free = space.blocks_available() * space.fragment_size();
    if free < needed {
        bail!(
            "the disk is nearly full: {} MiB are free below {}, {what} needs {}; free some space and run this again",
            free >> 20,
            folder.display(),
            needed >> 20
        );
    }
    Ok(())
}

fn require_root() -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!(
            "the embedded cluster needs root for namespaces, mounts and the network: run this as root, or use a \
             cluster that you have by `cargo xtask up --kubeconfig FILE`"
        );
    }
    Ok(())
}

/// One command at a time changes a cluster.
fn lock(layout: &Layout) -> anyhow::Result<fs::File> {
    let path = layout.lock();
    let file = fs::File::create(&path).with_context(|| format!("create {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            bail!("another `cargo xtask up` or `down` works on this cluster: wait for it, or end it")
        }
        Err(fs::TryLockError::Error(error)) => Err(error).with_context(|| format!("lock {}", path.display())),
    }
}

/// Removes what a predecessor left, with a word if there is something.
async fn clean(layout: &Layout, cluster: &Embedded) -> anyhow::Result<()> {
    let running = Processes::find(layout.root());
    let what = if running.is_complete() {
        "a cluster that is outdated or broken is stopped"
    } else if is_on_host(layout, cluster).await {
        "rests of a cluster that ended without cleaning up are removed"
    } else {
        return Ok(());
    };
    let step = ui::step(what);
    remove(layout, cluster, &step).await?;
    step.done();
    Ok(())
}

/// Whether the host has anything of this cluster.
async fn is_on_host(layout: &Layout, cluster: &Embedded) -> bool {
    !Processes::find(layout.root()).is_empty()
        || cgroups::exist(&cluster.group())
        || network::is_attached(cluster).await
}

/// Takes from the host whatever it has of this cluster. Kept state stays.
async fn remove(layout: &Layout, cluster: &Embedded, step: &ui::Step) -> anyhow::Result<()> {
    step.waiting("processes");
    processes::end(layout.root()).await?;
    step.waiting("control groups");
    cgroups::remove(&cluster.group()).await?;
    step.waiting("network");
    network::detach(cluster).await?;
    if layout.report().exists() {
        fs::remove_file(layout.report())?;
    }
    Ok(())
}

/// Prepares folders, credentials and host, and starts the node.
async fn start(layout: &Layout, cluster: &Embedded) -> anyhow::Result<()> {
    let step = ui::step("node is started");
    for folder in layout.folders() {
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    }
    let private = fs::Permissions::from_mode(0o700);
    fs::set_permissions(layout.pki(""), private)?;
    Settings::Embedded(cluster.clone()).write(layout)?;
    credentials::issue(layout, cluster)?;
    write_kubectl(layout)?;
    let resolvers = resolvers();
    if resolvers.is_empty() {
        ui::note(
            "the host has no name server that pods could reach: they will resolve names of the cluster only",
        );
    }
    fs::write(layout.config("resolv.conf"), config::resolv_conf(&resolvers))?;
    keep_previous_logs(layout)?;
    cgroups::create(&cluster.group())?;
    network::forward()?;
    spawn(layout)?;
    let pid = await_init(layout).await?;
    network::attach(cluster, pid).await.context("connect the cluster with the host")?;
    step.done();
    Ok(())
}

/// Starts the node: a process namespace of its own, and with it mounts and network. It outlives us and our
/// terminal.
fn spawn(layout: &Layout) -> anyhow::Result<()> {
    let path = layout.log("supervisor");
    let log = fs::File::create(&path).with_context(|| format!("create {}", path.display()))?;
    Command::new("setsid")
        .args([
            "unshare",
            "--mount",
            "--propagation",
            "slave",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        .args(["--net", "--"])
        .arg(std::env::current_exe()?)
        .args([INIT, "--state"])
        .arg(layout.root())
        .env("PATH", packages::search_path())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("start the node by setsid and unshare")?;
    Ok(())
}

/// The first process of the node, once it runs.
async fn await_init(layout: &Layout) -> anyhow::Result<i32> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let found = Processes::find(layout.root());
        if let Some(pid) = found.supervisor.first() {
            return Ok(*pid);
        }
        if Instant::now() > deadline || found.is_empty() && !is_starting(deadline) {
            bail!("the node ended while it started{}", tail(&layout.log("supervisor")));
        }
        sleep(POLL).await;
    }
}

/// Before it is through with two programs that replace each other, the node is not recognized.
fn is_starting(deadline: Instant) -> bool {
    deadline.duration_since(Instant::now()) > Duration::from_secs(17)
}

/// Waits until all parts are ready and the API server answers through the link.
async fn await_ready(layout: &Layout, cluster: &Embedded) -> anyhow::Result<()> {
    let step = ui::step("cluster is ready");
    let (mut last, mut changed) = (None, Instant::now());
    loop {
        let report = Report::read(layout);
        if report.as_ref().is_some_and(Report::is_ready) {
            break;
        }
        if Processes::find(layout.root()).supervisor.is_empty() {
            bail!("the supervisor ended{}", tail(&layout.log("supervisor")));
        }
        let part = report.as_ref().and_then(Report::unready).cloned();
        if let Some(part) = &part {
            let detail = if part.detail.is_empty() { String::new() } else { format!(": {}", part.detail) };
            step.waiting(&format!("{} is {}{detail}", part.name, part.state));
        }
        if report != last {
            (last, changed) = (report, Instant::now());
        } else if changed.elapsed() > PATIENCE {
            let name = part.as_ref().map_or("supervisor", |part| part.name.as_str());
            bail!(
                "{name} does not become ready: {}{}\nIt is tried on. Mend what the log says and run this again, or \
                 begin anew by `cargo xtask down --purge`.",
                part.as_ref().map_or("no report", |part| part.detail.as_str()),
                tail(&layout.log(name)),
            );
        }
        if let Some(part) = part.filter(Part::is_broken) {
            bail!(
                "{} ended {} times, last: {}{}\nIt is started again and again. Mend what the log says and run this \
                 again, or begin anew by `cargo xtask down --purge`.",
                part.name,
                part.restarts,
                part.detail,
                tail(&layout.log(&part.name)),
            );
        }
        sleep(POLL).await;
    }
    step.waiting("an answer of the API server through the link to the host");
    let client = super::client(&layout.admin_kubeconfig()).await?;
    let version = tokio::time::timeout(Duration::from_secs(20), client.apiserver_version())
        .await
        .ok()
        .and_then(Result::ok)
        .with_context(|| {
            format!(
                "the cluster runs, but the host does not reach {} over {}: does a firewall of the host forbid it?",
                cluster.api_server(),
                cluster.interface()
            )
        })?;
    step.done_with(&format!("Kubernetes {} at {}", version.git_version, cluster.api_server()));
    Ok(())
}

/// Name servers of the host that pods can reach. A host whose only one is on its loopback (systemd-resolved)
/// keeps the true ones elsewhere.
fn resolvers() -> Vec<std::net::Ipv4Addr> {
    ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .map(|text| config::reachable_resolvers(&text))
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

fn write_kubectl(layout: &Layout) -> anyhow::Result<()> {
    let script = format!(
        "#!/bin/sh\nexec '{}' kubectl --kubeconfig '{}' \"$@\"\n",
        testkit::tools::kube_binary()?.display(),
        layout.admin_kubeconfig().display()
    );
    fs::write(layout.kubectl(), script)?;
    fs::set_permissions(layout.kubectl(), fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Logs of the run before stay readable, those before it go. The audit log is one for all runs.
fn keep_previous_logs(layout: &Layout) -> anyhow::Result<()> {
    for entry in fs::read_dir(layout.data("logs"))? {
        let path = entry?.path();
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        let is_audit = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"audit"));
        if is_log && !is_audit {
            fs::rename(&path, path.with_extension("log.previous"))?;
        }
    }
    Ok(())
}

fn purge_state(root: &Path) -> anyhow::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let below: Vec<PathBuf> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .map(PathBuf::from)
        .filter(|mount| mount.starts_with(root))
        .collect();
    if let Some(mount) = below.first() {
        bail!(
            "{} is mounted: nothing below {} is removed; unmount it first",
            mount.display(),
            root.display()
        );
    }
    fs::remove_dir_all(root).with_context(|| format!("remove {}", root.display()))
}

/// The last lines of a log, introduced, for the end of an error.
fn tail(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
    if last.is_empty() {
        return format!("; its log is empty: {}", path.display());
    }
    format!("; end of its log {}:\n{}", path.display(), last.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Subnet;

    fn choice(folder: &Path) -> Choice {
        Choice { name: "e2e".into(), state_dir: Some(folder.to_owned()) }
    }

    #[test]
    fn recorded_ranges_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (choice, layout) = (choice(folder.path()), Layout::new(folder.path().to_owned()));
        let pods: Subnet = "10.200.0.0/16".parse().unwrap();
        let wish = |pods| Wishes { pods: Some(pods), ..Wishes::default() };
        let made = settle(&choice, &layout, wish(pods)).unwrap();
        assert_eq!(made.pods, pods);
        Settings::Embedded(made.clone()).write(&layout).unwrap();
        assert_eq!(settle(&choice, &layout, Wishes::default()).unwrap(), made);
        assert_eq!(settle(&choice, &layout, wish(pods)).unwrap(), made);
        let other = "10.201.0.0/16".parse().unwrap();
        let error = settle(&choice, &layout, wish(other)).unwrap_err().to_string();
        assert!(error.contains("--pods-subnet 10.200.0.0/16") && error.contains("--purge"), "{error}");
    }

    #[test]
    fn ranges_must_differ() {
        let folder = tempfile::tempdir().unwrap();
        let same: Subnet = "10.200.0.0/16".parse().unwrap();
        let layout = Layout::new(folder.path().to_owned());
        let wishes = Wishes { pods: Some(same), services: Some(same), forge: None };
        let error = settle(&choice(folder.path()), &layout, wishes).unwrap_err().to_string();
        assert!(error.contains("must differ"), "{error}");
    }

    #[test]
    fn the_forge_can_be_left_out_and_taken_in_again() {
        let folder = tempfile::tempdir().unwrap();
        let (choice, layout) = (choice(folder.path()), Layout::new(folder.path().to_owned()));
        let settled = |forge| {
            let made = settle(&choice, &layout, Wishes { forge, ..Wishes::default() }).unwrap();
            Settings::Embedded(made.clone()).write(&layout).unwrap();
            made.forge
        };
        assert_eq!(
            [None, Some(false), None, Some(true), None].map(settled),
            [true, false, false, true, true]
        );
    }

    #[test]
    fn only_one_command_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().to_owned());
        let held = lock(&layout).unwrap();
        assert!(lock(&layout).unwrap_err().to_string().contains("wait for it"));
        drop(held);
        assert!(lock(&layout).is_ok());
    }

    #[test]
    fn a_full_disk_is_seen_before_the_start() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check_space(folder.path(), 0, "nothing").is_ok());
        let error = check_space(folder.path(), u64::MAX, "everything").unwrap_err().to_string();
        assert!(error.contains("nearly full") && error.contains("everything needs"), "{error}");
    }

    #[test]
    fn tail_shows_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        assert!(tail(&path).contains("log is empty"));
        let lines: Vec<String> = (0..40).map(|number| format!("line {number}")).collect();
        fs::write(&path, lines.join("\n")).unwrap();
        assert!(tail(&path).ends_with("line 39"));
        assert!(!tail(&path).contains("line 24\n"));
    }

    #[test]
    fn logs_of_the_run_before_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().to_owned());
        fs::create_dir(layout.data("logs")).unwrap();
        for (part, text) in [("etcd", "old"), ("audit", "events")] {
            fs::write(layout.log(part), text).unwrap();
        }
        keep_previous_logs(&layout).unwrap();
        assert!(!layout.log("etcd").exists());
        assert_eq!(fs::read_to_string(layout.log("etcd").with_extension("log.previous")).unwrap(), "old");
        assert!(layout.log("audit").exists());
    }
}
