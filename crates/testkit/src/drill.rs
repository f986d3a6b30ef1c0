//! Drills: a service's own binary, killed or cut off at the worst moments, has to end where it ends on a calm day.
//!
//! ```text
//! Drill::of("build-service", env!("CARGO_BIN_EXE_build-service")).crash_after_each_write(flow).await
//!
//! calm run:      flow ─▶ end state, count of writes W
//! for n in 1..=W, before and after the commit:
//!                flow ─▶ nth write ─▶ SIGKILL ─▶ start again ─▶ … ─▶ end state: the same, and quiet
//! ```
//! Each repetition has an installation, a tenant's namespace and a [proxy](crate::faults) of its own; several run at once.
//! Same means: the same objects but for uids, versions and times, so nothing is lost, orphaned or there twice. Quiet means
//! that nothing more is written. No log may tell of a panic.

mod end_state;
mod process;
mod repetition;

use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};
use futures::{StreamExt as _, stream};
use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource};

use crate::control_plane::guard::Folder;
use crate::control_plane::{ControlPlane, Namespace};
use crate::faults::{Moment, Plan};
use crate::ledger::Call;

use repetition::{Attack, Ended};

/// Repetitions at once. They mostly wait: for watches, back-offs, and to see that nothing more comes.
const AT_ONCE: usize = 6;
/// What the names of tenants' namespaces begin with.
const PREFIX: &str = "drill";
/// How many failures are told in full.
const TOLD: usize = 3;

/// A service whose binary is drilled.
#[derive(Clone, Debug)]
pub struct Drill {
    service: String,
    binary: PathBuf,
    flags: Vec<String>,
    neighbours: Vec<String>,
    base: Option<PathBuf>,
    account: Option<String>,
}

/// The namespace that a flow works in, as its tenant's administrator.
#[derive(Debug)]
pub struct Tenant {
    plane: &'static ControlPlane,
    namespace: Namespace<'static>,
}

impl Tenant {
    /// An administrator's client.
    pub fn admin(&self) -> Client {
        self.plane.admin()
    }

    /// The objects of a kind here.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.admin(), &self.namespace)
    }
}

/// Its name.
impl Deref for Tenant {
    type Target = str;

    fn deref(&self) -> &str {
        &self.namespace
    }
}

impl Drill {
    /// Drills `deploy/kustomize/{crds,base}/<service>` with this binary, which a test finds by
    /// `env!("CARGO_BIN_EXE_<service>")`.
    pub fn of(service: &str, binary: impl AsRef<Path>) -> Self {
        Self {
            service: service.to_owned(),
            binary: binary.as_ref().to_owned(),
            flags: Vec::new(),
            neighbours: Vec::new(),
            base: None,
            account: None,
        }
    }

    /// The account that it runs as, if its base has several and none is named as the service.
    #[must_use]
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Installs this folder instead of the service's base: where two clusters of the service are one in the drill.
    #[must_use]
    pub fn base(mut self, folder: impl Into<PathBuf>) -> Self {
        self.base = Some(folder.into());
        self
    }

    /// Further flags of the service, beside the kit's. In each, `{folder}` becomes a folder that the repetition has for itself:
    /// it survives the process, as a volume does. `{kubeconfig}` becomes the file that the service's client is made of,
    /// `{tenant}` the tenant's namespace.
    #[must_use]
    pub fn flags<'a>(mut self, flags: impl IntoIterator<Item = &'a str>) -> Self {
        self.flags.extend(flags.into_iter().map(str::to_owned));
        self
    }

    /// Further services whose kinds are there, `deploy/kustomize/crds/<service>`: those that the flow or the service
    /// deals with. They do not run.
    #[must_use]
    pub fn beside<'a>(mut self, services: impl IntoIterator<Item = &'a str>) -> Self {
        self.neighbours.extend(services.into_iter().map(str::to_owned));
        self
    }

    /// Kills the service at each of its writes in `flow`, once before and once after the API server has carried it out.
    ///
    /// `flow` is what others do in a tenant's namespace, step by step: it waits after each step for what the service
    /// makes of it, as a user would, so that each run takes the same way.
    pub async fn crash_after_each_write(
        &self,
        flow: impl AsyncFn(&Tenant) -> anyhow::Result<()>,
    ) -> anyhow::Result<Crashes> {
        let began = Instant::now();
        let folder = folder()?;
        let calm = repetition::run(self, &folder, "calm", Attack::none(), None, &flow).await?;
        ensure!(calm.writes > 0, "{} wrote nothing in this flow: it drills nothing", self.service);

        let moments = (1..=calm.writes).flat_map(|n| [(n, Moment::Before), (n, Moment::After)]);
        let repetitions =
            moments.map(|(n, moment)| {
                let name =
                    format!("killed-{}-{n}", if moment == Moment::Before { "before" } else { "after" });
                let (folder, calm, flow) = (&folder, &calm, &flow);
                async move {
                    repetition::run(self, folder, &name, Attack::kill(n, moment), Some(calm), flow).await
                }
            });
        let ended = all(repetitions).await?;
        let kills = ended.iter().map(|ended| ended.kills).sum();
        let crashes = Crashes { writes: calm.writes, kills, took: began.elapsed() };
        // Writes that become one, because two changes were seen together, leave a trap or two at the end unsprung.
        ensure!(kills >= calm.writes * 2 * 4 / 5, "too few writes came to be killed at: {crashes}");
        Ok(crashes)
    }

    /// Runs `flow` under each plan of faults, such as [`faults::every`](crate::faults::every).
    pub async fn survives_faults(
        &self,
        flow: impl AsyncFn(&Tenant) -> anyhow::Result<()>,
        plans: impl IntoIterator<Item = (&'static str, Plan)>,
    ) -> anyhow::Result<Survived> {
        let began = Instant::now();
        let folder = folder()?;
        let calm = repetition::run(self, &folder, "calm", Attack::none(), None, &flow).await?;
        let repetitions = plans.into_iter().map(|(name, plan)| {
            let (folder, calm, flow) = (&folder, &calm, &flow);
            async move {
                let ended =
                    repetition::run(self, folder, name, Attack::faults(plan), Some(calm), flow).await?;
                Ok((name, ended.check_costs(name, calm)?))
            }
        });
        let costs = all(repetitions).await?;
        Ok(Survived { calm: calm.costs(), costs, took: began.elapsed() })
    }
}

