//! Debian and those made of it: the list that dpkg keeps, and which distribution it is.

use sbom::{InvalidPackage, Package};

/// Which distribution an image has: os-release(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct OsRelease {
    id: String,
    version: Option<String>,
}

/// With dpkg and without this file it can only be guessed.
impl Default for OsRelease {
    fn default() -> Self {
        Self { id: "debian".to_owned(), version: None }
    }
}

impl OsRelease {
    pub(in super::super) fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='));
            let value = line.map(|value| value.trim().trim_matches(['"', '\'']).to_owned());
            value.filter(|value| {
                !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c))
            })
        };
        Some(Self { id: value("ID")?.to_lowercase(), version: value("VERSION_ID") })
    }
}

/// A package of dpkg's list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Installed {
    name: String,
    version: String,
    architecture: String,
    /// `name` or `name (version)`, if they are not the package's own.
    source: Option<String>,
    maintainer: Option<String>,
}

impl Installed {
    pub(in super::super) fn package(self, system: &OsRelease) -> Result<Package, InvalidPackage> {
        let source = self.source.as_deref().map(|source| match source.split_once(" (") {
            Some((name, version)) => (name, Some(version.trim_end_matches(')'))),
            None => (source, None),
        });
        let mut package = Package::deb(
            &system.id,
            system.version.as_deref(),
            &self.name,
            &self.version,
            &self.architecture,
            source,
        )?;
        package.publisher = self.maintainer;
        Ok(package)
    }
}

/// Those that are installed. A paragraph each, fields as `Name: value`; lines that begin with a blank go on with the one before.
/// Without a field `Status`, as in `status.d` of images without dpkg, it is.
pub(in super::super) fn status(text: &str) -> Vec<Installed> {
    let mut found = Vec::new();
    let mut package = Installed::default();
    let mut is_installed = true;
    for line in text.lines().chain([""]) {
        if line.trim().is_empty() {
            let complete = std::mem::take(&mut package);
            if is_installed && !complete.name.is_empty() && !complete.version.is_empty() {
                found.push(complete);
            }
            is_installed = true;
            continue;
        }
        let Some((field, value)) = line.split_once(':').filter(|_| !line.starts_with([' ', '\t'])) else {
            continue;
        };
        let value = value.trim().to_owned();
        match &*field.to_ascii_lowercase() {
            "package" => package.name = value,
            "version" => package.version = value,
            "architecture" => package.architecture = value,
            "source" => package.source = Some(value),
            "maintainer" => package.maintainer = Some(value),
            // `want flag status`, as `deinstall ok config-files` of one whose settings are left.
            "status" => is_installed = value.split_whitespace().next_back() == Some("installed"),
            _ => {}
        }
    }
    found
}
