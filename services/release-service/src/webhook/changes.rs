//! Changes to labels, annotations and fields, as the smallest JSON patch.

use std::collections::BTreeMap;

use fleet::webhook::Verdict;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation};
use serde_json::{Value, json};

use super::Object;

/// Gathers changes of one object. What it says already is no change.
pub(super) struct Changes<'a> {
    object: &'a Object,
    labels: BTreeMap<&'static str, Option<String>>,
    annotations: BTreeMap<&'static str, Option<String>>,
    fields: Vec<PatchOperation>,
}

impl<'a> Changes<'a> {
    pub(super) fn of(object: &'a Object) -> Self {
        Self { object, labels: BTreeMap::new(), annotations: BTreeMap::new(), fields: Vec::new() }
    }

    /// Sets a label, or removes it.
    pub(super) fn label(&mut self, key: &'static str, value: Option<&str>) {
        self.labels.insert(key, value.map(str::to_owned));
    }

    /// Sets an annotation, or removes it.
    pub(super) fn annotation(&mut self, key: &'static str, value: Option<&str>) {
        self.annotations.insert(key, value.map(str::to_owned));
    }

    /// Sets a field of the spec.
    pub(super) fn spec(&mut self, field: &'static str, value: impl Into<Value>) {
        let path = PointerBuf::from_tokens(["spec", field]);
        self.fields.push(PatchOperation::Add(AddOperation { path, value: value.into() }));
    }

    /// Allows the object with these changes.
    pub(super) fn into_verdict(self) -> Verdict {
        let metadata = &self.object.metadata;
        let mut operations = of_map("labels", metadata.labels.as_ref(), &self.labels);
        operations.extend(of_map("annotations", metadata.annotations.as_ref(), &self.annotations));
        operations.extend(self.fields);
        if operations.is_empty() { Verdict::Allow } else { Verdict::Patch(Patch(operations)) }
    }
}

fn of_map(
    name: &str,
    current: Option<&BTreeMap<String, String>>,
    changes: &BTreeMap<&'static str, Option<String>>,
) -> Vec<PatchOperation> {
    let Some(current) = current else {
        let set: BTreeMap<_, _> =
            changes.iter().filter_map(|(key, value)| Some((key, value.as_ref()?))).collect();
        if set.is_empty() {
            return Vec::new();
        }
        let path = PointerBuf::from_tokens(["metadata", name]);
        return vec![PatchOperation::Add(AddOperation { path, value: json!(set) })];
    };
    let news = changes.iter().filter(|(key, value)| current.get(**key) != value.as_ref());
    news.map(|(key, value)| {
        let path = PointerBuf::from_tokens(["metadata", name, key]);
        match value {
            Some(value) => PatchOperation::Add(AddOperation { path, value: json!(value) }),
            None => PatchOperation::Remove(RemoveOperation { path }),
        }
    })
    .collect()
}
