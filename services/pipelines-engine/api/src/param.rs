//! Parameters: what is declared, what is given, and the values that both hold (specification, section 3.1).

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The type of a parameter or a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum ParamType {
    #[default]
    String,
    Array,
    Object,
}

/// A string, a list of strings, or a map of strings. Also the value of a result.
///
/// In JSON a list with only strings is an array and an object with only strings is a map. Anything else is a string: a
/// JSON string is that string, and a number, a truth value, `null` or a list with other things in it is its own text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamValue {
    String(String),
    Array(Vec<String>),
    Object(BTreeMap<String, String>),
}

impl ParamValue {
    pub fn type_(&self) -> ParamType {
        match self {
            Self::String(_) => ParamType::String,
            Self::Array(_) => ParamType::Array,
            Self::Object(_) => ParamType::Object,
        }
    }

    /// The text of a string; `None` for the other types.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            Self::Array(_) | Self::Object(_) => None,
        }
    }

    /// Reads any JSON, as the type says.
    pub fn from_json(value: serde_json::Value) -> Self {
        use serde_json::Value;
        match value {
            Value::String(text) => Self::String(text),
            Value::Array(elements) if elements.iter().all(Value::is_string) => Self::Array(
                elements.into_iter().filter_map(|element| element.as_str().map(str::to_owned)).collect(),
            ),
            Value::Object(fields) if fields.values().all(Value::is_string) => Self::Object(
                fields
                    .into_iter()
                    .filter_map(|(key, field)| Some((key, field.as_str()?.to_owned())))
                    .collect(),
            ),
            other => Self::String(other.to_string()),
        }
    }
}

impl Default for ParamValue {
    fn default() -> Self {
        Self::String(String::new())
    }
}

impl From<&str> for ParamValue {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for ParamValue {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl<const N: usize> From<[&str; N]> for ParamValue {
    fn from(elements: [&str; N]) -> Self {
        Self::Array(elements.map(str::to_owned).into())
    }
}

impl Serialize for ParamValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::String(text) => text.serialize(serializer),
            Self::Array(elements) => elements.serialize(serializer),
            Self::Object(fields) => fields.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ParamValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Value::deserialize(deserializer).map(Self::from_json)
    }
}

impl JsonSchema for ParamValue {
    fn schema_name() -> Cow<'static, str> {
        "ParamValue".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({"x-kubernetes-preserve-unknown-fields": true})
    }
}

/// A parameter that a Task, StepAction or Pipeline declares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParamSpec {
    /// Unique, and what `$(params.<name>)` refers to.
    #[serde(default)]
    pub name: String,
    /// Absent until defaulting has chosen one.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<ParamType>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Keys of an object parameter.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, PropertySpec>,
    /// Used where none is given. Absent means that one has to be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<ParamValue>,
    /// The values that are allowed. Empty means any.
    #[serde(default, rename = "enum", skip_serializing_if = "Vec::is_empty")]
    pub enum_: Vec<String>,
}

impl ParamSpec {
    /// The declared type, or what defaulting makes of the rest (specification, section 5.1).
    pub fn effective_type(&self) -> ParamType {
        self.type_.unwrap_or_else(|| match &self.default {
            _ if !self.properties.is_empty() => ParamType::Object,
            Some(default) => default.type_(),
            None => ParamType::String,
        })
    }
}

/// The type of one key of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PropertySpec {
    /// Only `string` is valid.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<ParamType>,
}

/// A value that is given to a parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Param {
    #[serde(default)]
    pub name: String,
    /// Absent in JSON reads as an empty string.
    #[serde(default)]
    pub value: ParamValue,
}

impl Param {
    pub fn new(name: impl Into<String>, value: impl Into<ParamValue>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case::string(json!("a"), ParamValue::from("a"))]
    #[case::array(json!(["a", "b"]), ParamValue::from(["a", "b"]))]
    #[case::empty_array(json!([]), ParamValue::Array(Vec::new()))]
    #[case::object(json!({"k": "v"}), ParamValue::Object([("k".to_owned(), "v".to_owned())].into()))]
    #[case::number(json!(1.5), ParamValue::from("1.5"))]
    #[case::truth(json!(true), ParamValue::from("true"))]
    #[case::null(json!(null), ParamValue::from("null"))]
    #[case::mixed_list(json!(["a", 1]), ParamValue::from(r#"["a",1]"#))]
    #[case::nested(json!({"k": {"x": "y"}}), ParamValue::from(r#"{"k":{"x":"y"}}"#))]
    fn reads_any_json(#[case] given: Value, #[case] expected: ParamValue) {
        assert_eq!(serde_json::from_value::<ParamValue>(given).unwrap(), expected);
    }

    #[rstest]
    #[case::properties(json!({"name": "a", "properties": {"k": {}}}), ParamType::Object)]
    #[case::default(json!({"name": "a", "default": ["x"]}), ParamType::Array)]
    #[case::neither(json!({"name": "a"}), ParamType::String)]
    #[case::given(json!({"name": "a", "type": "array", "default": "x"}), ParamType::Array)]
    fn finds_the_type(#[case] given: Value, #[case] expected: ParamType) {
        assert_eq!(serde_json::from_value::<ParamSpec>(given).unwrap().effective_type(), expected);
    }
}
