//! Archives of folders: tar, compressed by gzip.
//!
//! Whoever made an archive may be hostile: it is unpacked within limits, and nothing of it lies or leads outside the folder
//! that it is unpacked to.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use registry::{Blob, Digest};
use tar::{EntryType, HeaderMode};

use crate::hashing::Hashing;
use crate::links;

/// What an archive may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of all files together.
    pub bytes: u64,
    /// Bytes of files for each byte of the archive, once there are [`FREE`] of them.
    pub ratio: u64,
    pub entries: usize,
    /// Folders within each other.
    pub depth: usize,
}

/// Small archives of very regular content are nothing bad.
const FREE: u64 = 64 * 1024 * 1024;

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 64 * 1024 * 1024 * 1024, ratio: 200, entries: 2_000_000, depth: 128 }
    }
}

/// An archive, made.
#[derive(Debug)]
pub struct Packed {
    /// Files and links.
    pub count: usize,
    /// What is in it, unpacked, as an image names its layers.
    pub content: Digest,
    pub blob: Blob,
}

/// Packs a folder.
pub fn pack(folder: &Path, archive: &Path) -> anyhow::Result<Packed> {
    let file = File::create(archive).with_context(|| format!("create {}", archive.display()))?;
    // Time matters here, and space a little: it is read once or twice.
    let encoder = GzEncoder::new(Hashing::new(BufWriter::new(file)), Compression::fast());
    let mut builder = tar::Builder::new(Hashing::new(encoder));
    builder.follow_symlinks(false);
    builder.mode(HeaderMode::Complete);
    builder.sparse(false);
    let mut count = 0;
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        let mut entries: Vec<_> = folder.join(&inner).read_dir()?.collect::<io::Result<_>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, kind) = (inner.join(entry.file_name()), entry.file_type()?);
            let packed = if kind.is_dir() {
                folders.push(path.clone());
                builder.append_dir(&path, entry.path())
            } else if kind.is_file() || kind.is_symlink() {
                count += 1;
                builder.append_path_with_name(entry.path(), &path)
            } else {
                bail!("{} is neither a file, a folder nor a link", entry.path().display());
            };
            packed.with_context(|| format!("pack {}", entry.path().display()))?;
        }
    }
    let (encoder, unpacked, _) = builder.into_inner()?.finish();
    let (mut file, digest, size) = encoder.finish()?.finish();
    file.flush()?;
    Ok(Packed { count, content: unpacked, blob: Blob::known(archive, digest, size) })
}

/// Unpacks an archive into a folder, which is made if it is not there. Nothing that is there is replaced.
pub fn unpack(archive: &Path, folder: &Path, limits: Limits) -> anyhow::Result<()> {
    let file = File::open(archive).with_context(|| format!("open {}", archive.display()))?;
    let size = file.metadata()?.len();
    let limits = Limits { bytes: limits.bytes.min(FREE.max(size.saturating_mul(limits.ratio))), ..limits };
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let reader = MultiGzDecoder::new(BufReader::with_capacity(256 * 1024, file));
    unpack_tar(reader, folder, limits)?;
    let outward = links::outward(folder)?;
    match outward.first() {
        None => Ok(()),
        Some(link) => bail!("the archive has a link out of its folder, {link}"),
    }
}

