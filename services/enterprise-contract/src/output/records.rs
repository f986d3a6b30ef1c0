//! `data`, `attestation`, `policy-input`: what the rules saw, for other programs.

use serde_json::Value;

use crate::report::Report;

/// YAML, a document for each source.
pub(super) fn data(data: &[Value]) -> Result<String, String> {
    let documents: Result<Vec<_>, _> = data.iter().map(crate::yaml::print).collect();
    Ok(documents?.join("---\n"))
}

/// Statements, one on each line.
pub(super) fn attestations(report: &Report) -> Result<String, String> {
    inputs(
        report
            .components
            .iter()
            .flat_map(|component| &component.attestations)
            .map(|attestation| &attestation.statement),
    )
}

/// One on each line. Those that were never made are left out.
pub(super) fn inputs<'a>(inputs: impl Iterator<Item = &'a Value>) -> Result<String, String> {
    let lines = inputs.filter(|input| !input.is_null()).map(super::json);
    lines.collect()
}
