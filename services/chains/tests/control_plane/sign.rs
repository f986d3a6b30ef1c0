//! What is signed, and where it lies.

use anyhow::ensure;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams};
use registry::Attached;
use serde_json::{Value, json};

use crate::runs::{
    child, end, ended_task_run, image, pipeline_run, pipeline_status, result, task_run, task_status,
};
use crate::service::{Service, annotation, signed, wait_for, wait_gone};

/// Names of the subjects of a statement.
fn subjects(statement: &Value) -> Vec<&str> {
    statement["subject"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|subject| subject["name"].as_str())
        .collect()
}

#[tokio::test]
async fn scenario_1_an_image_of_a_task_run_is_signed_and_attested() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (repository, digest) = service.push_image("app");
    let task_runs = service.task_runs();
    service.webhook_is_called().await?;
    let made = task_run(&task_runs, "build").await?;
    ensure!(made.finalizers() == ["chains.tekton.dev"], "held from its beginning: {:?}", made.finalizers());
    end(&task_runs, "build", &task_status(&image(&format!("{repository}:v1"), &digest))).await?;
    let run = service.task_run_marked("build", "true").await?;
    ensure!(run.finalizers().is_empty() && annotation(&run, "chains.tekton.dev/retries").is_none());

    let consumer = service.consumer()?;
    let signatures = consumer.signatures(&repository, &digest).await?;
    ensure!(signatures.len() == 1 && signatures[0].keyid == service.key.public().key_id());
    let statements = consumer.statements(&repository, &digest).await?;
    let [statement] = &statements[..] else { anyhow::bail!("{statements:?}") };
    ensure!(subjects(statement) == [repository.as_str()], "{statement}");
    ensure!(statement["predicateType"] == "https://slsa.dev/provenance/v0.2", "{statement}");
    ensure!(statement["predicate"]["builder"]["id"] == "https://fleet.konflux-ci.dev/chains", "{statement}");
    ensure!(!statement.to_string().contains("chains.tekton.dev/"), "{statement}");

    task_runs.delete("build", &DeleteParams::default()).await?;
    wait_gone(&task_runs, "build").await
}

#[tokio::test]
async fn scenarios_2_and_3_a_pipeline_run_is_signed_after_its_task_runs() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (repository, digest) = service.push_image("app");
    let (pipeline_runs, task_runs) = (service.pipeline_runs(), service.task_runs());
    let parent = pipeline_run(&pipeline_runs, "run").await?;
    child(&task_runs, &parent, "build").await?;
    // It ends before its task, as seen from here.
    end(&pipeline_runs, "run", &pipeline_status(&parent, &["build"], &[])).await?;
    ended_task_run(&task_runs, "other", &[]).await?;
    service.task_run_marked("other", "true").await?;
    ensure!(signed(&pipeline_runs.get("run").await?).is_none(), "its task has not ended");

    end(&task_runs, "run-build", &task_status(&image(&repository, &digest))).await?;
    let run = service.pipeline_run_marked("run", "true").await?;
    ensure!(signed(&task_runs.get("run-build").await?) == Some("true") && run.finalizers().is_empty());
    let statements = service.consumer()?.statements(&repository, &digest).await?;
    ensure!(statements.len() == 2, "one of the TaskRun, one of the PipelineRun: {statements:?}");
    let of_run = statements.iter().find(|statement| {
        statement["predicate"]["buildType"].as_str().is_some_and(|kind| kind.ends_with("/PipelineRun"))
    });
    let of_run = of_run.ok_or_else(|| anyhow::anyhow!("{statements:?}"))?;
    ensure!(
        subjects(of_run) == [repository.as_str()],
        "deep inspection finds the image of the task: {of_run}"
    );
    ensure!(of_run["predicate"]["buildConfig"]["tasks"][0]["name"] == "build", "{of_run}");
    ensure!(of_run["predicate"]["buildConfig"]["tasks"][0]["steps"][0]["entryPoint"] == "make", "{of_run}");
    Ok(())
}

