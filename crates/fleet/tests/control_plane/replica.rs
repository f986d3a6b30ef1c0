//! Replicas as processes of their own, stopped by signals as a kernel, a kubelet or a debugger stops them.
//!
//! A process is this test binary again, told by its environment to run the service below instead of tests.
//!
//! ```text
//! for each ConfigMap with label work=todo, unless it has `data.by`:
//!     create begun-<it>-<replica> ─▶ a slow peer (--cost) ─▶ create done-<it>-<replica> ─▶ set `data.by`
//! ```
//! Two `done-` of one object are something done twice.

use std::collections::BTreeSet;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser as _;
use fleet::{Fleet, ServiceArgs, Store, Wake, Write, WriteError, Writer};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, PostParams};
use kube::core::Selector;
use kube::{Client, ResourceExt as _};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use testkit::{DEADLINE, Namespace, eventually, wait_for};

use crate::admin;

/// What a replica is started with, a flag a line. Set, it makes [`the_process_of_a_replica`] one.
const FLAGS: &str = "FLEET_TEST_REPLICA";

/// The default Lease and retry period, and a few seconds for a busy machine.
const FAIL_OVER: Duration = Duration::from_secs(15 + 2 + 5);

#[derive(Clone, Debug, clap::Parser)]
struct Args {
    #[command(flatten)]
    fleet: fleet::Args,

    /// How long the slow peer takes, in milliseconds.
    #[arg(long)]
    cost: u64,
}

impl ServiceArgs for Args {
    const SERVICE: &'static str = "replica";

    fn fleet(&self) -> &fleet::Args {
        &self.fleet
    }
}

/// Nothing, but in a process that [`Replica::start`] started.
#[test]
fn the_process_of_a_replica() {
    #[expect(clippy::disallowed_methods, reason = "a test has no flags; this is how it is told")]
    let Ok(flags) = std::env::var(FLAGS) else { return };
    let args = Args::parse_from(std::iter::once("replica").chain(flags.lines()));
    // Not a return: what the harness makes of a test's end is not what a service ends with.
    std::process::exit(i32::from(fleet::main(args, run) != std::process::ExitCode::SUCCESS));
}

async fn run(args: Args, mut fleet: Fleet) -> Result<(), fleet::Error> {
    let maps = fleet.store::<ConfigMap>().labels(Selector::from_iter([("work", "todo")])).build();
    let replica = args.fleet.identity.clone().unwrap_or_default();
    let (writer, cost) = (fleet.writer().clone(), Duration::from_millis(args.cost));
    let runner = fleet.controller("work").of(&maps).reconcile({
        let maps = maps.clone();
        move |key| work(maps.clone(), key, replica.clone(), cost, writer.clone())
    });
    fleet.run(runner);
    fleet.serve().await
}

async fn work(
    maps: Store<ConfigMap>,
    key: fleet::ObjectKey,
    replica: String,
    cost: Duration,
    writer: Writer,
) -> Result<Wake, WriteError> {
    let Some(map) = maps.get(&key).filter(|map| !is_done(map)) else { return Ok(Wake::OnChange) };
    writer.apply(&[note("begun", &map, &replica)]).await?;
    tokio::time::sleep(cost).await;
    writer.apply(&[note("done", &map, &replica)]).await?;
    writer.apply(&[Write::merge(&*map, json!({"data": {"by": replica}}))]).await?;
    Ok(Wake::OnChange)
}

fn is_done(map: &ConfigMap) -> bool {
    map.data.as_ref().is_some_and(|data| data.contains_key("by"))
}

fn note(what: &str, about: &Arc<ConfigMap>, replica: &str) -> Write {
    let name = format!("{what}-{}-{replica}", about.name_any());
    let labels = json!({"note": what, "about": about.name_any()});
    let metadata = json!({"name": name, "namespace": about.namespace(), "labels": labels});
    Write::create::<ConfigMap>(&serde_json::from_value(json!({ "metadata": metadata })).expect("a ConfigMap"))
}

/// A replica's process. Killed when dropped.
struct Replica {
    process: Child,
}

impl Replica {
    fn start(
        kubeconfig: &std::path::Path,
        namespace: &str,
        name: &str,
        cost: Duration,
    ) -> anyhow::Result<Self> {
        let flags = [
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--namespace={namespace}"),
            format!("--watch-namespaces={namespace}"),
            format!("--identity={name}"),
            format!("--cost={}", cost.as_millis()),
            "--metrics-addr=127.0.0.1:0".to_owned(),
            "--health-addr=127.0.0.1:0".to_owned(),
            "--log-format=text".to_owned(),
        ];
        let process = Command::new(std::env::current_exe()?)
            .args(["--exact", "replica::the_process_of_a_replica", "--nocapture", "--test-threads=1"])
            .env(FLAGS, flags.join("\n"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { process })
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.process.id())?), signal)?)
    }

    async fn ends(&mut self) -> anyhow::Result<ExitStatus> {
        eventually(DEADLINE, "the process to end", async || {
            self.process.try_wait()?.ok_or_else(|| anyhow::anyhow!("it runs"))
        })
        .await
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// What the replicas of one test have done.
struct Site<'a> {
    namespace: &'a Namespace<'a>,
    maps: Api<ConfigMap>,
    leases: Api<Lease>,
}

impl<'a> Site<'a> {
    fn new(client: &Client, namespace: &'a Namespace<'_>) -> Self {
        Self {
            namespace,
            maps: Api::namespaced(client.clone(), namespace),
            leases: Api::namespaced(client.clone(), namespace),
        }
    }

