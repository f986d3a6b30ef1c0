//! Takes the one file out of a layer of a bundle: an image whose layers are Tekton objects.

use std::io::{Cursor, Read};

use flate2::read::MultiGzDecoder;

const GZIP: &[u8] = &[0x1f, 0x8b];
/// Where a tar header says that it is one.
const TAR_MAGIC: std::ops::Range<usize> = 257..262;
/// Headers and padding of a tar with one file.
const TAR_OVERHEAD: u64 = 64 * 1024;
/// Entries that are looked at: folders may come before the file.
const MAX_ENTRIES: usize = 16;

/// The content of a layer: a file, or a tar with one; compressed by gzip or not. Of at most `limit` bytes.
pub fn unpack(blob: &[u8], limit: u64) -> Result<Vec<u8>, String> {
    let plain = if blob.starts_with(GZIP) {
        read(MultiGzDecoder::new(blob), limit + TAR_OVERHEAD)?
    } else {
        blob.to_vec()
    };
    if plain.get(TAR_MAGIC) != Some(b"ustar") {
        return read(Cursor::new(plain), limit);
    }
    let broken = |error: std::io::Error| format!("its tar cannot be read: {error}");
    let mut archive = tar::Archive::new(Cursor::new(plain));
    for entry in archive.entries().map_err(broken)?.take(MAX_ENTRIES) {
        let entry = entry.map_err(broken)?;
        // Nothing is written to disk, so paths and links do no harm; a link has no content.
        if entry.header().entry_type().is_file() {
            return read(entry, limit);
        }
    }
    Err("its tar has no file".to_owned())
}

fn read(from: impl Read, limit: u64) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    from.take(limit + 1)
        .read_to_end(&mut content)
        .map_err(|error| format!("it cannot be uncompressed: {error}"))?;
    if content.len() as u64 > limit { Err(format!("it is larger than {limit} bytes")) } else { Ok(content) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            if path.ends_with('/') {
                header.set_entry_type(tar::EntryType::Directory);
            }
            builder.append_data(&mut header, path, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn unpacks_all_forms() {
        let file = b"kind: Task";
        let archive = tar(&[("folder/", b""), ("build", file)]);
        for layer in [file.to_vec(), gzip(file), archive.clone(), gzip(&archive)] {
            assert_eq!(unpack(&layer, 100).unwrap(), file);
        }
    }

    /// Nothing is written to disk, and nothing of this machine is read.
    #[test]
    fn takes_the_content_of_files_only() {
        for kind in [tar::EntryType::Symlink, tar::EntryType::Link] {
            let mut builder = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_ustar();
            header.set_size(0);
            header.set_entry_type(kind);
            builder.append_link(&mut header, "build", "/etc/passwd").unwrap();
            assert_eq!(unpack(&builder.into_inner().unwrap(), 1000).unwrap_err(), "its tar has no file");
        }
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        header.set_entry_type(tar::EntryType::Char);
        builder.append_data(&mut header, "build", &b""[..]).unwrap();
        assert_eq!(unpack(&builder.into_inner().unwrap(), 1000).unwrap_err(), "its tar has no file");
        // What is called like something outside is content, as everything is.
        let mut outside = tar(&[("xx/x", b"kind: Task")]);
        outside[..4].copy_from_slice(b"../x");
        let sum: u32 = outside[..512]
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { u32::from(b' ') } else { u32::from(*byte) })
            .sum();
        outside[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        assert_eq!(unpack(&outside, 1000).unwrap(), b"kind: Task");
    }

    #[test]
    fn looks_at_so_many_entries_and_no_more() {
        let folders: Vec<_> = (0..MAX_ENTRIES).map(|number| format!("{number}/")).collect();
        let mut entries: Vec<(&str, &[u8])> = folders.iter().map(|name| (name.as_str(), &b""[..])).collect();
        entries.push(("build", b"kind: Task"));
        assert_eq!(unpack(&tar(&entries), 1000).unwrap_err(), "its tar has no file");
        assert_eq!(unpack(&tar(&entries[1..]), 1000).unwrap(), b"kind: Task");
    }

    #[test]
    fn stops_at_the_limit() {
        let zeros = vec![b' '; 50_000_000];
        for layer in [gzip(&zeros), gzip(&tar(&[("build", &zeros[..2_000_000])])), zeros[..2000].to_vec()] {
            let error = unpack(&layer, 1000).unwrap_err();
            assert!(error.contains("larger than"), "{error}");
        }
        assert_eq!(unpack(&tar(&[("folder/", b"")]), 100).unwrap_err(), "its tar has no file");
        assert!(unpack(&gzip(b"kind: Task")[..15], 100).is_err());
    }
}
