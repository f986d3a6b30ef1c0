//! Where each version says what.
//!
//! A field that has another name in the other version is swapped with it: what by chance has the other version's name
//! means nothing here, and means nothing there.

use pipelines_engine_api::annotations::v1beta1 as notes;
use serde_json::{Map, Value, json};

use super::{annotate, remove_annotation};

type Fields = Map<String, Value>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// To the version that is stored.
    Newer,
    Older,
}

impl Direction {
    pub(super) fn reversed(self) -> Self {
        match self {
            Self::Newer => Self::Older,
            Self::Older => Self::Newer,
        }
    }
}

/// Fields of steps and of the template that `v1` has no longer.
const DEPRECATED: [&str; 10] = [
    "ports",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "stdin",
    "stdinOnce",
    "tty",
];

/// Changes all of `object` but its `apiVersion`.
pub(super) fn object(object: &mut Value, direction: Direction) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    if kind == "ResolutionRequest" {
        return request(object, direction);
    }
    let mut deprecations = Deprecations::take(object, direction);
    if ["Task", "TaskRun", "PipelineRun", "Pipeline"].contains(&kind.as_str()) {
        note(object, &["spec", "resources"], notes::RESOURCES.as_str(), direction);
    }
    if kind == "TaskRun" {
        for (path, key) in [
            (&["status", "cloudEvents"][..], notes::CLOUD_EVENTS),
            (&["status", "resourcesResult"], notes::RESOURCES_RESULT),
            (&["status", "taskSpec", "resources"], notes::RESOURCES_STATUS),
        ] {
            note(object, path, key.as_str(), direction);
        }
    }
    let turn = &mut Turn { direction, deprecations: &mut deprecations };
    if let Some(spec) = fields(object, "spec") {
        match kind.as_str() {
            "Task" => turn.task(spec, &name),
            "Pipeline" => turn.pipeline(spec),
            "TaskRun" => turn.task_run(spec, &name),
            "PipelineRun" => turn.pipeline_run(spec),
            _ => {}
        }
    }
    if let Some(status) = fields(object, "status") {
        match kind.as_str() {
            "TaskRun" => turn.task_run_status(status),
            "PipelineRun" => turn.pipeline_run_status(status),
            _ => {}
        }
    }
    deprecations.put(object);
}

/// One conversion in one direction.
struct Turn<'a> {
    direction: Direction,
    deprecations: &'a mut Deprecations,
}

