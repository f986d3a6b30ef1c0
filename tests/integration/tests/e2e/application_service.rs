//! application-service as a pod: what it runs from, and that it can go and come back unnoticed.
use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use application_service_api::{Application, Component};
use fleet_api::Truth;
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Pod};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams},
};
use testkit::{DEADLINE, eventually, has_condition, wait_for, wait_gone};

use super::{LONG, cluster, cluster_alone, tenant};

const NAMESPACE: &str = "application-service";

async fn pods(client: &Client) -> anyhow::Result<Vec<Pod>> {
    let of_service = ListParams::default().labels("app.kubernetes.io/name=application-service");
    Ok(Api::<Pod>::namespaced(client.clone(), NAMESPACE).list(&of_service).await?.items)
}

#[tokio::test]
async fn runs_from_its_image_by_digest_without_privileges() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let pod = pods(&cluster.admin()).await?.into_iter().next().context("application-service has no pod")?;
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    assert_eq!(phase, Some("Running"));
    let spec = pod.spec.context("a pod has a spec")?;
    let image = spec.containers[0].image.as_deref().unwrap_or_default();
    ensure!(image.contains("/konflux/application-service@sha256:"), "runs from {image}");
    let context = spec.containers[0].security_context.clone().unwrap_or_default();
    assert_eq!(context.read_only_root_filesystem, Some(true));
    assert_eq!(context.allow_privilege_escalation, Some(false));
    assert_eq!(spec.security_context.and_then(|context| context.run_as_non_root), Some(true));
    Ok(())
}

/// What was written stays as it is when the service starts again, and the new pod does its work.
#[tokio::test]
async fn new_pod_takes_over_and_writes_nothing_again() -> anyhow::Result<()> {
    let cluster = cluster_alone().await?;
    let (client, namespace) = (cluster.admin(), cluster.namespace("e2e-restart").await?);
    namespace.apply_yaml(&tenant::application("steady")).await?;
    namespace.apply_yaml(&tenant::component("one", "steady", &["two"])).await?;
    namespace.apply_yaml(&tenant::component("two", "steady", &[])).await?;
    for name in ["one", "two"] {
        tenant::created(&client, &namespace, name).await?;
    }
    let components: Api<Component> = Api::namespaced(client.clone(), &namespace);
    let is_nudged = |component: &Component| {
        component.status.as_ref().is_some_and(|status| status.build_nudged_by == ["one"])
    };
    wait_for(&components, "two", "its nudger in status", DEADLINE, is_nudged).await?;
    // The model of an Application follows its Components a moment later.
    let has_both = |application: &Application| {
        let model = application.status.as_ref().and_then(|status| status.devfile.as_deref());
        model.is_some_and(|model| model.contains("acme/one") && model.contains("acme/two"))
    };
    let applications: Api<Application> = Api::namespaced(client.clone(), &namespace);
    wait_for(&applications, "steady", "both Components in its model", DEADLINE, has_both).await?;
    let before = versions(&client, &namespace).await?;

    let pods_api: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    for pod in pods(&client).await? {
        pods_api.delete(&pod.name_any(), &DeleteParams::default()).await?;
        wait_gone(&pods_api, &pod.name_any(), LONG).await?;
    }
    let leases: Api<Lease> = Api::namespaced(client.clone(), NAMESPACE);
    eventually(LONG, "a new leader", async || {
        let lease = leases.get("application-service").await?;
        let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
        let alive = pods(&client).await?;
        ensure!(
            alive.iter().any(|pod| holder.starts_with(&pod.name_any())),
            "the Lease is held by {holder:?}"
        );
        Ok(())
    })
    .await?;

    // Objects wait in one queue: when those made now are done, it has looked at all that were there before.
    let other = cluster.namespace("e2e-after").await?;
    other.apply_yaml(&tenant::application("later")).await?;
    other.apply_yaml(&tenant::component("three", "later", &[])).await?;
    tenant::created(&client, &other, "three").await?;
    let applications: Api<Application> = Api::namespaced(client.clone(), &other);
    wait_for(&applications, "later", "Created", DEADLINE, has_condition("Created", Truth::True)).await?;
    assert_eq!(versions(&client, &namespace).await?, before);

    // The Service may know the new pod a moment later.
    eventually(LONG, "webhooks", async || {
        tenant::assert_cycle_is_refused(&client, &namespace, "two", "one").await
    })
    .await
}

/// resourceVersion of each Application and Component: changes with every write that changes anything.
async fn versions(client: &Client, namespace: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let all = ListParams::default();
    let components = Api::<Component>::namespaced(client.clone(), namespace).list(&all).await?;
    let applications = Api::<Application>::namespaced(client.clone(), namespace).list(&all).await?;
    let component =
        components.iter().map(|found| (format!("Component {}", found.name_any()), found.resource_version()));
    let application = applications
        .iter()
        .map(|found| (format!("Application {}", found.name_any()), found.resource_version()));
    Ok(component.chain(application).map(|(name, version)| (name, version.unwrap_or_default())).collect())
}
