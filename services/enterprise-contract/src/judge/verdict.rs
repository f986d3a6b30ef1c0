//! What the rules of one source said about one input, made into findings (specification, section 4.6).
//!
//! ```text
//! PackageOutcome ─▶ described by its rule ─▶ selected? ─▶ violation, or warning until effective ─┐
//! rules of which nothing was said ─────────▶ selected? ─▶ success ───────────────────────────────┴▶ dependencies
//! ```

use std::collections::{BTreeMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::dependencies::trim;
use crate::rego::{PackageOutcome, RawResult, Rule};
use crate::report::Finding;
use crate::select::{Criteria, Subject};

/// A rule that has been effective for longer is not said to be effective from some day on.
const OLD: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Message of a rule, or check, that found nothing.
pub(crate) const PASS: &str = "Pass";

/// What was found, by one source or by all.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) violations: Vec<Finding>,
    pub(crate) warnings: Vec<Finding>,
    pub(crate) successes: Vec<Finding>,
}

impl Verdict {
    pub(crate) fn extend(&mut self, other: Self) {
        self.violations.extend(other.violations);
        self.warnings.extend(other.warnings);
        self.successes.extend(other.successes);
    }

    /// Sorted by code, term and message. Without `info` of what is known of a rule only its code is left, and from when it
    /// is effective.
    pub(crate) fn finished(mut self, info: bool) -> Self {
        for findings in [&mut self.violations, &mut self.warnings, &mut self.successes] {
            findings.sort_by_cached_key(|finding| {
                let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
                (text(finding.code()), text(finding.term()), finding.msg.clone())
            });
            if !info {
                for finding in findings {
                    finding.metadata.retain(|key, _| key == "code" || key == "effective_on");
                }
            }
        }
        self
    }
}

/// No rule of the source says anything about the input, so that it was not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no rule is selected, so nothing was checked; do `include` and `exclude` name rules that are in the source?"
)]
pub(crate) struct NothingChecked;

/// What the rules of a source say at `time`.
pub(crate) fn judge(
    rules: &[Rule],
    outcomes: Vec<PackageOutcome>,
    criteria: &Criteria,
    time: Timestamp,
) -> Result<Verdict, NothingChecked> {
    let by_code: BTreeMap<&str, &Rule> = rules.iter().map(|rule| (rule.code.as_str(), rule)).collect();
    let mut verdict = Verdict::default();
    let mut reported = HashSet::new();
    let mut deselected = Vec::new();
    for outcome in outcomes {
        let failures = outcome.failures.into_iter().map(|result| (result, true));
        let warnings = outcome.warnings.into_iter().map(|result| (result, false));
        for (result, is_failure) in failures.chain(warnings) {
            let mut finding = described(result, &by_code, time);
            let is_selected = criteria.selects(&subject(&finding));
            if is_selected {
                reported.extend(finding.code().map(str::to_owned));
                let is_failure = match finding.metadata.get("severity").and_then(Value::as_str) {
                    Some("warning") => false,
                    Some("failure") => true,
                    _ => is_failure,
                };
                if is_failure && is_effective(&finding, time) {
                    advise(&mut finding);
                    verdict.violations.push(finding);
                } else {
                    verdict.warnings.push(finding);
                }
            } else {
                deselected.push(finding);
            }
        }
    }
    verdict.successes = rules
        .iter()
        .filter(|rule| !rule.code.is_empty() && !reported.contains(&rule.code))
        .map(|rule| success(rule, time))
        .filter(|finding| criteria.selects(&subject(finding)))
        .collect();
    if verdict.violations.is_empty() && verdict.warnings.is_empty() && verdict.successes.is_empty() {
        return Err(NothingChecked);
    }

    let found = verdict.violations.iter().chain(&verdict.warnings).chain(&deselected);
    let known: Vec<Finding> = rules.iter().map(|rule| success(rule, time)).collect();
    let missing = criteria.without_rule(found.chain(&known).map(subject));
    let remarks = missing
        .into_iter()
        .map(|item| format!("{item:?} is included, but means no rule of the source"))
        .chain(criteria.warnings.iter().cloned());
    let remarks: Vec<Finding> = remarks.map(remark).collect();
    trim(&mut verdict);
    verdict.warnings.extend(remarks);
    Ok(verdict)
}

/// A finding that belongs to no rule.
pub(crate) fn remark(msg: String) -> Finding {
    Finding { msg, ..Finding::default() }
}

fn subject(finding: &Finding) -> Subject<'_> {
    Subject {
        code: finding.code().unwrap_or_default(),
        terms: texts(finding.metadata.get("term")),
        collections: texts(finding.metadata.get("collections")),
    }
}

/// Of a text, or of a list of them.
pub(super) fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// A result, with what is known of its rule.
fn described(result: RawResult, rules: &BTreeMap<&str, &Rule>, time: Timestamp) -> Finding {
    let mut finding = Finding { msg: result.msg, metadata: result.metadata, ..Finding::default() };
    if let Some(rule) = finding.code().and_then(|code| rules.get(code)) {
        describe(&mut finding.metadata, rule);
        if !rule.solution.is_empty() {
            finding.metadata.insert("solution".to_owned(), json!(rule.solution));
        }
        if let Some(severity) = &rule.severity {
            finding.metadata.insert("severity".to_owned(), json!(severity));
        }
    }
    forget_old(&mut finding.metadata, time);
    finding
}

/// That a rule found nothing: nobody asks how to solve that.
fn success(rule: &Rule, time: Timestamp) -> Finding {
    let mut metadata = Map::from_iter([("code".to_owned(), json!(rule.code))]);
    describe(&mut metadata, rule);
    forget_old(&mut metadata, time);
    Finding { msg: PASS.to_owned(), metadata, ..Finding::default() }
}

fn describe(metadata: &mut Map<String, Value>, rule: &Rule) {
    let texts = [
        ("title", rule.title.as_str()),
        ("description", &rule.description),
        ("effective_on", rule.effective_on.as_deref().unwrap_or_default()),
    ];
    for (key, text) in texts {
        if !text.is_empty() {
            metadata.insert(key.to_owned(), json!(text));
        }
    }
    for (key, list) in [("collections", &rule.collections), ("depends_on", &rule.depends_on)] {
        if !list.is_empty() {
            metadata.insert(key.to_owned(), json!(list));
        }
    }
}

/// When a finding becomes a violation. A time that cannot be read makes nothing ineffective.
fn effective_on(metadata: &Map<String, Value>) -> Option<Timestamp> {
    metadata.get("effective_on")?.as_str()?.parse().ok()
}

fn is_effective(finding: &Finding, time: Timestamp) -> bool {
    effective_on(&finding.metadata).is_none_or(|from| from < time)
}

fn forget_old(metadata: &mut Map<String, Value>, time: Timestamp) {
    let is_old = |from: Timestamp| from.duration_until(time) > OLD;
    if effective_on(metadata).is_some_and(is_old) {
        metadata.remove("effective_on");
    }
}

/// Says how to live with a violation.
fn advise(finding: &mut Finding) {
    let Some(code) = finding.code() else { return };
    let item = finding.term().map_or_else(|| code.to_owned(), |term| format!("{code}:{term}"));
    let advice =
        format!("To pass over it, list {item:?} under `exclude` in the configuration of the policy.");
    let description = finding.metadata.get("description").and_then(Value::as_str).unwrap_or_default();
    let description =
        if description.is_empty() { advice } else { format!("{} {advice}", ended(description)) };
    finding.metadata.insert("description".to_owned(), json!(description));
}

fn ended(text: &str) -> String {
    let text = text.trim_end();
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

#[cfg(test)]
mod tests;
