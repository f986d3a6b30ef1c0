//! Leaves out what follows from something else that was found: whoever has no provenance need not read of each rule that
//! looks into it.

use std::collections::HashSet;

use super::verdict::{Verdict, texts};
use crate::report::Finding;

/// Leaves out findings that depend on one that was reported (`depends_on`). Findings that depend on nothing but each other
/// stay: else nothing would be left to say that something is wrong.
pub(super) fn trim(verdict: &mut Verdict) {
    let reported = || verdict.violations.iter().chain(&verdict.warnings);
    let codes: HashSet<&str> = reported().filter_map(Finding::code).collect();
    let mut causes: HashSet<&str> = reported()
        .filter(|finding| !dependencies(finding).iter().any(|code| codes.contains(code)))
        .filter_map(Finding::code)
        .collect();
    // What depends on a cause is a cause of what depends on it.
    loop {
        let further: Vec<&str> = reported()
            .filter(|finding| dependencies(finding).iter().any(|code| causes.contains(code)))
            .filter_map(Finding::code)
            .filter(|code| !causes.contains(code))
            .collect();
        if further.is_empty() {
            break;
        }
        causes.extend(further);
    }
    let causes: HashSet<String> = causes.into_iter().map(str::to_owned).collect();
    let codes: HashSet<String> = codes.into_iter().map(str::to_owned).collect();
    let stays = |finding: &Finding| !dependencies(finding).iter().any(|code| causes.contains(*code));
    verdict.violations.retain(stays);
    verdict.warnings.retain(stays);
    verdict.successes.retain(|finding| !dependencies(finding).iter().any(|code| codes.contains(*code)));
}

fn dependencies(finding: &Finding) -> Vec<&str> {
    let own = finding.code();
    texts(finding.metadata.get("depends_on")).into_iter().filter(|code| Some(*code) != own).collect()
}

#[cfg(test)]
mod tests;
