//! One run of a flow, with a service that is killed or cut off.

use std::fmt::Write as _;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::end_state::EndState;
use super::process::Process;
use super::{Drill, PREFIX, Tenant};
use crate::control_plane::ControlPlane;
use crate::control_plane::guard::Folder;
use crate::faults::{Moment, Plan, Proxy};
use crate::install::{Installed, Webhooks};
use crate::ledger::Calls;
use crate::port::free_port;
use crate::wait::eventually;

/// How long a service may take after the flow to come to its end state. Back-offs are long after many faults.
const SETTLE: Duration = Duration::from_mins(1);
/// How long nothing may be written for a run to count as ended. The calm one decides what the others are compared with.
const QUIET: Duration = Duration::from_secs(1);
const CALM_QUIET: Duration = Duration::from_millis(2500);
/// Between two looks whether the process still runs.
const LOOK: Duration = Duration::from_millis(200);
/// Of the calls, how many are told with a failure.
const LAST_CALLS: usize = 30;

/// What is done to the service.
pub(super) struct Attack {
    plan: Plan,
    kill: Option<(usize, Moment)>,
}

impl Attack {
    pub(super) fn none() -> Self {
        Self::faults(Plan::calm())
    }

    /// SIGKILL at its nth write, and a new start.
    pub(super) fn kill(n: usize, moment: Moment) -> Self {
        Self { kill: Some((n, moment)), ..Self::none() }
    }

    pub(super) fn faults(plan: Plan) -> Self {
        Self { plan, kill: None }
    }
}

/// How a repetition ended.
pub(super) struct Ended {
    pub(super) state: EndState,
    pub(super) calls: Calls,
    /// Writes that the service tried.
    pub(super) writes: usize,
    pub(super) faults: usize,
    pub(super) kills: usize,
}

/// In flags: a folder of the repetition, which its processes share.
const OWN_FOLDER: &str = "{folder}";
/// In flags: the kubeconfig of the service.
const KUBECONFIG: &str = "{kubeconfig}";
/// In flags: the namespace that the flow works in.
const TENANT: &str = "{tenant}";

/// Runs `flow` until its end state is there and quiet; that is `calm`'s, if given.
pub(super) async fn run(
    drill: &Drill,
    folder: &Folder,
    name: &str,
    attack: Attack,
    calm: Option<&Ended>,
    flow: &impl AsyncFn(&Tenant) -> anyhow::Result<()>,
) -> anyhow::Result<Ended> {
    let plane = ControlPlane::shared().await;
    let tenant = Tenant { plane, namespace: plane.namespace(PREFIX).await? };
    let port = free_port()?;
    let webhooks = Webhooks { port, ca_pem: None, namespaces: &[&tenant] };
    for neighbour in &drill.neighbours {
        plane.install_kinds(neighbour).await?;
    }
    let installed = match &drill.base {
        None => plane.install(&drill.service, Some(webhooks)).await?,
        Some(base) => {
            plane.install_kinds(&drill.service).await?;
            plane.install_from(base, None, Some(webhooks)).await?
        }
    };
    let config = match &drill.account {
        None => installed.config().await?,
        Some(account) => installed.config_as(account).await?,
    };
    let proxy = Proxy::start(name, attack.plan, config).await?;
    if let Some((n, moment)) = attack.kill {
        proxy.arm(n, moment);
    }
    let file = name.replace(' ', "-");
    let kubeconfig = folder.write(&format!("{file}.kubeconfig"), proxy.kubeconfig())?;
    let mut flags = flags(&kubeconfig, &tenant, &installed, port, &drill.service);
    let own = folder.path().join(format!("{file}.files"));
    std::fs::create_dir(&own).with_context(|| format!("create {}", own.display()))?;
    let placed = [
        (OWN_FOLDER, own.display().to_string()),
        (KUBECONFIG, kubeconfig.display().to_string()),
        (TENANT, tenant.to_string()),
    ];
    flags.extend(drill.flags.iter().map(|flag| {
        placed.iter().fold(flag.clone(), |flag, (placeholder, value)| flag.replace(placeholder, value))
    }));
    let mut process = Process::new(folder, &drill.binary, file, flags);
    process.start()?;
    let mut kills = 0;
    let outcome = {
        let story = async {
            flow(&tenant).await.context("the flow")?;
            settle(&proxy, &tenant, installed.namespace(), calm).await
        };
        let mut story = pin!(story);
        loop {
            tokio::select! {
                ended = &mut story => break ended,
                () = proxy.sprung() => {
                    process.kill();
                    proxy.serve_next_process();
                    kills += 1;
                    process.start()?;
                }
                () = tokio::time::sleep(LOOK) => {
                    if let Err(error) = process.check_runs(proxy.faults() > 0) {
                        break Err(error);
                    }
                }
            }
        }
    };
    let outcome = outcome.and_then(|state| process.check_output().map(|()| state));
    process.kill();
    let state = outcome.map_err(|error| explain(&error, name, &proxy, &process))?;
    Ok(Ended { state, calls: proxy.calls(), writes: proxy.writes(), faults: proxy.faults(), kills })
}

fn flags(
    kubeconfig: &Path,
    tenant: &str,
    installed: &Installed<'_>,
    port: u16,
    service: &str,
) -> Vec<String> {
    [
        &*format!("--kubeconfig={}", kubeconfig.display()),
        &*format!("--namespace={}", installed.namespace()),
        &*format!("--watch-namespaces={tenant}"),
        &*format!("--webhook-addr=127.0.0.1:{port}"),
        &*format!("--webhook-configuration={}", installed.name_of(service)),
        "--webhook-names=127.0.0.1",
        "--metrics-addr=127.0.0.1:0",
        "--health-addr=127.0.0.1:0",
        "--leader-elect=true",
        // A container that is started again keeps its pod's name, and with it the Lease.
        "--identity=drill",
        "--log-format=text",
    ]
    .map(str::to_owned)
    .into()
}

async fn settle(
    proxy: &Proxy,
    tenant: &Tenant,
    home: &str,
    calm: Option<&Ended>,
) -> anyhow::Result<EndState> {
    let quiet = if calm.is_some() { QUIET } else { CALM_QUIET };
    eventually(SETTLE, "the end state", async || {
        ensure!(proxy.quiet_for() >= quiet, "it still writes:\n{}", last_calls(proxy));
        let calls = proxy.calls();
        let state =
            EndState::read(tenant, home, calls.iter().chain(calm.iter().flat_map(|calm| &calm.calls)));
        let state = state.await?;
        if let Some(calm) = calm {
            calm.state.compare(&state)?;
        }
        ensure!(proxy.quiet_for() >= quiet, "it writes again:\n{}", last_calls(proxy));
        Ok(state)
    })
    .await
}

fn explain(error: &anyhow::Error, name: &str, proxy: &Proxy, process: &Process<'_>) -> anyhow::Error {
    let mut text = name.to_owned();
    if let Some(caught) = proxy.caught() {
        _ = write!(text, " ({caught})");
    }
    _ = write!(text, ": {error:#}\nits last calls:\n{}", last_calls(proxy));
    text.push_str(&process.last_words());
    anyhow::anyhow!(text)
}

fn last_calls(proxy: &Proxy) -> Calls {
    let calls = proxy.calls().except("leases");
    calls.iter().skip(calls.len().saturating_sub(LAST_CALLS)).cloned().collect()
}
