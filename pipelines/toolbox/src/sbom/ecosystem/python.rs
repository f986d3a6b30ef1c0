//! Python: requirements, lockfiles of Poetry, uv and Pipenv, and metadata of installed packages.

use std::collections::BTreeMap;

use sbom::Package;
use serde::Deserialize;
use toml::Table;

use super::{Unreadable, named};

/// Requirements that name one version: `name[extra] == 1.0 ; marker --hash=…`. Others say nothing of what is installed.
pub(in super::super) fn requirements(text: &str) -> Vec<Package> {
    let text = text.replace("\\\r\n", " ").replace("\\\n", " ");
    named(text.lines().filter_map(|line| {
        let line = line.split(" #").next()?.trim();
        if line.starts_with(['#', '-']) {
            return None;
        }
        let requirement = line.split(';').next()?.split(" --").next()?;
        let requirement: String = requirement.split_whitespace().collect();
        let (name, version) = requirement.split_once("==")?;
        let version = version.trim_start_matches('=');
        let name = name.split('[').next()?;
        // `==1.*` and `==1.0,!=1.0.1` are ranges.
        (!version.contains(['*', ','])).then(|| Package::pypi(name, version))
    }))
}

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    /// uv leaves it out of what has none.
    version: Option<String>,
    /// uv: where it is from; Poetry: only of what is not from an index.
    #[serde(default)]
    source: Table,
}

/// `poetry.lock` and `uv.lock`, which are alike in this.
pub(in super::super) fn lock(text: &str) -> Result<Vec<Package>, Unreadable> {
    let lock: Lock = toml::from_str(text).map_err(|error| Unreadable::new(error.message()))?;
    // The project itself.
    let is_own =
        |source: &Table| ["editable", "virtual", "directory"].iter().any(|kind| source.contains_key(*kind));
    let foreign = lock.package.into_iter().filter(|locked| !is_own(&locked.source));
    Ok(named(foreign.filter_map(|locked| Some(Package::pypi(&locked.name, &locked.version?)))))
}

#[derive(Deserialize)]
struct PipfileLock {
    #[serde(default)]
    default: BTreeMap<String, Pinned>,
    #[serde(default)]
    develop: BTreeMap<String, Pinned>,
}

#[derive(Deserialize)]
struct Pinned {
    /// `==1.0`; absent of what is not from an index.
    version: Option<String>,
}

pub(in super::super) fn pipfile_lock(text: &str) -> Result<Vec<Package>, Unreadable> {
    let lock: PipfileLock = serde_json::from_str(text).map_err(Unreadable::new)?;
    let all = lock.default.into_iter().chain(lock.develop);
    Ok(named(
        all.filter_map(|(name, pinned)| Some(Package::pypi(&name, pinned.version?.trim_start_matches('=')))),
    ))
}

/// Name, version and licence of an installed package (core metadata, PEP 566): fields until the first empty line.
pub(in super::super) fn metadata(text: &str) -> Result<Vec<Package>, Unreadable> {
    let fields: Vec<(&str, &str)> = text
        .lines()
        .take_while(|line| !line.trim().is_empty())
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name, value.trim()))
        .collect();
    let field = |wanted: &str| {
        fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| *value)
    };
    let (Some(name), Some(version)) = (field("Name"), field("Version")) else {
        return Err(Unreadable::new("it has no Name and Version"));
    };
    // The field License may hold a whole text.
    let license =
        field("License-Expression").or_else(|| field("License")).filter(|license| license.len() <= 200);
    Ok(named([Package::pypi(name, version).map(|package| package.licensed(license))].into_iter()))
}
