//! A rendered object: JSON with the few things that every object has.
use std::fmt;

use kube::core::GroupVersionKind;
use serde_json::Value;

/// Put on objects by kustomize (`buildMetadata: [originAnnotations]`): the file that an object came from.
const ORIGIN: &str = "config.kubernetes.io/origin";

/// An object to apply. Has an apiVersion, a kind and a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    pub content: Value,
    /// File that it was rendered from, from the overlay's folder, where known.
    pub origin: Option<String>,
}

impl Object {
    /// Checks what every object needs, and takes the annotation with its origin off.
    pub fn parse(mut content: Value) -> anyhow::Result<Self> {
        let origin = take_origin(&mut content);
        let object = Self { content, origin };
        for field in ["/apiVersion", "/kind", "/metadata/name"] {
            let is_set =
                object.content.pointer(field).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
            anyhow::ensure!(is_set, "{object}: field {} is missing or no text", field[1..].replace('/', "."));
        }
        Ok(object)
    }

    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    pub fn namespace(&self) -> Option<&str> {
        self.content.pointer("/metadata/namespace").and_then(Value::as_str)
    }

    /// API group; empty for the core group.
    pub fn group(&self) -> &str {
        self.text("/apiVersion").split_once('/').map_or("", |(group, _)| group)
    }

    pub fn gvk(&self) -> GroupVersionKind {
        let api = self.text("/apiVersion");
        let version = api.split_once('/').map_or(api, |(_, version)| version);
        GroupVersionKind::gvk(self.group(), version, self.kind())
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        self.content.pointer("/metadata/labels")?.get(key)?.as_str()
    }

    fn text(&self, pointer: &str) -> &str {
        self.content.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

/// `Deployment a/b (../base/a/deployment.yaml)`.
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or = |text: &str, placeholder| if text.is_empty() { placeholder } else { text }.to_owned();
        write!(f, "{} ", or(self.kind(), "an object without kind"))?;
        if let Some(namespace) = self.namespace() {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&or(self.name(), "without name"))?;
        match &self.origin {
            Some(file) => write!(f, " ({file})"),
            None => Ok(()),
        }
    }
}

fn take_origin(content: &mut Value) -> Option<String> {
    let metadata = content.get_mut("metadata")?.as_object_mut()?;
    let annotations = metadata.get_mut("annotations")?.as_object_mut()?;
    let origin = annotations.remove(ORIGIN)?;
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    let path = origin.as_str()?.lines().find_map(|line| line.strip_prefix("path: "))?;
    Some(path.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn says_what_it_is_and_where_from() {
        let object = Object::parse(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"namespace": "a", "name": "b", "annotations": {ORIGIN: "path: ../base/b.yaml\n"}},
        }))
        .unwrap();
        assert_eq!(object.to_string(), "Deployment a/b (../base/b.yaml)");
        assert_eq!((object.group(), object.gvk().version.as_str()), ("apps", "v1"));
        assert_eq!(object.content["metadata"].get("annotations"), None);
    }

    #[test]
    fn other_annotations_stay() {
        let annotations = json!({ORIGIN: "path: x\n", "a": "b"});
        let object =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "b", "annotations": annotations}});
        let object = Object::parse(object).unwrap();
        assert_eq!(object.content["metadata"]["annotations"], json!({"a": "b"}));
        assert_eq!((object.group(), object.gvk().version.as_str()), ("", "v1"));
    }

    #[test]
    fn a_field_that_is_missing_is_named() {
        let refusal = |content| Object::parse(content).unwrap_err().to_string();
        let nameless = json!({"apiVersion": "v1", "kind": "Pod"});
        assert_eq!(refusal(nameless), "Pod without name: field metadata.name is missing or no text");
        assert!(refusal(json!({"kind": "Pod", "metadata": {"name": "b"}})).contains("field apiVersion"));
    }
}
