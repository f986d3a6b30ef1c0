//! Writes to registries.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use fleet::outbound::{Response, Url};
use http::{HeaderName, HeaderValue, Method, header};
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use crate::call::{Action, Call};
use crate::client::Client;
use crate::error::Error;
use crate::keychain::Keychain;
use crate::reference::{Digest, Reference};

/// Bytes of a blob that are sent at once, and held. Some stores take no pieces below 5 MiB.
const PIECE: usize = 16 * 1024 * 1024;
const READ: usize = 256 * 1024;

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// How often a blob is tried to be uploaded, and how long it waits after the first of them.
pub(crate) const UPLOADS: u32 = 3;
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

/// Content for a registry, in memory or in a file.
#[derive(Clone, Debug)]
pub struct Blob {
    digest: Digest,
    size: u64,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Bytes(Bytes),
    File(PathBuf),
}

impl Blob {
    pub fn bytes(content: impl Into<Bytes>) -> Self {
        let content = content.into();
        Self { digest: Digest::of(&content), size: content.len() as u64, content: Content::Bytes(content) }
    }

    /// A file, which is read once for its digest and must not change until it was pushed.
    pub async fn file(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path).await?;
        let (mut hash, mut size, mut buffer) = (Sha256::new(), 0, vec![0; READ]);
        loop {
            let count = file.read(&mut buffer).await?;
            if count == 0 {
                break;
            }
            hash.update(&buffer[..count]);
            size += count as u64;
        }
        Ok(Self { digest: Digest::from_hash(hash), size, content: Content::File(path.to_owned()) })
    }

    /// A file with this digest and of this size, which must not change until it was pushed. The registry refuses another one.
    pub fn known(path: &Path, digest: Digest, size: u64) -> Self {
        Self { digest, size, content: Content::File(path.to_owned()) }
    }

    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    async fn pieces(&self) -> io::Result<Pieces> {
        Ok(match &self.content {
            Content::Bytes(bytes) => Pieces::Bytes(bytes.clone()),
            Content::File(path) => Pieces::File(File::open(path).await?),
        })
    }
}

enum Pieces {
    Bytes(Bytes),
    File(File),
}

impl Pieces {
    /// Empty at the end.
    async fn next(&mut self) -> io::Result<Bytes> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.split_to(PIECE.min(bytes.len()))),
            Self::File(file) => {
                let mut piece = Vec::new();
                file.take(PIECE as u64).read_to_end(&mut piece).await?;
                Ok(piece.into())
            }
        }
    }
}

/// An upload that was begun.
pub(crate) struct Upload<'a> {
    repository: &'a Reference,
    /// Where it goes on.
    at: Url,
    /// Bytes so far.
    sent: u64,
}

impl<'a> Upload<'a> {
    /// That the registry began when it was asked for something else.
    pub(crate) fn begun(
        repository: &'a Reference,
        call: &Call<'_>,
        answer: &Response,
    ) -> Result<Self, Error> {
        Ok(Self { repository, at: goes_on_at(call, answer)?, sent: 0 })
    }
}

/// Where an upload goes on, by the answer to one of its calls.
fn goes_on_at(call: &Call<'_>, answer: &Response) -> Result<Url, Error> {
    let location = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    location
        .and_then(|location| call.url().join(location).ok())
        .ok_or_else(|| Error::invalid(call.reference(), "the registry does not say where an upload goes on"))
}

impl Client {
    /// Puts a blob into the reference's repository, unless it is there.
    pub async fn push_blob(
        &self,
        repository: &Reference,
        blob: &Blob,
        keychain: &Keychain,
    ) -> Result<(), Error> {
        if self.has_blob(repository, &blob.digest, keychain).await? {
            return Ok(());
        }
        self.push_new_blob(repository, blob, keychain).await
    }

    /// Puts a blob into the reference's repository that was made just now: without looking first whether it is there.
    pub async fn push_new_blob(
        &self,
        repository: &Reference,
        blob: &Blob,
        keychain: &Keychain,
    ) -> Result<(), Error> {
        let mut tries = 1;
        loop {
            // An upload that broke off cannot go on by repeating its last call: it begins anew.
            match self.upload(repository, blob, keychain).await {
                Err(error) if error.is_transient() && tries < UPLOADS => {
                    tracing::debug!(%error, tries, "Uploading again");
                    tokio::time::sleep(PAUSE * tries).await;
                    tries += 1;
                }
                outcome => return outcome,
            }
            if self.has_blob(repository, &blob.digest, keychain).await? {
                return Ok(());
            }
        }
    }

