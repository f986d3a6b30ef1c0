//! Killed at any moment, the engine ends where it ends on a calm day, with no pod and no TaskRun more.

use std::io::Write as _;

use kube::api::PostParams;
use pipelines_engine_api::PipelineRun;
use serde_json::{Value, json};
use testkit::drill::{Drill, Tenant};
use testkit::kubelet::{Container, PlayedKubelet, PodScript, Pods};
use testkit::{DEADLINE, wait_for};

use crate::service::{of_pipeline_run, run, step};

/// The drill, and the program that is delivered to pods, which has to last as long.
pub(crate) fn drill() -> anyhow::Result<(Drill, tempfile::NamedTempFile)> {
    let mut entrypoint = tempfile::NamedTempFile::new()?;
    entrypoint.write_all(b"not run")?;
    let file = format!("--entrypoint={}", entrypoint.path().display());
    let flags = [file.as_str(), "--entrypoint-image=images.example/entrypoint", "--enable-webhooks=false"];
    let drill = Drill::of("pipelines-engine", env!("CARGO_BIN_EXE_pipelines-engine")).flags(flags);
    Ok((drill, entrypoint))
}

#[tokio::test]
async fn killed_at_any_write_it_ends_where_it_ends_on_a_calm_day() -> anyhow::Result<()> {
    let (drill, _entrypoint) = drill()?;
    eprintln!("crash drill: {}", drill.crash_after_each_write(release).await?);
    Ok(())
}

/// Five tasks, one after another so that each run takes the same way, of which one succeeds at its second attempt; and
/// a task of `finally`.
pub(crate) async fn release(tenant: &Tenant) -> anyhow::Result<()> {
    let kubelet = PlayedKubelet::start(tenant.admin(), tenant).await?;
    let result = r#"[{"key":"image","value":"images.example/app@sha256:0","type":1}]"#;
    kubelet.play(
        Pods::labelled("tekton.dev/pipelineTask", "build"),
        PodScript::new().container("step-s", Container::succeeds().message(result)),
    );
    kubelet.play(Pods::named("release-test-pod"), PodScript::new().others(Container::exits(1)));

    let runs = tenant.api::<PipelineRun>();
    runs.create(&PostParams::default(), &run("PipelineRun", "release", &pipeline())).await?;
    // Some sixty writes, one after another; each may be tried again after a second or two.
    let ended = wait_for(&runs, "release", "its end", DEADLINE * 4, |run: &PipelineRun| {
        ["True", "False"].contains(&of_pipeline_run(run).0.as_str())
    })
    .await?;
    anyhow::ensure!(of_pipeline_run(&ended).1 == "Succeeded", "{:?}", ended.status);
    Ok(())
}

fn pipeline() -> Value {
    let task = |name: &str, after: &[&str]| json!({"name": name, "runAfter": after, "taskSpec": {"steps": [step("x")]}});
    let mut build = task("build", &["clone"]);
    build["taskSpec"]["results"] = json!([{"name": "image"}]);
    let mut test = task("test", &[]);
    test["retries"] = json!(1);
    test["params"] = json!([{"name": "image", "value": "$(tasks.build.results.image)"}]);
    test["taskSpec"]["params"] = json!([{"name": "image"}]);
    let tasks = json!([task("clone", &[]), build, test, task("scan", &["test"]), task("push", &["scan"])]);
    json!({"pipelineSpec": {
        "tasks": tasks,
        "finally": [{"name": "notify", "taskSpec": {"steps": [step("x")]}}],
        "results": [{"name": "image", "value": "$(tasks.build.results.image)"}],
    }})
}
