//! What is stored in an older version is written again, whatever happens meanwhile.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser as _;
use fleet::Fleet;
use fleet::leader::{Election, Leadership};
use fleet::migration::{Migration, MigrationMetrics, Timing};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams};
use kube::core::DynamicObject;
use kube::{Client, ResourceExt as _};
use prometheus::Registry;
use prometheus::proto::MetricFamily;
use serde_json::json;
use testkit::{DEADLINE, eventually, wait_for};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::conversion::{Converter, Things, converted};

/// In a hurry, but with time enough for the API server to take over a definition.
fn timing() -> Timing {
    Timing {
        look_every: Duration::from_millis(200),
        settle: Duration::from_secs(1),
        write_every: Duration::from_millis(1),
    }
}

struct Migrating {
    registry: Registry,
    crd: String,
    running: JoinHandle<()>,
}

impl Migrating {
    fn start(client: &Client, crd: &str, leadership: Leadership, timing: Timing) -> Self {
        let registry = Registry::new();
        let metrics = MigrationMetrics::new(&registry).unwrap();
        let migration = Migration::new(client.clone(), [crd], metrics).timing(timing);
        let running = tokio::spawn(migration.run(leadership, CancellationToken::new()));
        Self { registry, crd: crd.to_owned(), running }
    }

    fn leading(client: &Client, crd: &str) -> Self {
        Self::start(client, crd, Leadership::always(), timing())
    }

    /// How many objects ended so.
    fn objects(&self, result: &str) -> u64 {
        value(&self.registry, "fleet_storage_migration_objects_total", &self.crd, Some(result))
    }

    fn errors(&self, error: &str) -> u64 {
        value(&self.registry, "fleet_storage_migration_errors_total", &self.crd, Some(error))
    }

    fn is_pending(&self) -> bool {
        value(&self.registry, "fleet_storage_migration_pending", &self.crd, None) > 0
    }

    async fn has(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        eventually(DEADLINE, what, async || {
            anyhow::ensure!(condition(self), "{:?}", self.registry.gather());
            Ok(())
        })
        .await
        .unwrap();
    }
}

impl Drop for Migrating {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// A metric of a definition, by its other label if it has one. 0 where it was never counted.
fn value(registry: &Registry, name: &str, crd: &str, label: Option<&str>) -> u64 {
    let families = registry.gather();
    let metrics = families.iter().filter(|family| family.name() == name).flat_map(MetricFamily::get_metric);
    let wanted = metrics.filter(|metric| {
        let has = |wanted: &str| metric.get_label().iter().any(|label| label.value() == wanted);
        has(crd) && label.is_none_or(has)
    });
    wanted.map(|metric| whole(metric.get_counter().get_value() + metric.get_gauge().get_value())).sum()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count, kept as a float")]
fn whole(value: f64) -> u64 {
    value as u64
}

fn definitions(client: &Client) -> Api<CustomResourceDefinition> {
    Api::all(client.clone())
}

async fn stored_versions(client: &Client, crd: &str) -> Vec<String> {
    definitions(client).get(crd).await.unwrap().status.unwrap().stored_versions.unwrap()
}

async fn all_is_stored_in(client: &Client, crd: &str, version: &str) {
    let only = |definition: &CustomResourceDefinition| {
        let stored = definition.status.as_ref().and_then(|status| status.stored_versions.as_ref());
        stored.is_some_and(|stored| *stored == [version])
    };
    wait_for(&definitions(client), crd, "one stored version", DEADLINE, only).await.unwrap();
}

/// All but the version: nobody who looks sees a difference.
fn seen(mut object: DynamicObject) -> DynamicObject {
    object.metadata.resource_version = None;
    object
}

/// Nobody listens there.
fn nowhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], testkit::free_port().unwrap()))
}

