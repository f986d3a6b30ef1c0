//! Applying manifests.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ResourceExt as _};
use kube::core::DynamicObject;
use testkit::ControlPlane;

const KIND_AND_OBJECT: &str = "
apiVersion: example.com/v1
kind: Lamp
metadata: {name: desk}
spec: {watts: 5}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: lamps.example.com}
spec:
  group: example.com
  names: {kind: Lamp, plural: lamps, singular: lamp}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec: {type: object, properties: {watts: {type: integer}}}
";

#[tokio::test]
async fn applies_a_definition_before_objects_of_its_kind() -> anyhow::Result<()> {
    let namespace = ControlPlane::shared().await.namespace("apply").await?;
    let applied = namespace.apply_yaml(KIND_AND_OBJECT).await?;
    let names: Vec<String> = applied.iter().map(DynamicObject::name_any).collect();
    assert_eq!(names, ["lamps.example.com", "desk"]);
    assert_eq!(applied[1].namespace().as_deref(), Some(namespace.name()));
    assert_eq!(applied[1].data["spec"]["watts"], 5);
    // Again: nothing changes.
    let again = namespace.apply_yaml(KIND_AND_OBJECT).await?;
    assert_eq!(again[1].resource_version(), applied[1].resource_version());
    Ok(())
}

#[tokio::test]
async fn applies_a_kustomization() -> anyhow::Result<()> {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace("apply").await?;
    let folder = tempfile::tempdir()?;
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: made}\ndata: {a: b}\n";
    std::fs::write(folder.path().join("map.yaml"), map)?;
    let kustomization = format!("resources: [map.yaml]\nnamespace: {namespace}\nnamePrefix: well-\n");
    std::fs::write(folder.path().join("kustomization.yaml"), kustomization)?;

    plane.apply_path(folder.path()).await?;

    let made = Api::<ConfigMap>::namespaced(plane.admin(), &namespace).get("well-made").await?;
    assert_eq!(made.data.unwrap_or_default()["a"], "b");
    Ok(())
}

#[tokio::test]
async fn names_the_object_that_is_refused() -> anyhow::Result<()> {
    let namespace = ControlPlane::shared().await.namespace("apply").await?;
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Not_A_Name}\n";
    let error = namespace.apply_yaml(text).await.unwrap_err();
    assert!(format!("{error:#}").contains("apply ConfigMap Not_A_Name"), "{error:#}");
    Ok(())
}

#[tokio::test]
async fn refuses_a_field_that_the_server_does_not_know() -> anyhow::Result<()> {
    let namespace = ControlPlane::shared().await.namespace("apply").await?;
    let built_in = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: misspelt}\ndate: {a: b}\n";
    let custom = KIND_AND_OBJECT.replace("{watts: 5}", "{watts: 5, volts: 12}");
    for (text, field) in [(built_in, "date"), (&custom, "spec.volts")] {
        let error = format!("{:#}", namespace.apply_yaml(text).await.unwrap_err());
        assert!(error.contains(field), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn reports_a_broken_kustomization() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("kustomization.yaml"), "resources: [absent.yaml]\n")?;
    let error = testkit::manifests::read(folder.path()).await.unwrap_err();
    assert!(format!("{error:#}").contains("absent.yaml"), "{error:#}");
    Ok(())
}
