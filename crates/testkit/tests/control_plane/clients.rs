//! Namespaces and identities.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{Api, ListParams, PostParams};
use testkit::{ControlPlane, DEADLINE, Options, builders, eventually, wait_gone};

const READER: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules:
  - {apiGroups: [''], resources: [configmaps], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
  - {kind: ServiceAccount, name: reader}
";

#[tokio::test]
async fn a_service_account_may_do_only_what_a_role_grants() -> anyhow::Result<()> {
    let namespace = ControlPlane::shared().await.namespace("clients").await?;
    let client = namespace.client_as("reader").await?;
    let config_maps = Api::<ConfigMap>::default_namespaced(client.clone());

    let refused = config_maps.list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.is_forbidden()), "{refused:?}");
    let user = testkit::user_name(&namespace, "reader");
    assert!(refused.to_string().contains(&user), "{refused}");

    namespace.apply_yaml(READER).await?;
    let list = async || Ok(config_maps.list(&ListParams::default()).await?);
    eventually(DEADLINE, "the role to take effect", list).await?;

    let created =
        config_maps.create(&PostParams::default(), &builders::config_map(&namespace, "a", [])).await;
    assert!(matches!(&created, Err(kube::Error::Api(status)) if status.is_forbidden()), "{created:?}");
    let secrets = Api::<Secret>::default_namespaced(client).list(&ListParams::default()).await;
    assert!(matches!(&secrets, Err(kube::Error::Api(status)) if status.is_forbidden()), "{secrets:?}");
    Ok(())
}

#[tokio::test]
async fn namespaces_of_the_same_prefix_differ() -> anyhow::Result<()> {
    let plane = ControlPlane::shared().await;
    let first = plane.namespace("twins").await?;
    let second = plane.namespace("twins").await?;
    assert_ne!(first.name(), second.name());
    assert!(first.starts_with("twins-") && second.starts_with("twins-"));
    Ok(())
}

#[tokio::test]
async fn controllers_collect_garbage_and_empty_deleted_namespaces() -> anyhow::Result<()> {
    let plane = ControlPlane::start(Options { controllers: true, ..Options::default() }).await?;
    let namespace = plane.namespace("garbage").await?;
    let config_maps = Api::<ConfigMap>::namespaced(plane.admin(), &namespace);
    let create = async |map| config_maps.create(&PostParams::default(), &map).await;
    let owner = create(builders::config_map(&namespace, "owner", [])).await?;
    create(builders::Build::owned_by(builders::config_map(&namespace, "child", []), &owner)).await?;

    config_maps.delete("owner", &kube::api::DeleteParams::background()).await?;
    wait_gone(&config_maps, "child", 2 * DEADLINE).await?;

    create(builders::config_map(&namespace, "left", [])).await?;
    let name = namespace.name().to_owned();
    drop(namespace);
    wait_gone(&Api::<Namespace>::all(plane.admin()), &name, 2 * DEADLINE).await
}
