//! Answers the functions of rules that look beyond their input (specification, section 4.7).

use std::collections::BTreeSet;
use std::io::Read as _;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use parking_lot::Mutex;
use registry::{Manifest, Reference};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::verification::Verification;
use crate::image::{Descriptor, Document, Library, NamedBy, Unavailable, Wanted, read_files};
use crate::policy::Expected;
use crate::rego::Host;

/// Bytes of a blob, compressed and not.
const LARGEST_BLOB: u64 = 10 * 1024 * 1024;
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Paths that a rule may ask for at once.
const MOST_PATHS: usize = 64;

/// The host of one image's rules. Blocks the thread that a rule runs on, which must not be one of the runtime's own.
pub(super) struct Registries {
    library: Library,
    verification: Arc<Verification>,
    runtime: Handle,
    /// Registries that did not answer.
    unreachable: Mutex<BTreeSet<String>>,
}

/// Why a function is undefined. Logged only: rules see no more than that.
type Undefined = String;

impl Registries {
    pub(super) fn new(library: Library, verification: Arc<Verification>) -> Self {
        Self { library, verification, runtime: Handle::current(), unreachable: Mutex::default() }
    }

    /// What rules asked for, and no registry answered.
    pub(super) fn complaints(&self) -> Vec<String> {
        self.unreachable.lock().iter().cloned().collect()
    }

    async fn answer(&self, name: &str, arguments: &[Value]) -> Result<Value, Undefined> {
        match (name, arguments) {
            ("ec.oci.blob", [reference]) => self.blob(&pinned(reference)?).await,
            ("ec.oci.descriptor", [reference]) => {
                let manifest = self.manifest(&parsed(reference)?).await?;
                Ok(Descriptor::of(&manifest).value())
            }
            ("ec.oci.image_manifest", [reference]) => {
                let manifest = self.manifest(&pinned(reference)?).await?;
                let document = Document::parse(&manifest).map_err(|error| error.to_string())?;
                document.image_manifest(&manifest.media_type).ok_or_else(|| "it is an index".to_owned())
            }
            ("ec.oci.image_index", [reference]) => {
                let manifest = self.manifest(&pinned(reference)?).await?;
                let document = Document::parse(&manifest).map_err(|error| error.to_string())?;
                document.image_index(&manifest.media_type).ok_or_else(|| "it is no index".to_owned())
            }
            ("ec.oci.image_files", [reference, paths]) => self.files(&pinned(reference)?, paths).await,
            ("ec.sigstore.verify_image", [reference, options]) => {
                let (image, expected) = (pinned(reference)?, expected(options)?);
                let outcome =
                    self.verified(&image, self.verification.signatures_as(&image, expected)).await?;
                Ok(match outcome {
                    Ok(signatures) => json!({"success": true, "errors": [], "signatures": signatures}),
                    Err(reason) => json!({"success": false, "errors": [reason], "signatures": []}),
                })
            }
            ("ec.sigstore.verify_attestation", [reference, options]) => {
                let (image, expected) = (pinned(reference)?, expected(options)?);
                let outcome =
                    self.verified(&image, self.verification.attestations_as(&image, expected)).await?;
                Ok(match outcome {
                    Ok(attestations) => json!({"success": true, "errors": [], "attestations": attestations}),
                    Err(reason) => json!({"success": false, "errors": [reason], "attestations": []}),
                })
            }
            _ => Err("there is no such function".to_owned()),
        }
    }

    async fn manifest(&self, reference: &Reference) -> Result<Arc<Manifest>, Undefined> {
        self.library.manifest(reference, NamedBy::Content).await.map_err(|error| self.complain(&error))
    }

    /// The layer that a reference names by the digest, uncompressed.
    async fn blob(&self, reference: &Reference) -> Result<Value, Undefined> {
        let digest = reference.digest().ok_or("it has no digest")?;
        let blob = self.library.blob(reference, digest, LARGEST_BLOB, NamedBy::Content).await;
        let blob = blob.map_err(|error| self.complain(&error))?;
        let content = if blob.starts_with(&GZIP) {
            let mut content = Vec::new();
            let mut reader = MultiGzDecoder::new(&blob[..]).take(LARGEST_BLOB + 1);
            reader
                .read_to_end(&mut content)
                .map_err(|error| format!("it cannot be decompressed: {error}"))?;
            if content.len() as u64 > LARGEST_BLOB {
                return Err(format!("it is larger than {LARGEST_BLOB} bytes, uncompressed"));
            }
            content
        } else {
            blob.to_vec()
        };
        String::from_utf8(content).map(Value::String).map_err(|_| "it is no text".to_owned())
    }

    async fn files(&self, reference: &Reference, paths: &Value) -> Result<Value, Undefined> {
        let paths: Option<Vec<&str>> =
            paths.as_array().and_then(|paths| paths.iter().map(Value::as_str).collect());
        let paths =
            paths.filter(|paths| paths.len() <= MOST_PATHS).ok_or("the paths are no list of texts")?;
        let manifest = self.manifest(reference).await?;
        let document = Document::parse(&manifest).map_err(|error| error.to_string())?;
        if document.manifests().is_some() {
            return Err("it is an index".to_owned());
        }
        let files =
            read_files(&self.library, &manifest.reference, document.layers(), Wanted::under(paths)).await;
        files.map(|files| json!(files)).map_err(|error| error.to_string())
    }

    /// What was verified, or what a rule reads of why not. Undefined where the registry does not answer.
    async fn verified<T>(
        &self,
        image: &Reference,
        verify: impl Future<Output = Result<T, String>>,
    ) -> Result<Result<T, String>, Undefined> {
        self.library.reachable(image, NamedBy::Content).await.map_err(|error| self.complain(&error))?;
        Ok(verify.await)
    }

    fn complain(&self, error: &Unavailable) -> Undefined {
        if error.is_unreachable() {
            self.unreachable.lock().insert(error.to_string());
        }
        error.to_string()
    }
}

impl Host for Registries {
    fn call(&self, name: &str, arguments: &[Value]) -> Option<Value> {
        let answer = self.runtime.block_on(self.answer(name, arguments));
        answer.inspect_err(|reason| tracing::debug!(function = name, ?arguments, reason, "Undefined")).ok()
    }
}

fn parsed(reference: &Value) -> Result<Reference, Undefined> {
    reference
        .as_str()
        .ok_or("it is no text")?
        .parse()
        .map_err(|error: registry::InvalidReference| error.to_string())
}

/// A tag may be another image for the next rule.
fn pinned(reference: &Value) -> Result<Reference, Undefined> {
    let reference = parsed(reference)?;
    let digest = reference.digest().ok_or("it has no digest")?.clone();
    Ok(reference.at(digest))
}

fn expected(options: &Value) -> Result<Expected, Undefined> {
    serde_json::from_value(options.clone())
        .map_err(|error| format!("its options are not understood: {error}"))
}
