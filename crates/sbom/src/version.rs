//! Orders of versions: each ecosystem has its own.

mod debian;
mod maven;

use std::cmp::Ordering;

/// Longer ones are not read: none that exists is a tenth of it.
const MAX_LENGTH: usize = 256;

/// How an ecosystem orders versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Semantic versioning 2.0, also with fewer than three numbers.
    SemVer,
    /// Semantic versions with `v`, and those of the toolchain, as `go1.22rc1`.
    Go,
    /// `[epoch:]upstream[-revision]`, as dpkg compares them.
    Debian,
    /// PEP 440.
    Pypi,
    /// Maven's ComparableVersion.
    Maven,
}

/// A version that can be compared with others of its scheme.
#[derive(Clone, Debug)]
pub struct Version(Parsed);

#[derive(Clone, Debug)]
enum Parsed {
    SemVer(semver::Version),
    Debian(debian::Version),
    Pypi(pep440_rs::Version),
    Maven(maven::Version),
}

impl Scheme {
    /// That of a kind of package URLs. `None` if there is none for it here.
    pub fn of_purl_type(kind: &str) -> Option<Self> {
        match kind {
            "cargo" | "npm" => Some(Self::SemVer),
            "golang" => Some(Self::Go),
            "deb" => Some(Self::Debian),
            "pypi" => Some(Self::Pypi),
            "maven" => Some(Self::Maven),
            _ => None,
        }
    }

    /// `None` if it is no version in this scheme.
    pub fn parse(self, text: &str) -> Option<Version> {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_LENGTH {
            return None;
        }
        let parsed = match self {
            Self::SemVer => Parsed::SemVer(semantic(text.strip_prefix('v').unwrap_or(text))?),
            Self::Go => Parsed::SemVer(go(text)?),
            Self::Debian => Parsed::Debian(debian::Version::parse(text)?),
            Self::Pypi => Parsed::Pypi(text.parse().ok()?),
            Self::Maven => Parsed::Maven(maven::Version::parse(text)),
        };
        Some(Version(parsed))
    }
}

/// Fills up to three numbers.
fn semantic(text: &str) -> Option<semver::Version> {
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let missing = match numbers.split('.').count() {
        1 => ".0.0",
        2 => ".0",
        _ => "",
    };
    semver::Version::parse(&format!("{numbers}{missing}{rest}")).ok()
}

fn go(text: &str) -> Option<semver::Version> {
    let Some(release) = text.strip_prefix("go") else {
        return semantic(text.strip_prefix('v').unwrap_or(text)).or_else(|| toolchain(text));
    };
    // What is behind a blank are experiments that it was built with.
    toolchain(release.split(' ').next()?)
}

