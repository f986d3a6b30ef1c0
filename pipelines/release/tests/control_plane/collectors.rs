//! The steps of the pipeline run-collectors, one after the other.

use k8s_openapi::api::core::v1::Secret;
use release_service_api::{Release, ReleasePlan, ReleasePlanAdmission};
use serde_json::{Value, json};
use testkit::builders;
use testkit::forge::{GitHub, Visibility};
use testkit::pki::Authority;

use crate::world::{Ran, World};

async fn collect(world: &World, of: [&str; 2], previous: &str) -> anyhow::Result<Ran> {
    let flags = [
        "collectors",
        "collect",
        "--release={tenant}/release-2",
        previous,
        of[0],
        of[1],
        "--workspace={folder}/work",
        "--subdirectory=run",
    ];
    world.run(&flags).await
}

const PLAN: [&str; 2] = ["--collectors-resource-type=releaseplan", "--collectors-resource={tenant}/plan"];
const ADMISSION: [&str; 2] =
    ["--collectors-resource-type=releaseplanadmission", "--collectors-resource={managed}/admission"];
const BEFORE: &str = "--previous-release={tenant}/release-1";

const RUN: [&str; 4] = ["collectors", "run", "--workspace={folder}/work", "--subdirectory=run"];

async fn run_and_save(world: &World, further: &[&str]) -> anyhow::Result<Value> {
    world.run(&[&RUN[..], further].concat()).await?.succeeded();
    let save = [
        "update-cr-status",
        "--resource={tenant}/release-2",
        "--status-key=collectors",
        "--workspace={folder}/work",
        "--results-dir-path=run/results",
    ];
    world.run(&save).await?.succeeded();
    let release: Release = world.get(&world.tenant, "release-2").await?;
    Ok(release.status.unwrap_or_default().collectors.unwrap_or_default())
}

#[tokio::test]
async fn a_tenants_collectors_tell_by_a_result() -> anyhow::Result<()> {
    let world = World::new().await?;
    let collectors = json!({"items": [{"name": "changes", "type": "snapshot-changes"}]});
    world.merge::<ReleasePlan>(&world.tenant, "plan", &json!({"spec": {"collectors": collectors}})).await?;
    let results = world.results(&["collectors"]);
    let run = [&RUN[..], &[&results[0], &results[1]]].concat();
    let found = async |previous: &str| {
        collect(&world, PLAN, previous).await?.succeeded();
        world.run(&run).await?.succeeded();
        anyhow::Ok(serde_json::from_str::<Value>(&world.result("collectors")?)?)
    };
    let changes = json!({
        "from": "first", "to": "second", "added": [], "removed": [], "unchanged": 1,
        "changed": [{"name": "web", "url": "https://git.example/web", "from": "1", "to": "2"}],
    });
    assert_eq!(found(BEFORE).await?, json!({ "changes": changes }));
    // The first release of a plan has none before it; nor has one whose predecessor is gone.
    for none in ["--previous-release=", "--previous-release={tenant}/gone"] {
        assert_eq!(found(none).await?["changes"]["added"], json!(["api", "web"]), "{none}");
    }
    Ok(())
}

#[tokio::test]
async fn those_of_the_release_team_become_status() -> anyhow::Result<()> {
    let world = World::new().await?;
    let collectors = json!({"items": [{"name": "changes", "type": "snapshot-changes"}]});
    admit(&world, &collectors).await?;
    collect(&world, ADMISSION, BEFORE).await?.succeeded();
    let results = world.results(&["collectors"]);
    for _ in 0..2 {
        let found = run_and_save(&world, &[&results[0], &results[1]]).await?;
        assert_eq!(found["managed"]["changes"]["changed"][0]["name"], "web");
        assert_eq!(world.result("collectors")?, "{}", "the service has nothing to take from this run");
    }
    Ok(())
}

