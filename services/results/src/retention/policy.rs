//! What may be deleted, and when: the ConfigMap `tekton-results-config-results-retention-policy`, mounted as a folder with
//! a file per key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use serde::Deserialize;

use super::cron::{Cron, InvalidCron};

/// When to run where the ConfigMap does not say.
const RUN_AT: &str = "7 7 * * 7";

const DEFAULT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Nobody means more than this, and times of so long ago can still be computed.
const LONGEST_DAYS: u64 = 365 * 100;

/// The settings of the agent. Bad ones are an error as a whole: half a policy would delete what the other half keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub run_at: Cron,
    /// For what no policy matches.
    pub default: SignedDuration,
    /// The first that matches decides.
    pub policies: Vec<Policy>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub name: String,
    pub selector: Selector,
    pub retention: SignedDuration,
}

/// All that is given has to match; of a list, one value. An empty selector matches every run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Selector {
    pub match_namespaces: Vec<String>,
    /// Label of the run to the values that match.
    pub match_labels: BTreeMap<String, Vec<String>>,
    pub match_annotations: BTreeMap<String, Vec<String>>,
    /// Reasons of the run's first condition, as `Succeeded`.
    pub match_statuses: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("read the retention policy {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("retention policy, runAt")]
    RunAt(#[from] InvalidCron),
    #[error(
        "retention policy, {of}: `{text}` is no span of time above zero; write days as a number or `30d`, or hours as `24h`"
    )]
    Retention { of: String, text: String },
    #[error("retention policy, policies: {0}")]
    Policies(String),
}

/// As it is written in YAML.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    name: String,
    #[serde(default)]
    selector: Selector,
    retention: Span,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Span {
    Days(u64),
    Text(String),
}

impl Settings {
    /// Reads a folder. Absent files have their defaults.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let file = |key: &str| {
            let path = folder.join(key);
            match std::fs::read_to_string(&path) {
                Ok(text) => Ok(Some(text).filter(|text| !text.trim().is_empty())),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(source) => Err(Error::Read { path, source }),
            }
        };
        // A folder that is not there is a mistake in the deployment, not a wish for the defaults.
        std::fs::read_dir(folder).map_err(|source| Error::Read { path: folder.to_owned(), source })?;
        Self::parse(
            file("runAt")?.as_deref(),
            file("maxRetention")?.as_deref(),
            file("defaultRetention")?.as_deref(),
            file("policies")?.as_deref(),
        )
    }

    fn parse(
        run_at: Option<&str>,
        max_retention: Option<&str>,
        default_retention: Option<&str>,
        policies: Option<&str>,
    ) -> Result<Self, Error> {
        // The old name wins: who still has it, has set it.
        let default = match (max_retention, default_retention) {
            (Some(text), _) => span("maxRetention", text)?,
            (None, Some(text)) => span("defaultRetention", text)?,
            (None, None) => DEFAULT,
        };
        let written: Option<Vec<Written>> = match policies {
            Some(text) => serde_saphyr::from_str(text).map_err(|error| Error::Policies(error.to_string()))?,
            None => None,
        };
        let policies = written
            .unwrap_or_default()
            .into_iter()
            .enumerate()
            .map(|(place, policy)| policy.check(place))
            .collect::<Result<_, _>>()?;
        Ok(Self { run_at: run_at.unwrap_or(RUN_AT).parse()?, default, policies })
    }

    /// The shortest of all: what is younger is kept whatever it is.
    pub(super) fn shortest(&self) -> SignedDuration {
        self.policies.iter().map(|policy| policy.retention).fold(self.default, SignedDuration::min)
    }
}

impl Written {
    fn check(self, place: usize) -> Result<Policy, Error> {
        let name = if self.name.is_empty() { format!("number {}", place + 1) } else { self.name };
        let text = match self.retention {
            Span::Days(days) => days.to_string(),
            Span::Text(text) => text,
        };
        let retention = span(&format!("policy {name}, retention"), &text)?;
        let lists = self.selector.match_labels.iter().chain(&self.selector.match_annotations);
        for (key, values) in lists {
            // It could never match, and what it was to keep would be deleted.
            if values.is_empty() {
                return Err(Error::Policies(format!(
                    "policy {name}: {key} has no values; give some or leave it out"
                )));
            }
        }
        Ok(Policy { name, selector: self.selector, retention })
    }
}

