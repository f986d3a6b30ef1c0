//! Names of fields: which ones a kind has, by the schemas that are derived from its types.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use pipelines_engine_api::custom_run::CustomRunSpec;
use pipelines_engine_api::{
    PipelineRunSpec, PipelineSpec, ResolutionRequestSpec, StepActionSpec, TaskRunSpec, TaskSpec,
    VerificationPolicySpec,
};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// What becomes of fields that are not spelt as the API spells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Other cases are made right, unknown names are refused: as Go's strict decoder does for requests.
    Strict,
    /// Both are left as they are, so that nothing reads them.
    Lenient,
}

/// A field that the kind does not have, or has twice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("json: unknown field {field:?} ({path})")]
    Unknown { field: String, path: String },
    #[error("json: duplicate field {field:?} ({path})")]
    Duplicate { field: String, path: String },
}

/// The schema of each kind's spec, and the definitions that they refer to.
struct Schemas {
    specs: BTreeMap<&'static str, Value>,
    definitions: Map<String, Value>,
}

static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let specs = [
        ("Task", generator.subschema_for::<TaskSpec>()),
        ("TaskRun", generator.subschema_for::<TaskRunSpec>()),
        ("Pipeline", generator.subschema_for::<PipelineSpec>()),
        ("PipelineRun", generator.subschema_for::<PipelineRunSpec>()),
        ("StepAction", generator.subschema_for::<StepActionSpec>()),
        ("CustomRun", generator.subschema_for::<CustomRunSpec>()),
        ("ResolutionRequest", generator.subschema_for::<ResolutionRequestSpec>()),
        ("VerificationPolicy", generator.subschema_for::<VerificationPolicySpec>()),
    ];
    let specs = specs.into_iter().map(|(kind, schema)| (kind, schema.to_value())).collect();
    Schemas { specs, definitions: generator.take_definitions(true) }
});

/// Fields of every object.
const OF_OBJECTS: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

/// Makes the names of an object's fields right, down to the leaves of its spec, and takes out what is null, which says
/// what absence says. Kinds that the engine does not know stay as they are.
///
/// Metadata is the API server's to check, and status is written by controllers: both are left alone.
pub(super) fn normalise(object: &mut Value, kind: &str, reading: Reading) -> Result<(), Fault> {
    let Some(fields) = object.as_object_mut() else { return Ok(()) };
    if reading == Reading::Strict {
        rename(fields, &OF_OBJECTS, "", true)?;
    }
    let Some(schema) = SCHEMAS.specs.get(kind) else { return Ok(()) };
    match fields.get_mut("spec") {
        Some(spec) => value(spec, schema, "spec", reading),
        None => Ok(()),
    }
}

fn value(given: &mut Value, schema: &Value, path: &str, reading: Reading) -> Result<(), Fault> {
    let schema = resolved(schema);
    match given {
        Value::Object(fields) => object(fields, schema, path, reading),
        Value::Array(elements) => {
            let Some(schema) = schema.get("items") else { return Ok(()) };
            for (index, element) in elements.iter_mut().enumerate() {
                value(element, schema, &format!("{path}[{index}]"), reading)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn object(
    fields: &mut Map<String, Value>,
    schema: &Value,
    path: &str,
    reading: Reading,
) -> Result<(), Fault> {
    let Some(declared) = schema.get("properties").and_then(Value::as_object) else {
        // A map, or anything at all.
        let Some(schema) = schema.get("additionalProperties").filter(|schema| schema.is_object()) else {
            return Ok(());
        };
        for (key, field) in fields {
            value(field, schema, &format!("{path}.{key}"), reading)?;
        }
        return Ok(());
    };
    if reading == Reading::Strict {
        let names: Vec<&str> = declared.keys().map(String::as_str).collect();
        rename(fields, &names, path, !is_free(schema))?;
    }
    fields.retain(|name, field| {
        !field.is_null() || declared.get(name).is_none_or(|schema| is_free(resolved(schema)))
    });
    for (name, field) in fields {
        if let Some(schema) = declared.get(name) {
            value(field, schema, &format!("{path}.{name}"), reading)?;
        }
    }
    Ok(())
}

/// Gives fields the declared spelling. Others are refused if the object is `closed`.
fn rename(fields: &mut Map<String, Value>, declared: &[&str], path: &str, closed: bool) -> Result<(), Fault> {
    let odd: Vec<String> = fields.keys().filter(|name| !declared.contains(&name.as_str())).cloned().collect();
    for name in odd {
        let place = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let Some(right) = declared.iter().find(|right| right.eq_ignore_ascii_case(&name)) else {
            if closed {
                return Err(Fault::Unknown { path: place(&name), field: name });
            }
            continue;
        };
        if fields.contains_key(*right) {
            return Err(Fault::Duplicate { path: place(&name), field: (*right).to_owned() });
        }
        if let Some(field) = fields.remove(&name) {
            fields.insert((*right).to_owned(), field);
        }
    }
    Ok(())
}

/// Whether a schema says nothing of what is in there.
fn is_free(schema: &Value) -> bool {
    let keeps = |schema: &Value| schema["x-kubernetes-preserve-unknown-fields"] == true;
    schema == &Value::Bool(true)
        || keeps(schema)
        || schema.as_object().is_some_and(|keys| {
            ["type", "properties", "items", "additionalProperties", "$ref", "anyOf", "allOf", "enum"]
                .iter()
                .all(|key| !keys.contains_key(*key))
        })
}

/// What a reference refers to, and what an option is an option of.
fn resolved(mut schema: &Value) -> &Value {
    loop {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let name = reference.rsplit('/').next().unwrap_or_default();
            match SCHEMAS.definitions.get(name) {
                Some(definition) => schema = definition,
                None => return schema,
            }
            continue;
        }
        let variants = ["anyOf", "allOf"].iter().find_map(|key| schema.get(*key)?.as_array());
        let mut variants = variants.into_iter().flatten().filter(|variant| variant["type"] != "null");
        match (variants.next(), variants.next()) {
            (Some(only), None) => schema = only,
            _ => return schema,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever schemars makes of a reference, it can be followed.
    #[test]
    fn every_reference_leads_somewhere() {
        fn references(schema: &Value, found: &mut Vec<String>) {
            match schema {
                Value::Object(keys) => {
                    found.extend(keys.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    keys.values().for_each(|schema| references(schema, found));
                }
                Value::Array(schemas) => schemas.iter().for_each(|schema| references(schema, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        SCHEMAS.specs.values().chain(SCHEMAS.definitions.values()).for_each(|s| references(s, &mut found));
        assert!(found.len() > 100, "{} references", found.len());
        for reference in found {
            let name = reference.strip_prefix("#/$defs/").unwrap();
            assert!(SCHEMAS.definitions.contains_key(name), "{reference}");
        }
    }
}
