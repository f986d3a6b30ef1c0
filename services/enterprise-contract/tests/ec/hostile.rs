//! Registries and rules that do not do what they should: one image's trouble is its own, and none of it passes.

use std::time::Duration;

use enterprise_contract::judge::Error;
use enterprise_contract::report::Report;
use enterprise_contract::snapshot::Asked;
use rstest::rstest;
use serde_json::json;

use crate::world::{ALLOW, World, codes, digest, provenance};

const ACCESSIBLE: &str = "builtin.image.accessible";

fn images(world: &World, images: &[String]) -> enterprise_contract::judge::Request {
    let components: Vec<_> =
        images.iter().map(|image| json!({"name": "c", "containerImage": image})).collect();
    let images = json!({"components": components}).to_string();
    let request = world.request(&[], &world.policy(ALLOW));
    enterprise_contract::judge::Request {
        images: Asked { images: Some(images), ..Asked::default() },
        ..request
    }
}

/// Codes of the violations, by image.
fn violations(report: &Report) -> Vec<(&str, Vec<&str>)> {
    report.components.iter().map(|found| (found.container_image.as_str(), codes(&found.violations))).collect()
}

#[tokio::test]
async fn images_that_cannot_be_read_do_not_hide_the_others() {
    let world = World::new();
    let good = world.good("app").to_string();
    let private = world.good("private").to_string();
    world.registry.lock("private", "robot", "secret");
    let gone = format!("{}/gone:v1", world.registry.address());
    let nowhere = "127.0.0.1:1/nowhere:v1".to_owned();
    let asked = [good.clone(), private.clone(), gone.clone(), nowhere.clone(), "NO IMAGE".to_owned()];
    let report = world.validate(&images(&world, &asked)).await.unwrap();
    assert!(!report.success);
    let mut found = violations(&report);
    found.sort();
    let mut expected = vec![
        (good.as_str(), vec![]),
        (private.as_str(), vec![ACCESSIBLE]),
        (gone.as_str(), vec![ACCESSIBLE]),
        (nowhere.as_str(), vec![ACCESSIBLE]),
        ("NO IMAGE", vec![ACCESSIBLE]),
    ];
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_manifest_that_is_no_image_is_a_violation() {
    let world = World::new();
    for (number, content) in ["{}", "[]", r#"{"layers": [], "manifests": []}"#, "no json"].iter().enumerate()
    {
        let repository = format!("strange{number}");
        let digest =
            world.registry.push_manifest(&repository, "", crate::world::MANIFEST, content.as_bytes());
        let image = world.reference(&repository, &digest);
        world.sign(&image);
        world.attest(&image, &[provenance(&image)]);
        assert_eq!(codes(&world.judge(&image).await.violations), [ACCESSIBLE], "{content}");
    }
}

#[rstest]
#[case::zstd(vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0], "zstd")]
#[case::no_tar(vec![7; 1024], "layer")]
#[tokio::test]
async fn files_that_rules_would_look_into_but_cannot_be_read_are_a_violation(
    #[case] layer: Vec<u8>,
    #[case] reason: &str,
) {
    let world = World::new();
    let image = world.image("app", &json!({"Labels": {"vendor": "Red Hat, Inc."}}), &[layer]);
    world.sign(&image);
    world.attest(&image, &[provenance(&image)]);
    let report = world.judge(&image).await;
    assert_eq!(codes(&report.violations), [ACCESSIBLE]);
    assert!(report.violations[0].msg.contains(reason), "{}", report.violations[0].msg);
}

/// The labels of the parent are shown; that it cannot be read is no fault of the image.
#[tokio::test]
async fn parents_are_shown_where_they_can_be_read() {
    let world = World::new();
    let base = world.image("base", &json!({"Labels": {"from": "base"}}), &[]);
    for (annotation, expected) in [
        (json!({"org.opencontainers.image.base.name": base.to_string()}), json!("base")),
        (
            json!({"org.opencontainers.image.base.name": format!("{}:v1", base.name()), "org.opencontainers.image.base.digest": digest(&base).as_str()}),
            json!("base"),
        ),
        (
            json!({"org.opencontainers.image.base.name": world.reference("none", digest(&base).as_str()).to_string()}),
            json!(null),
        ),
    ] {
        let image = world.image_with("app", &json!({}), &[], &annotation);
        world.sign(&image);
        world.attest(&image, &[provenance(&image)]);
        let report = world.judge(&image).await;
        assert!(report.success, "{report:#?}");
        assert_eq!(
            report.policy_input["image"]["parent"]["config"]["Labels"]["from"], expected,
            "{annotation}"
        );
    }
}

/// A rule that stops the evaluation is no pass: the image fails, and so does the run, but others are reported.
#[tokio::test]
async fn rules_that_cannot_be_evaluated_are_a_violation_of_that_image() {
    let world = World::new();
    let (good, bad) = (world.good("good"), world.good("bad"));
    let rules = format!(
        "{ALLOW}\nnumber := 1 if contains(input.image.ref, \"bad\")\n\nnumber := 2\n\nwarn contains \"x\" if number == 3\n"
    );
    let report = world.validate(&world.request(&[&good, &bad], &world.policy(&rules))).await.unwrap();
    assert!(!report.success);
    assert_eq!(report.errors.len(), 1);
    assert!(
        report.errors[0].contains("/bad@") && report.errors[0].contains("cannot be evaluated"),
        "{:?}",
        report.errors
    );
    let success = |name: &str| {
        report.components.iter().find(|found| found.container_image.contains(name)).unwrap().success
    };
    assert!(success("/good@") && !success("/bad@"));
}

#[tokio::test]
async fn nothing_checked_for_one_image_fails_that_image() {
    let world = World::new();
    let (one, two) = (world.good("one"), world.good("two"));
    let mut policy = world.policy(ALLOW);
    policy["sources"][0]["volatileConfig"] =
        json!({"exclude": [{"value": "allow", "imageDigest": digest(&one).as_str()}]});
    let report = world.validate(&world.request(&[&one, &two], &policy)).await.unwrap();
    let of =
        |name: &str| report.components.iter().find(|found| found.container_image.contains(name)).unwrap();
    assert!(!report.success && of("/two@").success && !of("/one@").success);
    assert!(report.errors[0].contains("no rule is selected"), "{:?}", report.errors);
}

#[tokio::test]
async fn a_registry_that_stalls_ends_with_the_stage_and_the_image() {
    let world = World::new();
    let image = world.good("app");
    let mut request = world.request(&[&image], &world.policy(ALLOW));
    request.timeout = Some(Duration::from_millis(500));
    world.registry.stall(true);
    let error = world.validate(&request).await.unwrap_err();
    let Error::Timeout { running, .. } = &error else { panic!("{error:?}") };
    assert!(!running.is_empty(), "{error}");
    assert!(error.to_string().contains("not finished within 0.5 s"), "{error}");
}
