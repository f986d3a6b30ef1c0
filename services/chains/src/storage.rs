//! Where signatures are stored, behind one trait.
//!
//! ```text
//! Signed ─▶ dyn Storage ─┬─ Oci:    layers beside the image
//!                        ├─ Tekton: annotations, written with the mark `signed` in one patch
//!                        └─ Absent: a back end that can be named and is not there; a failure, never silence
//! ```
//! A store takes what is there already for stored, so an attempt can be repeated.

mod oci;
mod tekton;

use attest::dsse::Envelope;
use attest::statement::Subject;
use attest::{Certificate, PublicKey};
use futures::future::{self, BoxFuture, FutureExt as _};
use registry::Keychain;

use crate::config::Backend;
use crate::payload::ImageRef;

pub(crate) use oci::Oci;
use tekton::Tekton;
pub(crate) use tekton::check_size;

/// A payload with its signature.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    /// Short key (specification, section 3).
    pub(crate) key: String,
    pub(crate) content: Content,
    pub(crate) certificate: Option<Certificate>,
    pub(crate) signer: PublicKey,
    /// Proof of the transparency log, as JSON.
    pub(crate) bundle: Option<String>,
}

/// What was signed.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// A statement about a run.
    Statement { envelope: Envelope, predicate_type: &'static str, subjects: Vec<Subject> },
    /// An image.
    Image { image: ImageRef, payload: Vec<u8>, signature: Vec<u8> },
}

impl Signed {
    /// The bytes that are told: of a statement without their envelope.
    pub(crate) fn payload(&self) -> &[u8] {
        match &self.content {
            Content::Statement { envelope, .. } => &envelope.payload,
            Content::Image { payload, .. } => payload,
        }
    }
}

/// Annotations that have to be on the run for it to be stored.
pub(crate) type Annotations = Vec<(String, String)>;

/// A back end.
pub(crate) trait Storage: Send + Sync {
    /// Stores it, unless it is there, and answers what is left to be written on the run.
    fn store<'a>(
        &'a self,
        signed: &'a Signed,
        keychain: &'a Keychain,
    ) -> BoxFuture<'a, Result<Annotations, StoreError>>;
}

/// Why something was not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error(transparent)]
    Registry(#[from] attest::cosign::Error),
    #[error(transparent)]
    Name(#[from] registry::InvalidReference),
    #[error(
        "{what} is {size} bytes with its signature, and an object holds {limit} bytes of annotations; use storage oci"
    )]
    TooLarge { what: String, size: usize, limit: usize },
    #[error("there is no such storage here; use oci or tekton")]
    Absent,
}

impl StoreError {
    /// Whether trying again is in vain until a setting changes or the run does.
    pub(crate) fn is_permanent(&self) -> bool {
        matches!(self, Self::TooLarge { .. })
    }
}

/// Stands for a back end that is not there.
#[derive(Debug)]
pub(crate) struct Absent;

impl Storage for Absent {
    fn store<'a>(&'a self, _: &'a Signed, _: &'a Keychain) -> BoxFuture<'a, Result<Annotations, StoreError>> {
        future::ready(Err(StoreError::Absent)).boxed()
    }
}

/// All back ends, as they are for one pass.
pub(crate) struct Storages {
    pub(crate) oci: Oci,
}

impl Storages {
    pub(crate) fn get(&self, backend: Backend) -> &dyn Storage {
        match backend {
            Backend::Oci => &self.oci,
            Backend::Tekton => &Tekton,
            Backend::Archivista | Backend::Docdb | Backend::Gcs | Backend::Grafeas | Backend::Kafka => {
                &Absent
            }
        }
    }
}
