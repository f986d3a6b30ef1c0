//! Stores in annotations of the run itself. They are written together with the mark that it is signed.

use data_encoding::BASE64;
use futures::future::{self, BoxFuture, FutureExt as _};
use registry::Keychain;

use super::{Annotations, Content, Signed, Storage, StoreError};
use crate::keys::tekton::{CERTIFICATE, CHAIN, PAYLOAD, SIGNATURE};

/// What an object's annotations hold together, in bytes, as the API server counts.
const LIMIT: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Tekton;

impl Storage for Tekton {
    fn store<'a>(
        &'a self,
        signed: &'a Signed,
        _: &'a Keychain,
    ) -> BoxFuture<'a, Result<Annotations, StoreError>> {
        let annotations = annotations(signed);
        future::ready(check_size(&signed.key, &annotations).map(|()| annotations)).boxed()
    }
}

fn annotations(signed: &Signed) -> Annotations {
    let signature = match &signed.content {
        Content::Statement { envelope, .. } => envelope.to_bytes(),
        Content::Image { signature, .. } => BASE64.encode(signature).into_bytes(),
    };
    let certificate = signed.certificate.as_ref();
    let entries = [
        (PAYLOAD, signed.payload()),
        (SIGNATURE, &signature),
        (CERTIFICATE, certificate.map_or(&[], |certificate| certificate.leaf.as_bytes())),
        (CHAIN, certificate.map_or(&[], |certificate| certificate.chain.as_bytes())),
    ];
    entries.map(|(prefix, content)| (format!("{prefix}{}", signed.key), BASE64.encode(content))).into()
}

/// Whether an object can hold them: the API server would answer 422 at every attempt.
pub(crate) fn check_size(what: &str, annotations: &Annotations) -> Result<(), StoreError> {
    let size = annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
    if size > LIMIT {
        return Err(StoreError::TooLarge { what: what.to_owned(), size, limit: LIMIT });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use attest::{Certificate, PrivateKey, PublicKey, dsse};
    use serde_json::Value;

    use super::*;

    fn key() -> PrivateKey {
        PrivateKey::generate().unwrap()
    }

    async fn statement(key: &PrivateKey, payload: Vec<u8>) -> Signed {
        let envelope = dsse::sign(key, "application/vnd.in-toto+json", payload).await.unwrap();
        Signed {
            key: "taskrun-u".to_owned(),
            content: Content::Statement { envelope, predicate_type: "p", subjects: Vec::new() },
            certificate: Some(Certificate { leaf: "leaf".to_owned(), chain: String::new() }),
            signer: PublicKey::clone(key.public()),
            bundle: None,
        }
    }

    #[tokio::test]
    async fn scenario_11_annotations_decode_to_payload_and_envelope() {
        let key = key();
        let signed = statement(&key, br#"{"a": 1}"#.to_vec()).await;
        let stored = Tekton.store(&signed, &Keychain::default()).await.unwrap();
        let names: Vec<_> =
            stored.iter().map(|(name, _)| name.trim_start_matches("chains.tekton.dev/")).collect();
        assert_eq!(names, ["payload-taskrun-u", "signature-taskrun-u", "cert-taskrun-u", "chain-taskrun-u"]);
        let decoded = |index: usize| BASE64.decode(stored[index].1.as_bytes()).unwrap();
        assert_eq!(
            (&decoded(0)[..], &decoded(2)[..], &decoded(3)[..]),
            (&br#"{"a": 1}"#[..], &b"leaf"[..], &b""[..])
        );
        let envelope: dsse::Envelope = serde_json::from_slice(&decoded(1)).unwrap();
        assert!(dsse::verify(&envelope, &[key.public()]).is_ok());
        assert_eq!(serde_json::from_slice::<Value>(&envelope.payload).unwrap()["a"], 1);
    }

    #[tokio::test]
    async fn what_no_object_can_hold_is_refused() {
        let signed = statement(&key(), vec![b'x'; 100_000]).await;
        let error = Tekton.store(&signed, &Keychain::default()).await.unwrap_err();
        assert!(error.is_permanent() && error.to_string().contains("262144"), "{error}");
    }
}
