//! verify-access, collect-data and reduce-snapshot.

use application_service_api::Snapshot;
use kube::Api;
use kube::api::DeleteParams;
use release_service_api::{Release, ReleasePlan, ReleasePlanAdmission};
use serde_json::{Value, json};

use crate::world::{Ran, World};

const OBJECTS: [&str; 4] = [
    "--release={tenant}/release-2",
    "--release-plan={tenant}/plan",
    "--release-plan-admission={managed}/admission",
    "--snapshot={tenant}/second",
];
const NAMES: [&str; 9] = [
    "release",
    "releasePlan",
    "releasePlanAdmission",
    "releaseServiceConfig",
    "snapshotSpec",
    "data",
    "resultsDir",
    "fbcFragment",
    "singleComponentMode",
];

async fn collect(world: &World) -> anyhow::Result<Ran> {
    let results = world.results(&NAMES);
    let mut flags = vec!["collect-data", "--workspace={folder}/work", "--subdirectory=run"];
    flags.extend(OBJECTS);
    flags.push("--release-service-config={managed}/release-service-config");
    flags.extend(results.iter().map(String::as_str));
    world.run(&flags).await
}

#[tokio::test]
async fn the_account_may_do_what_a_run_does() -> anyhow::Result<()> {
    let world = World::new().await?;
    let mut flags = vec!["verify-access", "--require-internal-services=true"];
    flags.extend(OBJECTS);
    let ran = world.run(&flags).await?.succeeded();
    assert_eq!(ran.log.matches("yes").count(), 5, "{}", ran.log);
    // One that nobody has bound sees what it lacks, all of it.
    let stranger = world.kubeconfig(&world.managed, "stranger").await?;
    let tenant = world.tenant.name();
    let words =
        [&format!("get releases {tenant}/release-2"), "create internalrequests", "ReleasePlanAdmission"];
    let ran = world.run_as(&stranger, &flags).await?.failed(1, &words);
    assert_eq!(ran.log.matches("no ").count(), 5, "{}", ran.log);
    Ok(())
}

#[tokio::test]
async fn objects_and_data_are_stored_and_stored_again() -> anyhow::Result<()> {
    let world = World::new().await?;
    collect(&world).await?.succeeded();
    let data = json!({
        "who": "admission", "tags": ["r", "p"],
        "mapping": {"components": [{"name": "web", "repository": "quay.example/web"}]},
    });
    assert_eq!(world.json("work/run/data.json")?, data);
    let plan: ReleasePlan = serde_json::from_value(world.json("work/run/release_plan.json")?)?;
    assert_eq!(plan, world.get::<ReleasePlan>(&world.tenant, "plan").await?);
    let snapshot: Snapshot = world.get(&world.tenant, "second").await?;
    assert_eq!(world.json("work/run/snapshot_spec.json")?, serde_json::to_value(&snapshot.spec)?);
    assert_eq!(
        world.json("work/run/release_service_config.json")?["spec"],
        json!({}),
        "one that is not there has no settings"
    );
    for (name, expected) in
        [("data", "run/data.json"), ("resultsDir", "run/results"), ("singleComponentMode", "false")]
    {
        assert_eq!(world.result(name)?, expected);
    }
    assert_eq!(world.result("fbcFragment")?, snapshot.spec.components[0].container_image);
    let before: Vec<String> = NAMES.iter().map(|name| world.result(name)).collect::<Result<_, _>>()?;
    collect(&world).await?.succeeded();
    let after: Vec<String> = NAMES.iter().map(|name| world.result(name)).collect::<Result<_, _>>()?;
    assert_eq!(after, before);
    assert_eq!(world.json("work/run/data.json")?, data);
    Ok(())
}

#[tokio::test]
async fn what_is_missing_or_not_the_tenants_to_say_is_named() -> anyhow::Result<()> {
    let world = World::new().await?;
    let tenant = world.tenant.name().to_owned();
    let mapping = json!({"mapping": {"components": [{"name": "api", "repository": "quay.example/stolen"}]}});
    world.merge::<ReleasePlan>(&tenant, "plan", &json!({"spec": {"data": mapping}})).await?;
    collect(&world)
        .await?
        .failed(1, &[&format!("ReleasePlan {tenant}/plan has mapping"), "ReleasePlanAdmission"]);
    assert!(!world.path("work/run/data.json").exists());
    world.merge::<ReleasePlan>(&tenant, "plan", &json!({"spec": {"data": {"mapping": null}}})).await?;
    collect(&world).await?.succeeded();
    let releases: Api<Release> = world.api(&tenant);
    releases.delete("release-2", &DeleteParams::default()).await?;
    collect(&world).await?.failed(1, &[&format!("get Release {tenant}/release-2"), "not found"]);
    Ok(())
}

#[tokio::test]
async fn one_component_is_left_if_the_release_team_says_so() -> anyhow::Result<()> {
    let world = World::new().await?;
    let single = json!({"spec": {"data": {"singleComponentMode": true}}});
    world.merge::<ReleasePlanAdmission>(&world.managed, "admission", &single).await?;
    collect(&world).await?.succeeded();
    assert_eq!(world.result("singleComponentMode")?, "true");
    let flags = [
        "reduce-snapshot",
        "--single-component=true",
        "--snapshot={tenant}/second",
        "--workspace={folder}/work",
        "--snapshot-path=run/snapshot_spec.json",
    ];
    for _ in 0..2 {
        world.run(&flags).await?.succeeded();
        let spec = world.json("work/run/snapshot_spec.json")?;
        let names: Vec<&Value> =
            spec["components"].as_array().unwrap().iter().map(|of| &of["name"]).collect();
        assert_eq!(names, ["web"]);
        assert_eq!(spec["application"], "shop");
    }
    Ok(())
}
