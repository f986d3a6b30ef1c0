//! update-cr-status.

use kube::ResourceExt as _;
use release_service_api::Release;
use serde_json::json;

use crate::world::World;

const FLAGS: [&str; 4] = [
    "update-cr-status",
    "--resource={tenant}/release-1",
    "--workspace={folder}/work",
    "--results-dir-path=run/results",
];

#[tokio::test]
async fn results_become_artifacts_once() -> anyhow::Result<()> {
    let world = World::new().await?;
    let release = async || world.get::<Release>(&world.tenant, "release-1").await;
    let artifacts = async || anyhow::Ok(release().await?.status.unwrap_or_default().artifacts);
    world.run(&FLAGS).await?.succeeded();
    assert_eq!(artifacts().await?, Some(json!({})), "without a folder");
    world.write(
        "work/run/results/push-snapshot-results.json",
        &json!({"images": [{"name": "web", "urls": ["u:1"]}]}),
    )?;
    world.write("work/run/results/record.json", &json!({"record": {"url": "https://git.example/r"}}))?;
    world.run(&FLAGS).await?.succeeded();
    let expected =
        json!({"images": [{"name": "web", "urls": ["u:1"]}], "record": {"url": "https://git.example/r"}});
    assert_eq!(artifacts().await?, Some(expected));
    let version = release().await?.resource_version();
    world.run(&FLAGS).await?.succeeded();
    assert_eq!(release().await?.resource_version(), version, "a step that runs again changes nothing");
    Ok(())
}

#[tokio::test]
async fn only_fields_of_pipelines_are_written_and_only_to_what_is_there() -> anyhow::Result<()> {
    let world = World::new().await?;
    world.write("work/run/results/a.json", &json!({"Released": "True"}))?;
    for key in ["conditions", "attribution", "unknown"] {
        let flag = format!("--status-key={key}");
        world.run(&[&FLAGS[..], &[&flag]].concat()).await?.failed(2, &[key, "artifacts, collectors"]);
    }
    let gone = ["update-cr-status", "--resource={tenant}/gone", FLAGS[2], FLAGS[3]];
    let name = format!("Release {}/gone", world.tenant.name());
    world.run(&gone).await?.failed(1, &[&name, "not found"]);
    let stranger = world.kubeconfig(&world.managed, "stranger").await?;
    world.run_as(&stranger, &FLAGS).await?.failed(1, &["patch the status of Release", "forbidden"]);
    world.write("work/run/results/b.json", &json!([1]))?;
    world.run(&FLAGS).await?.failed(1, &["\"b.json\" is no JSON object"]);
    assert_eq!(world.get::<Release>(&world.tenant, "release-1").await?.status, None);
    Ok(())
}
