//! Node: lockfiles of npm, Yarn and pnpm, and `package.json` of installed packages.

use std::collections::BTreeMap;

use sbom::Package;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{Unreadable, is_version, named};

/// Entries of a lockfile with this format that are looked at, at any depth.
const MAX_NESTED: usize = 500_000;

#[derive(Deserialize)]
struct PackageLock {
    /// Versions 2 and 3: by the folder that it is in, as `node_modules/a/node_modules/b`.
    #[serde(default)]
    packages: Option<BTreeMap<String, Entry>>,
    /// Versions 1 and 2: by name.
    #[serde(default)]
    dependencies: BTreeMap<String, Nested>,
}

#[derive(Deserialize)]
struct Entry {
    /// If it is not that of the folder.
    name: Option<String>,
    version: Option<String>,
    #[serde(default)]
    link: bool,
}

#[derive(Deserialize)]
struct Nested {
    #[serde(default)]
    version: String,
    #[serde(default)]
    dependencies: BTreeMap<String, Nested>,
}

/// Versions 1 to 3.
pub(in super::super) fn package_lock(text: &str) -> Result<Vec<Package>, Unreadable> {
    let lock: PackageLock = serde_json::from_str(text).map_err(Unreadable::new)?;
    let Some(packages) = lock.packages else {
        return Ok(named(flat(lock.dependencies).iter().map(|(name, version)| Package::npm(name, version))));
    };
    let entries = packages.into_iter().filter_map(|(folder, entry)| {
        // Others are the project's own.
        let (_, name) = folder.rsplit_once("node_modules/")?;
        let version = entry.version.filter(|version| !entry.link && is_version(version))?;
        Some(Package::npm(entry.name.as_deref().unwrap_or(name), &version))
    });
    Ok(named(entries))
}

fn flat(dependencies: BTreeMap<String, Nested>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut waiting: Vec<(String, Nested)> = dependencies.into_iter().rev().collect();
    while let Some((name, nested)) = waiting.pop() {
        waiting.extend(nested.dependencies.into_iter().rev());
        // `npm:other@1.0.0` is another package under this name.
        let aliased = nested.version.strip_prefix("npm:").and_then(|other| other.rsplit_once('@'));
        let (name, version) = match aliased {
            Some((other, version)) => (other.to_owned(), version.to_owned()),
            None => (name, nested.version),
        };
        if is_version(&version) && found.len() < MAX_NESTED {
            found.push((name, version));
        }
    }
    found
}

/// Of Yarn 1, which has a format of its own, and of later ones, whose YAML is the same to a reader of lines.
pub(in super::super) fn yarn_lock(text: &str) -> Vec<Package> {
    let mut found: Vec<(String, Option<String>)> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if !line.starts_with(' ') {
            found.push((described(line).unwrap_or_default(), None));
            continue;
        }
        let Some((name, version)) = found.last_mut() else { continue };
        // Of an entry itself, not of what it depends on.
        let Some(field) = line.strip_prefix("  ").filter(|field| !field.starts_with(' ')) else { continue };
        if let Some(value) = value(field, "version") {
            *version = Some(value.to_owned());
        }
        // The package's own name, where the entry has another.
        if let Some((own, kind)) = value(field, "resolution").and_then(|resolution| split(resolution)) {
            own.clone_into(name);
            if !kind.starts_with("npm:") {
                name.clear();
            }
        }
    }
    let versioned = found.iter().filter_map(|(name, version)| Some((name, version.as_deref()?)));
    named(
        versioned
            .filter(|(_, version)| is_version(version))
            .map(|(name, version)| Package::npm(name, version)),
    )
}

/// `"@babel/core@^7.0.0", "@babel/core@^7.1.0":` describes `@babel/core`, `"a@npm:b@1":` describes `b`.
fn described(line: &str) -> Option<String> {
    let first = line.trim_end().trim_end_matches(':').split(',').next()?.trim().trim_matches('"');
    let (name, range) = split(first)?;
    let aliased = range.strip_prefix("npm:").and_then(|other| split(other));
    Some(aliased.map_or(name, |(other, _)| other).to_owned())
}

/// At the `@` behind the name: a scope begins with one, too.
fn split(descriptor: &str) -> Option<(&str, &str)> {
    let at = descriptor.get(1..)?.find('@')? + 1;
    Some((&descriptor[..at], &descriptor[at + 1..]))
}

/// `version "1.0.0"` and `version: 1.0.0`.
fn value<'a>(field: &'a str, key: &str) -> Option<&'a str> {
    let rest = field.strip_prefix(key)?;
    let value = rest.strip_prefix(':').or_else(|| rest.strip_prefix(' '))?;
    Some(value.trim().trim_matches('"'))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PnpmLock {
    /// A number until 5, a text since.
    #[serde(default)]
    lockfile_version: Option<Value>,
    #[serde(default)]
    #[expect(
        clippy::zero_sized_map_values,
        reason = "in the file it is a map, of which only the keys are of use"
    )]
    packages: Option<BTreeMap<String, IgnoredAny>>,
}

/// Versions 5 to 9.
pub(in super::super) fn pnpm_lock(text: &str) -> Result<Vec<Package>, Unreadable> {
    let lock: PnpmLock = serde_saphyr::from_str(text).map_err(Unreadable::new)?;
    let version = match lock.lockfile_version {
        Some(Value::String(version)) => version.parse().unwrap_or(9.0),
        Some(Value::Number(version)) => version.as_f64().unwrap_or(9.0),
        _ => 9.0,
    };
    let keys = lock.packages.unwrap_or_default().into_keys();
    let packages = keys.filter_map(|key| {
        let key = key.strip_prefix('/').unwrap_or(&key);
        let (name, version) = if version < 6.0 {
            // `name/1.0.0_peer@2.0.0`: the name may have a scope, the version no slash, the peers may.
            let at =
                key.strip_prefix('@').map_or(0, |rest| rest.find('/').map_or(key.len(), |slash| slash + 2));
            let slash = key.get(at..)?.find('/')? + at;
            (&key[..slash], key[slash + 1..].split('_').next()?)
        } else {
            let (name, version) = split(key)?;
            (name, version.split('(').next()?)
        };
        is_version(version).then(|| Package::npm(name, version))
    });
    Ok(named(packages))
}

#[derive(Deserialize)]
struct Installed {
    name: Option<String>,
    version: Option<String>,
    /// A name, or an object of old ones.
    #[serde(default)]
    license: Value,
}

/// Packages without name or version are parts of others.
pub(in super::super) fn package_json(text: &str) -> Result<Vec<Package>, Unreadable> {
    let installed: Installed = serde_json::from_str(text).map_err(Unreadable::new)?;
    let (Some(name), Some(version)) = (installed.name, installed.version) else { return Ok(Vec::new()) };
    let license = installed.license.as_str().or_else(|| installed.license["type"].as_str());
    Ok(named([Package::npm(&name, &version).map(|package| package.licensed(license))].into_iter()))
}