impl Turn<'_> {
    /// `name` is that under which deprecated fields are kept.
    fn task(&mut self, spec: &mut Fields, name: &str) {
        of_containers(spec);
        match self.direction {
            Direction::Newer => self.deprecations.remember(spec, name),
            Direction::Older => self.deprecations.bring_back(spec, name),
        }
    }

    fn pipeline(&mut self, spec: &mut Fields) {
        for list in ["tasks", "finally"] {
            for task in elements(spec, list) {
                let name = task.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
                self.reference(task, "taskRef", "task");
                self.reference(task, "pipelineRef", "pipeline");
                if let Some(embedded) = fields_of(task, "taskSpec") {
                    self.task(embedded, &name);
                }
                if let Some(pipeline) = fields_of(task, "pipelineSpec") {
                    self.pipeline(pipeline);
                }
            }
        }
    }

    fn task_run(&mut self, spec: &mut Fields, name: &str) {
        self.reference(spec, "taskRef", "task");
        if let Some(task) = fields_of(spec, "taskSpec") {
            self.task(task, name);
        }
        self.overrides(spec);
    }

    fn pipeline_run(&mut self, spec: &mut Fields) {
        self.reference(spec, "pipelineRef", "pipeline");
        if let Some(pipeline) = fields_of(spec, "pipelineSpec") {
            self.pipeline(pipeline);
        }
        match self.direction {
            Direction::Newer => {
                into(spec, "timeout", "timeouts", "pipeline");
                into(spec, "serviceAccountName", "taskRunTemplate", "serviceAccountName");
                into(spec, "podTemplate", "taskRunTemplate", "podTemplate");
            }
            // `timeouts` is valid in both versions.
            Direction::Older => {
                out_of(spec, "serviceAccountName", "taskRunTemplate");
                out_of(spec, "podTemplate", "taskRunTemplate");
            }
        }
        for of_task in elements(spec, "taskRunSpecs") {
            swap(of_task, "taskServiceAccountName", "serviceAccountName");
            swap(of_task, "taskPodTemplate", "podTemplate");
            self.overrides(of_task);
        }
    }

    fn task_run_status(&mut self, status: &mut Fields) {
        swap(status, "taskResults", "results");
        if let Some(task) = fields_of(status, "taskSpec") {
            // Deprecated fields of what has run are of no use to anybody: they stay where they are.
            of_containers(task);
        }
        self.provenance(status);
        for attempt in elements(status, "retriesStatus") {
            self.task_run_status(attempt);
        }
    }

    fn pipeline_run_status(&mut self, status: &mut Fields) {
        swap(status, "pipelineResults", "results");
        if let Some(pipeline) = fields_of(status, "pipelineSpec") {
            for task in elements(pipeline, "tasks") {
                self.resolved(task);
            }
            for task in elements(pipeline, "finally") {
                self.resolved(task);
            }
        }
        self.provenance(status);
    }

    /// A task of a Pipeline in status.
    fn resolved(&mut self, task: &mut Fields) {
        self.reference(task, "taskRef", "task");
        if let Some(embedded) = fields_of(task, "taskSpec") {
            of_containers(embedded);
        }
    }

    /// `v1beta1` has both fields, and says the same in both.
    fn provenance(&self, status: &mut Fields) {
        let Some(provenance) = fields_of(status, "provenance") else { return };
        match self.direction {
            Direction::Newer => {
                if let Some(source) = provenance.remove("configSource") {
                    match provenance.get("refSource") {
                        None => _ = provenance.insert("refSource".to_owned(), source),
                        Some(same) if *same == source => {}
                        Some(_) => _ = provenance.insert("configSource".to_owned(), source),
                    }
                }
            }
            Direction::Older => {
                if let Some(source) = provenance.get("refSource").cloned() {
                    provenance.entry("configSource").or_insert(source);
                }
            }
        }
    }

    /// Resources of single steps and sidecars.
    fn overrides(&self, spec: &mut Fields) {
        let names = [("stepOverrides", "stepSpecs"), ("sidecarOverrides", "sidecarSpecs")];
        for (older, newer) in names {
            // The one that means something in the version that `spec` is in at this moment.
            if self.direction == Direction::Newer {
                elements(spec, older).for_each(resources);
            } else {
                elements(spec, newer).for_each(resources);
            }
            swap(spec, older, newer);
        }
    }

    /// `bundle: <image>` is the resolver `bundles` in `v1`. `resource` is what lies in the bundle.
    fn reference(&self, of: &mut Fields, field: &str, resource: &str) {
        let Some(reference) = fields_of(of, field) else { return };
        match self.direction {
            Direction::Newer => {
                let is_bundle = reference.get("bundle").is_some_and(|bundle| bundle.as_str() != Some(""));
                if !is_bundle || reference.contains_key("resolver") || reference.contains_key("params") {
                    return;
                }
                let mut params: Vec<Value> = Vec::new();
                for name in ["bundle", "name"] {
                    let value = reference.remove(name);
                    params.extend(value.map(|value| json!({"name": name, "value": value})));
                }
                params.push(json!({"name": "kind", "value": resource}));
                reference.insert("resolver".to_owned(), "bundles".into());
                reference.insert("params".to_owned(), params.into());
            }
            Direction::Older => {
                let Some((bundle, name)) = bundle(reference, resource) else { return };
                reference.remove("resolver");
                reference.remove("params");
                reference.insert("bundle".to_owned(), bundle);
                reference.insert("name".to_owned(), name);
            }
        }
    }
}

/// The image and the name, if that is all that a reference to a bundle says.
fn bundle(reference: &Fields, resource: &str) -> Option<(Value, Value)> {
    let is_bundle = reference.get("resolver")? == "bundles"
        && !reference.contains_key("bundle")
        && !reference.contains_key("name");
    let [bundle, name, kind] = reference.get("params")?.as_array()?.as_slice() else { return None };
    let value = |param: &Value, expected: &str| {
        let is_it = param["name"] == expected && param.as_object().is_some_and(|fields| fields.len() == 2);
        param.get("value").filter(|_| is_it).cloned()
    };
    let (bundle, name) = (value(bundle, "bundle")?, value(name, "name")?);
    let kind = value(kind, "kind")?;
    let same_kind = kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case(resource));
    (is_bundle && same_kind).then_some((bundle, name))
}

/// ResolutionRequests of `v1alpha1` have a map for parameters.
fn request(object: &mut Value, direction: Direction) {
    let Some(params) = fields(object, "spec").and_then(|spec| spec.get_mut("params")) else { return };
    match (direction, &*params) {
        (Direction::Newer, Value::Object(by_name)) => {
            *params = by_name.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        }
        (Direction::Older, Value::Array(list)) => {
            // A parameter without a name, or with one that comes again, has no place in a map: see the module above.
            let named = list.iter().filter_map(|param| Some((param["name"].as_str()?, param.get("value")?)));
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            *params =
                named.map(|(name, value)| (name.to_owned(), text(value).into())).collect::<Fields>().into();
        }
        _ => {}
    }
}

/// Deprecated fields of steps and templates, by the name of their task, as upstream keeps them.
#[derive(Default)]
struct Deprecations(Fields);

impl Deprecations {
    /// On the way to `v1beta1` what is kept; on the way to `v1` nothing yet.
    fn take(object: &mut Value, direction: Direction) -> Self {
        let key = notes::TASK_DEPRECATIONS.as_str();
        let text =
            object.get("metadata").and_then(|metadata| metadata.get("annotations")?.get(key)?.as_str());
        let kept = text.and_then(|text| serde_json::from_str(text).ok());
        match (direction, kept) {
            (Direction::Older, Some(Value::Object(kept))) => {
                remove_annotation(object, key);
                Self(kept)
            }
            _ => Self::default(),
        }
    }

