//! The process that runs a cluster: starts the parts in order, keeps them running, and ends them in order.
//!
//! ```text
//! network ┬ etcd, containerd, registries ─ API server ─ objects, first image ─ kubelet, controllers, proxy, DNS
//!         └ forge, beside all of these ─ its administrator
//! ```
use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use futures::future::join_all;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use sha2::{Digest as _, Sha256};
use tokio::{
    process::Command,
    signal::unix::{SignalKind, signal},
    time::sleep,
};

use super::{
    child::{Kept, Nursery, Probe, brief, keep},
    components::{self, Component},
    config::{self, CONTAINERD_SOCKET, Facts},
    forge, image,
    layout::Layout,
    manifests, network, packages,
    programs::Programs,
    provisioner,
    report::{Reporter, State},
    settings::{Embedded, Settings},
};

#[derive(Debug, clap::Args)]
pub struct SuperviseArgs {
    /// State folder of the cluster. Has to be the last argument, by which the process is recognized.
    #[arg(long)]
    state: PathBuf,
}

/// Parts that are no processes.
const NETWORK: &str = "network";
const OBJECTS: &str = "objects";
const IMAGE: &str = "image";
const ACCOUNTS: &str = "accounts";
const VOLUMES: &str = "volumes";
const RETRY: Duration = Duration::from_secs(1);

pub async fn run(args: SuperviseArgs) -> anyhow::Result<()> {
    // The client logs every failed request as an error; while the API server starts they are expected.
    tracing_subscriber::fmt()
        .with_env_filter("info,kube_client=off")
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    tracing::info!(state = %args.state.display(), "Starting");
    let layout = Layout::in_node();
    let Some(Settings::Embedded(cluster)) = Settings::read(&layout)? else {
        anyhow::bail!("{} describes no embedded cluster", args.state.display());
    };
    let programs = Programs::locate()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut kept = Vec::new();
    tokio::select! {
        started = start(&layout, &cluster, &programs, &mut kept) => started?,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("Ending");
    for stage in kept.into_iter().rev() {
        join_all(stage.into_iter().map(Kept::stop)).await;
    }
    Ok(())
}

/// Starts everything, then serves volumes until it is dropped. What runs is put in `kept`, stage by stage.
async fn start(
    layout: &Layout,
    cluster: &Embedded,
    programs: &Programs,
    kept: &mut Vec<Vec<Kept>>,
) -> anyhow::Result<()> {
    let foundation = components::foundation(layout, cluster, programs);
    let api_server = components::api_server(layout, cluster, programs);
    let workers = components::workers(layout, cluster, programs);
    let forge = cluster.forge.then(|| forge::component(cluster));
    let names: Vec<&str> = [NETWORK]
        .into_iter()
        .chain(foundation.iter().map(|component| component.name))
        .chain([api_server.name, OBJECTS, IMAGE])
        .chain(workers.iter().map(|component| component.name))
        .chain([ACCOUNTS, VOLUMES])
        .chain(forge.iter().flat_map(|forge| [forge.name, forge::ACCOUNT]))
        .collect();
    let reporter = Arc::new(Reporter::new(layout, fingerprint(cluster, programs)?, &names));

    reporter.set(NETWORK, State::Starting, "");
    network::join(cluster).await.context("set up the cluster's network")?;
    let facts = facts(layout, programs)?;
    config::write(layout, cluster, &facts)?;
    reporter.set(NETWORK, State::Ready, "");

    let kube = super::client(&layout.admin_kubeconfig()).await?;
    let probe = Probe { http: super::http_client(layout)?, kube: kube.clone(), node: cluster.name.clone() };
    let nursery = Arc::new(Nursery { layout: layout.clone(), reporter: reporter.clone(), probe });

    // Nobody waits for it but the end.
    if let Some(forge) = forge {
        forge::write(layout, cluster)?;
        kept.push(vec![keep(forge, nursery.clone())]);
    }
    stage(foundation, &nursery, kept).await;
    stage(vec![api_server], &nursery, kept).await;
    tokio::join!(
        insist(&reporter, OBJECTS, async || manifests::apply(&kube, cluster).await),
        insist(&reporter, IMAGE, async || import_image(layout, programs).await),
    );
    stage(workers, &nursery, kept).await;

    // Before there is one, every pod is refused.
    let accounts: Api<ServiceAccount> = Api::default_namespaced(kube);
    insist(&reporter, ACCOUNTS, async || Ok(accounts.get("default").await.map(drop)?)).await;
    if cluster.forge {
        insist(&reporter, forge::ACCOUNT, async || forge::ensure_administrator(layout, cluster).await).await;
    }
    reporter.set(VOLUMES, State::Ready, "");
    tracing::info!("Ready");
    let provisioner = super::client(&layout.pki("provisioner.kubeconfig")).await?;
    provisioner::run(provisioner, cluster.name.clone(), layout.data("volumes")).await
}

/// Starts components together and waits until all are ready.
async fn stage(components: Vec<Component>, nursery: &Arc<Nursery>, kept: &mut Vec<Vec<Kept>>) {
    let started = components.into_iter().map(|component| keep(component, nursery.clone())).collect();
    kept.push(started);
    // Kept outside before they are awaited, so that they are ended in order also when that is broken off.
    if let Some(started) = kept.last_mut() {
        join_all(started.iter_mut().map(Kept::ready)).await;
    }
}

/// Repeats until it succeeds.
async fn insist(reporter: &Reporter, part: &str, attempt: impl AsyncFn() -> anyhow::Result<()>) {
    reporter.set(part, State::Starting, "");
    while let Err(error) = attempt().await {
        tracing::warn!(part, error = format!("{error:#}"), "Failed");
        reporter.set(part, State::Starting, &brief(&error));
        sleep(RETRY).await;
    }
    reporter.set(part, State::Ready, "");
}

fn facts(layout: &Layout, programs: &Programs) -> anyhow::Result<Facts> {
    let resolvers = std::fs::read_to_string(layout.config("resolv.conf")).unwrap_or_default();
    Ok(Facts {
        resolvers: config::reachable_resolvers(&resolvers),
        snapshotter: snapshotter(layout),
        cni: packages::cni_folder().context("CNI plugins are not installed")?,
        sandbox_image: image::reference(&programs.pod)?,
        is_bridge_filtered: network::filter_bridge(),
    })
}

/// Overlays, if the state folder's file system can carry one.
fn snapshotter(layout: &Layout) -> &'static str {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    let attempt = || -> anyhow::Result<()> {
        let folder = tempfile::tempdir_in(layout.data("containerd"))?;
        let path = |name: &str| folder.path().join(name);
        for name in ["lower", "upper", "work", "merged"] {
            std::fs::create_dir(path(name))?;
        }
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            path("lower").display(),
            path("upper").display(),
            path("work").display()
        );
        mount(Some("overlay"), &path("merged"), Some("overlay"), MsFlags::empty(), Some(options.as_str()))?;
        umount2(&path("merged"), MntFlags::MNT_DETACH)?;
        Ok(())
    };
    match attempt() {
        Ok(()) => "overlayfs",
        Err(error) => {
            tracing::warn!(
                error = format!("{error:#}"),
                "No overlays here: images are copied, which is slow"
            );
            "native"
        }
    }
}

