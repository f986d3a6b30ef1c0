//! Reads an image by its layers, without unpacking it.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::io::{self, BufRead as _, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::collect::Collector;
use super::tar::{self, Archive};

/// Entries of all layers together. The largest images known have a tenth of it.
const MAX_ENTRIES: usize = 4_000_000;
/// Bytes of all layers together, unpacked: what a bomb may take of our time.
const MAX_UNPACKED: u64 = 128 << 30;
const BUFFER: usize = 256 << 10;

/// Reads layers, the topmost first, so that each file is read once, and only if it can be seen in the image.
pub(super) struct Layers<'a> {
    collector: &'a mut Collector,
    hidden: Hidden,
    entries: usize,
    left: u64,
}

/// What the layers read so far hide of those below. Hashes of paths, for their number is that of the image's files.
#[derive(Default)]
struct Hidden {
    hasher: RandomState,
    /// Files, and what was taken away: themselves and all below them.
    paths: HashSet<u64>,
    /// Folders that show nothing of the layers below.
    opaque: HashSet<u64>,
}

/// What an entry does to the layers below.
enum Effect {
    Hides(String),
    Covers(String),
}

impl Hidden {
    fn add(&mut self, effect: &Effect) {
        match effect {
            Effect::Hides(path) => self.paths.insert(self.hasher.hash_one(&**path)),
            Effect::Covers(folder) => self.opaque.insert(self.hasher.hash_one(&**folder)),
        };
    }

    fn contains(&self, path: &str) -> bool {
        let hidden = |path: &str| self.paths.contains(&self.hasher.hash_one(path));
        let covered = |folder: &str| self.opaque.contains(&self.hasher.hash_one(folder));
        let mut folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        hidden(path) || covered("") || folders.any(|folder| hidden(folder) || covered(folder))
    }
}

/// Whiteouts of the OCI layer format.
fn whiteout(path: &str) -> Option<Effect> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    match name.strip_prefix(".wh.")? {
        ".wh..opq" => Some(Effect::Covers(folder.to_owned())),
        name if folder.is_empty() => Some(Effect::Hides(name.to_owned())),
        name => Some(Effect::Hides(format!("{folder}/{name}"))),
    }
}

/// Whether an entry of an upper layer takes the file at `path` away from the layers below.
pub(super) fn hides(entry: &str, path: &str) -> bool {
    let is_below = |folder: &str| {
        folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    };
    match whiteout(entry) {
        Some(Effect::Hides(hidden)) => hidden == path || is_below(&hidden),
        Some(Effect::Covers(folder)) => is_below(&folder),
        None => false,
    }
}

/// The tar of a layer, whether it is packed or not.
pub(super) fn unpacked<'a>(layer: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut layer = BufReader::with_capacity(BUFFER, layer);
    let start = layer.fill_buf()?;
    if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "it is compressed by zstd, which is not read here: use gzip",
        ));
    }
    Ok(if start.starts_with(&[0x1f, 0x8b]) {
        Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(layer)))
    } else {
        Box::new(layer)
    })
}

impl<'a> Layers<'a> {
    pub(super) fn new(collector: &'a mut Collector) -> Self {
        Self { collector, hidden: Hidden::default(), entries: 0, left: MAX_UNPACKED }
    }

    /// Reads the next lower layer: tar, as it is or by gzip.
    pub(super) fn read(&mut self, layer: impl Read) -> io::Result<()> {
        let mut archive = Archive::new(unpacked(layer)?);
        // A layer does not hide what is in itself.
        let mut effects = Vec::new();
        while let Some(entry) = archive.next()? {
            self.entries += 1;
            self.left = self.left.saturating_sub(entry.size);
            if self.entries > MAX_ENTRIES || self.left == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the image has more than 4,000,000 entries or 128 GiB: it is not read any further",
                ));
            }
            if let Some(effect) = whiteout(&entry.path) {
                effects.push(effect);
                continue;
            }
            if tar::is_folder(&entry) {
                continue;
            }
            if tar::is_file(&entry) && !self.hidden.contains(&entry.path) {
                let is_executable = entry.mode & 0o111 != 0;
                self.collector.file(&entry.path, is_executable, entry.size, &mut archive)?;
            }
            effects.push(Effect::Hides(entry.path));
        }
        for effect in &effects {
            self.hidden.add(effect);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::sbom::kind::Scope;

    fn layer(entries: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = ::tar::Builder::new(Vec::new());
        for (path, content) in entries {
            let mut header = ::tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn packages(top_first: &[Vec<u8>]) -> Vec<String> {
        let mut collector = Collector::new(Scope::Image);
        let mut layers = Layers::new(&mut collector);
        for layer in top_first {
            layers.read(&**layer).unwrap();
        }
        let (packages, unread) = collector.finish();
        assert!(unread.is_empty(), "{unread:?}");
        packages.iter().map(|package| package.purl.to_string()).collect()
    }

    const A: (&str, &str) = ("app/node_modules/a/package.json", r#"{"name": "a", "version": "1.0.0"}"#);
    const NEWER: (&str, &str) = ("app/node_modules/a/package.json", r#"{"name": "a", "version": "2.0.0"}"#);
    const B: (&str, &str) = ("./app/node_modules/b/package.json", r#"{"name": "b", "version": "1.0.0"}"#);

    #[test]
    fn upper_layers_win() {
        assert_eq!(packages(&[layer(&[NEWER]), layer(&[A, B])]), ["pkg:npm/a@2.0.0", "pkg:npm/b@1.0.0"]);
    }

    #[test]
    fn what_was_taken_away_is_not_listed() {
        let file = layer(&[("app/node_modules/a/.wh.package.json", "")]);
        assert_eq!(packages(&[file, layer(&[A, B])]), ["pkg:npm/b@1.0.0"]);
        let folder = layer(&[("app/node_modules/.wh.a", "")]);
        assert_eq!(packages(&[folder, layer(&[A, B])]), ["pkg:npm/b@1.0.0"]);
        // A file where a folder was.
        assert_eq!(packages(&[layer(&[("app/node_modules", "")]), layer(&[A, B])]), [""; 0]);
        assert_eq!(packages(&[layer(&[(".wh.app", "")]), layer(&[A, B])]), [""; 0]);
    }

    #[test]
    fn an_opaque_folder_shows_its_own_layer_only() {
        let opaque = layer(&[("app/node_modules/.wh..wh..opq", ""), NEWER]);
        assert_eq!(packages(&[opaque, layer(&[A, B])]), ["pkg:npm/a@2.0.0"]);
    }

    #[test]
    fn an_entry_hides_itself_and_what_is_below() {
        for (entry, hidden) in [
            ("root/.wh.sbom.json", true),
            (".wh.root", true),
            ("root/.wh..wh..opq", true),
            (".wh..wh..opq", true),
            ("root/.wh.sbom", false),
            ("roo/.wh..wh..opq", false),
            ("root/sbom.json", false),
        ] {
            assert_eq!(hides(entry, "root/sbom.json"), hidden, "{entry}");
        }
    }

    #[test]
    fn layers_may_be_packed() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&layer(&[A])).unwrap();
        assert_eq!(packages(&[packed.finish().unwrap()]), ["pkg:npm/a@1.0.0"]);
        let mut collector = Collector::new(Scope::Image);
        let error =
            Layers::new(&mut collector).read(&[0x28, 0xb5, 0x2f, 0xfd, 0][..]).unwrap_err().to_string();
        assert!(error.contains("zstd"), "{error}");
    }
}
