//! `results list` and `results get`.

use std::net::Ipv4Addr;

use axum::Router;
use fleet::certificate::Directory;
use fleet::http::{Limits, Server};
use rstest::rstest;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::program::{run, run_bare};
use crate::world::{World, page, record};

fn web(number: usize, labels: &Value) -> Value {
    json!({
        "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
        "metadata": {"name": format!("web-{number}"), "namespace": "team-a", "uid": format!("uid-{number}"), "labels": labels},
        "status": {
            "conditions": [{"type": "Succeeded", "status": "True", "reason": "Completed"}],
            "startTime": "2026-03-02T11:00:00Z", "completionTime": "2026-03-02T11:03:20Z",
        },
    })
}

#[tokio::test]
async fn lists_runs() -> anyhow::Result<()> {
    let world = World::new().await?;
    let labels = json!({"appstudio.openshift.io/component": "web"});
    let records: Vec<_> = (1..=3).map(|number| record("r", &web(number, &labels))).collect();
    world.archive.answers("/results/-/records", "page_token=2", &page(&records[2..], ""));
    world.archive.answers("/results/-/records", "", &page(&records[..2], "2"));

    let table =
        run(&world, &["results", "list", "--component", "web", "--status", "succeeded"]).await?.well();
    let lines: Vec<_> = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(lines.len(), 4, "{table}");
    assert_eq!(lines[1][..4], ["web-1", "web", "-", "Succeeded"], "{table}");
    assert_eq!(lines[3].last(), Some(&"3m20s"), "{table}");
    let asked = world.archive.asked();
    assert!(asked[0].contains(&format!("/parents/{}/results/-/records?", world.namespace)), "{asked:?}");
    assert!(
        asked[0].contains("data.metadata.labels[\"appstudio.openshift.io/component\"] == \"web\""),
        "{asked:?}"
    );

    let names = run(&world, &["results", "ls", "-o", "name", "--limit", "1"]).await?;
    assert!(names.stderr.contains("There are more than 1"), "{names:?}");
    assert_eq!(names.well(), "team-a/results/r/records/uid-1\n");

    let json: Value =
        serde_json::from_str(&run(&world, &["results", "list", "-A", "-o", "json"]).await?.well())?;
    assert_eq!(json["items"].as_array().map(Vec::len), Some(3));
    assert!(
        world.archive.asked().last().is_some_and(|asked| asked.contains("/parents/-/results/-/records?"))
    );
    Ok(())
}

#[tokio::test]
async fn finds_what_the_archive_cannot_be_asked_for() -> anyhow::Result<()> {
    let world = World::new().await?;
    let records = [record("r", &web(1, &json!({"old": "yes"}))), record("r", &web(2, &json!({})))];
    world.archive.answers("/results/-/records", "", &page(&records, ""));
    let names = run(&world, &["results", "list", "-l", "!old", "-o", "name"]).await?.well();
    assert_eq!(names, "team-a/results/r/records/uid-2\n");
    Ok(())
}

#[tokio::test]
async fn gets_the_object() -> anyhow::Result<()> {
    let world = World::new().await?;
    let object = web(1, &json!({"yes": "no"}));
    world.archive.answers("/records", "data.metadata.name == \"web-1\"", &page(&[record("r", &object)], ""));
    world.archive.answers("/results/r/records/uid-1", "", &record("r", &object));
    world.archive.answers("/records", "", &page(&[], ""));
    for named in ["web-1", "pr/web-1", "team-a/results/r/records/uid-1"] {
        let json = run(&world, &["results", "get", named, "-o", "json"]).await?.well();
        assert_eq!(serde_json::from_str::<Value>(&json)?, object, "{named}");
    }
    let error = run(&world, &["results", "get", "web-2"]).await?.badly();
    assert!(
        error.contains("no PipelineRun web-2 is archived in namespace") && error.contains("taskrun/web-2"),
        "{error}"
    );
    Ok(())
}

#[rstest]
#[case::forbidden(403, json!({"code": 7, "message": "jane may not list records in team-a"}), "jane may not list records in team-a. Who administers the namespace can give you the role tekton-results-readonly")]
#[case::unknown(401, json!({"code": 16, "message": "expired"}), "log in to the cluster again")]
#[case::other(404, "404 page not found", "is no archive")]
#[tokio::test]
async fn explains_refusals(
    #[case] status: u16,
    #[case] body: impl ToString,
    #[case] expected: &str,
) -> anyhow::Result<()> {
    let world = World::new().await?;
    world.archive.refuses("/records", status, &body);
    let error = run(&world, &["results", "list"]).await?.badly();
    assert!(error.contains(expected), "{error}");
    Ok(())
}

#[tokio::test]
async fn without_token_nothing_is_asked() -> anyhow::Result<()> {
    let world = World::new().await?;
    let url = world.archive.url.clone();
    let error = run_bare(&world, &["results", "list"], &[("KONFLUX_RESULTS_URL", &url)]).await?.badly();
    assert!(error.contains("client certificate") && error.contains("--token-file"), "{error}");
    assert_eq!(world.archive.asked(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn reaches_the_archive_below_the_cluster() -> anyhow::Result<()> {
    let world = World::new().await?;
    // The API server has nothing there, and says so.
    let error = run(&world, &["--results-url", "/plugins/tekton-results", "results", "list"]).await;
    let error = error?.stderr;
    assert!(error.contains("cannot be used multiple times"), "{error}");
    let error = run_bare(&world, &["results", "list"], &[("KONFLUX_RESULTS_URL", "/plugins/tekton-results")])
        .await?
        .badly();
    assert!(error.contains("/plugins/tekton-results is no archive: 404 Not Found"), "{error}");
    Ok(())
}

#[tokio::test]
async fn checks_the_certificate_of_the_archive() -> anyhow::Result<()> {
    let world = World::new().await?;
    let folder = tempfile::tempdir()?;
    let authority = testkit::pki::Authority::new("archives")?;
    let leaf = authority.server("archive", &["archive.example"])?;
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("ca.crt"), authority.cert_pem())?;
    std::fs::write(path("tls.crt"), &leaf.cert_pem)?;
    std::fs::write(path("tls.key"), &leaf.key_pem)?;
    let server = Server::bind("archive", (Ipv4Addr::LOCALHOST, 0).into(), Limits::default())?;
    let url = format!("https://{}", server.listening());
    let end = CancellationToken::new();
    let directory = Directory::files(path("tls.crt"), path("tls.key"));
    let certificates = directory.certificates();
    tokio::spawn(directory.run(end.clone()));
    let routes = Router::new().fallback(async || page(&[record("r", &web(1, &json!({})))], "").to_string());
    tokio::spawn(server.run(routes, Some(certificates), end.clone()));

    let (authorities, token) =
        (path("ca.crt").display().to_string(), world.token_file().display().to_string());
    let always = [("KONFLUX_RESULTS_URL", url.as_str()), ("KONFLUX_TOKEN_FILE", token.as_str())];
    let trusted = [always[0], always[1], ("KONFLUX_RESULTS_CA", authorities.as_str())];
    let named = [trusted[0], trusted[1], trusted[2], ("KONFLUX_RESULTS_SERVER_NAME", "archive.example")];
    let list = ["results", "list", "-o", "name"];
    for environment in [&always[..], &trusted[..]] {
        let error = run_bare(&world, &list, environment).await?.badly();
        assert!(error.contains("cannot be reached") && error.contains("certificate"), "{error}");
    }
    assert_eq!(run_bare(&world, &list, &named).await?.well(), "team-a/results/r/records/uid-1\n");
    end.cancel();
    Ok(())
}