    async fn upload(&self, repository: &Reference, blob: &Blob, keychain: &Keychain) -> Result<(), Error> {
        let mut upload = self.begin_upload(repository, keychain).await?;
        let local = |source| Error::local(&blob.digest, source);
        let mut pieces = blob.pieces().await.map_err(local)?;
        let mut piece = pieces.next().await.map_err(local)?;
        // The last piece goes with the end of the upload: most blobs are one piece.
        loop {
            let next = pieces.next().await.map_err(local)?;
            if next.is_empty() {
                break;
            }
            self.send(&mut upload, piece, keychain).await?;
            piece = next;
        }
        self.finish(upload, &blob.digest, piece, keychain).await
    }

    pub(crate) async fn begin_upload<'a>(
        &self,
        repository: &'a Reference,
        keychain: &Keychain,
    ) -> Result<Upload<'a>, Error> {
        // An upload that nobody goes on with does nothing.
        let begin = Call::new(repository, Action::Write, Method::POST, "blobs/uploads/")?.repeatable();
        let answer: Response = self.call(&begin, keychain).await?;
        Ok(Upload { repository, at: goes_on_at(&begin, &answer)?, sent: 0 })
    }

    /// Sends a piece that is not the last.
    pub(crate) async fn send(
        &self,
        upload: &mut Upload<'_>,
        piece: Bytes,
        keychain: &Keychain,
    ) -> Result<(), Error> {
        let Upload { repository, at, sent } = upload;
        let end = *sent + piece.len() as u64;
        let range = HeaderValue::from_str(&format!("{sent}-{}", end.saturating_sub(1)))
            .map_err(|error| Error::invalid(*repository, error.to_string()))?;
        let call = Call::to(repository, Action::Write, Method::PATCH, at.clone())
            .header(header::CONTENT_RANGE, range)
            .body(OCTETS, piece);
        let answer: Response = self.call(&call, keychain).await?;
        (upload.at, upload.sent) = (goes_on_at(&call, &answer)?, end);
        Ok(())
    }

    /// Sends the last piece. The registry refuses what does not have this digest as a whole.
    pub(crate) async fn finish(
        &self,
        upload: Upload<'_>,
        digest: &Digest,
        piece: Bytes,
        keychain: &Keychain,
    ) -> Result<(), Error> {
        let Upload { repository, mut at, .. } = upload;
        at.query_pairs_mut().append_pair("digest", digest.as_str());
        let end = Call::to(repository, Action::Write, Method::PUT, at).body(OCTETS, piece);
        self.call::<Response>(&end, keychain).await.map(drop)
    }

    /// Whether the reference's repository has a blob, for who may write there.
    pub async fn has_blob(
        &self,
        repository: &Reference,
        digest: &Digest,
        keychain: &Keychain,
    ) -> Result<bool, Error> {
        // By the right to write: who may only write to a repository that is not there yet gets no answer by that to read.
        let look = Call::new(repository, Action::Write, Method::HEAD, &format!("blobs/{digest}"))?;
        match self.call::<Response>(&look, keychain).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Puts a manifest where `to` says: under its tag, or under its digest, which has to be the content's. What it refers
    /// to has to be there.
    pub async fn push_manifest(
        &self,
        to: &Reference,
        media_type: &str,
        bytes: impl Into<Bytes>,
        keychain: &Keychain,
    ) -> Result<Digest, Error> {
        self.put_manifest(to, media_type, bytes.into(), keychain).await.map(|(digest, _)| digest)
    }

    /// As [`push_manifest`](Self::push_manifest), with the registry's answer.
    pub(crate) async fn put_manifest(
        &self,
        to: &Reference,
        media_type: &str,
        bytes: Bytes,
        keychain: &Keychain,
    ) -> Result<(Digest, Response), Error> {
        let kind = HeaderValue::from_str(media_type);
        let kind = kind.map_err(|_| Error::invalid(to, format!("{media_type:?} is no media type")))?;
        let digest = Digest::of(&bytes);
        if to.digest().is_some_and(|wanted| *wanted != digest) {
            return Err(Error::invalid(to, format!("the manifest to be pushed is another, {digest}")));
        }
        let put = Call::new(to, Action::Write, Method::PUT, &format!("manifests/{}", to.version()))?;
        let answer: Response = self.call(&put.body(kind, bytes), keychain).await?;
        let kept = answer.headers().get(HeaderName::from_static("docker-content-digest"));
        match kept.and_then(|value| value.to_str().ok()) {
            Some(kept) if kept != digest.as_str() => {
                Err(Error::invalid(to, format!("the registry keeps {kept} for the manifest {digest}")))
            }
            _ => Ok((digest, answer)),
        }
    }

    /// Takes away the manifest that the reference names by its digest, and with it all its tags. `false` if it was not there.
    pub async fn delete_manifest(&self, reference: &Reference, keychain: &Keychain) -> Result<bool, Error> {
        let Some(digest) = reference.digest() else {
            return Err(Error::invalid(reference, "a manifest is deleted by its digest"));
        };
        let delete = Call::new(reference, Action::Delete, Method::DELETE, &format!("manifests/{digest}"))?;
        match self.call::<Response>(&delete, keychain).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
