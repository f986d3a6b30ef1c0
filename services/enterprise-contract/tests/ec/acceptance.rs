//! The scenarios of the specification (section 10) that concern images.

use enterprise_contract::effective_time::EffectiveTime;
use enterprise_contract::judge::Error;
use enterprise_contract::snapshot::Asked;
use serde_json::{Value, json};

use crate::world::{ALLOW, World, codes, digest, provenance, provenance_at};

const SIGNATURE: &str = "builtin.image.signature_check";
const ATTESTATION: &str = "builtin.attestation.signature_check";
const SYNTAX: &str = "builtin.attestation.syntax_check";

/// A rule that refuses every image, from some day on.
fn refuse(from: &str) -> String {
    format!(
        r#"
package policy.release.refuse
import rego.v1

# METADATA
# title: Refused
# custom:
#   short_name: all
deny contains {{"msg": "refused", "code": "refuse.all", "effective_on": "{from}"}}
"#
    )
}

#[tokio::test]
async fn a_signed_and_attested_image_passes() {
    let world = World::new();
    let image = world.good("app");
    let report = world.validate(&world.request(&[&image], &world.policy(ALLOW))).await.unwrap();
    assert!(report.success, "{report:#?}");
    assert_eq!(report.key.trim(), world.key.public().to_pem().trim());
    let component = &report.components[0];
    assert_eq!(codes(&component.successes), ["allow.all", ATTESTATION, SYNTAX, SIGNATURE]);
    assert!(component.successes.iter().all(|finding| finding.msg == "Pass"));
    assert_eq!(component.container_image, image.to_string());
    assert_eq!(component.signatures[0]["keyid"], world.key.public().key_id());
    let attestation = &component.attestations[0];
    assert_eq!(attestation.predicate_type, "https://slsa.dev/provenance/v0.2");
    assert_eq!(attestation.predicate_build_type.as_deref(), Some("tekton.dev/v1beta1/PipelineRun"));
    assert_eq!(attestation.statement, provenance(&image));
    let input = &component.policy_input;
    assert_eq!(input["attestations"][0]["statement"], provenance(&image));
    assert_eq!(input["image"]["ref"], image.to_string());
    assert_eq!(input["image"]["config"]["Labels"]["name"], "app");
    assert_eq!(input["snapshot"]["components"][0]["containerImage"], image.to_string());
    assert!(report.errors.is_empty());
}

#[tokio::test]
async fn another_key_finds_neither_signature_nor_attestation() {
    let (world, other) = (World::new(), World::new());
    let image = world.good("app");
    let mut request = world.request(&[&image], &world.policy(ALLOW));
    request.signers.public_key = other.key.public().to_pem();
    let report = world.validate(&request).await.unwrap();
    assert!(!report.success);
    let component = &report.components[0];
    assert_eq!(codes(&component.violations), [ATTESTATION, SIGNATURE]);
    assert!(
        component.successes.is_empty()
            && component.signatures.is_empty()
            && component.attestations.is_empty()
    );
    let msg = &component.violations[1].msg;
    assert!(
        msg.contains("Is it the right key, and was the image signed at all?") && msg.contains("did not make"),
        "{msg}"
    );
}

#[tokio::test]
async fn copies_stay_good() {
    let world = World::new();
    let copy = world.copy(&world.good("app"), "elsewhere/copy");
    let report = world.judge(&copy).await;
    assert!(report.success, "{report:#?}");
}

#[tokio::test]
async fn a_rule_of_a_later_day_warns_until_then() {
    let world = World::new();
    let image = world.good("app");
    let mut request = world.request(&[&image], &world.policy(&refuse("2999-01-01T00:00:00Z")));
    let report = world.validate(&request).await.unwrap();
    assert!(report.success);
    assert_eq!(codes(&report.components[0].warnings), ["refuse.all"]);
    request.effective_time = EffectiveTime::At("2999-01-02T00:00:00Z".parse().unwrap());
    let report = world.validate(&request).await.unwrap();
    assert_eq!(codes(&report.components[0].violations), ["refuse.all"]);
    assert_eq!(report.effective_time, "2999-01-02T00:00:00Z");
}

#[tokio::test]
async fn each_image_is_judged_by_its_own_time() {
    let world = World::new();
    let images = ["2024-02-01T00:00:00Z", "2024-04-01T00:00:00Z"].map(|finished| {
        let image = world.image(&format!("app-{}", &finished[6..7]), &json!({}), &[]);
        world.sign(&image);
        world.attest(
            &image,
            &[provenance_at(&image, "2020-01-01T00:00:00Z"), provenance_at(&image, finished)],
        );
        image
    });
    let rule = refuse("2024-03-01T00:00:00Z") + "warn contains json.marshal(data.config.policy.when_ns)\n";
    let mut request = world.request(&[&images[0], &images[1]], &world.policy(&rule));
    request.effective_time = EffectiveTime::Attestation;
    let report = world.validate(&request).await.unwrap();
    let [late, early] = &report.components[..] else { panic!("{report:#?}") };
    assert_eq!(codes(&early.violations), [] as [&str; 0]);
    assert_eq!(codes(&late.violations), ["refuse.all"]);
    assert_eq!(early.effective_time.as_deref(), Some("2024-02-01T00:00:00Z"));
    assert_eq!(early.warnings[0].msg, "1706745600000000000");
    assert_eq!(late.warnings[0].msg, "1711929600000000000");
}

