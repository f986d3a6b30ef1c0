//! Policies that cannot be used end the run before any image is judged, and say why.

use std::error::Error as _;

use enterprise_contract::judge::{Error, Request};
use enterprise_contract::policy::Expected;
use enterprise_contract::snapshot::Asked;
use rstest::rstest;
use serde_json::{Value, json};

use crate::world::{ALLOW, World};

/// The error and what it is caused by, as one text.
async fn refused(world: &World, request: &Request) -> String {
    let error = world.validate(request).await.unwrap_err();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    // Nothing was asked of the registry, and no image judged.
    assert!(!world.registry.calls().iter().any(|call| call.contains(".att")), "{:?}", world.registry.calls());
    text
}

#[rstest]
#[case::unknown_field(json!({"sorces": []}), "'sorces'")]
#[case::unknown_field_in_a_source(json!({"sources": [{"policy": ["x"], "dta": []}]}), "sources.0")]
#[case::source_without_rules(json!({"sources": [{"policy": ["file::/nowhere/at/all"]}]}), "/nowhere/at/all")]
#[case::insecure(json!({"sources": [{"policy": ["http://policy.example/rules"]}]}), "policy.example")]
#[tokio::test]
async fn are_refused(#[case] policy: Value, #[case] reason: &str) {
    let world = World::new();
    let image = world.good("app");
    let error = refused(&world, &world.request(&[&image], &policy)).await;
    assert!(error.contains(reason), "{error}");
}

#[rstest]
#[case::forbidden(
    "package policy.release.a\nimport rego.v1\n\ndeny contains \"x\" if {\n\thttp.send({\"url\": \"https://x\"})\n}\n",
    "rules.rego:5",
    "http.send"
)]
#[case::unknown_function(
    "package policy.release.a\nimport rego.v1\ndeny contains \"x\" if {\n\tno.such(1)\n}\n",
    "rules.rego:4",
    "no.such"
)]
#[case::broken("package policy.release.a\nimport rego.v1\n\ndeny contains \"x\" if {\n", "rules.rego", "")]
#[case::number("package policy.release.a\nimport rego.v1\ndeny := 5\n", "rules.rego:3", "unsupported value")]
#[tokio::test]
async fn rules_that_cannot_be_used_are_refused_with_their_place(
    #[case] rules: &str,
    #[case] place: &str,
    #[case] reason: &str,
) {
    let world = World::new();
    let image = world.good("app");
    let error = refused(&world, &world.request(&[&image], &world.policy(rules))).await;
    assert!(error.contains(place) && error.contains(reason), "{error}");
}

#[tokio::test]
async fn two_rules_of_one_code_are_refused() {
    let world = World::new();
    let image = world.good("app");
    let twice = ALLOW.to_owned() + &ALLOW[ALLOW.find("# METADATA").unwrap()..];
    let error = refused(&world, &world.request(&[&image], &world.policy(&twice))).await;
    assert!(error.contains("allow.all"), "{error}");
}

#[rstest]
#[case::nobody(
    Expected::default(),
    "identity.subject or .subjectRegExp and identity.issuer or .issuerRegExp are missing"
)]
#[case::no_issuer(Expected { certificate_identity: "me".to_owned(), ..Expected::default() }, "identity.issuer or .issuerRegExp is missing")]
#[case::no_roots(Expected { certificate_identity: "me".to_owned(), certificate_oidc_issuer: "https://issuer.example".to_owned(), ..Expected::default() }, "roots of trust")]
#[case::no_key(Expected { public_key: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".to_owned(), ..Expected::default() }, "public key")]
#[case::no_file(Expected { public_key: "/nowhere/cosign.pub".to_owned(), ..Expected::default() }, "/nowhere/cosign.pub")]
#[case::unsupported(Expected { public_key: "awskms://key".to_owned(), ..Expected::default() }, "awskms://")]
#[case::not_in_a_cluster(Expected { public_key: "k8s://ns/secret".to_owned(), ..Expected::default() }, "Secret ns/secret is in a cluster")]
#[tokio::test]
async fn without_somebody_to_trust_nothing_is_judged(#[case] signers: Expected, #[case] reason: &str) {
    let world = World::new();
    let image = world.good("app");
    let request = Request { signers, ..world.request(&[&image], &world.policy(ALLOW)) };
    let error = refused(&world, &request).await;
    assert!(error.contains(reason), "{error}");
}

