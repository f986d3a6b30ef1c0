//! `prefetch`: gets what a build depends on, so that it needs no network.
//!
//! ```text
//! --input ─▶ packages ─▶ lockfile of each ─▶ downloads, each by its checksum ─▶ output/deps/<kind>/…
//!                              └─▶ names and versions ─▶ output/bom.json         cachi2.env: where tools find them
//! ```
//! What has no checksum in its lockfile is not fetched: nobody could tell whether it is what was meant. Where a tool cannot be
//! told by its environment, its files in the source are changed, as `package-lock.json`.

mod cargo;
mod download;
mod generic;
mod gomod;
mod input;
mod npm;
mod pip;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use download::Downloads;
use input::{Kind, Package};
use serde_json::{Value, json};

use crate::build::inside;
use crate::context::{Context, Flag, bound, say};

/// Where a build sees the output.
const SEEN_AT: &str = "/cachi2/output";

/// Gets what a build depends on.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of a package manager, or JSON: `{"type": "pip", "path": "."}`, a list of such, or `{"packages": […]}`.
    #[arg(long, default_value = "")]
    input: String,
    /// The checkout.
    #[arg(long, value_name = "DIR")]
    source: PathBuf,
    /// Gets `output/` and `cachi2.env`.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Of the original task, for package managers that are not finished there. There are none here.
    #[arg(long, default_value = "false", value_name = "BOOL")]
    dev_package_managers: Flag,
    /// `debug` names each file.
    #[arg(long, default_value = "info")]
    log_level: String,
    /// Of the original task, for dependencies that are repositories.
    #[arg(long, value_name = "DIR")]
    git_basic_auth: Option<std::ffi::OsString>,
    #[command(flatten)]
    indexes: Indexes,
}

/// Where packages are looked up whose lockfiles do not say it.
#[derive(Clone, Debug, clap::Args)]
pub struct Indexes {
    /// Index of Python packages (PEP 503).
    #[arg(long, env = "PIP_INDEX_URL", default_value = "", value_name = "URL")]
    pip_index: String,
    /// Index of crates, in the sparse form.
    #[arg(long, env = "CARGO_INDEX_URL", default_value = "", value_name = "URL")]
    cargo_index: String,
    /// Proxy of Go modules.
    #[arg(long, env = "GOPROXY", default_value = "", value_name = "URL")]
    go_proxy: String,
}

/// What was fetched for one package.
#[derive(Debug, Default)]
struct Fetched {
    components: Vec<Component>,
    /// What tools are told by their environment. Values may contain [`SEEN_AT`].
    environment: BTreeMap<&'static str, String>,
}

/// A dependency, for the SBOM.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Component {
    name: String,
    version: String,
    purl: String,
}

/// What a package manager's module works with.
struct Workshop<'a> {
    /// Folder of the package within the source.
    folder: PathBuf,
    package: &'a Package,
    downloads: &'a Downloads<'a>,
    indexes: &'a Indexes,
    /// `output/deps/<kind>`.
    deps: PathBuf,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    if args.input.trim().is_empty() {
        say("No input: nothing is prefetched");
        return Ok(());
    }
    if args.dev_package_managers.0 {
        say("All package managers that there are here are finished: dev-package-managers changes nothing");
    }
    if bound(args.git_basic_auth.clone().map(PathBuf::from)).is_some() {
        say("Dependencies that are repositories are not supported: the login for git is not used");
    }
    let packages = input::parse(&args.input).context("--input")?;
    let source = args.source.canonicalize().with_context(|| format!("open {}", args.source.display()))?;
    let output = args.output.join("output");
    fs::create_dir_all(&output).with_context(|| format!("create {}", output.display()))?;
    let downloads = Downloads::new(context, args.log_level == "debug");
    let mut all = Fetched::default();
    for package in &packages {
        let path = Path::new(&package.path);
        let folder = inside(&source, path)?.filter(|folder| folder.is_dir());
        let folder = folder.with_context(|| format!("--input: the source has no folder {}", package.path))?;
        let deps = output.join("deps").join(package.kind.name());
        fs::create_dir_all(&deps)?;
        let workshop = Workshop { folder, package, downloads: &downloads, indexes: &args.indexes, deps };
        let what = || format!("prefetch {} of {}", package.kind.name(), package.path);
        let fetched = fetch(&workshop).await.with_context(what)?;
        say(&format!(
            "{} of {}: {} dependencies",
            package.kind.name(),
            package.path,
            fetched.components.len()
        ));
        all.components.extend(fetched.components);
        all.environment.extend(fetched.environment);
    }
    all.components.sort();
    all.components.dedup();
    fs::write(output.join("bom.json"), serde_json::to_vec_pretty(&bom(&all.components))?)?;
    let lines = all.environment.iter().map(|(name, value)| format!("export {name}={value}\n"));
    fs::write(args.output.join("cachi2.env"), lines.collect::<String>())?;
    Ok(())
}

async fn fetch(workshop: &Workshop<'_>) -> anyhow::Result<Fetched> {
    match workshop.package.kind {
        Kind::Cargo => cargo::fetch(workshop).await,
        Kind::Generic => generic::fetch(workshop).await,
        Kind::Gomod => gomod::fetch(workshop).await,
        Kind::Npm => npm::fetch(workshop).await,
        Kind::Pip => pip::fetch(workshop).await,
    }
}

impl Workshop<'_> {
    /// A file of the package that has to be there.
    fn read(&self, name: &str, limit: u64) -> anyhow::Result<String> {
        let Some(path) = inside(&self.folder, Path::new(name))?.filter(|path| path.is_file()) else {
            bail!("there is no {name}");
        };
        let size = path.metadata()?.len();
        anyhow::ensure!(size <= limit, "{name} is larger than {limit} bytes");
        fs::read_to_string(&path).with_context(|| format!("read {name}"))
    }
}

/// A CycloneDX document of what was fetched, which the SBOM of the image takes over.
fn bom(components: &[Component]) -> Value {
    let components: Vec<_> = components
        .iter()
        .map(|component| {
            json!({
                "type": "library", "name": component.name, "version": component.version, "purl": component.purl,
                "properties": [{"name": "cachi2:found_by", "value": "cachi2"}],
            })
        })
        .collect();
    json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": components})
}

/// As a part of a package URL.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.extend(["%", &data_encoding::HEXUPPER.encode(&[byte])]);
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
