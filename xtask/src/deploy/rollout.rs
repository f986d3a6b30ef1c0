//! Waits until what was applied is real: kinds are served, pods run the new image, webhooks have their certificate.
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use k8s_openapi::{
    api::{
        admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
        core::v1::Pod,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams},
};
use serde_json::Value;

use super::{Object, diagnose};
use crate::ui;

/// Between two looks. A look is one GET and one LIST in the service's own namespace.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long a pod may be in a state that seldom mends itself before waiting for it is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a workload stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Progress {
    Ready,
    /// What is still missing.
    Waiting(String),
    /// Kubernetes itself has given up.
    Failed(String),
}

/// Waits until the API server serves these kinds.
pub async fn established(client: &Client, definitions: &[Object], timeout: Duration) -> anyhow::Result<()> {
    let step = ui::step("new kinds are served");
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let until = Instant::now() + timeout;
    for definition in definitions {
        step.waiting(definition.name());
        loop {
            let live = api.get(definition.name()).await.with_context(|| format!("read {definition}"))?;
            let conditions = live.status.unwrap_or_default().conditions.unwrap_or_default();
            if conditions
                .iter()
                .any(|condition| condition.type_ == "Established" && condition.status == "True")
            {
                break;
            }
            // Another CRD has the same names: waiting is in vain.
            if let Some(clash) =
                conditions.iter().find(|found| found.type_ == "NamesAccepted" && found.status == "False")
            {
                bail!("{definition}: its names are taken: {}", clash.message.as_deref().unwrap_or_default());
            }
            if Instant::now() > until {
                bail!("{definition} was not established within {} s", timeout.as_secs());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    step.done();
    Ok(())
}

/// Waits for the workloads among these objects, then for the certificates of their webhooks. Returns the workloads' names.
pub async fn finished(client: &Client, objects: &[Object], timeout: Duration) -> anyhow::Result<Vec<String>> {
    let until = Instant::now() + timeout;
    let mut workloads = Vec::new();
    for object in objects {
        if matches!(object.kind(), "Deployment" | "StatefulSet" | "DaemonSet") {
            await_workload(client, object, until).await?;
            workloads.push(object.name().to_owned());
        }
    }
    for object in objects {
        if matches!(object.kind(), "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration") {
            await_certificate(client, object, until).await?;
        }
    }
    Ok(workloads)
}

async fn await_workload(client: &Client, object: &Object, until: Instant) -> anyhow::Result<()> {
    let step = ui::step(format!("{} is rolled out", object.name()));
    let namespace = object.namespace().context("a workload has a namespace")?;
    let resource = ApiResource::from_gvk(&object.gvk());
    let workloads: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let selector = ListParams::default().labels(&selector(object));
    let mut stuck_since = None;
    loop {
        let live = workloads.get(object.name()).await.with_context(|| format!("read {object}"))?;
        let live = serde_json::to_value(live)?;
        let waiting = match progress(object.kind(), &live) {
            Progress::Ready => {
                step.done();
                return Ok(());
            }
            Progress::Failed(reason) => {
                return diagnose::failure(client, object, &reason, &pods, &selector).await;
            }
            Progress::Waiting(on) => on,
        };
        let found = pods.list(&selector).await.with_context(|| format!("list the pods of {object}"))?;
        let problem = diagnose::newest(&found.items).find_map(diagnose::problem);
        if let Some(problem) = &problem {
            step.waiting(&format!("{waiting}; {problem}"));
            let since = *stuck_since.get_or_insert_with(Instant::now);
            if since.elapsed() > PATIENCE {
                let reason = format!(
                    "pod {} has been in state {} for {} s",
                    problem.pod,
                    problem.reason,
                    PATIENCE.as_secs()
                );
                return diagnose::failure(client, object, &reason, &pods, &selector).await;
            }
        } else {
            step.waiting(&waiting);
            stuck_since = None;
        }
        if Instant::now() > until {
            let reason = format!("not finished in time (--timeout): {waiting}");
            return diagnose::failure(client, object, &reason, &pods, &selector).await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A webhook without certificate authority refuses, or is skipped for, every request.
async fn await_certificate(client: &Client, object: &Object, until: Instant) -> anyhow::Result<()> {
    let step = ui::step(format!("webhooks of {} have their certificate", object.name()));
    while !has_certificate(client, object).await.with_context(|| format!("read {object}"))? {
        step.waiting("the service's leader issues it");
        if Instant::now() > until {
            bail!(
                "{object}: no certificate authority was put in: the leader of the service does that; its log says why \
                 not, and its Role has to allow get and patch of this very object"
            );
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    step.done();
    Ok(())
}

async fn has_certificate(client: &Client, object: &Object) -> kube::Result<bool> {
    let configs = if object.kind() == "MutatingWebhookConfiguration" {
        let live = Api::<MutatingWebhookConfiguration>::all(client.clone()).get(object.name()).await?;
        live.webhooks.into_iter().flatten().map(|webhook| webhook.client_config).collect::<Vec<_>>()
    } else {
        let live = Api::<ValidatingWebhookConfiguration>::all(client.clone()).get(object.name()).await?;
        live.webhooks.into_iter().flatten().map(|webhook| webhook.client_config).collect()
    };
    Ok(configs.iter().all(|config| config.ca_bundle.as_ref().is_some_and(|bundle| !bundle.0.is_empty())))
}

/// Where a live workload stands.
fn progress(kind: &str, live: &Value) -> Progress {
    let number = |pointer: &str| live.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
    if number("/status/observedGeneration") < number("/metadata/generation") {
        return Progress::Waiting("its controller has not seen the change yet".to_owned());
    }
    if let Some(reason) = given_up(live) {
        return Progress::Failed(reason);
    }
    let (wanted, updated, available, all) = if kind == "DaemonSet" {
        let wanted = number("/status/desiredNumberScheduled");
        (wanted, number("/status/updatedNumberScheduled"), number("/status/numberAvailable"), wanted)
    } else {
        let wanted = live.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
        let status = |field: &str| number(&format!("/status/{field}"));
        (wanted, status("updatedReplicas"), status("availableReplicas"), status("replicas"))
    };
    if updated < wanted {
        Progress::Waiting(format!("{updated} of {wanted} pods are of the new version"))
    } else if available < wanted {
        Progress::Waiting(format!("{available} of {wanted} pods are ready"))
    } else if all > wanted {
        Progress::Waiting(format!("pods of the old version that are still there: {}", all - wanted))
    } else {
        Progress::Ready
    }
}

/// The message of a condition that says that Kubernetes does not go on.
fn given_up(live: &Value) -> Option<String> {
    let conditions = live.pointer("/status/conditions")?.as_array()?;
    let is = |condition: &Value, kind: &str, status: &str| {
        condition["type"] == kind && condition["status"] == status
    };
    conditions
        .iter()
        .find(|condition| is(condition, "ReplicaFailure", "True") || is(condition, "Progressing", "False"))
        .map(|condition| condition["message"].as_str().unwrap_or("no reason given").to_owned())
}

/// `key=value,…` of the workload's pods.
fn selector(object: &Object) -> String {
    let labels = object.content.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let pairs =
        labels.into_iter().flatten().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    pairs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(replicas: i64, status: &Value) -> Value {
        json!({"metadata": {"generation": 2}, "spec": {"replicas": replicas}, "status": status})
    }

    fn waits_for(live: &Value, text: &str) {
        let found = progress("Deployment", live);
        assert!(
            matches!(&found, Progress::Waiting(on) if on.contains(text)),
            "{found:?} does not tell of {text}"
        );
    }

    #[test]
    fn an_old_status_says_nothing() {
        let status =
            json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1});
        waits_for(&deployment(1, &status), "has not seen");
    }

    #[test]
    fn counts_new_ready_and_old_pods() {
        let status = |updated, available, all| json!({"observedGeneration": 2, "updatedReplicas": updated, "availableReplicas": available, "replicas": all});
        waits_for(&deployment(2, &status(1, 2, 3)), "1 of 2 pods are of the new version");
        waits_for(&deployment(2, &status(2, 1, 2)), "1 of 2 pods are ready");
        waits_for(&deployment(2, &status(2, 2, 3)), "old version that are still there: 1");
        assert_eq!(progress("Deployment", &deployment(2, &status(2, 2, 2))), Progress::Ready);
    }

    #[test]
    fn fails_when_no_pod_may_be_made() {
        let conditions =
            json!([{"type": "ReplicaFailure", "status": "True", "message": "violates PodSecurity"}]);
        let live = deployment(1, &json!({"observedGeneration": 2, "conditions": conditions}));
        assert_eq!(progress("Deployment", &live), Progress::Failed("violates PodSecurity".to_owned()));
    }

    #[test]
    fn daemon_set_counts_nodes() {
        let status = json!({"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2});
        assert_eq!(progress("DaemonSet", &json!({"status": status})), Progress::Ready);
    }
}
