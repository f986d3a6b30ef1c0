//! The ledger has exactly what was done, and by whom.

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchParams};
use serde_json::json;
use testkit::{ControlPlane, builders, user_name};

#[tokio::test]
async fn has_each_call_with_its_user_object_and_answer() -> anyhow::Result<()> {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace("ledger").await?;
    let client = namespace.client_as("writer").await?;
    let refused = Api::<ConfigMap>::namespaced(client, &namespace);
    let maps = Api::<ConfigMap>::namespaced(plane.admin(), &namespace);
    let ledger = plane.ledger()?;

    maps.create(&PostParams::default(), &builders::config_map(&namespace, "before", [])).await?;
    let mark = ledger.mark().await?;
    maps.create(&PostParams::default(), &builders::config_map(&namespace, "a", [])).await?;
    let labels = Patch::Apply(json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"labels": {"a": "b"}},
    }));
    maps.patch("a", &PatchParams::apply("tester"), &labels).await?;
    maps.get("a").await?;
    assert!(maps.get_opt("absent").await?.is_none());
    let mut watch = maps.watch(&WatchParams::default(), "0").await?.boxed();
    watch.next().await;
    assert!(refused.list(&ListParams::default()).await.is_err());
    maps.delete("a", &DeleteParams::default()).await?;
    let calls = ledger.since(&mark).await?.in_namespace(&namespace);
    maps.create(&PostParams::default(), &builders::config_map(&namespace, "after", [])).await?;

    let shown: Vec<String> =
        calls.iter().map(|call| call.to_string().replace(namespace.name(), "NS")).collect();
    let expected = [
        "201 create configmaps NS/a by konflux-test-admin",
        "200 patch configmaps NS/a by konflux-test-admin",
        "200 get configmaps NS/a by konflux-test-admin",
        "404 get configmaps NS/absent by konflux-test-admin",
        "200 watch configmaps NS/* by konflux-test-admin",
        "403 list configmaps NS/* by system:serviceaccount:NS:writer",
        "200 delete configmaps NS/a by konflux-test-admin",
    ];
    assert_eq!(shown, expected);
    assert_eq!((calls.writes(), calls.reads()), (3, 4));
    assert_eq!(calls.by(&user_name(&namespace, "writer")).len(), 1);
    assert_eq!(calls.except("configmaps").len(), 0);
    let managers: Vec<_> = calls.iter().filter_map(testkit::ledger::Call::field_manager).collect();
    assert_eq!(managers, ["tester"]);
    Ok(())
}

#[tokio::test]
async fn reviews_and_dry_runs_are_no_writes() -> anyhow::Result<()> {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace("ledger").await?;
    let maps = Api::<ConfigMap>::namespaced(plane.admin(), &namespace);
    let ledger = plane.ledger()?;
    let mark = ledger.mark().await?;

    let dry = PostParams { dry_run: true, ..PostParams::default() };
    maps.create(&dry, &builders::config_map(&namespace, "a", [])).await?;
    let review = json!({
        "spec": {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": namespace.name()}},
    });
    Api::<k8s_openapi::api::authorization::v1::SelfSubjectAccessReview>::all(plane.admin())
        .create(&PostParams::default(), &serde_json::from_value(review)?)
        .await?;

    let calls = ledger.since(&mark).await?;
    assert_eq!(calls.in_namespace(&namespace).about("configmaps").len(), 1);
    let reviews = calls.about("selfsubjectaccessreviews");
    assert!(!reviews.is_empty());
    assert_eq!(reviews.writes() + calls.in_namespace(&namespace).writes(), 0);
    Ok(())
}
