//! Manifests and blobs of images, each asked for once in a run.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use registry::{Digest, Error, Keychain, Manifest, Reference};

use super::flights::Flights;

/// Bytes of manifests, and of blobs, that are kept.
const KEPT: usize = 24 * 1024 * 1024;
/// For what is kept beside the bytes.
const OVERHEAD: usize = 512;
/// How long the first answer of a host may take that only an attestation names: it may be dead, or never have lived.
const FIRST_ANSWER: Duration = Duration::from_millis(4500);

/// Who named a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBy {
    /// Whoever started the run.
    User,
    /// What is in an image or its attestations: no reason to wait for long.
    Content,
}

/// Why something of a registry cannot be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unavailable {
    #[error(transparent)]
    Registry(Arc<Error>),
    #[error("{host} does not answer")]
    DeadHost { host: String },
}

impl Unavailable {
    /// Whether the host says something, if only that it cannot answer: it is no dead one.
    fn is_answer(&self) -> bool {
        match self {
            Self::Registry(error) => match &**error {
                Error::Unreachable { source, .. } => source.status().is_some(),
                _ => true,
            },
            Self::DeadHost { .. } => false,
        }
    }

    /// Whether a host could not be reached, in contrast to one that says no.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Registry(error) => error.is_transient(),
            Self::DeadHost { .. } => true,
        }
    }
}

/// What is read of registries. Cheap to clone; clones share what was read.
#[derive(Clone)]
pub struct Library(Arc<Inner>);

struct Inner {
    client: registry::Client,
    keychain: Arc<Keychain>,
    manifests: Flights<Reference, Result<Arc<Manifest>, Unavailable>>,
    blobs: Flights<(String, Digest, u64), Result<Bytes, Unavailable>>,
    /// Whether a host answers, once that is known.
    hosts: Mutex<HashMap<String, bool>>,
}

impl Library {
    pub fn new(client: registry::Client, keychain: Arc<Keychain>) -> Self {
        Self(Arc::new(Inner {
            client,
            keychain,
            manifests: Flights::new(KEPT),
            blobs: Flights::new(KEPT),
            hosts: Mutex::default(),
        }))
    }

    pub fn client(&self) -> &registry::Client {
        &self.0.client
    }

    pub fn keychain(&self) -> &Keychain {
        &self.0.keychain
    }

    /// The manifest that a tag or digest names.
    pub async fn manifest(&self, reference: &Reference, by: NamedBy) -> Result<Arc<Manifest>, Unavailable> {
        let fetch = async {
            // On the heap, as all calls here: they are large, and are held by several others.
            let call = Box::pin(self.0.client.manifest(reference, &self.0.keychain));
            self.patiently(reference, by, call).await.map(Arc::new)
        };
        let weigh = |answer: &Result<Arc<Manifest>, _>| {
            OVERHEAD + answer.as_ref().map_or(0, |manifest| manifest.bytes.len())
        };
        self.0.manifests.get(reference.clone(), fetch, weigh).await
    }

    /// A blob of the reference's repository, of at most `limit` bytes.
    pub async fn blob(
        &self,
        repository: &Reference,
        digest: &Digest,
        limit: u64,
        by: NamedBy,
    ) -> Result<Bytes, Unavailable> {
        let fetch = async {
            self.reachable(repository, by).await?;
            let call = Box::pin(self.0.client.blob(repository, digest, limit, &self.0.keychain));
            let answer = call.await.map(Bytes::from).map_err(|error| Unavailable::Registry(Arc::new(error)));
            self.learn(repository, by, answer)
        };
        let weigh = |answer: &Result<Bytes, _>| OVERHEAD + answer.as_ref().map_or(0, Bytes::len);
        self.0.blobs.get((repository.name(), digest.clone(), limit), fetch, weigh).await
    }

    /// Writes a blob of any size up to `limit` to a file. Not kept.
    pub async fn download(
        &self,
        repository: &Reference,
        digest: &Digest,
        limit: u64,
        to: &Path,
    ) -> Result<(), Unavailable> {
        let local =
            |source| Unavailable::Registry(Arc::new(Error::Local { what: digest.to_string(), source }));
        let mut file = tokio::fs::File::create(to).await.map_err(local)?;
        let call = self.0.client.blob_to(repository, digest, limit, &mut file, &self.0.keychain);
        Box::pin(call).await.map(drop).map_err(|error| Unavailable::Registry(Arc::new(error)))
    }

    /// Waits for a host that nothing is known of, but not long. Whoever answers is reachable, whatever the answer.
    pub async fn reachable(&self, reference: &Reference, by: NamedBy) -> Result<(), Unavailable> {
        if by == NamedBy::User {
            return Ok(());
        }
        match self.is_alive(reference) {
            Some(true) => Ok(()),
            Some(false) => Err(dead(reference)),
            // What the digest names may be a blob: some registries answer that with an error of their own.
            None => match self.manifest(reference, by).await {
                Err(error) if !error.is_answer() => Err(error),
                _ => Ok(()),
            },
        }
    }

    async fn patiently<T>(
        &self,
        reference: &Reference,
        by: NamedBy,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Unavailable> {
        let answer = match (by, self.is_alive(reference)) {
            (NamedBy::User, _) | (NamedBy::Content, Some(true)) => call.await,
            (NamedBy::Content, Some(false)) => return Err(dead(reference)),
            (NamedBy::Content, None) => match tokio::time::timeout(FIRST_ANSWER, call).await {
                Ok(answer) => answer,
                Err(_) => return self.learn(reference, by, Err(dead(reference))),
            },
        };
        self.learn(reference, by, answer.map_err(|error| Unavailable::Registry(Arc::new(error))))
    }

    fn is_alive(&self, reference: &Reference) -> Option<bool> {
        self.0.hosts.lock().get(reference.registry()).copied()
    }

    fn learn<T>(
        &self,
        reference: &Reference,
        by: NamedBy,
        answer: Result<T, Unavailable>,
    ) -> Result<T, Unavailable> {
        let is_alive = answer.as_ref().err().is_none_or(Unavailable::is_answer);
        // The user's own registry is asked for each image, even after a bad moment.
        if is_alive || by == NamedBy::Content {
            // A host that answered before has a bad moment only.
            *self.0.hosts.lock().entry(reference.registry().to_owned()).or_insert(is_alive) |= is_alive;
        }
        answer
    }
}

fn dead(reference: &Reference) -> Unavailable {
    Unavailable::DeadHost { host: reference.registry().to_owned() }
}

#[cfg(test)]
mod tests {
    use fleet::outbound;

    use super::*;

    fn unreachable(source: outbound::Error) -> Unavailable {
        Unavailable::Registry(Arc::new(Error::Unreachable { what: "r.test/app".to_owned(), source }))
    }

    #[test]
    fn a_host_that_answers_with_an_error_is_alive() {
        let target = "GET r.test/v2/".to_owned();
        let own_error = unreachable(outbound::Error::Status {
            target: target.clone(),
            status: 500,
            excerpt: String::new(),
            retry_at: None,
        });
        assert!(own_error.is_answer() && own_error.is_unreachable());
        let silence = unreachable(outbound::Error::Timeout { target, after: FIRST_ANSWER });
        assert!(!silence.is_answer());
        assert!(!Unavailable::DeadHost { host: "r.test".to_owned() }.is_answer());
    }
}
