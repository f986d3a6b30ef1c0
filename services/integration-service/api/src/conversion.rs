//! Conversion between the versions of `IntegrationTestScenario`.
//!
//! Nothing is lost on the way to another version and back:
//! - objects are JSON values, so that fields unknown to our types are carried along;
//! - what a version has no field for is kept in an annotation, [`annotations::ENVIRONMENT`] or
//!   [`annotations::RESOLVER_REF`], and comes back as long as the fields that stand for it were not edited;
//! - a pipeline that is in no bundle has an empty `pipeline` and `bundle` in `v1alpha1`;
//! - a field that a version does not declare means nothing there. Where another version declares one of that name it is
//!   kept in [`annotations::UNDECLARED`], so that it neither gains a meaning nor is overwritten.
//!
//! ```text
//!            v1alpha1                      v1beta1          v1beta2
//! pipeline   pipeline, bundle              resolverRef      resolverRef
//!            (annotation if it says more)
//! copy of    environment                   environment      annotation
//! ```
//! All annotations of an object together may have 256 KiB: an environment of that size cannot be converted.

use std::str::FromStr;

use fleet_api::AnnotationKey;
use serde_json::{Map, Value, json};
use strum::IntoEnumIterator as _;

use crate::scenario::{ResolverRef, ResourceKind};
use crate::{GROUP, annotations};

/// A version of `IntegrationTestScenario`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumIter, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Version {
    V1alpha1,
    V1beta1,
    /// As stored.
    V1beta2,
}

impl Version {
    /// As in `apiVersion`, behind the group.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    fn has_environment(self) -> bool {
        self != Self::V1beta2
    }

    fn has_resolver_ref(self) -> bool {
        self != Self::V1alpha1
    }

    /// Fields of the spec that not all versions declare.
    fn declares(self) -> &'static [&'static str] {
        match self {
            Self::V1alpha1 => &["environment", "pipeline", "bundle"],
            Self::V1beta1 => &["environment", "resolverRef"],
            Self::V1beta2 => &["resolverRef"],
        }
    }
}

/// From an `apiVersion`, with the group.
impl FromStr for Version {
    type Err = NotConvertible;

    fn from_str(api_version: &str) -> Result<Self, NotConvertible> {
        let version = api_version.strip_prefix(GROUP).and_then(|rest| rest.strip_prefix('/'));
        Self::iter()
            .find(|known| version == Some(known.as_str()))
            .ok_or_else(|| NotConvertible::Version(api_version.to_owned()))
    }
}

/// An object that is no `IntegrationTestScenario`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotConvertible {
    #[error("apiVersion is {0:?}, not one of {GROUP}/v1alpha1, {GROUP}/v1beta1 and {GROUP}/v1beta2")]
    Version(String),
    #[error("its {0} is missing, or not an object")]
    Shape(&'static str),
}

/// `object` in another version. Changes `apiVersion`, `spec` and the annotations of this module, and nothing else.
///
/// # Errors
/// When `object` is none of this group, or its spec or metadata is no object. All others can be converted, however
/// incomplete they are.
pub fn convert(mut object: Value, to: Version) -> Result<Value, NotConvertible> {
    let from = version_of(&object)?;
    let root = object.as_object_mut().ok_or(NotConvertible::Shape("content"))?;
    root.insert("apiVersion".to_owned(), format!("{GROUP}/{}", to.as_str()).into());
    // The original's definition lets the spec be absent.
    let has_spec = root.get("spec").is_some_and(|spec| !spec.is_null());
    let spec = if has_spec { take_object(root, "spec") } else { Some(Map::new()) };
    let mut parts = Parts {
        spec: spec.ok_or(NotConvertible::Shape("spec"))?,
        metadata: take_object(root, "metadata").ok_or(NotConvertible::Shape("metadata"))?,
    };
    let undeclared = parts.take_undeclared(from, to);
    match (from.has_environment(), to.has_environment()) {
        (true, false) => parts.put_environment_away(),
        (false, true) => parts.bring_environment_back(),
        (true, true) | (false, false) => {}
    }
    match (from.has_resolver_ref(), to.has_resolver_ref()) {
        (true, false) => parts.put_resolver_ref_away(),
        (false, true) => parts.bring_resolver_ref_back(),
        (true, true) | (false, false) => {}
    }
    parts.put_undeclared(undeclared, to);
    if has_spec || !parts.spec.is_empty() {
        root.insert("spec".to_owned(), parts.spec.into());
    }
    root.insert("metadata".to_owned(), parts.metadata.into());
    Ok(object)
}

fn version_of(object: &Value) -> Result<Version, NotConvertible> {
    object["apiVersion"].as_str().unwrap_or_default().parse()
}

fn take_object(of: &mut Map<String, Value>, key: &str) -> Option<Map<String, Value>> {
    match of.get_mut(key)?.take() {
        Value::Object(fields) => Some(fields),
        _ => None,
    }
}

/// The parts of an object that a conversion touches.
struct Parts {
    spec: Map<String, Value>,
    metadata: Map<String, Value>,
}

impl Parts {
    /// Takes what has the name of a field of another version out of the way: from the spec, and from the annotation in
    /// which it was kept so far.
    fn take_undeclared(&mut self, from: Version, to: Version) -> Map<String, Value> {
        let mut undeclared = match self.annotation(annotations::UNDECLARED) {
            Some(Value::Object(kept)) => {
                self.drop_annotation(annotations::UNDECLARED);
                kept
            }
            _ => Map::new(),
        };
        for field in to.declares().iter().filter(|field| !from.declares().contains(field)) {
            undeclared.extend(self.spec.remove_entry(*field));
        }
        undeclared
    }

