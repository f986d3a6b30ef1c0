//! What a tenant does with Applications and Components, and sees.
use anyhow::{Context as _, ensure};
use application_service_api::{Application, Component};
use fleet_api::Truth;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota, Secret};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use testkit::{ControlPlane, DEADLINE, has_condition, wait_for, wait_gone};

use super::{LONG, cluster};

/// An Application, as YAML.
pub(crate) fn application(name: &str) -> String {
    json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name},
        "spec": {"displayName": format!("Test {name}")},
    })
    .to_string()
}

/// A Component with a git source, as YAML.
pub(crate) fn component(name: &str, application: &str, nudges: &[&str]) -> String {
    json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name},
        "spec": {
            "application": application,
            "componentName": name,
            "source": {"git": {"url": format!("https://git.example.com/acme/{name}"), "dockerfileUrl": "Containerfile"}},
            "build-nudges-ref": nudges,
        },
    })
    .to_string()
}

/// Waits until a Component has its model.
pub(crate) async fn created(client: &Client, namespace: &str, name: &str) -> anyhow::Result<Component> {
    let components: Api<Component> = Api::namespaced(client.clone(), namespace);
    wait_for(&components, name, "Created", LONG, has_condition("Created", Truth::True)).await
}

#[tokio::test]
async fn component_before_its_application_converges() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let (client, namespace) = (cluster.admin(), cluster.namespace("e2e-order").await?);
    namespace.apply_yaml(&component("early", "late", &[])).await?;
    let components: Api<Component> = Api::namespaced(client.clone(), &namespace);
    wait_for(&components, "early", "that it waits", LONG, has_condition("Created", Truth::False)).await?;
    namespace.apply_yaml(&application("late")).await?;

    let component = created(&client, &namespace, "early").await?;
    let model = component.status.and_then(|status| status.devfile).unwrap_or_default();
    ensure!(
        model.contains("schemaVersion") && model.contains("Containerfile"),
        "status.devfile is {model:?}"
    );
    let applications: Api<Application> = Api::namespaced(client, &namespace);
    let has_project = |application: &Application| {
        let model = application.status.as_ref().and_then(|status| status.devfile.as_deref());
        model.is_some_and(|model| model.contains("https://git.example.com/acme/early"))
    };
    wait_for(&applications, "late", "the Component in its model", DEADLINE, has_project).await?;
    Ok(())
}

#[tokio::test]
async fn nudges_are_shown_both_ways_and_a_cycle_is_refused() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let (client, namespace) = (cluster.admin(), cluster.namespace("e2e-nudges").await?);
    namespace.apply_yaml(&application("nudges")).await?;
    namespace.apply_yaml(&component("library", "nudges", &["server"])).await?;
    namespace.apply_yaml(&component("server", "nudges", &[])).await?;
    let components: Api<Component> = Api::namespaced(client.clone(), &namespace);
    let is_nudged = |component: &Component| {
        component.status.as_ref().is_some_and(|status| status.build_nudged_by == ["library"])
    };
    wait_for(&components, "server", "its nudger in status", LONG, is_nudged).await?;

    assert_cycle_is_refused(&client, &namespace, "server", "library").await
}

/// Asks, without changing anything, that a Component nudges another which nudges it already.
pub(crate) async fn assert_cycle_is_refused(
    client: &Client,
    namespace: &str,
    from: &str,
    to: &str,
) -> anyhow::Result<()> {
    let components: Api<Component> = Api::namespaced(client.clone(), namespace);
    let dry_run = PatchParams { dry_run: true, ..PatchParams::default() };
    let nudge = Patch::Merge(json!({"spec": {"build-nudges-ref": [to]}}));
    let refusal =
        components.patch(from, &dry_run, &nudge).await.err().context("a cycle of nudges was accepted")?;
    ensure!(refusal.to_string().contains("cycle detected"), "{refusal}");
    Ok(())
}

#[tokio::test]
async fn mistake_is_refused_with_field_and_rule() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let namespace = cluster.namespace("e2e-refused").await?;
    let components: Api<Component> = Api::namespaced(cluster.admin(), &namespace);
    let mut wrong: Component = serde_json::from_str(&component("wrong", "any", &[]))?;
    wrong.spec.component_name = "My_Component".to_owned();
    let refusal = components.create(&PostParams::default(), &wrong).await.err().context("it was accepted")?;
    ensure!(refusal.to_string().contains("spec.componentName"), "{refusal}");
    Ok(())
}

