//! Scenarios of the specification (section 10) that need the rules that ship, in policy/.

use enterprise_contract::report::ComponentReport;
use serde_json::{Value, json};

use crate::world::{World, codes, provenance};

/// The release policy of the checkout, but for what `include` does not name.
fn release_policy(include: &[&str], rule_data: &Value) -> Value {
    let folder = |name: &str| format!("file::{}/../../policy/{name}", env!("CARGO_MANIFEST_DIR"));
    json!({"sources": [{
        "policy": [folder("lib"), folder("release")],
        "ruleData": rule_data,
        "config": {"include": include},
    }]})
}

/// The report on an image whose build names this base.
async fn judged(base: &str, rule_data: &Value) -> ComponentReport {
    let world = World::new();
    let image = world.image("app", &json!({}), &[]);
    world.sign(&image);
    let mut statement = provenance(&image);
    statement["predicate"]["buildConfig"] = json!({"tasks": [{
        "name": "build", "ref": {"name": "build", "kind": "Task"}, "status": "Succeeded",
        "results": [{"name": "BASE_IMAGES_DIGESTS", "type": "string", "value": base}],
    }]});
    world.attest(&image, &[statement]);
    let policy = release_policy(&["base_image_registries"], rule_data);
    let report = world.validate(&world.request(&[&image], &policy)).await.unwrap();
    report.components.into_iter().next().unwrap()
}

#[tokio::test]
async fn scenario_11_rule_data_of_the_wrong_type_is_told_once() {
    let base = format!("strange.example/base:1@sha256:{}", "a".repeat(64));
    let report = judged(&base, &json!({"allowed_registry_prefixes": ["registry.example/"]})).await;
    assert_eq!(codes(&report.violations), ["base_image_registries.base_image_permitted"]);

    let report = judged(&base, &json!({"allowed_registry_prefixes": "registry.example/"})).await;
    // What depends on the list says nothing of its own.
    assert_eq!(codes(&report.violations), ["base_image_registries.allowed_registries_provided"]);
    let message = &report.violations[0].msg;
    assert!(message.contains("allowed_registry_prefixes") && message.contains("array"), "{message}");
}

#[tokio::test]
async fn scenario_18_a_reference_that_is_not_pinned_is_named() {
    let world = World::new();
    let csv = "apiVersion: operators.coreos.com/v1alpha1\nkind: ClusterServiceVersion\nmetadata: {name: app.v1.0.0}\n\
         spec: {version: 1.0.0, relatedImages: [{name: a, image: 'registry.example/a:latest'}]}\n";
    let layer = crate::functions::tar(&[("manifests/app.clusterserviceversion.yaml", csv)]);
    let labels = json!({"Labels": {"operators.operatorframework.io.bundle.manifests.v1": "manifests/"}});
    let image = world.image("bundle", &labels, &[layer]);
    world.sign(&image);
    world.attest(&image, &[provenance(&image)]);
    let policy = release_policy(&["olm.unpinned_references"], &json!({}));
    let report = world.validate(&world.request(&[&image], &policy)).await.unwrap();
    let violations = &report.components[0].violations;
    assert_eq!(codes(violations), ["olm.unpinned_references"]);
    assert_eq!(violations[0].term(), Some("registry.example/a:latest"));
}
