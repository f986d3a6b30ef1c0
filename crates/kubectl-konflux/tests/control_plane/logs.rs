//! `logs`: of pods, of the archive, and of both.

use serde_json::{Value, json};

use crate::program::{run, start};
use crate::world::{World, page, record};

fn pipeline_run() -> Value {
    json!({
        "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
        "metadata": {"name": "web-1", "namespace": "team-a", "uid": "uid-run"},
        "spec": {"pipelineRef": {"name": "docker"}},
    })
}

fn task_run(task: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
        "metadata": {
            "name": format!("web-1-{task}"), "annotations": annotations,
            "labels": {"tekton.dev/pipelineRun": "web-1", "tekton.dev/pipelineTask": task},
        },
        "spec": {"taskRef": {"name": task}},
    })
}

fn condition(status: &str) -> Value {
    json!([{"type": "Succeeded", "status": status, "reason": "Any", "lastTransitionTime": "2026-03-02T11:00:00Z"}])
}

/// Of a TaskRun whose steps have begun, or not.
fn status(task: &str, succeeded: &str, start: &str, steps: &[(&str, bool)]) -> Value {
    let step = |(name, has_begun): &(&str, bool)| {
        let state = if *has_begun { json!({"startedAt": start}) } else { json!({}) };
        let key = if *has_begun { "running" } else { "waiting" };
        json!({"name": name, "container": format!("step-{name}"), key: state})
    };
    json!({
        "conditions": condition(succeeded), "podName": format!("web-1-{task}-pod"), "startTime": start,
        "steps": steps.iter().map(step).collect::<Vec<_>>(),
    })
}

#[tokio::test]
async fn follows_a_run() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (whole, clone, build) =
        (pipeline_run(), task_run("clone", &json!({})), task_run("build", &json!({})));
    let whole = json!({"apiVersion": whole["apiVersion"], "kind": whole["kind"], "metadata": {"name": "web-1"}, "spec": whole["spec"]});
    world.create(&whole, &json!({"conditions": condition("Unknown")})).await?;
    world.pod("web-1-clone-pod", &["step-fetch"]).await?;
    world.create(&clone, &status("clone", "Unknown", "2026-03-02T11:00:00Z", &[("fetch", true)])).await?;

    let mut program = start(&world, &["logs", "web-1", "-f"])?;
    world.prints("step-fetch", "fetching\nhalf a");
    assert_eq!(program.line().await?.as_deref(), Some("[clone : fetch] fetching"));
    world.prints("step-fetch", " line\n");
    assert_eq!(program.line().await?.as_deref(), Some("[clone : fetch] half a line"));
    world.ends("step-fetch");
    world.set(&clone, &json!({"conditions": condition("True")})).await?;

    // A task that begins later, with a step that begins later still.
    world.pod("web-1-build-pod", &["step-make", "step-push"]).await?;
    let begun = |push| status("build", "Unknown", "2026-03-02T11:01:00Z", &[("make", true), ("push", push)]);
    world.create(&build, &begun(false)).await?;
    world.prints("step-make", "making\n");
    assert_eq!(program.line().await?.as_deref(), Some("[build : make] making"));
    world.ends("step-make");
    world.set(&build, &begun(true)).await?;
    world.prints("step-push", "pushed");
    world.ends("step-push");
    world.set(&build, &json!({"conditions": condition("True")})).await?;
    world.set(&whole, &json!({"conditions": condition("True")})).await?;
    let ended = program.end().await?;
    assert_eq!(ended.stdout, "[build : push] pushed", "{ended:?}");
    assert_eq!((ended.code, world.archive.asked().len()), (Some(0), 0), "{ended:?}");
    Ok(())
}

#[tokio::test]
async fn prints_what_there_is_in_order() -> anyhow::Result<()> {
    let world = World::new().await?;
    let mut whole = pipeline_run();
    whole["metadata"] = json!({"name": "web-1"});
    world.create(&whole, &json!({"conditions": condition("Unknown")})).await?;
    // Made in the other order than begun.
    for (task, start) in [("build", "2026-03-02T11:01:00Z"), ("clone", "2026-03-02T11:00:00Z")] {
        world.pod(&format!("web-1-{task}-pod"), &["step-a", "step-b"]).await?;
        let steps = [("a", true), ("b", true), ("c", false)];
        world.create(&task_run(task, &json!({})), &status(task, "True", start, &steps)).await?;
    }
    world.prints("step-a", "1\n");
    world.prints("step-b", "2\n");
    let all = run(&world, &["logs", "web-1"]).await?.well();
    assert_eq!(all, "[clone : a] 1\n[clone : b] 2\n[build : a] 1\n[build : b] 2\n");
    let some = run(&world, &["logs", "web-1", "--task", "build", "--step", "b"]).await?.well();
    assert_eq!(some, "[build : b] 2\n");
    let one = run(&world, &["logs", "tr/web-1-clone"]).await?.well();
    assert_eq!(one, "[a] 1\n[b] 2\n");
    let error = run(&world, &["logs", "web-1", "-t", "tset"]).await?.badly();
    assert!(error.contains("no task tset of PipelineRun web-1 has begun"), "{error}");
    Ok(())
}

