//! `ec track bundle` against a registry and a Git server.

use serde_json::{Value, json};
use testkit::git_server::GitServer;
use testkit::pki::Authority;
use testkit::registry::{BundleLayer, PlayedRegistry};

use crate::program::Workplace;

fn yaml(text: &str) -> Value {
    enterprise_contract::yaml::parse(text.as_bytes()).expect("records are YAML")
}

/// A registry with a task `task:0.1`, and a workplace that trusts it.
fn scene() -> anyhow::Result<(PlayedRegistry, Workplace, String)> {
    let authority = Authority::new("registry")?;
    let registry = PlayedRegistry::start(&authority)?;
    let digest = push(&registry, "kind: Task # 1");
    let mut workplace = Workplace::with(&[("ca.pem", authority.cert_pem())])?;
    let bundle = workplace.path().join("ca.pem").display().to_string();
    workplace.environment("EC_CA_BUNDLE", &bundle);
    Ok((registry, workplace, digest))
}

fn push(registry: &PlayedRegistry, content: &str) -> String {
    let layer = BundleLayer { kind: "task", name: "task", content: content.as_bytes().to_vec() };
    registry.push_bundle("task", "0.1", &[layer])
}

fn references(document: &Value, key: &str) -> Vec<String> {
    let records = document["trusted_tasks"][key].as_array().cloned().unwrap_or_default();
    records.iter().map(|record| record["ref"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn scenario_19_the_second_time_changes_nothing() -> anyhow::Result<()> {
    let (registry, workplace, digest) = scene()?;
    let name = format!("{}/task", registry.address());
    let bundle = format!("{name}:0.1");
    let first = workplace.works(&["track", "bundle", "--bundle", &bundle, "--output", "trusted.yml"]).await?;
    assert_eq!(first, "");
    let before = workplace.read("trusted.yml")?;
    let key = format!("oci://{bundle}");
    assert_eq!(references(&yaml(&before), &key), std::slice::from_ref(&digest));
    assert_eq!(yaml(&before)["task-bundles"][&name][0]["digest"], digest.as_str());
    workplace
        .works(&["track", "tekton-task", "--bundle", &bundle, "--input", "trusted.yml", "--replace"])
        .await?;
    assert_eq!(workplace.read("trusted.yml")?, before);

    // What the tag has moved to is found by itself.
    let newer = push(&registry, "kind: Task # 2");
    let fresh = workplace.works(&["track", "bundle", "--input", "trusted.yml", "--freshen"]).await?;
    let fresh = yaml(&fresh);
    assert!(references(&fresh, &key).contains(&newer), "{fresh}");
    Ok(())
}

#[tokio::test]
async fn records_are_kept_in_a_bundle_too() -> anyhow::Result<()> {
    let (registry, workplace, digest) = scene()?;
    let bundle = format!("{}/task:0.1", registry.address());
    let data = format!("oci:{}/data:latest", registry.address());
    workplace.works(&["track", "bundle", "--bundle", &bundle, "--output", &data]).await?;
    let manifest: Value = serde_json::from_slice(&registry.manifest("data", "latest").unwrap())?;
    assert_eq!(
        manifest["layers"][0]["annotations"]["org.opencontainers.image.title"],
        "data/data/trusted_tekton_tasks.yml"
    );
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.unknown.config.v1+json");
    let again = yaml(&workplace.works(&["track", "bundle", "--input", &data]).await?);
    assert_eq!(references(&again, &format!("oci://{bundle}")), [digest]);
    let shown =
        workplace.works(&["inspect", "policy-data", "--source", &data.replacen("oci:", "oci::", 1)]).await?;
    assert_eq!(serde_json::from_str::<Value>(&shown)?, again);
    Ok(())
}

#[tokio::test]
async fn tasks_in_git_are_recorded_by_their_commit() -> anyhow::Result<()> {
    let server = GitServer::start().await?;
    let repository = server.repository("tasks")?;
    let first = repository.commit(&[("build/task.yaml", "kind: Task")])?;
    repository.commit(&[("README", "other")])?;
    let mut workplace = Workplace::with(&[])?;
    workplace.environment("EC_OUTBOUND_ALLOW", server.origin());
    let key = format!("git+{}//build/task.yaml", server.url("tasks"));
    let pinned = yaml(&workplace.works(&["track", "bundle", "--git", &format!("{key}@{first}")]).await?);
    assert_eq!(references(&pinned, &key), std::slice::from_ref(&first));
    let ended = workplace.ec(&["track", "bundle", "--git", &key]).await?;
    assert!(ended.code == Some(1) && ended.stderr.contains("--freshen"), "{ended:?}");
    let found = yaml(&workplace.works(&["track", "bundle", "--git", &key, "--freshen"]).await?);
    assert_eq!(references(&found, &key), [first]);
    assert_eq!(
        found.as_object().map(|found| found.keys().cloned().collect::<Vec<_>>()),
        Some(vec!["trusted_tasks".to_owned()]),
        "{}",
        json!(found)
    );
    Ok(())
}

#[tokio::test]
async fn what_is_no_task_is_passed_over_and_what_is_not_there_is_told() -> anyhow::Result<()> {
    let (registry, workplace, _) = scene()?;
    registry.push_image("app", "v1", &[("linux/amd64", &["/app"], &[])]);
    let app = format!("{}/app:v1", registry.address());
    let ended = workplace.ec(&["track", "bundle", "--bundle", &app]).await?;
    assert!(ended.code == Some(0) && ended.stderr.contains("holds no task"), "{ended:?}");
    assert_eq!(yaml(&ended.stdout), json!({"trusted_tasks": {}}));
    let gone = format!("{}/gone:v1", registry.address());
    let ended = workplace.ec(&["track", "bundle", "--bundle", &gone, "--output", "out.yml"]).await?;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(workplace.read("out.yml").is_err());
    Ok(())
}
