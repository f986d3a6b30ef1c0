//! Cargo: `Cargo.lock`. Crates become a folder of vendored sources, which a setting in the source names.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use fleet::outbound::Url;
use serde::Deserialize;
use serde_json::{Value, json};

use super::download::{Checksum, Wanted, index};
use super::{Component, Fetched, SEEN_AT, Workshop, encoded};
use crate::archive::{self, Limits};

const MAX_LOCKFILE: u64 = 32 * 1024 * 1024;
const CONFIG: &str = ".cargo/config.toml";
/// How lockfiles name the registry of the Rust project.
const DEFAULT_REGISTRY: &str = "crates.io-index";

/// A crate of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Crate {
    name: String,
    version: String,
    /// Hexadecimal SHA-256.
    checksum: String,
    /// As the lockfile names it.
    registry: String,
}

/// What an index says of its registry.
#[derive(Deserialize)]
struct Settings {
    dl: String,
}

pub(super) async fn fetch(workshop: &Workshop<'_>) -> anyhow::Result<Fetched> {
    let crates = parse(&workshop.read("Cargo.lock", MAX_LOCKFILE)?).context("Cargo.lock")?;
    let mut registries: Vec<_> = crates.iter().map(|one| one.registry.as_str()).collect();
    registries.sort_unstable();
    registries.dedup();
    let packed = tempfile::tempdir_in(&workshop.deps)?;
    for registry in &registries {
        let template = template(workshop, registry).await.with_context(|| format!("registry {registry}"))?;
        let wanted = crates
            .iter()
            .filter(|one| one.registry == *registry)
            .map(|one| one.wanted(&template))
            .collect::<anyhow::Result<_>>()?;
        workshop.downloads.all(wanted, packed.path()).await?;
    }
    for one in &crates {
        let folder = one.folder();
        archive::unpack(&packed.path().join(&folder), &workshop.deps, Limits::default())
            .with_context(|| format!("unpack {folder}"))?;
        // What vendored sources have to have.
        let checksum = json!({"files": {}, "package": one.checksum});
        fs::write(workshop.deps.join(&folder).join(".cargo-checksum.json"), checksum.to_string())?;
    }
    configure(&workshop.folder, &registries)?;
    let components = crates.into_iter().map(Crate::component).collect();
    Ok(Fetched { components, ..Fetched::default() })
}

/// Where the registry's crates are, with `{crate}` and `{version}` in it.
async fn template(workshop: &Workshop<'_>, registry: &str) -> anyhow::Result<String> {
    let url = match registry.strip_prefix("sparse+") {
        Some(url) => url,
        None if registry.ends_with(DEFAULT_REGISTRY) => &workshop.indexes.cargo_index,
        None => bail!("only registries with a sparse index are supported"),
    };
    let index = index(url, "index of crates", "set CARGO_INDEX_URL for the step")?;
    let settings = workshop.downloads.ask(index.join("config.json")?, "application/json").await?;
    let settings: Settings = serde_json::from_slice(&settings.context("there is no config.json")?)?;
    let is_template = settings.dl.contains("{crate}");
    Ok(if is_template { settings.dl } else { format!("{}/{{crate}}/{{version}}/download", settings.dl) })
}

/// Has cargo take crates from the folder instead of their registries.
fn configure(folder: &Path, registries: &[&str]) -> anyhow::Result<()> {
    let path = folder.join(CONFIG);
    // A link may lead anywhere.
    let before = match path.symlink_metadata() {
        Ok(file) if file.is_file() => fs::read_to_string(&path).with_context(|| format!("read {CONFIG}"))?,
        Ok(_) => bail!("{CONFIG} is no file"),
        Err(_) => String::new(),
    };
    ensure!(
        !before.contains("[source."),
        "{CONFIG} sets sources of its own; they cannot be used without network"
    );
    let mut text = format!("{before}\n[source.prefetched]\ndirectory = \"{SEEN_AT}/deps/cargo\"\n");
    for registry in registries {
        let source = if registry.ends_with(DEFAULT_REGISTRY) {
            "[source.crates-io]\n".to_owned()
        } else {
            format!("[source.{registry:?}]\nregistry = {registry:?}\n")
        };
        text.extend(["\n", &source, "replace-with = \"prefetched\"\n"]);
    }
    let parent = folder.join(".cargo");
    if parent.symlink_metadata().is_err() {
        fs::create_dir(&parent)?;
    }
    ensure!(parent.symlink_metadata()?.is_dir(), ".cargo is no folder");
    fs::write(&path, text).with_context(|| format!("write {CONFIG}"))
}

