//! Tenants on a real API server, with somebody who plays the controller that counts quotas.
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, ResourceQuota, ServiceAccount};
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::json;
use testkit::{ControlPlane, builders};
use tokio::task::JoinHandle;

use super::*;
use crate::paths;

/// Ends with the test.
struct QuotaController(JoinHandle<()>);

impl Drop for QuotaController {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Plays the controller that counts quotas: like it, looks at one only when its limits change, and learns of a kind
/// (`late`) after a while.
fn plays_quota_controller(client: Client, namespace: &str, late: Option<&'static str>) -> QuotaController {
    const LEARNS_AFTER: Duration = Duration::from_secs(1);
    let api: Api<ResourceQuota> = Api::namespaced(client, namespace);
    let began = Instant::now();
    QuotaController(tokio::spawn(async move {
        let mut seen = BTreeMap::new();
        let changes = watcher(api.clone(), watcher::Config::default()).default_backoff().applied_objects();
        let counted = changes.try_for_each(|quota| {
            let limits = quota.spec.as_ref().and_then(|spec| spec.hard.clone()).unwrap_or_default();
            let is_new = seen.insert(quota.name_any(), limits.clone()) != Some(limits.clone());
            let api = api.clone();
            async move {
                let is_known =
                    |limit: &&String| began.elapsed() > LEARNS_AFTER || Some(limit.as_str()) != late;
                let used: BTreeMap<_, _> = limits.keys().filter(is_known).map(|limit| (limit, "0")).collect();
                if is_new {
                    let status = Patch::Merge(json!({"status": {"hard": limits, "used": used}}));
                    let outcome = api.patch_status(&quota.name_any(), &PatchParams::default(), &status).await;
                    // The quota may be gone; the test will say what it misses.
                    drop(outcome);
                }
                Ok(())
            }
        });
        drop(counted.await);
    }))
}

async fn plane() -> anyhow::Result<&'static ControlPlane> {
    let plane = ControlPlane::shared().await;
    let roles = paths::repository()?.join("deploy/kustomize/components/tenant-roles");
    for role in ["admin", "maintainer", "contributor", "viewer", "pipelines-runner", "release-pipeline"] {
        plane.apply_path(&roles.join(format!("{role}.yaml"))).await?;
    }
    Ok(plane)
}

fn tenant(workspace: &str, kind: Kind, members: &[(Role, &str)]) -> Tenant {
    let member = |(role, who): &(Role, &str)| Member { role: *role, who: who.parse().unwrap() };
    Tenant { workspace: workspace.parse().unwrap(), kind, members: members.iter().map(member).collect() }
}

const GENTLE: Writing = Writing { authorities: None, force: false };

#[tokio::test]
async fn a_second_run_repairs_and_adds_and_takes_nothing() -> anyhow::Result<()> {
    let client = plane().await?.admin();
    let _counting = plays_quota_controller(client.clone(), "repeated-tenant", None);
    let first = tenant("repeated", Kind::Development, &[(Role::Admin, "alice")]);
    make(&first, &client, Writing { authorities: Some("PEM 1"), force: false }).await?;

    // What services and people add meanwhile, and what one of them breaks.
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "repeated-tenant");
    let linked = Patch::Merge(json!({"imagePullSecrets": [{"name": "pull"}], "secrets": [{"name": "push"}]}));
    accounts.patch("appstudio-pipeline", &PatchParams::default(), &linked).await?;
    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), "repeated-tenant");
    quotas.delete("compute-build", &kube::api::DeleteParams::default()).await?;

    make(&tenant("repeated", Kind::Development, &[(Role::Viewer, "group:all")]), &client, GENTLE).await?;
    assert!(quotas.get_opt("compute-build").await?.is_some(), "what was missing is not back");
    let account = accounts.get("appstudio-pipeline").await?;
    assert_eq!(account.image_pull_secrets.map(|list| list.len()), Some(1), "a linked Secret was dropped");
    assert_eq!(account.secrets.map(|list| list.len()), Some(1), "a linked Secret was dropped");
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "repeated-tenant");
    let trusted = maps.get("trusted-ca").await?.data.unwrap_or_default();
    assert_eq!(trusted["ca-bundle.crt"], "PEM 1", "the authorities were dropped");
    let members: Vec<_> = member::bindings(&client, "repeated-tenant")
        .await?
        .into_iter()
        .map(|(role, who, _)| (role, who))
        .collect();
    assert_eq!(members, [(Role::Admin, "alice".to_owned()), (Role::Viewer, "group:all".to_owned())]);
    Ok(())
}