#[tokio::test]
async fn takes_from_the_archive_what_pods_no_longer_have() -> anyhow::Result<()> {
    let world = World::new().await?;
    let mut whole = pipeline_run();
    whole["metadata"] = json!({"name": "web-1"});
    world.create(&whole, &json!({"conditions": condition("True")})).await?;
    let annotations = json!({"results.tekton.dev/record": "team-a/results/r/records/c"});
    let steps = [("fetch", true)];
    world
        .create(&task_run("clone", &annotations), &status("clone", "True", "2026-03-02T11:00:00Z", &steps))
        .await?;
    world.pod("web-1-build-pod", &["step-fetch"]).await?;
    world
        .create(&task_run("build", &json!({})), &status("build", "True", "2026-03-02T11:01:00Z", &steps))
        .await?;
    world.prints("step-fetch", "of the pod\n");
    world.archive.answers("/results/r/logs/c", "", &"[fetch] of the archive\n");
    let all = run(&world, &["logs", "web-1"]).await?.well();
    assert_eq!(all, "[clone : fetch] of the archive\n[build : fetch] of the pod\n");
    Ok(())
}

/// The run is gone from the cluster.
fn archived(world: &World) {
    world.archive.answers(
        "/results/-/records",
        "data.metadata.name == \"web-1\"",
        &page(&[record("r", &pipeline_run())], ""),
    );
    let task = |name: &str, start: &str| {
        let mut task = task_run(name, &json!({}));
        task["metadata"]["uid"] = format!("uid-{name}").into();
        task["metadata"]["namespace"] = "team-a".into();
        task["status"] = json!({"startTime": start});
        record("r", &task)
    };
    let tasks = [task("build", "2026-03-02T11:01:00Z"), task("clone", "2026-03-02T11:00:00Z")];
    world.archive.answers("/results/r/records", "TaskRun", &page(&tasks, ""));
    world.archive.answers("/logs/uid-clone", "", &"[fetch] fetched\n");
    world.archive.answers("/logs/uid-build", "", &"[make] made\n[push] pushed\n");
}

#[tokio::test]
async fn prints_the_stored_log_of_a_run() -> anyhow::Result<()> {
    let world = World::new().await?;
    archived(&world);
    world.archive.answers("/results/r/logs/uid-run", "", &"[clone : fetch] whole\n[build : push] log\n");
    assert_eq!(run(&world, &["logs", "web-1"]).await?.well(), "[clone : fetch] whole\n[build : push] log\n");
    assert_eq!(run(&world, &["logs", "web-1", "-s", "push"]).await?.well(), "[build : push] log\n");
    assert_eq!(
        run(&world, &["logs", "web-1", "-t", "build", "-s", "push"]).await?.well(),
        "[build : push] pushed\n"
    );
    Ok(())
}

#[tokio::test]
async fn prints_stored_logs_of_tasks_where_there_is_none_of_the_run() -> anyhow::Result<()> {
    let world = World::new().await?;
    archived(&world);
    let all = run(&world, &["logs", "web-1", "--archived"]).await?.well();
    assert_eq!(all, "[clone : fetch] fetched\n[build : make] made\n[build : push] pushed\n");
    let error = run(&world, &["logs", "web-1", "-t", "tset"]).await?.badly();
    assert!(
        error.contains("no log of task tset of PipelineRun web-1 is stored; its tasks: clone, build"),
        "{error}"
    );
    let error = run(&world, &["logs", "web-2"]).await?.badly();
    assert!(error.contains("not in the archive"), "{error}");
    Ok(())
}

#[tokio::test]
async fn asks_the_archive_where_the_cluster_may_not_be_asked() -> anyhow::Result<()> {
    let world = World::without_rights().await?;
    archived(&world);
    let ended = run(&world, &["logs", "web-1", "-t", "clone"]).await?;
    assert!(ended.stderr.contains("You may not see PipelineRun web-1 in the cluster"), "{ended:?}");
    assert_eq!(ended.well(), "[clone : fetch] fetched\n");
    Ok(())
}