fn unpack_tar(reader: impl Read, folder: &Path, limits: Limits) -> anyhow::Result<()> {
    let mut archive = tar::Archive::new(reader);
    let mut links = Vec::new();
    let mut folders = HashSet::from([PathBuf::new()]);
    let (mut bytes, mut count) = (0_u64, 0);
    for entry in archive.entries()? {
        let mut entry = entry.context("read the archive")?;
        count += 1;
        ensure!(count <= limits.entries, "the archive has more than {} entries", limits.entries);
        let path = inner(&entry.path()?, limits.depth)?;
        let header = entry.header();
        let mode = header.mode().unwrap_or(0o644);
        match header.entry_type() {
            EntryType::Directory => make_folders(folder, &path, &mut folders)?,
            EntryType::Regular | EntryType::Continuous => {
                bytes = bytes.saturating_add(entry.size());
                ensure!(
                    bytes <= limits.bytes,
                    "the archive unpacks to more than {} bytes, which is more than it may",
                    limits.bytes
                );
                make_folders(folder, path.parent().unwrap_or(Path::new("")), &mut folders)?;
                write_file(&mut entry, &folder.join(&path), mode)
                    .with_context(|| format!("unpack {}", path.display()))?;
            }
            EntryType::Symlink => {
                let target = entry.link_name()?.context("the archive has a link to nowhere")?.into_owned();
                links.push((path, target));
            }
            EntryType::XGlobalHeader => {}
            other => bail!("{}: the archive has an entry of kind {other:?}", path.display()),
        }
    }
    // Last, so that nothing was written through one.
    for (path, target) in links {
        make_folders(folder, path.parent().unwrap_or(Path::new("")), &mut folders)?;
        symlink(&target, folder.join(&path)).with_context(|| format!("unpack link {}", path.display()))?;
    }
    Ok(())
}

fn write_file(from: &mut impl Read, path: &Path, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    io::copy(from, &mut file)?;
    // Who may execute it, and that all may read it; neither set-user-ID nor the like.
    file.set_permissions(Permissions::from_mode(mode & 0o777 | 0o600))
}

/// Makes the folders of `path` below `folder`. `made` are those that this archive has made, or found to be folders.
fn make_folders(folder: &Path, path: &Path, made: &mut HashSet<PathBuf>) -> anyhow::Result<()> {
    if made.contains(path) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_folders(folder, parent, made)?;
    }
    let full = folder.join(path);
    match fs::create_dir(&full) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // A link to a folder is none: it may lead anywhere.
            ensure!(full.symlink_metadata()?.is_dir(), "{} is no folder", full.display());
        }
        made => made.with_context(|| format!("create folder {}", full.display()))?,
    }
    made.insert(path.to_owned());
    Ok(())
}

