//! JSON Schema, with the answers of OPA's `json.match_schema`: a document may be a text, and errors are objects.
//!
//! A document that is no JSON is not undefined but does not match, and a schema that is none is an error of the policy: rules
//! read the errors out of the answer, so that nothing at all would let the document pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use parking_lot::Mutex;
use regorus::Value;
use serde_json::json;

/// The most errors that one document yields.
const MOST_ERRORS: usize = 100;

/// The schemas of a policy, each compiled once.
#[derive(Debug, Default)]
pub(crate) struct Validators(Mutex<BTreeMap<Value, Arc<Validator>>>);

impl Validators {
    fn get(&self, schema: &Value) -> Result<Arc<Validator>, String> {
        if let Some(found) = self.0.lock().get(schema) {
            return Ok(Arc::clone(found));
        }
        let document = document(schema)?;
        if !document.is_object() {
            return Err("a schema is an object".to_owned());
        }
        let made = Arc::new(jsonschema::validator_for(&document).map_err(|error| error.to_string())?);
        self.0.lock().insert(schema.clone(), Arc::clone(&made));
        Ok(made)
    }
}

/// `[true, []]`, or `[false, [{error, type, field, desc}, …]]`.
pub(super) fn match_schema(validators: &Validators, arguments: &[Value]) -> anyhow::Result<Value> {
    let validator = validators
        .get(&arguments[1])
        .map_err(|error| anyhow::anyhow!("json.match_schema: the schema: {error}"))?;
    let errors: Vec<serde_json::Value> = match document(&arguments[0]) {
        Ok(document) => {
            validator.iter_errors(&document).take(MOST_ERRORS).map(|error| described(&error)).collect()
        }
        Err(error) => vec![answer("(Root)", "invalid_json", &format!("Invalid JSON: {error}"))],
    };
    Ok(Value::from(json!([errors.is_empty(), errors])))
}

/// `[true, null]`, or `[false, text]`.
#[expect(clippy::unnecessary_wraps, reason = "a function of the table")]
pub(super) fn verify_schema(validators: &Validators, arguments: &[Value]) -> anyhow::Result<Value> {
    Ok(Value::from(match validators.get(&arguments[0]) {
        Ok(_) => json!([true, null]),
        Err(error) => json!([false, error]),
    }))
}

/// A value as JSON, or the JSON in a text.
fn document(value: &Value) -> Result<serde_json::Value, String> {
    let document = match value {
        Value::String(text) => serde_json::from_str(text),
        value => serde_json::to_value(value),
    };
    document.map_err(|error| error.to_string())
}

fn answer(field: &str, kind: &str, description: &str) -> serde_json::Value {
    json!({"error": format!("{field}: {description}"), "type": kind, "field": field, "desc": description})
}

/// Says it in the words that users of OPA know, as far as the kind is a common one.
fn described(error: &ValidationError<'_>) -> serde_json::Value {
    let path = error.instance_path().to_string();
    let path = path.trim_start_matches('/').replace('/', ".");
    let field = if path.is_empty() { "(Root)" } else { path.as_str() };
    let (kind, description) = match error.kind() {
        ValidationErrorKind::Type { kind } => {
            ("invalid_type", format!("Invalid type. Expected: {}, given: {}", expected(kind), given(error)))
        }
        ValidationErrorKind::Required { property } => {
            ("required", format!("{} is required", property.as_str().unwrap_or_default()))
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => (
            "additional_property_not_allowed",
            format!("Additional property {} is not allowed", unexpected.join(", ")),
        ),
        ValidationErrorKind::Enum { options } => ("enum", format!("must be one of the following: {options}")),
        ValidationErrorKind::Constant { expected_value } => {
            ("const", format!("does not match: {expected_value}"))
        }
        ValidationErrorKind::Pattern { pattern } => {
            ("pattern", format!("Does not match pattern '{pattern}'"))
        }
        ValidationErrorKind::UniqueItems => ("unique", "array items must be unique".to_owned()),
        ValidationErrorKind::MinItems { limit } => {
            ("array_min_items", format!("Array must have at least {limit} items"))
        }
        ValidationErrorKind::MaxItems { limit } => {
            ("array_max_items", format!("Array must have at most {limit} items"))
        }
        ValidationErrorKind::MinLength { limit } => {
            ("string_gte", format!("String length must be greater than or equal to {limit}"))
        }
        ValidationErrorKind::MaxLength { limit } => {
            ("string_lte", format!("String length must be less than or equal to {limit}"))
        }
        ValidationErrorKind::Format { format } => ("format", format!("Does not match format '{format}'")),
        _ => ("schema", error.to_string()),
    };
    answer(field, kind, &description)
}

fn expected(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => one.to_string(),
        TypeKind::Multiple(several) => {
            several.iter().map(|one| one.to_string()).collect::<Vec<_>>().join("/")
        }
    }
}

fn given(error: &ValidationError<'_>) -> &'static str {
    match error.instance().as_ref() {
        serde_json::Value::Null => "null",
        serde_json::Value::Bool(_) => "boolean",
        serde_json::Value::Number(number) if number.is_f64() => "number",
        serde_json::Value::Number(_) => "integer",
        serde_json::Value::String(_) => "string",
        serde_json::Value::Array(_) => "array",
        serde_json::Value::Object(_) => "object",
    }
}
