//! Which proofs of a log are believed.

use attest::PrivateKey;
use attest::transparency::LogPolicy;
use attest::verify::{Content, Logged, TransparencyLog as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::sigstore::{Sigstore, moment};

/// A payload, or an envelope around one, with its signature and what the log may have of it.
struct Scene {
    sigstore: Sigstore,
    key: PrivateKey,
    bytes: Vec<u8>,
    content: Content,
    signature: Vec<u8>,
}

impl Scene {
    fn payload() -> Self {
        let key = PrivateKey::generate().unwrap();
        let bytes = b"a payload".to_vec();
        let signature = key.sign(&bytes).unwrap();
        Self { sigstore: Sigstore::new(), key, bytes, content: Content::Payload, signature }
    }

    async fn envelope() -> Self {
        let key = PrivateKey::generate().unwrap();
        let envelope =
            attest::dsse::sign(&key, "application/vnd.in-toto+json", b"{}".to_vec()).await.unwrap();
        let signature = envelope.signatures[0].sig.clone();
        Self {
            sigstore: Sigstore::new(),
            key,
            bytes: envelope.to_bytes(),
            content: Content::Envelope,
            signature,
        }
    }

    /// What the log has, in the form that is asked for.
    fn body(&self, kind: &str) -> Value {
        let hash = |content: &[u8]| json!({"algorithm": "sha256", "value": data_encoding::HEXLOWER.encode(&Sha256::digest(content))});
        let key = BASE64.encode(self.key.public().to_pem());
        let signature = BASE64.encode(&self.signature);
        let (kind, version, spec) = match kind {
            "hashedrekord" => (
                "hashedrekord",
                "0.0.1",
                json!({
                    "data": {"hash": hash(&self.bytes)}, "signature": {"content": signature, "publicKey": {"content": key}},
                }),
            ),
            "intoto 0.0.1" => (
                "intoto",
                "0.0.1",
                json!({
                    "content": {"hash": hash(&self.bytes), "payloadHash": hash(b"{}")}, "publicKey": key,
                }),
            ),
            "intoto 0.0.2" => (
                "intoto",
                "0.0.2",
                json!({
                    "content": {
                        "hash": hash(b"as the log writes it"), "payloadHash": hash(b"{}"),
                        "envelope": {"payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": BASE64.encode(&signature), "publicKey": key}]},
                    },
                }),
            ),
            "dsse" => (
                "dsse",
                "0.0.1",
                json!({
                    "envelopeHash": hash(&self.bytes), "payloadHash": hash(b"{}"), "signatures": [{"signature": signature, "verifier": key}],
                }),
            ),
            other => unreachable!("{other}"),
        };
        json!({"apiVersion": version, "kind": kind, "spec": spec})
    }

    fn bundle(&self, body: &Value) -> Value {
        // Others come before and after.
        self.sigstore.log(b"one");
        let (index, _) = self.sigstore.log(body.to_string().as_bytes());
        self.sigstore.log(b"another");
        self.sigstore.bundle(index)
    }

    async fn checked(&self, bundle: &str) -> Result<Timestamp, String> {
        let logged = Logged {
            bytes: &self.bytes,
            content: self.content,
            signature: &self.signature,
            key: self.key.public(),
            certificate: None,
            bundle: Some(bundle),
        };
        LogPolicy::new(&self.sigstore.roots(), None).included(logged).await
    }
}