    async fn order(&self, name: &str) -> anyhow::Result<()> {
        let map = json!({"metadata": {"name": name, "labels": {"work": "todo"}}});
        self.maps.create(&PostParams::default(), &serde_json::from_value(map)?).await?;
        Ok(())
    }

    /// Who has done what, as `<object>-<replica>`.
    async fn done(&self) -> anyhow::Result<BTreeSet<String>> {
        self.notes("done").await
    }

    async fn begun(&self) -> anyhow::Result<BTreeSet<String>> {
        self.notes("begun").await
    }

    async fn notes(&self, what: &str) -> anyhow::Result<BTreeSet<String>> {
        let selected = ListParams::default().labels(&format!("note={what}"));
        let notes = self.maps.list_metadata(&selected).await?;
        let prefix = format!("{what}-");
        Ok(notes.iter().map(|note| note.name_any().trim_start_matches(&prefix).to_owned()).collect())
    }

    async fn count_undone(&self) -> anyhow::Result<usize> {
        let maps = self.maps.list(&ListParams::default().labels("work=todo")).await?;
        Ok(maps.iter().filter(|map| !is_done(map)).count())
    }

    async fn exists(&self, name: &str, deadline: Duration) -> anyhow::Result<()> {
        wait_for(&self.maps, name, "it", deadline, |_: &ConfigMap| true).await.map(drop)
    }

    async fn led_by(&self, replica: &str) -> anyhow::Result<()> {
        let is_holder = |lease: &Lease| {
            lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()) == Some(replica)
        };
        wait_for(&self.leases, "replica", &format!("{replica:?} to hold it"), FAIL_OVER, is_holder)
            .await
            .map(drop)
    }
}

/// The leader is stopped between what it saw and what it does about it, as by a node that runs out of memory, and goes on
/// long after another replica took over and did the work.
#[tokio::test]
async fn a_leader_that_was_paused_does_nothing_double() -> anyhow::Result<()> {
    const COST: Duration = Duration::from_secs(3);
    let (plane, client) = admin().await;
    let namespace = plane.namespace("replica").await?;
    let site = Site::new(&client, &namespace);
    let start = |name| Replica::start(plane.kubeconfig(), site.namespace, name, COST);
    let mut first = start("first")?;
    site.led_by("first").await?;
    let second = start("second")?;
    site.order("a").await?;
    site.exists("begun-a-first", DEADLINE).await?;

    first.signal(Signal::SIGSTOP)?;
    let paused = Instant::now();
    site.exists("begun-a-second", FAIL_OVER).await?;
    assert!(paused.elapsed() < FAIL_OVER, "took over after {:?}", paused.elapsed());
    site.exists("done-a-second", DEADLINE).await?;

    first.signal(Signal::SIGCONT)?;
    let status = first.ends().await?;
    assert_eq!(status.code(), Some(1), "it says that it lost, and is to be started anew");
    assert_eq!(site.done().await?, BTreeSet::from(["a-second".to_owned()]));
    site.led_by("second").await?;

    // As a container is started again: it stands by, and the other one goes on.
    let again = start("first-again")?;
    site.order("b").await?;
    site.exists("done-b-second", DEADLINE).await?;
    assert_eq!(site.done().await?.len(), 2);
    drop((second, again));
    Ok(())
}

/// SIGTERM while hundreds of objects wait and some are half done.
#[tokio::test]
async fn a_shutdown_under_load_loses_nothing_and_leaves_nothing_half_done() -> anyhow::Result<()> {
    const OBJECTS: usize = 500;
    const COST: Duration = Duration::from_millis(200);
    let (plane, client) = admin().await;
    let namespace = plane.namespace("replica").await?;
    let site = Site::new(&client, &namespace);
    let orders = futures::stream::iter(0..OBJECTS).map(|i| {
        let site = &site;
        async move { site.order(&format!("o{i}")).await }
    });
    orders.buffer_unordered(16).try_collect::<Vec<()>>().await?;

    let mut first = Replica::start(plane.kubeconfig(), &namespace, "first", COST)?;
    eventually(DEADLINE, "some objects to be done", async || {
        let done = site.done().await?.len();
        anyhow::ensure!(done >= 20, "{done} so far");
        Ok(())
    })
    .await?;
    first.signal(Signal::SIGTERM)?;
    let told = Instant::now();
    assert_eq!(first.ends().await?.code(), Some(0));
    assert!(
        told.elapsed() < Duration::from_secs(10),
        "it took {:?} to finish what was in hand",
        told.elapsed()
    );
    let undone = site.count_undone().await?;
    assert!(undone > 0, "it was to be stopped in the middle");
    assert_eq!(site.done().await?, site.begun().await?, "what was begun is finished");
    assert_eq!(site.done().await?.len() + undone, OBJECTS, "and recorded");
    site.led_by("").await?;

    let began = Instant::now();
    let second = Replica::start(plane.kubeconfig(), &namespace, "second", COST)?;
    site.led_by("second").await?;
    assert!(began.elapsed() < Duration::from_secs(10), "waited {:?} for a released Lease", began.elapsed());
    eventually(DEADLINE * 3, "all objects to be done", async || {
        let undone = site.count_undone().await?;
        anyhow::ensure!(undone == 0, "{undone} are not");
        Ok(())
    })
    .await?;
    assert_eq!(site.done().await?.len(), OBJECTS, "each of them once");
    drop(second);
    Ok(())
}