#[tokio::test]
async fn what_is_stored_in_an_older_version_is_written_again() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("migration").await.unwrap();
    let mut things = Things { client: client.clone(), namespace: &namespace, versions: &["v1"], rule: None };
    let converter = Converter::start(&things, converted);
    things.define(converter.address).await;
    for name in ["a", "b", "c"] {
        let content = json!({
            "metadata": {"annotations": {"kept": "yes"}, "finalizers": ["konflux.test/hold"]},
            "spec": {"size": 3, "unknown": {"deep": [1, null, {"a": 2.5}]}}, "added": {"by": "a newer program"},
        });
        things.create("v1", name, content).await;
    }
    things.versions = &["v2", "v1"];
    things.define(converter.address).await;
    let crd = things.crd();
    assert_eq!(stored_versions(&client, &crd).await, ["v1", "v2"]);
    things.create("v2", "new", json!({"spec": {"dimensions": {"height": 4}}})).await;
    let before = things.all("v2").await;

    let migrating = Migrating::leading(&client, &crd);
    all_is_stored_in(&client, &crd, "v2").await;
    migrating.has("the work to be done", |migrating| !migrating.is_pending()).await;
    assert_eq!((migrating.objects("rewritten"), migrating.objects("unchanged")), (3, 1));

    let after = things.all("v2").await;
    for (before, after) in before.iter().zip(&after) {
        let is_same = before.resource_version() == after.resource_version();
        assert_eq!(is_same, before.name_any() == "new", "written is what was not stored in v2");
    }
    assert_eq!(after[0].data["spec"]["unknown"], json!({"deep": [1, null, {"a": 2.5}]}));
    let before: Vec<_> = before.into_iter().map(seen).collect();
    assert_eq!(after.iter().cloned().map(seen).collect::<Vec<_>>(), before);

    // The older version can go, and with it the webhook: a single object stored in it could not be read any more.
    things.versions = &["v2"];
    things.define(nowhere()).await;
    drop(converter);
    eventually(DEADLINE, "the older version to go", async || {
        let still = things.api("v1").get_opt("a").await;
        anyhow::ensure!(!matches!(still, Ok(Some(_))), "it is served");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(things.all("v2").await.into_iter().map(seen).collect::<Vec<_>>(), before);
}

#[tokio::test]
async fn goes_on_after_a_crash_and_takes_no_notice_of_what_is_deleted() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("migration").await.unwrap();
    let mut things = Things { client: client.clone(), namespace: &namespace, versions: &["v1"], rule: None };
    let converter = Converter::start(&things, converted);
    things.define(converter.address).await;
    for index in 10..30 {
        things.create("v1", &format!("thing-{index}"), json!({"spec": {"size": index}})).await;
    }
    things.versions = &["v2", "v1"];
    things.define(converter.address).await;
    let crd = things.crd();

    let slowly = Timing { write_every: Duration::from_millis(50), ..timing() };
    let crashed = Migrating::start(&client, &crd, Leadership::always(), slowly);
    crashed.has("some objects to be written", |crashed| crashed.objects("rewritten") >= 3).await;
    crashed.running.abort();
    crashed.has("its end", |crashed| crashed.running.is_finished()).await;
    let done = crashed.objects("rewritten");
    assert!(done < 20, "it was too fast for this test");
    assert_eq!(stored_versions(&client, &crd).await, ["v1", "v2"], "nothing is claimed that is not done");

    let next = Migrating::start(&client, &crd, Leadership::always(), slowly);
    next.has("the first objects to be found done", |next| next.objects("unchanged") >= 1).await;
    things.api("v2").delete("thing-29", &DeleteParams::default()).await.unwrap();
    all_is_stored_in(&client, &crd, "v2").await;
    assert_eq!(next.objects("gone"), 1);
    // One more, if the crash came between a write and its answer.
    assert!(next.objects("unchanged") >= done, "what was written before was written again");
    assert_eq!(next.objects("unchanged") + next.objects("rewritten"), 19);

    things.versions = &["v2"];
    things.define(nowhere()).await;
    drop(converter);
    assert_eq!(things.all("v2").await.len(), 19);
}

#[tokio::test]
async fn only_the_leader_works_and_nobody_writes_when_there_is_nothing_to_do() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("migration").await.unwrap();
    let mut things = Things { client: client.clone(), namespace: &namespace, versions: &["v1"], rule: None };
    let converter = Converter::start(&things, converted);
    things.define(converter.address).await;
    things.create("v1", "a", json!({"spec": {"size": 1}})).await;
    let crd = things.crd();

    let counted = |registry: &Registry| fleet::client::build(plane.admin_config(), registry).unwrap();
    let (idle_requests, following_requests) = (Registry::new(), Registry::new());
    let idle = Migrating::leading(&counted(&idle_requests), &crd);
    idle.has("some looks", |_| total(&idle_requests, "GET") >= 3).await;
    for method in ["PATCH", "POST", "PUT", "DELETE"] {
        assert_eq!(total(&idle_requests, method), 0, "{method}");
    }
    drop(idle);

    things.versions = &["v2", "v1"];
    things.define(converter.address).await;
    // Never leads, as its election is never run.
    let election = Election::new(client.clone(), &namespace, "shop", "second");
    let following = Migrating::start(&counted(&following_requests), &crd, election.leadership(), timing());
    let leading = Migrating::leading(&client, &crd);
    all_is_stored_in(&client, &crd, "v2").await;
    assert_eq!((leading.objects("rewritten"), following.objects("rewritten")), (1, 0));
    assert_eq!(total(&following_requests, "GET"), 0);
}

