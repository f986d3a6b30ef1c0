//! What was found in an image: each vulnerability of each package once, whatever number of databases list it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::matching::{Verdict, judge};
use super::osv::Record;
use super::severity::Level;
use super::subject::{Ecosystem, Subject};

/// Records by ecosystem of the database and name.
pub(super) type Known = BTreeMap<(Ecosystem, String), Vec<Record>>;

/// A record that means a package, and the version that would help.
type Affecting<'a> = (&'a Record, Option<String>);

/// A vulnerability of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) subject: Subject,
    /// Names of it, the one that most people use first.
    pub(super) ids: Vec<String>,
    pub(super) severity: Level,
    pub(super) summary: String,
    /// The version that would help.
    pub(super) fixed: Option<String>,
}

/// `CLAIR_SCAN_RESULT`, later `SCAN_OUTPUT` (build-pipelines spec, 5.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct ScanOutput {
    /// Those that a newer version of the package would end.
    vulnerabilities: Counts,
    unpatched_vulnerabilities: Counts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Counts {
    critical: u64,
    high: u64,
    medium: u64,
    low: u64,
    unknown: u64,
}

impl ScanOutput {
    pub(super) fn add(&mut self, finding: &Finding) {
        let counts = match finding.fixed {
            Some(_) => &mut self.vulnerabilities,
            None => &mut self.unpatched_vulnerabilities,
        };
        let count = match finding.severity {
            Level::Critical => &mut counts.critical,
            Level::High => &mut counts.high,
            Level::Medium => &mut counts.medium,
            Level::Low => &mut counts.low,
            Level::Unknown => &mut counts.unknown,
        };
        *count += 1;
    }
}

/// Looks packages up. The second are those of which it cannot be said whether an advisory means them.
pub(super) fn find(subjects: &BTreeSet<Subject>, known: &Known) -> (Vec<Finding>, Vec<Subject>) {
    let ecosystems: BTreeSet<&Ecosystem> = known.keys().map(|(ecosystem, _)| ecosystem).collect();
    let (mut findings, mut unclear) = (Vec::new(), Vec::new());
    for subject in subjects {
        let covering = ecosystems.iter().filter(|ecosystem| subject.ecosystem.is_covered_by(ecosystem));
        let records = covering.filter_map(|&ecosystem| known.get(&(ecosystem.clone(), subject.name.clone())));
        let (mut affecting, mut is_unclear) = (Vec::new(), false);
        for record in records.flatten() {
            match judge(subject.ecosystem.scheme(), &subject.version, record) {
                Verdict::Affected { fixed } => affecting.push((record, fixed)),
                Verdict::Unclear => is_unclear = true,
                Verdict::Unaffected => {}
            }
        }
        findings.extend(merged(subject, affecting));
        if is_unclear {
            unclear.push(subject.clone());
        }
    }
    findings.sort_by(|one, other| {
        other
            .severity
            .cmp(&one.severity)
            .then_with(|| one.subject.cmp(&other.subject))
            .then_with(|| one.ids.cmp(&other.ids))
    });
    (findings, unclear)
}

/// Records that share a name are one vulnerability.
fn merged(subject: &Subject, affecting: Vec<Affecting<'_>>) -> Vec<Finding> {
    let mut groups: Vec<(BTreeSet<&str>, Vec<Affecting<'_>>)> = Vec::new();
    for (record, fixed) in affecting {
        let names: BTreeSet<&str> = record.aliases.iter().chain([&record.id]).map(String::as_str).collect();
        // A record may be what connects two that had nothing in common.
        let (same, others): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|(known, _)| !known.is_disjoint(&names));
        let mut group = (names, vec![(record, fixed)]);
        for (names, records) in same {
            group.0.extend(names);
            group.1.extend(records);
        }
        groups = others;
        groups.push(group);
    }
    let finding = |(names, records): (BTreeSet<&str>, Vec<Affecting<'_>>)| {
        let mut ids: Vec<String> = names.into_iter().map(str::to_owned).collect();
        ids.sort_by_key(|id| !id.starts_with("CVE-"));
        Finding {
            subject: subject.clone(),
            ids,
            severity: records.iter().map(|(record, _)| record.severity).max().unwrap_or_default(),
            summary: records
                .iter()
                .map(|(record, _)| &record.summary)
                .find(|summary| !summary.is_empty())
                .cloned()
                .unwrap_or_default(),
            fixed: records.into_iter().find_map(|(_, fixed)| fixed),
        }
    };
    groups.into_iter().map(finding).collect()
}

