//! What has to be given, said so that objects which lack it stay editable.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrBool, ValidationRule,
};

/// The `reason` of a [`ValidationRule`] that says that a field has to be given.
pub const FIELD_VALUE_REQUIRED: &str = "FieldValueRequired";

/// Turns the `required` of a derived schema into rules that do not hold objects which came without the field.
///
/// The API server forgives an update what it does not change ("ratcheting"), but not at a level with fields that the
/// schema does not declare: it compares those as changed. An object of a newer program that lacks what this version
/// requires could then not even lose a finalizer. So each required field that is not inside of a list becomes a rule
/// at the root, which sees the old object (`optionalOldSelf` makes it absent on create):
///
/// ```text
/// required: [url] in spec.source.git   ─▶   has(spec.source.git.url), if there is a spec.source.git,
///                                           unless that of the old object came without it too
/// ```
///
/// - A list is compared as a whole, whatever is in it: requirements of its elements stay.
/// - No rule can name the fields of a map's values: their requirements go.
/// - An absent `spec` is an empty one, in what is stored too: no object lacks it for its readers.
#[must_use]
pub fn editable(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let Some(root) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) else {
            continue;
        };
        if let Some(spec) = root.properties.as_mut().and_then(|properties| properties.get_mut("spec")) {
            spec.default.get_or_insert_with(|| JSON(serde_json::json!({})));
        }
        if let Some(required) = &mut root.required {
            required.retain(|field| field != "spec");
        }
        let mut rules = Vec::new();
        move_requirements(root, &mut Vec::new(), &mut rules);
        if !rules.is_empty() {
            root.x_kubernetes_validations.get_or_insert_default().extend(rules);
        }
    }
    crd
}

fn move_requirements(schema: &mut JSONSchemaProps, path: &mut Vec<String>, rules: &mut Vec<ValidationRule>) {
    let required = schema.required.take().unwrap_or_default();
    let Some(properties) = &mut schema.properties else {
        if let Some(JSONSchemaPropsOrBool::Schema(value)) = &mut schema.additional_properties {
            forget_requirements(value);
        }
        return;
    };
    for field in required {
        if let Some(property) = properties.get_mut(&field) {
            let description = property.description.get_or_insert_default();
            description.push_str(if description.is_empty() { "Must be given." } else { " Must be given." });
        }
        rules.push(given(path, &field));
    }
    for (name, property) in properties {
        path.push(name.clone());
        move_requirements(property, path, rules);
        path.pop();
    }
}

fn forget_requirements(schema: &mut JSONSchemaProps) {
    schema.required = None;
    for property in schema.properties.iter_mut().flatten().map(|(_, property)| property) {
        forget_requirements(property);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = &mut schema.additional_properties {
        forget_requirements(value);
    }
}

/// A rule at the root: the object at `path`, where there is one, has `field`.
fn given(path: &[String], field: &str) -> ValidationRule {
    let present = |of: &str| {
        let mut place = of.to_owned();
        let mut tests = Vec::new();
        for step in path {
            place = format!("{place}.{}", cel_name(step));
            tests.push(format!("has({place})"));
        }
        (tests, format!("has({place}.{})", cel_name(field)))
    };
    let (parents, has_field) = present("self");
    let (mut old_parents, old_has_field) = present("oldSelf.value()");
    old_parents.push(format!("!{old_has_field}"));
    let came_without = format!("oldSelf.hasValue() && {}", old_parents.join(" && "));
    let has_parents =
        if parents.is_empty() { String::new() } else { format!("!({}) || ", parents.join(" && ")) };
    let place: Vec<&str> = path.iter().map(String::as_str).chain([field]).collect();
    ValidationRule {
        rule: format!("{has_parents}{has_field} || ({came_without})"),
        message: Some(format!("{field} must be given")),
        reason: Some(FIELD_VALUE_REQUIRED.to_owned()),
        field_path: Some(format!(".{}", place.join("."))),
        optional_old_self: Some(true),
        ..ValidationRule::default()
    }
}

/// The name of a field as CEL has to spell it in an object of Kubernetes.
fn cel_name(field: &str) -> String {
    const KEYWORDS: [&str; 18] = [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
    ];
    if KEYWORDS.contains(&field) {
        return format!("__{field}__");
    }
    field
        .replace("__", "__underscores__")
        .replace('.', "__dot__")
        .replace('-', "__dash__")
        .replace('/', "__slash__")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn after(root: &Value) -> Value {
        let crd = json!({
            "metadata": {"name": "things.example.com"},
            "spec": {
                "group": "example.com", "scope": "Namespaced", "names": {"kind": "Thing", "plural": "things"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": root}}],
            },
        });
        let crd = editable(serde_json::from_value(crd).unwrap());
        serde_json::to_value(&crd.spec.versions[0].schema).unwrap()["openAPIV3Schema"].clone()
    }

    #[test]
    fn a_required_field_becomes_a_rule_at_the_root() {
        let schema = after(&json!({
            "required": ["spec"],
            "properties": {"spec": {
                "type": "object", "required": ["url"],
                "properties": {"url": {"type": "string", "description": "Where."}},
            }},
        }));
        assert_eq!(
            schema["x-kubernetes-validations"],
            json!([{
                "rule": "!(has(self.spec)) || has(self.spec.url) \
                         || (oldSelf.hasValue() && has(oldSelf.value().spec) && !has(oldSelf.value().spec.url))",
                "message": "url must be given",
                "reason": "FieldValueRequired",
                "fieldPath": ".spec.url",
                "optionalOldSelf": true,
            }])
        );
        let spec = &schema["properties"]["spec"];
        assert_eq!((&spec["required"], &spec["default"]), (&Value::Null, &json!({})));
        assert_eq!(spec["properties"]["url"]["description"], "Where. Must be given.");
        assert_eq!(schema["required"], Value::Null, "an empty spec is there by default");
    }

    #[test]
    fn a_list_keeps_its_requirements_and_a_map_loses_them() {
        let element =
            json!({"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}});
        let schema = after(&json!({"properties": {"status": {"type": "object", "properties": {
            "list": {"type": "array", "items": element},
            "map": {"type": "object", "additionalProperties": element},
        }}}}));
        let status = &schema["properties"]["status"]["properties"];
        assert_eq!(status["list"]["items"]["required"], json!(["name"]));
        assert_eq!(status["map"]["additionalProperties"]["required"], Value::Null);
        assert_eq!(schema["x-kubernetes-validations"], Value::Null);
    }

    #[test]
    fn names_that_cel_cannot_spell_are_escaped() {
        assert_eq!(
            ["build-ref", "namespace", "a__b", "a.b"].map(cel_name),
            ["build__dash__ref", "__namespace__", "a__underscores__b", "a__dot__b"]
        );
    }
}
