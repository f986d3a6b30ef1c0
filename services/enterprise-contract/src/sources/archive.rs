//! Takes the wanted files out of archives. In memory: nothing of an archive ever becomes a path of this machine.

use std::io::{Cursor, Read};

use flate2::read::MultiGzDecoder;

use super::{MAX_FILES, is_wanted};

const GZIP: &[u8] = &[0x1f, 0x8b];
/// Bytes of an archive that are looked through, uncompressed, for each byte of files that may be taken out.
const SEEN: u64 = 16;

/// How much more may be kept.
#[derive(Debug)]
pub(super) struct Space {
    left: u64,
    limit: u64,
}

impl Space {
    pub(super) fn new(limit: u64) -> Self {
        Self { left: limit, limit }
    }

    pub(super) fn take(&mut self, bytes: u64) -> Result<(), String> {
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or_else(|| format!("its files have more than {} bytes", self.limit))?;
        Ok(())
    }
}

/// The wanted files of a tar, compressed by gzip or not, that lie below `folder`. Paths are relative to it.
pub(super) fn tar(content: &[u8], folder: &str, space: &mut Space) -> Result<Vec<(String, Vec<u8>)>, String> {
    let plain: Box<dyn Read + '_> =
        if content.starts_with(GZIP) { Box::new(MultiGzDecoder::new(content)) } else { Box::new(content) };
    let mut archive = tar::Archive::new(plain.take(space.limit.saturating_mul(SEEN)));
    let broken = |error: std::io::Error| format!("its archive cannot be read: {error}");
    let mut files = Vec::new();
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?.to_string_lossy().into_owned();
        let Some(path) = wanted(&path, folder).filter(|_| entry.header().entry_type().is_file()) else {
            continue;
        };
        let size = entry.size();
        add(&mut files, path, size, &mut entry, space)?;
    }
    Ok(files)
}

/// As [`tar`], for a zip.
pub(super) fn zip(content: &[u8], folder: &str, space: &mut Space) -> Result<Vec<(String, Vec<u8>)>, String> {
    let broken = |error: zip::result::ZipError| format!("its archive cannot be read: {error}");
    let mut archive = zip::ZipArchive::new(Cursor::new(content)).map_err(broken)?;
    let mut files = Vec::new();
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at).map_err(broken)?;
        let name = entry.name().map_err(broken)?.into_owned();
        let Some(path) = wanted(&name, folder).filter(|_| entry.is_file()) else { continue };
        let size = entry.size();
        add(&mut files, path, size, &mut entry, space)?;
    }
    Ok(files)
}

fn add(
    files: &mut Vec<(String, Vec<u8>)>,
    path: String,
    size: u64,
    from: &mut impl Read,
    space: &mut Space,
) -> Result<(), String> {
    if files.len() >= MAX_FILES {
        return Err(format!("its archive has more than {MAX_FILES} files"));
    }
    space.take(size)?;
    let mut content = Vec::new();
    let read = from.take(size + 1).read_to_end(&mut content);
    read.map_err(|error| format!("its archive cannot be read: {path}: {error}"))?;
    if content.len() as u64 != size {
        return Err(format!("its archive cannot be read: {path} has not the size that it says"));
    }
    files.push((path, content));
    Ok(())
}

/// The path below `folder`, if it is there and wanted.
fn wanted(path: &str, folder: &str) -> Option<String> {
    let path = path.trim_start_matches("./");
    let inner = if folder.is_empty() { path } else { path.strip_prefix(folder)?.strip_prefix('/')? };
    (git::is_path(inner) && is_wanted(inner)).then(|| inner.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use rstest::rstest;

    use super::*;

    const FILES: [(&str, &str); 4] = [
        ("./top/p/a.rego", "package a"),
        ("top/p/deep/b.yaml", "b: 1"),
        ("top/p/README", "no"),
        ("other/c.rego", "no"),
    ];

    fn tarred(files: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            builder.append(&header, content.as_bytes()).unwrap();
        }
        let mut link = tar::Header::new_ustar();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        builder.append_link(&mut link, "top/p/link.rego", "/etc/passwd").unwrap();
        builder.into_inner().unwrap()
    }

    fn zipped(files: &[(&str, &str)]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (path, content) in files {
            writer.start_file(*path, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(content.as_bytes()).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn gzipped(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn takes_what_is_wanted_below_a_folder() {
        let expected = [("a.rego", "package a"), ("deep/b.yaml", "b: 1")]
            .map(|(path, content)| (path.to_owned(), content.as_bytes().to_vec()));
        let plain = tarred(&FILES);
        assert_eq!(tar(&plain, "top/p", &mut Space::new(1000)).unwrap(), expected);
        assert_eq!(tar(&gzipped(&plain), "top/p", &mut Space::new(1000)).unwrap(), expected);
        assert_eq!(zip(&zipped(&FILES), "top/p", &mut Space::new(1000)).unwrap(), expected);
        assert_eq!(tar(&plain, "", &mut Space::new(1000)).unwrap().len(), 3);
    }

    #[rstest]
    #[case::up("../evil.rego")]
    #[case::absolute("/evil.rego")]
    #[case::within("a/../../evil.rego")]
    fn takes_nothing_that_leads_out(#[case] path: &str) {
        assert_eq!(tar(&tarred(&[(path, "package evil")]), "", &mut Space::new(1000)).unwrap(), []);
    }

    #[test]
    fn stops_at_its_limit() {
        let large = "x".repeat(2000);
        let archive = gzipped(&tarred(&[("large.rego", &large)]));
        let error = tar(&archive, "", &mut Space::new(1000)).unwrap_err();
        assert_eq!(error, "its files have more than 1000 bytes");
        // What is not wanted is not kept, but read: not without end.
        let bomb = gzipped(&tarred(&[("bomb", &"x".repeat(100_000)), ("a.rego", "package a")]));
        let error = tar(&bomb, "", &mut Space::new(1000)).unwrap_err();
        assert!(error.contains("cannot be read"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(content in proptest::collection::vec(proptest::num::u8::ANY, 0..600), flip in 0_usize..600, to in proptest::num::u8::ANY) {
            let _ = tar(&content, "", &mut Space::new(1000));
            let _ = zip(&content, "", &mut Space::new(1000));
            let mut known = zipped(&FILES);
            let at = flip % known.len();
            known[at] = to;
            let _ = zip(&known, "", &mut Space::new(1000));
        }
    }
}
