//! Starting and ending.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kube::api::{Api, ListParams};
use testkit::{ControlPlane, DEADLINE, Options, eventually};

/// Names the folder in which [`a_process_that_will_be_killed`] starts a control plane. Without it, it does nothing.
const VICTIM: &str = "TESTKIT_VICTIM_FOLDER";

fn options(folder: &Path) -> Options {
    Options { folder: Some(folder.to_owned()), ..Options::default() }
}

/// A warm start takes 2–3 s on an idle machine of two cores. The bound is for one that runs other tests.
#[tokio::test]
async fn starts_in_seconds_and_leaves_nothing() -> anyhow::Result<()> {
    ControlPlane::shared().await;
    let folder = tempfile::tempdir()?;

    let started = Instant::now();
    let plane = ControlPlane::start(options(folder.path())).await?;
    let elapsed = started.elapsed();
    eprintln!("a control plane started in {:.1} s", elapsed.as_secs_f32());
    assert!(elapsed < Duration::from_secs(20), "a start took {elapsed:?}");
    assert_eq!(running_in(folder.path()).len(), 2, "etcd and the API server");

    drop(plane);
    assert_eq!(running_in(folder.path()), Vec::<String>::new());
    assert_eq!(runs(folder.path()), Vec::<PathBuf>::new());
    Ok(())
}

#[tokio::test]
async fn another_runtime_can_use_it() -> anyhow::Result<()> {
    let plane = ControlPlane::shared().await;
    let other = std::thread::spawn(move || -> anyhow::Result<usize> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let namespaces = Api::<k8s_openapi::api::core::v1::Namespace>::all(plane.admin());
            Ok(namespaces.list(&ListParams::default()).await?.items.len())
        })
    });
    assert!(other.join().unwrap()? > 0);
    Ok(())
}

#[tokio::test]
async fn a_second_user_can_attach() -> anyhow::Result<()> {
    let plane = ControlPlane::shared().await;
    let attached = ControlPlane::attach(plane.kubeconfig()).await?;
    let mark = attached.ledger()?.mark().await?;
    let namespace = plane.namespace("attached").await?;
    let calls = attached.ledger()?.since(&mark).await?.about("namespaces");
    assert!(calls.iter().any(|call| call.to_string().contains(namespace.name())), "{calls}");
    Ok(())
}

#[tokio::test]
async fn attaching_to_nothing_names_the_file() {
    let error = ControlPlane::attach(Path::new("/nonexistent/kubeconfig")).await.unwrap_err();
    assert!(format!("{error:#}").contains("/nonexistent/kubeconfig"), "{error:#}");
}

#[tokio::test]
async fn everything_ends_with_a_process_that_is_killed() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut victim = Command::new(std::env::current_exe()?)
        .args(["--exact", "life::a_process_that_will_be_killed"])
        .env(VICTIM, folder.path())
        .stdout(Stdio::null())
        .spawn()?;
    let started = eventually(2 * DEADLINE, "the other process to start a control plane", async || {
        anyhow::ensure!(victim.try_wait()?.is_none(), "it ended");
        anyhow::ensure!(folder.path().join("started").exists(), "not yet");
        Ok(())
    });
    started.await?;
    assert_eq!(running_in(folder.path()).len(), 2, "etcd and the API server");

    victim.kill()?;
    victim.wait()?;

    eventually(DEADLINE, "its programs and its folder to go", async || {
        let (programs, runs) = (running_in(folder.path()), runs(folder.path()));
        anyhow::ensure!(programs.is_empty() && runs.is_empty(), "{programs:?} {runs:?}");
        Ok(())
    })
    .await
}

/// No test of its own: what [`everything_ends_with_a_process_that_is_killed`] runs in another process and kills.
#[tokio::test]
async fn a_process_that_will_be_killed() -> anyhow::Result<()> {
    if let Some(folder) = std::env::var_os(VICTIM).map(PathBuf::from) {
        let _plane = ControlPlane::start(options(&folder)).await?;
        fs::write(folder.join("started"), "")?;
        std::future::pending::<()>().await;
    }
    Ok(())
}

/// The folders of runs, that of one that ended being gone.
fn runs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is ours").flatten().map(|entry| entry.path());
    entries.filter(|path| path.is_dir()).collect()
}

/// The names of programs that run in a folder below this one, without the shells that guard them.
fn running_in(folder: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("Linux has it").flatten().map(|entry| entry.path());
    let here = processes
        .filter(|process| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder)));
    let names = here.filter_map(|process| fs::read_to_string(process.join("comm")).ok());
    names.map(|name| name.trim().to_owned()).filter(|name| name != "sh").collect()
}