#[tokio::test]
async fn an_exclusion_of_one_term_drops_that_term_only() {
    let world = World::new();
    let image = world.good("app");
    let rules = r#"
package policy.release.test
import rego.v1

# METADATA
# title: No failed tests
# custom:
#   short_name: no_failed_tests
#   collections: [minimal]
deny contains {"msg": sprintf("%s has failed", [scan]), "code": "test.no_failed_tests", "term": scan} if {
	some scan in ["scan-x", "scan-y"]
}
"#;
    let mut policy = world.policy(rules);
    policy["sources"][0]["config"] =
        json!({"include": ["@minimal", "test"], "exclude": ["test.no_failed_tests:scan-x"]});
    let report = world.validate(&world.request(&[&image], &policy)).await.unwrap();
    let violations = &report.components[0].violations;
    assert_eq!(
        violations.iter().map(|finding| finding.msg.as_str()).collect::<Vec<_>>(),
        ["scan-y has failed"]
    );

    // A volatile exclusion that is over counts no more; one for another image never did.
    policy["sources"][0]["config"] = Value::Null;
    policy["sources"][0].as_object_mut().unwrap().remove("config");
    for (item, expected) in [
        (json!({"value": "test"}), 0),
        (json!({"value": "test", "effectiveUntil": "2024-01-01T00:00:00Z"}), 2),
        (json!({"value": "test", "imageDigest": digest(&image).as_str()}), 0),
        (json!({"value": "test", "imageDigest": format!("sha256:{}", "0".repeat(64))}), 2),
    ] {
        policy["sources"][0]["volatileConfig"] = json!({"include": [{"value": "*"}], "exclude": [item]});
        let report = world.validate(&world.request(&[&image], &policy)).await;
        match report {
            Ok(report) => assert_eq!(report.components[0].violations.len(), expected, "{item}"),
            // Nothing else is there to check.
            Err(Error::NothingChecked(_)) => assert_eq!(expected, 0, "{item}"),
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test]
async fn each_source_sees_its_own_rule_data() {
    let world = World::new();
    let image = world.good("app");
    let rules = |package: &str| {
        format!(
            "package policy.release.{package}\nimport rego.v1\nwarn contains msg if {{\n\tmsg := sprintf(\"{package} sees %s\", \
             [data.rule_data__configuration__.who])\n}}\n"
        )
    };
    let source = |name: &str| json!({"policy": [world.source(name, &[("r.rego", &rules(name))])], "ruleData": {"who": format!("data of {name}")}});
    let mut request = world.request(&[&image], &json!({"sources": [source("one"), source("two")]}));
    let warnings = |report: &enterprise_contract::report::Report| {
        report.components[0].warnings.iter().map(|finding| finding.msg.clone()).collect::<Vec<_>>()
    };
    let report = world.validate(&request).await.unwrap();
    assert_eq!(warnings(&report), ["one sees data of one", "two sees data of two"]);
    assert_eq!(report.data[1]["rule_data__configuration__"]["who"], "data of two");
    request.extra_rule_data = json!({"who": "everybody"}).as_object().unwrap().clone();
    assert_eq!(
        warnings(&world.validate(&request).await.unwrap()),
        ["one sees everybody", "two sees everybody"]
    );
}

#[tokio::test]
async fn a_malformed_statement_is_a_violation_and_rules_are_asked_all_the_same() {
    let world = World::new();
    let image = world.image("app", &json!({}), &[]);
    world.sign(&image);
    let mut statement = provenance(&image);
    statement["predicate"]["builder"]["id"] = json!("");
    statement["predicate"]["materials"] = json!([{"uri": "not a uri"}]);
    world.attest(&image, &[statement]);
    let report = world.judge(&image).await;
    assert_eq!(codes(&report.violations), [SYNTAX]);
    assert!(report.violations[0].msg.contains("/predicate/materials/0/uri"), "{}", report.violations[0].msg);
    assert!(codes(&report.successes).contains(&"allow.all"));
}

#[tokio::test]
async fn an_index_in_a_private_registry_is_judged_with_all_its_images() {
    let world = World::new();
    let platforms: [(&str, &[&str], &[&str]); 2] =
        [("linux/amd64", &["a"], &[]), ("linux/arm64", &["b"], &[])];
    let index = world.registry.push_image("org/app", "v1", &platforms);
    let manifest: Value =
        serde_json::from_slice(&world.registry.manifest("org/app", &index).unwrap()).unwrap();
    let children: Vec<String> = manifest["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|child| child["digest"].as_str().unwrap().to_owned())
        .collect();
    for digest in [&index].into_iter().chain(&children) {
        let image = world.reference("org/app", digest);
        world.sign(&image);
        world.attest(&image, &[provenance(&image)]);
    }
    world.registry.lock("org/app", "robot", "secret");
    let mut request = world.request(&[], &world.policy(ALLOW));
    let tagged = format!("{}/org/app:v1", world.registry.address());
    let images = json!({"components": [{"name": "app", "containerImage": tagged}]}).to_string();
    request.images = Asked { images: Some(images), ..Asked::default() };
    let environment = world.environment_with(world.login("robot", "secret"), "127.0.0.1");
    let report = enterprise_contract::judge::validate_images(&request, &environment).await.unwrap();
    assert!(report.success, "{report:#?}");
    let mut names: Vec<_> = report
        .components
        .iter()
        .map(|component| (component.name.clone(), component.container_image.clone()))
        .collect();
    names.sort();
    let mut expected = vec![
        ("app".to_owned(), world.reference("org/app", &index).to_string()),
        (format!("app-{}-amd64", children[0]), world.reference("org/app", &children[0]).to_string()),
        (format!("app-{}-arm64", children[1]), world.reference("org/app", &children[1]).to_string()),
    ];
    expected.sort();
    assert_eq!(names, expected);
    // Sorted by image, descending.
    let images: Vec<_> = report.components.iter().map(|component| &component.container_image).collect();
    assert!(images.is_sorted_by(|one, other| one >= other));
}

#[tokio::test]
async fn without_selected_rules_there_is_no_report() {
    let world = World::new();
    let image = world.good("app");
    let mut policy = world.policy(ALLOW);
    policy["sources"][0]["config"] = json!({"include": ["@none"]});
    let error = world.validate(&world.request(&[&image], &policy)).await.unwrap_err();
    assert!(matches!(error, Error::NothingChecked(_)), "{error:?}");
    for empty in [json!({}), json!({"name": "nothing"})] {
        let error = world.validate(&world.request(&[&image], &empty)).await.unwrap_err();
        assert!(matches!(error, Error::NoSources), "{error:?}");
    }
    let error = world.validate(&world.request(&[&image], &world.policy("package main\n"))).await.unwrap_err();
    assert!(matches!(error, Error::NothingChecked(_)), "{error:?}");
}

#[tokio::test]
async fn an_olm_bundle_shows_its_manifests() {
    let world = World::new();
    let csv = "kind: ClusterServiceVersion\nspec: {relatedImages: [{image: 'registry.example/a:latest'}]}\n";
    let layer = crate::functions::tar(&[("manifests/app.csv.yaml", csv), ("metadata/a.yaml", "x: 1")]);
    let labels = json!({"Labels": {"operators.operatorframework.io.bundle.manifests.v1": "manifests/"}});
    let image = world.image("bundle", &labels, &[layer]);
    world.sign(&image);
    world.attest(&image, &[provenance(&image)]);
    let rules = r#"
package policy.release.olm
import rego.v1

# METADATA
# title: Pinned
# custom:
#   short_name: unpinned_references
deny contains {"msg": "not pinned", "code": "olm.unpinned_references", "term": image.image} if {
	some image in input.image.files["manifests/app.csv.yaml"].spec.relatedImages
	not contains(image.image, "@")
}
"#;
    let report = world.validate(&world.request(&[&image], &world.policy(rules))).await.unwrap();
    let violations = &report.components[0].violations;
    assert_eq!(
        (codes(violations), violations[0].term()),
        (vec!["olm.unpinned_references"], Some("registry.example/a:latest"))
    );
    let files = &report.components[0].policy_input["image"]["files"];
    assert_eq!(files.as_object().unwrap().keys().collect::<Vec<_>>(), ["manifests/app.csv.yaml"]);
}

#[tokio::test]
async fn the_policy_in_the_report_names_what_was_read() {
    let world = World::new();
    let image = world.good("app");
    let layer = |name: &str, content: &str| {
        let digest = world.registry.push_blob("policy", content.as_bytes());
        json!({
            "mediaType": "application/vnd.cncf.openpolicyagent.policy.layer.v1+rego", "digest": digest, "size": content.len(),
            "annotations": {"org.opencontainers.image.title": name},
        })
    };
    let config = world.registry.push_blob("policy", b"{}");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": crate::world::MANIFEST, "layers": [layer("policy/rules.rego", ALLOW)],
        "config": {"mediaType": "application/vnd.unknown.config.v1+json", "digest": config, "size": 2},
    });
    let digest =
        world.registry.push_manifest("policy", "v1", crate::world::MANIFEST, manifest.to_string().as_bytes());
    let url = format!("oci::{}/policy:v1", world.registry.address());
    let policy = json!({"name": "mine", "sources": [{"policy": [url]}]});
    let report = world.validate(&world.request(&[&image], &policy)).await.unwrap();
    assert!(report.success, "{report:#?}");
    assert_eq!(report.policy["name"], "mine");
    let pinned = report.policy["sources"][0]["policy"][0].as_str().unwrap();
    assert!(pinned.contains(&digest), "{pinned}");
}
