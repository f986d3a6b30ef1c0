//! Rust: `Cargo.lock`, and what `cargo auditable` puts into programs.

use std::io::Read as _;

use flate2::read::ZlibDecoder;
use sbom::Package;
use serde::Deserialize;

use super::{Unreadable, named};

/// Of what is in a program, unpacked.
const MAX_AUDITABLE: u64 = 8 << 20;

#[derive(Deserialize)]
struct CargoLock {
    #[serde(default)]
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    /// Absent of the workspace's own, which are the image itself and not what it was made of.
    source: Option<String>,
    checksum: Option<String>,
}

/// All versions of the file format.
pub(in super::super) fn cargo_lock(text: &str) -> Result<Vec<Package>, Unreadable> {
    let lock: CargoLock = toml::from_str(text).map_err(|error| Unreadable::new(error.message()))?;
    let foreign = lock.package.into_iter().filter(|package| package.source.is_some());
    Ok(named(foreign.map(|locked| {
        let mut package = Package::cargo(&locked.name, &locked.version)?;
        package.sha256 = locked.checksum.filter(|checksum| checksum.len() == 64);
        Ok(package)
    })))
}

#[derive(Deserialize)]
struct Auditable {
    packages: Vec<Linked>,
}

#[derive(Deserialize)]
struct Linked {
    name: String,
    version: String,
    #[serde(default)]
    source: String,
    /// `build` of what only took part in the build.
    #[serde(default)]
    kind: Option<String>,
}

/// The content of the section `.dep-v0`: JSON, packed by zlib.
pub(in super::super) fn auditable(section: &[u8]) -> Result<Vec<Package>, Unreadable> {
    let mut json = Vec::new();
    ZlibDecoder::new(section).take(MAX_AUDITABLE).read_to_end(&mut json).map_err(Unreadable::new)?;
    let audit: Auditable = serde_json::from_slice(&json).map_err(Unreadable::new)?;
    let linked = audit
        .packages
        .into_iter()
        .filter(|package| package.source != "local" && package.kind.as_deref() != Some("build"));
    Ok(named(linked.map(|package| Package::cargo(&package.name, &package.version))))
}