/// Requests to the API server with this method.
fn total(registry: &Registry, method: &str) -> u64 {
    let families = registry.gather();
    let all = families.iter().filter(|family| family.name() == "rest_client_requests_total");
    let metrics = all.flat_map(MetricFamily::get_metric);
    let wanted = metrics.filter(|metric| metric.get_label().iter().any(|label| label.value() == method));
    wanted.map(|metric| whole(metric.get_counter().get_value())).sum()
}

#[tokio::test]
async fn an_object_that_is_refused_holds_up_the_record_but_not_the_others() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("migration").await.unwrap();
    let mut things = Things { client: client.clone(), namespace: &namespace, versions: &["v1"], rule: None };
    let converter = Converter::start(&things, converted);
    things.define(converter.address).await;
    for name in ["a", "stuck", "z"] {
        things.create("v1", name, json!({"spec": {"size": 1}})).await;
    }
    things.versions = &["v2", "v1"];
    // A rule that looks at the old object is asked also where nothing changes.
    things.rule = Some("self.metadata.name != 'stuck' || oldSelf.metadata.name != 'stuck'");
    things.define(converter.address).await;
    let crd = things.crd();

    let migrating = Migrating::leading(&client, &crd);
    migrating.has("the failure", |migrating| migrating.errors("refused") >= 2).await;
    assert_eq!(migrating.objects("rewritten"), 2);
    assert!(migrating.is_pending());
    assert_eq!(stored_versions(&client, &crd).await, ["v1", "v2"]);

    things.api("v2").delete("stuck", &DeleteParams::default()).await.unwrap();
    all_is_stored_in(&client, &crd, "v2").await;
}

#[tokio::test]
async fn says_which_right_is_missing_and_goes_on_when_it_is_there() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("migration").await.unwrap();
    let mut things = Things { client: client.clone(), namespace: &namespace, versions: &["v1"], rule: None };
    let converter = Converter::start(&things, converted);
    things.define(converter.address).await;
    things.create("v1", "a", json!({"spec": {"size": 1}})).await;
    things.versions = &["v2", "v1"];
    things.define(converter.address).await;
    let crd = things.crd();

    let account = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: shop}}";
    namespace.apply_yaml(account).await.unwrap();
    let migrating = Migrating::leading(&namespace.client_as("shop").await.unwrap(), &crd);
    let mut rules = Vec::new();
    for (rule, missing) in [
        (
            json!({"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"],
                "resourceNames": [crd], "verbs": ["get"]}),
            "read_definition",
        ),
        (json!({"apiGroups": [things.group()], "resources": ["things"], "verbs": ["list"]}), "list"),
        (json!({"apiGroups": [things.group()], "resources": ["things"], "verbs": ["patch"]}), "refused"),
        (
            json!({"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions/status"],
                "resourceNames": [crd], "verbs": ["patch"]}),
            "write_status",
        ),
    ] {
        migrating.has(missing, |migrating| migrating.errors(missing) >= 1).await;
        assert_eq!(stored_versions(&client, &crd).await, ["v1", "v2"]);
        rules.push(rule);
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": namespace.name()}, "rules": rules,
        });
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": namespace.name()},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": namespace.name()},
            "subjects": [{"kind": "ServiceAccount", "name": "shop", "namespace": namespace.name()}],
        });
        namespace.apply_yaml(&format!("{role}\n---\n{binding}")).await.unwrap();
    }
    all_is_stored_in(&client, &crd, "v2").await;
    assert_eq!(migrating.objects("rewritten"), 1);
}

#[tokio::test]
async fn a_service_asks_for_it_with_one_line() -> anyhow::Result<()> {
    #[derive(Debug, clap::Parser)]
    struct Args {
        #[command(flatten)]
        fleet: fleet::Args,
    }
    let (plane, client) = admin().await;
    let namespace = plane.namespace("migration").await?;
    let mut things = Things { client: client.clone(), namespace: &namespace, versions: &["v1"], rule: None };
    things.define(nowhere()).await;
    things.versions = &["v2", "v1"];
    things.define(nowhere()).await;
    let crd = things.crd();

    let args = Args::try_parse_from([
        "shop",
        "--metrics-addr=127.0.0.1:0",
        "--health-addr=127.0.0.1:0",
        &format!("--namespace={namespace}"),
    ])?;
    let (registry, stop) = (Registry::new(), CancellationToken::new());
    let mut fleet = Fleet::new("shop", args.fleet, client, registry.clone(), stop.clone())?;
    fleet.migrate_storage([crd.as_str()]);
    let ended = tokio::spawn(fleet.serve());
    // What follows takes the leader half a minute: enough that it has begun.
    eventually(DEADLINE, "the leader to look", async || {
        let pending = value(&registry, "fleet_storage_migration_pending", &crd, None);
        anyhow::ensure!(pending > 0, "not yet");
        Ok(())
    })
    .await?;
    stop.cancel();
    Ok(tokio::time::timeout(DEADLINE, ended).await???)
}
