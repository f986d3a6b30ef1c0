//! What Fulcio and Rekor are asked, and which answers are taken.

use attest::fulcio::{self, Keyless};
use attest::transparency::LogPolicy;
use attest::verify::{Content, Logged, TransparencyLog as _};
use attest::{PrivateKey, Signer as _, certificate, rekor};
use fleet::Secret;
use rstest::rstest;
use serde_json::{Value, json};

use crate::service::{Service, token};
use crate::sigstore::{ISSUER, SUBJECT, moment};

async fn keyless(service: &Service, claims: &Value) -> Result<Keyless, fulcio::Error> {
    let client = fulcio::Client::new(service.outbound.clone(), service.url.clone());
    client.signer(&Secret::new(token(claims))).await
}

fn log(service: &Service) -> rekor::Client {
    rekor::Client::new(service.outbound.clone(), service.url.clone())
}

#[rstest]
#[case::subject(json!({"sub": "build"}))]
#[case::mail(json!({"sub": "7", "email": "dev@example.org", "email_verified": true}))]
#[case::mail_that_nobody_checked(json!({"sub": "7", "email": "dev@example.org", "email_verified": false}))]
#[tokio::test]
async fn a_key_with_a_certificate(#[case] claims: Value) {
    let service = Service::start().await;
    let signer = keyless(&service, &claims).await.unwrap();
    let signature = signer.sign(b"content").await.unwrap();
    let certificate = signer.certificate().unwrap();
    let identity = certificate::Identity::new(SUBJECT, "", ISSUER, "").unwrap();
    let checked = certificate::check(
        &certificate.leaf,
        &certificate.chain,
        &identity,
        &service.sigstore.roots(),
        moment(),
    )
    .unwrap();
    checked.key.verify(b"content", &signature).unwrap();
    assert_eq!(checked.key, *signer.public_key());
}

#[rstest]
#[case::other_key("/signedCertificateEmbeddedSct/chain/certificates", "not for the key")]
#[case::nothing("/signedCertificateEmbeddedSct/chain/certificates", "no certificate")]
#[tokio::test]
async fn certificates_that_are_not_ours(#[case] pointer: &'static str, #[case] expected: &str) {
    let service = Service::start().await;
    let other =
        keyless(&service, &json!({"sub": "other"})).await.unwrap().certificate().unwrap().leaf.clone();
    service.lie(pointer, if expected == "no certificate" { json!([]) } else { json!([other]) });
    let error = keyless(&service, &json!({"sub": "build"})).await.err().unwrap();
    assert!(error.to_string().contains(expected), "{error}");
    assert!(!error.is_transient());
}

#[rstest]
#[case("")]
#[case("a.b")]
#[case("a.?.c")]
#[case("a.e30.c")]
#[tokio::test]
async fn bad_tokens_are_not_sent(#[case] token: &str) {
    let service = Service::start().await;
    let client = fulcio::Client::new(service.outbound.clone(), service.url.clone());
    let error = client.signer(&Secret::new(token.to_owned())).await.err().unwrap();
    assert!(matches!(error, fulcio::Error::Token(_)), "{error}");
}

/// What signs, and what of it goes into the log.
struct Signed {
    key: PrivateKey,
    bytes: Vec<u8>,
    content: Content,
    signature: Vec<u8>,
}

impl Signed {
    async fn new(content: Content) -> Self {
        let key = PrivateKey::generate().unwrap();
        if content == Content::Payload {
            let signature = key.sign(b"payload").unwrap();
            return Self { key, bytes: b"payload".to_vec(), content, signature };
        }
        let envelope =
            attest::dsse::sign(&key, "application/vnd.in-toto+json", b"{}".to_vec()).await.unwrap();
        let signature = envelope.signatures[0].sig.clone();
        Self { key, bytes: envelope.to_bytes(), content, signature }
    }

    fn logged(&self) -> Logged<'_> {
        Logged {
            bytes: &self.bytes,
            content: self.content,
            signature: &self.signature,
            key: self.key.public(),
            certificate: None,
            bundle: None,
        }
    }
}