#[tokio::test]
async fn a_log_without_its_key_is_refused() {
    let world = World::new();
    let image = world.good("app");
    let mut request = world.request(&[&image], &world.policy(ALLOW));
    request.signers.rekor_url = "https://rekor.example".to_owned();
    let error = refused(&world, &request).await;
    assert!(error.contains("transparency log") && error.contains("roots of trust"), "{error}");
    request.signers.ignore_rekor = true;
    assert!(world.validate(&request).await.unwrap().success);
}

#[rstest]
#[case::no_document(Asked { images: Some("{".to_owned()), ..Asked::default() }, "--images")]
#[case::no_image(Asked { images: Some("{\"components\": [{\"name\": \"a\"}]}".to_owned()), ..Asked::default() }, "components[0].containerImage")]
#[case::nothing(Asked::default(), "--image")]
#[case::in_a_cluster(Asked { snapshot: Some("ns/name".to_owned()), ..Asked::default() }, "Snapshot ns/name is in a cluster")]
#[tokio::test]
async fn snapshots_are_refused_too(#[case] images: Asked, #[case] reason: &str) {
    let world = World::new();
    let request = Request { images, ..world.request(&[], &world.policy(ALLOW)) };
    let error = refused(&world, &request).await;
    assert!(error.contains(reason), "{error}");
}

/// Text, file, folder with `.ec/policy.yaml`, and the whole object.
#[tokio::test]
async fn are_found_in_all_their_forms() {
    let world = World::new();
    let image = world.good("app");
    let spec = world.policy(ALLOW);
    let object = json!({"apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "EnterpriseContractPolicy", "spec": spec});
    let file = world.write("mine.yaml", &object.to_string());
    let folder = world.source("with-policy", &[(".ec/policy.json", &spec.to_string()), ("policy.json", "{")]);
    for policy in [spec.to_string(), object.to_string(), file, folder] {
        let request = Request { policy: policy.clone(), ..world.request(&[&image], &Value::Null) };
        assert!(world.validate(&request).await.unwrap().success, "{policy}");
    }
    let world = World::new();
    let empty = world.source("without-policy", &[("a.yaml", "a: 1"), ("b.yaml", "b: 1")]);
    let request = Request { policy: empty, ..world.request(&[&image], &Value::Null) };
    assert!(refused(&world, &request).await.contains(".ec/policy.yaml"));
}

/// The key of the policy, as text and as file, and that of a flag before it.
#[tokio::test]
async fn keys_are_those_of_the_policy_unless_a_flag_names_another() {
    let (world, other) = (World::new(), World::new());
    let image = world.good("app");
    let (key, other) = (world.key.public().to_pem(), other.key.public().to_pem());
    let path = world.write("cosign.pub", &key);
    let both = format!("{other}{key}");
    let set = json!({"keys": [{"key": key, "notAfter": "2024-02-01T00:00:00Z"}, {"key": other}]}).to_string();
    for (of_policy, of_flag, success) in [
        (&key, "", true),
        (&path, "", true),
        (&both, "", true),
        (&other, "", false),
        (&other, key.as_str(), true),
        (&set, "", false),
    ] {
        let mut policy = world.policy(ALLOW);
        policy["publicKey"] = json!(of_policy);
        let mut request = world.request(&[&image], &policy);
        request.signers.public_key = of_flag.to_owned();
        let report = world.validate(&request).await.unwrap();
        assert_eq!(report.success, success, "{of_policy} {of_flag}");
    }
}

#[tokio::test]
async fn an_error_names_the_source() {
    let world = World::new();
    let image = world.good("app");
    let mut policy = world.policy("package a\nimport rego.v1\ndeny contains 1 if {\n");
    policy["sources"][0]["name"] = json!("the strict one");
    let error = world.validate(&world.request(&[&image], &policy)).await.unwrap_err();
    assert!(matches!(&error, Error::Rules { name, .. } if name == "the strict one"), "{error:?}");
}
