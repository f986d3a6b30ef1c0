//! Kinds of neighbours that are not installed, or not yet, or no more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser as _;
use fleet::{Fleet, ObjectKey, Presence, Store, Wake, WriteError};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::{Client, CustomResource, Resource, ResourceExt as _};
use parking_lot::Mutex;
use prometheus::Registry;
use serde::{Deserialize, Serialize};
use serde_json::json;
use testkit::{DEADLINE, eventually};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::running::readyz;

/// Comes and goes in the test of the same name.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "late.example.com",
    version = "v1",
    kind = "Guest",
    derive = "PartialEq",
    namespaced,
    schema = "disabled"
)]
struct GuestSpec {}

/// Is defined in an older version only.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "older.example.com",
    version = "v1",
    kind = "Relic",
    derive = "PartialEq",
    namespaced,
    schema = "disabled"
)]
struct RelicSpec {}

/// Its definition is there, the right to read it is not.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "barred.example.com",
    version = "v1",
    kind = "Vault",
    derive = "PartialEq",
    namespaced,
    schema = "disabled"
)]
struct VaultSpec {}

#[derive(Debug, clap::Parser)]
struct Args {
    #[command(flatten)]
    fleet: fleet::Args,
}

/// A service that reads ConfigMaps, and `K` if there is such a kind. Notes what each reconcile saw of `K`.
struct Reader<K> {
    store: Store<K>,
    seen: Arc<Mutex<Vec<(String, Presence)>>>,
    health: u16,
    stop: CancellationToken,
    ended: JoinHandle<Result<(), fleet::Error>>,
}

impl<K> Reader<K>
where
    K: fleet::Stored + Resource<Scope = k8s_openapi::NamespaceResourceScope>,
{
    fn start(client: Client, namespace: &str, is_optional: bool) -> anyhow::Result<Self> {
        let health = testkit::free_port()?;
        let args = Args::try_parse_from([
            "reader",
            "--metrics-addr=127.0.0.1:0",
            &format!("--health-addr=127.0.0.1:{health}"),
            &format!("--watch-namespaces={namespace}"),
            &format!("--namespace={namespace}"),
            "--leader-elect=false",
        ])?;
        let stop = CancellationToken::new();
        let mut fleet = Fleet::new("reader", args.fleet, client, Registry::new(), stop.clone())?;
        let maps = fleet.store::<ConfigMap>().build();
        let store = fleet.store::<K>();
        let store = if is_optional { store.optional() } else { store }.build();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let runner = fleet
            .controller("read")
            .of(&maps)
            .reads(&store, |object| vec![ObjectKey::of(object)])
            .reads_presence(&store, {
                let maps = maps.clone();
                move || maps.keys()
            })
            .reconcile({
                let (store, seen) = (store.clone(), Arc::clone(&seen));
                move |key| {
                    seen.lock().push((key.name, store.presence()));
                    async { Ok::<_, WriteError>(Wake::OnChange) }
                }
            });
        fleet.run(runner);
        Ok(Self { store, seen, health, stop, ended: tokio::spawn(fleet.serve()) })
    }

    /// The answer of /readyz once it has this text.
    async fn says(&self, text: &str) -> anyhow::Result<()> {
        eventually(DEADLINE, &format!("/readyz with {text:?}"), async || {
            let answer = readyz(self.health).await?;
            anyhow::ensure!(answer.contains(text), "{answer}");
            Ok(())
        })
        .await
    }

    async fn is(&self, presence: Presence) -> anyhow::Result<Duration> {
        let began = Instant::now();
        eventually(DEADLINE, &format!("the kind to be {presence:?}"), async || {
            anyhow::ensure!(self.store.presence() == presence, "it is {:?}", self.store.presence());
            Ok(began.elapsed())
        })
        .await
    }

    /// Waits for a reconcile of `name` that saw `presence`.
    async fn saw(&self, name: &str, presence: Presence) -> anyhow::Result<()> {
        eventually(DEADLINE, &format!("a reconcile of {name} that sees {presence:?}"), async || {
            let seen = self.seen.lock().clone();
            anyhow::ensure!(seen.contains(&(name.to_owned(), presence)), "{seen:?}");
            Ok(())
        })
        .await
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        Ok(self.ended.await??)
    }
}

fn definition(group: &str, kind: &str, version: &str) -> CustomResourceDefinition {
    let (singular, plural) = (kind.to_lowercase(), format!("{}s", kind.to_lowercase()));
    serde_json::from_value(json!({
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"kind": kind, "singular": singular, "plural": plural},
            "versions": [{"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema":
                {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
        },
    }))
    .unwrap()
}

async fn define(client: &Client, definition: &CustomResourceDefinition) -> anyhow::Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let apply = PatchParams::apply("test").force();
    definitions.patch(&definition.name_any(), &apply, &Patch::Apply(definition)).await?;
    Ok(())
}

