//! A whole small service: it watches, reconciles, serves its endpoints, and stops without losing work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use fleet::{Fleet, ObjectKey, Wake, Write, WriteError};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use prometheus::Registry;
use serde_json::json;
use testkit::{DEADLINE, Namespace, eventually, wait_for, wait_gone};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin;

#[derive(Debug, clap::Parser)]
struct Args {
    #[command(flatten)]
    fleet: fleet::Args,
}

/// Copies `data.in` of each ConfigMap to `data.out`.
pub(crate) struct Copier {
    stop: CancellationToken,
    ended: JoinHandle<Result<(), fleet::Error>>,
    registry: Registry,
    health: u16,
}

impl Copier {
    pub(crate) fn start(client: &Client, namespace: &Namespace<'_>, identity: &str) -> anyhow::Result<Self> {
        let health = testkit::free_port()?;
        let args = Args::try_parse_from([
            "copier",
            "--metrics-addr=127.0.0.1:0",
            &format!("--health-addr=127.0.0.1:{health}"),
            &format!("--watch-namespaces={namespace}"),
            &format!("--namespace={namespace}"),
            &format!("--identity={identity}"),
        ])?;
        let (registry, stop) = (Registry::new(), CancellationToken::new());
        let mut fleet = Fleet::new("copier", args.fleet, client.clone(), registry.clone(), stop.clone())?;
        let store = fleet.store::<ConfigMap>().build();
        let writer = fleet.writer().clone();
        let runner = fleet.controller("copy").of(&store).reconcile({
            let store = store.clone();
            move |key| copy(store.get(&key), writer.clone())
        });
        fleet.run(runner);
        Ok(Self { stop, ended: tokio::spawn(fleet.serve()), registry, health })
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        Ok(self.ended.await??)
    }

    async fn readyz(&self) -> anyhow::Result<String> {
        readyz(self.health).await
    }

    /// How many reconciles there have been.
    pub(crate) fn reconciles(&self) -> u64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == "controller_runtime_reconcile_total");
        let counters = family.into_iter().flat_map(prometheus::proto::MetricFamily::get_metric);
        // Counts are whole numbers.
        counters
            .map(|metric| format!("{:.0}", metric.get_counter().get_value()).parse::<u64>().unwrap())
            .sum()
    }
}

/// The answer of the service with this health port.
pub(crate) async fn readyz(port: u16) -> anyhow::Result<String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn copy(map: Option<Arc<ConfigMap>>, writer: fleet::Writer) -> Result<Wake, WriteError> {
    let Some(map) = map else { return Ok(Wake::OnChange) };
    let data = map.data.clone().unwrap_or_default();
    if let Some(value) = data.get("in").filter(|value| data.get("out") != Some(value)) {
        writer.apply(&[Write::merge(&*map, json!({"data": {"out": value}}))]).await?;
    }
    Ok(Wake::OnChange)
}

pub(crate) fn map(name: &str, value: &str) -> ConfigMap {
    ConfigMap {
        metadata: kube::api::ObjectMeta { name: Some(name.to_owned()), ..Default::default() },
        data: Some(BTreeMap::from([("in".to_owned(), value.to_owned())])),
        ..ConfigMap::default()
    }
}

pub(crate) fn is_copied(value: &str) -> impl Fn(&ConfigMap) -> bool {
    move |map| map.data.as_ref().is_some_and(|data| data.get("out").is_some_and(|out| out == value))
}

#[tokio::test]
async fn reconciles_what_was_there_and_what_comes_and_says_when_it_is_ready() -> anyhow::Result<()> {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("running").await?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    maps.create(&PostParams::default(), &map("before", "1")).await?;
    let copier = Copier::start(&client, &namespace, "one")?;
    wait_for(&maps, "before", "the copy", DEADLINE, is_copied("1")).await?;
    maps.create(&PostParams::default(), &map("after", "2")).await?;
    wait_for(&maps, "after", "the copy", DEADLINE, is_copied("2")).await?;
    let changed = json!({"data": {"in": "3"}});
    maps.patch("after", &PatchParams::default(), &Patch::Merge(&changed)).await?;
    wait_for(&maps, "after", "the copy", DEADLINE, is_copied("3")).await?;
    maps.delete("after", &Default::default()).await?;
    wait_gone(&maps, "after", DEADLINE).await?;
    assert!(copier.readyz().await?.starts_with("HTTP/1.1 200"));

    let names: Vec<_> = copier.registry.gather().iter().map(|family| family.name().to_owned()).collect();
    for name in ["controller_runtime_reconcile_total", "workqueue_adds_total", "rest_client_requests_total"] {
        // The client of this test is not the kit's, so it counts no requests.
        let is_expected = name != "rest_client_requests_total";
        assert_eq!(names.iter().any(|found| found == name), is_expected, "{name} in {names:?}");
    }
    copier.stop().await
}

#[tokio::test]
async fn a_second_replica_takes_over_at_once_when_the_first_stops() -> anyhow::Result<()> {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("running").await?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let leases: Api<Lease> = Api::namespaced(client.clone(), &namespace);
    let first = Copier::start(&client, &namespace, "one")?;
    maps.create(&PostParams::default(), &map("a", "1")).await?;
    wait_for(&maps, "a", "the copy", DEADLINE, is_copied("1")).await?;
    let second = Copier::start(&client, &namespace, "two")?;
    eventually(DEADLINE, "the standby to be ready", async || {
        let answer = second.readyz().await?;
        anyhow::ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        Ok(())
    })
    .await?;
    let holder = |lease: &Lease| lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone());
    assert_eq!(holder(&leases.get("copier").await?).as_deref(), Some("one"));

    first.stop().await?;
    maps.create(&PostParams::default(), &map("b", "2")).await?;
    // Far less than the lease's fifteen seconds.
    wait_for(&maps, "b", "the copy", Duration::from_secs(10), is_copied("2")).await?;
    assert_eq!(holder(&leases.get("copier").await?).as_deref(), Some("two"));
    second.stop().await
}

#[tokio::test]
async fn an_address_that_is_taken_ends_the_start() -> anyhow::Result<()> {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("running").await?;
    let copier = Copier::start(&client, &namespace, "one")?;
    eventually(DEADLINE, "the first to listen", async || copier.readyz().await.map(drop)).await?;
    let args = Args::try_parse_from([
        "copier",
        "--metrics-addr=127.0.0.1:0",
        &format!("--health-addr=127.0.0.1:{}", copier.health),
        &format!("--namespace={namespace}"),
    ])?;
    let fleet = Fleet::new("copier", args.fleet, client, Registry::new(), CancellationToken::new())?;
    let text = fleet.serve().await.unwrap_err().to_string();
    assert!(text.contains("--health-addr") && text.contains("another process"), "{text}");
    copier.stop().await
}

/// One tenant with many dirty objects does not delay another's one.
#[tokio::test]
async fn a_busy_namespace_delays_nobody() -> anyhow::Result<()> {
    let queue = fleet::queue::Queue::new(
        "busy",
        fleet::queue::Limits::for_workers(4),
        &fleet::queue::QueueMetrics::new(&Registry::new())?,
    );
    for i in 0..10_000 {
        queue.add(ObjectKey::new("big", i.to_string()));
    }
    queue.add(ObjectKey::new("small", "one"));
    let mut taken_before = 0;
    loop {
        let work = queue.next().await;
        if work.key.namespace == "small" {
            break;
        }
        taken_before += 1;
        queue.finish(&work, fleet::queue::Outcome::Done);
    }
    assert!(taken_before <= 1, "{taken_before} of the other tenant came first");
    Ok(())
}
