//! What the status of a policy says.

use kube::api::DeleteParams;
use serde_json::json;
use testkit::{DEADLINE, eventually, wait_for};

use crate::service::{RULES, Service};

#[tokio::test]
async fn a_policy_that_can_be_used_is_ready_and_says_what_it_led_to() -> anyhow::Result<()> {
    let service = Service::start(&[]).await?;
    service.key("public-key").await?;
    let mut spec = service.spec();
    spec["publicKey"] = json!(format!("k8s://{}/public-key", service.tenant));
    spec["sources"][0]["config"] = json!({"include": ["@minimal"]});
    service.create("release", &spec).await?;
    let (policy, message) = service.until("release", "Valid").await?;
    assert_eq!(message, "All sources are read; rules that count: 1");
    let commit = service.rules.git(&["rev-parse", "HEAD"])?;
    let resolved = policy.status.unwrap().resolved_sources;
    let found: Vec<_> = resolved
        .iter()
        .map(|source| (source.url.clone(), source.revision.clone(), source.rule_count))
        .collect();
    let commit = Some(commit);
    assert_eq!(
        found,
        [(service.url("policy"), commit.clone(), Some(2)), (service.url("data"), commit, None)]
    );

    let families = service.registry.gather();
    let valid = families.iter().find(|family| family.name() == "ec_policy_valid").unwrap();
    assert!(valid.get_metric()[0].get_gauge().get_value() > 0.5);
    let took = families.iter().find(|family| family.name() == "ec_policy_resolve_duration_seconds").unwrap();
    let count: u64 = took.get_metric().iter().map(|metric| metric.get_histogram().get_sample_count()).sum();
    assert!(count >= 1);
    service.policies().delete("release", &DeleteParams::default()).await?;
    eventually(DEADLINE, "the metric to go", async || {
        let families = service.registry.gather();
        anyhow::ensure!(
            families
                .iter()
                .all(|family| family.name() != "ec_policy_valid" || family.get_metric().is_empty())
        );
        Ok(())
    })
    .await
}

/// Each is wrong in one way, and says in which.
#[tokio::test]
async fn what_stands_in_the_way_is_told() -> anyhow::Result<()> {
    let service = Service::start(&[]).await?;
    service.rules.commit(&[
        ("broken/a.rego", "package a\n\nimport rego.v1\n\ndeny contains {\n"),
        ("forbidden/b.rego", "package b\n\nimport rego.v1\n\nx := http.send({})\n"),
        ("twice/d.yaml", "rule_data: {x: 2}"),
        ("empty/README", "nothing"),
    ])?;
    let tenant = &service.tenant;
    let of = |policy: &[&str], data: &[&str]| {
        let urls = |names: &[&str]| names.iter().map(|name| service.url(name)).collect::<Vec<_>>();
        json!({"sources": [{"policy": urls(policy), "data": urls(data)}]})
    };
    let with = |key: &str, value: serde_json::Value| {
        let mut spec = service.spec();
        spec[key] = value;
        spec
    };
    let none =
        json!([{"policy": [service.url("policy")], "config": {"exclude": ["*", "@minimal", "sample"]}}]);
    let cases = [
        ("broken", of(&["broken"], &[]), "InvalidSpec", "//broken#a.rego:"),
        ("forbidden", of(&["forbidden"], &[]), "InvalidSpec", "http.send"),
        ("twice", of(&["policy"], &["data", "twice"]), "InvalidSpec", "data key \"rule_data.x\""),
        ("no-rego", of(&["empty"], &[]), "InvalidSpec", "has no Rego"),
        (
            "local",
            json!({"sources": [{"policy": ["file:///etc"]}]}),
            "InvalidSpec",
            "own machine are not read",
        ),
        (
            "plain-http",
            json!({"sources": [{"policy": ["git::http://git.test/r"]}]}),
            "InvalidSpec",
            "http is insecure",
        ),
        ("gone", of(&["gone"], &[]), "SourceUnreachable", "there is no folder \"gone\""),
        (
            "inside",
            json!({"sources": [{"policy": ["git::https://169.254.169.254/r"]}]}),
            "SourceUnreachable",
            "--outbound-allow",
        ),
        ("excluded", with("sources", none), "NoRules", "No rule counts"),
        ("nothing", json!({}), "NoRules", "No rule counts"),
        (
            "no-key",
            with("publicKey", json!(format!("k8s://{tenant}/public-key"))),
            "KeyUnreadable",
            "there is no Secret public-key",
        ),
        (
            "other-key",
            with("publicKey", json!(format!("k8s://{tenant}/other"))),
            "KeyUnreadable",
            "may not be read by this controller",
        ),
        (
            "bad-key",
            with("publicKey", json!("-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----")),
            "KeyUnreadable",
            "spec.publicKey",
        ),
    ];
    for (name, spec, ..) in &cases {
        service.create(name, spec).await?;
    }
    for (name, _, reason, expected) in &cases {
        let (_, message) = service.until(name, reason).await?;
        assert!(message.contains(expected), "{name}: {message}");
    }

    // And what is mended is ready.
    service.patch("broken", &json!({"spec": service.spec()})).await?;
    service.until("broken", "Valid").await?;
    Ok(())
}

#[tokio::test]
async fn sources_are_fetched_again_and_a_key_that_comes_later_is_found() -> anyhow::Result<()> {
    let service = Service::start(&["--resolve-interval=1", "--key-interval=1"]).await?;
    service.create("moving", &service.spec()).await?;
    let mut keyed = service.spec();
    keyed["publicKey"] = json!(format!("k8s://{}/public-key", service.tenant));
    service.create("keyed", &keyed).await?;
    service.until("moving", "Valid").await?;
    service.until("keyed", "KeyUnreadable").await?;

    let commit =
        service.rules.commit(&[("policy/more.rego", &RULES.replace("release.sample", "release.more"))])?;
    let policies = service.policies();
    wait_for(
        &policies,
        "moving",
        "the new commit",
        DEADLINE,
        |policy: &enterprise_contract_api::EnterpriseContractPolicy| {
            policy.status.as_ref().is_some_and(|status| {
                status
                    .resolved_sources
                    .iter()
                    .any(|source| source.revision.as_ref() == Some(&commit) && source.rule_count == Some(4))
            })
        },
    )
    .await?;
    service.key("public-key").await?;
    service.until("keyed", "Valid").await?;
    service.secrets().delete("public-key", &DeleteParams::default()).await?;
    service.until("keyed", "KeyUnreadable").await?;
    Ok(())
}
