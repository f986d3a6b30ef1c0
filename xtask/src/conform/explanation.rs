//! What there is to see when a case has failed.
use std::fmt::Write as _;

use kube::{
    ResourceExt as _,
    api::{DynamicObject, ListParams},
};
use serde_json::Value;

use super::world::Place;

/// Lines of each container's log.
const LOG_LINES: i64 = 20;

/// Runs with their status, Events, and the logs of pods. What cannot be read is said, too.
pub async fn of(place: &Place<'_>) -> String {
    let mut text = String::new();
    for kind in ["PipelineRun", "TaskRun"] {
        for object in list(place, kind, &mut text).await {
            let status = without_specs(object.data["status"].clone());
            let shown = serde_saphyr::to_string(&status).unwrap_or_else(|error| error.to_string());
            let _ = writeln!(text, "{kind} {}:\n{}", object.name_any(), indented(&shown));
        }
    }
    let mut events = list(place, "Event", &mut text).await;
    events.sort_by_key(kube::ResourceExt::creation_timestamp);
    for event in events {
        let field = |field: &str| event.data[field].as_str().unwrap_or_default().to_owned();
        let about = &event.data["involvedObject"];
        let of = |field: &str| about[field].as_str().unwrap_or_default();
        let _ = writeln!(
            text,
            "Event {} {}/{}: {}: {}",
            field("type"),
            of("kind"),
            of("name"),
            field("reason"),
            field("message")
        );
    }
    for pod in list(place, "Pod", &mut text).await {
        let containers = ["initContainers", "containers"]
            .into_iter()
            .flat_map(|list| pod.data["spec"][list].as_array().cloned().unwrap_or_default());
        for container in containers {
            let name = container["name"].as_str().unwrap_or_default();
            let log = place.log(&pod.name_any(), name, Some(LOG_LINES)).await;
            let log = log.unwrap_or_else(|error| format!("no log: {error}"));
            let _ = writeln!(text, "Pod {} {name}:\n{}", pod.name_any(), indented(&log));
        }
    }
    text
}

async fn list(place: &Place<'_>, kind: &str, text: &mut String) -> Vec<DynamicObject> {
    let listed = async { anyhow::Ok(place.api(kind)?.list(&ListParams::default()).await?.items) };
    listed.await.unwrap_or_else(|error| {
        let _ = writeln!(text, "{kind}s cannot be listed: {error:#}");
        Vec::new()
    })
}

/// The specifications that a status repeats would hide the rest.
fn without_specs(mut status: Value) -> Value {
    if let Some(fields) = status.as_object_mut() {
        for field in ["pipelineSpec", "taskSpec", "provenance"] {
            fields.remove(field);
        }
    }
    status
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