/// For logs and kubeconfigs of one drill. Deleted with all that runs in it.
fn folder() -> anyhow::Result<Folder> {
    let user = nix::unistd::Uid::current();
    Folder::create(&std::env::temp_dir().join(format!("konflux-drill-{user}")))
}

/// Runs all, some at once. Ends with the first few errors: what is broken is broken in most of them, and each waits long for what does
/// not come.
async fn all<T>(
    repetitions: impl Iterator<Item = impl Future<Output = anyhow::Result<T>>>,
) -> anyhow::Result<Vec<T>> {
    let mut ended = pin!(stream::iter(repetitions).buffer_unordered(AT_ONCE));
    let mut errors = Vec::new();
    let mut values = Vec::new();
    while let Some(result) = ended.next().await {
        match result {
            Ok(value) => values.push(value),
            Err(error) => errors.push(format!("{error:#}")),
        }
        if errors.len() == TOLD {
            break;
        }
    }
    if errors.is_empty() {
        return Ok(values);
    }
    let (failed, count) = (errors.len(), errors.len() + values.len());
    Err(anyhow!("{failed} of {count} repetitions failed:\n\n{}", errors.join("\n\n")))
}

/// What a crash drill came to.
#[derive(Clone, Debug)]
pub struct Crashes {
    /// Writes of the calm run.
    pub writes: usize,
    /// How often the service was killed.
    pub kills: usize,
    pub took: Duration,
}

impl fmt::Display for Crashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} writes, killed {} times, in {:.1} s", self.writes, self.kills, self.took.as_secs_f64())
    }
}

/// What a run cost the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Costs {
    /// Writes carried out, renewals of Leases not counted.
    pub writes: usize,
    /// Gets, lists, and watches begun; those of Leases not counted.
    pub reads: usize,
    /// Requests that met a fault.
    pub faults: usize,
}

impl fmt::Display for Costs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} writes, {} reads, {} faults", self.writes, self.reads, self.faults)
    }
}

impl Ended {
    fn costs(&self) -> Costs {
        let calls = self.calls.except("leases");
        let carried_out = calls.filter(Call::is_ok);
        Costs { writes: carried_out.writes(), reads: calls.reads(), faults: self.faults }
    }

    /// At most 1.5 times the writes and twice the reads of the calm run. A request that a fault cost its effect may be
    /// made once more.
    fn check_costs(&self, name: &str, calm: &Self) -> anyhow::Result<Costs> {
        let (costs, calm) = (self.costs(), calm.costs());
        let faults = costs.faults;
        ensure!(faults > 0, "{name}: no request met a fault, so nothing was shown\n{}", self.calls);
        ensure!(
            costs.writes * 2 <= calm.writes * 3 && costs.reads <= calm.reads * 2 + faults,
            "{name} costs too much: {costs}; the calm run: {calm}\n{}",
            self.calls
        );
        Ok(costs)
    }
}

/// What a drill of faults came to.
#[derive(Clone, Debug)]
pub struct Survived {
    pub calm: Costs,
    pub costs: Vec<(&'static str, Costs)>,
    pub took: Duration,
}

impl fmt::Display for Survived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "calm: {}", self.calm)?;
        for (name, costs) in &self.costs {
            writeln!(f, "{name}: {costs}")?;
        }
        write!(f, "in {:.1} s", self.took.as_secs_f64())
    }
}
