//! Copies blobs from one repository to another.
//!
//! ```text
//! is it there? ─yes─▶ done
//!      │ no
//!      ├─ same registry ─▶ mount ─▶ done          nothing is sent
//!      └─ else, or the registry will not ─▶ read ─▶ hash ─▶ upload, piece by piece
//! ```

use bytes::BytesMut;
use fleet::outbound::{Response, Streaming};
use http::{Method, StatusCode};
use sha2::{Digest as _, Sha256};
use url::form_urlencoded::Serializer;

use crate::call::{Action, Call};
use crate::client::{Client, LARGE, another_blob};
use crate::error::Error;
use crate::keychain::Keychain;
use crate::push::{PAUSE, UPLOADS, Upload};
use crate::reference::{Digest, Reference};

/// Bytes of a copy that are held until they are sent on. Some stores take no pieces below 5 MiB.
const PIECE: usize = 8 * 1024 * 1024;

/// How a blob got to where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    WasThere,
    /// The registry had it in the other repository.
    Mounted,
    /// It came over us.
    Sent,
}

impl Client {
    /// Puts a blob of `from`'s repository, of `size` bytes, into `to`'s, unless it is there. It is never held as a whole.
    ///
    /// What is read takes one of the places that calls of a host have, from the first piece to the last: run fewer at once than there
    /// are, or copies within one registry wait for each other.
    pub async fn copy_blob(
        &self,
        from: &Reference,
        to: &Reference,
        digest: &Digest,
        size: u64,
        keychain: &Keychain,
    ) -> Result<Copied, Error> {
        if self.has_blob(to, digest, keychain).await? {
            return Ok(Copied::WasThere);
        }
        let mut begun = None;
        if from.registry() == to.registry() {
            match self.mount(from, to, digest, keychain).await? {
                Mount::Done => return Ok(Copied::Mounted),
                Mount::Upload(upload) => begun = Some(upload),
                Mount::Refused => {}
            }
        }
        let mut tries = 1;
        loop {
            match self.stream(from, to, digest, size, begun.take(), keychain).await {
                Err(error) if error.is_transient() && tries < UPLOADS => {
                    tracing::debug!(%error, tries, "Copying again");
                    tokio::time::sleep(PAUSE * tries).await;
                    tries += 1;
                }
                outcome => return outcome.map(|()| Copied::Sent),
            }
        }
    }

    async fn mount<'a>(
        &self,
        from: &'a Reference,
        to: &'a Reference,
        digest: &Digest,
        keychain: &Keychain,
    ) -> Result<Mount<'a>, Error> {
        let query = Serializer::new(String::new())
            .append_pair("mount", digest.as_str())
            .append_pair("from", from.repository())
            .finish();
        let call = Call::new(to, Action::Write, Method::POST, &format!("blobs/uploads/?{query}"))?
            .reading(from)
            .repeatable();
        match self.call::<Response>(&call, keychain).await {
            Ok(answer) if answer.status() == StatusCode::CREATED => Ok(Mount::Done),
            Ok(answer) => Ok(Upload::begun(to, &call, &answer).map_or(Mount::Refused, Mount::Upload)),
            Err(error) if error.is_transient() => Err(error),
            // Also where one login may write and only another may read: without mounting, each does its part.
            Err(_) => Ok(Mount::Refused),
        }
    }

    async fn stream(
        &self,
        from: &Reference,
        to: &Reference,
        digest: &Digest,
        size: u64,
        begun: Option<Upload<'_>>,
        keychain: &Keychain,
    ) -> Result<(), Error> {
        let read = Call::get(from, &format!("blobs/{digest}"))?.limit(size).timeout(LARGE);
        let mut source: Streaming = self.call(&read, keychain).await?;
        let mut upload = match begun {
            Some(upload) => upload,
            None => self.begin_upload(to, keychain).await?,
        };
        let (mut hash, mut piece) = (Sha256::new(), BytesMut::new());
        while let Some(bytes) = source.chunk().await.map_err(|error| Error::of(&from.to_string(), error))? {
            hash.update(&bytes);
            if !piece.is_empty() && piece.len() + bytes.len() > PIECE {
                self.send(&mut upload, piece.split().freeze(), keychain).await?;
            }
            piece.extend_from_slice(&bytes);
        }
        // Before the end of the upload: what is not finished is not there.
        if Digest::from_hash(hash) != *digest {
            return Err(another_blob(from, digest));
        }
        self.finish(upload, digest, piece.freeze(), keychain).await
    }
}

/// What a registry makes of the wish to mount a blob.
enum Mount<'a> {
    Done,
    /// It shall be sent.
    Upload(Upload<'a>),
    Refused,
}