#[tokio::test]
async fn components_go_with_their_application() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let (client, namespace) = (cluster.admin(), cluster.namespace("e2e-gone").await?);
    namespace.apply_yaml(&application("short-lived")).await?;
    for name in ["one", "two"] {
        namespace.apply_yaml(&component(name, "short-lived", &[])).await?;
        let component = created(&client, &namespace, name).await?;
        let owners: Vec<_> = component.owner_references().iter().map(|owner| owner.name.as_str()).collect();
        assert_eq!(owners, ["short-lived"]);
    }
    let applications: Api<Application> = Api::namespaced(client.clone(), &namespace);
    applications.delete("short-lived", &DeleteParams::default()).await?;
    wait_gone(&applications, "short-lived", LONG).await?;
    let components: Api<Component> = Api::namespaced(client, &namespace);
    for name in ["one", "two"] {
        wait_gone(&components, name, LONG).await?;
    }
    Ok(())
}

/// The tenant that the demo makes, and two of its people.
const DEMO_TENANT: &str = "example-tenant";
const DEMO_ADMIN: &str = "alice";
const DEMO_VIEWER: &str = "bob";

/// A client that is this user, without any group.
fn client_of(cluster: &ControlPlane, user: &str) -> anyhow::Result<Client> {
    let mut config = cluster.admin_config();
    config.auth_info.impersonate = Some(user.to_owned());
    Ok(Client::try_from(config)?)
}

fn dry_run() -> PostParams {
    PostParams { dry_run: true, ..PostParams::default() }
}

#[tokio::test]
async fn team_works_in_the_demo_tenant_by_its_roles() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let new: Application = serde_json::from_str(&application("of-alice"))?;
    let admin: Api<Application> = Api::namespaced(client_of(&cluster, DEMO_ADMIN)?, DEMO_TENANT);
    admin.create(&dry_run(), &new).await.context("the tenant's admin creates an Application")?;

    let viewer: Api<Application> = Api::namespaced(client_of(&cluster, DEMO_VIEWER)?, DEMO_TENANT);
    viewer.get("first-application").await.context("a viewer reads an Application")?;
    let refusals = [
        viewer.create(&dry_run(), &new).await.map(drop),
        Api::<Secret>::namespaced(client_of(&cluster, DEMO_VIEWER)?, DEMO_TENANT).get("any").await.map(drop),
        Api::<Application>::namespaced(client_of(&cluster, DEMO_ADMIN)?, "default")
            .get("any")
            .await
            .map(drop),
        exec(&cluster, DEMO_ADMIN).await,
    ];
    for (index, refusal) in refusals.into_iter().enumerate() {
        match refusal {
            Err(kube::Error::Api(status)) if status.is_forbidden() => {}
            other => anyhow::bail!("request {index} should have been refused: {other:?}"),
        }
    }
    Ok(())
}

/// Asks for a shell in a pod of the demo's tenant.
async fn exec(cluster: &ControlPlane, user: &str) -> kube::Result<()> {
    let path = format!("/api/v1/namespaces/{DEMO_TENANT}/pods/any/exec?command=sh");
    let request = http::Request::post(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    let client = client_of(cluster, user).map_err(|error| kube::Error::Service(error.into()))?;
    client.request_text(request).await.map(drop)
}

#[tokio::test]
async fn limits_of_the_demo_tenant_work() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let quotas: Api<ResourceQuota> = Api::namespaced(cluster.admin(), DEMO_TENANT);
    let counted = |quota: &ResourceQuota| {
        let used = quota.status.as_ref().and_then(|status| status.used.as_ref());
        used.and_then(|used| used.get("count/components.appstudio.redhat.com").map(|count| count.0 != "0"))
            .unwrap_or_default()
    };
    wait_for(&quotas, "appstudio-crds", "its Components counted", LONG, counted).await?;

    let pods: Api<Pod> = Api::namespaced(cluster.admin(), DEMO_TENANT);
    let pod = |container: serde_json::Value| {
        let metadata = json!({"name": "asked"});
        serde_json::from_value::<Pod>(json!({"metadata": metadata, "spec": {"containers": [container]}}))
    };
    let silent = pods.create(&dry_run(), &pod(json!({"name": "c", "image": "i"}))?).await?;
    let resources =
        silent.spec.context("a pod has a spec")?.containers.remove(0).resources.unwrap_or_default();
    let limits = resources.limits.unwrap_or_default();
    assert_eq!(limits.get("memory").map(|quantity| quantity.0.as_str()), Some("2Gi"));

    let privileged = pod(json!({"name": "c", "image": "i", "securityContext": {"privileged": true}}))?;
    let refusal = pods.create(&dry_run(), &privileged).await.err().context("a privileged pod was let in")?;
    ensure!(refusal.to_string().contains("PodSecurity"), "{refusal}");
    Ok(())
}
