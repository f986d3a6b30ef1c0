//! Reading objects: from requests as strictly as upstream's webhook, and from files, wherever they come from, as
//! leniently as upstream's controllers (specification of the engine's API, section 5, "Decoding").
//!
//! ```text
//! request ─▶ strict   ─▶ names made right (`emptydir` ─▶ `emptyDir`), unknown ones refused
//! file    ─▶ lenient  ─▶ one YAML document within bounds, v1beta1 converted, unknown fields ignored
//! ```

mod fields;

use std::fmt;

use kube::Resource;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::fields::Fault;
use self::fields::Reading;
use crate::conversion;
use crate::documents::{LONGEST, options};

/// Why something is no object of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Field(#[from] Fault),
    #[error(transparent)]
    Type(#[from] Mistyped),
    #[error("it has {0} bytes; at most {LONGEST} are read")]
    TooLong(usize),
    #[error("it is no YAML document: {0}")]
    Yaml(String),
    #[error(
        "it holds apiVersion {api_version:?} and kind {kind:?}, but has to be a {expected} of {versions}"
    )]
    Kind { api_version: String, kind: String, expected: String, versions: &'static str },
    #[error("it cannot be converted: {0}")]
    Conversion(#[from] conversion::NotConvertible),
}

/// A value that is not of the type of its field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistyped {
    /// From the object: `spec.steps[0].image`. Empty if the object itself is at fault.
    pub path: String,
    pub reason: String,
}

impl std::error::Error for Mistyped {}

impl fmt::Display for Mistyped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.reason)
    }
}

impl Error {
    /// Path of the field at fault, if one is known.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Field(Fault::Unknown { path, .. } | Fault::Duplicate { path, .. }) => Some(path),
            Self::Type(mistyped) => Some(&mistyped.path).filter(|path| !path.is_empty()).map(String::as_str),
            _ => None,
        }
    }
}

/// Makes the field names of a requested object right; of an unknown one tells its path.
pub fn normalise(object: &mut Value, kind: &str) -> Result<(), Fault> {
    fields::normalise(object, kind, Reading::Strict)
}

/// The object as its type; the error names the field that does not fit.
pub fn typed<K: DeserializeOwned>(object: Value) -> Result<K, Error> {
    serde_path_to_error::deserialize(object).map_err(|error| {
        let path = Some(error.path()).filter(|path| path.iter().len() > 0).map(ToString::to_string);
        Error::Type(Mistyped { path: path.unwrap_or_default(), reason: error.into_inner().to_string() })
    })
}

/// Reads an object of a text with one YAML (or JSON) document, as [`object`] does.
pub fn lenient<K>(text: &str) -> Result<K, Error>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    object(document(text)?)
}

/// Reads an object of any of its kind's versions: a Task, Pipeline, PipelineRun or StepAction. Names of fields have to
/// be spelt right; others are ignored, as upstream ignores them.
pub fn object<K>(mut object: Value) -> Result<K, Error>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let kind = K::kind(&());
    let field = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
    let (api_version, found) = (field("apiVersion"), field("kind"));
    let versions = if kind == "StepAction" {
        "tekton.dev/v1alpha1 or tekton.dev/v1beta1"
    } else {
        "tekton.dev/v1 or tekton.dev/v1beta1"
    };
    if found != kind || !versions.split(" or ").any(|version| version == api_version) {
        return Err(Error::Kind { api_version, kind: found, expected: kind.into_owned(), versions });
    }
    // A file may leave the metadata out.
    if !object["metadata"].is_object() {
        object["metadata"] = Value::Object(serde_json::Map::new());
    }
    let mut object = conversion::convert(object, &K::api_version(&()))?;
    fields::normalise(&mut object, &kind, Reading::Lenient)?;
    typed(object)
}

fn document(text: &str) -> Result<Value, Error> {
    if text.len() > LONGEST {
        return Err(Error::TooLong(text.len()));
    }
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
        // The rest is an excerpt of the text, which may be long.
        let text = error.to_string();
        Error::Yaml(text.lines().next().unwrap_or_default().to_owned())
    })
}

#[cfg(test)]
mod tests;
