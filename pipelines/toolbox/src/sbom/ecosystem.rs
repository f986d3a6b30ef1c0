//! What lockfiles and installed packages say, by ecosystem. Nothing here opens a file.

pub(super) mod debian;
pub(super) mod go;
pub(super) mod java;
pub(super) mod node;
pub(super) mod program;
pub(super) mod python;
pub(super) mod rust;
#[cfg(test)]
mod tests;

use sbom::{InvalidPackage, Package};

/// Why a file cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) String);

impl Unreadable {
    #[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` takes")]
    pub(super) fn new(reason: impl ToString) -> Self {
        // The first line: parsers show what they read below it.
        Self(reason.to_string().lines().next().unwrap_or_default().chars().take(300).collect())
    }
}

/// Those that can be named. A lockfile whose entry has no valid name is none that its own tool would use.
fn named(packages: impl Iterator<Item = Result<Package, InvalidPackage>>) -> Vec<Package> {
    packages.filter_map(Result::ok).collect()
}

/// Whether it can be a version at all: in lockfiles there are addresses and paths in its place.
fn is_version(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains(['/', ':'])
}