    fn put(self, object: &mut Value) {
        if !self.0.is_empty() {
            annotate(object, notes::TASK_DEPRECATIONS.as_str(), &Value::Object(self.0));
        }
    }

    fn remember(&mut self, spec: &mut Fields, task: &str) {
        let mut kept = Fields::new();
        let steps: Vec<Value> = elements(spec, "steps").map(|step| take_deprecated(step).into()).collect();
        if steps.iter().any(|step| step.as_object().is_some_and(|fields| !fields.is_empty())) {
            kept.insert("deprecatedSteps".to_owned(), steps.into());
        }
        let template =
            fields_of(spec, "stepTemplate").map(take_deprecated).filter(|fields| !fields.is_empty());
        kept.extend(template.map(|fields| ("deprecatedStepTemplate".to_owned(), fields.into())));
        if !kept.is_empty() {
            self.0.insert(task.to_owned(), kept.into());
        }
    }

    fn bring_back(&mut self, spec: &mut Fields, task: &str) {
        // Kept under no name where the object had none yet when it was written.
        let kept = self.0.remove(task).or_else(|| self.0.remove(""));
        let Some(Value::Object(mut kept)) = kept else { return };
        if let Some(Value::Array(steps)) = kept.remove("deprecatedSteps") {
            for (step, kept) in elements(spec, "steps").zip(steps) {
                add(step, kept);
            }
        }
        if let (Some(template), Some(kept)) =
            (fields_of(spec, "stepTemplate"), kept.remove("deprecatedStepTemplate"))
        {
            add(template, kept);
        }
    }
}

fn take_deprecated(of: &mut Fields) -> Fields {
    DEPRECATED.iter().filter_map(|field| of.remove_entry(*field)).collect()
}

fn add(to: &mut Fields, kept: Value) {
    if let Value::Object(kept) = kept {
        for (name, value) in kept {
            to.entry(name).or_insert(value);
        }
    }
}

/// Keeps the field at `path` in an annotation on the way to `v1`, and brings it back.
fn note(object: &mut Value, path: &[&str], key: &str, direction: Direction) {
    let Some((name, parents)) = path.split_last() else { return };
    let text = object.get("metadata").and_then(|metadata| metadata.get("annotations")?.get(key)?.as_str());
    let kept: Option<Value> = text.and_then(|text| serde_json::from_str(text).ok());
    let mut holder = Some(&mut *object);
    for parent in parents {
        holder = holder.and_then(|value| value.get_mut(*parent));
    }
    let Some(holder) = holder.and_then(Value::as_object_mut) else { return };
    match direction {
        Direction::Newer => {
            if let Some(value) = holder.remove(*name) {
                annotate(object, key, &value);
            }
        }
        Direction::Older => {
            if let Some(kept) = kept.filter(|_| !holder.contains_key(*name)) {
                holder.insert((*name).to_owned(), kept);
                remove_annotation(object, key);
            }
        }
    }
}

/// Resources of all containers of a Task.
fn of_containers(task: &mut Fields) {
    fields_of(task, "stepTemplate").into_iter().for_each(resources);
    elements(task, "steps").for_each(resources);
    elements(task, "sidecars").for_each(resources);
}

fn resources(of: &mut Fields) {
    swap(of, "resources", "computeResources");
}

fn swap(of: &mut Fields, one: &str, other: &str) {
    let (first, second) = (of.remove(one), of.remove(other));
    of.extend(first.map(|value| (other.to_owned(), value)));
    of.extend(second.map(|value| (one.to_owned(), value)));
}

/// Moves a field into `parent`, which is made if need be, unless that says something else already.
fn into(of: &mut Fields, field: &str, parent: &str, as_field: &str) {
    let Some(value) = of.remove(field) else { return };
    match of.entry(parent).or_insert_with(|| json!({})) {
        Value::Object(fields) if !fields.contains_key(as_field) => {
            fields.insert(as_field.to_owned(), value);
        }
        _ => _ = of.insert(field.to_owned(), value),
    }
}

/// Moves a field out of `parent`, which goes when it is empty.
fn out_of(of: &mut Fields, field: &str, parent: &str) {
    if of.contains_key(field) {
        return;
    }
    let Some(fields) = fields_of(of, parent) else { return };
    let value = fields.remove(field);
    if fields.is_empty() {
        of.remove(parent);
    }
    of.extend(value.map(|value| (field.to_owned(), value)));
}

fn fields<'a>(of: &'a mut Value, name: &str) -> Option<&'a mut Fields> {
    of.get_mut(name)?.as_object_mut()
}

fn fields_of<'a>(of: &'a mut Fields, name: &str) -> Option<&'a mut Fields> {
    of.get_mut(name)?.as_object_mut()
}

/// The objects in a list.
fn elements<'a>(of: &'a mut Fields, name: &str) -> impl Iterator<Item = &'a mut Fields> {
    let list = of.get_mut(name).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}
