//! The components `tenant` and `managed-tenant`: what they let in, and what they refuse.
use std::collections::BTreeMap;

use anyhow::Context as _;
use k8s_openapi::{
    api::{
        core::v1::{Pod, ResourceQuota},
        networking::v1::{NetworkPolicy, NetworkPolicySpec},
    },
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use rstest::rstest;
use serde_json::{Value, json};
use testkit::ControlPlane;
use tokio::sync::OnceCell;

use super::{deployed, repository};

/// A namespace from `component`, ready for objects.
pub(crate) async fn made(component: &str) -> anyhow::Result<(&'static ControlPlane, &'static str)> {
    static DEVELOPING: OnceCell<()> = OnceCell::const_new();
    static RELEASING: OnceCell<()> = OnceCell::const_new();
    let (once, namespace) = match component {
        "tenant" => (&DEVELOPING, "developing-tenant"),
        _ => (&RELEASING, "releasing-tenant"),
    };
    let plane = deployed().await?;
    once.get_or_try_init(async || make(plane, component, namespace).await).await?;
    Ok((plane, namespace))
}

async fn make(plane: &ControlPlane, component: &str, namespace: &str) -> anyhow::Result<()> {
    plane.apply_path(&repository().join("tests/integration/tests/manifests").join(component)).await?;
    // Plays the controller that counts: until then, the API server refuses what quotas limit.
    let quotas: Api<ResourceQuota> = Api::namespaced(plane.admin(), namespace);
    for quota in quotas.list(&ListParams::default()).await? {
        let limits = quota.spec.as_ref().and_then(|spec| spec.hard.clone()).unwrap_or_default();
        let used: BTreeMap<&str, &str> = limits.keys().map(|limit| (limit.as_str(), "0")).collect();
        let status = Patch::Merge(json!({"status": {"hard": limits, "used": used}}));
        quotas.patch_status(&quota.name_any(), &PatchParams::default(), &status).await?;
    }
    Ok(())
}

/// Asks whether such a pod would be let in; it is not kept.
async fn ask(component: &str, container: &Value, spec: &Value) -> anyhow::Result<Result<Pod, String>> {
    let (plane, namespace) = made(component).await?;
    let mut pod =
        json!({"metadata": {"name": "asked"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let merge = |into: &mut Value, more: &Value| {
        if let (Some(into), Some(more)) = (into.as_object_mut(), more.as_object()) {
            into.extend(more.clone());
        }
    };
    merge(&mut pod["spec"]["containers"][0], container);
    merge(&mut pod["spec"], spec);
    let pods: Api<Pod> = Api::namespaced(plane.admin(), namespace);
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    match pods.create(&dry_run, &serde_json::from_value(pod)?).await {
        Ok(pod) => Ok(Ok(pod)),
        Err(kube::Error::Api(status)) => Ok(Err(status.message.clone())),
        Err(error) => Err(error.into()),
    }
}

#[tokio::test]
async fn container_that_says_nothing_gets_requests_and_limits() -> anyhow::Result<()> {
    let pod = ask("tenant", &json!({}), &json!({})).await?.map_err(anyhow::Error::msg)?;
    let spec = pod.spec.context("a pod has a spec")?;
    let resources = spec.containers[0].resources.clone().unwrap_or_default();
    let quantities = |values: Option<BTreeMap<String, Quantity>>| {
        let values = values.unwrap_or_default().into_iter().map(|(name, quantity)| (name, quantity.0));
        values.collect::<Vec<_>>()
    };
    let pair = |name: &str, quantity: &str| (name.to_owned(), quantity.to_owned());
    assert_eq!(quantities(resources.requests), [pair("cpu", "10m"), pair("memory", "256Mi")]);
    assert_eq!(quantities(resources.limits), [pair("cpu", "2"), pair("memory", "2Gi")]);
    Ok(())
}

#[rstest]
#[case::privileged(json!({"securityContext": {"privileged": true}}), json!({}), "privileged")]
#[case::capability(json!({"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}), json!({}), "SYS_ADMIN")]
#[case::node_network(json!({}), json!({"hostNetwork": true}), "hostNetwork")]
#[case::node_folder(json!({}), json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}), "hostPath")]
#[case::more_than_all_runs_may(
    json!({"resources": {"limits": {"cpu": "121"}, "requests": {"cpu": "1"}}}),
    json!({"activeDeadlineSeconds": 60}),
    "exceeded quota: compute-build"
)]
#[case::more_than_all_workloads_may(
    json!({"resources": {"limits": {"cpu": "21"}, "requests": {"cpu": "1"}}}), json!({}), "exceeded quota: compute-deploy"
)]
#[tokio::test]
async fn pod_is_refused(
    #[values("tenant", "managed-tenant")] component: &str,
    #[case] container: Value,
    #[case] spec: Value,
    #[case] named: &str,
) -> anyhow::Result<()> {
    let refusal = ask(component, &container, &spec).await?.err().context("the pod was let in")?;
    assert!(refusal.contains(named), "{refusal}");
    Ok(())
}

