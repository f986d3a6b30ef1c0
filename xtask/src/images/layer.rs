//! Image layers: gzipped tar archives that depend on nothing but their content.
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use data_encoding::HEXLOWER;
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};

use crate::paths;

/// The certificate authorities that outgoing TLS trusts, on the machine and in the image.
const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";

/// Changed whenever the same files would be packed differently, so that no old layer is taken for a new one.
const FORMAT: &str = "1";

/// Layers of one name that the cache keeps: a few branches' worth.
const KEPT: usize = 4;

#[derive(Clone, PartialEq, Eq)]
pub struct Layer {
    /// Digest of the uncompressed archive, which the image configuration lists.
    pub diff_id: String,
    /// Digest of `data`, which the manifest lists.
    pub digest: String,
    /// The gzipped archive.
    pub data: Arc<[u8]>,
}

/// A file in a layer, owned by root. Parent folders come by themselves.
pub struct File<'a> {
    /// From the root, without leading slash.
    pub path: &'a str,
    pub mode: u32,
    pub content: &'a [u8],
}

/// The layer below every service: certificate authorities, and names for the users.
pub fn base() -> anyhow::Result<Layer> {
    let certificates = Path::new("/").join(CERTIFICATES);
    let certificates = fs::read(&certificates).with_context(|| {
        format!(
            "read {}: images take the certificate authorities that outgoing TLS trusts from this machine; \
             install them (Debian: `apt-get install ca-certificates`)",
            certificates.display()
        )
    })?;
    let users = b"root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n";
    let groups = b"root:x:0:\nnonroot:x:65532:\n";
    // Without it glibc asks the name server before /etc/hosts.
    let names = b"hosts: files dns\n";
    cached(
        "base",
        &[
            File { path: "etc/group", mode: 0o644, content: groups },
            File { path: "etc/nsswitch.conf", mode: 0o644, content: names },
            File { path: "etc/passwd", mode: 0o644, content: users },
            File { path: CERTIFICATES, mode: 0o644, content: &certificates },
        ],
    )
}

/// The layer of these files, from the cache when it was packed before. `name` groups layers for tidying the cache.
pub fn cached(name: &str, files: &[File<'_>]) -> anyhow::Result<Layer> {
    let key = key(files);
    match kept(name, &key)? {
        Some(layer) => Ok(layer),
        None => keep_archive(name, &key, &archive_of(files)?),
    }
}

/// The layer of these files, which are too few to be kept.
pub fn once(files: &[File<'_>]) -> anyhow::Result<Layer> {
    zip(&archive_of(files)?)
}

/// The layer of this name and key, if it was packed before. The key, in hex, stands for all that the layer is made from.
pub fn kept(name: &str, key: &str) -> anyhow::Result<Option<Layer>> {
    Ok(read(&cache()?.join(file_name(name, key))))
}

/// Makes an archive a layer, and keeps it for [`kept`].
pub fn keep_archive(name: &str, key: &str, archive: &[u8]) -> anyhow::Result<Layer> {
    let folder = cache()?;
    let file = folder.join(file_name(name, key));
    let layer = zip(archive)?;
    keep(&layer, &file).with_context(|| format!("keep layer {} for the next run", file.display()))?;
    tidy(&folder, name);
    Ok(layer)
}

fn cache() -> anyhow::Result<PathBuf> {
    Ok(paths::cache()?.join("layers"))
}

fn file_name(name: &str, key: &str) -> String {
    format!("{name}-{key}.tar.gz")
}

/// Packs in the given order. No clock, no user and no machine shows in the result.
fn archive_of(files: &[File<'_>]) -> anyhow::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut folders = Vec::new();
    for file in files {
        for (end, _) in file.path.match_indices('/') {
            let folder = &file.path[..=end];
            if !folders.contains(&folder) {
                folders.push(folder);
                append(&mut archive, folder, 0o755, tar::EntryType::Directory, &[])?;
            }
        }
        append(&mut archive, file.path, file.mode, tar::EntryType::Regular, file.content)?;
    }
    Ok(archive.into_inner()?)
}

fn zip(archive: &[u8]) -> anyhow::Result<Layer> {
    let mut zipped =
        GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::default());
    zipped.write_all(archive)?;
    Ok(layer(archive, zipped.finish()?))
}

fn append(
    archive: &mut tar::Builder<Vec<u8>>,
    path: &str,
    mode: u32,
    kind: tar::EntryType,
    content: &[u8],
) -> std::io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(content.len() as u64);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    archive.append_data(&mut header, path, content)
}

fn layer(archive: &[u8], zipped: Vec<u8>) -> Layer {
    Layer { diff_id: digest(archive), digest: digest(&zipped), data: zipped.into() }
}

/// `sha256:<64 lower-case hex digits>`.
pub fn digest(content: &[u8]) -> String {
    format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(content)))
}

