//! SLSA provenance v0.2.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v0.2";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Provenance {
    pub builder: Builder,
    /// URI of what `build_config` and the invocation's parameters mean.
    pub build_type: String,
    pub invocation: Invocation,
    /// Steps of the build, in the form of its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_config: Option<Value>,
    pub metadata: Metadata,
    /// What went into it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub materials: Vec<Material>,
}

/// Who built it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Builder {
    /// URI.
    pub id: String,
}

/// What started the build.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invocation {
    #[serde(default)]
    pub config_source: ConfigSource,
    #[serde(default)]
    pub parameters: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub environment: Map<String, Value>,
}

/// Where the build's definition came from. `{}` if that is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigSource {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uri: String,
    /// Hexadecimal digits by algorithm.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub digest: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub entry_point: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_started_on: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_finished_on: Option<Timestamp>,
    pub completeness: Completeness,
    pub reproducible: bool,
}

/// Of which of these nothing is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completeness {
    pub parameters: bool,
    pub environment: bool,
    pub materials: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Material {
    pub uri: String,
    /// Hexadecimal digits by algorithm.
    pub digest: BTreeMap<String, String>,
}
