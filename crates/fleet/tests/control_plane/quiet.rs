//! What costs nothing: a restart over settled objects, and changes that do not matter.

use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;
use testkit::faults::{Plan, Proxy};
use testkit::{DEADLINE, eventually, wait_for};

use k8s_openapi::api::core::v1::ConfigMap;

use crate::admin;
use crate::running::{Copier, is_copied, map};

const OBJECTS: usize = 50;

/// A client whose requests the proxy counts.
async fn counted(proxy: &Proxy) -> anyhow::Result<Client> {
    let kubeconfig = Kubeconfig::from_yaml(&proxy.kubeconfig())?;
    Ok(Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)?)
}

#[tokio::test]
async fn neither_a_restart_nor_a_change_of_no_consequence_is_a_write() -> anyhow::Result<()> {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("quiet").await?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    for i in 0..OBJECTS {
        maps.create(&PostParams::default(), &map(&format!("m{i}"), "1")).await?;
    }
    let proxy = Proxy::start("copier", Plan::calm(), plane.admin_config()).await?;
    let copier = Copier::start(&counted(&proxy).await?, &namespace, "one")?;
    for i in 0..OBJECTS {
        wait_for(&maps, &format!("m{i}"), "the copy", DEADLINE, is_copied("1")).await?;
    }
    let writes = || proxy.calls().except("leases").writes();
    told_of(&proxy, OBJECTS).await?;
    assert_eq!(writes(), OBJECTS, "one for each");
    // A restart must not find the same identity still holding the Lease.
    copier.stop().await?;

    let reads = proxy.calls().len();
    let copier = Copier::start(&counted(&proxy).await?, &namespace, "two")?;
    eventually(DEADLINE, "every object to be looked at", async || {
        let looked_at = copier.reconciles();
        anyhow::ensure!(looked_at >= OBJECTS as u64, "{looked_at} so far");
        Ok(())
    })
    .await?;
    let label = Patch::Merge(json!({"metadata": {"labels": {"theirs": "changed"}}}));
    maps.patch("m0", &PatchParams::default(), &label).await?;
    // What comes after it has been seen: the label was before.
    maps.patch("m1", &PatchParams::default(), &Patch::Merge(json!({"data": {"in": "2"}}))).await?;
    wait_for(&maps, "m1", "the copy", DEADLINE, is_copied("2")).await?;
    told_of(&proxy, OBJECTS + 1).await?;
    assert_eq!(writes(), OBJECTS + 1, "for m1 alone:\n{}", proxy.calls());
    // One watch that begins with the list, and the Lease: no other reads, however many objects.
    let reads = proxy.calls().iter().skip(reads).filter(|call| !call.is_write()).count();
    assert!(reads <= 4, "{reads} reads:\n{}", proxy.calls());
    copier.stop().await
}

/// Waits until the proxy has noted so many writes: it notes a call when it has passed the answer on, and the watch may tell of the
/// write before.
async fn told_of(proxy: &Proxy, writes: usize) -> anyhow::Result<()> {
    eventually(DEADLINE, "the proxy to note the writes", async || {
        let noted = proxy.calls().except("leases").writes();
        anyhow::ensure!(noted >= writes, "{noted} so far, and {writes} were seen");
        Ok(())
    })
    .await
}