fn key(files: &[File<'_>]) -> String {
    let mut hash = Sha256::new();
    hash.update(FORMAT);
    for file in files {
        hash.update(format!("\0{}\0{:o}\0{}\0", file.path, file.mode, file.content.len()));
        hash.update(file.content);
    }
    HEXLOWER.encode(&hash.finalize()[..16])
}

/// A layer kept before. A damaged one (full disk, power cut) counts as none.
fn read(file: &Path) -> Option<Layer> {
    let zipped = fs::read(file).ok()?;
    let recorded = fs::read_to_string(checksum_file(file)).ok()?;
    let (diff_id, recorded_digest) = recorded.trim().split_once(' ')?;
    let digest = digest(&zipped);
    (digest == recorded_digest).then(|| Layer { diff_id: diff_id.to_owned(), digest, data: zipped.into() })
}

fn keep(layer: &Layer, file: &Path) -> anyhow::Result<()> {
    let folder = file.parent().context("the cache has no folder")?;
    fs::create_dir_all(folder)?;
    write_whole(file, &layer.data)?;
    write_whole(&checksum_file(file), format!("{} {}\n", layer.diff_id, layer.digest).as_bytes())
}

fn checksum_file(archive: &Path) -> PathBuf {
    archive.with_extension("sum")
}

/// Writes so that other processes see all of it or nothing.
fn write_whole(file: &Path, content: &[u8]) -> anyhow::Result<()> {
    let folder = file.parent().context("a file has no folder")?;
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    temporary.write_all(content)?;
    temporary.persist(file)?;
    Ok(())
}

/// Drops the oldest layers of this name. That a file cannot be removed harms nobody.
fn tidy(folder: &Path, name: &str) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut archives: Vec<_> = entries
        .flatten()
        .filter(|entry| is_layer_of(&entry.file_name().to_string_lossy(), name))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    archives.sort();
    for (_, archive) in archives.iter().rev().skip(KEPT) {
        let _ = fs::remove_file(checksum_file(archive));
        let _ = fs::remove_file(archive);
    }
}

/// Whether a file in the cache is an archive called `<name>-<key>.tar.gz`, and not that of `<name>-other`.
fn is_layer_of(file: &str, name: &str) -> bool {
    let key = file
        .strip_prefix(name)
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|rest| rest.strip_suffix(".tar.gz"));
    key.is_some_and(|key| key.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [File<'static>; 2] = [
        File { path: "etc/a", mode: 0o644, content: b"a" },
        File { path: "usr/bin/b", mode: 0o755, content: b"b" },
    ];

    #[test]
    fn same_files_give_the_same_digest() {
        let (one, two) = (once(&FILES).unwrap(), once(&FILES).unwrap());
        assert_eq!(one.digest, two.digest);
        // A change of this text means that all layers of all users change: raise FORMAT.
        assert_eq!(one.diff_id, "sha256:0828a9a8e65615aae82127d516785425d0b96d089b1d2af94ae20cfd779c9260");
    }

    #[test]
    fn holds_files_and_their_folders() {
        let layer = once(&FILES).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&layer.data[..]));
        let found: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                let path = entry.path().unwrap().to_string_lossy().into_owned();
                (path, header.mode().unwrap(), header.mtime().unwrap(), header.uid().unwrap())
            })
            .collect();
        let expected =
            [("etc/", 0o755), ("etc/a", 0o644), ("usr/", 0o755), ("usr/bin/", 0o755), ("usr/bin/b", 0o755)];
        assert_eq!(found, expected.map(|(path, mode)| (path.to_owned(), mode, 0, 0)));
    }

    #[test]
    fn kept_layer_is_found_again_unless_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x-00.tar.gz");
        let layer = once(&FILES).unwrap();
        keep(&layer, &file).unwrap();
        assert!(read(&file) == Some(layer));
        fs::write(&file, "half").unwrap();
        assert!(read(&file).is_none());
    }

    #[test]
    fn another_content_or_mode_is_another_key() {
        let other = [File { path: "etc/a", mode: 0o600, content: b"a" }];
        assert_ne!(key(&FILES[..1]), key(&other));
        assert_ne!(key(&FILES[..1]), key(&FILES));
    }

    #[test]
    fn cache_keeps_the_newest_of_each_name() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..6 {
            fs::write(folder.path().join(format!("api-0{number}.tar.gz")), "").unwrap();
        }
        fs::write(folder.path().join("api-watcher-00.tar.gz"), "").unwrap();
        tidy(folder.path(), "api");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), KEPT + 1);
        assert!(folder.path().join("api-watcher-00.tar.gz").exists());
    }
}
