//! docs/reference/crds/<kind>.md: what `kubectl explain --recursive` would show, on one page.
use std::fmt::Write as _;

use anyhow::Context as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps, JSONSchemaPropsOrArray,
    JSONSchemaPropsOrBool,
};

use super::markdown::{self, cell, code};

/// Name of the page, which lies in docs/reference/crds.
pub(super) fn file(crd: &CustomResourceDefinition) -> String {
    format!("{}.md", crd.spec.names.kind.to_lowercase())
}

pub(super) fn path(crd: &CustomResourceDefinition) -> String {
    format!("docs/reference/crds/{}", file(crd))
}

pub(super) fn page(service: &str, crd: &CustomResourceDefinition) -> anyhow::Result<String> {
    let names = &crd.spec.names;
    let mut text = format!("{}# {}\n\n", markdown::GENERATED, names.kind);
    let _ = write!(
        text,
        "`{}.{}`, {}, owned by [{}](../services.md).",
        names.plural,
        crd.spec.group,
        crd.spec.scope.to_lowercase(),
        service
    );
    match names.short_names.as_deref().unwrap_or_default() {
        [] => {}
        short => {
            let short: Vec<String> = short.iter().map(|name| code(name)).collect();
            let _ = write!(text, " Short for `kubectl`: {}.", short.join(", "));
        }
    }
    text.push('\n');
    for version in &crd.spec.versions {
        describe(&mut text, version).with_context(|| format!("document {} {}", names.kind, version.name))?;
    }
    Ok(text)
}

fn describe(text: &mut String, version: &CustomResourceDefinitionVersion) -> anyhow::Result<()> {
    let mut states = Vec::new();
    if version.storage {
        states.push("stored");
    }
    if !version.served {
        states.push("not served");
    }
    if version.deprecated == Some(true) {
        states.push("deprecated");
    }
    let states = if states.is_empty() { String::new() } else { format!(" ({})", states.join(", ")) };
    let _ = writeln!(text, "\n## {}{states}\n", version.name);
    let schema = version
        .schema
        .as_ref()
        .and_then(|schema| schema.open_api_v3_schema.as_ref())
        .context("it has no schema: derive one in the api crate")?;
    if let Some(description) = &schema.description {
        let _ = writeln!(text, "{}\n", cell(description));
    }
    for rule in rules(schema) {
        let _ = writeln!(text, "- {rule}");
    }
    if !rules(schema).is_empty() {
        text.push('\n');
    }
    text.push_str("| field | type | meaning |\n|---|---|---|\n");
    // The spec first, the status last: a few kinds have more than these two.
    let mut parts: Vec<_> = schema.properties.iter().flatten().collect();
    parts.sort_by_key(|(name, _)| (*name != "spec", *name == "status"));
    for (name, field) in parts {
        row(text, name, field, requires(schema, name));
    }
    Ok(())
}

fn requires(schema: &JSONSchemaProps, field: &str) -> bool {
    schema.required.iter().flatten().any(|name| name == field)
}

/// The row of a field and those of the fields within.
fn row(text: &mut String, path: &str, schema: &JSONSchemaProps, is_required: bool) {
    let mut meaning = Vec::new();
    if is_required {
        meaning.push("**Required.**".to_owned());
    }
    meaning.extend(schema.description.as_deref().map(cell));
    if let Some(default) = &schema.default {
        meaning.push(format!("Default: {}.", code(&default.0.to_string())));
    }
    if let Some(values) = &schema.enum_ {
        let values: Vec<String> =
            values.iter().map(|value| code(value.0.as_str().unwrap_or(&value.0.to_string()))).collect();
        meaning.push(format!("One of {}.", values.join(", ")));
    }
    meaning.extend(limits(schema));
    meaning.extend(rules(schema));
    let _ = writeln!(text, "| {} | {} | {} |", code(path), type_of(schema), meaning.join(" "));

    for (name, field) in schema.properties.iter().flatten() {
        row(text, &format!("{path}.{name}"), field, requires(schema, name));
    }
    if let Some(element) = element(schema) {
        nested(text, &format!("{path}[]"), element);
    }
    if let Some(value) = value(schema) {
        nested(text, &format!("{path}.*"), value);
    }
}

