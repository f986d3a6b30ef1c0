//! Scenarios that are asked for again (spec, section 4.5).

use anyhow::ensure;
use application_service_api::Snapshot;
use integration_service_api::labels;
use pipelines_engine_api::PipelineRun;
use serde_json::json;
use testkit::engine::{RunScript, Runs};

use crate::runs::{passing, running};
use crate::service::{Service, entries, label, optional_scenario, reason, scenario, snapshot, statuses};

const TEST_SUCCEEDED: &str = "AppStudioTestSucceeded";
const STATUS: &str = "AppStudioIntegrationStatus";

/// A user asks for a scenario.
async fn ask(service: &Service, scenario: &str) -> anyhow::Result<Snapshot> {
    let body = json!({"metadata": {"labels": {labels::RUN.as_str(): scenario}}});
    service.patch("made", &body).await
}

async fn answered(service: &Service) -> anyhow::Result<Snapshot> {
    let is_gone = |snapshot: &Snapshot| label(snapshot, labels::RUN.as_str()).is_none();
    service.until("made", "the label to go", is_gone).await
}

fn of(scenario: &str) -> Runs {
    Runs::labelled(labels::SCENARIO.as_str(), scenario)
}

#[tokio::test(flavor = "multi_thread")]
async fn acceptance_11_a_rerun_opens_the_verdict_and_ends_with_a_new_one() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create(&scenario("lint")).await?;
    service.create(&optional_scenario("deep")).await?;
    service.engine.play(of("lint"), RunScript::fails("Failed", "no"));
    service.engine.play(of("deep"), running());
    service.create(&snapshot("made", &[("web", 1)])).await?;
    service.has_reason("made", TEST_SUCCEEDED, "Failed").await?;

    // One that nobody knows, and one that runs.
    for needless in ["nothing", "deep"] {
        ask(&service, needless).await?;
        let made = answered(&service).await?;
        ensure!(reason(&made, TEST_SUCCEEDED).as_deref() == Some("Failed"));
    }
    ensure!(service.all::<PipelineRun>().await?.len() == 2);

    service.engine.play(of("lint"), running());
    ask(&service, "lint").await?;
    let made = answered(&service).await?;
    ensure!(reason(&made, TEST_SUCCEEDED).as_deref() == Some("InProgress"), "open before the label goes");
    ensure!(reason(&made, STATUS).as_deref() == Some("InProgress"));
    ensure!(entries(&made)["lint"] == "InProgress");
    ensure!(statuses(&made).iter().any(|entry| entry.scenario == "lint" && entry.attempt == 1));
    service.has::<PipelineRun>(3).await?;
    service.engine.play(of("lint"), passing());
    service.has_reason("made", TEST_SUCCEEDED, "Passed").await?;

    service.engine.play(of("deep"), passing());
    service.has_entry("made", "deep", "TestPassed").await?;
    ask(&service, "all").await?;
    answered(&service).await?;
    service.has_reason("made", TEST_SUCCEEDED, "Passed").await?;
    let runs = service.has::<PipelineRun>(5).await?;
    ensure!(
        (service.sum("integration_svc_integration_pipelinerun_total") - 5.0).abs() < 0.5,
        "{}",
        runs.len()
    );
    ensure!(
        (service.sum("integration_svc_snapshot_created_to_pipelinerun_with_static_env_started_seconds")
            - 2.0)
            .abs()
            < 0.5
    );
    Ok(())
}
