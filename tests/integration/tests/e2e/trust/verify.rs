//! Judges images as release-service does: by a run of the task `verify-enterprise-contract`.
use std::{collections::BTreeSet, time::Duration};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{LogParams, PostParams},
};
use pipelines_engine_api::{TaskRun, status::succeeded};
use serde_json::{Value, json};
use testkit::wait_for;

use crate::builds::team::Team;

const BUNDLE: &str = "registry.dev.konflux.test/konflux/task-verify-enterprise-contract:0.1";
/// For all images of a test, on a machine that is busy with others.
const LIMIT: Duration = Duration::from_mins(5);

/// What the task has said.
pub(super) struct Verdict {
    /// Whether the task has succeeded.
    pub(super) is_passed: bool,
    pub(super) test_output: Value,
    report: Value,
}

/// An image, and what the test calls it.
pub(super) struct Component {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) git: Option<(String, String)>,
}

impl Component {
    pub(super) fn new(name: &str, image: String) -> Self {
        Self { name: name.to_owned(), image, git: None }
    }
}

pub(super) async fn verify(
    team: &Team<'_>,
    components: &[Component],
    params: &[(&str, &str)],
) -> anyhow::Result<Verdict> {
    let components: Vec<_> = components
        .iter()
        .map(|component| {
            let mut entry = json!({"name": component.name, "containerImage": component.image});
            if let Some((url, revision)) = &component.git {
                entry["source"] = json!({"git": {"url": url, "revision": revision}});
            }
            entry
        })
        .collect();
    let images = json!({"application": "trust", "components": components}).to_string();
    let params: Vec<_> = [("IMAGES", &*images)]
        .iter()
        .chain(params)
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    let run: TaskRun = serde_json::from_value(json!({
        "apiVersion": "tekton.dev/v1",
        "kind": "TaskRun",
        "metadata": {"generateName": "verify-"},
        "spec": {
            "taskRef": {"resolver": "bundles", "params": [
                {"name": "name", "value": "verify-enterprise-contract"},
                {"name": "bundle", "value": BUNDLE},
                {"name": "kind", "value": "task"},
            ]},
            "params": params,
        },
    }))?;
    let runs: Api<TaskRun> = Api::namespaced(team.kube(), team.namespace());
    let name = runs.create(&PostParams::default(), &run).await?.name_any();
    let run = Box::pin(wait_for(&runs, &name, "its end", LIMIT, |run| outcome(run).is_some())).await?;
    let report = log(team, &run, "step-report-json").await;
    let validate = log(team, &run, "step-validate").await.unwrap_or_default();
    // Seen only if the test fails.
    eprintln!("--- {name}: {:?}\n{validate}", run.status.as_ref().map(|status| &status.conditions));
    let report = serde_json::from_str(&report?).context("the report is JSON")?;
    let results = run.status.as_ref().map(|status| status.results.as_slice()).unwrap_or_default();
    let output = results.iter().find(|result| result.name == "TEST_OUTPUT");
    let output = output.and_then(|result| result.value.as_str()).context("the task has TEST_OUTPUT")?;
    Ok(Verdict { is_passed: outcome(&run) == Some(true), test_output: serde_json::from_str(output)?, report })
}

async fn log(team: &Team<'_>, run: &TaskRun, container: &str) -> anyhow::Result<String> {
    let pod = run.status.as_ref().map(|status| status.pod_name.clone()).unwrap_or_default();
    let pods: Api<Pod> = Api::namespaced(team.kube(), team.namespace());
    let params = LogParams { container: Some(container.to_owned()), ..LogParams::default() };
    pods.logs(&pod, &params).await.with_context(|| format!("log of {container} of pod {pod}"))
}

fn outcome(run: &TaskRun) -> Option<bool> {
    match &*succeeded(&run.status.as_ref()?.conditions)?.status {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

impl Verdict {
    fn component(&self, name: &str) -> anyhow::Result<&Value> {
        let mut components = self.report["components"].as_array().into_iter().flatten();
        components
            .find(|component| component["name"] == name)
            .with_context(|| format!("{name} is not in the report"))
    }

    /// Whether the report says that this image passes.
    pub(super) fn passes(&self, name: &str) -> anyhow::Result<bool> {
        Ok(self.component(name)?["success"] == true)
    }

    /// Codes of what this image violates.
    pub(super) fn violated(&self, name: &str) -> anyhow::Result<BTreeSet<String>> {
        Ok(self.violations(name)?.into_iter().map(|(code, _)| code).collect())
    }

    /// Codes and terms of what this image violates.
    pub(super) fn violations(&self, name: &str) -> anyhow::Result<BTreeSet<(String, String)>> {
        let violations = self.component(name)?["violations"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(violations
            .map(|found| (text(&found["metadata"]["code"]), text(&found["metadata"]["term"])))
            .collect())
    }

    /// All that was found against this image, for whoever has to find out why.
    pub(super) fn story(&self, name: &str) -> String {
        match self.component(name) {
            Ok(component) => format!("{name}: {:#}, {:#}", component["violations"], component["warnings"]),
            Err(error) => error.to_string(),
        }
    }
}
