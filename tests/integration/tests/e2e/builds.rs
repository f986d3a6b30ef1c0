//! The default build pipeline, as its bundle was pushed: forge, registries and pods are as deployed, and nobody has a privilege.
use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::cluster;
use team::{Build, Team, sample};

pub(crate) mod team;

/// A package with a known vulnerability in the database that ships.
const VULNERABLE: &str = "requests==2.30.0\n";

/// The EICAR test file, in two halves: not even this file is one.
const EICAR: [&str; 2] = ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-", "STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"];

const HOSTILE: [(&str, &str); 2] = [
    ("Dockerfile", include_str!("builds/hostile/Dockerfile")),
    ("attack.py", include_str!("builds/hostile/attack.py")),
];

/// A Dockerfile on the smallest base, with further lines.
pub(crate) fn dockerfile(lines: &str) -> Vec<(String, String)> {
    let text = format!("FROM registry.dev.konflux.test/konflux/base-python:latest\n{lines}\n");
    vec![("Dockerfile".to_owned(), text)]
}

#[tokio::test]
async fn samples_become_images_with_all_that_others_read() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let team = Team::new(&cluster, "samples").await?;
    for name in ["python", "node", "go"] {
        let build = team.build(name, &sample(name)?, &[("image-expires-after", "5d")]).await?;
        ensure!(build.has_succeeded(), "{name}: {}", build.story());
        let (image, digest) = (build.result("IMAGE_URL")?, build.result("IMAGE_DIGEST")?);
        ensure!(image == team.output(name), "IMAGE_URL is {image}");
        ensure!(build.result("CHAINS-GIT_COMMIT")? == build.commit, "the commit is named");
        ensure!(build.result("CHAINS-GIT_URL")? == build.url, "and where it is from");
        ensure!(build.result("SBOM_BLOB_URL")?.contains("@sha256:"), "the SBOM is named by its digest");

        let labels = team.labels(&digest).await?;
        ensure!(labels["vcs-ref"] == *build.commit && labels["vcs-type"] == "git", "{labels}");
        ensure!(labels["quay.expires-after"] == "5d" && !labels["build-date"].is_null(), "{labels}");
        let bill = team.manifest(&format!("{}.sbom", digest.replace(':', "-"))).await?;
        ensure!(bill.is_some(), "{name} has no SBOM beside it");

        for check in ["clair-scan", "clamav-scan", "sast-snyk-check", "sbom-json-check", "sast-unicode-check"]
        {
            let output = build.test_output(check)?;
            for field in ["successes", "failures", "warnings"] {
                ensure!(output[field].is_u64(), "{check}: {output}");
            }
            ensure!(output["result"] != "ERROR", "{name}: {check} could not look: {output}");
        }
        ensure!(
            build.test_output("sast-snyk-check")?["result"] == "SKIPPED",
            "nobody has given a token of Snyk"
        );
        ensure!(build.test_output("sbom-json-check")?["result"] == "SUCCESS", "the image has its SBOM");
    }
    Ok(())
}

#[tokio::test]
async fn checks_find_what_was_planted_and_fail_nothing() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let team = Team::new(&cluster, "planted").await?;
    let mut files = dockerfile("COPY . /app");
    files.push(("requirements.txt".to_owned(), VULNERABLE.to_owned()));
    files.push(("test.txt".to_owned(), EICAR.concat()));
    let build = team.build("planted", &files, &[]).await?;
    ensure!(build.has_succeeded(), "{}", build.story());

    let found: Value = serde_json::from_str(&build.task_result("clair-scan", "CLAIR_SCAN_RESULT")?)?;
    let counts = found["vulnerabilities"].as_object().context("counts by severity")?;
    ensure!(counts.values().filter_map(Value::as_u64).sum::<u64>() >= 1, "{found}");
    let malware = build.test_output("clamav-scan")?;
    ensure!(malware["result"] == "FAILURE" && malware["failures"] == 1, "{malware}");
    Ok(())
}

