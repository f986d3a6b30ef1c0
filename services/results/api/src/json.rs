//! Where the JSON of protobuf differs from what serde derives: bytes, whole numbers of 64 bits, enums, structs, null.
//!
//! Output has every field, unset messages as null; input takes both spellings of a name, null for "unset", and
//! ignores fields that it does not know (`build.rs` says so per field).

use std::collections::BTreeMap;

use prost_types::{ListValue, Struct, Value, value::Kind};
use serde::{Deserialize, Deserializer};

/// Null means that a field is not set.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Bytes: written with the standard alphabet and padding, read with either alphabet, padded or not.
pub(crate) mod base64 {
    use std::borrow::Cow;

    use ::base64::{
        Engine as _, alphabet,
        display::Base64Display,
        engine::{
            DecodePaddingMode,
            general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD},
        },
    };
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const EITHER_PADDING: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

    pub(crate) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(bytes, &STANDARD))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let Some(text) = Option::<Cow<'de, str>>::deserialize(deserializer)? else { return Ok(Bytes::new()) };
        let engine = if text.contains(['-', '_']) { URL_SAFE } else { EITHER_PADDING };
        engine
            .decode(text.as_bytes())
            .map(Bytes::from)
            .map_err(|error| D::Error::custom(format_args!("bytes are written in base64: {error}")))
    }
}

/// Whole numbers of 64 bits: text, since numbers of JavaScript hold 53. Read as number too.
pub(crate) mod int64 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i64),
        Text(String),
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    pub(crate) fn serialize<S: Serializer>(number: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        match Option::<Either>::deserialize(deserializer)? {
            None => Ok(0),
            Some(Either::Number(number)) => Ok(number),
            Some(Either::Text(text)) => text
                .parse()
                .map_err(|_| D::Error::custom(format_args!("`{text}` is no whole number of 64 bits"))),
        }
    }
}

/// [`Status`](crate::v1alpha2::record_summary::Status): by name; by number on the way in too, and on the way out if
/// no name is known for it. An unknown name counts as unset.
pub(crate) mod status {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::v1alpha2::record_summary::Status;

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i32),
        Name(String),
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    pub(crate) fn serialize<S: Serializer>(status: &i32, serializer: S) -> Result<S::Ok, S::Error> {
        match Status::try_from(*status) {
            Ok(status) => serializer.serialize_str(status.as_str_name()),
            Err(_) => serializer.serialize_i32(*status),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
        Ok(match Option::<Either>::deserialize(deserializer)? {
            None => 0,
            Some(Either::Number(number)) => number,
            Some(Either::Name(name)) => Status::from_str_name(&name).map_or(0, i32::from),
        })
    }
}

/// Lists of `google.protobuf.Struct`: plain JSON objects.
pub(crate) mod structs {
    use prost_types::Struct;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{structure, values};

    type Object = serde_json::Map<String, serde_json::Value>;

    pub(crate) fn serialize<S: Serializer>(structs: &[Struct], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(structs.iter().map(values))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Struct>, D::Error> {
        let objects = Option::<Vec<Object>>::deserialize(deserializer)?.unwrap_or_default();
        Ok(objects.iter().map(structure).collect())
    }
}

/// A JSON object as `google.protobuf.Struct`, whose numbers are floats.
pub fn structure(object: &serde_json::Map<String, serde_json::Value>) -> Struct {
    let fields: BTreeMap<String, Value> =
        object.iter().map(|(key, value)| (key.clone(), wrapped(value))).collect();
    Struct { fields }
}

fn wrapped(value: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(*value),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(list) => Kind::ListValue(ListValue { values: list.iter().map(wrapped).collect() }),
        Json::Object(object) => Kind::StructValue(structure(object)),
    };
    Value { kind: Some(kind) }
}

/// A `google.protobuf.Struct` as JSON object. Whole numbers are written without a fraction: readers decode counts into
/// integers.
pub fn values(structure: &Struct) -> serde_json::Map<String, serde_json::Value> {
    structure.fields.iter().map(|(key, value)| (key.clone(), unwrapped(value))).collect()
}

fn unwrapped(value: &Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(value)) => Json::Bool(*value),
        Some(Kind::NumberValue(number)) => number_of(*number),
        Some(Kind::StringValue(text)) => Json::String(text.clone()),
        Some(Kind::ListValue(list)) => Json::Array(list.values.iter().map(unwrapped).collect()),
        Some(Kind::StructValue(structure)) => Json::Object(values(structure)),
    }
}

/// Not a number and infinity become null: JSON has no number for them.
fn number_of(number: f64) -> serde_json::Value {
    /// Whole numbers up to here are exact in a float.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and in the range of i64")]
        return serde_json::Value::from(number as i64);
    }
    serde_json::Value::from(number)
}

#[cfg(test)]
mod tests;
