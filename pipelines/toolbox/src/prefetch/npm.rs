//! npm: `package-lock.json`, which is changed to name the files that were fetched.

use std::fs;

use anyhow::{Context as _, bail};
use fleet::outbound::Url;
use serde_json::Value;

use super::download::{Checksum, Wanted};
use super::{Component, Fetched, SEEN_AT, Workshop, encoded};

const MAX_LOCKFILE: u64 = 128 * 1024 * 1024;
const LOCKFILES: [&str; 2] = ["npm-shrinkwrap.json", "package-lock.json"];

pub(super) async fn fetch(workshop: &Workshop<'_>) -> anyhow::Result<Fetched> {
    let name = LOCKFILES.into_iter().find(|name| workshop.folder.join(name).is_file());
    let name = name.context("there is no package-lock.json (yarn and pnpm are not supported)")?;
    let text = workshop.read(name, MAX_LOCKFILE)?;
    let mut lockfile: Value = serde_json::from_str(&text).with_context(|| format!("read {name}"))?;
    let mut found = Found::default();
    if let Some(packages) = lockfile["packages"].as_object_mut() {
        for (path, package) in packages {
            // As it may have another name than its folder.
            let named = package["name"].as_str().map(str::to_owned);
            let folder = path.rsplit_once("node_modules/").map(|(_, name)| name.to_owned());
            if let Some(package_name) = named.or(folder).filter(|_| !path.is_empty()) {
                found.add(&package_name, package).with_context(|| format!("{name}: {path}"))?;
            }
        }
    }
    // The old form, which new files have beside the new one.
    found.add_tree(&mut lockfile["dependencies"], 0).with_context(|| name.to_owned())?;
    workshop.downloads.all(found.wanted, &workshop.deps).await?;
    let mut text = serde_json::to_string_pretty(&lockfile)?;
    text.push('\n');
    fs::write(workshop.folder.join(name), text).with_context(|| format!("write {name}"))?;
    Ok(Fetched { components: found.components, ..Fetched::default() })
}

#[derive(Default)]
struct Found {
    components: Vec<Component>,
    wanted: Vec<Wanted>,
}

impl Found {
    /// Packages within packages, as the first version of the lockfile has them.
    fn add_tree(&mut self, dependencies: &mut Value, depth: usize) -> anyhow::Result<()> {
        let Some(dependencies) = dependencies.as_object_mut() else { return Ok(()) };
        if depth > 64 {
            bail!("dependencies are nested too deeply");
        }
        for (name, package) in dependencies {
            self.add(name, package).with_context(|| name.clone())?;
            if let Some(inner) = package.get_mut("dependencies") {
                self.add_tree(inner, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Takes what a registry has, and names its file here. What is part of the source or of another package stays as it is.
    fn add(&mut self, name: &str, package: &mut Value) -> anyhow::Result<()> {
        let is_part = ["link", "inBundle", "bundled"].iter().any(|flag| package[*flag] == true);
        let Some(resolved) = package["resolved"].as_str().filter(|_| !is_part) else { return Ok(()) };
        if resolved.starts_with("file:") {
            return Ok(());
        }
        let url = Url::parse(resolved).with_context(|| format!("{resolved:?} is no address"))?;
        if !["http", "https"].contains(&url.scheme()) {
            bail!("{} is a repository; only packages of a registry are fetched", fleet::redact(resolved));
        }
        let integrity = package["integrity"].as_str().context("it has no integrity")?;
        let checksum = Checksum::integrity(integrity)?;
        let version = package["version"].as_str().unwrap_or_default().to_owned();
        if !name.split('/').all(is_plain) || !is_plain(&version) {
            bail!("{name:?} in version {version:?} is no name of a package");
        }
        let file = format!("{name}/{}-{version}.tgz", name.rsplit('/').next().unwrap_or(name));
        package["resolved"] = format!("file://{SEEN_AT}/deps/npm/{file}").into();
        if !self.wanted.iter().any(|wanted| wanted.name == file) {
            let purl = format!("pkg:npm/{}@{}", name.replace('@', "%40"), encoded(&version));
            self.components.push(Component { name: name.to_owned(), version, purl });
            self.wanted.push(Wanted { url, checksum, name: file });
        }
        Ok(())
    }
}

fn is_plain(part: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+@~".contains(&byte);
    !part.is_empty() && part != "." && part != ".." && part.bytes().all(is_fine)
}