#[tokio::test]
async fn hostile_dockerfile_reaches_nothing_that_is_not_its_own() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let team = Team::new(&cluster, "hostile").await?;
    let files = HOSTILE.map(|(path, content)| (path.to_owned(), content.to_owned()));
    let build = team.build("hostile", &files, &[("skip-checks", "true")]).await?;
    let log = build.log("build-container", "step-build").await?;
    let leaks: Vec<_> = log.lines().filter(|line| line.starts_with("LEAK")).collect();
    ensure!(leaks.is_empty(), "{leaks:#?}");
    ensure!(log.lines().any(|line| line == "done"), "the attack has not run to its end: {log}");
    ensure!(log.contains("chroot: "), "the way out of the chroot is closed: {log}");
    Ok(())
}

#[tokio::test]
async fn hermetic_build_has_no_network() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let team = Team::new(&cluster, "hermetic").await?;
    let ask = "RUN python3 -c 'import socket; socket.create_connection((\"10.96.0.1\", 443), 5)'";
    let open = team.build("open", &dockerfile(ask), &[("skip-checks", "true")]).await?;
    ensure!(open.has_succeeded(), "without hermetic, it can: {}", open.story());
    let params = [("skip-checks", "true"), ("hermetic", "true")];
    let closed = team.build("closed", &dockerfile(ask), &params).await?;
    ensure!(!closed.has_succeeded() && closed.failed() == ["build-container"], "{}", closed.story());
    let offline = team.build("offline", &dockerfile("RUN python3 -c 'print(1)'"), &params).await?;
    ensure!(offline.has_succeeded(), "{}", offline.story());
    Ok(())
}

#[tokio::test]
async fn an_image_that_is_there_is_not_built_again_without_checks() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let team = Team::new(&cluster, "again").await?;
    let files = dockerfile("LABEL a=b");
    let first = team.build("same", &files, &[("skip-checks", "true")]).await?;
    ensure!(first.has_succeeded() && first.has_task("build-container"), "{}", first.story());
    ensure!(!first.has_task("clair-scan"), "no checks were asked for");
    let second = team.build("same", &files, &[("skip-checks", "true")]).await?;
    ensure!(second.has_succeeded() && !second.has_task("build-container"), "{}", second.story());
    ensure!(second.result("IMAGE_URL").is_err(), "what was not built has no result");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_built_says_why() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let team = Team::new(&cluster, "broken").await?;
    let last_line = async |build: &Build, task: &str, step: &str| -> anyhow::Result<String> {
        ensure!(!build.has_succeeded() && build.failed() == [task], "{}", build.story());
        Ok(build.log(task, step).await?.lines().last().unwrap_or_default().to_owned())
    };
    let missing = [("notes.md".to_owned(), "Nothing to build.".to_owned())];
    let missing = team.build("missing", &missing, &[]).await?;
    let line = last_line(&missing, "build-container", "step-build").await?;
    ensure!(line.contains("Dockerfile"), "{line}");
    let wrong = team.build("wrong", &dockerfile("RUNN true"), &[]).await?;
    let line = last_line(&wrong, "build-container", "step-build").await?;
    ensure!(line.contains("RUNN"), "{line}");
    let absent = team.build("absent", &dockerfile("COPY no-such-file /"), &[]).await?;
    let log = absent.log("build-container", "step-build").await?;
    ensure!(log.contains("no-such-file") && !absent.has_succeeded(), "{log}");

    let stranger = team.build_as("default", "stranger", &dockerfile("LABEL a=b"), &[]).await?;
    ensure!(!stranger.has_succeeded(), "nobody pushes without a login: {}", stranger.story());
    let line = stranger.log("clone-repository", "step-create-trusted-artifact").await?;
    ensure!(line.contains("does not let us write it without a login"), "{line}");
    Ok(())
}
