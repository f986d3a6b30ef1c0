//! `ec init`, `inspect`, `fetch`, `version`, `sigstore`.

use serde_json::{Value, json};
use testkit::git_server::GitServer;

use crate::program::Workplace;

#[tokio::test]
async fn what_init_makes_is_shown_and_judges() -> anyhow::Result<()> {
    let workplace = Workplace::with(&[])?;
    workplace.works(&["init", "policies", "--dest-dir", "mine"]).await?;
    let again = workplace.ec(&["init", "policies", "--dest-dir", "mine"]).await?;
    assert!(again.code == Some(1) && again.stderr.contains("sample.rego"), "{again:?}");

    let names = workplace.works(&["inspect", "policy", "--source", "mine", "--output", "names"]).await?;
    assert_eq!(names, "sample.image_is_pinned\n");
    for (filter, is_shown) in [
        (["--package", "sample"], true),
        (["--rule", "image_is_pinned"], true),
        (["--collection", "minimal"], true),
        (["--collection", "other"], false),
    ] {
        let flags =
            [&["inspect", "policy", "--source", "mine", "--output", "short-names"], &filter[..]].concat();
        assert_eq!(
            workplace.works(&flags).await?,
            if is_shown { "image_is_pinned\n" } else { "" },
            "{filter:?}"
        );
    }
    let shown: Value = serde_json::from_str(
        &workplace.works(&["inspect", "policy", "--source", "mine", "--output", "json"]).await?,
    )?;
    assert_eq!(shown["mine"][0]["annotations"]["title"], "Image is pinned");

    let policy = "{\"sources\": [{\"policy\": [\"mine\"]}]}";
    let ended = workplace
        .ec(&["validate", "input", "--policy", policy, "--file", "{\"image\": {\"ref\": \"a\"}}"])
        .await?;
    assert!(ended.code == Some(1) && ended.stdout.contains("sample.image_is_pinned"), "{ended:?}");
    Ok(())
}

#[tokio::test]
async fn data_is_merged_and_a_key_twice_is_told() -> anyhow::Result<()> {
    let workplace = Workplace::with(&[
        ("one/a.yaml", "rule_data: {x: 1}"),
        ("two/b.json", "{\"rule_data\": {\"y\": 2}}"),
        ("three/c.yml", "rule_data: {x: 3}"),
    ])?;
    let data = workplace.works(&["inspect", "policy-data", "--source", "one", "--source", "two"]).await?;
    assert_eq!(serde_json::from_str::<Value>(&data)?, json!({"rule_data": {"x": 1, "y": 2}}));
    let ended = workplace.ec(&["inspect", "policy-data", "--source", "one", "--source", "three"]).await?;
    assert!(ended.code == Some(1) && ended.stderr.contains("\"rule_data.x\""), "{ended:?}");
    Ok(())
}

#[tokio::test]
async fn fetched_rules_lie_below_the_hash_of_their_url() -> anyhow::Result<()> {
    let server = GitServer::start().await?;
    let commit = server
        .repository("rules")?
        .commit(&[("policy/deep/a.rego", "package a"), ("data/d.yaml", "x: 1")])?;
    let mut workplace = Workplace::with(&[])?;
    workplace.environment("EC_OUTBOUND_ALLOW", server.origin());
    let url = |folder: &str| format!("git::{}//{folder}", server.url("rules"));
    let said = workplace
        .works(&[
            "fetch",
            "policy",
            "--source",
            &url("policy"),
            "--data-source",
            &url("data"),
            "--dest",
            "to",
        ])
        .await?;
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].starts_with(&format!("{}?ref={commit} -> to/policy/", url("policy"))), "{said}");
    let folder = lines[0].rsplit(' ').next().unwrap();
    assert_eq!(workplace.read(&format!("{folder}/deep/a.rego"))?, "package a");
    let ended = workplace.ec(&["fetch", "policy", "--source", &url("data"), "--dest", "to"]).await?;
    assert!(ended.code == Some(1) && ended.stderr.contains("has no Rego"), "{ended:?}");
    let ended = workplace.ec(&["fetch", "policy"]).await?;
    assert!(ended.code == Some(1) && ended.stderr.contains("nothing to fetch"), "{ended:?}");
    Ok(())
}

#[tokio::test]
async fn says_its_version_and_what_a_mirror_is_for() -> anyhow::Result<()> {
    let workplace = Workplace::with(&[])?;
    let short = workplace.works(&["version", "--short"]).await?;
    let json: Value = serde_json::from_str(&workplace.works(&["version", "--json"]).await?)?;
    assert_eq!(json["Version"], short.trim());
    assert!(workplace.works(&["version"]).await?.contains(short.trim()));
    let said = workplace.works(&["sigstore", "initialize", "--mirror="]).await?;
    assert!(said.contains("nothing to initialize"), "{said}");
    Ok(())
}
