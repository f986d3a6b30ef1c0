//! Which tasks a run has, and the TaskRuns that are made of them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::ResourceExt as _;
use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use super::names::child_name;
use super::object::{self, CHAINS, PIPELINE_RUN, PIPELINE_TASK};
use super::script::{RunScript, TaskScript};
use super::status::text;

/// The version that the stand-in says it is, in `pipeline.tekton.dev/release`.
const RELEASE: &str = "played";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What is to be run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Tasks proper, then those of `finally`, each in the order of the pipeline.
    pub(super) tasks: Vec<Task>,
    /// Name and reason.
    pub(super) skipped: Vec<(String, String)>,
    pub(super) pipeline_spec: Value,
}

/// A task that is run.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) name: String,
    pub(super) is_finally: bool,
    pub(super) script: TaskScript,
    /// Its entry in the pipeline.
    entry: Value,
}

impl Plan {
    pub(super) fn new(run: &DynamicObject, script: &RunScript) -> Self {
        let mut pipeline_spec = run.data["spec"]["pipelineSpec"].clone();
        if !pipeline_spec.is_object() {
            pipeline_spec = json!({});
        }
        let skipped = script.skipped.iter().map(|(name, _)| (name, false));
        let named = script.tasks.iter().map(|(name, task)| (name, task.is_finally));
        for (name, is_finally) in named.chain(skipped) {
            add_missing(&mut pipeline_spec, name, is_finally);
        }
        let is_skipped = |name: &str| script.skipped.iter().any(|(skipped, _)| skipped == name);
        let part = |is_finally| {
            entries(&pipeline_spec, is_finally)
                .iter()
                .map(move |entry| (text(&entry["name"]), entry))
                .filter(|(name, _)| !is_skipped(name))
                .map(move |(name, entry)| Task {
                    name: name.to_owned(),
                    is_finally,
                    script: script.of(name),
                    entry: entry.clone(),
                })
        };
        let tasks = part(false).chain(part(true)).collect();
        Self { tasks, skipped: script.skipped.clone(), pipeline_spec }
    }
}

/// Adds a task that the pipeline does not have.
fn add_missing(pipeline_spec: &mut Value, name: &str, is_finally: bool) {
    let has = |is_finally| entries(pipeline_spec, is_finally).iter().any(|task| task["name"] == name);
    if has(false) || has(true) {
        return;
    }
    let list = &mut pipeline_spec[key(is_finally)];
    if !list.is_array() {
        *list = json!([]);
    }
    if let Some(list) = list.as_array_mut() {
        list.push(json!({"name": name, "taskSpec": object::task_spec()}));
    }
}

fn entries(pipeline_spec: &Value, is_finally: bool) -> &[Value] {
    pipeline_spec[key(is_finally)].as_array().map_or(&[], Vec::as_slice)
}

fn key(is_finally: bool) -> &'static str {
    if is_finally { "finally" } else { "tasks" }
}

impl Task {
    /// Whether this is its TaskRun.
    pub(super) fn is_of(&self, task_run: &DynamicObject) -> bool {
        task_run.labels().get(PIPELINE_TASK) == Some(&self.name)
    }

    /// The TaskRun that is made of it.
    pub(super) fn task_run(&self, run: &DynamicObject) -> DynamicObject {
        let run_name = run.name_any();
        let name = child_name(&run_name, &format!("-{}", self.name));
        let mut task_run = DynamicObject::new(&name, &object::task_runs());
        let embedded = &self.entry["taskSpec"]["metadata"];
        let mut labels = strings(&embedded["labels"]);
        labels.extend(run.labels().clone());
        labels.extend(
            [
                ("app.kubernetes.io/managed-by", "tekton-pipelines"),
                ("tekton.dev/pipeline", &pipeline_label(run)),
                ("tekton.dev/memberOf", key(self.is_finally)),
                (PIPELINE_RUN, &run_name),
                (PIPELINE_TASK, &self.name),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
        if let Some(task) = self.referenced() {
            labels.insert("tekton.dev/task".to_owned(), task.to_owned());
        }
        let mut annotations = strings(&embedded["annotations"]);
        annotations.extend(run.annotations().clone());
        annotations.retain(|key, _| !key.starts_with(CHAINS) && key != LAST_APPLIED);
        annotations.insert("pipeline.tekton.dev/release".to_owned(), RELEASE.to_owned());
        task_run.metadata = ObjectMeta {
            name: Some(name),
            namespace: run.namespace(),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: Some(vec![owner(run)]),
            ..ObjectMeta::default()
        };
        task_run.data = json!({"spec": self.spec(run)});
        task_run
    }

    /// The name of the Task that the entry refers to.
    fn referenced(&self) -> Option<&str> {
        let reference = &self.entry["taskRef"];
        reference["name"].as_str().or_else(|| object::string_param(&reference["params"], "name"))
    }

    fn spec(&self, run: &DynamicObject) -> Value {
        let account = run.data["spec"]["taskRunTemplate"]["serviceAccountName"].as_str();
        let mut spec = Map::new();
        spec.insert("serviceAccountName".to_owned(), json!(account.unwrap_or("default")));
        for key in ["params", "taskRef", "taskSpec", "timeout", "retries"] {
            if let Some(value) = self.entry.get(key) {
                spec.insert(key.to_owned(), value.clone());
            }
        }
        if let Some(task_spec) = spec.get_mut("taskSpec").and_then(Value::as_object_mut) {
            task_spec.remove("metadata");
        }
        Value::Object(spec)
    }
}

/// What the engine writes on the run, and on all that it makes for it.
pub(super) fn pipeline_label(run: &DynamicObject) -> String {
    run.data["spec"]["pipelineRef"]["name"].as_str().map_or_else(|| run.name_any(), ToOwned::to_owned)
}

fn strings(map: &Value) -> BTreeMap<String, String> {
    let fields = map.as_object().into_iter().flatten();
    fields.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn owner(run: &DynamicObject) -> OwnerReference {
    OwnerReference {
        api_version: format!("{}/{}", object::GROUP, object::VERSION),
        kind: "PipelineRun".to_owned(),
        name: run.name_any(),
        uid: run.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}
