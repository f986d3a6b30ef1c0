//! Packages in the words of advisories.

use std::fmt;

use sbom::version::Scheme;
use sbom::{Purl, full_name, pypi_name};

/// A family of packages whose versions have one order, and for a distribution its release.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ecosystem {
    CratesIo,
    Go,
    Maven,
    Npm,
    PyPi,
    /// As `Debian` and `12`, `Ubuntu` and `22.04:LTS`.
    Distribution {
        name: &'static str,
        release: String,
    },
}

impl Ecosystem {
    /// In the words of OSV. `None` for those whose versions cannot be compared here.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, release) = text.split_once(':').unwrap_or((text, ""));
        let distribution = |name| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || ".:-".contains(c);
            let release = release.to_owned();
            release.chars().all(is_plain).then_some(Self::Distribution { name, release })
        };
        match name {
            "crates.io" => Some(Self::CratesIo),
            "Go" => Some(Self::Go),
            "Maven" => Some(Self::Maven),
            "npm" => Some(Self::Npm),
            "PyPI" => Some(Self::PyPi),
            "Debian" => distribution("Debian"),
            "Ubuntu" => distribution("Ubuntu"),
            _ => None,
        }
    }

    pub(super) fn scheme(&self) -> Scheme {
        match self {
            Self::CratesIo | Self::Npm => Scheme::SemVer,
            Self::Go => Scheme::Go,
            Self::Maven => Scheme::Maven,
            Self::PyPi => Scheme::Pypi,
            Self::Distribution { .. } => Scheme::Debian,
        }
    }

    /// A package's name, written so that two spellings of one name are the same.
    pub(super) fn name(&self, name: &str) -> String {
        match self {
            Self::PyPi => pypi_name(name),
            // Package URLs have no capital letters in them.
            Self::Go => name.to_lowercase(),
            _ => name.to_owned(),
        }
    }

    /// Whether what is known of `known` holds for packages of this one: releases of Ubuntu have their kind of support behind them.
    pub(super) fn is_covered_by(&self, known: &Self) -> bool {
        match (self, known) {
            (Self::Distribution { name, release }, Self::Distribution { name: other, release: of }) => {
                let is_kind_of = of.strip_prefix(&**release).is_some_and(|rest| rest.starts_with(':'));
                name == other && (of == release || of.is_empty() || is_kind_of)
            }
            _ => self == known,
        }
    }
}

impl fmt::Display for Ecosystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CratesIo => f.write_str("crates.io"),
            Self::Go => f.write_str("Go"),
            Self::Maven => f.write_str("Maven"),
            Self::Npm => f.write_str("npm"),
            Self::PyPi => f.write_str("PyPI"),
            Self::Distribution { name, release } if release.is_empty() => f.write_str(name),
            Self::Distribution { name, release } => write!(f, "{name}:{release}"),
        }
    }
}

/// A package of an image, as advisories would name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject {
    pub(super) ecosystem: Ecosystem,
    pub(super) name: String,
    pub(super) version: String,
}

impl Subject {
    /// `None` for packages that cannot be looked up: of other kinds, or without a version.
    pub(super) fn of(purl: &Purl) -> Option<Self> {
        let version = purl.version()?;
        let whole = full_name(purl);
        let ecosystem = match purl.ty() {
            "cargo" => Ecosystem::CratesIo,
            "golang" => Ecosystem::Go,
            "maven" => Ecosystem::Maven,
            "npm" => Ecosystem::Npm,
            "pypi" => Ecosystem::PyPi,
            "deb" => return Self::of_deb(purl, version),
            _ => return None,
        };
        Some(Self { name: ecosystem.name(&whole), ecosystem, version: version.to_owned() })
    }

    /// Advisories name the source package, which the package URL has in its qualifiers.
    fn of_deb(purl: &Purl, version: &str) -> Option<Self> {
        let qualifier = |key: &str| purl.qualifiers().get(key).map(|value| &**value);
        let name = match purl.namespace()? {
            "debian" => "Debian",
            "ubuntu" => "Ubuntu",
            _ => return None,
        };
        let distro = qualifier("distro").unwrap_or_default();
        let release = distro.split_once('-').map_or("", |(_, release)| release).to_owned();
        let (source, version) = match qualifier("upstream") {
            Some(upstream) => upstream.split_once('@').unwrap_or((upstream, version)),
            None => (purl.name(), version),
        };
        Some(Self {
            ecosystem: Ecosystem::Distribution { name, release },
            name: source.to_owned(),
            version: version.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("pkg:npm/%40babel/core@7.0.0", "npm", "@babel/core", "7.0.0")]
    #[case("pkg:pypi/zope.interface@5.0", "PyPI", "zope-interface", "5.0")]
    #[case(
        "pkg:golang/github.com/masterminds/goutils@v1.1.0",
        "Go",
        "github.com/masterminds/goutils",
        "v1.1.0"
    )]
    #[case(
        "pkg:maven/org.apache.commons/commons-text@1.9",
        "Maven",
        "org.apache.commons:commons-text",
        "1.9"
    )]
    #[case("pkg:cargo/time@0.1.44", "crates.io", "time", "0.1.44")]
    #[case(
        "pkg:deb/debian/libssl3@3.0.11-1%2Bb1?distro=debian-12&upstream=openssl%403.0.11-1",
        "Debian:12",
        "openssl",
        "3.0.11-1"
    )]
    #[case("pkg:deb/debian/zlib1g@1.2?distro=debian-12&upstream=zlib", "Debian:12", "zlib", "1.2")]
    #[case("pkg:deb/ubuntu/bash@5?distro=ubuntu-22.04", "Ubuntu:22.04", "bash", "5")]
    fn of_package_urls(
        #[case] purl: &str,
        #[case] ecosystem: &str,
        #[case] name: &str,
        #[case] version: &str,
    ) {
        let subject = Subject::of(&purl.parse().unwrap()).unwrap();
        assert_eq!(
            (&*subject.ecosystem.to_string(), &*subject.name, &*subject.version),
            (ecosystem, name, version)
        );
    }

    #[rstest]
    #[case("pkg:npm/a")]
    #[case("pkg:rpm/fedora/bash@5")]
    #[case("pkg:deb/kali/bash@5")]
    #[case("pkg:oci/app@sha256:00")]
    fn others_cannot_be_looked_up(#[case] purl: &str) {
        assert_eq!(Subject::of(&purl.parse().unwrap()), None);
    }

    #[rstest]
    #[case("Debian:12", "Debian:12", true)]
    #[case("Debian:12", "Debian", true)]
    #[case("Debian:12", "Debian:11", false)]
    #[case("Debian:1", "Debian:12", false)]
    // The release is not known.
    #[case("Debian", "Debian:12", false)]
    #[case("Ubuntu:22.04", "Ubuntu:22.04:LTS", true)]
    #[case("Ubuntu:22.04", "Ubuntu:Pro:22.04:LTS", false)]
    #[case("Ubuntu:22.04", "Debian:22.04", false)]
    #[case("npm", "npm", true)]
    #[case("npm", "PyPI", false)]
    fn coverage(#[case] of: &str, #[case] by: &str, #[case] is_covered: bool) {
        let parsed = [of, by].map(|text| Ecosystem::parse(text).unwrap());
        assert_eq!(parsed[0].is_covered_by(&parsed[1]), is_covered);
        assert_eq!(parsed.map(|ecosystem| ecosystem.to_string()), [of, by]);
    }
}