#[rstest]
#[case("hashedrekord", Content::Payload)]
#[case("intoto 0.0.1", Content::Envelope)]
#[case("intoto 0.0.2", Content::Envelope)]
#[case("dsse", Content::Envelope)]
#[tokio::test]
async fn entries_of_all_kinds(#[case] kind: &str, #[case] content: Content) {
    let scene = if content == Content::Payload { Scene::payload() } else { Scene::envelope().await };
    let bundle = scene.bundle(&scene.body(kind)).to_string();
    assert_eq!(scene.checked(&bundle).await, Ok(moment()));
    // The same entry says nothing about another signature, content or key.
    let other = if content == Content::Payload { Scene::payload() } else { Scene::envelope().await };
    let mut changed = Scene { sigstore: scene.sigstore, ..other };
    assert!(changed.checked(&bundle).await.unwrap_err().contains("about another"));
    (changed.content, changed.key) = (scene.content, scene.key);
    assert!(changed.checked(&bundle).await.unwrap_err().contains("about another"));
    changed.signature = scene.signature;
    if kind != "dsse" && kind != "intoto 0.0.2" {
        changed.bytes = b"other bytes".to_vec();
        assert!(changed.checked(&bundle).await.unwrap_err().contains("about another"));
    }
    changed.bytes = scene.bytes;
    assert_eq!(changed.checked(&bundle).await, Ok(moment()));
    changed.key = PrivateKey::generate().unwrap();
    assert!(changed.checked(&bundle).await.unwrap_err().contains("about another"));
}

#[rstest]
#[case::kind("/kind", json!("rekord"))]
#[case::hash("/spec/data/hash/value", json!("00"))]
#[case::hash_algorithm("/spec/data/hash/algorithm", json!("sha1"))]
#[case::signature("/spec/signature/content", json!("AAAA"))]
#[case::key("/spec/signature/publicKey/content", json!("AAAA"))]
#[tokio::test]
async fn entries_about_something_else(#[case] pointer: &str, #[case] value: Value) {
    let scene = Scene::payload();
    let mut body = scene.body("hashedrekord");
    *body.pointer_mut(pointer).unwrap() = value;
    assert!(scene.checked(&scene.bundle(&body).to_string()).await.is_err());
}

/// Each member is signed by the log.
#[rstest]
#[case::body("/Payload/body", json!("e30="))]
#[case::time("/Payload/integratedTime", json!(1))]
#[case::impossible_time("/Payload/integratedTime", json!(i64::MAX))]
#[case::index("/Payload/logIndex", json!(1))]
#[case::log("/Payload/logID", json!("00"))]
#[case::promise("/SignedEntryTimestamp", json!("AAAA"))]
#[case::promise_is_no_base64("/SignedEntryTimestamp", json!("?"))]
#[case::nothing("/SignedEntryTimestamp", json!(""))]
#[tokio::test]
async fn changed_bundles(#[case] pointer: &str, #[case] value: Value) {
    let scene = Scene::payload();
    let mut bundle = scene.bundle(&scene.body("hashedrekord"));
    *bundle.pointer_mut(pointer).unwrap() = value;
    assert!(scene.checked(&bundle.to_string()).await.is_err());
}

#[rstest]
#[case("")]
#[case("{}")]
#[case("[]")]
#[tokio::test]
async fn junk_for_a_bundle(#[case] bundle: &str) {
    let error = Scene::payload().checked(bundle).await.unwrap_err();
    assert!(error.starts_with("its log bundle cannot be read"), "{error}");
}

#[tokio::test]
async fn a_log_that_nobody_knows() {
    let scene = Scene::payload();
    let bundle = scene.bundle(&scene.body("hashedrekord")).to_string();
    let stranger = Scene { sigstore: Sigstore::new(), ..scene };
    let error = stranger.checked(&bundle).await.unwrap_err();
    assert!(error.contains("by a log that is not known"), "{error}");
}

#[tokio::test]
async fn without_keys_nothing_is_believed() {
    let scene = Scene::payload();
    let bundle = scene.bundle(&scene.body("hashedrekord")).to_string();
    let policy = LogPolicy::new(&attest::roots::Roots::default(), None);
    let logged = Logged {
        bytes: &scene.bytes,
        content: scene.content,
        signature: &scene.signature,
        key: scene.key.public(),
        certificate: None,
        bundle: Some(&bundle),
    };
    assert!(policy.included(logged).await.unwrap_err().contains("no key of a transparency log is known"));
    let policy = LogPolicy::new(&scene.sigstore.roots(), None);
    assert!(policy.included(Logged { bundle: None, ..logged }).await.unwrap_err().contains("no log to ask"));
}