#[tokio::test]
async fn scenario_2_without_deep_inspection_only_pipeline_results_are_subjects() -> anyhow::Result<()> {
    let service = Service::start_with(&[("artifacts.pipelinerun.enable-deep-inspection", "false")]).await?;
    let ((app, digest), (other, other_digest)) = (service.push_image("app"), service.push_image("other"));
    let (pipeline_runs, task_runs) = (service.pipeline_runs(), service.task_runs());
    let parent = pipeline_run(&pipeline_runs, "run").await?;
    child(&task_runs, &parent, "build").await?;
    end(&task_runs, "run-build", &task_status(&image(&app, &digest))).await?;
    end(&pipeline_runs, "run", &pipeline_status(&parent, &["build"], &image(&other, &other_digest))).await?;
    service.pipeline_run_marked("run", "true").await?;
    let consumer = service.consumer()?;
    ensure!(consumer.statements(&app, &digest).await?.len() == 1, "that of the TaskRun");
    let statements = consumer.statements(&other, &other_digest).await?;
    ensure!(statements.len() == 1 && subjects(&statements[0]) == [other.as_str()], "{statements:?}");
    // Nobody else has signed it.
    ensure!(consumer.signatures(&other, &other_digest).await?.len() == 1);
    Ok(())
}

#[tokio::test]
async fn scenario_5_a_malformed_hint_is_passed_over() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let ((one, one_digest), (two, two_digest)) = (service.push_image("one"), service.push_image("two"));
    let images = format!("{one}@{one_digest},\n{two}@{two_digest}\n,{one}@sha256:short");
    ended_task_run(&service.task_runs(), "build", &[result("IMAGES", &images)]).await?;
    service.task_run_marked("build", "true").await?;
    let consumer = service.consumer()?;
    for (repository, digest) in [(&one, &one_digest), (&two, &two_digest)] {
        ensure!(consumer.signatures(repository, digest).await?.len() == 1, "{repository}");
        let statements = consumer.statements(repository, digest).await?;
        ensure!(statements.len() == 1 && subjects(&statements[0]).len() == 2, "{statements:?}");
    }
    Ok(())
}

#[tokio::test]
async fn scenario_6_one_image_by_three_hints_is_one_layer() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (repository, digest) = service.push_image("app");
    let mut results = image(&format!("{repository}:v1"), &digest);
    results.push(result("IMAGES", &format!("{repository}@{digest}")));
    results.push(json!({"name": "x-ARTIFACT_OUTPUTS", "type": "object", "value": {"uri": repository, "digest": digest}}));
    ended_task_run(&service.task_runs(), "build", &results).await?;
    service.task_run_marked("build", "true").await?;
    let consumer = service.consumer()?;
    ensure!(consumer.count(&repository, &digest, Attached::Signature).await? == 1);
    ensure!(consumer.count(&repository, &digest, Attached::Attestation).await? == 1);
    let statements = consumer.statements(&repository, &digest).await?;
    ensure!(subjects(&statements[0]) == [repository.as_str()], "{statements:?}");
    Ok(())
}

#[tokio::test]
async fn signing_again_adds_nothing() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (repository, digest) = service.push_image("app");
    let task_runs = service.task_runs();
    ended_task_run(&task_runs, "build", &image(&repository, &digest)).await?;
    service.task_run_marked("build", "true").await?;
    // By hand, as after a failure that was mended.
    let removed = json!({"metadata": {"annotations": {"chains.tekton.dev/signed": null}}});
    let removed = Patch::Merge(&removed);
    let version = task_runs.patch("build", &PatchParams::default(), &removed).await?.resource_version();
    wait_for(&task_runs, "build", "the mark", |run| {
        signed(run) == Some("true") && run.resource_version() != version
    })
    .await?;
    let consumer = service.consumer()?;
    ensure!(consumer.count(&repository, &digest, Attached::Signature).await? == 1);
    ensure!(consumer.count(&repository, &digest, Attached::Attestation).await? == 1);
    Ok(())
}

#[tokio::test]
async fn scenario_11_annotations_hold_payload_and_envelope() -> anyhow::Result<()> {
    let service = Service::start_with(&[("artifacts.taskrun.storage", "tekton")]).await?;
    let run = ended_task_run(&service.task_runs(), "build", &[]).await?;
    let marked = service.task_run_marked("build", "true").await?;
    let read = |what: &str| {
        let name = format!("chains.tekton.dev/{what}-taskrun-{}", run.uid().unwrap_or_default());
        let text = annotation(&marked, &name).ok_or_else(|| anyhow::anyhow!("{name} is missing"))?;
        anyhow::Ok(STANDARD.decode(text)?)
    };
    ensure!(read("cert")?.is_empty() && read("chain")?.is_empty());
    let envelope: attest::dsse::Envelope = serde_json::from_slice(&read("signature")?)?;
    ensure!(envelope.payload == read("payload")?);
    ensure!(attest::dsse::verify(&envelope, &[service.key.public()]).is_ok());
    Ok(())
}

