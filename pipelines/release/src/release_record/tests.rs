use serde_json::json;
use testkit::forge::GitHub;

use crate::apply_mapping::testing::{COMMIT, World};

const RUN: [&str; 7] = [
    "create-release-record",
    "--workspace=@work",
    "--snapshot=snapshot.json",
    "--admission=admission.json",
    "--release=release.json",
    "--results-folder=out",
    "--token-folder=@token",
];

fn world(settings: &serde_json::Value) -> World {
    let world = World::new();
    std::fs::create_dir(world.path("work/out")).unwrap();
    std::fs::create_dir(world.path("token")).unwrap();
    let image = json!({"name": "app", "shasum": format!("sha256:{}", "a".repeat(64)), "arches": [], "oses": [], "urls": ["quay.io/prod/app:v1"]});
    world.write("out/push-snapshot-results.json", &json!({"images": [image]}));
    let source = json!({"git": {"url": "https://git.test/acme/app", "revision": COMMIT}});
    world.write("snapshot.json", &json!({"components": [{"name": "app", "source": source}]}));
    world.write("admission.json", &json!({"spec": {"data": {"releaseRecord": settings}}}));
    world.write(
        "release.json",
        &json!({
            "metadata": {"namespace": "tenant", "name": "r1", "creationTimestamp": "2024-03-01T02:03:04Z"},
            "spec": {"snapshot": "s1"}, "status": {"attribution": {"author": "jane"}},
        }),
    );
    world
}

#[tokio::test]
async fn a_release_is_recorded_and_brought_up_to_date() {
    let world = world(&json!({}));
    let github = GitHub::start(world.authority()).unwrap();
    github.edit(|model| {
        model.user("robot");
        model.repository("robot/app").unwrap();
    });
    let settings = json!({
        "server": github.url(), "provider": "github", "repository": "robot/app", "tag": "v1-{{ release_timestamp }}", "notes": "Good.",
    });
    world.write("admission.json", &json!({"spec": {"data": {"releaseRecord": settings}}}));
    std::fs::write(world.path("token/token"), github.token("robot", &["repo"])).unwrap();
    let created = "POST /repos/{owner}/{repo}/releases";
    for expected in [1, 1] {
        world.run(&RUN).await.unwrap();
        assert_eq!(github.traffic().count(created), expected);
    }
    let records = &world.read("out/release-record-results.json")["releaseRecords"];
    assert_eq!(records[0]["tag"], "v1-1709258584");
    assert_eq!(records[0]["repository"], format!("{}/robot/app", github.url()));
    assert!(records[0]["url"].as_str().unwrap().ends_with("/releases/tag/v1-1709258584"), "{records}");
    let body = github.edit(|model| model.repo("robot/app").unwrap().releases[0].body.clone());
    assert!(
        body.starts_with("Good.") && body.contains("quay.io/prod/app:v1") && body.contains("by jane"),
        "{body}"
    );
}

#[tokio::test]
async fn without_settings_no_forge_is_told() {
    let world = world(&json!(null));
    world.run(&RUN).await.unwrap();
    assert!(!world.path("work/out/release-record-results.json").exists());
}

#[tokio::test]
async fn a_managed_release_names_its_repository_and_has_a_token() {
    let world = world(&json!({"server": "https://git.test", "provider": "gitea", "tag": "v1"}));
    let error = world.refused(&RUN).await;
    assert!(error.contains("data.releaseRecord.repository is missing"), "{error}");
    let settings =
        json!({"server": "https://git.test", "provider": "gitea", "tag": "v1", "repository": "a/b"});
    world.write("admission.json", &json!({"spec": {"data": {"releaseRecord": settings}}}));
    let error = world.refused(&RUN).await;
    assert!(error.contains("there is no token for the forge"), "{error}");
    std::fs::write(world.path("token/password"), "x").unwrap();
    let settings = json!({"server": "https://git.test", "provider": "bitbucket-cloud", "tag": "v1", "repository": "a/b"});
    world.write("admission.json", &json!({"spec": {"data": {"releaseRecord": settings}}}));
    let error = world.refused(&RUN).await;
    assert!(error.contains("have no releases"), "{error}");
}