/// Rows for the elements of a list or map. Simple ones are told by the type of the list or map already.
fn nested(text: &mut String, path: &str, schema: &JSONSchemaProps) {
    let has_fields = schema.properties.as_ref().is_some_and(|fields| !fields.is_empty());
    if has_fields || element(schema).is_some() || value(schema).is_some() || !rules(schema).is_empty() {
        row(text, path, schema, false);
    }
}

fn element(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match schema.items.as_ref()? {
        JSONSchemaPropsOrArray::Schema(schema) => Some(schema),
        JSONSchemaPropsOrArray::Schemas(schemas) => schemas.first(),
    }
}

fn value(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match schema.additional_properties.as_ref()? {
        JSONSchemaPropsOrBool::Schema(schema) => Some(schema),
        JSONSchemaPropsOrBool::Bool(_) => None,
    }
}

fn type_of(schema: &JSONSchemaProps) -> String {
    if schema.x_kubernetes_int_or_string == Some(true) {
        return "integer or string".into();
    }
    let name = schema.type_.as_deref().unwrap_or("any");
    match (name, element(schema), value(schema)) {
        ("array", Some(element), _) => format!("list of {}", type_of(element)),
        ("object", _, Some(value)) => format!("map of {}", type_of(value)),
        ("string", _, _) if schema.format.as_deref() == Some("date-time") => "time".into(),
        _ => name.to_owned(),
    }
}

/// Bounds that the schema sets, in words.
fn limits(schema: &JSONSchemaProps) -> Vec<String> {
    let mut limits = Vec::new();
    let mut bound = |what: &str, value: Option<String>| {
        limits.extend(value.map(|value| format!("{what} {value}.")));
    };
    bound("Pattern", schema.pattern.as_deref().map(code));
    bound("At least", schema.minimum.map(|value| value.to_string()));
    bound("At most", schema.maximum.map(|value| value.to_string()));
    bound("Shortest length", schema.min_length.map(|value| value.to_string()));
    bound("Longest length", schema.max_length.map(|value| value.to_string()));
    bound("Fewest elements", schema.min_items.map(|value| value.to_string()));
    bound("Most elements", schema.max_items.map(|value| value.to_string()));
    limits
}

/// CEL rules: their message, else the rule itself.
fn rules(schema: &JSONSchemaProps) -> Vec<String> {
    schema
        .x_kubernetes_validations
        .iter()
        .flatten()
        // The description of the field says it, in `kubectl explain` too.
        .filter(|rule| rule.reason.as_deref() != Some("FieldValueRequired"))
        .map(|rule| match &rule.message {
            Some(message) => format!("Rule: {}.", cell(message.trim_end_matches('.'))),
            None => format!("Rule: {}.", code(&rule.rule)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(schema: serde_json::Value) -> Result<String, serde_json::Error> {
        let mut text = String::new();
        row(&mut text, "spec", &serde_json::from_value(schema)?, true);
        Ok(text)
    }

    #[test]
    fn fields_of_every_shape() -> anyhow::Result<()> {
        let text = rows(json!({
            "type": "object",
            "description": "What is\nwanted.",
            "required": ["name"],
            "properties": {
                "env": {"type": "array", "items": {"type": "object", "properties": {"key": {"type": "string"}}}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "name": {
                    "type": "string", "pattern": "^a|b$", "maxLength": 63,
                    "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "cannot be changed"}],
                },
                "replicas": {"type": "integer", "default": 1, "minimum": 0.0},
                "when": {"type": "string", "format": "date-time"},
            },
        }))?;
        let expected = [
            "| `spec` | object | **Required.** What is wanted. |",
            "| `spec.env` | list of object |  |",
            "| `spec.env[]` | object |  |",
            "| `spec.env[].key` | string |  |",
            "| `spec.labels` | map of string |  |",
            "| `spec.name` | string | **Required.** Pattern `^a\\|b$`. Longest length 63. Rule: cannot be changed. |",
            "| `spec.replicas` | integer | Default: `1`. At least 0. |",
            "| `spec.when` | time |  |",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        Ok(())
    }
}
