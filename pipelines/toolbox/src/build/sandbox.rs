//! Where untrusted builds run: a user namespace of their own, from which the pod's secrets cannot be seen.
//!
//! ```text
//! toolbox build ── unshare: user, mount, [network] ──▶ toolbox enter ── covers secrets ──▶ buildah ─ chroot ─▶ RUN
//!      └── writes uid_map, gid_map of it ─────────────────┘ (waits for them)
//! ```
//! In it root is root over what this pod's user has, and over nothing else. The maps are written from outside, for which
//! the pod needs `SETFCAP` beside a container's usual capabilities; no `newuidmap`, no privilege.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use nix::mount::{MsFlags, mount};

use crate::program::{Ended, PATH, Program};

/// IDs that are the same inside and outside. Images know no others.
const MAP: &str = "0 0 65536\n";
/// Starting two programs takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// What no build may see: what Tekton has in the pod, with logins and results, and the tokens of the service account.
const SECRET: [&str; 3] = ["/tekton", "/var/run/secrets", "/run/secrets"];

/// Where programs of a build run.
#[derive(Clone, Debug, Default)]
pub(super) struct Sandbox {
    /// Folders that look empty, beside [`SECRET`].
    pub(super) hidden: Vec<PathBuf>,
    pub(super) has_network: bool,
}

/// Covers folders and becomes a program. For `toolbox build` alone, which runs it in a new namespace.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct Enter {
    #[arg(long, value_name = "DIR")]
    hide: Vec<PathBuf>,
    #[arg(required = true, last = true)]
    program: Vec<std::ffi::OsString>,
}

impl Sandbox {
    /// A program that may see everything: it brings images from and to registries, and runs nothing of the user's.
    pub(super) fn open() -> Self {
        Self { hidden: Vec::new(), has_network: true }
    }

    /// A program that runs what a user wrote.
    pub(super) fn closed(hidden: &[PathBuf], has_network: bool) -> Self {
        let secret = SECRET.iter().map(PathBuf::from).chain(hidden.iter().cloned());
        Self { hidden: secret.filter(|folder| folder.is_dir()).collect(), has_network }
    }

    pub(super) async fn run(&self, program: Program) -> anyhow::Result<Ended> {
        let toolbox = std::env::current_exe().context("find this program")?;
        let mut outer = Program::new("unshare").args(["--user", "--mount", "--keep-caps"]);
        if !self.has_network {
            outer = outer.arg("--net");
        }
        outer = outer.arg("--").arg(toolbox).arg("enter");
        for folder in &self.hidden {
            outer = outer.arg("--hide").arg(folder);
        }
        program.within(outer.arg("--")).run_started(map).await
    }
}

/// Writes the maps of a process once it has a user namespace of its own.
async fn map(process: u32) -> anyhow::Result<()> {
    let folder = PathBuf::from(format!("/proc/{process}"));
    let ours = fs::read_link("/proc/self/ns/user")?;
    let started = Instant::now();
    while fs::read_link(folder.join("ns/user")).context("the program ended before it began")? == ours {
        ensure!(
            started.elapsed() < PATIENCE,
            "no user namespace can be made; may pods of this cluster have one?"
        );
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    for name in ["gid_map", "uid_map"] {
        fs::write(folder.join(name), MAP).with_context(|| {
            format!(
                "write {name} of a user namespace: the step has to run as root with the capability SETFCAP"
            )
        })?;
    }
    Ok(())
}

/// `toolbox enter`. Returns only if it fails.
pub fn enter(args: &Enter) -> anyhow::Result<()> {
    let started = Instant::now();
    while fs::read_to_string("/proc/self/uid_map")?.trim().is_empty() {
        ensure!(started.elapsed() < PATIENCE, "nobody has written the maps of the user namespace");
        std::thread::sleep(LOOK_AGAIN);
    }
    for folder in &args.hide {
        cover(folder).with_context(|| format!("hide {}", folder.display()))?;
    }
    let [program, arguments @ ..] = &args.program[..] else { return Ok(()) };
    let error = std::process::Command::new(program).args(arguments).env("PATH", PATH).exec();
    Err(error).with_context(|| format!("start {}", Path::new(program).display()))
}

/// Puts an empty folder that nobody can write to over one.
fn cover(folder: &Path) -> nix::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
    mount(Some("tmpfs"), folder, Some("tmpfs"), flags, Some("size=4k,mode=555"))
}
