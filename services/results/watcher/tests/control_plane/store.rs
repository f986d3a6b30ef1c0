//! What is archived of runs that end.

use anyhow::ensure;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, ResourceExt as _};
use pipelines_engine_api::{PipelineRun, TaskRun};
use serde_json::{Value, json};
use testkit::{DEADLINE, eventually};

use crate::kubelet::Printed;
use crate::runs::{child, end, pipeline_run, pipeline_status, task_run, task_status};
use crate::service::{ACCOUNT, Service, annotation, wait_for};

/// All of an object but what differs from one moment to the next.
fn lasting(mut object: Value) -> Value {
    let metadata = object["metadata"].as_object_mut().expect("objects have metadata");
    metadata.remove("managedFields");
    metadata.remove("resourceVersion");
    if let Some(annotations) = metadata["annotations"].as_object_mut() {
        annotations.retain(|key, _| !key.contains("results."));
    }
    object
}

#[tokio::test]
async fn scenario_1_a_task_run_is_archived_with_its_log() -> anyhow::Result<()> {
    let service = Service::start(&[]).await?;
    let task_runs = service.task_runs();
    let printed = [("build", Printed::Text("one\ntwo".into())), ("push", Printed::Text("three\n".into()))];
    service.node.pod(&service.api(), "pod", &printed).await?;
    let run = task_run(&task_runs, "build").await?;
    end(&task_runs, "build", &task_status(true, "pod", &["build", "push"])).await?;
    let made = run.uid();
    let run: TaskRun = service.stored("build").await?;
    ensure!(run.uid() == made);
    let result = service.result_of(&run);
    ensure!(annotation(&run, "result") == Some(&*result));
    ensure!(
        annotation(&run, "record") == Some(&*format!("{result}/records/{}", run.uid().unwrap_or_default()))
    );
    let live: Api<DynamicObject> =
        Api::namespaced_with(service.admin(), &service.tenant, &ApiResource::erase::<TaskRun>(&()));
    let live = lasting(serde_json::to_value(live.get("build").await?)?);
    let objects = service.api.objects(&result);
    ensure!(lasting(objects["TaskRun build"].clone()) == live, "{objects:#?}\n{live:#}");
    let log = annotation(&run, "log").unwrap_or_default();
    let expected = "[build] one\n[build] two\n[push] three\n";
    ensure!(service.api.log(log).as_deref() == Some(expected), "{:?}", service.api.log(log));
    let document = &objects["Log build-log"];
    ensure!(document["spec"]["resource"]["uid"] == json!(run.uid()), "{document}");
    Ok(())
}

#[tokio::test]
async fn scenario_2_a_pipeline_run_and_its_task_runs_are_one_result() -> anyhow::Result<()> {
    let service = Service::start(&[]).await?;
    let (pipeline_runs, task_runs) = (service.pipeline_runs(), service.task_runs());
    let tasks = ["lint", "build", "test"];
    for (run, is_success, status) in [("good", true, 1), ("bad", false, 2)] {
        let parent = pipeline_run(&pipeline_runs, run).await?;
        for task in tasks {
            let (name, pod) = (format!("{run}-{task}"), format!("{run}-{task}-pod"));
            child(&task_runs, &parent, task).await?;
            service.node.pod(&service.api(), &pod, &[("step", Printed::Text(format!("I {task}\n")))]).await?;
            end(&task_runs, &name, &task_status(is_success, &pod, &["step"])).await?;
        }
        end(&pipeline_runs, run, &pipeline_status(is_success, run, &tasks)).await?;
        let parent: PipelineRun = service.stored(run).await?;
        let result = service.result_of(&parent);
        let objects = service.api.objects(&result);
        let runs: Vec<_> = objects.keys().filter(|name| !name.starts_with("Log ")).collect();
        ensure!(runs.len() == 4, "{runs:?}");
        let results = service.api.with(|state| state.results.len());
        let summary = service.api.with(|state| state.results[&result].summary.clone()).unwrap_or_default();
        ensure!(summary.status == status && summary.start_time.is_some() && summary.end_time.is_some());
        ensure!(
            summary.record == format!("{result}/records/{}", parent.uid().unwrap_or_default()),
            "{summary:?}"
        );
        ensure!(results == if is_success { 1 } else { 2 }, "{results} results");
        let log = service.api.log(annotation(&parent, "log").unwrap_or_default());
        let expected = "[lint : step] I lint\n[build : step] I build\n[test : step] I test\n";
        ensure!(log.as_deref() == Some(expected), "{log:?}");
        let child = service.stored::<TaskRun>(&format!("{run}-lint")).await?;
        ensure!(annotation(&child, "childReadyForDeletion") == Some("true"));
    }
    Ok(())
}

