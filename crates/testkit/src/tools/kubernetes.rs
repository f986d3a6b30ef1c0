//! The releases of Kubernetes that `tools/kube` can be built as.

use std::fmt;
use std::str::FromStr;

/// A release of Kubernetes to test against. `docs/reference/kubernetes-versions.md` tells what they stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release(&'static str);

/// There is no build of a release.
#[derive(Debug, thiserror::Error)]
#[error(
    "no build of Kubernetes {asked:?} for tests: there are {oldest} (oldest), {default} (the dev cluster's) and {newest} (newest)",
    oldest = Release::OLDEST.minor(),
    default = Release::DEFAULT.minor(),
    newest = Release::NEWEST.minor()
)]
pub struct Unknown {
    asked: String,
}

impl Release {
    /// The oldest that is supported.
    pub const OLDEST: Self = Self("v1.33.13");
    /// What `tools/kube/go.mod` requires: the dev cluster runs it, and tests that are told nothing else.
    pub const DEFAULT: Self = Self("v1.34.4");
    /// The newest that is supported.
    pub const NEWEST: Self = Self("v1.37.2");
    /// From the oldest to the newest. What lies between is supported too, see the page, but has no build.
    pub const ALL: [Self; 3] = [Self::OLDEST, Self::DEFAULT, Self::NEWEST];

    /// As Kubernetes writes it, and clusters report it: `v1.34.4`.
    pub const fn version(self) -> &'static str {
        self.0
    }

    /// Without the patch: `1.34`.
    pub fn minor(self) -> &'static str {
        let number = self.0.trim_start_matches('v');
        number.rsplit_once('.').map_or(number, |(minor, _patch)| minor)
    }

    /// Whether its build can run pods. Tests against the others get by without scheduler, proxy and kubelet.
    pub fn runs_pods(self) -> bool {
        self == Self::DEFAULT
    }

    /// What its build is called: `kube`, `kube-1.33`.
    pub(super) fn program(self) -> String {
        if self == Self::DEFAULT { "kube".to_owned() } else { format!("kube-{}", self.minor()) }
    }

    /// The file in `tools/kube` with the versions of its modules.
    pub(super) fn modules(self) -> String {
        if self == Self::DEFAULT { super::MODULES.to_owned() } else { format!("{}.mod", self.program()) }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl FromStr for Release {
    type Err = Unknown;

    /// Takes `oldest`, `newest`, a minor version (`1.34`) or a whole one (`v1.34.4`).
    fn from_str(text: &str) -> Result<Self, Unknown> {
        match text {
            "oldest" => return Ok(Self::OLDEST),
            "newest" => return Ok(Self::NEWEST),
            _ => {}
        }
        let number = text.trim_start_matches('v');
        let is_meant = |release: &Self| number == release.minor() || number == &release.version()[1..];
        Self::ALL.into_iter().find(is_meant).ok_or_else(|| Unknown { asked: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::word("oldest", Release::OLDEST)]
    #[case::other_word("newest", Release::NEWEST)]
    #[case::minor(Release::NEWEST.minor(), Release::NEWEST)]
    #[case::minor_as_tagged("v1.34", Release::DEFAULT)]
    #[case::whole(Release::OLDEST.version(), Release::OLDEST)]
    #[case::whole_number("1.34.4", Release::DEFAULT)]
    fn is_named(#[case] text: &str, #[case] expected: Release) {
        assert_eq!(text.parse::<Release>().unwrap(), expected);
    }

    #[rstest]
    fn refusal_names_what_there_is(#[values("1.2", "v1.34.5", "1", "1.3", "", "latest")] text: &str) {
        let error = text.parse::<Release>().unwrap_err().to_string();
        assert!(error.contains(&format!("{text:?}")), "{error}");
        for release in Release::ALL {
            assert!(error.contains(release.minor()), "{error}");
        }
    }
}
