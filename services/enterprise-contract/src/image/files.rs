//! Files of an image that rules look into, as a container would see them: layers over each other.
//!
//! ```text
//! Wanted ─┐
//! layers ─┴▶ from the top down ─▶ Flattened: what an upper layer replaced or removed is not read of a lower one
//! ```

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Component, Path};

use flate2::bufread::MultiGzDecoder;
use registry::{Digest, Reference};
use serde_json::Value;
use tar::EntryType;

use super::document::Descriptor;
use super::library::{Library, Unavailable};
use crate::yaml;

/// Bytes of a file that is read.
const LARGEST_FILE: u64 = 10 * 1024 * 1024;
/// Bytes of all files that are read, together.
const ALL_FILES: u64 = 64 * 1024 * 1024;
/// Files that are read.
const MOST_FILES: usize = 2000;
/// Bytes of all layers together, as they are in the registry, and unpacked.
const PACKED: u64 = 8 * 1024 * 1024 * 1024;
const UNPACKED: u64 = 32 * 1024 * 1024 * 1024;
const MOST_LAYERS: usize = 256;

/// By OCI's specification of layers: what such a file's name ends with is not there, or nothing else is in the folder.
const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Why files of an image cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("layer {layer}: {reason}")]
    Layer { layer: String, reason: String },
    #[error("layer {layer} cannot be fetched: {source}")]
    Unavailable { layer: String, source: Unavailable },
    #[error("more than {0} of them are asked for")]
    TooMuch(String),
    #[error("no place to keep layers")]
    Local(#[from] io::Error),
}

/// Which files are read: those with the extension yaml, yml or json.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    paths: Vec<String>,
    /// Whether what lies in folders within a path is meant, too.
    is_deep: bool,
}

impl Wanted {
    /// Files that lie in one of these folders themselves.
    pub(crate) fn in_folders(paths: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self {
            paths: paths.into_iter().filter_map(|path| normal(Path::new(path.as_ref()))).collect(),
            is_deep: false,
        }
    }

    /// These files, and all in these folders.
    pub(crate) fn under(paths: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self { is_deep: true, ..Self::in_folders(paths) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    fn has(&self, path: &str) -> bool {
        let extension =
            Path::new(path).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let is_readable = ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known));
        is_readable
            && self.paths.iter().any(|wanted| match within(path, wanted) {
                Some("") => self.is_deep,
                Some(rest) => self.is_deep || !rest.contains('/'),
                None => false,
            })
    }

    /// Whether something that is wanted may lie at or below `path`.
    fn concerns(&self, path: &str) -> bool {
        self.paths.iter().any(|wanted| within(wanted, path).is_some() || within(path, wanted).is_some())
    }
}

/// What of `path` follows `folder`, empty if they are the same. Everything is in the root, which is empty.
fn within<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    if folder.is_empty() {
        return Some(path);
    }
    let rest = path.strip_prefix(folder)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
}

/// Without leading slash, `.` and `..`; `None` for what leads out, or is no text.
fn normal(path: &Path) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Some(parts.join("/"))
}

/// The wanted files of an image, by path. Those that are no YAML or JSON are left out.
pub(crate) async fn read(
    library: &Library,
    image: &Reference,
    layers: &[Descriptor],
    wanted: Wanted,
) -> Result<BTreeMap<String, Value>, Error> {
    let packed = layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
    if packed > PACKED {
        return Err(Error::TooMuch(format!("{PACKED} bytes of layers")));
    }
    if layers.len() > MOST_LAYERS {
        return Err(Error::TooMuch(format!("{MOST_LAYERS} layers")));
    }
    let folder = tempfile::tempdir()?;
    let mut flattened = Flattened::new(wanted);
    for layer in layers.iter().rev() {
        let wrong = |reason: String| Error::Layer { layer: layer.digest.clone(), reason };
        let digest: Digest = layer.digest.parse().map_err(|_| wrong("its digest is none".to_owned()))?;
        let file = folder.path().join("layer");
        library
            .download(image, &digest, layer.size, &file)
            .await
            .map_err(|source| Error::Unavailable { layer: layer.digest.clone(), source })?;
        let read = move || {
            let outcome =
                File::open(&file).and_then(|file| flattened.add(BufReader::with_capacity(256 * 1024, file)));
            (flattened, outcome)
        };
        let outcome;
        (flattened, outcome) =
            tokio::task::spawn_blocking(read).await.map_err(|error| wrong(error.to_string()))?;
        outcome.map_err(|error| wrong(error.to_string()))?;
    }
    Ok(flattened.files)
}

