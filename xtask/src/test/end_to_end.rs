//! The demo as its user runs it, on a cluster of its own, and a look at what is left when that cluster is gone.
use std::{
    ffi::OsString,
    fs::{self, File, TryLockError},
};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::{
    Report, TestArgs,
    build::{Binary, Level},
    libtest::Counts,
    run_program,
};
use crate::{
    cluster::{Choice, Cluster, lifecycle, smoke},
    ourselves, paths, ui,
};

/// Runs all checks, and the tests that look at the fleet as the demo leaves it.
pub(super) async fn run(
    binaries: &[Binary],
    args: &TestArgs,
    counts: &mut Counts,
    report: &mut Report,
) -> anyhow::Result<()> {
    let cluster = Own::take()?;
    // What a killed run has left. That there is nothing is the usual case.
    ourselves::run(&cluster.arguments("down", &["--purge"])).await?;

    let choice = Choice::named(&cluster.name);
    let mut checks = Checks { counts, report };
    if checks.command("demo", &cluster.arguments("demo", &[])).await? {
        let loaded = Cluster::load(&choice)?;
        let smoke = smoke::run(&loaded).await;
        checks.note(
            "smoke test of the cluster",
            smoke.err().map(|error| format!("{error:#}")).into_iter().collect(),
        );
        let examples = paths::repository()?.join("examples").display().to_string();
        let push = ["repo", "konflux-admin/examples", "--from", &examples];
        checks.command("push to the forge", &cluster.arguments("forge", &push)).await?;
        let kubeconfig = loaded.kubeconfig();
        for binary in binaries.iter().filter(|binary| binary.level == Level::EndToEnd) {
            let program = binary
                .program(&args.filter)
                .env("KONFLUX_E2E_KUBECONFIG", &kubeconfig)
                .env("KONFLUX_E2E_FORGE", loaded.forge_access_file())
                .env("KONFLUX_E2E_IMAGES", loaded.images_access_file())
                .env("KONFLUX_E2E_REGISTRY", loaded.registry_access_file());
            let ran = run_program(binary.to_string(), program).await?;
            *checks.counts = *checks.counts + checks.report.take(ran);
        }
        checks.command("conformance suite", &cluster.arguments("conform", &[])).await?;
        checks.command("second up", &cluster.arguments("up", &[])).await?;
    }
    checks.command("down", &cluster.arguments("down", &["--purge"])).await?;
    checks.note("nothing left behind", lifecycle::left_behind(&choice).await?);
    cluster.finish();
    Ok(())
}

/// What is counted beside the tests in Rust.
struct Checks<'a> {
    counts: &'a mut Counts,
    report: &'a mut Report,
}

impl Checks<'_> {
    /// A command of ours that has to succeed; whether it did. It shows its own progress.
    async fn command(&mut self, name: &str, arguments: &[OsString]) -> anyhow::Result<bool> {
        let is_fine = ourselves::run(arguments).await?;
        let line = arguments.join(&OsString::from(" "));
        self.note(name, if is_fine { vec![] } else { vec![format!("cargo xtask {}", line.display())] });
        Ok(is_fine)
    }

    fn note(&mut self, name: &str, faults: Vec<String>) {
        if faults.is_empty() {
            self.counts.passed += 1;
            return;
        }
        self.counts.failed += 1;
        self.report.failed.push(name.to_owned());
        ui::note(&format!("{name} failed:"));
        for fault in faults {
            ui::note(&format!("  {fault}"));
        }
    }
}

/// The tests' own cluster of this checkout. Dropped without [`Own::finish`] (Ctrl-C), it is taken down all the same.
struct Own {
    name: String,
    /// Held while it is used, so that two runs in one checkout do not take each other's cluster down.
    _lock: File,
    is_finished: bool,
}

impl Own {
    fn take() -> anyhow::Result<Self> {
        let root = paths::repository()?;
        let hash = Sha256::digest(root.as_os_str().as_encoded_bytes());
        let name = format!("e2e-{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2]);
        let path = paths::cluster_state(&name)?.with_extension("lock");
        let folder = path.parent().context("the lock file has a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("create folder {}", folder.display()))?;
        let lock = File::create(&path).with_context(|| format!("create {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { name, _lock: lock, is_finished: false }),
            Err(TryLockError::WouldBlock) => {
                anyhow::bail!(
                    "end-to-end tests of this checkout are running already: wait for them, or end them"
                )
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("lock {}", path.display())),
        }
    }

    fn arguments(&self, command: &str, more: &[&str]) -> Vec<OsString> {
        let words = [command].into_iter().chain(more.iter().copied());
        words.chain(["--name", &self.name]).map(OsString::from).collect()
    }

    fn finish(mut self) {
        self.is_finished = true;
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        ui::note("taking the tests' cluster down");
        // Not through the runtime, whose work was cancelled.
        let outcome = std::env::current_exe().and_then(|ourselves| {
            std::process::Command::new(ourselves).args(self.arguments("down", &["--purge"])).status()
        });
        if !outcome.is_ok_and(|status| status.success()) {
            ui::note(&format!("it is not gone: run `cargo xtask down --name {} --purge`", self.name));
        }
    }
}
