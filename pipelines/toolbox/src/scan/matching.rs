//! Whether a version is one that an advisory speaks of (OSV schema, "Evaluation").

use std::cmp::Ordering;

use sbom::version::{Scheme, Version};

use super::osv::{Event, Record};

/// What an advisory says of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Unaffected,
    /// `fixed`: the version that would help, if there is one.
    Affected {
        fixed: Option<String>,
    },
    /// A version is none in its ecosystem's order.
    Unclear,
}

/// Judges one version.
pub(super) fn judge(scheme: Scheme, version: &str, record: &Record) -> Verdict {
    let parsed = scheme.parse(version);
    let mut verdict = Verdict::Unaffected;
    for range in &record.ranges {
        match parsed.as_ref().map_or(Verdict::Unclear, |version| in_range(scheme, version, range)) {
            Verdict::Unaffected => {}
            affected @ Verdict::Affected { .. } => return affected,
            Verdict::Unclear => verdict = Verdict::Unclear,
        }
    }
    let is_listed = |listed: &String| {
        listed == version
            || parsed.as_ref().is_some_and(|parsed| scheme.parse(listed).as_ref() == Some(parsed))
    };
    if record.versions.iter().any(is_listed) { Verdict::Affected { fixed: None } } else { verdict }
}

/// What holds from a version on. In this order where several begin with the same version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Fixed,
    Introduced,
    /// Holds for what is behind its version.
    LastAffected,
}

fn in_range(scheme: Scheme, version: &Version, events: &[Event]) -> Verdict {
    // `None` is before all versions.
    let mut turns: Vec<(Option<Version>, Turn, &str)> = Vec::new();
    for event in events {
        let said = [
            (&event.introduced, Turn::Introduced),
            (&event.fixed, Turn::Fixed),
            (&event.last_affected, Turn::LastAffected),
        ];
        for (text, turn) in said {
            let Some(text) = text else { continue };
            let at = if turn == Turn::Introduced && text == "0" { None } else { scheme.parse(text) };
            if at.is_none() && text != "0" {
                return Verdict::Unclear;
            }
            turns.push((at, turn, text));
        }
    }
    turns.sort_by(|(one, turn, _), (other, other_turn, _)| {
        one.partial_cmp(other).unwrap_or(Ordering::Equal).then(turn.cmp(other_turn))
    });
    let is_reached = |at: &Option<Version>, turn: Turn| match at {
        None => true,
        Some(at) if turn == Turn::LastAffected => version > at,
        Some(at) => version >= at,
    };
    let last = turns.iter().rposition(|(at, turn, _)| is_reached(at, *turn));
    match last {
        Some(last) if turns[last].1 == Turn::Introduced => {
            let fixed = turns[last + 1..].iter().find(|(_, turn, _)| *turn == Turn::Fixed);
            Verdict::Affected { fixed: fixed.map(|(_, _, text)| (*text).to_owned()) }
        }
        _ => Verdict::Unaffected,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::scan::severity::Level;

    fn record(ranges: Vec<Vec<Event>>, versions: &[&str]) -> Record {
        Record {
            name: "a".to_owned(),
            id: "A-1".to_owned(),
            aliases: Vec::new(),
            severity: Level::Unknown,
            summary: String::new(),
            ranges,
            versions: versions.iter().map(ToString::to_string).collect(),
        }
    }

    fn introduced(version: &str) -> Event {
        Event { introduced: Some(version.to_owned()), ..Event::default() }
    }

    fn fixed(version: &str) -> Event {
        Event { fixed: Some(version.to_owned()), ..Event::default() }
    }

    fn last(version: &str) -> Event {
        Event { last_affected: Some(version.to_owned()), ..Event::default() }
    }

    fn affected(fixed: &str) -> Verdict {
        Verdict::Affected { fixed: (!fixed.is_empty()).then(|| fixed.to_owned()) }
    }

    #[rstest]
    #[case::before("0.9.0", Verdict::Unaffected)]
    #[case::first("1.0.0", affected("1.2.6"))]
    #[case::within("1.2.5", affected("1.2.6"))]
    #[case::fixed("1.2.6", Verdict::Unaffected)]
    #[case::between("1.9.0", Verdict::Unaffected)]
    #[case::prerelease_of_the_second("2.0.0-rc.1", affected("2.0.3"))]
    #[case::second("2.0.2", affected("2.0.3"))]
    #[case::behind("3.0.0", Verdict::Unaffected)]
    #[case::no_version("latest", Verdict::Unclear)]
    fn two_lines_of_releases(#[case] version: &str, #[case] verdict: Verdict) {
        // In no order, as some publish them.
        let range = vec![fixed("2.0.3"), introduced("1.0.0"), introduced("2.0.0-rc.1"), fixed("1.2.6")];
        assert_eq!(judge(Scheme::SemVer, version, &record(vec![range], &[])), verdict);
    }

    #[rstest]
    #[case::from_the_start(vec![introduced("0"), fixed("2.0")], "0.0.1", affected("2.0"))]
    #[case::never_fixed(vec![introduced("0")], "99", affected(""))]
    #[case::last_affected(vec![introduced("0"), last("1.5")], "1.5", affected(""))]
    #[case::behind_last(vec![introduced("0"), last("1.5")], "1.5.1", Verdict::Unaffected)]
    #[case::again(vec![introduced("0"), fixed("1.0"), introduced("1.0"), fixed("1.1")], "1.0", affected("1.1"))]
    #[case::bad_event(vec![introduced("0"), fixed("not a version")], "1.0", Verdict::Unclear)]
    #[case::nothing(vec![], "1.0", Verdict::Unaffected)]
    fn ranges(#[case] range: Vec<Event>, #[case] version: &str, #[case] verdict: Verdict) {
        assert_eq!(judge(Scheme::Pypi, version, &record(vec![range], &[])), verdict);
    }

    #[test]
    fn lists_compare_versions_and_not_texts() {
        let record = record(Vec::new(), &["1.0", "odd-version"]);
        assert_eq!(judge(Scheme::Pypi, "1.0.0", &record), affected(""));
        assert_eq!(judge(Scheme::Pypi, "odd-version", &record), affected(""));
        assert_eq!(judge(Scheme::Pypi, "1.0.1", &record), Verdict::Unaffected);
    }

    #[test]
    fn distributions_fix_within_a_version() {
        let record = record(vec![vec![introduced("0"), fixed("3.0.11-1~deb12u2")]], &[]);
        assert_eq!(judge(Scheme::Debian, "3.0.11-1~deb12u1", &record), affected("3.0.11-1~deb12u2"));
        assert_eq!(judge(Scheme::Debian, "3.0.11-1~deb12u2", &record), Verdict::Unaffected);
        assert_eq!(judge(Scheme::Debian, "3.0.11-1", &record), Verdict::Unaffected);
    }

    proptest! {
        /// One range with a beginning and an end is what it is in arithmetic.
        #[test]
        fn a_range_is_an_interval(from in 0_u32..20, to in 0_u32..20, at in 0_u32..20) {
            let range = vec![introduced(&format!("{from}.0.0")), fixed(&format!("{to}.0.0"))];
            let verdict = judge(Scheme::SemVer, &format!("{at}.0.0"), &record(vec![range], &[]));
            let is_affected = if from < to { (from..to).contains(&at) } else { at >= from };
            prop_assert_eq!(matches!(verdict, Verdict::Affected { .. }), is_affected);
        }
    }
}