#[tokio::test]
async fn what_comes_after_the_end_is_archived_too() -> anyhow::Result<()> {
    let mut service = Service::start(&["--logs-api=false"]).await?;
    let task_runs = service.task_runs();
    task_run(&task_runs, "build").await?;
    end(&task_runs, "build", &task_status(true, "", &[])).await?;
    let run: TaskRun = service.stored("build").await?;
    let result = service.result_of(&run);
    let reads = |service: &Service| service.sum("rest_client_requests_total");
    let before = reads(&service);
    for (value, is_restarted) in [("true", false), ("failed", true)] {
        if is_restarted {
            service.stop().await?;
        }
        let signed = json!({"metadata": {"annotations": {"chains.tekton.dev/signed": value}}});
        task_runs.patch("build", &PatchParams::default(), &Patch::Merge(&signed)).await?;
        if is_restarted {
            service.run().await?;
        }
        eventually(DEADLINE, "the annotation in the archive", async || {
            let object = service.api.objects(&result)["TaskRun build"].clone();
            ensure!(object["metadata"]["annotations"]["chains.tekton.dev/signed"] == value, "{object:#}");
            ensure!(object["status"]["startTime"].is_string() && object["spec"]["taskSpec"].is_object());
            Ok(())
        })
        .await?;
        if !is_restarted {
            // The store has let go of the rest, which is taken from the archive.
            ensure!((reads(&service) - before).abs() < 1.5, "{} requests", reads(&service) - before);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_run_costs_two_writes_until_it_is_deleted() -> anyhow::Result<()> {
    let service = Service::start(&["--completed-run-grace-period=-1s"]).await?;
    let ledger = service.plane.ledger()?;
    let mark = ledger.mark().await?;
    let (pipeline_runs, task_runs) = (service.pipeline_runs(), service.task_runs());
    let parent = pipeline_run(&pipeline_runs, "run").await?;
    child(&task_runs, &parent, "build").await?;
    let is_held = |run: &TaskRun| annotation(run, "record").is_some();
    wait_for(&task_runs, "run-build", "its names", is_held).await?;
    end(&task_runs, "run-build", &task_status(true, "", &[])).await?;
    end(&pipeline_runs, "run", &pipeline_status(true, "run", &["build"])).await?;
    crate::service::wait_gone(&pipeline_runs, "run").await?;
    let calls = ledger.since(&mark).await?.by(&service.installed.user_as(ACCOUNT));
    let runs = calls.filter(|call| {
        let target = call.target.as_ref();
        target.is_some_and(|target| ["pipelineruns", "taskruns"].contains(&target.resource.as_str()))
    });
    // Held, marked, deleted, let go.
    let of = |resource: &str| {
        runs.filter(|call| call.target.as_ref().is_some_and(|target| target.resource == resource)).writes()
    };
    ensure!(of("pipelineruns") <= 4 && of("taskruns") <= 3 && runs.reads() == 0, "{runs}");
    Ok(())
}

#[tokio::test]
async fn bad_annotations_are_told_and_hold_nothing_up() -> anyhow::Result<()> {
    let service = Service::start(&["--logs-api=false"]).await?;
    let task_runs = service.task_runs();
    let run = json!({
        "metadata": {"name": "build", "annotations": {
            "results.tekton.dev/result": "other-tenant/results/theirs",
            "results.tekton.dev/resultAnnotations": r#"{"commit": "abc"}"#,
            "results.tekton.dev/recordSummaryAnnotations": "{",
        }},
        "spec": {"taskSpec": {"steps": [{"name": "s", "image": "i"}]}},
    });
    task_runs.create(&kube::api::PostParams::default(), &serde_json::from_value(run)?).await?;
    end(&task_runs, "build", &task_status(true, "", &[])).await?;
    let run: TaskRun = service.stored("build").await?;
    let result = service.result_of(&run);
    ensure!(annotation(&run, "result") == Some(&*result));
    let stored = service.api.with(|state| state.results.get(&result).cloned()).unwrap_or_default();
    ensure!(stored.annotations.get("commit").is_some_and(|commit| commit == "abc"), "{stored:?}");
    let note = service.told("build", "InvalidAnnotation").await?;
    ensure!(note.contains("results.tekton.dev/"), "{note}");
    Ok(())
}

#[tokio::test]
async fn a_result_that_somebody_deleted_is_made_again() -> anyhow::Result<()> {
    let service = Service::start(&["--logs-api=false"]).await?;
    let (pipeline_runs, task_runs) = (service.pipeline_runs(), service.task_runs());
    let parent = pipeline_run(&pipeline_runs, "run").await?;
    child(&task_runs, &parent, "build").await?;
    let result = service.result_of(&parent);
    eventually(DEADLINE, "both in the archive", async || {
        ensure!(service.api.objects(&result).len() == 2);
        Ok(())
    })
    .await?;
    service.api.with(|state| {
        state.results.clear();
        state.records.clear();
    });
    end(&task_runs, "run-build", &task_status(true, "", &[])).await?;
    service.stored::<TaskRun>("run-build").await?;
    end(&pipeline_runs, "run", &pipeline_status(true, "run", &["build"])).await?;
    service.stored::<PipelineRun>("run").await?;
    ensure!(service.api.objects(&result).len() == 2, "{:#?}", service.api.objects(&result));
    let summary = service.api.with(|state| state.results[&result].summary.clone()).unwrap_or_default();
    ensure!(summary.status == 1, "{summary:?}");
    Ok(())
}
