//! The archive of runs, as people of a tenant ask it: what is gone from the cluster, and who may see it.
use anyhow::{Context as _, bail, ensure};
use fleet_api::Truth;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};
use pipelines_engine_api::PipelineRun;
use serde_json::{Value, json};
use testkit::{eventually, has_condition, wait_for, wait_gone};

use super::{LONG, cluster, cluster_alone};
use archive::{Archive, token};

mod archive;
mod pruned;

const READER: &str = "tekton-results-readonly";
/// Asks the watcher of the dev overlay to delete the run when it is archived.
const PRUNE: &str = "results.fleet.konflux-ci.dev/prune";

/// A run that ends at once, without a pod: its Pipeline does not exist.
fn failing(name: &str, labels: &Value, annotations: &Value) -> String {
    json!({
        "apiVersion": "tekton.dev/v1",
        "kind": "PipelineRun",
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": {"pipelineRef": {"name": "no-such-pipeline"}},
    })
    .to_string()
}

fn named(name: &str) -> String {
    format!("data.metadata.name == \"{name}\"")
}

#[tokio::test]
async fn run_that_is_deleted_at_once_is_in_the_archive_for_its_tenant_alone() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let client = cluster.admin();
    let archive = Archive::of(&cluster).await?;
    let (ours, theirs) = (cluster.namespace("e2e-history").await?, cluster.namespace("e2e-others").await?);
    let insider = token(&client, &ours, "reader", Some(READER)).await?;
    let outsider = token(&client, &theirs, "reader", Some(READER)).await?;
    ours.apply_yaml(&failing("short", &json!({}), &json!({"team": "o'brien"}))).await?;
    let runs: Api<PipelineRun> = Api::namespaced(client.clone(), &ours);
    wait_for(&runs, "short", "its end", LONG, has_condition("Succeeded", Truth::False)).await?;
    runs.delete("short", &DeleteParams::default()).await?;
    wait_gone(&runs, "short", LONG).await?;

    let kept = archive.runs(&ours, &named("short"), &insider).await?;
    assert_eq!(kept.len(), 1, "{kept:#?}");
    assert_eq!(kept[0]["status"]["conditions"][0]["status"], "False", "{:#}", kept[0]);
    let quoted = archive.runs(&ours, "data.metadata.annotations[\"team\"] == \"o'brien\"", &insider).await?;
    assert_eq!(quoted.len(), 1, "{quoted:#?}");
    let injected =
        archive.runs(&ours, "data.metadata.annotations[\"team\"] == \"' OR '1'='1\"", &insider).await?;
    assert_eq!(injected, Vec::<Value>::new());

    let path = format!("{}/results/-/records", &*ours);
    for (token, path, expected) in [
        (Some(&outsider), path.as_str(), 403),
        (Some(&insider), "-/results/-/records", 403),
        (Some(&insider), "no-such-namespace/results/-/records", 403),
        (None, path.as_str(), 401),
    ] {
        let (status, answer) = archive.get(path, "", token.map(String::as_str)).await?;
        assert_eq!(status, expected, "{path}: {answer:#}");
    }
    Ok(())
}

#[tokio::test]
async fn run_that_asks_for_it_is_pruned_and_the_result_says_how_it_ended() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let client = cluster.admin();
    let archive = Archive::of(&cluster).await?;
    let namespace = cluster.namespace("e2e-pruned").await?;
    let reader = token(&client, &namespace, "reader", Some(READER)).await?;
    namespace.apply_yaml(&failing("pruned", &json!({PRUNE: "soon"}), &json!({}))).await?;
    let runs: Api<PipelineRun> = Api::namespaced(client.clone(), &namespace);
    wait_gone(&runs, "pruned", LONG).await?;

    assert_eq!(archive.runs(&namespace, &named("pruned"), &reader).await?.len(), 1);
    let (status, answer) =
        archive.get(&format!("{}/results", &*namespace), "summary.status == FAILURE", Some(&reader)).await?;
    assert_eq!(status, 200, "{answer:#}");
    let results = answer["results"].as_array().context("a list of results")?;
    assert_eq!(results.len(), 1, "{answer:#}");
    ensure!(results[0]["summary"]["endTime"].is_string(), "{answer:#}");
    Ok(())
}

#[tokio::test]
async fn archive_says_so_while_its_database_is_away_and_comes_back_by_itself() -> anyhow::Result<()> {
    let cluster = cluster_alone().await?;
    let client = cluster.admin();
    let archive = Archive::of(&cluster).await?;
    let namespace = cluster.namespace("e2e-database").await?;
    let reader = token(&client, &namespace, "reader", Some(READER)).await?;
    namespace.apply_yaml(&failing("before", &json!({}), &json!({}))).await?;
    let is_kept = async || {
        let kept = archive.runs(&namespace, &named("before"), &reader).await?;
        ensure!(kept.len() == 1, "{kept:#?}");
        anyhow::Ok(())
    };
    eventually(LONG, "the run in the archive", is_kept).await?;

    let pods: Api<Pod> = Api::namespaced(client, "tekton-results");
    let of_database = ListParams::default().labels("app.kubernetes.io/name=tekton-results-postgres");
    for pod in pods.list(&of_database).await? {
        let name = pod.metadata.name.context("a pod has a name")?;
        pods.delete(&name, &DeleteParams::default()).await?;
    }
    // Never an empty list: whoever reads one would take the history for lost.
    eventually(LONG, "the archive with its database", async || {
        let path = format!("{}/results/-/records", &*namespace);
        let (status, answer) = archive.get(&path, "", Some(&reader)).await?;
        if status != 200 {
            assert!(status >= 500, "{status}: {answer:#}");
            bail!("{status}: {answer:#}");
        }
        assert_ne!(answer["records"].as_array().map(Vec::len), Some(0), "{answer:#}");
        is_kept().await
    })
    .await
}
