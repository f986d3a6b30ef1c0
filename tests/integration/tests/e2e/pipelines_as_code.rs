//! From the forge's webhooks to runs, and back to the statuses of commits: everything is as deployed, forge and pods too.
use anyhow::ensure;
use kube::ResourceExt;

use super::{cluster, cluster_alone};
use team::{Push, Team, is_done, is_paused, restart_service};

mod team;

/// A run in `.tekton/` of one task, with the event and the branch that start it. JSON is YAML.
fn run(name: &str, [event, branch]: [&str; 2], script: &str) -> String {
    serde_json::json!({
        "apiVersion": "tekton.dev/v1",
        "kind": "PipelineRun",
        "metadata": {
            "name": name,
            "annotations": {
                "pipelinesascode.tekton.dev/on-event": event,
                "pipelinesascode.tekton.dev/on-target-branch": branch,
            },
        },
        "spec": {
            "pipelineSpec": {
                "tasks": [{
                    "name": "work",
                    "taskSpec": {
                        "steps": [{
                            "name": "work",
                            "image": "IMAGE",
                            "env": [{"name": "REVISION", "value": "{{ revision }}"}],
                            "script": script,
                        }],
                    },
                }],
            },
        },
    })
    .to_string()
}

const ON_PUSH: [&str; 2] = ["[push]", "[main]"];
const ON_PULL: [&str; 2] = ["[pull_request]", "[main]"];

#[tokio::test]
async fn push_and_pull_request_each_start_their_run_and_are_told_how_it_ended() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let team = Team::new(&cluster, "events", None).await?;
    let files = [
        (".tekton/push.yaml", run("on-push", ON_PUSH, "echo \"pushed $REVISION\"")),
        (".tekton/pull.yaml", run("on-pull", ON_PULL, "echo broken; exit 3")),
    ];
    let pushed = team.push(&Push::to_main(&files)).await?;
    let started = team.run_of("on-push", &pushed).await?;
    team.status(&pushed, "on-push", &["success"]).await?;
    ensure!(team.runs().await?.len() == 1, "the push has started one run");
    let revision = started.spec.pipeline_spec.as_ref().map(serde_json::to_string).transpose()?;
    ensure!(revision.is_some_and(|spec| spec.contains(&pushed)), "{{{{ revision }}}} is the commit");

    let change = team.push(&Push::to_main(&files).on("fix").with("notes.md", "more")).await?;
    let number = team.pull_request("fix", "Mend it").await?;
    let run = team.run_of("on-pull", &change).await?;
    assert_eq!(run.labels().get("pipelinesascode.tekton.dev/pull-request"), Some(&number.to_string()));
    let failed = team.status(&change, "on-pull", &["failure"]).await?;
    ensure!(!failed.target_url.is_empty(), "the status leads to something to look at");
    team.told(number, "broken").await?;
    Ok(())
}

#[tokio::test]
async fn comments_start_runs_again_and_cancel_them() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let team = Team::new(&cluster, "comments", None).await?;
    let files = [(".tekton/pull.yaml", run("waits", ON_PULL, "sleep 300"))];
    team.push(&Push::to_main(&[])).await?;
    let change = team.push(&Push::to_main(&files).on("slow")).await?;
    let number = team.pull_request("slow", "Take your time").await?;
    let first = team.run_of("waits", &change).await?;
    team.status(&change, "waits", &["pending"]).await?;

    team.comment(number, "/cancel").await?;
    let ended = team.until(&first.name_any(), "its end", is_done).await?;
    assert_eq!(ended.spec.status, "CancelledRunFinally");
    team.status(&change, "waits", &["failure", "error", "warning"]).await?;

    team.comment(number, "/retest").await?;
    let again = team.another_run("waits", &[&first]).await?;
    assert_eq!(
        again.labels().get("pipelinesascode.tekton.dev/event-type").map(String::as_str),
        Some("retest-all-comment")
    );
    team.comment(number, "/cancel waits").await?;
    team.until(&again.name_any(), "its end", is_done).await?;
    Ok(())
}

#[tokio::test]
async fn stranger_needs_somebody_to_say_that_it_is_ok_to_test() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let team = Team::new(&cluster, "strangers", None).await?;
    let files = [(".tekton/pull.yaml", run("guarded", ON_PULL, "echo fine"))];
    team.push(&Push::to_main(&files)).await?;
    let (change, number) = team.fork_and_open("mallory").await?;
    let waits = team.status(&change, "", &["pending"]).await?;
    ensure!(waits.description.contains("approval"), "{waits:?}");
    team.comment_as("mallory", number, "/ok-to-test").await?;
    team.comment_as("mallory", number, "/test").await?;

    team.comment(number, "/ok-to-test").await?;
    let run = team.run_of("guarded", &change).await?;
    assert_eq!(
        run.labels().get("pipelinesascode.tekton.dev/event-type").map(String::as_str),
        Some("ok-to-test-comment"),
        "what the stranger wrote has started nothing"
    );
    team.status(&change, "guarded", &["success"]).await?;
    Ok(())
}

#[tokio::test]
async fn with_a_limit_of_one_pushes_take_turns_also_over_a_restart() -> anyhow::Result<()> {
    let cluster = cluster_alone().await?;
    let team = Team::new(&cluster, "turns", Some(1)).await?;
    let slow = [(".tekton/push.yaml", run("turn", ON_PUSH, "sleep 12"))];
    let first = team.push(&Push::to_main(&slow)).await?;
    let first = team.run_of("turn", &first).await?;
    let second = team.push(&Push::to_main(&slow).with("notes.md", "two")).await?;
    let second = team.run_of("turn", &second).await?;
    ensure!(is_paused(&second), "the second waits: {:?}", second.spec.status);

    restart_service(&cluster.admin()).await?;
    let first = team.until(&first.name_any(), "its end", is_done).await?;
    let second = team.until(&second.name_any(), "its end", is_done).await?;
    let ended = first.status.as_ref().and_then(|status| status.completion_time.clone());
    let began = second.status.as_ref().and_then(|status| status.start_time.clone());
    ensure!(ended.is_some() && ended <= began, "the first ended at {ended:?}, the second began at {began:?}");
    Ok(())
}