impl Crate {
    fn folder(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }

    fn wanted(&self, template: &str) -> anyhow::Result<Wanted> {
        let lower = self.name.to_lowercase();
        let url = template
            .replace("{crate}", &self.name)
            .replace("{version}", &self.version)
            .replace("{prefix}", &prefix(&self.name))
            .replace("{lowerprefix}", &prefix(&lower))
            .replace("{sha256-checksum}", &self.checksum);
        Ok(Wanted {
            url: Url::parse(&url).with_context(|| format!("{url:?} is no address"))?,
            checksum: Checksum::parse(&format!("sha256:{}", self.checksum))?,
            name: self.folder(),
        })
    }

    fn component(self) -> Component {
        let purl = format!("pkg:cargo/{}@{}", self.name, encoded(&self.version));
        Component { name: self.name, version: self.version, purl }
    }
}

/// The folders that an index has a crate of this name in.
fn prefix(name: &str) -> String {
    match name.len() {
        0..=2 => name.len().to_string(),
        3 => format!("3/{}", &name[..1]),
        _ => format!("{}/{}", &name[..2], &name[2..4]),
    }
}

/// The crates of registries. Those of the source itself are left out. Of the format of the file only what cargo writes is read.
fn parse(text: &str) -> anyhow::Result<Vec<Crate>> {
    let mut crates = Vec::new();
    for block in text.split("[[package]]").skip(1) {
        let block = block.split("\n[").next().unwrap_or_default();
        let field = |name: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "))?;
            serde_json::from_str::<Value>(line.trim()).ok()?.as_str().map(str::to_owned)
        };
        let (Some(name), Some(version)) = (field("name"), field("version")) else {
            bail!("it has a package without a name or a version");
        };
        let is_fine = |text: &str| {
            let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.+".contains(&byte);
            !text.is_empty() && text.bytes().all(fine) && !text.contains("..")
        };
        ensure!(is_fine(&name) && is_fine(&version), "{name:?} in version {version:?} is no name of a crate");
        let Some(registry) = field("source") else { continue };
        ensure!(
            !registry.starts_with("git+"),
            "{name} is a repository; only crates of a registry are fetched"
        );
        let checksum = field("checksum").with_context(|| format!("{name} {version} has no checksum"))?;
        crates.push(Crate { name, version, checksum, registry });
    }
    Ok(crates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_crates_of_registries() {
        let text = "version = 4\n\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\ndependencies = [\n \"one\",\n]\n\n\
                    [[package]]\nname = \"one\"\nversion = \"1.0.0+x\"\nsource = \"registry+https://git.test/crates.io-index\"\nchecksum = \"ab\"\n\n[metadata]\nname = \"x\"\n";
        let crates = parse(text).unwrap();
        assert_eq!(crates.len(), 1);
        assert_eq!(crates[0].folder(), "one-1.0.0+x");
        assert_eq!(crates[0].clone().component().purl, "pkg:cargo/one@1.0.0%2Bx");
        for (text, expected) in [
            ("[[package]]\nname = \"a\"\nversion = \"1\"\nsource = \"git+https://x\"\n", "repository"),
            ("[[package]]\nname = \"a\"\nversion = \"1\"\nsource = \"registry+x\"\n", "no checksum"),
            ("[[package]]\nname = \"../a\"\nversion = \"1\"\n", "no name of a crate"),
            ("[[package]]\n", "without a name"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn templates_of_registries() {
        assert_eq!(["a", "ab", "abc", "abcd"].map(prefix), ["1", "2", "3/a", "ab/cd"]);
    }

    #[test]
    fn settings_are_added_to_those_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".cargo")).unwrap();
        fs::write(folder.path().join(CONFIG), "[build]\njobs = 1\n").unwrap();
        configure(folder.path(), &["registry+https://x/crates.io-index", "sparse+https://y/"]).unwrap();
        let text = fs::read_to_string(folder.path().join(CONFIG)).unwrap();
        assert!(text.starts_with("[build]\njobs = 1\n"), "{text}");
        assert!(text.contains("[source.crates-io]\nreplace-with"), "{text}");
        assert!(
            text.contains("[source.\"sparse+https://y/\"]\nregistry = \"sparse+https://y/\"\n"),
            "{text}"
        );
        let error = configure(folder.path(), &[]).unwrap_err().to_string();
        assert!(error.contains("sources of its own"), "{error}");
    }
}
