//! The rows that every controller has, for application-service.
//!
//! ```text
//! start, empty ─▶ stop ─▶ create N Components ─▶ start: first pass ─▶ stop ─▶ start: nothing to do ─▶ next N
//! ```
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use testkit::{ControlPlane, Installed, Options, Webhooks};

use super::{
    account, load,
    process::Service,
    table::Table,
    units::{mebibytes, precise},
};
use crate::{ourselves, ui};

const SERVICE: &str = "application-service";
/// Quiet for this long is idle.
const CALM: Duration = Duration::from_secs(3);
/// How long idle processor time is watched.
const WATCH: Duration = Duration::from_secs(20);

/// Measures `binary` with each of these numbers of Components.
pub(super) async fn measure(binary: &Path, sizes: &[usize]) -> anyhow::Result<Table> {
    ourselves::kube_binary().await?;
    let folder = tempfile::tempdir().context("create a folder for logs")?;
    let step = ui::step("control plane");
    let plane = ControlPlane::start(Options::default()).await?;
    // Nobody calls the webhook: no Component of the load nudges another.
    let installed = plane.install(SERVICE, Some(Webhooks { port: 1, ca_pem: None, namespaces: &[] })).await?;
    step.done();
    let bench = Bench {
        arguments: arguments(&plane, &installed, folder.path()).await?,
        user: installed.user()?,
        log: folder.path().join("log"),
        binary,
        plane: &plane,
    };

    let mut table = Table::new(SERVICE);
    let size = std::fs::metadata(binary).with_context(|| format!("read {}", binary.display()))?.len();
    table.row("binary, stripped", "≤ 15 MB", format!("{:.1} MB", precise(size) / 1e6));
    bench.empty(&mut table).await?;
    let mut existing = 0;
    for size in sizes {
        load::create(&plane.admin(), existing, *size).await?;
        existing = *size;
        bench.filled(*size, &mut table).await?;
    }
    Ok(table)
}

struct Bench<'a> {
    binary: &'a Path,
    plane: &'a ControlPlane,
    arguments: Vec<String>,
    /// As the API server knows the service.
    user: String,
    log: PathBuf,
}

impl Bench<'_> {
    async fn start(&self) -> anyhow::Result<Service> {
        Service::start(self.binary, &self.arguments, &self.log).await
    }

    async fn empty(&self, table: &mut Table) -> anyhow::Result<()> {
        let step = ui::step("with nothing to do");
        let service = self.start().await?;
        service.settle(CALM, |at| step.waiting(at)).await?;
        table.row("memory, empty", "≤ 15 MiB", mebibytes(service.memory()?));
        let before = service.processor_time()?;
        tokio::time::sleep(WATCH).await;
        let used = service.processor_time()?.saturating_sub(before);
        table.row(
            "idle CPU",
            "< 0.2 % of a core",
            format!("{:.2} %", 100.0 * used.as_secs_f64() / WATCH.as_secs_f64()),
        );
        service.stop().await?;
        step.done();
        Ok(())
    }

    /// With this many Components, of which some are new to the service.
    async fn filled(&self, size: usize, table: &mut Table) -> anyhow::Result<()> {
        let step = ui::step(format!("first pass over {size} Components"));
        let service = self.start().await?;
        let began = Instant::now();
        service.settle(CALM, |at| step.waiting(at)).await?;
        let took = began.elapsed().saturating_sub(CALM);
        let writes = service.writes().await?;
        table.row(
            format!("{size} Components: first pass"),
            "",
            format!("{:.0} s, {writes} writes", took.as_secs_f64()),
        );
        table.row(
            format!("{size} Components: most memory in the first pass"),
            "",
            mebibytes(service.peak_memory()?),
        );
        service.stop().await?;
        step.done();

        let step = ui::step(format!("restart with {size} Components"));
        let ledger = self.plane.ledger()?;
        let mark = ledger.mark().await?;
        let service = self.start().await?;
        service.settle(CALM, |at| step.waiting(at)).await?;
        let calls = ledger.since(&mark).await?.by(&self.user).except("leases");
        let aim = if size <= 4000 { "≤ 0.3 s" } else { "" };
        table.row(
            format!("{size} Components: start to caches filled"),
            aim,
            format!("{:.2} s", service.ready_after.as_secs_f64()),
        );
        table.row(format!("{size} Components: writes after a restart"), "0", calls.writes().to_string());
        table.row(
            format!("{size} Components: memory after a restart, now and at most"),
            if size <= 4000 { "≤ 45 MiB" } else { "≤ 80 MiB" },
            format!("{}, {}", mebibytes(service.memory()?), mebibytes(service.peak_memory()?)),
        );
        service.stop().await?;
        step.done();
        Ok(())
    }
}

/// What the service is started with, but for its ports.
async fn arguments(
    plane: &ControlPlane,
    installed: &Installed<'_>,
    folder: &Path,
) -> anyhow::Result<Vec<String>> {
    let namespace = installed.namespace();
    let kubeconfig = folder.join("kubeconfig");
    account::write_kubeconfig(plane, namespace, SERVICE, &kubeconfig).await?;
    Ok(vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--namespace={namespace}"),
        format!("--webhook-configuration={}", installed.name_of(SERVICE)),
        "--webhook-addr=127.0.0.1:0".to_owned(),
        "--log-filter=warn".to_owned(),
    ])
}
