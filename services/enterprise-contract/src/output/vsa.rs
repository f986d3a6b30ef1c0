//! `vsa`: the report as an in-toto statement on the images.

use registry::Reference;
use serde_json::{Value, json};

use crate::report::Report;

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://enterprisecontract.dev/verification_summary/v1";

/// An image without a digest cannot be its subject: it is only named in the report.
pub(super) fn statement(report: &Report) -> Result<Value, String> {
    let subject = |image: &str| {
        let reference: Reference = image.parse().ok()?;
        let digest = reference.digest()?.hex().to_owned();
        Some(json!({"name": reference.name(), "digest": {"sha256": digest}}))
    };
    let subjects = report.components.iter().filter_map(|component| subject(&component.container_image));
    Ok(json!({
        "_type": STATEMENT,
        "subject": subjects.collect::<Vec<_>>(),
        "predicateType": PREDICATE,
        "predicate": serde_json::to_value(report).map_err(|error| error.to_string())?,
    }))
}