#[tokio::test]
async fn authorities_come_from_services_and_stay_if_others_set_them() -> anyhow::Result<()> {
    let client = plane().await?.admin();
    // Another tenant's word is not taken for the services'.
    for (name, kind, bundle) in
        [("a-foreign", "user-workspace-data", "theirs"), ("service", "controller", "ours")]
    {
        let labels =
            json!({"appstudio.redhat.com/namespacetype": kind, "app.kubernetes.io/part-of": "konflux-rs"});
        let namespace: Namespace =
            serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}}))?;
        Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await?;
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), name);
        let map = builders::config_map(name, "trusted-ca", [("ca-bundle.crt", bundle)]);
        maps.create(&PostParams::default(), &map).await?;
    }
    let _counting = plays_quota_controller(client.clone(), "trusting-tenant", None);
    let trusting = tenant("trusting", Kind::Managed, &[]);
    make(&trusting, &client, GENTLE).await?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "trusting-tenant");
    let bundle = async || {
        let data = maps.get("trusted-ca").await?.data.unwrap_or_default();
        anyhow::Ok(data.get("ca-bundle.crt").cloned().unwrap_or_default())
    };
    assert_eq!(bundle().await?, "ours");

    let injected = Patch::Merge(json!({"data": {"ca-bundle.crt": "injected"}}));
    maps.patch("trusted-ca", &PatchParams::default(), &injected).await?;
    make(&trusting, &client, GENTLE).await?;
    assert_eq!(bundle().await?, "injected");
    make(&trusting, &client, Writing { authorities: Some("new"), force: false }).await?;
    assert_eq!(bundle().await?, "injected");
    make(&trusting, &client, Writing { authorities: Some("new"), force: true }).await?;
    assert_eq!(bundle().await?, "new");
    Ok(())
}

#[tokio::test]
async fn namespaces_of_others_are_left_alone() -> anyhow::Result<()> {
    let client = plane().await?.admin();
    let cases = [
        ("foreign", json!({}), "is no tenant's"),
        (
            "registered",
            json!({(TYPE.0): "tenant", (PROVIDER): "codeready-toolchain"}),
            "registration-service",
        ),
        ("releasing", json!({(TYPE.0): "tenant", (KIND): "managed"}), "is a managed tenant"),
    ];
    for (workspace, labels, named) in cases {
        let name = format!("{workspace}-tenant");
        let namespace: Namespace =
            serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}}))?;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces.create(&PostParams::default(), &namespace).await?;
        let refusal = make(&tenant(workspace, Kind::Development, &[]), &client, GENTLE).await.unwrap_err();
        assert!(refusal.to_string().contains(named), "{refusal}");
        assert!(refusal.to_string().contains(&name), "{refusal}");
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &name);
        assert!(accounts.get_opt("appstudio-pipeline").await?.is_none(), "{name} was changed");
    }
    Ok(())
}

#[tokio::test]
async fn a_role_that_is_not_installed_is_named() -> anyhow::Result<()> {
    let client = plane().await?.admin();
    let mut binding = Member { role: Role::Admin, who: "alice".parse().unwrap() }.binding();
    binding["roleRef"]["name"] = json!("not-installed");
    let refusal = check_roles(&client, &[Object::parse(binding)?]).await.unwrap_err().to_string();
    assert!(refusal.contains("not-installed") && refusal.contains("components/tenant-roles"), "{refusal}");
    Ok(())
}

/// As after an installation: the CRDs are there, and the controller has not yet heard of them.
#[tokio::test]
async fn limits_on_kinds_that_came_late_are_asked_for_again() -> anyhow::Result<()> {
    let client = plane().await?.admin();
    let _counting = plays_quota_controller(client.clone(), "late-tenant", Some("count/configmaps"));
    make(&tenant("late", Kind::Development, &[]), &client, GENTLE).await?;
    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), "late-tenant");
    let used = quotas.get("workloads").await?.status.and_then(|status| status.used).unwrap_or_default();
    assert!(used.contains_key("count/configmaps"), "{used:?}");
    // Counted, so a new one is let in.
    let maps: Api<ConfigMap> = Api::namespaced(client, "late-tenant");
    maps.create(&PostParams::default(), &builders::config_map("late-tenant", "new", [])).await?;
    Ok(())
}
