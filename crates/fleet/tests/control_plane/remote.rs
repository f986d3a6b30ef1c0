//! A second cluster, reached by a kubeconfig: what is in its stores, and writing there.

use clap::Parser as _;
use fleet::{Fleet, ObjectKey, Store, Write};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, PostParams};
use prometheus::Registry;
use testkit::{DEADLINE, eventually};
use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::running::map;

#[derive(Debug, clap::Parser)]
struct Args {
    #[command(flatten)]
    fleet: fleet::Args,
}

/// The names in a store, with their namespaces.
async fn holds(store: &Store<ConfigMap>, expected: &[(&str, &str)]) -> anyhow::Result<()> {
    let mut expected: Vec<_> =
        expected.iter().map(|(namespace, name)| ObjectKey::new(*namespace, *name)).collect();
    expected.sort();
    eventually(DEADLINE, "what is in the namespaces that were told", async || {
        let mut keys = store.keys();
        keys.sort();
        anyhow::ensure!(keys == expected, "{keys:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn namespaces_come_and_go_while_it_runs() -> anyhow::Result<()> {
    let (plane, client) = admin().await;
    let (one, two) = (plane.namespace("one").await?, plane.namespace("two").await?);
    for namespace in [&one, &two] {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        maps.create(&PostParams::default(), &map("m", "1")).await?;
    }
    let (registry, stop) = (Registry::new(), CancellationToken::new());
    let args = Args::try_parse_from([
        "remote",
        "--metrics-addr=127.0.0.1:0",
        "--health-addr=127.0.0.1:0",
        "--leader-elect=false",
    ])?;
    let mut fleet = Fleet::new("remote", args.fleet, client.clone(), registry, stop.clone())?;
    let remote = fleet.remote("remote", plane.kubeconfig()).await?;
    let store: Store<ConfigMap> = fleet.remote_store(&remote).in_told_namespaces().build();
    let served = tokio::spawn(fleet.serve());
    store.synced().await;
    assert!(store.is_empty(), "no namespace was told");
    store.tell_namespaces([&*one]);
    holds(&store, &[(&one, "m")]).await?;
    // One that does not exist holds up no other.
    store.tell_namespaces([&*one, &*two, "nowhere"]);
    holds(&store, &[(&one, "m"), (&two, "m")]).await?;

    // The answer to a write is there at once, where its namespace is told.
    remote.writer().apply(&[Write::create(&in_namespace(&two, "written"))]).await?;
    assert!(store.get(&ObjectKey::new(&*two, "written")).is_some());
    store.tell_namespaces([&*one]);
    holds(&store, &[(&one, "m")]).await?;
    remote.writer().apply(&[Write::create(&in_namespace(&two, "unseen"))]).await?;
    assert!(store.get(&ObjectKey::new(&*two, "unseen")).is_none());

    // What is still followed is followed as before.
    Api::<ConfigMap>::namespaced(client.clone(), &one).delete("m", &DeleteParams::default()).await?;
    holds(&store, &[]).await?;
    store.tell_namespaces([&*two]);
    holds(&store, &[(&two, "m"), (&two, "unseen"), (&two, "written")]).await?;
    stop.cancel();
    served.await??;
    Ok(())
}

fn in_namespace(namespace: &str, name: &str) -> ConfigMap {
    let mut map = map(name, "1");
    map.metadata.namespace = Some(namespace.to_owned());
    map
}
