//! Manifests that name another one as their subject: signatures, attestations and the like (OCI distribution specification 1.1).
//!
//! Registries that know nothing of it have them listed in an index under the tag `sha256-<hex of the subject>`, which clients keep.

use bytes::Bytes;
use fleet::outbound::Response;
use http::HeaderName;
use serde_json::{Value, json};

use crate::call::Call;
use crate::client::{Client, MANIFEST_LIMIT, Manifest};
use crate::error::Error;
use crate::image::{Descriptor, Document};
use crate::keychain::Keychain;
use crate::reference::{Digest, Reference};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Says that the registry lists the manifest itself.
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// Referrers of one manifest that are looked at.
const MAX_REFERRERS: usize = 1000;
/// How often the list is written, if others write it too.
const ATTEMPTS: u32 = 5;

impl Client {
    /// The manifests whose subject is the one that `subject` names by its digest.
    ///
    /// Only the first page of what a registry lists, which has to name no more than a thousand.
    pub async fn referrers(
        &self,
        subject: &Reference,
        keychain: &Keychain,
    ) -> Result<Vec<Descriptor>, Error> {
        let digest = pinned(subject)?;
        let call = Call::get(subject, &format!("referrers/{digest}"))?.limit(MANIFEST_LIMIT);
        let list = match self.call::<Response>(&call, keychain).await {
            Ok(answer) => {
                let bytes = answer.body().to_vec();
                let digest = Digest::of(&bytes);
                Manifest { reference: subject.clone(), digest, media_type: INDEX.to_owned(), bytes }
            }
            Err(Error::NotFound { .. }) => match self.manifest(&list_of(subject, digest)?, keychain).await {
                Err(Error::NotFound { .. }) => return Ok(Vec::new()),
                list => list?,
            },
            Err(error) => return Err(error),
        };
        match list.document()? {
            Document::Index(found) if found.len() <= MAX_REFERRERS => Ok(found),
            Document::Index(found) => {
                let reason = format!("{} manifests refer to it, more than {MAX_REFERRERS}", found.len());
                Err(Error::invalid(subject, reason))
            }
            Document::Image(_) => Err(Error::invalid(subject, "the list of its referrers is no index")),
        }
    }

    /// Puts a manifest with a subject into the repository of that, and has it listed.
    pub async fn push_referrer(
        &self,
        subject: &Reference,
        manifest: &Manifest,
        keychain: &Keychain,
    ) -> Result<(), Error> {
        let to = subject.at(manifest.digest.clone());
        let bytes = Bytes::from(manifest.bytes.clone());
        let (_, answer) = self.put_manifest(&to, &manifest.media_type, bytes, keychain).await?;
        if answer.headers().contains_key(SUBJECT) {
            return Ok(());
        }
        let list = list_of(subject, pinned(subject)?)?;
        for _ in 0..ATTEMPTS {
            let there = self.existing_manifest(&list, keychain).await?;
            let mut index = match there {
                Some(there) => serde_json::from_slice(&there.bytes)
                    .map_err(|error| Error::invalid(&list, format!("it is no index: {error}")))?,
                None => json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}),
            };
            // Registries know no conditional write: whether it stays there is seen afterwards.
            if !add(&mut index, manifest) {
                return Ok(());
            }
            self.push_manifest(&list, INDEX, index.to_string(), keychain).await?;
        }
        Err(Error::invalid(
            &list,
            format!("somebody else wrote there each of the {ATTEMPTS} times that we did"),
        ))
    }
}

fn pinned(subject: &Reference) -> Result<&Digest, Error> {
    subject.digest().ok_or_else(|| Error::invalid(subject, "referrers are those of a digest"))
}

/// Where clients keep the list.
fn list_of(subject: &Reference, digest: &Digest) -> Result<Reference, Error> {
    subject
        .tagged(&format!("sha256-{}", digest.hex()))
        .map_err(|error| Error::invalid(subject, error.to_string()))
}

/// Adds a manifest to a list, unless it is there.
fn add(index: &mut Value, manifest: &Manifest) -> bool {
    let content: Value = serde_json::from_slice(&manifest.bytes).unwrap_or_default();
    let mut descriptor = json!({
        "mediaType": manifest.media_type, "digest": manifest.digest.as_str(), "size": manifest.bytes.len(),
    });
    let kind = [&content["artifactType"], &content["config"]["mediaType"]];
    if let Some(kind) = kind.into_iter().find(|kind| kind.is_string()) {
        descriptor["artifactType"] = kind.clone();
    }
    if content["annotations"].is_object() {
        descriptor["annotations"] = content["annotations"].clone();
    }
    let is_it = |listed: &Value| listed["digest"] == manifest.digest.as_str();
    match &mut index["manifests"] {
        Value::Array(list) if list.iter().any(is_it) => return false,
        Value::Array(list) => list.push(descriptor),
        other => *other = vec![descriptor].into(),
    }
    true
}