fn span(of: &str, text: &str) -> Result<SignedDuration, Error> {
    let text = text.trim();
    let invalid = || Error::Retention { of: of.to_owned(), text: text.to_owned() };
    let days = text.strip_suffix('d').unwrap_or(text);
    let duration = if !days.is_empty() && days.bytes().all(|byte| byte.is_ascii_digit()) {
        let days: u64 = days.parse().map_err(|_| invalid())?;
        let days = i64::try_from(days.min(LONGEST_DAYS + 1)).map_err(|_| invalid())?;
        SignedDuration::from_hours(days * 24)
    } else {
        text.parse().map_err(|_| invalid())?
    };
    let longest = SignedDuration::from_hours(i64::try_from(LONGEST_DAYS).map_err(|_| invalid())? * 24);
    if duration <= SignedDuration::ZERO || duration > longest {
        return Err(invalid());
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::number("30", 30 * 24)]
    #[case::days("30d", 30 * 24)]
    #[case::hours("24h", 24)]
    #[case::blanks(" 7d\n", 7 * 24)]
    fn reads_spans(#[case] text: &str, #[case] hours: i64) {
        assert_eq!(span("x", text).unwrap(), SignedDuration::from_hours(hours));
    }

    #[rstest]
    #[case::zero("0")]
    #[case::negative("-5")]
    #[case::negative_hours("-5h")]
    #[case::word("forever")]
    #[case::nothing("d")]
    #[case::endless("99999999999999999999d")]
    #[case::too_long("1000000d")]
    fn refuses_spans(#[case] text: &str) {
        let error = span("policy a, retention", text).unwrap_err().to_string();
        assert!(error.contains("policy a, retention") && error.contains(text), "{error}");
    }

    #[test]
    fn reads_policies() {
        let text = "
- name: keep
  selector:
    matchNamespaces: [a, b]
    matchLabels: {x: ['1', '2']}
    matchStatuses: [Failed]
  retention: 180d
- retention: 1
";
        let settings = Settings::parse(Some("5 5 * * 0"), None, Some("60d"), Some(text)).unwrap();
        assert_eq!(settings.default, SignedDuration::from_hours(60 * 24));
        assert_eq!(settings.shortest(), SignedDuration::from_hours(24));
        let [keep, rest] = &settings.policies[..] else { panic!("{settings:?}") };
        assert_eq!(keep.selector.match_labels["x"], ["1", "2"]);
        assert_eq!((rest.name.as_str(), &rest.selector), ("number 2", &Selector::default()));
    }

    #[test]
    fn has_defaults_and_the_old_name_wins() {
        let settings = Settings::parse(None, None, None, None).unwrap();
        assert_eq!(settings.default, DEFAULT);
        assert!(settings.policies.is_empty());
        let settings = Settings::parse(None, Some("5"), Some("60d"), None).unwrap();
        assert_eq!(settings.default, SignedDuration::from_hours(5 * 24));
    }

    #[rstest]
    #[case::unknown_condition("- {retention: 1d, selector: {matchNames: [a]}}", "matchNames")]
    #[case::no_retention("- {name: a}", "retention")]
    #[case::no_values(
        "- {name: a, retention: 1d, selector: {matchLabels: {x: []}}}",
        "policy a: x has no values"
    )]
    #[case::no_list("name: a", "policies")]
    fn refuses_policies(#[case] text: &str, #[case] expected: &str) {
        let error = Settings::parse(None, None, None, Some(text)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn a_missing_folder_is_no_wish_for_defaults() {
        assert!(matches!(Settings::read(Path::new("/nowhere")), Err(Error::Read { .. })));
    }
}
