//! Tells a transparency log (Rekor) what was signed, before it is stored: what is stored carries the log's proof.

use attest::rekor;
use attest::verify::{Content as Kind, Logged};
use fleet::outbound;
use url::Url;

use crate::storage::{Content, Signed};

/// Where an entry is, and the proof of it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// `<log>/api/v1/log/entries?logIndex=<n>`.
    pub(crate) url: String,
    /// As layers carry it, JSON.
    pub(crate) bundle: String,
}

/// A log at an address.
pub(crate) struct Log(rekor::Client);

impl Log {
    pub(crate) fn new(outbound: outbound::Client, url: Url) -> Self {
        Self(rekor::Client::new(outbound, url))
    }

    /// Puts a signature into the log. One that is there already is taken for told.
    pub(crate) async fn upload(&self, signed: &Signed) -> Result<Entry, rekor::Error> {
        let envelope;
        let (bytes, content, signature): (&[u8], _, &[u8]) = match &signed.content {
            Content::Statement { envelope: signed, .. } => {
                envelope = signed.to_bytes();
                let signature = signed.signatures.first().map_or(&[][..], |signature| &signature.sig);
                (&envelope, Kind::Envelope, signature)
            }
            Content::Image { payload, signature, .. } => (payload, Kind::Payload, signature),
        };
        let certificate = signed.certificate.as_ref().map(|certificate| certificate.leaf.as_str());
        let logged = Logged { bytes, content, signature, key: &signed.signer, certificate, bundle: None };
        let uploaded = self.0.upload(&logged).await?;
        Ok(Entry { url: self.0.entry_url(uploaded.log_index), bundle: uploaded.bundle })
    }
}