/// `1.22rc1` is before `1.22.0`.
fn toolchain(release: &str) -> Option<semver::Version> {
    match release.find(|c: char| c.is_ascii_lowercase()) {
        Some(at) if !release[..at].contains('-') => {
            let (numbers, word) = release.split_at(at);
            let missing = ".0".repeat(3_usize.saturating_sub(numbers.split('.').count()));
            semver::Version::parse(&format!("{numbers}{missing}-{word}")).ok()
        }
        _ => semantic(release),
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

/// `None` between schemes.
impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (&self.0, &other.0) {
            // What is behind a + has no part in the order.
            (Parsed::SemVer(one), Parsed::SemVer(other)) => Some(one.cmp_precedence(other)),
            (Parsed::Debian(one), Parsed::Debian(other)) => Some(one.cmp(other)),
            (Parsed::Pypi(one), Parsed::Pypi(other)) => Some(one.cmp(other)),
            (Parsed::Maven(one), Parsed::Maven(other)) => Some(one.cmp(other)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const SCHEMES: [Scheme; 5] = [Scheme::SemVer, Scheme::Go, Scheme::Debian, Scheme::Pypi, Scheme::Maven];

    /// In ascending order, each as other tools of the ecosystem have it.
    #[rstest]
    #[case::semver(Scheme::SemVer, &["0.0.0-0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11",
        "1.0.0-rc.1", "1.0.0", "1.2", "1.2.1", "v1.10.0", "2"])]
    #[case::go(Scheme::Go, &["v0.0.0-20190101000000-abcdefabcdef", "v0.3.5", "v0.3.6", "go1.21rc2", "go1.21", "go1.21.3",
        "1.22.0-0", "1.22rc1", "go1.22.0 X:nocoverageredesign", "v2.0.0+incompatible"])]
    #[case::debian(Scheme::Debian, &["1.0~rc1-1", "1.0-1", "1.0-1+b1", "1.0-1+deb12u1", "1.0-1.1", "1.0-2", "1.0a-1", "1.0+dfsg-1",
        "1.2-1", "1.10-1", "1:0.5-1"])]
    #[case::pypi(Scheme::Pypi, &["1.0.dev1", "1.0a1", "1.0b2", "1.0rc1", "1.0", "1.0+local", "1.0.post1", "1.1", "1.10", "1!0.1"])]
    #[case::maven(Scheme::Maven, &["1-alpha-1", "1-beta", "1-milestone-1", "1-rc", "1-SNAPSHOT", "1", "1-sp", "1-foo2", "1-foo10",
        "1-1", "1.1", "1.9", "1.10.0", "2.0-jre"])]
    fn orders(#[case] scheme: Scheme, #[case] ascending: &[&str]) {
        for (at, lower) in ascending.iter().enumerate() {
            for higher in &ascending[at + 1..] {
                let [one, other] = [lower, higher].map(|text| scheme.parse(text).unwrap());
                assert!(one < other, "{lower} < {higher}");
                assert!(other > one, "{higher} > {lower}");
            }
        }
    }

    #[rstest]
    #[case::semver(Scheme::SemVer, &["1.2", "1.2.0", "v1.2.0", "1.2.0+build"])]
    #[case::go(Scheme::Go, &["v1.2.0", "1.2.0", "go1.2"])]
    #[case::debian(Scheme::Debian, &["0:1.0-0", "1.0", "1.00"])]
    #[case::pypi(Scheme::Pypi, &["1.0", "1", "v1.0.0"])]
    #[case::maven(Scheme::Maven, &["1", "1.0", "1.0.0", "1-ga", "1.0.Final", "1-release", "1.0-0"])]
    #[case::maven_words(Scheme::Maven, &["1-a1", "1-alpha-1", "1.ALPHA-1", "1alpha1"])]
    fn equals(#[case] scheme: Scheme, #[case] same: &[&str]) {
        let parsed: Vec<Version> = same.iter().map(|text| scheme.parse(text).unwrap()).collect();
        for (version, text) in parsed.iter().zip(same) {
            assert_eq!(*version, parsed[0], "{text}");
        }
    }

    #[rstest]
    #[case(Scheme::SemVer, "latest")]
    #[case(Scheme::SemVer, "99999999999999999999.0.0")]
    #[case(Scheme::Go, "devel +abc")]
    #[case(Scheme::Debian, "1.0 beta")]
    #[case(Scheme::Debian, "x:1")]
    #[case(Scheme::Pypi, "not-a-version")]
    #[case(Scheme::Maven, "")]
    fn no_versions(#[case] scheme: Scheme, #[case] text: &str) {
        assert!(scheme.parse(text).is_none());
    }

    #[test]
    fn schemes_are_not_compared() {
        assert_eq!(Scheme::Maven.parse("1").partial_cmp(&Scheme::Debian.parse("1")), None);
    }

    /// What versions are made of, and some of what they are not.
    fn any_version() -> impl Strategy<Value = String> {
        prop_oneof![
            "[0-9a-z.+:~_-]{1,12}",
            "[0-2](\\.[0-2]){0,3}(-?(a|rc|alpha|sp|final|foo)[0-2]?)?",
            ".{0,8}"
        ]
    }

    proptest! {
        /// Sorting must not go in circles: an order that does would call a fixed version vulnerable.
        #[test]
        fn each_is_an_order(one in any_version(), two in any_version(), three in any_version()) {
            for scheme in SCHEMES {
                let parsed: Vec<Version> = [&one, &two, &three].into_iter().filter_map(|text| scheme.parse(text)).collect();
                let [a, b, c] = &parsed[..] else { continue };
                prop_assert_eq!(a.partial_cmp(b).map(Ordering::reverse), b.partial_cmp(a), "{:?}", scheme);
                prop_assert_eq!(a.partial_cmp(a), Some(Ordering::Equal));
                if a <= b && b <= c {
                    prop_assert!(a <= c, "{:?}: {} <= {} <= {}", scheme, one, two, three);
                }
            }
        }
    }
}