/// How many packages there are of which the database has nothing to say, by ecosystem.
pub(super) fn uncovered(subjects: &BTreeSet<Subject>, database: &[Ecosystem]) -> BTreeMap<String, usize> {
    let mut uncovered = BTreeMap::new();
    for subject in subjects {
        if !database.iter().any(|known| subject.ecosystem.is_covered_by(known)) {
            *uncovered.entry(subject.ecosystem.to_string()).or_default() += 1;
        }
    }
    uncovered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::osv::Event;

    fn subject(name: &str, version: &str) -> Subject {
        Subject { ecosystem: Ecosystem::PyPi, name: name.to_owned(), version: version.to_owned() }
    }

    fn record(id: &str, aliases: &[&str], severity: Level, fixed: Option<&str>) -> Record {
        let event = |introduced: Option<&str>, fixed: Option<&str>| Event {
            introduced: introduced.map(str::to_owned),
            fixed: fixed.map(str::to_owned),
            last_affected: None,
        };
        Record {
            name: "requests".to_owned(),
            id: id.to_owned(),
            aliases: aliases.iter().map(ToString::to_string).collect(),
            severity,
            summary: format!("about {id}"),
            ranges: vec![
                [event(Some("0"), None)]
                    .into_iter()
                    .chain(fixed.map(|fixed| event(None, Some(fixed))))
                    .collect(),
            ],
            versions: Vec::new(),
        }
    }

    fn known(records: Vec<Record>) -> Known {
        [((Ecosystem::PyPi, "requests".to_owned()), records)].into()
    }

    #[test]
    fn entries_of_several_databases_are_one_finding() {
        let records = vec![
            record("GHSA-1", &["CVE-1"], Level::Medium, Some("2.31.0")),
            record("OTHER-2", &[], Level::Low, None),
            record("PYSEC-1", &["X-1"], Level::Unknown, None),
            // Connects the first and the third.
            record("X-1", &["CVE-1"], Level::High, None),
        ];
        let subjects = [subject("requests", "2.25.1"), subject("other", "1")].into();
        let (findings, unclear) = find(&subjects, &known(records));
        assert!(unclear.is_empty());
        let ids: Vec<Vec<String>> = findings.iter().map(|finding| finding.ids.clone()).collect();
        assert_eq!(ids, [vec!["CVE-1", "GHSA-1", "PYSEC-1", "X-1"], vec!["OTHER-2"]]);
        assert_eq!(findings[0].severity, Level::High);
        assert_eq!(findings[0].fixed.as_deref(), Some("2.31.0"));

        let mut output = ScanOutput::default();
        for finding in &findings {
            output.add(finding);
        }
        assert_eq!(
            serde_json::to_string(&output).unwrap(),
            r#"{"vulnerabilities":{"critical":0,"high":1,"medium":0,"low":0,"unknown":0},"unpatched_vulnerabilities":{"critical":0,"high":0,"medium":0,"low":1,"unknown":0}}"#
        );
    }

    #[test]
    fn what_cannot_be_compared_is_said() {
        let subjects = [subject("requests", "not-a-version")].into();
        let (findings, unclear) = find(&subjects, &known(vec![record("A", &[], Level::Low, Some("1"))]));
        assert_eq!((findings.len(), unclear.len()), (0, 1));
    }

    #[test]
    fn ecosystems_that_a_database_does_not_have_are_counted() {
        let debian = |name: &str| Subject {
            ecosystem: Ecosystem::Distribution { name: "Debian", release: "13".to_owned() },
            name: name.to_owned(),
            version: "1".to_owned(),
        };
        let subjects = [debian("a"), debian("b"), subject("requests", "1")].into();
        let database = [Ecosystem::PyPi, Ecosystem::parse("Debian:12").unwrap()];
        assert_eq!(uncovered(&subjects, &database), [("Debian:13".to_owned(), 2)].into());
    }
}
