//! Fetches roots of trust from a mirror, by The Update Framework (specification 1.0, section 5).
//!
//! ```text
//!   root.json (trusted) ─▶ N.root.json … each signed by the one before ─▶ timestamp ─▶ snapshot ─▶ targets ─▶ files
//! ```
//! The folder that results is what [`Roots::read`](crate::roots::Roots::read) reads. Whoever has the mirror, but not its keys, can
//! neither change a file, nor bring back an old one, nor hold back new ones for longer than the timestamp lasts.

mod folder;
mod metadata;

use std::path::PathBuf;

use fleet::outbound;
use http::StatusCode;
use jiff::Timestamp;
use url::Url;

use folder::Folder;
use metadata::{Metadata, Role, Root, Snapshot, Targets, TimestampRole, Verified};

/// New versions of the root in one go.
const MAX_ROOTS: u64 = 256;
/// Of each kind of file, in bytes.
const MAX_ROOT: u64 = 512 * 1024;
const MAX_TIMESTAMP: u64 = 16 * 1024;
const MAX_SNAPSHOT: u64 = 2 * 1024 * 1024;
const MAX_TARGETS: u64 = 4 * 1024 * 1024;
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// A mirror and the folder (`TUF_ROOT`) that is filled from it.
pub struct Client {
    outbound: outbound::Client,
    mirror: Url,
    folder: Folder,
}

/// What the folder holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Updated {
    /// Version of the root that signs for the rest.
    pub root_version: u64,
    /// Names below `targets`.
    pub files: Vec<String>,
}

/// Why the folder is as it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("TUF mirror {mirror}")]
    Call { mirror: String, source: outbound::Error },
    #[error("TUF mirror {mirror}: {file}: {reason}")]
    Refused { mirror: String, file: String, reason: String },
    #[error("{path}", path = path.display())]
    Folder { path: PathBuf, source: std::io::Error },
}

impl Client {
    pub fn new(outbound: outbound::Client, mirror: Url, directory: PathBuf) -> Self {
        Self { outbound, mirror, folder: Folder::new(directory) }
    }

    /// Brings the folder up to date.
    ///
    /// What is trusted to begin with is the root in the folder; else `root`, the content of a `root.json` from somewhere safe;
    /// else, if that is `None`, the mirror's first one: whoever has the mirror at that moment is believed.
    pub async fn update(&self, root: Option<&[u8]>, now: Timestamp) -> Result<Updated, Error> {
        let root = self.root(root, now).await?;
        let timestamp = self.get("timestamp.json", MAX_TIMESTAMP).await?;
        let timestamp: Verified<TimestampRole> = self.checked("timestamp.json", &timestamp, &root, now)?;
        self.not_older("timestamp.json", &timestamp, &root)?;

        let entry = timestamp.signed.meta.get("snapshot.json").ok_or_else(|| self.absent("snapshot.json"))?;
        let content = self.get(&versioned(&root, entry.version, "snapshot.json"), MAX_SNAPSHOT).await?;
        entry.check(&content).map_err(|reason| self.refused("snapshot.json", reason))?;
        let snapshot: Verified<Snapshot> = self.checked("snapshot.json", &content, &root, now)?;
        if snapshot.signed.version != entry.version {
            return Err(self.refused("snapshot.json", "it is of another version than the timestamp says"));
        }
        self.not_older("snapshot.json", &snapshot, &root)?;

        let entry = snapshot.signed.meta.get("targets.json").ok_or_else(|| self.absent("targets.json"))?;
        let content = self.get(&versioned(&root, entry.version, "targets.json"), MAX_TARGETS).await?;
        entry.check(&content).map_err(|reason| self.refused("targets.json", reason))?;
        let targets: Verified<Targets> = self.checked("targets.json", &content, &root, now)?;
        if targets.signed.version != entry.version {
            return Err(self.refused("targets.json", "it is of another version than the snapshot says"));
        }
        self.not_older("targets.json", &targets, &root)?;

        let mut files = Vec::new();
        for (name, target) in targets.signed.files.iter().filter(|(name, _)| is_root_of_trust(name)) {
            let place = if root.signed.consistent_snapshot {
                let hash = target.hashes.first().ok_or_else(|| self.refused(name, "it has no digest"))?;
                format!("targets/{hash}.{name}")
            } else {
                format!("targets/{name}")
            };
            let content = self.get(&place, MAX_FILE).await?;
            target.check(&content).map_err(|reason| self.refused(name, reason))?;
            files.push((name.clone(), content));
        }
        if files.is_empty() {
            return Err(self.refused(
                "targets.json",
                "it lists no trusted_root.json, nor keys and certificates of sigstore",
            ));
        }
        // What proves how new all is comes last: without it the same is fetched again.
        self.folder.replace_targets(&files)?;
        for (name, content) in [
            ("root.json", &root.content),
            ("targets.json", &targets.content),
            ("snapshot.json", &snapshot.content),
            ("timestamp.json", &timestamp.content),
        ] {
            self.folder.write(name, content)?;
        }
        Ok(Updated {
            root_version: root.signed.version,
            files: files.into_iter().map(|(name, _)| name).collect(),
        })
    }

