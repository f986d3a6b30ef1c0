//! Reads tar archives as they come in, without ever holding more than a name.
//!
//! The crate `tar` reads the records with long names into memory, however long they are: a layer of a few MB can take all memory so.
//! Its header type is used, and the rest is a loop over blocks of 512 bytes.

use std::io::{self, Read};

use tar::{EntryType, Header, PaxExtensions};

const BLOCK: u64 = 512;
/// Of the records with long names and other attributes of one entry.
const MAX_EXTENSION: u64 = 1 << 20;
/// Of the names that are understood. Linux has 4096.
const MAX_PATH: usize = 4096;

/// An entry: what follows in the archive is its content, of `size` bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Relative, `/` between its parts, without `.` and without `/` at the end. Empty for the root itself.
    pub(super) path: String,
    pub(super) kind: EntryType,
    pub(super) mode: u32,
    pub(super) size: u64,
}

pub(super) struct Archive<R> {
    inner: R,
    /// Bytes of the last entry that were not read yet, with what fills its last block.
    left: u64,
    padding: u64,
}

/// What extension records say of the entry behind them.
#[derive(Default)]
struct Extension {
    path: Option<Vec<u8>>,
    size: Option<u64>,
}

impl<R: Read> Archive<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, left: 0, padding: 0 }
    }

    /// The next entry whose name can be that of a file in a tree; those that lead out of it are passed over.
    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut extension = Extension::default();
        loop {
            self.skip()?;
            let Some(header) = self.header()? else { return Ok(None) };
            let size = header.entry_size()?;
            let kind = header.entry_type();
            match kind {
                EntryType::GNULongName => {
                    let mut path = self.extension(size)?;
                    path.truncate(path.iter().position(|byte| *byte == 0).unwrap_or(path.len()));
                    extension.path = Some(path);
                }
                EntryType::XHeader => {
                    let records = self.extension(size)?;
                    for record in PaxExtensions::new(&records).filter_map(Result::ok) {
                        match record.key_bytes() {
                            b"path" => extension.path = Some(record.value_bytes().to_vec()),
                            b"size" => {
                                extension.size = record.value().ok().and_then(|size| size.parse().ok());
                            }
                            _ => {}
                        }
                    }
                }
                EntryType::GNULongLink | EntryType::XGlobalHeader => self.expect(size),
                _ => {
                    let Extension { path, size: other } = std::mem::take(&mut extension);
                    let size = other.unwrap_or(size);
                    self.expect(size);
                    let path = path.unwrap_or_else(|| header.path_bytes().into_owned());
                    let mode = header.mode().unwrap_or(0);
                    if let Some(path) = normalized(&path) {
                        return Ok(Some(Entry { path, kind, mode, size }));
                    }
                }
            }
        }
    }

    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut block = [0; 512];
        let mut filled = 0;
        while filled < block.len() {
            match self.inner.read(&mut block[filled..])? {
                // Some writers leave the end mark out.
                0 if filled == 0 => return Ok(None),
                0 => return Err(corrupt("it ends within a header")),
                count => filled += count,
            }
        }
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block);
        let sum = block.iter().enumerate().map(|(at, byte)| match at {
            // The field itself counts as blanks.
            148..156 => u32::from(b' '),
            _ => u32::from(*byte),
        });
        if header.cksum()? != sum.sum::<u32>() {
            return Err(corrupt("a header's checksum is wrong"));
        }
        Ok(Some(header.clone()))
    }

    fn extension(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > MAX_EXTENSION {
            return Err(corrupt("an entry has more than 1 MiB of attributes"));
        }
        self.expect(size);
        let mut content = Vec::new();
        self.read_to_end(&mut content)?;
        Ok(content)
    }

    fn expect(&mut self, size: u64) {
        self.left = size;
        self.padding = size.next_multiple_of(BLOCK).saturating_sub(size);
    }

    /// Passes over what is left of the last entry.
    fn skip(&mut self) -> io::Result<()> {
        let rest = self.left.saturating_add(self.padding);
        let skipped = io::copy(&mut self.inner.by_ref().take(rest), &mut io::sink())?;
        (self.left, self.padding) = (0, 0);
        // Only the end mark of the archive may be missing, and what fills its last block.
        if skipped < rest.saturating_sub(BLOCK) { Err(corrupt("it ends within an entry")) } else { Ok(()) }
    }
}