/// Gives containerd the image that every pod begins with, unless it has it.
async fn import_image(layout: &Layout, programs: &Programs) -> anyhow::Result<()> {
    let reference = image::reference(&programs.pod)?;
    let listed = ctr(&["images", "list", "--quiet", &format!("name=={reference}")]).await?;
    if listed.trim() == reference {
        return Ok(());
    }
    let file = layout.config("pod-image.tar");
    std::fs::write(&file, image::archive(&programs.pod, &reference)?)
        .with_context(|| format!("write {}", file.display()))?;
    ctr(&["images", "import", &file.display().to_string()]).await?;
    Ok(())
}

async fn ctr(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("ctr")
        .args(["--address", CONTAINERD_SOCKET, "--namespace", "k8s.io"])
        .args(arguments)
        .env("PATH", packages::search_path())
        .output()
        .await
        .context("run ctr")?;
    anyhow::ensure!(
        output.status.success(),
        "ctr {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Changes with everything that a running cluster would have to be started again for.
pub fn fingerprint(cluster: &Embedded, programs: &Programs) -> anyhow::Result<String> {
    let layout = Layout::in_node();
    let facts = Facts {
        resolvers: Vec::new(),
        snapshotter: "",
        cni: "",
        sandbox_image: image::reference(&programs.pod)?,
        is_bridge_filtered: true,
    };
    let everything = (
        components::foundation(&layout, cluster, programs),
        components::api_server(&layout, cluster, programs),
        components::workers(&layout, cluster, programs),
        config::render(&layout, cluster, &facts),
        cluster.forge.then(|| {
            let settings = forge::settings(cluster).render();
            (forge::component(cluster), settings, &programs.gitea)
        }),
    );
    Ok(data_encoding::HEXLOWER.encode(&Sha256::digest(format!("{everything:?}"))[..8]))
}
