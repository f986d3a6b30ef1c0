//! The archive that is asked: records of PipelineRuns and TaskRuns, straight into the database.
//!
//! Record `n` is `record-n` in Result `result-<n / 5>`: a PipelineRun and its four TaskRuns. UIDs are in no order, as those
//! of a cluster are not.
use std::fmt::Write as _;

use serde_json::{Value, json};
use testkit::postgres::{Database, Postgres};

use super::database;
use crate::ui::Step;

pub(super) const PIPELINE_RUN: &str = "tekton.dev/v1.PipelineRun";
pub(super) const TASK_RUN: &str = "tekton.dev/v1.TaskRun";
/// Records of a Result.
pub(super) const OF_A_RESULT: usize = 5;
/// Runs belong to so many applications, in turn.
pub(super) const APPLICATIONS: usize = 20;
pub(super) const APPLICATION: &str = "appstudio.openshift.io/application";
pub(super) const RUN: &str = "tekton.dev/pipelineRun";
/// Rows of a statement.
const TOGETHER: usize = 10_000;

/// What stands for the numbers of run and application in the document.
const NUMBER: &str = "@run@";
const OF_APPLICATION: &str = "@application@";

/// Name of a record.
pub(super) fn name(namespace: &str, number: usize) -> String {
    format!("{namespace}/results/result-{}/records/record-{number}", number / OF_A_RESULT)
}

/// Fills the tables, and has the database look at what is in them, as it does by itself after a while.
pub(super) async fn fill(
    postgres: &Postgres,
    database: &Database,
    namespace: &str,
    records: usize,
    step: &Step,
) -> anyhow::Result<()> {
    let results = records.div_ceil(OF_A_RESULT);
    let statement = format!(
        "INSERT INTO results (parent, id, name, annotations, created_time, updated_time, etag) \
         SELECT '{namespace}', md5('result' || n)::uuid, 'result-' || n, '{{}}', t, t, 'filled' \
         FROM (SELECT n, now() - ({results} - n) * interval '5 seconds' AS t \
         FROM generate_series(0, {results} - 1) AS n) AS runs;\n"
    );
    database::execute(postgres, database, &statement).await?;
    let template = template(namespace);
    for from in (0..records).step_by(TOGETHER) {
        let to = (from + TOGETHER).min(records) - 1;
        let statement = format!(
            "INSERT INTO records (parent, result_id, result_name, id, name, type, data, created_time, updated_time, etag) \
             SELECT '{namespace}', md5('result' || run)::uuid, 'result-' || run, md5('record' || n)::uuid, 'record-' || n, \
             CASE WHEN n % {OF_A_RESULT} = 0 THEN '{PIPELINE_RUN}' ELSE '{TASK_RUN}' END, \
             replace(replace($document${template}$document$, '{NUMBER}', run::text), \
             '{OF_APPLICATION}', (run % {APPLICATIONS})::text)::jsonb, t, t, 'filled' \
             FROM (SELECT n, n / {OF_A_RESULT} AS run, now() - ({records} - n) * interval '1 second' AS t \
             FROM generate_series({from}, {to}) AS n) AS numbers;\n"
        );
        database::execute(postgres, database, &statement).await?;
        step.waiting(&format!("{} of {records}", to + 1));
    }
    database::execute(postgres, database, "VACUUM ANALYZE results;\nVACUUM ANALYZE records;\n").await
}

/// One document, with all that a record of [`fill`] has.
pub(super) fn document(namespace: &str) -> String {
    template(namespace).replace(NUMBER, "0").replace(OF_APPLICATION, "0")
}