/// Content of the last entry.
impl<R: Read> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.by_ref().take(self.left).read(buffer)?;
        if count == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(corrupt("it ends within an entry"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

fn corrupt(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn normalized(path: &[u8]) -> Option<String> {
    if path.len() > MAX_PATH {
        return None;
    }
    let path = String::from_utf8_lossy(path);
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    let parts: Vec<&str> = parts.collect();
    if parts.contains(&"..") { None } else { Some(parts.join("/")) }
}

/// Whether it has content of its own: a link's is that of another entry.
pub(super) fn is_file(entry: &Entry) -> bool {
    matches!(entry.kind, EntryType::Regular | EntryType::Continuous)
}

pub(super) fn is_folder(entry: &Entry) -> bool {
    entry.kind == EntryType::Directory
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sbom::fuzz::fuzz;

    fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in entries {
            let mut header = Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut archive = Archive::new(bytes);
        let mut found = Vec::new();
        while let Some(entry) = archive.next()? {
            let mut content = Vec::new();
            archive.read_to_end(&mut content)?;
            found.push((entry.path, content));
        }
        Ok(found)
    }

    #[test]
    fn entries_come_with_their_content_and_long_names() {
        let long = "d/".repeat(120) + "f";
        let bytes = archive(&[("a", b"1"), (&long, &[7; 1500]), ("./b/./c", b"")]);
        let found = read(&bytes).unwrap();
        assert_eq!(found, [("a".into(), b"1".to_vec()), (long, vec![7; 1500]), ("b/c".into(), Vec::new())]);
        // Also when nobody reads the content.
        let mut archive = Archive::new(&bytes[..]);
        let paths: Vec<usize> =
            std::iter::from_fn(|| archive.next().unwrap()).map(|entry| entry.path.len()).collect();
        assert_eq!(paths, [1, 241, 3]);
    }

    #[test]
    fn pax_records_give_names_and_sizes() {
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_pax_extensions([("path", &b"from/pax"[..]), ("size", b"3")]).unwrap();
        let mut header = Header::new_ustar();
        header.set_path("short").unwrap();
        header.set_size(0);
        header.set_cksum();
        let mut bytes = builder.into_inner().unwrap();
        bytes.truncate(1024);
        bytes.extend(header.as_bytes());
        bytes.extend(b"abc");
        bytes.resize(bytes.len() + 509, 0);
        assert_eq!(read(&bytes).unwrap(), [("from/pax".into(), b"abc".to_vec())]);
    }

    #[test]
    fn names_that_lead_out_are_passed_over() {
        let mut bytes = archive(&[("x/y", b"1"), ("kept", b"2")]);
        bytes[..4].copy_from_slice(b"../y");
        let mut header = Header::from_byte_slice(&bytes[..512]).clone();
        header.set_cksum();
        bytes[..512].copy_from_slice(header.as_bytes());
        assert_eq!(read(&bytes).unwrap(), [("kept".into(), b"2".to_vec())]);
    }

    #[test]
    fn a_name_cannot_take_all_memory() {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::GNULongName);
        header.set_size(1 << 33);
        header.set_cksum();
        let error = read(header.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("1 MiB of attributes"), "{error}");
    }

    #[test]
    fn a_cut_archive_is_an_error() {
        let bytes = archive(&[("a", &[1; 2000])]);
        assert!(read(&bytes[..1000]).unwrap_err().to_string().contains("within an entry"));
        assert!(read(&bytes[..100]).unwrap_err().to_string().contains("within a header"));
        // The end mark may be missing.
        assert_eq!(read(&bytes[..512 + 2048]).unwrap().len(), 1);
    }

    #[test]
    fn never_panics() {
        let strategy = (prop::collection::vec(any::<u8>(), 0..2000), 0_usize..1500, any::<u8>());
        fuzz(&strategy, |(bytes, at, byte)| {
            let _ = read(&bytes);
            let mut hurt = archive(&[("a", b"1"), (&"d/".repeat(120), &[7; 100])]);
            hurt[at] = byte;
            let _ = read(&hurt);
            // Also where the checksum still holds.
            let mut header = Header::from_byte_slice(&hurt[..512]).clone();
            header.set_cksum();
            hurt[..512].copy_from_slice(header.as_bytes());
            let _ = read(&hurt);
            Ok(())
        });
    }
}
