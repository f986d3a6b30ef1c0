//! One package, as a bill of materials lists it.

use std::collections::{BTreeMap, BTreeSet};

use packageurl::PackageUrl;

/// A package URL, as `pkg:npm/%40babel/core@7.24.0`: <https://github.com/package-url/purl-spec>.
pub type Purl = PackageUrl<'static>;

/// Why something cannot be listed as a package.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} cannot be named as a package: {reason}")]
pub struct InvalidPackage {
    name: String,
    reason: String,
}

/// A package that is in an image or that a lockfile names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    pub purl: Purl,
    /// In the words of its `DESCRIPTION` or manifest; no checked expressions.
    pub licenses: BTreeSet<String>,
    /// Who published it, where that is known.
    pub publisher: Option<String>,
    /// Of the package as it is distributed: SHA-256 in lowercase hexadecimal digits.
    pub sha256: Option<String>,
    /// Files that say that it is there, relative to the tree or image.
    pub found_in: BTreeSet<String>,
    /// What else is known, under names of whoever found it, as `java:shaded-into`.
    pub properties: BTreeMap<String, String>,
}

impl Package {
    /// Of a crate registry, as crates.io.
    pub fn cargo(name: &str, version: &str) -> Result<Self, InvalidPackage> {
        Self::new("cargo", None, name, Some(version))
    }

    /// `name` with its scope, as `@babel/core`.
    pub fn npm(name: &str, version: &str) -> Result<Self, InvalidPackage> {
        let (scope, name) = match name.split_once('/') {
            Some((scope, name)) => (Some(scope), name),
            None => (None, name),
        };
        Self::new("npm", scope, name, Some(version))
    }

    /// The name is normalised as Python's index does it, so that `Flask_SQLAlchemy` and `flask-sqlalchemy` are one.
    pub fn pypi(name: &str, version: &str) -> Result<Self, InvalidPackage> {
        Self::new("pypi", None, &pypi_name(name), Some(version))
    }

    /// `module` is a module path, as `golang.org/x/text`; the version has its `v`.
    pub fn golang(module: &str, version: &str) -> Result<Self, InvalidPackage> {
        let (namespace, name) = match module.rsplit_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, module),
        };
        Self::new("golang", namespace, name, Some(version))
    }

    /// Without a version where a POM leaves it to its parent.
    pub fn maven(group: &str, artifact: &str, version: Option<&str>) -> Result<Self, InvalidPackage> {
        Self::new("maven", Some(group), artifact, version)
    }

    /// A binary package of a distribution, as `debian` or `ubuntu`. `source` is the source package and its version, which
    /// advisories name.
    pub fn deb(
        distribution: &str,
        release: Option<&str>,
        name: &str,
        version: &str,
        architecture: &str,
        source: Option<(&str, Option<&str>)>,
    ) -> Result<Self, InvalidPackage> {
        let mut package = Self::new("deb", Some(distribution), name, Some(version))?;
        let mut qualifiers = vec![("arch", architecture.to_owned())];
        if let Some(release) = release {
            qualifiers.push(("distro", format!("{distribution}-{release}")));
        }
        if let Some((source, version)) = source {
            let upstream = version.map_or_else(|| source.to_owned(), |version| format!("{source}@{version}"));
            qualifiers.push(("upstream", upstream));
        }
        for (key, value) in qualifiers.into_iter().filter(|(_, value)| !value.is_empty()) {
            package.purl.add_qualifier(key, value).map_err(|error| invalid(name, &error))?;
        }
        Ok(package)
    }

    /// Whatever a package URL names.
    pub fn of(purl: Purl) -> Self {
        Self {
            purl,
            licenses: BTreeSet::new(),
            publisher: None,
            sha256: None,
            found_in: BTreeSet::new(),
            properties: BTreeMap::new(),
        }
    }

    fn new(
        kind: &'static str,
        namespace: Option<&str>,
        name: &str,
        version: Option<&str>,
    ) -> Result<Self, InvalidPackage> {
        let whole = || namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"));
        let plain = |text: &str| !text.is_empty() && !text.chars().any(|c| c.is_control() || c == ' ');
        if ![Some(name), namespace, version].into_iter().flatten().all(plain) {
            return Err(InvalidPackage {
                name: whole(),
                reason: "a part of it is empty or has blanks in it".to_owned(),
            });
        }
        let mut purl = Purl::new(kind, name.to_owned()).map_err(|error| invalid(&whole(), &error))?;
        if let Some(namespace) = namespace {
            purl.with_namespace(namespace.to_owned()).map_err(|error| invalid(&whole(), &error))?;
        }
        if let Some(version) = version {
            purl.with_version(version.to_owned()).map_err(|error| invalid(&whole(), &error))?;
        }
        // As it is read by others: not each text that may be written means the same to a reader.
        let read: Purl = purl.to_string().parse().map_err(|error| invalid(&whole(), &error))?;
        if (read.name(), read.version()) != (purl.name(), purl.version()) {
            return Err(InvalidPackage {
                name: whole(),
                reason: "its package URL would name another one".to_owned(),
            });
        }
        Ok(Self::of(read))
    }

    /// Says where it was found.
    #[must_use]
    pub fn found_in(mut self, path: impl Into<String>) -> Self {
        self.found_in.insert(path.into());
        self
    }

    #[must_use]
    pub fn licensed(mut self, license: Option<&str>) -> Self {
        let license = license.map(str::trim).filter(|license| !license.is_empty());
        self.licenses.extend(license.map(str::to_owned));
        self
    }

    /// Name in the words of its ecosystem: `@babel/core`, `golang.org/x/text`, `org.apache.commons:commons-text`.
    pub fn full_name(&self) -> String {
        full_name(&self.purl)
    }

    /// Adds what another find of the same package says.
    pub(crate) fn absorb(&mut self, other: Self) {
        // The one with more qualifiers knows the architecture and the source package.
        if other.purl.qualifiers().len() > self.purl.qualifiers().len() {
            self.purl = other.purl;
        }
        self.licenses.extend(other.licenses);
        self.publisher = self.publisher.take().or(other.publisher);
        self.sha256 = self.sha256.take().or(other.sha256);
        self.found_in.extend(other.found_in);
        for (name, value) in other.properties {
            self.properties.entry(name).or_insert(value);
        }
    }
}

