//! What an engine writes into the status of runs. Times are those of the API: whole seconds, UTC.

use jiff::Timestamp;
use kube::api::ResourceExt as _;
use kube::core::DynamicObject;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::names::child_name;
use super::object;
use super::plan::{Plan, Task};
use super::script::TaskScript;

/// How many tasks are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) succeeded: usize,
    pub(super) failed: usize,
    pub(super) cancelled: usize,
    pub(super) incomplete: usize,
    pub(super) skipped: usize,
}

impl Counts {
    pub(super) fn running(self) -> String {
        let Self { incomplete, skipped, .. } = self;
        format!("{}, Incomplete: {incomplete}, Skipped: {skipped}", self.completed())
    }

    pub(super) fn ended(self) -> String {
        format!("{}, Skipped: {}", self.completed(), self.skipped)
    }

    fn completed(self) -> String {
        let Self { succeeded, failed, cancelled, .. } = self;
        let all = succeeded + failed + cancelled;
        format!("Tasks Completed: {all} (Failed: {failed}, Cancelled {cancelled})")
    }
}

/// The list with the one condition, Succeeded. Its transition time moves when anything in it does.
pub(super) fn conditions(
    object: &DynamicObject,
    status: &str,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> Value {
    let mut condition = json!({"type": "Succeeded", "status": status, "reason": reason, "message": message});
    let before = object::succeeded(object);
    let is_same = ["status", "reason", "message"].iter().all(|key| before[key] == condition[key]);
    let time = if is_same { before["lastTransitionTime"].clone() } else { json!(now) };
    condition["lastTransitionTime"] = time;
    json!([condition])
}

/// Whether an object has all of `status` already.
pub(super) fn is_recorded(object: &DynamicObject, status: &Value) -> bool {
    let wanted = status.as_object().into_iter().flatten();
    wanted.into_iter().all(|(key, value)| object::status(object).get(key) == Some(value))
}

/// What an engine knows of a run that goes on.
pub(super) fn resolved(
    run: &DynamicObject,
    plan: &Plan,
    task_runs: &[&DynamicObject],
    skipped: &[(String, String)],
) -> Value {
    let reference = |task: &Task| {
        let task_run = task_runs.iter().find(|task_run| task.is_of(task_run))?;
        Some(json!({
            "apiVersion": format!("{}/{}", object::GROUP, object::VERSION),
            "kind": "TaskRun",
            "name": task_run.name_any(),
            "pipelineTaskName": task.name,
        }))
    };
    let references: Vec<Value> = plan.tasks.iter().filter_map(reference).collect();
    let mut status = json!({
        "pipelineSpec": plan.pipeline_spec,
        "provenance": provenance(&run.data["spec"]["pipelineRef"]),
    });
    if !references.is_empty() {
        status["childReferences"] = references.into();
    }
    if !skipped.is_empty() {
        let skipped = skipped.iter().map(|(name, reason)| json!({"name": name, "reason": reason}));
        status["skippedTasks"] = skipped.collect();
    }
    status
}

pub(super) fn task_started(task_run: &DynamicObject, now: Timestamp) -> Value {
    let message = "Not all Steps in the Task have finished executing";
    json!({
        "conditions": conditions(task_run, "Unknown", "Running", message, now),
        "startTime": now,
        "podName": child_name(&task_run.name_any(), "-pod"),
        "taskSpec": task_spec(task_run),
        "provenance": provenance(&task_run.data["spec"]["taskRef"]),
        "steps": steps(task_run, &json!({"running": {"startedAt": now}}), None),
    })
}

/// `condition` is status, reason and message of the end.
pub(super) fn task_ended(
    task_run: &DynamicObject,
    script: Option<&TaskScript>,
    condition: (&str, &str, &str),
    now: Timestamp,
) -> Value {
    let (truth, reason, message) = condition;
    let (code, word) = if truth == "True" { (0, "Completed") } else { (1, "Error") };
    let started = &object::status(task_run)["startTime"];
    let terminated = json!({"exitCode": code, "reason": word, "startedAt": started, "finishedAt": now});
    let mut status = json!({
        "conditions": conditions(task_run, truth, reason, message, now),
        "completionTime": now,
        "steps": steps(task_run, &json!({"terminated": terminated}), Some(word)),
    });
    let results = script.map_or(&[][..], |script| &script.results);
    if !results.is_empty() {
        let typed =
            results.iter().map(|(name, value)| json!({"name": name, "type": type_of(value), "value": value}));
        status["results"] = typed.collect();
    }
    status
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        _ => "string",
    }
}

/// Each step in the state `state`.
fn steps(task_run: &DynamicObject, state: &Value, termination_reason: Option<&str>) -> Value {
    let task_spec = task_spec(task_run);
    let steps = task_spec["steps"].as_array().into_iter().flatten();
    let status = |(index, step): (usize, &Value)| {
        let name = step["name"].as_str().map_or_else(|| format!("unnamed-{index}"), ToOwned::to_owned);
        let mut status = json!({"name": name, "container": format!("step-{name}")});
        if let (Some(fields), Some(state)) = (status.as_object_mut(), state.as_object()) {
            fields.extend(state.clone());
            fields.extend(termination_reason.map(|reason| ("terminationReason".to_owned(), json!(reason))));
        }
        status
    };
    steps.enumerate().map(status).collect()
}

/// The Task as the TaskRun has it, or one made up for a reference.
fn task_spec(task_run: &DynamicObject) -> Value {
    let inline = &task_run.data["spec"]["taskSpec"];
    if inline.is_object() { inline.clone() } else { object::task_spec() }
}

/// The engine's settings, and where a reference leads. Nothing is fetched: digests are the reference's own, or made up.
fn provenance(reference: &Value) -> Value {
    let flags = [
        ("EnableAPIFields", json!("beta")),
        ("EnableProvenanceInStatus", json!(true)),
        ("ResultExtractionMethod", json!("termination-message")),
        ("MaxResultSize", json!(4096)),
    ];
    let flags: Map<String, Value> = flags.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let mut provenance = json!({ "featureFlags": flags });
    if let Some(source) = source(reference) {
        provenance["refSource"] = source;
    }
    provenance
}

fn source(reference: &Value) -> Option<Value> {
    let param = |name| object::string_param(&reference["params"], name).unwrap_or_default();
    match reference["resolver"].as_str()? {
        "bundles" => {
            let (image, digest) = param("bundle").split_once('@').unwrap_or((param("bundle"), ""));
            // A tag comes after the last slash; a colon before that belongs to a port.
            let name = image.rfind('/').map_or(0, |slash| slash + 1);
            let repository = image[name..].find(':').map_or(image, |colon| &image[..name + colon]);
            let hex = digest.strip_prefix("sha256:").map_or_else(|| hash(image), ToOwned::to_owned);
            Some(json!({"uri": repository, "digest": {"sha256": hex}, "entryPoint": param("name")}))
        }
        "git" => {
            let revision = param("revision");
            let is_commit = revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
            let commit = if is_commit { revision.to_owned() } else { hash(revision)[..40].to_owned() };
            let uri = format!("git+{}", param("url"));
            Some(json!({"uri": uri, "digest": {"sha1": commit}, "entryPoint": param("pathInRepo")}))
        }
        _ => None,
    }
}

fn hash(text: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(text))
}

/// The text of a value that is one.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
