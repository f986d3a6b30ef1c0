//! Which Snapshots of a namespace may go. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::args::Limits;
use super::entry::Entry;
use crate::pull_request::PullRequest;

/// What keeps Snapshots from being deleted.
#[derive(Clone, Debug, Default)]
pub(super) struct Needed {
    /// Names of those that Releases and bindings are for.
    pub(super) bound: BTreeSet<String>,
    /// Hashes of what the Applications' candidate lists hold. The newest Snapshot of each stays.
    pub(super) candidates: BTreeSet<String>,
}

/// Those that are too many, newest first.
///
/// Of pushes and of pull requests each, what is needed stays and counts; the newest of the rest fill up what is left. Of pull requests,
/// those that were merged or have a newer Snapshot come last.
pub(super) fn choose(mut entries: Vec<Entry>, needed: &Needed, limits: Limits) -> Vec<Entry> {
    entries.sort_unstable_by(|one, other| other.age_order().cmp(&one.age_order()));
    let outdated = outdated(&entries);
    let newest = newest(&entries, needed, limits);
    let is_needed = |entry: &Entry| {
        entry.is_untouchable || needed.bound.contains(&entry.name) || newest.contains(&entry.name)
    };
    let mut surplus = Vec::new();
    for (is_push, limit) in [(true, limits.pushes), (false, limits.pull_requests)] {
        let of_this = entries.iter().filter(|entry| entry.is_push == is_push);
        let (stay, mut rest): (Vec<&Entry>, Vec<&Entry>) = of_this.partition(|entry| is_needed(entry));
        // Stable: the newest stay in front.
        rest.sort_by_key(|entry| outdated.contains(&entry.name));
        surplus.extend(rest.into_iter().skip(limit.saturating_sub(stay.len())).cloned());
    }
    surplus.sort_unstable_by(|one, other| other.age_order().cmp(&one.age_order()));
    surplus
}

/// Names of the newest Snapshots of pushes of each Component, and of the newest with what a candidate list holds.
fn newest(newest_first: &[Entry], needed: &Needed, limits: Limits) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut of_component: BTreeMap<&str, usize> = BTreeMap::new();
    let mut missing: BTreeSet<&str> = needed.candidates.iter().map(String::as_str).collect();
    for entry in newest_first {
        if let Some(component) = entry.component.as_deref().filter(|_| entry.is_push) {
            let count = of_component.entry(component).or_default();
            if *count < limits.pushes_per_component {
                *count += 1;
                names.insert(entry.name.clone());
            }
        }
        if entry.content.as_deref().is_some_and(|content| missing.remove(content)) {
            names.insert(entry.name.clone());
        }
    }
    names
}

/// Names of Snapshots of pull requests that nobody will look at again.
fn outdated(newest_first: &[Entry]) -> BTreeSet<String> {
    let merged: BTreeSet<&PullRequest> = newest_first
        .iter()
        .filter(|entry| entry.is_push)
        .filter_map(|entry| entry.pull_request.as_ref())
        .collect();
    let mut current = BTreeSet::new();
    let mut names = BTreeSet::new();
    for entry in newest_first.iter().filter(|entry| !entry.is_push) {
        let Some(pull_request) = &entry.pull_request else { continue };
        let is_newest = current.insert((pull_request, &entry.component));
        if !is_newest || merged.contains(pull_request) {
            names.insert(entry.name.clone());
        }
    }
    names
}

#[cfg(test)]
mod tests;
