//! Scenario 23, small: what runs cost the API server.

use serde_json::json;
use testkit::ledger::{Call, Calls};

use crate::service::{Service, of_pipeline_run, says, task, with};

const RUNS: usize = 20;
const TASKS: [&str; 5] = ["a", "b", "c", "d", "e"];

#[tokio::test]
async fn scenario_23_each_task_costs_a_few_writes() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    // The first run brings the entrypoint.
    service.pass("first").await?;
    let after = |name: &str, before: &[&str]| with(task(name), &json!({"runAfter": before}));
    let tasks = json!([
        task("a"),
        after("b", &["a"]),
        after("c", &["a"]),
        after("d", &["b", "c"]),
        after("e", &["d"])
    ]);
    let mark = service.plane.ledger()?.mark().await?;
    for index in 0..RUNS {
        service.run_pipeline(&format!("r{index}"), &json!({"pipelineSpec": {"tasks": tasks}})).await?;
    }
    for index in 0..RUNS {
        let ended = service.end_of(&format!("r{index}")).await?;
        assert_eq!(of_pipeline_run(&ended), says("True", "Succeeded"));
    }
    // Events of the first run are still being written.
    let is_of_these = |call: &Call| {
        let name = call.target.as_ref().and_then(|target| target.name.as_deref()).unwrap_or_default();
        call.is_write() && !name.starts_with("first")
    };
    let calls = service.calls(&mark).await?.filter(is_of_these);
    let failed = calls.filter(|call| !call.is_ok());
    assert!(failed.is_empty(), "{failed}");

    let task_runs = RUNS * TASKS.len();
    let count = |calls: &Calls| calls.writes();
    let pods = count(&calls.about("pods"));
    assert_eq!(pods, task_runs, "one pod each, created and never written again");
    let events = count(&calls.about("events"));
    assert!(events <= task_runs * 3 + RUNS * 3, "{events} Events");
    // Its creation, and a status each for its pod, its steps running, and its end; one more where a pod takes seconds to
    // start, as on a busy machine.
    let of_task_runs = count(&calls.about("taskruns"));
    assert!(of_task_runs <= task_runs * 5, "{of_task_runs} writes to {task_runs} TaskRuns");
    // Its labels and its end, and each task's beginning and end.
    let of_runs = count(&calls.about("pipelineruns"));
    assert!(of_runs <= task_runs * 2 + RUNS * 2, "{of_runs} writes to {RUNS} PipelineRuns");
    assert_eq!(count(&calls), pods + events + of_task_runs + of_runs, "{calls}");
    let reads = service.calls(&mark).await?.reads();
    // Those of its account: see that nothing is read that a watch brings.
    assert!(reads <= task_runs * 2, "{reads} reads");
    service.stop().await
}
