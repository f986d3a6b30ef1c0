//! Reading objects: from requests as strictly as upstream's webhook, and from what a resolver brings as leniently as
//! upstream's controller (specification of the API, section 5, "Decoding").
//!
//! ```text
//! request  ─▶ strict   ─▶ names made right (`emptydir` ─▶ `emptyDir`), unknown ones refused
//! resolver ─▶ lenient  ─▶ one YAML document within bounds, v1beta1 converted, unknown fields ignored
//! ```

mod fields;

use kube::Resource;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::fields::Fault;
use self::fields::Reading;
use crate::conversion;

/// Longest text that is read as a Task or Pipeline, in bytes: etcd stores no longer object, and neither do we.
const LONGEST: usize = 1_572_864;

/// Why something is no object of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Field(#[from] Fault),
    /// With the path of the value at fault.
    #[error("{0}")]
    Type(String),
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

/// Makes the field names of a requested object right; of an unknown one tells its path.
pub fn normalise(object: &mut Value, kind: &str) -> Result<(), Fault> {
    fields::normalise(object, kind, Reading::Strict)
}

/// The object as its type; the error names the field that does not fit.
pub fn typed<K: DeserializeOwned>(object: Value) -> Result<K, Error> {
    serde_path_to_error::deserialize(object).map_err(|error| Error::Type(error.to_string()))
}

/// Reads a Task, Pipeline or StepAction that a resolver has brought: one YAML (or JSON) document, in any version.
/// Names of fields have to be spelt right; others are ignored, as upstream ignores them.
pub fn lenient<K>(text: &str) -> Result<K, Error>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let mut object = document(text)?;
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
    // Aliases may repeat what is there, not multiply it: a bomb of a few lines would fill the memory.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_events: 200_000, max_aliases: 1_000, max_anchors: 1_000 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 50_000, max_replay_stack_depth: 8 },
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        // The rest is an excerpt of the text, which may be long.
        let text = error.to_string();
        Error::Yaml(text.lines().next().unwrap_or_default().to_owned())
    })
}

#[cfg(test)]
mod tests;