#[rstest]
#[case::payload(Content::Payload)]
#[case::envelope(Content::Envelope)]
#[tokio::test]
async fn uploads_once(#[case] content: Content) {
    let service = Service::start().await;
    service.sigstore.log(b"of somebody else");
    let signed = Signed::new(content).await;
    let policy = LogPolicy::new(&service.sigstore.roots(), Some(log(&service)));
    assert_eq!(
        policy.included(signed.logged()).await,
        Err("the transparency log does not have it".to_owned())
    );

    let first = log(&service).upload(&signed.logged()).await.unwrap();
    assert_eq!((first.log_index, first.was_there), (1001, false));
    service.sigstore.log(b"of somebody else, later");
    let second = log(&service).upload(&signed.logged()).await.unwrap();
    assert_eq!((second.log_index, second.was_there), (1001, true));
    assert_eq!(service.sigstore.entries(), 3);
    assert!(log(&service).entry_url(1001).ends_with("/api/v1/log/entries?logIndex=1001"));

    // Without and with the bundle that the upload gave.
    assert_eq!(policy.included(signed.logged()).await, Ok(moment()));
    let offline = LogPolicy::new(&service.sigstore.roots(), None);
    assert_eq!(
        offline.included(Logged { bundle: Some(&first.bundle), ..signed.logged() }).await,
        Ok(moment())
    );
}

/// With many entries: proofs of all lengths.
#[tokio::test]
async fn proofs_in_trees_of_all_shapes() {
    let service = Service::start().await;
    let policy = LogPolicy::new(&service.sigstore.roots(), Some(log(&service)));
    for number in 0..9 {
        let signed = Signed::new(Content::Payload).await;
        log(&service).upload(&signed.logged()).await.unwrap();
        assert_eq!(policy.included(signed.logged()).await, Ok(moment()), "entry {number}");
        service.sigstore.log(&[number]);
        assert_eq!(policy.included(signed.logged()).await, Ok(moment()), "entry {number}");
    }
}

#[rstest]
#[case::no_promise("/verification/signedEntryTimestamp", json!(""), "did not sign")]
#[case::other_promise("/verification/signedEntryTimestamp", json!("AAAA"), "did not sign")]
#[case::no_proof("/verification/inclusionProof", Value::Null, "no proof of inclusion")]
#[case::other_index("/verification/inclusionProof/logIndex", json!(1), "does not lead")]
#[case::index_outside("/verification/inclusionProof/logIndex", json!(3), "does not lead")]
#[case::short("/verification/inclusionProof/hashes", json!([]), "does not lead")]
#[case::long("/verification/inclusionProof/hashes", json!(["00"]), "holds no hash")]
#[case::other_size("/verification/inclusionProof/treeSize", json!(4), "another size")]
#[case::no_checkpoint("/verification/inclusionProof/checkpoint", json!(""), "cannot be read")]
#[case::unsigned("/verification/inclusionProof/checkpoint", json!("log\n3\nAAAA\n\n"), "not signed by a known log")]
#[case::other_body("/body", json!("e30="), "did not sign")]
#[case::other_time("/integratedTime", json!(5), "did not sign")]
#[tokio::test]
async fn logs_that_lie(#[case] pointer: &'static str, #[case] lie: Value, #[case] expected: &str) {
    let service = Service::start().await;
    let signed = Signed::new(Content::Payload).await;
    log(&service).upload(&signed.logged()).await.unwrap();
    service.sigstore.log(b"two");
    service.sigstore.log(b"three");
    service.lie(pointer, lie);
    let policy = LogPolicy::new(&service.sigstore.roots(), Some(log(&service)));
    let error = policy.included(signed.logged()).await.unwrap_err();
    assert!(error.contains(expected), "{error}");
}

#[rstest]
#[case::unsigned("/verification/signedEntryTimestamp", json!(""), "not signed its entry")]
#[case::about_something_else("/body", json!("e30="), "cannot be read")]
#[tokio::test]
async fn uploads_are_read_back(#[case] pointer: &'static str, #[case] lie: Value, #[case] expected: &str) {
    let service = Service::start().await;
    service.lie(pointer, lie);
    let error = log(&service).upload(&Signed::new(Content::Payload).await.logged()).await.unwrap_err();
    assert!(error.to_string().contains(expected) && !error.is_transient(), "{error}");
}