    /// Puts it into the spec where it means nothing there either, else into the annotation.
    fn put_undeclared(&mut self, undeclared: Map<String, Value>, to: Version) {
        let (kept, free): (Map<_, _>, Map<_, _>) =
            undeclared.into_iter().partition(|(field, _)| to.declares().contains(&field.as_str()));
        self.spec.extend(free);
        if !kept.is_empty() {
            self.annotate(annotations::UNDECLARED, &kept.into());
        }
    }

    /// In the versions with the field, an annotation that could be read means nothing, for the field says it.
    fn put_environment_away(&mut self) {
        let environment = self.spec.remove("environment").filter(|value| !value.is_null());
        if self.annotation(annotations::ENVIRONMENT).is_some() {
            self.drop_annotation(annotations::ENVIRONMENT);
        }
        if let Some(environment) = environment {
            self.annotate(annotations::ENVIRONMENT, &environment);
        }
    }

    fn bring_environment_back(&mut self) {
        if let Some(environment) = self.annotation(annotations::ENVIRONMENT) {
            self.drop_annotation(annotations::ENVIRONMENT);
            self.spec.insert("environment".to_owned(), environment);
        }
    }

    fn put_resolver_ref_away(&mut self) {
        if self.annotation(annotations::RESOLVER_REF).is_some() {
            self.drop_annotation(annotations::RESOLVER_REF);
        }
        let resolver_ref = self.spec.remove("resolverRef").filter(|value| !value.is_null());
        let Some(resolver_ref) = resolver_ref else { return };
        let bundle = Bundle::of(&resolver_ref).or_empty();
        if bundle.resolver_ref() != resolver_ref {
            self.annotate(annotations::RESOLVER_REF, &resolver_ref);
        }
        for (field, value) in [("pipeline", bundle.pipeline), ("bundle", bundle.image)] {
            self.spec.extend(value.map(|value| (field.to_owned(), value)));
        }
    }

    fn bring_resolver_ref_back(&mut self) {
        let bundle = Bundle { pipeline: self.spec.remove("pipeline"), image: self.spec.remove("bundle") };
        let kept = self.annotation(annotations::RESOLVER_REF);
        if kept.is_some() {
            self.drop_annotation(annotations::RESOLVER_REF);
        }
        let resolver_ref = match kept {
            Some(kept) if Bundle::of(&kept).or_empty() == bundle.clone().or_empty() => kept,
            // The fields were edited: they say what is wanted now.
            _ if bundle.pipeline.is_some() || bundle.image.is_some() => bundle.resolver_ref(),
            _ => return,
        };
        self.spec.insert("resolverRef".to_owned(), resolver_ref);
    }

    /// What the annotation says, if it is JSON with something in it.
    fn annotation(&self, key: AnnotationKey) -> Option<Value> {
        let text = self.metadata.get("annotations")?.get(key.as_str())?.as_str()?;
        serde_json::from_str(text).ok().filter(|value: &Value| !value.is_null())
    }

    fn annotate(&mut self, key: AnnotationKey, value: &Value) {
        let annotations = self.metadata.entry("annotations").or_insert_with(|| json!({}));
        if !annotations.is_object() {
            *annotations = json!({});
        }
        annotations[key.as_str()] = value.to_string().into();
    }

    fn drop_annotation(&mut self, key: AnnotationKey) {
        if let Some(Value::Object(annotations)) = self.metadata.get_mut("annotations") {
            annotations.remove(key.as_str());
            if annotations.is_empty() {
                self.metadata.remove("annotations");
            }
        }
    }
}

/// What `v1alpha1` can say of a pipeline. Values, not text: what is wrong in an object is carried along, too.
#[derive(Clone, Debug, PartialEq)]
struct Bundle {
    pipeline: Option<Value>,
    image: Option<Value>,
}

impl Bundle {
    fn of(resolver_ref: &Value) -> Self {
        let param = |name: &str| {
            let params = resolver_ref["params"].as_array()?;
            params.iter().find(|param| param["name"] == name)?.get("value").cloned()
        };
        if resolver_ref["resolver"] == ResolverRef::BUNDLES {
            Self { pipeline: param("name"), image: param("bundle") }
        } else {
            Self { pipeline: None, image: None }
        }
    }

    /// With the kind that the API server adds where none is given: what was written in `v1alpha1` is then all that such
    /// an object says, and needs no annotation.
    fn resolver_ref(&self) -> Value {
        let fields = [("bundle", self.image.clone()), ("name", self.pipeline.clone())];
        let mut params: Vec<Value> = fields
            .into_iter()
            .filter_map(|(name, value)| Some(json!({ "name": name, "value": value? })))
            .collect();
        params.push(json!({ "name": "kind", "value": "pipeline" }));
        json!({ "resolver": ResolverRef::BUNDLES, "params": params, "resourceKind": ResourceKind::Pipeline })
    }

    /// As it looks in `v1alpha1`, where both fields are required.
    fn or_empty(self) -> Self {
        let or_empty = |value: Option<Value>| Some(value.unwrap_or_else(|| "".into()));
        Self { pipeline: or_empty(self.pipeline), image: or_empty(self.image) }
    }
}

#[cfg(test)]
mod tests;
