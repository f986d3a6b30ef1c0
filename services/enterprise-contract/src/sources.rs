//! Where rules and data come from.
//!
//! ```text
//! URL ─▶ Location ─┬─ git::https://…//folder?ref=…   program git, crates/git       pinned by the commit
//!                  ├─ oci::host/repository:tag       registry, a layer per file    pinned by the digest
//!                  ├─ https://…                      archive or file               pinned by the checksum
//!                  └─ file::folder                   this machine's, if permitted
//!        Sources ─▶ Fetched (files in memory) ─▶ Group: modules, and data merged to one document
//! ```
//! Nothing is written to disk, and no more is kept than [`Local`] says. Only files are read that are rules or
//! data by their names. Each URL is fetched once by a [`Sources`], whoever asks for it, and however it ended.

mod archive;
mod bundle;
mod data;
mod error;
mod folder;
mod location;
mod web;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use enterprise_contract_api::policy::Source;
use fleet::outbound;
use git::{Git, Limits};
use parking_lot::Mutex;
use registry::Keychain;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

pub use data::merge;
pub use error::Error;

use self::archive::Space;
use self::location::Location;
use crate::rego::Module;

const MIB: u64 = 1024 * 1024;
/// Bytes that one URL may take to transfer. A Git server that cannot leave files out sends all that it has.
const MAX_TRANSFER: u64 = 256 * MIB;
/// Files of one URL.
const MAX_FILES: usize = 10_000;
/// Of one URL.
const TIMEOUT: Duration = Duration::from_mins(2);
/// Key under which `ruleData` of a source is in the data.
const RULE_DATA: &str = "rule_data__configuration__";

/// Whether URLs may name files of this machine, and how much of it they may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// As for a user at a prompt: 64 MiB of files for each URL, and 512 MiB in all.
    Allowed,
    /// As for a service, whose files are nobody's business, and whose memory is everybody's: 16 MiB for each URL, and 64 MiB
    /// in all.
    Refused,
}

impl Local {
    /// Bytes of the files of one URL.
    fn of_one(self) -> u64 {
        match self {
            Self::Allowed => 64 * MIB,
            Self::Refused => 16 * MIB,
        }
    }

    /// Bytes of the files of all URLs.
    fn of_all(self) -> u64 {
        match self {
            Self::Allowed => 512 * MIB,
            Self::Refused => 64 * MIB,
        }
    }
}

/// Fetches sources. Cheap to clone; clones share what was fetched.
#[derive(Clone, Debug)]
pub struct Sources(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    outbound: outbound::Client,
    git: Git,
    registry: registry::Client,
    keychain: Arc<Keychain>,
    local: Local,
    /// What all URLs may still take.
    space: Mutex<Space>,
    fetched: Mutex<HashMap<String, Once>>,
}

type Once = Arc<OnceCell<Result<Arc<Fetched>, Error>>>;

/// What a URL led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// As it was asked for.
    pub url: String,
    /// The same, for exactly this content.
    pub pinned: String,
    /// Paths, relative to what the URL names, and contents; by path. Rego, JSON and YAML only.
    pub files: Vec<(String, Vec<u8>)>,
}

/// The rules and the data of a source of a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    pub modules: Vec<Module>,
    /// With `ruleData` of the source.
    pub data: Value,
    /// What was read, rules before data.
    pub urls: Vec<Resolved>,
}

/// A URL of a policy, and what it led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    pub url: String,
    pub pinned: String,
}

impl Resolved {
    /// The commit, digest or checksum. Absent for files of this machine.
    pub fn revision(&self) -> Option<&str> {
        let named = ["?ref=", "checksum="].iter().find_map(|name| self.pinned.rsplit_once(name));
        let digest = || self.pinned.rsplit_once('@').filter(|(_, digest)| digest.starts_with("sha256:"));
        named.or_else(digest).map(|(_, revision)| revision)
    }
}

impl Sources {
    pub fn new(
        outbound: outbound::Client,
        registry: registry::Client,
        keychain: Arc<Keychain>,
        local: Local,
    ) -> Self {
        let git = Git::new(outbound.clone());
        let space = Mutex::new(Space::new(local.of_all()));
        Self(Arc::new(Inner { outbound, git, registry, keychain, local, space, fetched: Mutex::default() }))
    }

    /// The files that a URL leads to.
    pub async fn fetch(&self, url: &str) -> Result<Arc<Fetched>, Error> {
        let once = Arc::clone(self.0.fetched.lock().entry(url.to_owned()).or_default());
        once.get_or_init(|| async {
            let late = |_| Error::unreachable(url, format!("not finished within {TIMEOUT:?}"), true);
            tokio::time::timeout(TIMEOUT, self.0.fetch(url)).await.map_err(late)?.map(Arc::new)
        })
        .await
        .clone()
    }

