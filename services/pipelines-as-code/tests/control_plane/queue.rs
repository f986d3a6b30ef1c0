//! Runs that wait for each other, and what is left of those that ended.

use std::time::Duration;

use anyhow::ensure;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use pipelines_as_code_api::Repository;
use pipelines_engine_api::PipelineRun;
use serde_json::json;
use testkit::engine::{RunScript, Runs};
use testkit::forge::Fault;
use testkit::{DEADLINE, eventually, wait_gone};

use crate::service::{ON_PUSH, Service, annotation, definition, label};

fn is_paused(run: &PipelineRun) -> bool {
    run.spec.status == "PipelineRunPending"
}

/// Names in `.tekton/` of the runs that go on, and of those that wait.
async fn split(service: &Service) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let alive = service.runs().await?.into_iter().filter(|run| !label(run, "state").starts_with("completed"));
    let (waiting, going): (Vec<_>, Vec<_>) = alive.partition(is_paused);
    let names =
        |runs: Vec<PipelineRun>| runs.iter().map(|run| label(run, "original-prname").to_owned()).collect();
    Ok((names(going), names(waiting)))
}

async fn until_split(service: &Service, going: &[&str], waiting: &[&str]) -> anyhow::Result<()> {
    eventually(DEADLINE, &format!("{going:?} to go on and {waiting:?} to wait"), async || {
        let (found_going, found_waiting) = split(service).await?;
        ensure!(found_going.len() <= 1, "two at once: {found_going:?}");
        ensure!(
            found_going == going && found_waiting == waiting,
            "it is {found_going:?} and {found_waiting:?}"
        );
        Ok(())
    })
    .await
}

/// A service with a limit of one, and runs a, b and c of one push, which do not end by themselves.
async fn with_three() -> anyhow::Result<(Service, String)> {
    let service = Service::start().await?;
    service.change_repository(&json!({"concurrency_limit": 1})).await?;
    service.engine.play(Runs::any(), RunScript::never_ends());
    let files = ["c", "a", "b"].map(|name| (format!(".tekton/{name}.yaml"), definition(name, &ON_PUSH)));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
    let (commit, event) = service.commit("main", &files)?;
    service.deliver(&event).await?;
    service.has_runs(3).await?;
    Ok((service, commit))
}

/// Lets one run, by its name in `.tekton/`, end.
fn end(service: &Service, original: &str) {
    let key = "pipelinesascode.tekton.dev/original-prname";
    service.engine.play(Runs::labelled(key, original), RunScript::new());
}

#[tokio::test]
async fn s09_one_at_a_time_in_the_order_of_names_whatever_happens_to_the_service() -> anyhow::Result<()> {
    let (mut service, commit) = with_three().await?;
    until_split(&service, &["a"], &["b", "c"]).await?;
    service
        .check(&commit, "of b, queued", |check| check.name == "Konflux / b" && check.status == "queued")
        .await?;

    service.kill().await?;
    end(&service, "a");
    service.run().await?;
    until_split(&service, &["b"], &["c"]).await?;
    service
        .check(&commit, "of b, in progress", |check| {
            check.name == "Konflux / b" && check.status == "in_progress"
        })
        .await?;

    let b = service.runs().await?.into_iter().find(|run| label(run, "original-prname") == "b");
    let b = b.as_ref().map(ResourceExt::name_any).unwrap_or_default();
    service.api::<PipelineRun>().delete(&b, &DeleteParams::default()).await?;
    wait_gone(&service.api::<PipelineRun>(), &b, DEADLINE).await?;
    until_split(&service, &["c"], &[]).await?;
    service
        .check(&commit, "of b, cancelled", |check| {
            check.name == "Konflux / b" && check.conclusion.as_deref() == Some("cancelled")
        })
        .await?;
    end(&service, "c");
    service
        .check(&commit, "of c, ended", |check| {
            check.name == "Konflux / c" && check.conclusion.as_deref() == Some("success")
        })
        .await?;
    Ok(())
}

