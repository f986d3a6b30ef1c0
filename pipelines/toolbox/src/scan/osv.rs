//! Advisories in the OSV format: <https://ossf.github.io/osv-schema/>.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::severity::Level;
use super::subject::Ecosystem;

/// Characters of a summary that are kept.
const MAX_SUMMARY: usize = 160;

/// An advisory, as far as it is of use here.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Advisory {
    pub(super) id: String,
    pub(super) modified: Timestamp,
    /// Since when it is none any more.
    #[serde(default)]
    withdrawn: Option<Value>,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    summary: Option<String>,
    #[serde(default)]
    severity: Vec<Severity>,
    #[serde(default)]
    affected: Vec<Affected>,
    #[serde(default)]
    database_specific: Value,
}

#[derive(Clone, Debug, Deserialize)]
struct Severity {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    score: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Affected {
    #[serde(default)]
    package: Option<Package>,
    #[serde(default)]
    severity: Vec<Severity>,
    #[serde(default)]
    ranges: Vec<TypedRange>,
    #[serde(default)]
    versions: Vec<String>,
    #[serde(default)]
    ecosystem_specific: Value,
    #[serde(default)]
    database_specific: Value,
}

#[derive(Clone, Debug, Deserialize)]
struct Package {
    ecosystem: String,
    name: String,
}

#[derive(Clone, Debug, Deserialize)]
struct TypedRange {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    events: Vec<Event>,
}

/// A version from which on something holds. One field is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Event {
    /// `0` is before all versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) introduced: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fixed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_affected: Option<String>,
}

/// What an advisory says of one package: a line of the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Of the package, as [`Ecosystem::name`] has it. First, as readers look at it first.
    pub(super) name: String,
    pub(super) id: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) aliases: Vec<String>,
    pub(super) severity: Level,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) summary: String,
    /// Versions in their ecosystem's order. One range that matches is enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) ranges: Vec<Vec<Event>>,
    /// Versions one by one, where there are no ranges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) versions: Vec<String>,
}

impl Advisory {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// What it says of each package of ecosystems whose versions can be compared here. Of one that was withdrawn, nothing.
    pub(super) fn records(&self) -> Vec<(Ecosystem, Record)> {
        if self.withdrawn.as_ref().is_some_and(|withdrawn| !withdrawn.is_null()) {
            return Vec::new();
        }
        self.affected.iter().filter_map(|affected| self.record(affected)).collect()
    }

    fn record(&self, affected: &Affected) -> Option<(Ecosystem, Record)> {
        let package = affected.package.as_ref()?;
        let ecosystem = Ecosystem::parse(&package.ecosystem)?;
        let comparable = |range: &&TypedRange| matches!(&*range.kind, "SEMVER" | "ECOSYSTEM");
        let ranges: Vec<Vec<Event>> =
            affected.ranges.iter().filter(comparable).map(|range| range.events.clone()).collect();
        let versions = if ranges.is_empty() { affected.versions.clone() } else { Vec::new() };
        if ranges.is_empty() && versions.is_empty() {
            return None;
        }
        let summary = self.summary.as_deref().unwrap_or_default();
        let record = Record {
            name: ecosystem.name(&package.name),
            id: self.id.clone(),
            aliases: self.aliases.clone(),
            severity: self.level(affected),
            summary: summary.chars().filter(|c| !c.is_control()).take(MAX_SUMMARY).collect(),
            ranges,
            versions,
        };
        Some((ecosystem, record))
    }

    /// By the newest CVSS vector, else by the word of whoever published it.
    fn level(&self, affected: &Affected) -> Level {
        let vector = |kind: &str| {
            let all = affected.severity.iter().chain(&self.severity);
            all.filter(|severity| severity.kind == kind).find_map(|severity| Level::of_cvss(&severity.score))
        };
        let word = || {
            let words = [
                &self.database_specific["severity"],
                &affected.database_specific["severity"],
                &affected.ecosystem_specific["severity"],
                &affected.ecosystem_specific["urgency"],
            ];
            words.into_iter().filter_map(Value::as_str).find_map(Level::of_word)
        };
        ["CVSS_V4", "CVSS_V3", "CVSS_V2"].into_iter().find_map(vector).or_else(word).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sbom::fuzz::fuzz;

    fn advisory(change: impl FnOnce(&mut Value)) -> Advisory {
        let mut json = json!({
            "id": "GHSA-xvch-5gv4-984h", "modified": "2024-01-01T00:00:00Z", "aliases": ["CVE-2021-44906"],
            "summary": "Prototype pollution\nin minimist",
            "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
            "affected": [
                {"package": {"ecosystem": "npm", "name": "minimist"}, "versions": ["1.2.5"],
                 "ranges": [{"type": "SEMVER", "events": [{"introduced": "1.0.0"}, {"fixed": "1.2.6"}]},
                            {"type": "GIT", "repo": "https://x", "events": [{"introduced": "0"}]}]},
                {"package": {"ecosystem": "Bioconductor", "name": "minimist"}, "versions": ["1"]}],
            "database_specific": {"severity": "LOW"},
        });
        change(&mut json);
        Advisory::read(json.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn records_have_what_can_be_compared() {
        let records = advisory(|_| {}).records();
        let [(ecosystem, record)] = &records[..] else { panic!("{records:?}") };
        assert_eq!(ecosystem.to_string(), "npm");
        assert_eq!((&*record.name, record.severity), ("minimist", Level::Critical));
        assert_eq!((record.ranges.len(), record.versions.len()), (1, 0));
        assert_eq!(record.summary, "Prototype pollutionin minimist");
        let line = serde_json::to_string(record).unwrap();
        assert!(line.starts_with(r#"{"name":"minimist","id":"#), "{line}");
        assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), *record);
    }

    #[test]
    fn versions_are_kept_where_there_are_no_ranges() {
        let records = advisory(|json| json["affected"][0]["ranges"] = json!([])).records();
        assert_eq!(records[0].1.versions, ["1.2.5"]);
    }

    #[test]
    fn without_a_vector_the_publishers_word_counts() {
        let level = |change: fn(&mut Value)| advisory(change).records()[0].1.severity;
        assert_eq!(level(|json| json["severity"] = json!([])), Level::Low);
        assert_eq!(
            level(|json| {
                json["severity"] = json!([{"type": "CVSS_V3", "score": "?"}]);
                json["database_specific"] = json!(null);
                json["affected"][0]["ecosystem_specific"] = json!({"urgency": "high"});
            }),
            Level::High
        );
        assert_eq!(
            level(|json| (json["severity"], json["database_specific"]) = (json!([]), json!({}))),
            Level::Unknown
        );
    }

    #[test]
    fn what_was_withdrawn_says_nothing() {
        assert!(advisory(|json| json["withdrawn"] = json!("2024-02-01T00:00:00Z")).records().is_empty());
    }

    #[test]
    fn never_panics() {
        let strategy = ("[{\":,\\[\\]a-z0-9}]{0,120}", ".{0,20}", "(npm|Debian:|Go|Ubuntu:22.04:LTS|.{0,8})");
        fuzz(&strategy, |(text, name, ecosystem)| {
            let _ = Advisory::read(text.as_bytes());
            let change = |json: &mut Value| {
                json["affected"][0]["package"] = json!({"ecosystem": ecosystem, "name": name});
            };
            let _ = advisory(change).records();
            Ok(())
        });
    }
}
