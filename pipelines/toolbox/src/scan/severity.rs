//! How bad a vulnerability is.

use cvss::Cvss;
use serde::{Deserialize, Serialize};

/// Levels of the scan's result; a later one is worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// Nobody has said.
    #[default]
    Unknown,
    Low,
    Medium,
    High,
    Critical,
}

impl Level {
    /// Of a CVSS vector, of any of its versions. Worth nothing at all is [`Low`](Self::Low): there is an advisory.
    pub(super) fn of_cvss(vector: &str) -> Option<Self> {
        // Advisories have vectors of version 2 without their prefix, and a few in brackets.
        let vector = vector.trim().trim_matches(['(', ')']);
        let cvss: Cvss = vector.parse().ok().or_else(|| format!("CVSS:2.0/{vector}").parse().ok())?;
        // What is left out would count as harmless.
        let base: &[&str] = match cvss {
            Cvss::CvssV20(_) => &["AV", "AC", "Au", "C", "I", "A"],
            Cvss::CvssV30(_) | Cvss::CvssV31(_) => &["AV", "AC", "PR", "UI", "S", "C", "I", "A"],
            _ => &["AV", "AC", "AT", "PR", "UI", "VC", "VI", "VA", "SC", "SI", "SA"],
        };
        let has = |metric: &str| vector.split('/').any(|part| part.split(':').next() == Some(metric));
        base.iter().all(|metric| has(metric)).then_some(())?;
        Some(match cvss.severity() {
            cvss::Severity::None | cvss::Severity::Low => Self::Low,
            cvss::Severity::Medium => Self::Medium,
            cvss::Severity::High => Self::High,
            cvss::Severity::Critical => Self::Critical,
        })
    }

    /// In the words of GitHub's database, and of Debian's for urgency.
    pub(super) fn of_word(word: &str) -> Option<Self> {
        match &*word.to_ascii_lowercase() {
            "critical" => Some(Self::Critical),
            "high" => Some(Self::High),
            "moderate" | "medium" => Some(Self::Medium),
            "low" | "unimportant" => Some(Self::Low),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::sbom::fuzz::fuzz;

    #[rstest]
    #[case::v31_critical("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Some(Level::Critical))]
    #[case::v31_medium("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:N/I:N/A:H", Some(Level::Medium))]
    #[case::v30_high("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", Some(Level::High))]
    #[case::v4("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", Some(Level::Critical))]
    #[case::v2("AV:N/AC:L/Au:N/C:P/I:P/A:P", Some(Level::High))]
    #[case::none_at_all("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", Some(Level::Low))]
    #[case::no_vector("7.5", None)]
    #[case::cut("CVSS:3.1/AV:N", None)]
    #[case::without_harm("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H", None)]
    fn of_vectors(#[case] vector: &str, #[case] level: Option<Level>) {
        assert_eq!(Level::of_cvss(vector), level);
    }

    #[test]
    fn worse_is_greater() {
        assert!(Level::Critical > Level::High && Level::Low > Level::Unknown);
        assert_eq!(Level::of_word("MODERATE"), Some(Level::Medium));
        assert_eq!(Level::of_word("not yet assigned"), None);
    }

    #[test]
    fn never_panics() {
        fuzz(&("\\PC{0,40}", "CVSS:[234]\\.[01](/[A-Z]{1,3}:[A-Z]){0,12}"), |(text, metrics)| {
            let _ = Level::of_cvss(&text);
            let _ = Level::of_cvss(&metrics);
            Ok(())
        });
    }
}
