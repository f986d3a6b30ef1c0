//! A Job that updates references to task bundles, and what it works with (specification, section 4.10).

use std::collections::BTreeMap;

use fleet::{ObjectKey, Secret as Hidden};
use k8s_openapi::ByteString;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource as _, ResourceExt as _};
use serde_json::{Map, Value, json};

use super::options::Updater;
use super::step;

/// How long a Job is kept that is over, in seconds: a day.
const KEPT: i64 = 24 * 60 * 60;

/// Settings and token for one repository.
pub(super) struct Task {
    /// In names of variables and keys.
    pub(super) id: String,
    pub(super) settings: Map<String, Value>,
    pub(super) token: Hidden<String>,
}

/// A Job that does not begin before it is let go.
pub(super) fn job(key: &ObjectKey, updater: &Updater, tasks: &[Task]) -> Job {
    let ids: Vec<&str> = tasks.iter().map(|task| task.id.as_str()).collect();
    let mut container = step::container(updater, &key.name, &ids);
    // Containers of pods have no script.
    if let Some(script) = container.remove("script") {
        container.insert("command".into(), json!(["/bin/sh", "-c", script]));
    }
    let job = json!({
        "metadata": {"name": key.name, "namespace": key.namespace},
        "spec": {
            "suspend": true,
            "backoffLimit": 1,
            "ttlSecondsAfterFinished": KEPT,
            // The label opens the way to forges, where network policies close it.
            "template": {"metadata": {"labels": {"app.kubernetes.io/name": "build-service-updates"}}, "spec": {
                "automountServiceAccountToken": false,
                "enableServiceLinks": false,
                "restartPolicy": "Never",
                "containers": [container],
                "volumes": step::volumes(&key.name),
            }},
        },
    });
    serde_json::from_value(job).expect("it is a Job")
}

/// The settings of its tasks, which go with it.
pub(super) fn config_map(job: &Job, tasks: &[Task]) -> ConfigMap {
    let text = |task: &Task| serde_json::to_string_pretty(&task.settings).expect("JSON is JSON");
    let data = tasks.iter().map(|task| (step::config_key(&task.id), text(task)));
    ConfigMap { metadata: metadata_of(job), data: Some(data.collect()), ..ConfigMap::default() }
}

/// The tokens of its tasks, which go with it.
pub(super) fn secret(job: &Job, tasks: &[Task]) -> Secret {
    let data =
        tasks.iter().map(|task| (task.id.clone(), ByteString(task.token.expose().clone().into_bytes())));
    let data: BTreeMap<_, _> = data.collect();
    Secret { metadata: metadata_of(job), data: Some(data), ..Secret::default() }
}

fn metadata_of(job: &Job) -> ObjectMeta {
    ObjectMeta {
        name: Some(job.name_any()),
        namespace: job.namespace(),
        owner_references: Some(vec![OwnerReference {
            api_version: Job::api_version(&()).into_owned(),
            kind: Job::kind(&()).into_owned(),
            name: job.name_any(),
            uid: job.uid().unwrap_or_default(),
            ..OwnerReference::default()
        }]),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_what_it_needs_and_has_no_rights() {
        let task = |id: &str| Task {
            id: id.to_owned(),
            settings: Map::from_iter([("platform".to_owned(), json!("github"))]),
            token: Hidden::new("canary".to_owned()),
        };
        let updater = Updater { update_image: "toolbox".to_owned(), renovate_image: String::new() };
        let tasks = [task("aa"), task("bb")];
        let made = job(&ObjectKey::new("build-service", "renovate-job-1-aaaaa"), &updater, &tasks);
        let spec = made.spec.clone().unwrap();
        assert_eq!(spec.suspend, Some(true));
        let pod = spec.template.spec.unwrap();
        assert_eq!(pod.automount_service_account_token, Some(false));
        let script = &pod.containers[0].command.as_ref().unwrap()[2];
        assert!(script.contains("$TOKEN_aa") && script.contains("$TOKEN_bb"), "{script}");
        assert!(!serde_json::to_string(&made).unwrap().contains("canary"));
        let keys: Vec<_> = config_map(&made, &tasks).data.unwrap().into_keys().collect();
        assert_eq!(keys, ["aa.json", "bb.json"]);
        assert_eq!(secret(&made, &tasks).data.unwrap().len(), 2);
    }
}
