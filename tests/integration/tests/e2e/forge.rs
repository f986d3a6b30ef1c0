//! The forge: reached over TLS by whom the services trust, and holding what `cargo xtask forge` pushed.
//!
//! `$KONFLUX_E2E_FORGE` names the cluster's forge.json; `cargo xtask test --e2e` sets it, and pushes the examples.
use std::path::Path;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use testkit::{
    ControlPlane,
    gitea::{Access, Client, Credential},
};

use super::cluster;

#[tokio::test]
async fn serves_what_was_pushed_to_whoever_trusts_the_clusters_authority() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let forge = administrator(&cluster).await?;
    ensure!(forge.whoami().await?.is_some(), "the forge knows its administrator");
    assert_eq!(forge.system_hooks().await?, ["https://sprayproxy.sprayproxy.svc.cluster.local/"]);
    let pushed = forge
        .with(Credential::Nobody)
        .file("konflux-admin/examples", "main", "first-application/application.yaml")
        .await?;
    let here = include_bytes!("../../../../examples/first-application/application.yaml");
    assert_eq!(String::from_utf8_lossy(&pushed), String::from_utf8_lossy(here));
    Ok(())
}

/// The forge of the cluster, as its administrator, trusted because the services trust it.
pub(crate) async fn administrator(cluster: &ControlPlane) -> anyhow::Result<Client> {
    let file = std::env::var_os("KONFLUX_E2E_FORGE")
        .context("KONFLUX_E2E_FORGE is not set: it names forge.json in the state folder of the cluster")?;
    let trusted =
        Api::<ConfigMap>::namespaced(cluster.admin(), "application-service").get("trusted-ca").await?;
    let bundle = trusted.data.and_then(|mut data| data.remove("ca-bundle.crt"));
    let certificate_authority = bundle.context("trusted-ca has no bundle")?;
    Client::new(&Access { certificate_authority, ..Access::read(Path::new(&file))? })
}
