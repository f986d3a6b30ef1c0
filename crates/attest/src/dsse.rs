//! DSSE: signed envelopes around a payload of any kind (the secure-systems-lab's specification, protocol and JSON form v1.0).

use serde::{Deserialize, Serialize};

use crate::encoding::base64;
use crate::key::{BadSignature, PublicKey};
use crate::signer::{SignError, Signer};

/// More signatures than this are not looked at: a stranger may have added them.
const MAX_SIGNATURES: usize = 16;

/// A payload with its signatures. As JSON: `{"payloadType", "payload": base64, "signatures": [{"keyid", "sig": base64}]}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// Media type of the payload.
    pub payload_type: String,
    #[serde(with = "base64")]
    pub payload: Vec<u8>,
    pub signatures: Vec<Signature>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// A hint which key it was. Nothing says that it is true.
    #[serde(default)]
    pub keyid: String,
    #[serde(with = "base64")]
    pub sig: Vec<u8>,
}

impl Envelope {
    /// The JSON form, always the same bytes for the same envelope.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and bytes are JSON")
    }

    /// What its signatures are over.
    pub fn signed_bytes(&self) -> Vec<u8> {
        pae(&self.payload_type, &self.payload)
    }
}

/// The pre-authentication encoding: what is signed of a payload, so that one of another type never passes for it.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut encoded = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    encoded.extend_from_slice(payload);
    encoded
}

/// Signs a payload.
pub async fn sign(signer: &dyn Signer, payload_type: &str, payload: Vec<u8>) -> Result<Envelope, SignError> {
    let sig = signer.sign(&pae(payload_type, &payload)).await?;
    let keyid = signer.public_key().key_id().to_owned();
    Ok(Envelope {
        payload_type: payload_type.to_owned(),
        payload,
        signatures: vec![Signature { keyid, sig }],
    })
}

/// Those signatures of an envelope that one of the keys made, with the key. At least one, or it is an error.
///
/// The hint in `keyid` is not asked: every key is tried.
pub fn verify<'a>(
    envelope: &'a Envelope,
    keys: &[&'a PublicKey],
) -> Result<Vec<(&'a Signature, &'a PublicKey)>, BadSignature> {
    let signed = envelope.signed_bytes();
    let good: Vec<_> = envelope
        .signatures
        .iter()
        .take(MAX_SIGNATURES)
        .filter_map(|signature| {
            let key = keys.iter().find(|key| key.verify(&signed, &signature.sig).is_ok())?;
            Some((signature, *key))
        })
        .collect();
    if good.is_empty() { Err(BadSignature) } else { Ok(good) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::key::PrivateKey;

    #[tokio::test]
    async fn has_the_specifications_encoding_and_form() {
        // The example of the specification.
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );

        let key = PrivateKey::generate().unwrap();
        let envelope = sign(&key, "text", b"hello".to_vec()).await.unwrap();
        let form: serde_json::Value = serde_json::from_slice(&envelope.to_bytes()).unwrap();
        assert_eq!(form["payloadType"], "text");
        assert_eq!(form["payload"], "aGVsbG8=");
        assert_eq!(form["signatures"][0]["keyid"], key.public().key_id());
        assert!(
            envelope.to_bytes().starts_with(
                br#"{"payloadType":"text","payload":"aGVsbG8=","signatures":[{"keyid":"SHA256:"#
            )
        );
        assert_eq!(serde_json::from_slice::<Envelope>(&envelope.to_bytes()).unwrap(), envelope);
    }

    #[test]
    fn reads_both_alphabets_of_base64() {
        for payload in ["-_8=", "+/8="] {
            let form = json!({"payloadType": "", "payload": payload, "signatures": [{"sig": ""}]});
            let envelope: Envelope = serde_json::from_value(form).unwrap();
            assert_eq!(envelope.payload, [0xfb, 0xff]);
        }
    }

    #[tokio::test]
    async fn needs_one_signature_by_a_known_key() {
        let (ours, theirs) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
        let mut envelope = sign(&theirs, "text", b"hello".to_vec()).await.unwrap();
        assert_eq!(verify(&envelope, &[ours.public()]), Err(BadSignature));
        assert_eq!(verify(&envelope, &[]), Err(BadSignature));
        envelope.signatures.extend(sign(&ours, "text", b"hello".to_vec()).await.unwrap().signatures);
        let good = verify(&envelope, &[ours.public()]).unwrap();
        assert_eq!(good, [(&envelope.signatures[1], ours.public())]);
        assert_eq!(verify(&envelope, &[ours.public(), theirs.public()]).unwrap().len(), 2);

        let changes: [fn(&mut Envelope); 3] = [
            |envelope| envelope.payload.push(b' '),
            |envelope| envelope.payload_type = "txet".to_owned(),
            |envelope| envelope.signatures.clear(),
        ];
        for change in changes {
            let mut other = envelope.clone();
            change(&mut other);
            assert_eq!(verify(&other, &[ours.public(), theirs.public()]), Err(BadSignature));
        }
    }

    #[tokio::test]
    async fn looks_at_few_signatures() {
        let ours = PrivateKey::generate().unwrap();
        let mut envelope = sign(&ours, "text", b"hello".to_vec()).await.unwrap();
        let junk = Signature { keyid: String::new(), sig: vec![0] };
        envelope.signatures.splice(0..0, vec![junk; MAX_SIGNATURES]);
        assert_eq!(verify(&envelope, &[ours.public()]), Err(BadSignature));
    }
}
