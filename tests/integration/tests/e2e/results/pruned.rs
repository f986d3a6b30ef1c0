//! A run that is gone from the cluster, with its pod, is read with its log in each way that there is, by its tenant alone.
use anyhow::{Context as _, ensure};
use kube::Api;
use pipelines_engine_api::PipelineRun;
use results_api::{
    client::Transport,
    v1alpha2::{GetLogRequest, GetRecordRequest, ListRecordsRequest, Record},
};
use serde_json::{Value, json};
use testkit::wait_gone;
use tonic::{Code, Status};

use super::{
    PRUNE,
    archive::{Archive, token},
};
use crate::{LONG, cluster, demo};

/// A role of tenants' people, as the demo's tenant has it.
const MEMBER: &str = "appstudio-contributor-user-actions";
const NAME: &str = "noted";
const LINES: [&str; 2] = ["first line of the note", "last line of the note"];

fn run(image: &str) -> String {
    let script = format!("#!/bin/sh\necho {}\necho {}\n", LINES[0], LINES[1]);
    json!({
        "apiVersion": "tekton.dev/v1",
        "kind": "PipelineRun",
        "metadata": {"name": NAME, "labels": {PRUNE: "soon"}},
        "spec": {"pipelineSpec": {"tasks": [{
            "name": "write",
            "taskSpec": {"steps": [{"name": "note", "image": image, "script": script}]},
        }]}},
    })
    .to_string()
}

#[tokio::test]
async fn pruned_run_and_its_log_are_read_in_each_way_by_its_tenant_alone() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let client = cluster.admin();
    let archive = Archive::of(&cluster).await?;
    let (ours, theirs) = (cluster.namespace("e2e-noted").await?, cluster.namespace("e2e-nosy").await?);
    let member = token(&client, &ours, "member", Some(MEMBER)).await?;
    let stranger = token(&client, &theirs, "stranger", Some(MEMBER)).await?;
    ours.apply_yaml(&run(&demo::image(&client).await?)).await?;
    wait_gone(&Api::<PipelineRun>::namespaced(client, &ours), NAME, LONG).await?;

    let grpc = archive.grpc(&member)?;
    let (record, log) = by_grpc(&grpc, &ours).await?;
    by_rest(&archive, &ours, &log, &member).await?;
    by_plugin(&archive, &ours, &member).await?;

    let grpc = archive.grpc(&stranger)?;
    let anywhere = [&*ours, "-"].map(|parent| format!("{parent}/results/-"));
    for parent in anywhere {
        let refused = records(&grpc, &parent, "").await;
        assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied, "{parent}");
    }
    let refused = grpc.results().get_record(GetRecordRequest { name: record.clone() }).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied, "{record}");
    let refused = grpc.logs().get_log(GetLogRequest { name: log.clone() }).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied, "{log}");
    for path in [&record, &log, &format!("{}/results/-/records", &*ours), "-/results/-/records"] {
        let (status, answer) = archive.get(path, "", Some(&stranger)).await?;
        // 7 is PERMISSION_DENIED.
        assert_eq!((status, &answer["code"]), (403, &json!(7)), "{path}: {answer:#}");
    }
    for words in [["results", "list"], ["logs", NAME]] {
        let said = archive.plugin(&[words[0], words[1], "-n", &ours], &stranger).await?;
        ensure!(!said.status.success(), "{words:?}: {}", String::from_utf8_lossy(&said.stdout));
        assert_eq!(said.stdout, b"", "{words:?}");
    }
    Ok(())
}

async fn records(grpc: &Transport, parent: &str, filter: &str) -> Result<Vec<Record>, Status> {
    let request = ListRecordsRequest {
        parent: parent.to_owned(),
        filter: filter.to_owned(),
        ..ListRecordsRequest::default()
    };
    Ok(grpc.results().list_records(request).await?.into_inner().records)
}

/// The names of the run's record and of its log.
async fn by_grpc(grpc: &Transport, namespace: &str) -> anyhow::Result<(String, String)> {
    let parent = format!("{namespace}/results/-");
    let filter = format!("data_type == PIPELINE_RUN && data.metadata.name == \"{NAME}\"");
    let found = records(grpc, &parent, &filter).await?;
    let [record] = found.as_slice() else { anyhow::bail!("{} records of the run", found.len()) };
    let kept: Value = serde_json::from_slice(&record.data.as_ref().context("a record has data")?.value)?;
    assert_eq!(kept["status"]["conditions"][0]["status"], "True", "{kept:#}");

    let request = ListRecordsRequest { parent, ..ListRecordsRequest::default() };
    let logs = grpc.logs().list_logs(request).await?.into_inner().records;
    // Of the run, and of its one task.
    assert_eq!(logs.len(), 2, "{logs:#?}");
    for log in &logs {
        let name = as_log(&log.name);
        let text = read(grpc, &name).await.with_context(|| name.clone())?;
        for line in LINES {
            assert_eq!(text.matches(line).count(), 1, "{name}: {text}");
        }
    }
    Ok((record.name.clone(), as_log(&logs[0].name)))
}

/// The name of the bytes that a record tells of.
fn as_log(record: &str) -> String {
    record.replace("/records/", "/logs/")
}

async fn read(grpc: &Transport, log: &str) -> Result<String, Status> {
    let mut pieces = grpc.logs().get_log(GetLogRequest { name: log.to_owned() }).await?.into_inner();
    let mut text = String::new();
    while let Some(piece) = pieces.message().await? {
        text.push_str(&String::from_utf8_lossy(&piece.data));
    }
    Ok(text)
}

async fn by_rest(archive: &Archive, namespace: &str, log: &str, member: &str) -> anyhow::Result<()> {
    let filter = format!("data.metadata.name == \"{NAME}\"");
    let runs = archive.runs(namespace, &filter, member).await?;
    assert_eq!(runs.len(), 1, "{runs:#?}");
    let (status, text) = archive.text(log, "", Some(member)).await?;
    assert_eq!(status, 200, "{text}");
    ensure!(LINES.iter().all(|line| text.contains(line)), "{text}");
    Ok(())
}

async fn by_plugin(archive: &Archive, namespace: &str, member: &str) -> anyhow::Result<()> {
    let listed = archive.plugin(&["results", "list", "-n", namespace], member).await?;
    let logs = archive.plugin(&["logs", NAME, "-n", namespace], member).await?;
    for (said, expected) in [(listed, vec![NAME]), (logs, LINES.to_vec())] {
        let text = String::from_utf8_lossy(&said.stdout);
        ensure!(said.status.success(), "{text}{}", String::from_utf8_lossy(&said.stderr));
        ensure!(expected.iter().all(|word| text.contains(word)), "{text}");
    }
    Ok(())
}
