//! Client of a transparency log with the API of Rekor.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fleet::{Class, Classed as _, outbound};
use http::{Method, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::transparency::{Bundle, Payload, matches};
use crate::verify::{Content, Logged};

/// Of an answer. Entries hold whole certificates, attestations only their hashes.
const MAX_ANSWER: u64 = 16 * 1024 * 1024;
/// More entries than anybody makes of one signature.
const MAX_FOUND: usize = 20;

/// A log, by its address.
#[derive(Clone)]
pub struct Client {
    outbound: outbound::Client,
    url: Url,
}

/// What the log says it has taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// Number of the entry over all of the log.
    pub log_index: i64,
    /// Whether it was there before.
    pub was_there: bool,
    /// For the layer's annotation `dev.sigstore.cosign/bundle`.
    pub bundle: String,
}

/// Why a log did not take something in, or did not say what it has.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum Error {
    #[error("transparency log {url}")]
    Call { url: String, source: outbound::Error },
    #[error("transparency log {url}: {reason}")]
    Answer { url: String, reason: String },
}

impl Error {
    /// Whether the same may work in a moment.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Call { source, .. } => source.class() != Class::Wait,
            Self::Answer { .. } => false,
        }
    }
}

/// An entry, as the log gives it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    #[serde(flatten)]
    payload: Payload,
    #[serde(default)]
    pub(crate) verification: Verification,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verification {
    #[serde(default)]
    signed_entry_timestamp: String,
    pub(crate) inclusion_proof: Option<InclusionProof>,
}

/// The way from an entry to the root of the log's tree.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InclusionProof {
    /// A signed note with the tree's size and root.
    #[serde(default)]
    pub(crate) checkpoint: String,
    /// Hexadecimal digits.
    #[serde(default)]
    pub(crate) hashes: Vec<String>,
    /// Within this tree, which need not be all of the log.
    pub(crate) log_index: u64,
    pub(crate) tree_size: u64,
}

impl Entry {
    pub(crate) fn bundle(&self) -> Bundle {
        Bundle {
            signed_entry_timestamp: self.verification.signed_entry_timestamp.clone(),
            payload: self.payload.clone(),
        }
    }

    pub(crate) fn body(&self) -> Result<Vec<u8>, String> {
        self.payload.body()
    }
}

impl Client {
    pub fn new(outbound: outbound::Client, url: Url) -> Self {
        Self { outbound, url }
    }

    /// Where people find an entry.
    pub fn entry_url(&self, log_index: i64) -> String {
        format!("{}/api/v1/log/entries?logIndex={log_index}", self.url.as_str().trim_end_matches('/'))
    }

    /// Puts a signature into the log: an entry `intoto` for an envelope, else a `hashedrekord`. What is there already is
    /// taken. The entry is read back: that it is about this signature is certain.
    pub async fn upload(&self, logged: &Logged<'_>) -> Result<Uploaded, Error> {
        let proposed = match logged.content {
            Content::Payload => hashed(logged),
            Content::Envelope => in_toto(logged),
        };
        let request = outbound::Request::new(Method::POST, self.at("log/entries")?)
            .json(&proposed)
            .map_err(|source| self.failed(source))?
            .limit(MAX_ANSWER)
            // A second time it is there.
            .repeatable();
        let answer = self.outbound.fetch(request).await.map_err(|source| self.failed(source))?;
        let was_there = answer.status() == StatusCode::CONFLICT;
        let answer = if was_there {
            let location = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            let there = location.and_then(|location| self.url.join(location).ok());
            let there = there.ok_or_else(|| self.wrong("it has the entry, but does not say where"))?;
            // Only the log itself is asked.
            if there.origin() != self.url.origin() {
                return Err(self.wrong("it has the entry, but says that it is on another server"));
            }
            self.outbound
                .fetch(outbound::Request::get(there).limit(MAX_ANSWER))
                .await
                .map_err(|source| self.failed(source))?
        } else {
            answer
        };
        let answer = answer.success().map_err(|source| self.failed(source))?;
        let entries: BTreeMap<String, Entry> = answer.json().map_err(|source| self.failed(source))?;
        let entry =
            entries.into_values().next().ok_or_else(|| self.wrong("it has answered with no entry"))?;
        let body = entry.body().map_err(|reason| self.wrong(reason))?;
        matches(&body, logged).map_err(|reason| self.wrong(reason))?;
        if entry.verification.signed_entry_timestamp.is_empty() {
            return Err(self.wrong("it has not signed its entry"));
        }
        let bundle = serde_json::to_string(&entry.bundle()).map_err(|error| self.wrong(error.to_string()))?;
        Ok(Uploaded { log_index: entry.payload.log_index, was_there, bundle })
    }

    /// Entries that may be about this signature, in any of the ways in which it may have been put there.
    pub(crate) async fn find(&self, logged: &Logged<'_>) -> Result<Vec<Entry>, Error> {
        let proposed = match logged.content {
            Content::Payload => vec![hashed(logged)],
            Content::Envelope => vec![in_toto(logged), dsse(logged)],
        };
        let request = outbound::Request::new(Method::POST, self.at("log/entries/retrieve")?)
            .json(&json!({ "entries": proposed }))
            .map_err(|source| self.failed(source))?
            .limit(MAX_ANSWER)
            .repeatable();
        let answer = self.outbound.fetch(request).await.and_then(outbound::Response::success);
        let answer = answer.map_err(|source| self.failed(source))?;
        let found: Vec<BTreeMap<String, Entry>> = answer.json().map_err(|source| self.failed(source))?;
        Ok(found.into_iter().flat_map(BTreeMap::into_values).take(MAX_FOUND).collect())
    }

    fn at(&self, path: &str) -> Result<Url, Error> {
        let base = self.url.as_str().trim_end_matches('/');
        format!("{base}/api/v1/{path}").parse().map_err(|_| self.wrong("its address is no base of others"))
    }

    fn failed(&self, source: outbound::Error) -> Error {
        Error::Call { url: self.url.to_string(), source }
    }

    fn wrong(&self, reason: impl Into<String>) -> Error {
        Error::Answer { url: self.url.to_string(), reason: reason.into() }
    }
}

fn hashed(logged: &Logged<'_>) -> Value {
    json!({
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": data_encoding::HEXLOWER.encode(&Sha256::digest(logged.bytes))}},
            "signature": {"content": BASE64.encode(logged.signature), "publicKey": {"content": verifier(logged)}},
        },
    })
}

fn in_toto(logged: &Logged<'_>) -> Value {
    json!({
        "apiVersion": "0.0.1",
        "kind": "intoto",
        "spec": {"content": {"envelope": String::from_utf8_lossy(logged.bytes)}, "publicKey": verifier(logged)},
    })
}

fn dsse(logged: &Logged<'_>) -> Value {
    json!({
        "apiVersion": "0.0.1",
        "kind": "dsse",
        "spec": {"proposedContent": {"envelope": String::from_utf8_lossy(logged.bytes), "verifiers": [verifier(logged)]}},
    })
}

/// Base64 of the PEM of the certificate, or else of the key.
fn verifier(logged: &Logged<'_>) -> String {
    logged.certificate.map_or_else(|| BASE64.encode(logged.key.to_pem()), |pem| BASE64.encode(pem))
}