/// Of about the size that runs of a build pipeline have.
fn template(namespace: &str) -> String {
    let digest = |salt: &str| {
        let bytes = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, salt.as_bytes());
        bytes.as_ref().iter().fold(String::from("sha256:"), |mut text, byte| {
            // Writing to a String does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    };
    let tasks = ["init", "clone", "prefetch", "build", "scan", "summary"];
    let steps: Vec<Value> = tasks
        .iter()
        .map(|task| {
            json!({
                "name": task, "image": format!("quay.io/konflux-ci/{task}@{}", digest(task)),
                "script": format!("#!/bin/sh\nset -eu\necho \"$(params.revision)\"\n{task} --output /workspace/{task}.json \\\n  \
                    --source \"$(workspaces.source.path)\" --image \"$(params.image)\"\n"),
                "computeResources": {"limits": {"memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "256Mi"}},
            })
        })
        .collect();
    let states: Vec<Value> = tasks
        .iter()
        .map(|task| {
            json!({
                "name": task, "container": format!("step-{task}"),
                "imageID": format!("quay.io/konflux-ci/{task}@{}", digest(task)),
                "terminated": {
                    "containerID": format!("containerd://{}", digest(&format!("{task} of a pod"))), "exitCode": 0,
                    "reason": "Completed", "startedAt": "2025-04-01T10:00:00Z", "finishedAt": "2025-04-01T10:05:00Z",
                },
            })
        })
        .collect();
    let parameters = ["git-url", "revision", "output-image", "dockerfile", "path-context", "hermetic"];
    let parameters: Vec<Value> = parameters
        .iter()
        .map(|name| json!({"name": name, "value": format!("{name} of run {NUMBER}: {}", digest(name))}))
        .collect();
    json!({
        "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
        "metadata": {
            "name": format!("run-{NUMBER}"), "namespace": namespace, "uid": format!("uid-{NUMBER}"),
            "creationTimestamp": "2025-04-01T10:00:00Z", "generation": 1,
            "labels": {
                APPLICATION: format!("app-{OF_APPLICATION}"),
                "appstudio.openshift.io/component": format!("component-{OF_APPLICATION}"),
                RUN: format!("run-{NUMBER}"),
                "tekton.dev/pipeline": "build", "pipelines.appstudio.openshift.io/type": "build",
                "pipelinesascode.tekton.dev/event-type": "push", "app.kubernetes.io/managed-by": "tekton-pipelines",
            },
            "annotations": {
                "build.appstudio.redhat.com/commit_sha": digest("commit"), "chains.tekton.dev/signed": "true",
                "pipelinesascode.tekton.dev/repository": format!("repository-{OF_APPLICATION}"),
                "pipelinesascode.tekton.dev/sha-title": "Bump the base image", "results.tekton.dev/stored": "true",
            },
        },
        "spec": {"params": parameters, "serviceAccountName": "build-pipeline", "taskSpec": {"steps": steps}, "timeout": "1h0m0s"},
        "status": {
            "conditions": [{
                "type": "Succeeded", "status": "True", "reason": "Succeeded", "lastTransitionTime": "2025-04-01T10:05:00Z",
                "message": "All Steps have completed executing",
            }],
            "podName": format!("run-{NUMBER}-pod"), "startTime": "2025-04-01T10:00:00Z",
            "completionTime": "2025-04-01T10:05:00Z", "steps": states,
            "results": [
                {"name": "IMAGE_URL", "type": "string", "value": format!("quay.io/acme/app-{OF_APPLICATION}:build-{NUMBER}")},
                {"name": "IMAGE_DIGEST", "type": "string", "value": digest("image")},
            ],
        },
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_the_size_of_a_run_and_no_placeholders() {
        let text = document("tenant");
        assert!((4_000..8_000).contains(&text.len()), "{} bytes", text.len());
        let run: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(run["metadata"]["labels"][APPLICATION], "app-0");
        assert_eq!(run["metadata"]["labels"][RUN], "run-0");
        assert!(!text.contains('@') || !text.contains(NUMBER) && !text.contains(OF_APPLICATION));
        // It stands between these in a statement.
        assert!(!text.contains("$document$") && !text.contains('\''));
    }
}
