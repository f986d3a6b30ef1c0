//! Applying, against a real API server.
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use testkit::{ControlPlane, Namespace};

use super::{Applier, Object, Plan, apply::Tally, rollout, secrets, serving};
use crate::{cluster, paths};

async fn prepared(prefix: &str) -> anyhow::Result<(Client, Namespace<'static>, Applier)> {
    let plane = ControlPlane::shared().await;
    let applier = Applier::discover(plane.admin(), false).await?;
    Ok((plane.admin(), plane.namespace(prefix).await?, applier))
}

fn object(namespace: &str, api: &str, kind: &str, content: &Value) -> Object {
    let mut object =
        json!({"apiVersion": api, "kind": kind, "metadata": {"name": "x", "namespace": namespace}});
    object.as_object_mut().unwrap().extend(content.as_object().unwrap().clone());
    Object { origin: Some("some/file.yaml".to_owned()), ..Object::parse(object).unwrap() }
}

fn config_map(namespace: &str, data: &Value) -> Object {
    object(namespace, "v1", "ConfigMap", &json!({"data": data}))
}

async fn refusal(applier: &Applier, object: &Object) -> String {
    applier.apply(object).await.expect_err("it was accepted").to_string()
}

#[tokio::test]
async fn a_second_run_changes_nothing() -> anyhow::Result<()> {
    let (_, namespace, applier) = prepared("deploy").await?;
    let objects = [config_map(&namespace, &json!({"a": "1"}))];
    assert_eq!(applier.apply_all(&objects, |_| {}).await?, Tally { created: 1, ..Tally::default() });
    assert_eq!(applier.apply_all(&objects, |_| {}).await?, Tally { unchanged: 1, ..Tally::default() });
    let changed = [config_map(&namespace, &json!({"a": "2"}))];
    assert_eq!(applier.apply_all(&changed, |_| {}).await?, Tally { changed: 1, ..Tally::default() });
    Ok(())
}

#[tokio::test]
async fn others_fields_are_kept_reported_and_taken_only_by_force() -> anyhow::Result<()> {
    let (client, namespace, applier) = prepared("deploy").await?;
    applier.apply(&config_map(&namespace, &json!({"a": "1"}))).await?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let theirs = Patch::Merge(json!({"data": {"a": "theirs", "b": "theirs"}}));
    let manager = PatchParams { field_manager: Some("somebody".to_owned()), ..PatchParams::default() };
    maps.patch("x", &manager, &theirs).await?;

    let ours = config_map(&namespace, &json!({"a": "2"}));
    let text = refusal(&applier, &ours).await;
    for part in ["ConfigMap", "some/file.yaml", "data.a", "somebody", "--force-conflicts"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    Applier::discover(client, true).await?.apply(&ours).await?;
    let data = maps.get("x").await?.data.unwrap_or_default();
    assert_eq!(
        data.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(),
        [("a", "2"), ("b", "theirs")]
    );
    Ok(())
}

#[tokio::test]
async fn mistakes_are_named_by_file_object_and_field() -> anyhow::Result<()> {
    let (_, namespace, applier) = prepared("deploy").await?;
    let selector = json!({"matchLabels": {"a": "b"}});
    let template =
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"selector": selector, "template": template, "replica": 2});
    let cases = [
        (object(&namespace, "apps/v1", "Deployment", &json!({"spec": spec})), "replica"),
        (
            object(&namespace, "apps/v1", "Deployment", &json!({"spec": {"selector": selector}})),
            "spec.template",
        ),
        (object(&namespace, "example.com/v1", "Absent", &json!({})), "deploy/kustomize/crds"),
        (object(&namespace, "v1", "Namespace", &json!({})), "metadata.namespace is set"),
        (config_map("no-such-namespace", &json!({})), "no-such-namespace"),
        (config_map(&namespace, &json!({"not a key": ""})), "data[not a key]"),
    ];
    for (object, named) in cases {
        let text = refusal(&applier, &object).await;
        assert!(text.contains(named), "{named} is not in: {text}");
        assert!(text.contains("some/file.yaml"), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn kinds_are_awaited_and_usable() -> anyhow::Result<()> {
    let (client, namespace, _) = prepared("deploy").await?;
    let crds =
        super::kustomize(&paths::repository()?.join("deploy/kustomize/crds/application-service")).await?;
    let plan = Plan::of(crds);
    let applier = Applier::discover(client.clone(), false).await?;
    applier.apply_all(&plan.definitions, |_| {}).await?;
    rollout::established(&client, &plan.definitions, Duration::from_secs(30)).await?;
    let spec = json!({"spec": {"displayName": "X"}});
    let application = object(&namespace, "appstudio.redhat.com/v1alpha1", "Application", &spec);
    Applier::discover(client, false).await?.apply(&application).await?;
    Ok(())
}

#[tokio::test]
async fn secrets_are_made_once_and_alike() -> anyhow::Result<()> {
    let (client, _, applier) = prepared("deploy").await?;
    let names = ["pipelines-as-code", "build-service"];
    for name in names {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        applier.apply(&Object::parse(namespace)?).await?;
    }
    let secret = async |namespace: &str| {
        Api::<Secret>::namespaced(client.clone(), namespace)
            .get("pipelines-as-code-secret")
            .await
            .map(|secret| secret.data)
    };
    let given = [(secrets::GITEA_WEBHOOK.to_owned(), "the forge's own".to_owned())].into();
    let made = secrets::generate(&client, &names[..1], &given).await?;
    assert_eq!(made, ["pipelines-as-code/pipelines-as-code-secret"]);
    let first = secret(names[0]).await?;
    let of_forge = first.as_ref().and_then(|data| data.get(secrets::GITEA_WEBHOOK));
    assert_eq!(of_forge.map(|value| value.0.as_slice()), Some(b"the forge's own".as_slice()));
    assert_eq!(secrets::generate(&client, &names, &given).await?, ["build-service/pipelines-as-code-secret"]);
    assert_eq!(secret(names[0]).await?, first);
    assert_eq!(secret(names[1]).await?, first);
    assert!(secrets::generate(&client, &names, &given).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn servers_get_a_certificate_by_the_clusters_authority_once() -> anyhow::Result<()> {
    let (client, _, applier) = prepared("deploy").await?;
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("pki"))?;
    let settings = json!({
        "kind": "embedded", "name": "dev", "id": "dev", "pods": "10.88.0.0/16", "services": "10.96.0.0/16",
    });
    std::fs::write(folder.path().join("cluster.json"), settings.to_string())?;
    let choice =
        cluster::Choice { state_dir: Some(folder.path().to_owned()), ..cluster::Choice::named("dev") };
    let cluster = cluster::Cluster::load(&choice)?;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sprayproxy"}});
    applier.apply(&Object::parse(namespace)?).await?;

    assert!(serving::issue(&client, &["application-service"], &cluster).await?.is_empty());
    let names = ["sprayproxy"];
    assert_eq!(serving::issue(&client, &names, &cluster).await?, ["sprayproxy/sprayproxy-tls"]);
    let secret = Api::<Secret>::namespaced(client.clone(), "sprayproxy").get("sprayproxy-tls").await?;
    assert_eq!(secret.type_.as_deref(), Some("kubernetes.io/tls"));
    let pem = |key: &str| String::from_utf8_lossy(&secret.data.as_ref().unwrap()[key].0).into_owned();
    assert!(pem("tls.crt").contains("BEGIN CERTIFICATE") && pem("tls.key").contains("PRIVATE KEY"));
    assert!(serving::issue(&client, &names, &cluster).await?.is_empty());
    Ok(())
}
