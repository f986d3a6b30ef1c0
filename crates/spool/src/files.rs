//! The folder `pending`: one file per delivery.
//!
//! ```text
//! record 1: length of the head: u32 LE, head (JSON, [`Head`]), body
//! record 2…: what happened since (JSON, [`Progress`])
//! ```
//! All calls block.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::queue::Id;
use crate::record;

/// What precedes the body.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Head {
    /// Version of this format. Files of another one are left alone.
    pub(crate) v: u32,
    pub(crate) key: String,
    pub(crate) received: Timestamp,
    pub(crate) consumers: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
    /// The caller's own.
    pub(crate) own: serde_json::Value,
}

/// Version that is written, and the only one that is read.
pub(crate) const VERSION: u32 = 1;

/// What became of a delivery at one consumer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Progress {
    /// Did not work, for the how-manieth time.
    Failed { consumer: String, attempts: u32 },
    /// Taken or given up.
    Settled { consumer: String },
}

/// A delivery as it was found at the start.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) id: Id,
    pub(crate) key: String,
    pub(crate) received: Timestamp,
    pub(crate) size: u64,
    /// With tries so far.
    pub(crate) waiting: Vec<(String, u32)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Files(PathBuf);

impl Files {
    /// Makes the folder.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self(folder.to_owned()))
    }

    fn path(&self, id: Id) -> PathBuf {
        self.0.join(format!("{id:016x}"))
    }

    /// Writes a delivery. When this has returned, the kernel has all of it.
    pub(crate) fn write(&self, id: Id, head: &[u8], body: &Bytes) -> io::Result<()> {
        let length = u32::try_from(head.len()).map_err(io::Error::other)?.to_le_bytes();
        let mut bytes = Vec::with_capacity(record::HEADER + length.len() + head.len() + body.len());
        record::encode(&mut bytes, &[&length, head, body])
            .ok_or_else(|| io::Error::other("more than 4 GiB"))?;
        let path = self.path(id);
        let written = File::options()
            .write(true)
            .create_new(true)
            .open(&path)
            .and_then(|mut file| file.write_all(&bytes));
        if written.is_err() {
            // Half of it would only be cut off at the next start; meanwhile it takes room on a disk that may be full.
            let _ = fs::remove_file(&path);
        }
        written
    }

    pub(crate) fn append(&self, id: Id, progress: &Progress) -> io::Result<()> {
        let mut bytes = Vec::new();
        let json = serde_json::to_vec(progress)?;
        record::encode(&mut bytes, &[&json]).ok_or_else(|| io::Error::other("more than 4 GiB"))?;
        File::options().append(true).open(self.path(id))?.write_all(&bytes)
    }

    /// The caller's head and the body.
    pub(crate) fn read(&self, id: Id) -> io::Result<(Head, Bytes)> {
        let mut bytes = Vec::new();
        File::open(self.path(id))?.read_to_end(&mut bytes)?;
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the file is damaged");
        let (content, _) = record::decode(&bytes).ok_or_else(damaged)?;
        let (head, body) = split(content).ok_or_else(damaged)?;
        let offset = record::HEADER + content.len() - body.len();
        let end = offset + body.len();
        let head = serde_json::from_slice(head)?;
        Ok((head, Bytes::from(bytes).slice(offset..end)))
    }

    /// Gone already is fine.
    pub(crate) fn remove(&self, id: Id) -> io::Result<()> {
        match fs::remove_file(self.path(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Everything that an earlier process left, the oldest first. What was not written to its end was never promised to
    /// anybody, and is removed.
    pub(crate) fn restore(&self) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(id) = name
                .to_str()
                .filter(|name| name.len() == 16)
                .and_then(|name| Id::from_str_radix(name, 16).ok())
            else {
                tracing::warn!(path = %entry.path().display(), "A file in the spool is none of ours; it is left alone");
                continue;
            };
            let bytes = fs::read(entry.path())?;
            match restored(id, &bytes) {
                Restored::Waiting { delivery, whole } => {
                    if whole < bytes.len() {
                        // Or what is appended next would never be reached.
                        File::options()
                            .write(true)
                            .open(entry.path())?
                            .set_len(u64::try_from(whole).unwrap_or(u64::MAX))?;
                    }
                    found.push(delivery);
                }
                Restored::Settled => self.remove(id)?,
                Restored::Torn => {
                    tracing::warn!(path = %entry.path().display(), "A delivery was not written to its end; it was never accepted");
                    self.remove(id)?;
                }
                Restored::Foreign { version } => {
                    tracing::error!(path = %entry.path().display(), version, "A delivery was spooled by another version of this program; it is left alone");
                }
            }
        }
        found.sort_unstable_by_key(|delivery| delivery.id);
        Ok(found)
    }
}

enum Restored {
    /// `whole`: bytes up to where the records are good.
    Waiting {
        delivery: Found,
        whole: usize,
    },
    Settled,
    Torn,
    Foreign {
        version: u64,
    },
}

/// The head and the body of a file's first record.
fn split(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = content.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

fn restored(id: Id, bytes: &[u8]) -> Restored {
    let Some((head, mut rest)) =
        record::decode(bytes).and_then(|(content, rest)| Some((split(content)?.0, rest)))
    else {
        return Restored::Torn;
    };
    let Ok(head) = serde_json::from_slice::<Head>(head) else { return foreign(head) };
    if head.v != VERSION {
        return Restored::Foreign { version: head.v.into() };
    }
    let mut waiting: Vec<(String, u32)> = head.consumers.into_iter().map(|consumer| (consumer, 0)).collect();
    while let Some((content, next)) = record::decode(rest) {
        match serde_json::from_slice(content) {
            Ok(Progress::Settled { consumer }) => waiting.retain(|(name, _)| *name != consumer),
            Ok(Progress::Failed { consumer, attempts }) => {
                waiting
                    .iter_mut()
                    .filter(|(name, _)| *name == consumer)
                    .for_each(|(_, tries)| *tries = attempts);
            }
            Err(error) => {
                tracing::warn!(id, error = %error, "A note in the spool cannot be read; it is passed over");
            }
        }
        rest = next;
    }
    if waiting.is_empty() {
        return Restored::Settled;
    }
    let whole = bytes.len() - rest.len();
    let size = u64::try_from(whole).unwrap_or(u64::MAX);
    Restored::Waiting { delivery: Found { id, key: head.key, received: head.received, size, waiting }, whole }
}

/// A record that is whole, but whose head is not ours.
fn foreign(head: &[u8]) -> Restored {
    #[derive(Deserialize)]
    struct Version {
        v: u64,
    }
    let version = serde_json::from_slice::<Version>(head).map_or(0, |head| head.v);
    Restored::Foreign { version }
}
