//! Logs as files of a folder.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures::{Stream, TryStreamExt as _, stream};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufWriter};
use uuid::Uuid;

use super::error::{Error, StartError};
use super::key::LogKey;

/// Of uploads under way, in the store's folder so that they can be renamed. No parent is called so.
const UPLOADS: &str = ".uploads";
/// What is older was left by a process that died: no upload takes so long.
const ABANDONED: Duration = Duration::from_hours(24);
const WRITE_AT_ONCE: usize = 256 << 10;
/// Somebody may delete the folder of a Result, when empty, between our making it and putting the log there.
const PLACING_ATTEMPTS: u32 = 5;

#[derive(Clone, Debug)]
pub(super) struct FileStore {
    folder: Arc<Path>,
}

impl FileStore {
    /// Makes the folder if need be, and clears what broken uploads left in it.
    pub(super) async fn open(folder: &Path) -> Result<Self, StartError> {
        let failed = |source| StartError::Folder { path: folder.to_owned(), source };
        let uploads = folder.join(UPLOADS);
        fs::create_dir_all(&uploads).await.map_err(failed)?;
        // Mounted read-only, it may well exist.
        let trial = uploads.join(Uuid::new_v4().to_string());
        fs::write(&trial, b"").await.map_err(failed)?;
        fs::remove_file(&trial).await.map_err(failed)?;
        remove_abandoned(&uploads).await.map_err(failed)?;
        Ok(Self { folder: folder.into() })
    }

    pub(super) async fn put(
        &self,
        key: &LogKey,
        bytes: impl Stream<Item = io::Result<Bytes>> + Send,
    ) -> Result<u64, Error> {
        let partial = Partial(self.folder.join(UPLOADS).join(Uuid::new_v4().to_string()));
        let failed = |source| Error::File { action: "write", path: partial.0.clone(), source };
        let file = File::options().write(true).create_new(true).open(&partial.0).await.map_err(failed)?;
        let mut file = BufWriter::with_capacity(WRITE_AT_ONCE, file);
        let mut bytes = pin!(bytes);
        let mut size = 0;
        let interrupted = |source| Error::Interrupted { key: key.to_string(), source };
        while let Some(piece) = bytes.try_next().await.map_err(interrupted)? {
            file.write_all(&piece).await.map_err(failed)?;
            size += piece.len() as u64;
        }
        file.flush().await.map_err(failed)?;
        // Before the record says that it is stored, and the run is deleted.
        file.into_inner().sync_all().await.map_err(failed)?;
        self.place(&partial.0, key).await?;
        Ok(size)
    }

    async fn place(&self, partial: &Path, key: &LogKey) -> Result<(), Error> {
        let path = self.path(key);
        let failed = |source| Error::File { action: "move a log to", path: path.clone(), source };
        let folder = path.parent().unwrap_or(&self.folder);
        let mut attempt = 1;
        loop {
            fs::create_dir_all(folder).await.map_err(failed)?;
            match fs::rename(partial, &path).await {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < PLACING_ATTEMPTS => {
                    attempt += 1;
                }
                Err(error) => return Err(failed(error)),
            }
        }
        // The new names, also of folders, up to the one that was there before.
        for folder in folder.ancestors().take_while(|folder| folder.starts_with(&self.folder)) {
            let synced = async { File::open(folder).await?.sync_all().await };
            match synced.await {
                Ok(()) => {}
                // Deleted meanwhile, with the log: whoever did that won.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    pub(super) async fn get(
        &self,
        key: &LogKey,
        chunk: usize,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + 'static + use<>, Error> {
        let path = self.path(key);
        let opened = async {
            let file = File::open(&path).await?;
            let is_file = file.metadata().await?.is_file();
            Ok((file, is_file))
        };
        let file = match opened.await {
            Ok((file, true)) => file,
            Ok((_, false)) => return Err(Error::NotFound { key: key.to_string() }),
            Err(error) if is_absent(&error) => return Err(Error::NotFound { key: key.to_string() }),
            Err(source) => return Err(Error::File { action: "open", path, source }),
        };
        Ok(stream::try_unfold((file, path), move |(mut file, path)| async move {
            let read = read_chunk(&mut file, chunk).await;
            match read {
                Ok(bytes) if bytes.is_empty() => Ok(None),
                Ok(bytes) => Ok(Some((bytes, (file, path)))),
                Err(source) => Err(Error::File { action: "read", path, source }),
            }
        }))
    }

    pub(super) async fn delete(&self, key: &LogKey) -> Result<(), Error> {
        let path = self.path(key);
        match fs::remove_file(&path).await {
            Ok(()) => {}
            Err(error) if is_absent(&error) => return Ok(()),
            Err(source) => return Err(Error::File { action: "delete", path, source }),
        }
        // Of the Result, then of the parent; the first that holds something ends it.
        for folder in path.ancestors().skip(1).take_while(|folder| **folder != *self.folder) {
            if fs::remove_dir(folder).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    pub(super) async fn delete_folder(&self, folder: &str) -> Result<(), Error> {
        let path = self.folder.join(folder);
        match fs::remove_dir_all(&path).await {
            Err(error) if !is_absent(&error) => Err(Error::File { action: "delete", path, source: error }),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn path(&self, key: &LogKey) -> PathBuf {
        self.folder.join(key.as_str())
    }
}

/// Also where a log was stored under a name that is now the start of a longer one.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The next bytes, `size` of them unless the file ends before.
async fn read_chunk(file: &mut File, size: usize) -> io::Result<Bytes> {
    let mut chunk = BytesMut::with_capacity(size);
    let mut limited = file.take(size as u64);
    while limited.read_buf(&mut chunk).await? > 0 {}
    Ok(chunk.freeze())
}

async fn remove_abandoned(uploads: &Path) -> io::Result<()> {
    let mut entries = fs::read_dir(uploads).await?;
    while let Some(entry) = entries.next_entry().await? {
        // Another replica may finish or clear it just now.
        let Ok(metadata) = entry.metadata().await else { continue };
        let age = metadata.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        if age.is_some_and(|age| age > ABANDONED) {
            tracing::info!(file = %entry.path().display(), "Deleted what a broken upload left");
            drop(fs::remove_file(entry.path()).await);
        }
    }
    Ok(())
}

/// A file that goes unless it has been renamed.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        // Gone already if all went well. Short enough for a thread of the runtime.
        drop(std::fs::remove_file(&self.0));
    }
}
