//! What `ec` reads of a cluster, with the rights that everybody has.

use enterprise_contract::policy::{self, Cluster};
use enterprise_contract::sources::{Local, Sources};
use fleet::outbound;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;
use testkit::ControlPlane;

use crate::service::{Service, policy as object};

fn sources() -> anyhow::Result<Sources> {
    let outbound = outbound::Client::new(
        "test",
        outbound::Options::default(),
        fleet::Clock::system(),
        &prometheus::Registry::new(),
    )?;
    let registry = registry::Client::new(outbound.clone());
    Ok(Sources::new(outbound, registry, Default::default(), Local::Refused))
}

/// As the account of a pipeline in a tenant's namespace.
fn pipeline(plane: &ControlPlane, namespace: &str) -> anyhow::Result<Client> {
    let mut config = plane.admin_config();
    config.auth_info.impersonate = Some(format!("system:serviceaccount:{namespace}:appstudio-pipeline"));
    config.auth_info.impersonate_groups = Some(vec!["system:authenticated".to_owned()]);
    Ok(Client::try_from(config)?)
}

#[tokio::test]
async fn scenario_13_a_policy_of_another_namespace_is_read_and_a_missing_one_is_named() -> anyhow::Result<()>
{
    let service = Service::install(&[]).await?;
    let shipped = service.installed.namespace();
    let policies = Api::namespaced(service.admin(), shipped);
    policies.create(&PostParams::default(), &object("default", &json!({"name": "shipped"}))).await?;
    service.create("own", &json!({"name": "a tenant's own"})).await?;

    let cluster = Cluster::connected(pipeline(service.plane, &service.tenant)?);
    let sources = sources()?;
    let spec = policy::load(&format!("{shipped}/default"), &sources, &cluster).await?;
    assert_eq!(spec.name.as_deref(), Some("shipped"));

    let error = policy::load(&format!("{shipped}/gone"), &sources, &cluster).await.unwrap_err().to_string();
    assert!(error.contains(&format!("{shipped}/gone")) && error.contains("does not exist"), "{error}");
    // What is a tenant's own is nobody else's.
    let error = policy::load(&format!("{}/own", service.tenant), &sources, &cluster).await.unwrap_err();
    assert!(error.to_string().contains(&format!("{}/own", &*service.tenant)), "{error}");
    Ok(())
}