async fn map(client: &Client, namespace: &str, name: &str) -> anyhow::Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    maps.create(&PostParams::default(), &serde_json::from_value(json!({"metadata": {"name": name}}))?)
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_kind_that_comes_goes_and_comes_again_needs_no_restart() -> anyhow::Result<()> {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("absent").await?;
    map(&client, &namespace, "waits").await?;
    let reader = Reader::<Guest>::start(client.clone(), &namespace, true)?;
    reader.says("HTTP/1.1 200").await?;
    reader.saw("waits", Presence::Absent).await?;

    let definition = definition("late.example.com", "Guest", "v1");
    let guests: Api<Guest> = Api::namespaced(client.clone(), &namespace);
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for name in ["first", "second"] {
        define(&client, &definition).await?;
        eventually(DEADLINE, "a guest", async || {
            Ok(guests.create(&PostParams::default(), &Guest::new(name, GuestSpec {})).await?)
        })
        .await?;
        let took = reader.is(Presence::Listed).await?;
        assert!(took < Duration::from_secs(10), "noticed after {took:?}");
        reader.saw(name, Presence::Listed).await?;
        // Also what has no guest is told that there may be some now.
        reader.saw("waits", Presence::Listed).await?;
        let later = format!("{name}-later");
        guests.create(&PostParams::default(), &Guest::new(&later, GuestSpec {})).await?;
        reader.saw(&later, Presence::Listed).await?;
        reader.says("HTTP/1.1 200").await?;

        reader.seen.lock().clear();
        definitions.delete(&definition.name_any(), &DeleteParams::default()).await?;
        let took = reader.is(Presence::Absent).await?;
        assert!(took < Duration::from_secs(10), "noticed after {took:?}");
        assert!(reader.store.is_empty());
        reader.saw("waits", Presence::Absent).await?;
        assert!(reader.seen.lock().iter().any(|(seen, _)| seen == name), "its end is told");
        reader.says("HTTP/1.1 200").await?;
        eventually(DEADLINE, "the definition to be gone", async || {
            anyhow::ensure!(definitions.get_opt(&definition.name_any()).await?.is_none());
            Ok(())
        })
        .await?;
    }
    reader.stop().await
}

#[tokio::test]
async fn a_kind_of_another_version_is_named_with_both_and_waited_for() -> anyhow::Result<()> {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("absent").await?;
    define(&client, &definition("older.example.com", "Relic", "v1alpha1")).await?;
    let reader = Reader::<Relic>::start(client.clone(), &namespace, false)?;
    reader.says("list of relics (served as v1alpha1, but v1 is needed").await?;
    assert_eq!(reader.store.presence(), Presence::Unknown, "needed kinds are never taken to be absent");

    let mut both = definition("older.example.com", "Relic", "v1alpha1");
    let mut version = both.spec.versions[0].clone();
    version.name = "v1".to_owned();
    version.storage = false;
    both.spec.versions.push(version);
    define(&client, &both).await?;
    reader.says("HTTP/1.1 200").await?;
    reader.is(Presence::Listed).await?;
    reader.stop().await
}

#[tokio::test]
async fn a_missing_right_is_named_and_not_taken_for_absence() -> anyhow::Result<()> {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("absent").await?;
    define(&client, &definition("barred.example.com", "Vault", "v1")).await?;
    let rights = |groups: &str, resources: &str, name: &str| {
        format!(
            "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{ name: {name} }}
rules:
  - {{ apiGroups: [\"{groups}\"], resources: [{resources}], verbs: [list, watch] }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{ name: {name} }}
roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: Role, name: {name} }}
subjects: [{{ kind: ServiceAccount, name: reader }}]
"
        )
    };
    namespace.apply_yaml(&rights("", "configmaps", "maps")).await?;
    let account = namespace.client_as("reader").await?;
    let reader = Reader::<Vault>::start(account, &namespace, true)?;
    reader
        .says("apiGroups [\"barred.example.com\"], resources [\"vaults\"], verbs [\"list\", \"watch\"]")
        .await?;
    reader.says(&format!("a Role in namespace {namespace}")).await?;
    assert_eq!(reader.store.presence(), Presence::Unknown);

    namespace.apply_yaml(&rights("barred.example.com", "vaults", "vaults")).await?;
    reader.says("HTTP/1.1 200").await?;
    reader.is(Presence::Listed).await?;
    reader.stop().await
}
