//! The kustomizations, against a real API server: what it accepts here, it accepts everywhere.
mod authors;
mod every_service;
mod roles;
mod tenancy;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use k8s_openapi::{
    api::admissionregistration::v1::ValidatingWebhookConfiguration,
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};
use testkit::{ControlPlane, DEADLINE, builders, eventually};
use tokio::sync::OnceCell;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A control plane with everything of overlays/dev on it. No controller makes a pod of it.
async fn deployed() -> anyhow::Result<&'static ControlPlane> {
    static DEPLOYED: OnceCell<()> = OnceCell::const_new();
    let plane = ControlPlane::shared().await;
    let deploy =
        async || plane.apply_path(&repository().join("deploy/kustomize/overlays/dev")).await.map(drop);
    DEPLOYED.get_or_try_init(deploy).await?;
    Ok(plane)
}

fn components(plane: &ControlPlane, namespace: &str) -> Api<DynamicObject> {
    components_as(plane.admin(), namespace)
}

fn components_as(client: Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("appstudio.redhat.com", "v1alpha1", "Component");
    Api::namespaced_with(client, namespace, &ApiResource::from_gvk(&kind))
}

fn component(name: &str, spec: &Value) -> anyhow::Result<DynamicObject> {
    let mut object = json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name},
        "spec": {"application": "a", "componentName": name, "containerImage": "registry.example.com/a/b:1"},
    });
    if let (Some(all), Some(more)) = (object["spec"].as_object_mut(), spec.as_object()) {
        all.extend(more.clone());
    }
    Ok(serde_json::from_value(object)?)
}

#[tokio::test]
async fn overlay_and_example_are_accepted() -> anyhow::Result<()> {
    let plane = deployed().await?;
    let namespace = builders::namespace("example-tenant");
    Api::all(plane.admin()).create(&PostParams::default(), &namespace).await?;
    let applied = plane.apply_path(&repository().join("examples/first-application")).await?;
    assert_eq!(applied.len(), 3, "an Application and two Components");
    Ok(())
}

/// Nothing answers the webhook here, so with `Fail` in the place of `Ignore` exactly the calls that it would get are
/// refused. That shows both: its conditions are right, and with `Ignore` a service that is away stops nobody.
#[tokio::test]
async fn webhook_is_asked_about_nudges_only() -> anyhow::Result<()> {
    let plane = deployed().await?;
    let namespace = plane.namespace("webhook").await?;
    let components = components(plane, &namespace);
    let nudging = component("nudging", &json!({"build-nudges-ref": ["other"]}))?;
    let mut leaving = component("leaving", &json!({"build-nudges-ref": ["other"]}))?;
    leaving.metadata.finalizers = Some(vec!["example.com/holds".to_owned()]);
    components.create(&PostParams::default(), &nudging).await?;
    components.create(&PostParams::default(), &leaving).await?;
    components.delete("leaving", &DeleteParams::default()).await?;

    let hooks: Api<ValidatingWebhookConfiguration> = Api::all(plane.admin());
    hooks
        .create(&PostParams::default(), &strict_copy(hooks.get("application-service").await?, &namespace))
        .await?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let another = component("another", &json!({"build-nudges-ref": ["other"]}))?;
    eventually(DEADLINE, "the strict copy of the webhook", async || {
        match components.create(&dry_run, &another).await {
            Err(kube::Error::Api(status)) if status.message.contains("failed calling webhook") => Ok(()),
            other => anyhow::bail!("a nudging Component was not shown to the webhook: {other:?}"),
        }
    })
    .await?;
    for spec in [json!({}), json!({"build-nudges-ref": []})] {
        components
            .create(&dry_run, &component("calm", &spec)?)
            .await
            .context("a Component without nudges")?;
    }
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    components
        .patch("leaving", &PatchParams::default(), &free)
        .await
        .context("a Component that is being deleted")?;
    Ok(())
}

/// The webhooks under another name, for one namespace, refusing what they cannot be asked about.
fn strict_copy(original: ValidatingWebhookConfiguration, namespace: &str) -> ValidatingWebhookConfiguration {
    let mut copy = original;
    copy.metadata = ObjectMeta { name: Some(format!("strict-{namespace}")), ..ObjectMeta::default() };
    for webhook in copy.webhooks.iter_mut().flatten() {
        webhook.failure_policy = Some("Fail".to_owned());
        let only = ("kubernetes.io/metadata.name".to_owned(), namespace.to_owned());
        webhook.namespace_selector =
            Some(LabelSelector { match_labels: Some([only].into()), ..LabelSelector::default() });
    }
    copy
}

#[tokio::test]
async fn refused_name_names_field_and_rule() -> anyhow::Result<()> {
    let plane = deployed().await?;
    let namespace = plane.namespace("refused").await?;
    let wrong = component("wrong", &json!({"componentName": "My_Component"}))?;
    let Err(kube::Error::Api(status)) =
        components(plane, &namespace).create(&PostParams::default(), &wrong).await
    else {
        anyhow::bail!("a componentName that DNS does not allow was accepted");
    };
    assert!(status.message.contains("spec.componentName"), "{}", status.message);
    Ok(())
}
