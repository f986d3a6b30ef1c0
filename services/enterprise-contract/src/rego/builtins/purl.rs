//! Package URLs: `pkg:type/namespace/name@version?qualifier=value#subpath`.

use std::str::FromStr;

use packageurl::PackageUrl;
use regorus::Value;
use serde_json::json;

pub(super) fn is_valid(arguments: &[Value]) -> Option<Value> {
    let text = arguments[0].as_string().ok()?;
    Some(Value::from(PackageUrl::from_str(text).is_ok()))
}

/// `{type, namespace, name, version, qualifiers: [{key, value}], subpath}`; what is absent is empty.
pub(super) fn parse(arguments: &[Value]) -> Option<Value> {
    let text = arguments[0].as_string().ok()?;
    let url = PackageUrl::from_str(text).ok()?;
    let mut qualifiers: Vec<_> = url.qualifiers().iter().collect();
    qualifiers.sort();
    let qualifiers: Vec<_> =
        qualifiers.into_iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    Some(Value::from(json!({
        "type": url.ty(),
        "namespace": url.namespace().unwrap_or_default(),
        "name": url.name(),
        "version": url.version().unwrap_or_default(),
        "qualifiers": qualifiers,
        "subpath": url.subpath().unwrap_or_default(),
    })))
}
