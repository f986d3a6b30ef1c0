//! Versions in tags: which of many is the next one up.

/// What is proposed in place of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum UpdateType {
    /// The same tag, with other content.
    Digest,
    Patch,
    Minor,
    Major,
}

/// `[v]1.2.3[-suffix]`. Only versions with the same prefix, suffix and count of numbers are of one line.
#[derive(Debug, PartialEq, Eq)]
struct Version<'a> {
    prefix: &'a str,
    numbers: Vec<u64>,
    suffix: &'a str,
}

/// Numbers of a version.
const MAX_NUMBERS: usize = 4;

impl<'a> Version<'a> {
    fn parse(tag: &'a str) -> Option<Self> {
        let rest = tag.trim_start_matches('v');
        let prefix = &tag[..tag.len() - rest.len()];
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (numbers, suffix) = rest.split_at(end);
        let is_suffix = suffix.is_empty() || suffix.starts_with('-');
        let numbers: Vec<u64> = numbers.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
        let is_version = prefix.len() <= 1 && is_suffix && numbers.len() <= MAX_NUMBERS;
        is_version.then_some(Self { prefix, numbers, suffix })
    }

    fn is_in_line_with(&self, other: &Self) -> bool {
        self.prefix == other.prefix
            && self.suffix == other.suffix
            && self.numbers.len() == other.numbers.len()
    }

    fn type_to(&self, newer: &Self) -> UpdateType {
        match self.numbers.iter().zip(&newer.numbers).position(|(old, new)| old != new) {
            Some(0) => UpdateType::Major,
            Some(1) => UpdateType::Minor,
            Some(_) => UpdateType::Patch,
            None => UpdateType::Digest,
        }
    }
}

/// Whether a tag is a version that others may follow.
pub(crate) fn is_version(tag: &str) -> bool {
    Version::parse(tag).is_some()
}

/// The newest of `tags` after `current` within its major version, and the newest of all beyond it.
pub(crate) fn newer<'t>(
    current: &str,
    tags: impl IntoIterator<Item = &'t str>,
) -> Vec<(UpdateType, &'t str)> {
    let Some(version) = Version::parse(current) else { return Vec::new() };
    let mut within: Option<(Version<'t>, &'t str)> = None;
    let mut beyond: Option<(Version<'t>, &'t str)> = None;
    for tag in tags {
        let Some(candidate) = Version::parse(tag) else { continue };
        if !candidate.is_in_line_with(&version) || candidate.numbers <= version.numbers {
            continue;
        }
        let best = if version.type_to(&candidate) == UpdateType::Major { &mut beyond } else { &mut within };
        if best.as_ref().is_none_or(|(known, _)| known.numbers < candidate.numbers) {
            *best = Some((candidate, tag));
        }
    }
    [within, beyond].into_iter().flatten().map(|(found, tag)| (version.type_to(&found), tag)).collect()
}

/// The first number of a version, for names of branches.
pub(crate) fn major(tag: &str) -> Option<u64> {
    Version::parse(tag)?.numbers.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case::patch("1.2.3", &["1.2.4", "1.2.2"], &[(UpdateType::Patch, "1.2.4")])]
    #[case::minor("1.2", &["1.3", "1.10", "1.9"], &[(UpdateType::Minor, "1.10")])]
    #[case::major_by_itself("1.2", &["1.3", "2.0", "3.1"], &[(UpdateType::Minor, "1.3"), (UpdateType::Major, "3.1")])]
    #[case::with_v("v1.2.3", &["v1.3.0", "1.9.0"], &[(UpdateType::Minor, "v1.3.0")])]
    #[case::variants_stay("3.11-slim", &["3.12", "3.12-slim", "3.13-alpine"], &[(UpdateType::Minor, "3.12-slim")])]
    #[case::as_many_numbers("12", &["12.5", "13"], &[(UpdateType::Major, "13")])]
    #[case::no_version("latest", &["1.0", "2.0"], &[])]
    #[case::none_newer("2.0", &["1.0", "2.0"], &[])]
    #[case::before_a_release("1.0.0", &["1.1.0-rc1", "1.1.0.0.0.0"], &[])]
    fn finds_the_next(
        #[case] current: &str,
        #[case] tags: &[&'static str],
        #[case] expected: &[(UpdateType, &str)],
    ) {
        assert_eq!(newer(current, tags.iter().copied()), expected);
    }

    proptest! {
        /// Registries are anybody's.
        #[test]
        fn never_panics(current in "\\PC{0,40}", tag in "[v0-9.a-z-]{0,40}") {
            let _ = newer(&current, [tag.as_str()]);
            let _ = newer(&tag, [current.as_str()]);
        }
    }
}