#[tokio::test]
async fn scenario_12_writers_of_one_attestation_lose_nothing() -> anyhow::Result<()> {
    const RUNS: usize = 8;
    let service = Service::start().await?;
    let (repository, digest) = service.push_image("app");
    let task_runs = service.task_runs();
    let ended = (0..RUNS).map(async |i| {
        let name = format!("build-{i}");
        task_run(&task_runs, &name).await?;
        // Runs that differ in nothing would be described by the same statement.
        let label = json!({"metadata": {"labels": {"number": i.to_string()}}});
        task_runs.patch(&name, &PatchParams::default(), &Patch::Merge(&label)).await?;
        end(&task_runs, &name, &task_status(&image(&repository, &digest))).await
    });
    futures::future::try_join_all(ended).await?;
    for i in 0..RUNS {
        service.task_run_marked(&format!("build-{i}"), "true").await?;
    }
    let consumer = service.consumer()?;
    let layers = consumer.count(&repository, &digest, Attached::Attestation).await?;
    let statements = consumer.statements(&repository, &digest).await?;
    ensure!((layers, statements.len()) == (RUNS, RUNS), "{layers} layers: {statements:#?}");
    ensure!(
        consumer.count(&repository, &digest, Attached::Signature).await? == 1,
        "the same image each time"
    );
    Ok(())
}

#[tokio::test]
async fn scenario_13_a_key_that_is_replaced_signs_the_next_run() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let ((one, one_digest), (two, two_digest)) = (service.push_image("one"), service.push_image("two"));
    let task_runs = service.task_runs();
    ended_task_run(&task_runs, "one", &image(&one, &one_digest)).await?;
    service.task_run_marked("one", "true").await?;
    let before = service.consumer()?;
    service.rotate()?;
    ended_task_run(&task_runs, "two", &image(&two, &two_digest)).await?;
    service.task_run_marked("two", "true").await?;
    ensure!(service.consumer()?.signatures(&two, &two_digest).await?.len() == 1);
    ensure!(before.signatures(&two, &two_digest).await.is_err(), "the key of before is not used any more");
    ensure!(before.signatures(&one, &one_digest).await?.len() == 1);
    Ok(())
}

#[tokio::test]
async fn scenario_16_another_repository_takes_all() -> anyhow::Result<()> {
    let service = Service::install().await?;
    let (repository, digest) = service.push_image("app");
    let elsewhere = format!("{}/signatures/all", service.registry.address());
    let mut service = service;
    service.set(&[("storage.oci.repository", &elsewhere)]).await?;
    service.run().await?;
    ended_task_run(&service.task_runs(), "build", &image(&repository, &digest)).await?;
    service.task_run_marked("build", "true").await?;
    let consumer = service.consumer()?;
    ensure!(consumer.count(&repository, &digest, Attached::Signature).await? == 0);
    ensure!(consumer.count(&repository, &digest, Attached::Attestation).await? == 0);
    ensure!(consumer.signatures(&elsewhere, &digest).await?.len() == 1);
    ensure!(consumer.attestations(&elsewhere, &digest).await?.len() == 1);
    Ok(())
}

#[tokio::test]
async fn scenario_17_an_index_is_attested_by_its_digest() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (repository, digest) = service.push_index("app");
    ended_task_run(&service.task_runs(), "build", &image(&repository, &digest)).await?;
    service.task_run_marked("build", "true").await?;
    let consumer = service.consumer()?;
    ensure!(consumer.signatures(&repository, &digest).await?.len() == 1);
    ensure!(consumer.attestations(&repository, &digest).await?.len() == 1);
    Ok(())
}

#[tokio::test]
async fn slsa_v1_is_another_setting() -> anyhow::Result<()> {
    let service = Service::start_with(&[
        ("artifacts.taskrun.format", "slsa/v2alpha3"),
        ("builder.id", "https://example.com/shard"),
        ("builder.version.engine", "7"),
    ])
    .await?;
    let (repository, digest) = service.push_image("app");
    ended_task_run(&service.task_runs(), "build", &image(&repository, &digest)).await?;
    service.task_run_marked("build", "true").await?;
    let statements = service.consumer()?.statements(&repository, &digest).await?;
    ensure!(statements[0]["predicateType"] == "https://slsa.dev/provenance/v1", "{statements:?}");
    let builder = &statements[0]["predicate"]["runDetails"]["builder"];
    ensure!(builder["id"] == "https://example.com/shard" && builder["version"]["engine"] == "7", "{builder}");
    Ok(())
}