    /// The newest root, to which a chain of signatures leads from the one that is trusted.
    async fn root(&self, given: Option<&[u8]>, now: Timestamp) -> Result<Verified<Root>, Error> {
        let content = match (self.folder.read("root.json")?, given) {
            (Some(known), _) => known,
            (None, Some(given)) => given.to_vec(),
            (None, None) => self.get("1.root.json", MAX_ROOT).await?,
        };
        let refused = |reason: String| self.refused("root.json", reason);
        let mut root =
            Metadata::<Root>::parse(&content).map_err(refused)?.signed_by_itself().map_err(refused)?;
        for _ in 0..MAX_ROOTS {
            let file = format!("{}.root.json", root.signed.version + 1);
            let Some(content) = self.find(&file, MAX_ROOT).await? else {
                if root.signed.expires <= now {
                    return Err(
                        self.refused("root.json", format!("it has expired at {}", root.signed.expires))
                    );
                }
                return Ok(root);
            };
            let refused = |reason: String| self.refused(&file, reason);
            let next = Metadata::<Root>::parse(&content).map_err(refused)?;
            let next = next.follows(&root.signed).map_err(refused)?;
            if next.signed.version != root.signed.version + 1 {
                return Err(refused("its version is not the next one".to_owned()));
            }
            root = next;
        }
        Err(self.refused("root.json", format!("there are more than {MAX_ROOTS} new versions")))
    }

    fn checked<T: Role>(
        &self,
        file: &str,
        content: &[u8],
        root: &Verified<Root>,
        now: Timestamp,
    ) -> Result<Verified<T>, Error> {
        let refused = |reason: String| self.refused(file, reason);
        let verified =
            Metadata::<T>::parse(content).map_err(refused)?.signed_by(&root.signed).map_err(refused)?;
        let expires = verified.signed.expires();
        if expires <= now {
            return Err(refused(format!("it has expired at {expires}")));
        }
        Ok(verified)
    }

    /// Refuses what is older than what the folder has. Not if that is by keys that have been replaced since: who had them may
    /// have written any version.
    fn not_older<T: Role>(&self, file: &str, new: &Verified<T>, root: &Verified<Root>) -> Result<(), Error> {
        let Some(content) = self.folder.read(file)? else {
            return Ok(());
        };
        let known = Metadata::<T>::parse(&content).and_then(|known| known.signed_by(&root.signed));
        match known.map(|known| known.signed.version()) {
            Ok(known) if known > new.signed.version() => {
                let reason =
                    format!("it is version {}, and version {known} has been seen", new.signed.version());
                Err(self.refused(file, reason))
            }
            _ => Ok(()),
        }
    }

    async fn get(&self, file: &str, limit: u64) -> Result<Vec<u8>, Error> {
        self.find(file, limit).await?.ok_or_else(|| self.absent(file))
    }

    /// `None` if the mirror has no such file.
    async fn find(&self, file: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let failed = |source| Error::Call { mirror: self.mirror.to_string(), source };
        let url = format!("{}/{file}", self.mirror.as_str().trim_end_matches('/'));
        let url = url.parse().map_err(|_| self.refused(file, "the mirror's address is no base of others"))?;
        let answer = self.outbound.fetch(outbound::Request::get(url).limit(limit)).await.map_err(failed)?;
        // Object stores say 403 of what is not there.
        if matches!(answer.status(), StatusCode::NOT_FOUND | StatusCode::FORBIDDEN) {
            return Ok(None);
        }
        Ok(Some(answer.success().map_err(failed)?.body().to_vec()))
    }

    fn absent(&self, file: &str) -> Error {
        self.refused(file, "it is not there")
    }

    fn refused(&self, file: &str, reason: impl Into<String>) -> Error {
        Error::Refused { mirror: self.mirror.to_string(), file: file.to_owned(), reason: reason.into() }
    }
}

fn versioned(root: &Verified<Root>, version: u64, file: &str) -> String {
    if root.signed.consistent_snapshot { format!("{version}.{file}") } else { file.to_owned() }
}

/// What is read of a folder with roots, by names that stay in it.
fn is_root_of_trust(name: &str) -> bool {
    let is_kind = name == "trusted_root.json"
        || [("fulcio", ".pem"), ("ctfe", ".pub"), ("rekor", ".pub")]
            .iter()
            .any(|(prefix, suffix)| name.starts_with(prefix) && name.ends_with(suffix));
    is_kind && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