async fn admit(world: &World, collectors: &Value) -> anyhow::Result<()> {
    let patch = json!({"spec": {"collectors": collectors}});
    world.merge::<ReleasePlanAdmission>(&world.managed, "admission", &patch).await
}

#[tokio::test]
async fn a_service_is_asked_with_a_token_that_is_for_it() -> anyhow::Result<()> {
    let world = World::new().await?;
    let authority = Authority::new("release-test")?;
    std::fs::write(world.path("ca.crt"), authority.cert_pem())?;
    let server = GitHub::start(&authority)?;
    server.edit(|model| {
        model.user("dev");
        model.repository("dev/shop").map(|repository| repository.visibility = Visibility::Private)
    })?;
    let token = server.token("dev", &["repo"]);
    let url = format!("{}/repos/dev/{{{{ application }}}}?for={{{{ release }}}}", server.api_url());
    let params = json!([{"name": "url", "value": url}, {"name": "secret", "value": "tracker"}]);
    let about =
        json!({"items": [{"name": "about", "type": "http-json", "params": params}], "secrets": ["tracker"]});
    admit(&world, &about).await?;
    let data = [("token", token.as_str()), ("server", server.url())];
    let secret = builders::secret(&world.managed, "tracker", data);
    world.make::<Secret>(&world.managed, &secret).await?;
    // As release-service does for the time of a run.
    let rule =
        json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["tracker"], "verbs": ["get"]});
    world.permit("collectors", &rule).await?;
    collect(&world, ADMISSION, BEFORE).await?.succeeded();
    let reach = ["--outbound-allow=127.0.0.1,localhost", "--ca-bundle={folder}/ca.crt"];
    let found = run_and_save(&world, &reach).await?;
    assert_eq!(found["managed"]["about"]["full_name"], "dev/shop");
    assert_eq!(found["tenant"], Value::Null);

    // The token stays here if the Secret is for another server.
    let calls = server.traffic().calls().len();
    let other = json!({"stringData": {"server": "https://tracker.example"}});
    world.merge::<Secret>(&world.managed, "tracker", &other).await?;
    let words = ["about: parameter secret: \"tracker\"", "it is for https://tracker.example"];
    let ran = world.run(&[&RUN[..], &reach].concat()).await?.failed(1, &words);
    assert!(!format!("{ran:?}").contains(&token), "{ran:?}");
    // Without leave the program calls no address of its own machine.
    let own = json!({"stringData": {"server": server.url()}});
    world.merge::<Secret>(&world.managed, "tracker", &own).await?;
    world.run(&[&RUN[..], &reach[1..]].concat()).await?.failed(1, &["none on the internet"]);
    // Nor is a Secret read that the release team has not named for collectors.
    let unlisted = json!({"items": about["items"], "secrets": []});
    admit(&world, &unlisted).await?;
    collect(&world, ADMISSION, BEFORE).await?.succeeded();
    world
        .run(&[&RUN[..], &reach].concat())
        .await?
        .failed(1, &["the collectors' list `secrets` does not have it"]);
    assert_eq!(server.traffic().calls().len(), calls, "nobody was called");
    Ok(())
}

#[tokio::test]
async fn collectors_of_others_are_not_run() -> anyhow::Result<()> {
    let world = World::new().await?;
    let foreign = ["--collectors-resource-type=releaseplan", "--collectors-resource={managed}/plan"];
    collect(&world, foreign, BEFORE).await?.failed(1, &["is in another namespace than Release"]);
    let collectors = json!({"items": [{"name": "issues", "type": "jira"}]});
    world.merge::<ReleasePlan>(&world.tenant, "plan", &json!({"spec": {"collectors": collectors}})).await?;
    collect(&world, PLAN, BEFORE).await?.succeeded();
    world
        .run(&RUN)
        .await?
        .failed(1, &["collector issues: there is no type \"jira\"", "snapshot-changes, http-json"]);
    Ok(())
}