/// Name of a package in the words of its ecosystem, which advisories use too.
pub fn full_name(purl: &Purl) -> String {
    match (purl.ty(), purl.namespace()) {
        // The namespace is the distribution.
        (_, None) | ("deb" | "rpm" | "apk", _) => purl.name().to_owned(),
        ("maven", Some(group)) => format!("{group}:{}", purl.name()),
        (_, Some(namespace)) => format!("{namespace}/{}", purl.name()),
    }
}

/// Name of a Python package as its index compares it: lowercase, with a single `-` for each run of `-`, `_` and `.` (PEP 503).
pub fn pypi_name(name: &str) -> String {
    let mut normalized = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if normalized.ends_with('-') => {}
            '-' | '_' | '.' => normalized.push('-'),
            c => normalized.extend(c.to_lowercase()),
        }
    }
    normalized
}

fn invalid(name: &str, error: &packageurl::Error) -> InvalidPackage {
    InvalidPackage { name: name.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_urls_are_those_that_advisories_and_other_tools_write() {
        let written = |package: Result<Package, InvalidPackage>| package.unwrap().purl.to_string();
        assert_eq!(written(Package::cargo("time", "0.1.44")), "pkg:cargo/time@0.1.44");
        assert_eq!(written(Package::npm("@babel/core", "7.24.0")), "pkg:npm/%40babel/core@7.24.0");
        assert_eq!(written(Package::pypi("Flask_SQLAlchemy", "3.1")), "pkg:pypi/flask-sqlalchemy@3.1");
        assert_eq!(
            written(Package::golang("golang.org/x/text", "v0.3.5")),
            "pkg:golang/golang.org/x/text@v0.3.5"
        );
        assert_eq!(
            written(Package::maven("org.apache.commons", "commons-text", Some("1.9"))),
            "pkg:maven/org.apache.commons/commons-text@1.9"
        );
        let source = Some(("openssl", Some("3.0.11-1~deb12u2")));
        assert_eq!(
            written(Package::deb("debian", Some("12"), "libssl3", "3.0.11-1~deb12u2+b1", "amd64", source)),
            "pkg:deb/debian/libssl3@3.0.11-1~deb12u2%2Bb1?arch=amd64&distro=debian-12&upstream=openssl%403.0.11-1~deb12u2"
        );
    }

    #[test]
    fn what_is_no_name_is_refused() {
        assert!(Package::cargo("", "1").is_err());
        assert!(Package::npm("@scope/", "1.0.0").is_err());
        assert!(Package::pypi("a b", "1").is_err());
        let error = Package::maven("org.x", "y", Some("${version}\n")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"org.x/y\" cannot be named as a package: a part of it is empty or has blanks in it"
        );
    }

    #[test]
    fn names_are_those_of_the_ecosystem() {
        let name = |purl: &str| full_name(&purl.parse().unwrap());
        assert_eq!(name("pkg:npm/%40babel/core@7"), "@babel/core");
        assert_eq!(name("pkg:golang/golang.org/x/text@v0.3.5"), "golang.org/x/text");
        assert_eq!(name("pkg:maven/org.apache.commons/commons-text@1.9"), "org.apache.commons:commons-text");
        assert_eq!(name("pkg:deb/debian/libssl3@3"), "libssl3");
    }
}
