//! The bytes of stored logs: files of a folder, or objects of an S3 bucket (spec 2.7).
//!
//! ```text
//! UpdateLog ─▶ put ─┬▶ file: .uploads/<random>, synced, then renamed onto its place
//!                   └▶ S3:   one PUT, or parts of S3_MULTI_PART_SIZE that appear when completed; aborted on failure
//! GetLog    ◀─ get ───── chunks of LOGS_BUFFER_SIZE, read as they are taken
//! ```
//! A log appears whole or not at all, and a second upload replaces the first. Memory per transfer is one part or chunk,
//! however long the log. Places are made of uids by [`LogKey`]; what clients say of a place is no pointer.

mod chunks;
mod error;
mod file;
mod key;
mod options;
mod s3;

use std::io;

use bytes::Bytes;
use fleet::Clock;
use futures::Stream;
use futures::stream::BoxStream;

pub use self::error::{Error, StartError};
use self::file::FileStore;
pub use self::key::{BadKey, LogKey};
pub use self::options::{Kind, Options, S3Options, UnknownKind};
use self::s3::S3Store;

/// Where logs are kept. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogStore {
    place: Place,
    kind: Kind,
    /// Bytes of each chunk that [`LogStore::get`] gives, but the last.
    chunk: usize,
}

#[derive(Clone, Debug)]
enum Place {
    File(FileStore),
    S3(S3Store),
}

impl LogStore {
    /// Checks the options and, for files, that the folder can be written. A bucket is not asked: it may be away while we start.
    pub async fn open(options: &Options, clock: &Clock) -> Result<Self, StartError> {
        if options.chunk == 0 {
            return Err(StartError::Chunk);
        }
        let place = match options.kind {
            Kind::File => Place::File(FileStore::open(&options.folder).await?),
            Kind::S3 => Place::S3(S3Store::new(&options.s3, clock.clone())?),
        };
        Ok(Self { place, kind: options.kind, chunk: options.chunk })
    }

    /// What a Log record says of where its log is: `File` or `S3`.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Stores what `bytes` gives, in place of what was stored there, and tells how many bytes that were. When it fails, when
    /// `bytes` does, or when the call is dropped, the former log stays and nothing else is left behind.
    pub async fn put(
        &self,
        key: &LogKey,
        bytes: impl Stream<Item = io::Result<Bytes>> + Send,
    ) -> Result<u64, Error> {
        match &self.place {
            Place::File(files) => files.put(key, bytes).await,
            Place::S3(bucket) => bucket.put(key, bytes).await,
        }
    }

    /// The log in chunks. [`Error::NotFound`] comes at once; what fails later ends the stream with an error.
    pub async fn get(&self, key: &LogKey) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        match &self.place {
            Place::File(files) => Ok(Box::pin(files.get(key, self.chunk).await?)),
            Place::S3(bucket) => Ok(Box::pin(chunks::of(self.chunk, bucket.get(key).await?))),
        }
    }

    /// Deletes the log. One that is not there counts as deleted.
    pub async fn delete(&self, key: &LogKey) -> Result<(), Error> {
        match &self.place {
            Place::File(files) => files.delete(key).await,
            Place::S3(bucket) => bucket.delete(key).await,
        }
    }

    /// Deletes all logs of a Result that lie where we put them.
    pub async fn delete_result(&self, parent: &str, result_uid: &str) -> Result<(), Error> {
        let folder = key::folder(parent, result_uid)?;
        match &self.place {
            Place::File(files) => files.delete_folder(&folder).await,
            Place::S3(bucket) => bucket.delete_folder(&folder).await,
        }
    }
}
