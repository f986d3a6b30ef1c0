//! The first process of a node: arranges the mounts that only the cluster sees, starts the supervisor, and
//! inherits orphans. When it ends, for whatever reason, the kernel ends the whole node.
use std::{
    fs::{self, File},
    io,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sys::wait::{WaitStatus, waitpid},
    unistd::Pid,
};

use super::{
    cgroups, forge, images,
    layout::Layout,
    processes::SUPERVISOR,
    programs::Programs,
    settings::{Embedded, Settings},
};

#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// State folder of the cluster. Has to be the last argument, by which the process is recognized.
    #[arg(long)]
    state: PathBuf,
}

/// Settings of the kernel that the kubelet insists on: (path below `/proc/sys`, value). It gets files of our
/// own in their place, because the true ones are the whole machine's.
const KERNEL_SETTINGS: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];
/// Where the CNI library keeps results; nothing in it is worth more than the pods' networks.
const CNI_STATE: &str = "/var/lib/cni";

pub fn run(args: &InitArgs) -> anyhow::Result<()> {
    anyhow::ensure!(std::process::id() == 1, "node-init is started by `cargo xtask up` only");
    let host = Layout::new(args.state.clone());
    let Some(Settings::Embedded(cluster)) = Settings::read(&host)? else {
        anyhow::bail!("{} describes no embedded cluster", host.settings().display());
    };
    cgroups::enter(&cluster.group())?;
    arrange_mounts(&host, &cluster).context("arrange the node's mounts")?;

    let supervisor = Command::new(std::env::current_exe()?)
        .args([SUPERVISOR, "--state"])
        .arg(&args.state)
        .spawn()
        .context("start the supervisor")?;
    let supervisor = Pid::from_raw(i32::try_from(supervisor.id())?);
    reap_until(supervisor)
}

/// Waits for all children, most of which are orphaned ones of containers, until the supervisor ends.
fn reap_until(supervisor: Pid) -> anyhow::Result<()> {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, 0)) if pid == supervisor => return Ok(()),
            Ok(WaitStatus::Exited(pid, code)) if pid == supervisor => {
                anyhow::bail!("the supervisor ended with status {code}")
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == supervisor => {
                anyhow::bail!("the supervisor was ended by {signal}")
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("wait for the supervisor"),
        }
    }
}

/// Gives the node folders of its own where programs have fixed ones, and makes mounts travel to containers
/// that ask for it, but never to the host.
fn arrange_mounts(host: &Layout, cluster: &Embedded) -> anyhow::Result<()> {
    // Found by number afterwards: the folder may lie below one that is about to be covered.
    let folder = File::open(host.root()).with_context(|| format!("open {}", host.root().display()))?;
    let state = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    let resolver = fs::read_link("/etc/resolv.conf").unwrap_or_default();

    mount_flags("/", MsFlags::MS_SHARED | MsFlags::MS_REC)?;
    temporary(Path::new("/run"))?;
    let inside = Layout::in_node();
    fs::create_dir_all(inside.root())?;
    bind(&state, inside.root())?;
    bind(&inside.data("pod-logs"), Path::new("/var/log"))?;
    fs::create_dir_all(CNI_STATE).with_context(|| format!("make {CNI_STATE}"))?;
    temporary(Path::new(CNI_STATE))?;

    for (setting, value) in KERNEL_SETTINGS {
        let (target, source) = (Path::new("/proc/sys").join(setting), inside.config("kernel").join(setting));
        if target.exists() {
            fs::create_dir_all(source.parent().unwrap_or(Path::new("/")))?;
            fs::write(&source, format!("{value}\n"))?;
            bind(&source, &target)?;
        }
    }
    arrange_names(&inside, cluster)?;
    if cluster.forge {
        arrange_forge(&inside)?;
    }
    // Often a link to a file below the host's /run.
    let resolver = Path::new("/etc").join(resolver);
    if let Ok(below) = resolver.strip_prefix("/etc/../run").or(resolver.strip_prefix("/run")) {
        let file = Path::new("/run").join(below);
        fs::create_dir_all(file.parent().unwrap_or(Path::new("/run")))?;
        fs::copy(inside.config("resolv.conf"), &file).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}

/// Gives the node an `/etc/hosts` of its own, with the cluster's names.
fn arrange_names(inside: &Layout, cluster: &Embedded) -> anyhow::Result<()> {
    let (target, source) = (Path::new("/etc/hosts"), inside.config("hosts"));
    // A host without one has nothing to cover, and programs do without.
    if !target.exists() {
        return Ok(());
    }
    let own = fs::read_to_string(target).context("read /etc/hosts")?;
    fs::write(&source, format!("{}\n{}", own.trim_end(), images::hosts(cluster)))
        .with_context(|| format!("write {}", source.display()))?;
    bind(&source, target)
}

/// Folders on the way to the state folder and to the cache may be closed to everybody but root.
fn arrange_forge(inside: &Layout) -> anyhow::Result<()> {
    let programs = Programs::locate()?;
    for folder in [forge::FOLDER, forge::ASSETS] {
        fs::create_dir_all(folder).with_context(|| format!("make {folder}"))?;
    }
    File::create(forge::PROGRAM).with_context(|| format!("make {}", forge::PROGRAM))?;
    bind(&inside.data("forge"), Path::new(forge::FOLDER))?;
    bind(&programs.gitea, Path::new(forge::PROGRAM))?;
    bind(&programs.gitea_assets, Path::new(forge::ASSETS))
}

fn temporary(target: &Path) -> anyhow::Result<()> {
    mount(Some("tmpfs"), target, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=0755"))
        .map_err(io::Error::from)
        .with_context(|| format!("mount a temporary {}", target.display()))
}

fn bind(source: &Path, target: &Path) -> anyhow::Result<()> {
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(io::Error::from)
        .with_context(|| format!("mount {} on {}", source.display(), target.display()))
}

fn mount_flags(target: &str, flags: MsFlags) -> anyhow::Result<()> {
    mount(None::<&str>, target, None::<&str>, flags, None::<&str>)
        .map_err(io::Error::from)
        .with_context(|| format!("change mount {target}"))
}
