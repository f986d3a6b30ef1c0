//! Both places where logs can lie, and streams to put there.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use fleet::{Clock, Secret};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use results::logs::{Error, Kind, LogKey, LogStore, Options, S3Options};
use testkit::s3::S3;

pub(crate) const BUCKET: &str = "logs";
/// The smallest that S3 takes.
pub(crate) const PART: u64 = 5 << 20;
pub(crate) const CHUNK: usize = 32 << 10;

pub(crate) fn options() -> Options {
    Options {
        kind: Kind::File,
        chunk: CHUNK,
        folder: PathBuf::new(),
        s3: S3Options {
            bucket: BUCKET.into(),
            endpoint: String::new(),
            hostname_immutable: true,
            region: S3::REGION.into(),
            access_key_id: String::new(),
            secret_access_key: Secret::new(String::new()),
            part_size: PART,
            ca_bundle: None,
        },
    }
}

pub(crate) fn in_bucket(server: &S3) -> Options {
    let mut options = options();
    options.kind = Kind::S3;
    options.s3.endpoint = server.url();
    options.s3.access_key_id = server.access_key().into();
    options.s3.secret_access_key = Secret::new(server.secret_key().to_owned());
    options.s3.ca_bundle = Some(server.authority().to_owned());
    options
}

pub(crate) fn in_folder(folder: &Path) -> Options {
    Options { folder: folder.to_owned(), ..options() }
}

/// A store, and what it stands on.
pub(crate) struct Place {
    pub(crate) logs: LogStore,
    ground: Ground,
}

enum Ground {
    Folder(tempfile::TempDir),
    Server(S3),
}

impl Place {
    pub(crate) async fn new(kind: Kind) -> anyhow::Result<Self> {
        let (options, ground) = match kind {
            Kind::File => {
                let folder = tempfile::tempdir()?;
                (in_folder(folder.path()), Ground::Folder(folder))
            }
            Kind::S3 => {
                let server = S3::start().await?;
                server.make_bucket(BUCKET)?;
                (in_bucket(&server), Ground::Server(server))
            }
        };
        Ok(Self { logs: LogStore::open(&options, &Clock::system()).await?, ground })
    }

    /// Keys of all that is stored, sorted.
    pub(crate) fn keys(&self) -> anyhow::Result<Vec<String>> {
        match &self.ground {
            Ground::Folder(folder) => {
                let mut keys: Vec<String> = files(folder.path())?
                    .iter()
                    .filter_map(|path| path.strip_prefix(folder.path()).ok()?.to_str().map(str::to_owned))
                    .filter(|key| !key.starts_with(".uploads/"))
                    .collect();
                keys.sort();
                Ok(keys)
            }
            Ground::Server(server) => server.keys(BUCKET),
        }
    }

    /// What uploads left that did not end well.
    pub(crate) fn remains(&self) -> anyhow::Result<usize> {
        match &self.ground {
            Ground::Folder(folder) => Ok(files(&folder.path().join(".uploads"))?.len()),
            Ground::Server(server) => server.parts_left(BUCKET),
        }
    }

    /// Stores something as an older server did.
    pub(crate) fn plant(&self, key: &str, text: &str) -> anyhow::Result<()> {
        match &self.ground {
            Ground::Folder(folder) => {
                let path = folder.path().join(key);
                std::fs::create_dir_all(path.parent().unwrap_or(folder.path()))?;
                Ok(std::fs::write(path, text)?)
            }
            Ground::Server(server) => server.put(BUCKET, key, text.as_bytes()),
        }
    }
}

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    Ok(found)
}

pub(crate) fn key(record: &str) -> LogKey {
    LogKey::new("team-a", "result-uid", record).unwrap()
}

/// A log of this many bytes in pieces of many sizes, made as it is taken.
pub(crate) fn log(size: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::unfold((0_u64, 1_usize), move |(sent, step)| async move {
        if sent == size {
            return None;
        }
        let length = (1 + step * 7919 % 60_000).min(usize::try_from(size - sent).unwrap());
        let piece: Vec<u8> = (sent..).take(length).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect();
        Some((Ok(Bytes::from(piece)), (sent + length as u64, step + 1)))
    })
}

/// A log that fails after this many bytes.
pub(crate) fn broken(after: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    log(after).chain(stream::iter([Err(io::Error::other("the watcher is gone"))]))
}

pub(crate) fn text(text: &str) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::iter([Ok(Bytes::from(text.to_owned()))])
}

pub(crate) async fn whole(bytes: BoxStream<'static, Result<Bytes, Error>>) -> Result<String, Error> {
    let pieces: Vec<Bytes> = bytes.try_collect().await?;
    Ok(String::from_utf8(pieces.concat()).unwrap())
}
