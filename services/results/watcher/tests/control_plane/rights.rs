//! The rules of the base are what the watcher uses: nothing is missing, nothing is too much.

use fleet::Stored;
use kube::Api;
use kube::api::{Patch, PatchParams};
use pipelines_engine_api::{PipelineRun, TaskRun};
use serde_json::json;
use testkit::ControlPlane;
use testkit::rbac::Rare;

use crate::kubelet::Printed;
use crate::runs::{child, end, pipeline_run, pipeline_status, task_run, task_status};
use crate::service::{ACCOUNT, Service, annotation, wait_for, wait_gone};

/// Lets a run go.
async fn label<K: Stored>(api: &Api<K>, name: &str) -> anyhow::Result<()> {
    let patch = json!({"metadata": {"labels": {"may-go": "yes"}}});
    api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
    Ok(())
}

#[tokio::test]
async fn the_base_grants_exactly_what_is_used() -> anyhow::Result<()> {
    let ledger = ControlPlane::shared().await.ledger()?;
    let mark = ledger.mark().await?;
    let flags = ["--completed-run-grace-period=-1s", "--check-owner=false", "--label-selector=may-go=yes"];
    let mut service = Service::start(&flags).await?;
    let (pipeline_runs, task_runs) = (service.pipeline_runs(), service.task_runs());

    // A PipelineRun with a log, archived and deleted with all that belongs to it.
    let parent = pipeline_run(&pipeline_runs, "run").await?;
    service.node.pod(&service.api(), "pod", &[("build", Printed::Text("done\n".into()))]).await?;
    child(&task_runs, &parent, "one").await?;
    wait_for(&task_runs, "run-one", "its names", |run: &TaskRun| annotation(run, "record").is_some()).await?;
    end(&task_runs, "run-one", &task_status(true, "pod", &["build"])).await?;
    end(&pipeline_runs, "run", &pipeline_status(true, "run", &["one"])).await?;
    service.stored::<PipelineRun>("run").await?;
    // A TaskRun whose log is refused at first, which is told.
    service.api.with(|state| state.refuses_uploads = 1);
    service.node.pod(&service.api(), "other", &[("build", Printed::Text("done\n".into()))]).await?;
    task_run(&task_runs, "build").await?;
    end(&task_runs, "build", &task_status(true, "other", &["build"])).await?;
    service.told("build", "LogNotStored").await?;
    service.stored::<TaskRun>("build").await?;
    // The archive loses both. What is kept of them in memory is not all of them: they are read again.
    service.api.with(|state| {
        state.results.clear();
        state.records.clear();
    });
    label(&pipeline_runs, "run").await?;
    label(&task_runs, "build").await?;
    wait_gone::<PipelineRun>(&pipeline_runs, "run").await?;
    wait_gone::<TaskRun>(&task_runs, "build").await?;
    service.stop().await?;

    let calls = ledger.since(&mark).await?.by(&service.installed.user_as(ACCOUNT));
    assert!(!calls.is_empty(), "the watcher uses its own account");
    let no_streaming = "API servers without streaming lists";
    let rare = [
        Rare { verb: "list", resource: "pipelineruns", because: no_streaming },
        Rare { verb: "list", resource: "taskruns", because: no_streaming },
        Rare { verb: "patch", resource: "events", because: "the same Event twice" },
    ];
    let mut comparison = service.installed.compare_rules(&calls, &rare)?;
    // The archive asks the API server about these; they are tried where the archive runs, as is what the other accounts have.
    let is_of_archive = |group: &str| group == "results.tekton.dev";
    comparison.unused.retain(|grant| grant.role.ends_with(ACCOUNT) && !is_of_archive(&grant.group));
    comparison.check()
}