#[tokio::test]
async fn s10_without_the_limit_all_that_wait_start() -> anyhow::Result<()> {
    let (service, _) = with_three().await?;
    until_split(&service, &["a"], &["b", "c"]).await?;
    service.change_repository(&json!({"concurrency_limit": null})).await?;
    eventually(DEADLINE, "all to go on", async || {
        let (going, waiting) = split(&service).await?;
        ensure!(going.len() == 3 && waiting.is_empty(), "it is {going:?} and {waiting:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn s11_as_many_ended_runs_are_kept_as_the_definition_says() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.plane.controllers().await?;
    let run = definition("kept", &[ON_PUSH[0], ON_PUSH[1], ("max-keep-runs", "2")]);
    service.commit("main", &[(".tekton/push.yaml", &run)])?;
    let mut last = Vec::new();
    for number in 1..=5 {
        let (commit, event) = service.commit("main", &[("number", &number.to_string())])?;
        service.deliver(&event).await?;
        service.check(&commit, "that ended", |check| check.conclusion.is_some()).await?;
        last.push(commit);
        // Times of completion are in whole seconds.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }
    eventually(DEADLINE, "two runs with their Secrets", async || {
        let mut kept: Vec<_> = service.runs().await?.iter().map(|run| label(run, "sha").to_owned()).collect();
        kept.sort_unstable();
        let mut wanted = last[3..].to_vec();
        wanted.sort_unstable();
        ensure!(kept == wanted, "of {last:?} are left {kept:?}");
        let secrets = service.api::<Secret>().list(&ListParams::default()).await?.items;
        let credentials =
            secrets.iter().filter(|secret| secret.name_any().starts_with("pac-gitauth-")).count();
        ensure!(credentials == 2, "{credentials} Secrets");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn s15_a_forge_that_is_away_at_the_end_holds_nobody_up() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.engine.play(Runs::any(), RunScript::never_ends());
    let (commit, event) = service.commit("main", &[(".tekton/push.yaml", &definition("told", &ON_PUSH))])?;
    service.deliver(&event).await?;
    let run = service.has_runs(1).await?.remove(0);
    service.until(&run.name_any(), "its check", |run| !label(run, "check-run-id").is_empty()).await?;
    let route = "PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}";
    let away =
        Fault::Instead { status: 502, headers: Vec::new(), body: b"<html>bad gateway</html>".to_vec() };
    service.github.traffic().fail(route, 2, away);
    end(&service, "told");
    service.until(&run.name_any(), "its end", |run| label(run, "state") == "completed").await?;
    service.check(&commit, "that ended", |check| check.conclusion.as_deref() == Some("success")).await?;
    let repository = service.api::<Repository>().get("app").await?;
    assert_eq!(repository.spec.pipelinerun_status.len(), 1);
    Ok(())
}

#[tokio::test]
async fn s16_the_history_has_the_five_newest_of_ten_at_once() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let files: Vec<(String, String)> = (0..10)
        .map(|number| format!("run-{number}"))
        .map(|name| (format!(".tekton/{name}.yaml"), definition(&name, &ON_PUSH)))
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
    let (commit, event) = service.commit("main", &files)?;
    service.deliver(&event).await?;
    let runs = service.has_runs(10).await?;
    for run in &runs {
        service.until(&run.name_any(), "its end", |run| label(run, "state") == "completed").await?;
    }
    let repository = service.api::<Repository>().get("app").await?;
    let history = &repository.spec.pipelinerun_status;
    assert_eq!(history.len(), 5);
    let names: Vec<_> = runs.iter().map(ResourceExt::name_any).collect();
    for entry in history {
        let entry = serde_json::to_value(entry)?;
        ensure!(names.iter().any(|name| entry["pipelineRunName"] == **name), "{entry}");
        assert_eq!(
            (&entry["sha"], &entry["event_type"], &entry["target_branch"]),
            (&json!(commit), &json!("push"), &json!("main"))
        );
        assert_eq!(entry["conditions"][0]["status"], "True");
    }
    Ok(())
}

#[tokio::test]
async fn a_failure_is_told_with_the_task_that_failed() -> anyhow::Result<()> {
    use testkit::engine::TaskScript;
    let service = Service::start().await?;
    let script = RunScript::fails("Failed", "Tasks Completed: 1 (Failed: 1, Cancelled 0), Skipped: 0");
    service
        .engine
        .play(Runs::any(), script.task("work", TaskScript::fails("TaskRunTimeout", "it took too long")));
    let (commit, event) = service.commit("main", &[(".tekton/push.yaml", &definition("fails", &ON_PUSH))])?;
    service.deliver(&event).await?;
    let check =
        service.check(&commit, "that failed", |check| check.conclusion.as_deref() == Some("failure")).await?;
    let text = check.output["text"].as_str().unwrap_or_default();
    ensure!(text.contains("work") && text.contains("it took too long"), "{text}");
    let run = service.has_runs(1).await?.remove(0);
    let run = service.until(&run.name_any(), "its end", |run| label(run, "state") == "completed").await?;
    ensure!(run.finalizers().is_empty() && !annotation(&run, "check-run-id").is_empty());
    Ok(())
}