    /// All of a source: its rules, its data, and its `ruleData`. A URL that is named twice counts once.
    pub async fn group(&self, source: &Source) -> Result<Group, Error> {
        let rules = self.fetch_all(&source.policy).await?;
        let mut modules = Vec::new();
        for fetched in &rules {
            modules.extend(fetched.modules()?);
        }
        let data = self.fetch_all(&source.data).await?;
        let rule_data = source.rule_data.as_ref().map(|rule_data| json!({ RULE_DATA: rule_data }));
        let merged = merge(&data, rule_data)?;
        let resolved =
            |fetched: &Arc<Fetched>| Resolved { url: fetched.url.clone(), pinned: fetched.pinned.clone() };
        Ok(Group { modules, data: merged, urls: rules.iter().chain(&data).map(resolved).collect() })
    }

    async fn fetch_all(&self, urls: &[String]) -> Result<Vec<Arc<Fetched>>, Error> {
        let is_first = |(at, url): &(usize, &String)| !urls[..*at].contains(url);
        let distinct: Vec<_> =
            urls.iter().enumerate().filter(is_first).map(|(_, url)| self.fetch(url)).collect();
        futures::future::try_join_all(distinct).await
    }
}

impl Inner {
    async fn fetch(&self, url: &str) -> Result<Fetched, Error> {
        let location = Location::parse(url)?;
        let limit = self.local.of_one();
        let (pinned, mut files) = match &location {
            Location::Git { url: repository, folder, revision } => {
                let limits = Limits { timeout: TIMEOUT, transfer: MAX_TRANSFER, content: limit };
                let tree = self.git.tree(repository, revision.as_deref(), folder, is_wanted, limits).await;
                let tree =
                    tree.map_err(|error| Error::unreachable(url, error.to_string(), error.is_transient()))?;
                (location::pinned_git(repository, folder, &tree.commit), tree.files)
            }
            Location::Bundle(reference) => {
                bundle::fetch(url, reference, limit, &self.registry, &self.keychain).await?
            }
            Location::Web { url: address, folder, checksum } => {
                web::fetch(url, address, folder, checksum.as_deref(), limit, &self.outbound).await?
            }
            Location::Folder(path) if self.local == Local::Allowed => {
                (url.to_owned(), folder::read(url, path, limit).await?)
            }
            Location::Folder(_) => {
                return Err(Error::invalid(
                    url,
                    "files of this program's own machine are not read; name an address",
                ));
            }
        };
        if files.len() > MAX_FILES {
            return Err(Error::unreachable(url, format!("it has more than {MAX_FILES} files"), false));
        }
        let size = files.iter().map(|(_, content)| content.len() as u64).sum();
        let taken = self.space.lock().take(size);
        taken.map_err(|why| Error::unreachable(url, format!("with the sources before it, {why}"), false))?;
        files.sort_unstable();
        Ok(Fetched { url: url.to_owned(), pinned, files })
    }
}

impl Fetched {
    /// Its rules, their tests included. None at all is an error.
    pub fn modules(&self) -> Result<Vec<Module>, Error> {
        let rego = self.files.iter().filter(|(path, _)| is_rego(path));
        let modules = rego.map(|(path, content)| {
            let text = String::from_utf8(content.clone())
                .map_err(|_| Error::content(&self.url, path, "it is not text in UTF-8"))?;
            Ok(Module { path: self.shown(path), text })
        });
        let modules: Vec<_> = modules.collect::<Result<_, Error>>()?;
        if modules.is_empty() {
            return Err(Error::NoRego { url: self.url.clone(), hint: location::scheme_less(&self.url) });
        }
        Ok(modules)
    }

    /// A file's path as errors name it: where a person finds it.
    fn shown(&self, path: &str) -> String {
        match Location::parse(&self.url) {
            Ok(Location::Folder(folder)) if folder.is_file() => folder.display().to_string(),
            Ok(Location::Folder(folder)) => folder.join(path).display().to_string(),
            _ => format!("{}#{path}", self.url),
        }
    }
}

/// Whether a file is one of rules or of data.
fn is_wanted(path: &str) -> bool {
    is_rego(path) || is_data(path)
}

pub(crate) fn is_rego(path: &str) -> bool {
    has_extension(path, &["rego"])
}

fn is_data(path: &str) -> bool {
    has_extension(path, &["json", "yaml", "yml"])
}

/// In small letters only, as for OPA.
fn has_extension(path: &str, extensions: &[&str]) -> bool {
    path.rsplit_once('.').is_some_and(|(name, extension)| !name.is_empty() && extensions.contains(&extension))
}

#[cfg(test)]
mod tests;