/// How images are built: root in a user namespace of the step's own.
#[tokio::test]
async fn pod_that_builds_is_let_in() -> anyhow::Result<()> {
    let container = json!({"securityContext": {"runAsUser": 0, "capabilities": {"add": ["SETFCAP"]}}});
    ask("tenant", &container, &json!({})).await?.map_err(anyhow::Error::msg)?;
    Ok(())
}

#[rstest]
#[case::developing("tenant", None)]
#[case::releasing("managed-tenant", Some("exceeded quota: appstudio-crds"))]
#[tokio::test]
async fn nothing_is_built_where_releases_are_made(
    #[case] component: &str,
    #[case] refusal: Option<&str>,
) -> anyhow::Result<()> {
    let (plane, namespace) = made(component).await?;
    let kind =
        ApiResource::from_gvk(&GroupVersionKind::gvk("appstudio.redhat.com", "v1alpha1", "Application"));
    let applications: Api<DynamicObject> = Api::namespaced_with(plane.admin(), namespace, &kind);
    let application = DynamicObject::new("new", &kind).data(json!({"spec": {"displayName": "New"}}));
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    match (applications.create(&dry_run, &application).await, refusal) {
        (Ok(_), None) => Ok(()),
        (Err(kube::Error::Api(status)), Some(part)) if status.message.contains(part) => Ok(()),
        (outcome, _) => anyhow::bail!("{outcome:?}"),
    }
}

#[rstest]
#[case::developing("tenant")]
#[case::releasing("managed-tenant")]
#[tokio::test]
async fn network_denies_what_it_does_not_name(#[case] component: &str) -> anyhow::Result<()> {
    let (plane, namespace) = made(component).await?;
    let policies =
        Api::<NetworkPolicy>::namespaced(plane.admin(), namespace).list(&ListParams::default()).await?;
    let specs: Vec<NetworkPolicySpec> = policies.into_iter().filter_map(|policy| policy.spec).collect();
    let both = Some(vec!["Ingress".to_owned(), "Egress".to_owned()]);
    let denies_all = |spec: &NetworkPolicySpec| {
        let selects_all =
            serde_json::to_value(&spec.pod_selector).is_ok_and(|selector| selector == json!({}));
        selects_all && spec.policy_types == both && spec.ingress.is_none() && spec.egress.is_none()
    };
    assert!(specs.iter().any(denies_all), "no default-deny for both directions");

    for rule in specs.iter().filter_map(|spec| spec.ingress.as_ref()).flatten() {
        assert!(rule.from.as_ref().is_some_and(|from| !from.is_empty()), "an ingress rule lets everybody in");
    }
    for rule in specs.iter().filter_map(|spec| spec.egress.as_ref()).flatten() {
        let to = rule.to.as_ref().filter(|to| !to.is_empty()).context("an egress rule leads everywhere")?;
        for block in to.iter().filter_map(|peer| peer.ip_block.as_ref()) {
            let except = block.except.clone().unwrap_or_default();
            let is_dns = || rule.ports.iter().flatten().all(|port| port.port.is_some());
            match block.cidr.as_str() {
                "0.0.0.0/0" => assert!(except.contains(&"169.254.0.0/16".to_owned()), "{except:?}"),
                "::/0" => assert!(except.contains(&"fe80::/10".to_owned()), "{except:?}"),
                "169.254.20.10/32" => assert!(is_dns() && rule.ports.is_some()),
                other => anyhow::bail!(
                    "unexpected {other}: may a tenant's pod reach the node's credentials there?"
                ),
            }
        }
    }
    Ok(())
}