/// A path of an archive, without `.`. Refused if it is absolute, or has `..`.
pub fn inner(path: &Path, depth: usize) -> anyhow::Result<PathBuf> {
    let mut inner = PathBuf::new();
    for (count, part) in path.components().filter(|part| *part != Component::CurDir).enumerate() {
        let Component::Normal(name) = part else {
            bail!("the archive has the path {}, which leads out of its folder", path.display());
        };
        ensure!(count < depth, "the archive has more than {depth} folders within each other");
        inner.push(name);
    }
    Ok(inner)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tar::Header;
    use tempfile::TempDir;

    use super::*;

    fn entry(kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(size);
        header
    }

    /// Puts a name into a header as it is; the crate's own setters refuse the bad ones.
    fn named(mut header: Header, name: &str) -> Header {
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header
    }

    fn archive(entries: &[(Header, &str, &[u8])]) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive");
        let mut encoder = GzEncoder::new(File::create(&path).unwrap(), Compression::fast());
        for (header, name, content) in entries {
            let mut header = named(header.clone(), name);
            header.set_cksum();
            encoder.write_all(header.as_bytes()).unwrap();
            encoder.write_all(content).unwrap();
            encoder.write_all(&vec![0; (512 - content.len() % 512) % 512]).unwrap();
        }
        encoder.write_all(&[0; 1024]).unwrap();
        encoder.finish().unwrap();
        (folder, path)
    }

    fn link(target: &str) -> Header {
        let mut header = entry(EntryType::Symlink, 0);
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header
    }

    fn refused(entries: &[(Header, &str, &[u8])], limits: Limits) -> String {
        let (folder, path) = archive(entries);
        let error = format!("{:#}", unpack(&path, &folder.path().join("to"), limits).unwrap_err());
        let outside: Vec<_> =
            folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(outside.len(), 2, "{outside:?}");
        error
    }

    #[test]
    fn what_was_packed_comes_out_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        fs::create_dir_all(from.join("a/b/empty")).unwrap();
        fs::write(from.join("a/file"), "content").unwrap();
        fs::write(from.join("a").join("n".repeat(150)), "long name").unwrap();
        fs::write(from.join("run"), "#!/bin/sh").unwrap();
        fs::set_permissions(from.join("run"), Permissions::from_mode(0o755)).unwrap();
        symlink("../run", from.join("a/link")).unwrap();
        let archive = folder.path().join("archive");
        let packed = pack(&from, &archive).unwrap();
        let bytes = fs::read(&archive).unwrap();
        assert_eq!((packed.count, packed.blob.size()), (4, bytes.len() as u64));
        assert_eq!(*packed.blob.digest(), Digest::of(&bytes));
        let mut content = Vec::new();
        MultiGzDecoder::new(&bytes[..]).read_to_end(&mut content).unwrap();
        assert_eq!(packed.content, Digest::of(&content));
        let to = folder.path().join("to");
        unpack(&archive, &to, Limits::default()).unwrap();
        assert_eq!(fs::read_to_string(to.join("a/file")).unwrap(), "content");
        assert_eq!(fs::read_to_string(to.join("a").join("n".repeat(150))).unwrap(), "long name");
        assert_eq!(fs::read_to_string(to.join("a/link")).unwrap(), "#!/bin/sh");
        assert!(to.join("a/b/empty").is_dir() && to.join("a/link").is_symlink());
        assert_eq!(fs::metadata(to.join("run")).unwrap().permissions().mode() & 0o777, 0o755);
        // What is there is not replaced.
        let error = format!("{:#}", unpack(&archive, &to, Limits::default()).unwrap_err());
        assert!(error.contains("exists"), "{error}");
    }

    type Entry = (Header, &'static str, &'static [u8]);

    fn file(name: &'static str) -> Entry {
        (entry(EntryType::Regular, 1), name, b"x")
    }

    fn linked(name: &'static str, target: &str) -> Entry {
        (link(target), name, b"")
    }

    fn other(kind: EntryType) -> Entry {
        (entry(kind, 0), "a", b"")
    }

    #[rstest]
    #[case::parent(&[file("../evil")], "leads out")]
    #[case::parent_within(&[file("a/../../evil")], "leads out")]
    #[case::absolute(&[file("/tmp/evil")], "leads out")]
    #[case::link_out(&[linked("a", "/etc")], "link out of its folder, a -> /etc")]
    #[case::link_up(&[linked("a", "../..")], "link out of its folder")]
    #[case::through_a_link(&[linked("a", ".."), file("a/evil")], "unpack link a")]
    #[case::through_a_link_that_comes_later(&[file("a/evil"), linked("a", "..")], "unpack link a")]
    #[case::twice(&[file("a"), file("a")], "exists")]
    #[case::hard_link(&[other(EntryType::Link)], "kind Link")]
    #[case::device(&[other(EntryType::Block)], "kind Block")]
    #[case::pipe(&[other(EntryType::Fifo)], "kind Fifo")]
    fn refuses(#[case] entries: &[Entry], #[case] expected: &str) {
        let error = refused(entries, Limits::default());
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn takes_no_more_than_its_limits() {
        let file = |size| entry(EntryType::Regular, size);
        let none = Limits::default();
        let error = refused(&[(file(11), "a", b"01234567890")], Limits { bytes: 10, ..none });
        assert!(error.contains("more than 10 bytes"), "{error}");
        let error = refused(&[(file(0), "a", b""), (file(0), "b", b"")], Limits { entries: 1, ..none });
        assert!(error.contains("more than 1 entries"), "{error}");
        let error = refused(&[(file(0), "a/b/c", b"")], Limits { depth: 2, ..none });
        assert!(error.contains("more than 2 folders"), "{error}");
        // A bomb: 80 MB of zeros are some 80 kB.
        let zeros = vec![0; 80 << 20];
        let error = refused(&[(file(zeros.len() as u64), "a", &zeros)], Limits { ratio: 10, ..none });
        assert!(error.contains("unpacks to more than"), "{error}");
    }

    #[test]
    fn takes_away_set_user_id() {
        let mut header = entry(EntryType::Regular, 1);
        header.set_mode(0o6755);
        let (folder, path) = archive(&[(header, "a", b"x")]);
        unpack(&path, &folder.path().join("to"), Limits::default()).unwrap();
        let mode = fs::metadata(folder.path().join("to/a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
    }
}
