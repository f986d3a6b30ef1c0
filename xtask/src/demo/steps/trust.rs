//! What was built is signed and attested; `ec` lets it pass, and does not once somebody has tampered with it.
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, LogParams, PostParams},
};
use serde_json::{Value, json};

use super::tenant::NAMESPACE;
use crate::{
    cluster::Cluster,
    demo::{Built, Fact, Show, follow},
    deploy::Object,
    ui,
};

mod tamper;

/// Says of a run that its results are signed.
const SIGNED: &str = "chains.tekton.dev/signed";
/// Signing waits for all tasks, and is tried again while a registry is away.
const SIGNING_LIMIT: Duration = Duration::from_mins(2);
/// A first run pulls what it runs in.
const VERIFYING_LIMIT: Duration = Duration::from_mins(3);
pub(super) const TASK: &str = "verify-enterprise-contract";
const POLICY: &str = "enterprise-contract-service/slsa3";

pub async fn run(show: &mut Show) -> anyhow::Result<Vec<Fact>> {
    let client = show.target()?.client.clone();
    let Some(built) = show.built.clone() else {
        ui::note("nothing was built on this cluster: there is nothing to be signed");
        return Ok(Vec::new());
    };
    let asked = Instant::now();
    let signer = signed(&client, &built).await?;
    let mut facts = vec![fact("signature and attestation", signer, asked.elapsed())];

    let bundle = format!("{}/konflux/task-{TASK}:0.1", show.registry);
    let good = format!("{}@{}", built.repository, built.digest);
    let verdict = judge(&client, &bundle, &built, &good).await?;
    ensure!(verdict.result == "SUCCESS" || verdict.result == "WARNING", "{}", verdict.told());
    ui::note(&format!("{} rules are met by {good}", verdict.successes));
    facts.push(fact("the image, by the policy slsa3", verdict.told(), verdict.after));

    let step = ui::step("somebody changes the image, and moves its signature along");
    let Some(tampered) = tamper::tamper(&Cluster::load(&show.args.cluster)?, &client, &built).await? else {
        step.done_with("not on this cluster: its registry is not ours");
        return Ok(facts);
    };
    step.done_with(&tampered);
    let verdict = judge(&client, &bundle, &built, &tampered).await?;
    ensure!(verdict.result == "FAILURE" && !verdict.codes.is_empty(), "{}", verdict.told());
    for line in &verdict.lines {
        ui::note(line);
    }
    facts.push(fact("the tampered image", verdict.told(), verdict.after));
    Ok(facts)
}

fn fact(object: &str, state: String, after: Duration) -> Fact {
    Fact { object: object.to_owned(), state, after }
}

/// Waits until chains has signed the run.
async fn signed(client: &Client, built: &Built) -> anyhow::Result<String> {
    let step = ui::step("chains signs the image, and attests how it was built");
    let runs = api(client, "PipelineRun");
    let until = Instant::now() + SIGNING_LIMIT;
    loop {
        let run = runs.get(&built.run).await?;
        match run.annotations().get(SIGNED).map(String::as_str) {
            Some("true") => break,
            None if Instant::now() < until => tokio::time::sleep(Duration::from_millis(100)).await,
            other => anyhow::bail!(
                "{SIGNED} of PipelineRun {NAMESPACE}/{} is {other:?}: look at its Events and at the log of chains",
                built.run
            ),
        }
    }
    step.done();
    Ok(format!("{}.sig, .att", built.digest.replace(':', "-")))
}

/// What the task has said of an image.
pub(super) struct Verdict {
    pub(super) result: String,
    successes: u64,
    failures: u64,
    /// Of the rules that are violated.
    codes: Vec<String>,
    /// A line for each, with what is wrong.
    lines: Vec<String>,
    pub(super) after: Duration,
}

impl Verdict {
    pub(super) fn told(&self) -> String {
        if self.codes.is_empty() {
            format!("{}: {} rules are met", self.result, self.successes)
        } else {
            format!("{}: {} violated: {}", self.result, self.failures, self.codes.join(", "))
        }
    }
}

/// Has an image judged by a run of the task, as release pipelines do it.
pub(super) async fn judge(
    client: &Client,
    bundle: &str,
    built: &Built,
    image: &str,
) -> anyhow::Result<Verdict> {
    let snapshot = json!({"application": "example", "components": [{
        "name": "greeter", "containerImage": image,
        "source": {"git": {"url": built.url, "revision": built.commit}},
    }]});
    let params = [
        ("IMAGES", snapshot.to_string()),
        ("POLICY_CONFIGURATION", POLICY.to_owned()),
        ("STRICT", "false".to_owned()),
    ];
    let params: Vec<_> = params.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let run: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "tekton.dev/v1",
        "kind": "TaskRun",
        "metadata": {"generateName": "verify-", "namespace": NAMESPACE},
        "spec": {
            "serviceAccountName": "appstudio-pipeline",
            "params": params,
            "taskRef": {"resolver": "bundles", "params": [
                {"name": "name", "value": TASK},
                {"name": "bundle", "value": bundle},
                {"name": "kind", "value": "task"},
            ]},
        },
    }))?;
    let asked = Instant::now();
    let created = api(client, "TaskRun").create(&PostParams::default(), &run).await;
    let object = Object::parse(serde_json::to_value(&created.context("start a run of the task")?)?)?;
    let (live, _) = follow::until_within(client, &[&object], "Succeeded", asked, VERIFYING_LIMIT).await?;
    let run = live.first().context("the run was followed")?;
    let after = asked.elapsed();
    let output = run.data["status"]["results"].as_array().into_iter().flatten();
    let output = { output }
        .find(|result| result["name"] == "TEST_OUTPUT")
        .context("the task has no result TEST_OUTPUT")?;
    let output: Value = serde_json::from_str(output["value"].as_str().unwrap_or_default())?;
    let report: Value =
        serde_json::from_str(&report(client, run).await?).context("read the task's report")?;
    let violations = report["components"][0]["violations"].as_array().cloned().unwrap_or_default();
    let text = |finding: &Value, pointer: &str| {
        finding.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let mut codes: Vec<_> = violations.iter().map(|finding| text(finding, "/metadata/code")).collect();
    codes.sort();
    codes.dedup();
    let lines = violations
        .iter()
        .map(|finding| format!("  {}: {}", text(finding, "/metadata/code"), text(finding, "/msg")))
        .collect();
    let count = |field: &str| output[field].as_u64().unwrap_or_default();
    Ok(Verdict {
        result: text(&output, "/result"),
        successes: count("successes"),
        failures: count("failures"),
        codes,
        lines,
        after,
    })
}

async fn report(client: &Client, run: &DynamicObject) -> anyhow::Result<String> {
    let pod = run.data["status"]["podName"].as_str().context("the run has a pod")?;
    let params = LogParams { container: Some("step-report-json".to_owned()), ..LogParams::default() };
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    pods.logs(pod, &params).await.with_context(|| format!("read the log of pod {NAMESPACE}/{pod}"))
}

fn api(client: &Client, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("tekton.dev", "v1", kind));
    Api::namespaced_with(client.clone(), NAMESPACE, &resource)
}