/// Layers that were read so far, from the top down.
struct Flattened {
    wanted: Wanted,
    files: BTreeMap<String, Value>,
    /// Paths that upper layers have something else at, or nothing: they and all below them are hidden.
    hidden: Vec<String>,
    /// Folders of which nothing in lower layers is seen.
    opaque: Vec<String>,
    unpacked: u64,
    bytes: u64,
}

impl Flattened {
    fn new(wanted: Wanted) -> Self {
        let (files, hidden, opaque) = Default::default();
        Self { wanted, files, hidden, opaque, unpacked: 0, bytes: 0 }
    }

    /// Reads a layer, compressed or not.
    fn add(&mut self, mut layer: BufReader<impl Read>) -> io::Result<()> {
        let begin = layer.fill_buf()?;
        let reader: Box<dyn Read + '_> = if begin.starts_with(&GZIP) {
            Box::new(MultiGzDecoder::new(layer))
        } else if begin.starts_with(&ZSTD) {
            return Err(io::Error::other("it is compressed by zstd, which is not supported"));
        } else {
            Box::new(layer)
        };
        let left = UNPACKED.saturating_sub(self.unpacked);
        let mut counted = reader.take(left.saturating_add(1));
        self.add_tar(&mut counted)?;
        let unpacked = left.saturating_add(1) - counted.limit();
        if unpacked > left {
            return Err(io::Error::other(format!("the layers unpack to more than {UNPACKED} bytes")));
        }
        self.unpacked += unpacked;
        Ok(())
    }

    fn add_tar(&mut self, reader: &mut impl Read) -> io::Result<()> {
        // What this layer hides is hidden in those below it only. The last of several entries counts.
        let (mut hidden, mut opaque) = (Vec::new(), Vec::new());
        let mut found = HashMap::new();
        for entry in tar::Archive::new(reader).entries()? {
            let mut entry = entry?;
            let kind = entry.header().entry_type();
            let Some(path) = normal(&entry.path()?) else { continue };
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
            if name == OPAQUE {
                if self.wanted.concerns(folder) {
                    opaque.push(folder.to_owned());
                }
                continue;
            }
            if let Some(name) = name.strip_prefix(WHITEOUT) {
                let gone = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
                if self.wanted.concerns(&gone) {
                    hidden.push(gone);
                }
                continue;
            }
            if kind == EntryType::Directory || !self.wanted.concerns(&path) || !self.is_visible(&path) {
                continue;
            }
            found.remove(&path);
            if matches!(kind, EntryType::Regular | EntryType::Continuous)
                && self.wanted.has(&path)
                && let Some(content) = self.content(&mut entry)?
            {
                found.insert(path.clone(), content);
            }
            hidden.push(path);
        }
        self.files.extend(found);
        if self.files.len() > MOST_FILES {
            return Err(io::Error::other(format!("more than {MOST_FILES} files are asked for")));
        }
        self.hidden.extend(hidden);
        self.opaque.extend(opaque);
        Ok(())
    }

    fn content(&mut self, entry: &mut impl Read) -> io::Result<Option<Value>> {
        let mut bytes = Vec::new();
        entry.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if bytes.len() as u64 > LARGEST_FILE || self.bytes > ALL_FILES {
            return Err(io::Error::other("its files are larger than is read of an image"));
        }
        Ok(yaml::parse(&bytes).ok())
    }

    fn is_visible(&self, path: &str) -> bool {
        !self.hidden.iter().any(|hidden| within(path, hidden).is_some())
            && !self.opaque.iter().any(|folder| within(path, folder).is_some_and(|rest| !rest.is_empty()))
    }
}

#[cfg(test)]
mod tests;
