//! What is verified, and what of all that can be done to it is refused, and why.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::executor::block_on;
use futures::future::{self, BoxFuture, FutureExt as _};
use jiff::Timestamp;
use registry::Digest;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::dsse::{self, Signature};
use crate::{KeySet, PrivateKey, slsa};

const REPOSITORY: &str = "registry.example/org/app";
const FINISHED: &str = "2026-03-01T12:00:00Z";

/// Everything that goes into a signature and an attestation.
struct Scene {
    key: PrivateKey,
    other: PrivateKey,
    image: Digest,
    trust: Trust,
}

impl Scene {
    fn new() -> Self {
        let [key, other] = [PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap()];
        let trust = Trust::Keys(KeySet::from(key.public().clone()));
        Self { key, other, image: Digest::of(b"manifest"), trust }
    }

    fn signature(&self) -> Layer {
        signature_of(&self.image, &self.key)
    }

    fn statement(&self) -> Value {
        json!({
            "_type": statement::V0_1, "predicateType": slsa::v02::PREDICATE_TYPE,
            "subject": [
                {"name": "registry.example/org/other", "digest": {"sha256": "00"}},
                {"name": REPOSITORY, "digest": {"sha256": self.image.hex()}},
            ],
            "predicate": {"builder": {"id": "builder"}, "metadata": {"buildFinishedOn": FINISHED}},
        })
    }

    fn envelope(&self, statement: &Value) -> Envelope {
        envelope_of(statement::PAYLOAD_TYPE, statement.to_string().as_bytes(), &self.key)
    }

    fn attestation(&self) -> Layer {
        layer(&self.envelope(&self.statement()))
    }

    fn signatures(&self, layers: &[Layer]) -> Result<Vec<VerifiedSignature>, Refused> {
        block_on(image_signatures(layers, &self.image, &self.trust, &checks()))
    }

    fn attestations(&self, layers: &[Layer]) -> Result<Vec<VerifiedAttestation>, Refused> {
        block_on(attestations(layers, &self.image, &self.trust, &checks()))
    }
}

fn signature_of(image: &Digest, key: &PrivateKey) -> Layer {
    let payload = Payload::for_image(REPOSITORY, image);
    let signature = key.sign(&payload).unwrap();
    Layer::signature(payload, &signature, None)
}

fn envelope_of(payload_type: &str, payload: &[u8], key: &PrivateKey) -> Envelope {
    block_on(dsse::sign(key, payload_type, payload.to_vec())).unwrap()
}

fn layer(envelope: &Envelope) -> Layer {
    Layer::attestation(envelope, slsa::v02::PREDICATE_TYPE, None)
}

fn checks() -> Checks<'static> {
    Checks { log: None, now: "2026-09-01T00:00:00Z".parse().unwrap() }
}

#[test]
fn verifies_what_the_key_signed() {
    let scene = Scene::new();
    let [good] = &scene.signatures(&[scene.signature()]).unwrap()[..] else { panic!("there is one") };
    assert_eq!(good.keyid, scene.key.public().key_id());
    scene.key.public().verify(&scene.signature().bytes, &BASE64.decode(&good.sig).unwrap()).unwrap();

    let [good] = &scene.attestations(&[scene.attestation()]).unwrap()[..] else { panic!("there is one") };
    assert_eq!(good.statement, scene.statement());
    assert_eq!(good.signatures[0].keyid, scene.key.public().key_id());
    let shown = serde_json::to_value(&good.signatures[0]).unwrap();
    assert_eq!(shown, json!({"keyid": good.signatures[0].keyid, "sig": good.signatures[0].sig}));
}

/// A signature, changed.
#[rstest]
#[case::other_key(|scene: &Scene, layer: &mut Layer| *layer = signature_of(&scene.image, &scene.other), Cause::Untrusted)]
#[case::of_another_image(|scene: &Scene, layer: &mut Layer| *layer = signature_of(&Digest::of(b"other"), &scene.key), Cause::OtherImage)]
#[case::payload_of_another_image(
    |_: &Scene, layer: &mut Layer| layer.bytes = Payload::for_image(REPOSITORY, &Digest::of(b"other")),
    Cause::Untrusted
)]
#[case::payload_with_a_space(|_: &Scene, layer: &mut Layer| layer.bytes.push(b' '), Cause::Untrusted)]
#[case::payload_gone(|_: &Scene, layer: &mut Layer| layer.bytes.clear(), Cause::Untrusted)]
#[case::no_signature(|_: &Scene, layer: &mut Layer| layer.annotations.clear(), Cause::Malformed)]
#[case::empty_signature(|_: &Scene, layer: &mut Layer| set(layer, ""), Cause::Malformed)]
#[case::no_base64(|_: &Scene, layer: &mut Layer| set(layer, "%"), Cause::Malformed)]
#[case::zeros(|_: &Scene, layer: &mut Layer| set(layer, &BASE64.encode([0; 72])), Cause::Untrusted)]
#[case::zero_numbers(|_: &Scene, layer: &mut Layer| set(layer, &BASE64.encode([0x30, 6, 2, 1, 0, 2, 1, 0])), Cause::Untrusted)]
#[case::other_media_type(|_: &Scene, layer: &mut Layer| layer.media_type = "text/plain".to_owned(), Cause::Malformed)]
#[case::an_attestation(|scene: &Scene, layer: &mut Layer| *layer = scene.attestation(), Cause::Malformed)]
#[case::signed_statement_instead_of_payload(
    |scene: &Scene, layer: &mut Layer| {
        let statement = scene.statement().to_string().into_bytes();
        let signature = scene.key.sign(&statement).unwrap();
        *layer = Layer::signature(statement, &signature, None);
    },
    Cause::Malformed
)]
#[case::signed_envelope_content_instead_of_payload(
    |scene: &Scene, layer: &mut Layer| {
        let envelope = scene.envelope(&scene.statement());
        *layer = Layer::signature(envelope.signed_bytes(), &envelope.signatures[0].sig, None);
    },
    Cause::Malformed
)]
fn refuses_a_signature(#[case] change: fn(&Scene, &mut Layer), #[case] cause: Cause) {
    let scene = Scene::new();
    let mut layer = scene.signature();
    scene.signatures(std::slice::from_ref(&layer)).unwrap();
    change(&scene, &mut layer);
    assert_eq!(scene.signatures(std::slice::from_ref(&layer)).unwrap_err().cause(), cause);
    // Beside a good one it does no harm, and does not count.
    assert_eq!(scene.signatures(&[layer, scene.signature()]).unwrap().len(), 1);
}

fn set(layer: &mut Layer, signature: &str) {
    layer.annotations.insert("dev.cosignproject.cosign/signature".to_owned(), signature.to_owned());
}

/// An envelope, changed after it was signed.
#[rstest]
#[case::payload(|envelope: &mut Envelope| envelope.payload.push(b' '), Cause::Untrusted)]
#[case::payload_type(|envelope: &mut Envelope| envelope.payload_type = "text/plain".to_owned(), Cause::Malformed)]
#[case::no_signatures(|envelope: &mut Envelope| envelope.signatures.clear(), Cause::Malformed)]
#[case::no_signature(|envelope: &mut Envelope| envelope.signatures[0].sig.clear(), Cause::Untrusted)]
#[case::signature(|envelope: &mut Envelope| envelope.signatures[0].sig[8] ^= 1, Cause::Untrusted)]
#[case::builder(
    |envelope: &mut Envelope| {
        let payload = String::from_utf8(envelope.payload.clone()).unwrap();
        envelope.payload = payload.replace("\"builder\"}", "\"evil\"}").into_bytes();
    },
    Cause::Untrusted
)]
fn refuses_a_tampered_envelope(#[case] change: fn(&mut Envelope), #[case] cause: Cause) {
    let scene = Scene::new();
    let mut envelope = scene.envelope(&scene.statement());
    change(&mut envelope);
    let layer = layer(&envelope);
    assert_eq!(scene.attestations(std::slice::from_ref(&layer)).unwrap_err().cause(), cause);
    assert_eq!(scene.attestations(&[layer, scene.attestation()]).unwrap().len(), 1);
}

/// A statement that the right key signed.
#[rstest]
#[case::about_another_image(
    |statement: &mut Value| statement["subject"][1]["digest"]["sha256"] = Digest::of(b"other").hex().into(),
    Cause::OtherImage
)]
#[case::digest_by_another_algorithm(
    |statement: &mut Value| {
        let hex = statement["subject"][1]["digest"]["sha256"].take();
        statement["subject"][1]["digest"] = json!({"sha512": hex});
    },
    Cause::OtherImage
)]
#[case::name_says_the_digest(
    |statement: &mut Value| {
        statement["subject"] = json!([{"name": statement["subject"][1]["digest"]["sha256"], "digest": {}}]);
    },
    Cause::OtherImage
)]
#[case::no_subjects(|statement: &mut Value| statement["subject"] = json!([]), Cause::OtherImage)]
#[case::subject_without_digest(|statement: &mut Value| statement["subject"] = json!([{"name": "x"}]), Cause::Malformed)]
#[case::subjects_are_no_list(|statement: &mut Value| statement["subject"] = json!({}), Cause::Malformed)]
#[case::other_type(|statement: &mut Value| statement["_type"] = "https://in-toto.io/Statement/v9".into(), Cause::Malformed)]
#[case::list(|statement: &mut Value| *statement = json!([statement.take()]), Cause::Malformed)]
fn refuses_a_statement(#[case] change: fn(&mut Value), #[case] cause: Cause) {
    let scene = Scene::new();
    let mut statement = scene.statement();
    change(&mut statement);
    assert_eq!(scene.attestations(&[layer(&scene.envelope(&statement))]).unwrap_err().cause(), cause);
}

#[rstest]
#[case::signed_without_encoding(|scene: &Scene| {
    let mut envelope = scene.envelope(&scene.statement());
    envelope.signatures[0].sig = scene.key.sign(&envelope.payload).unwrap();
    envelope
}, Cause::Untrusted)]
#[case::image_signature_as_statement(|scene: &Scene| {
    let payload = Payload::for_image(REPOSITORY, &scene.image);
    let sig = scene.key.sign(&payload).unwrap();
    let signatures = vec![Signature { keyid: String::new(), sig }];
    Envelope { payload_type: statement::PAYLOAD_TYPE.to_owned(), payload, signatures }
}, Cause::Untrusted)]
#[case::other_key_that_says_it_is_ours(|scene: &Scene| {
    let statement = scene.statement().to_string();
    let mut envelope = envelope_of(statement::PAYLOAD_TYPE, statement.as_bytes(), &scene.other);
    scene.key.public().key_id().clone_into(&mut envelope.signatures[0].keyid);
    envelope
}, Cause::Untrusted)]
#[case::not_read_before_it_is_known_who_signed(
    |scene: &Scene| envelope_of(statement::PAYLOAD_TYPE, b"{", &scene.other),
    Cause::Untrusted
)]
#[case::no_json(|scene: &Scene| envelope_of(statement::PAYLOAD_TYPE, b"{", &scene.key), Cause::Malformed)]
#[case::nested_without_end(
    |scene: &Scene| envelope_of(statement::PAYLOAD_TYPE, "[".repeat(100_000).as_bytes(), &scene.key),
    Cause::Malformed
)]
fn refuses_an_envelope(#[case] make: fn(&Scene) -> Envelope, #[case] cause: Cause) {
    let scene = Scene::new();
    assert_eq!(scene.attestations(&[layer(&make(&scene))]).unwrap_err().cause(), cause);
}

#[test]
fn of_several_signatures_only_the_good_count() {
    let scene = Scene::new();
    let mut envelope = scene.envelope(&scene.statement());
    let payload = envelope.payload.clone();
    envelope.signatures.extend(envelope_of(statement::PAYLOAD_TYPE, &payload, &scene.other).signatures);
    envelope.signatures.push(Signature { keyid: scene.key.public().key_id().to_owned(), sig: vec![1] });
    let good = scene.attestations(&[layer(&envelope)]).unwrap();
    assert_eq!(good[0].signatures.len(), 1);
    assert_eq!(good[0].signatures[0].keyid, scene.key.public().key_id());
}

#[test]
fn says_why_there_is_nothing() {
    let scene = Scene::new();
    let refused = scene.signatures(&[]).unwrap_err();
    assert_eq!(
        (refused.cause(), refused.to_string().as_str()),
        (Cause::Missing, "the image has no signatures")
    );
    let refused = scene.attestations(&[]).unwrap_err();
    assert_eq!(
        (refused.cause(), refused.to_string().as_str()),
        (Cause::Missing, "the image has no attestations")
    );

    // The one that came furthest decides; the others are named too.
    let bad = [
        signature_of(&scene.image, &scene.other),
        signature_of(&Digest::of(b"other"), &scene.key),
        scene.attestation(),
    ];
    let refused = scene.signatures(&bad).unwrap_err();
    assert_eq!(refused.cause(), Cause::OtherImage);
    let text = refused.to_string();
    for words in [scene.key.public().key_id(), Digest::of(b"other").as_str(), "is no image signature"] {
        assert!(text.contains(words), "{text}");
    }
    let text = scene.signatures(&vec![scene.attestation(); 9]).unwrap_err().to_string();
    assert!(text.contains("and 4 more"), "{text}");
}

/// The key of the scene in a window.
fn in_window(scene: &Scene, not_before: Option<&str>, not_after: Option<&str>) -> Trust {
    let mut key = json!({"key": scene.key.public().to_pem()});
    for (name, value) in [("notBefore", not_before), ("notAfter", not_after)] {
        if let Some(value) = value {
            key[name] = value.into();
        }
    }
    Trust::Keys(KeySet::parse(&json!({"keys": [key]}).to_string()).unwrap())
}

/// The build ended in March, it is September now.
#[rstest]
#[case::in_use(Some("2026-01-01T00:00:00Z"), Some("2026-06-01T00:00:00Z"), true)]
#[case::not_yet_in_use(Some("2026-04-01T00:00:00Z"), None, false)]
#[case::no_longer_in_use(None, Some("2026-02-01T00:00:00Z"), false)]
fn a_replaced_key_stays_good_for_what_it_signed_in_its_time(
    #[case] not_before: Option<&str>,
    #[case] not_after: Option<&str>,
    #[case] expected: bool,
) {
    let mut scene = Scene::new();
    scene.trust = in_window(&scene, not_before, not_after);
    match scene.attestations(&[scene.attestation()]) {
        Ok(_) => assert!(expected),
        Err(refused) => assert_eq!((refused.cause(), expected), (Cause::OutsideWindow, false)),
    }
}

/// Without a date an attestation counts as made now, and an image signature, which never has one, as made some time.
#[rstest]
#[case::in_use(Some("2026-01-01T00:00:00Z"), None, true, true)]
#[case::replaced(None, Some("2026-06-01T00:00:00Z"), false, true)]
#[case::not_yet_in_use(Some("2027-01-01T00:00:00Z"), None, false, false)]
fn what_has_no_date(
    #[case] not_before: Option<&str>,
    #[case] not_after: Option<&str>,
    #[case] attested: bool,
    #[case] signed: bool,
) {
    let mut scene = Scene::new();
    scene.trust = in_window(&scene, not_before, not_after);
    let mut statement = scene.statement();
    statement["predicate"]["metadata"] = json!({});
    assert_eq!(scene.attestations(&[layer(&scene.envelope(&statement))]).is_ok(), attested);
    assert_eq!(scene.signatures(&[scene.signature()]).is_ok(), signed);
}

/// A log that has everything since then, or nothing.
struct Log(Option<&'static str>);

impl TransparencyLog for Log {
    fn included<'a>(&'a self, logged: Logged<'a>) -> BoxFuture<'a, Result<Timestamp, String>> {
        assert!(!logged.bytes.is_empty() && !logged.signature.is_empty());
        let at = self.0.map(|at| at.parse().unwrap());
        future::ready(at.ok_or_else(|| "the log has never heard of it".to_owned())).boxed()
    }
}

#[rstest]
#[case::not_there(None, Some(Cause::NotLogged))]
#[case::in_time(Some("2026-05-01T00:00:00Z"), None)]
#[case::after_the_key_was_replaced(Some("2026-07-01T00:00:00Z"), Some(Cause::OutsideWindow))]
fn the_log_says_when_it_was(#[case] at: Option<&'static str>, #[case] expected: Option<Cause>) {
    let mut scene = Scene::new();
    scene.trust = in_window(&scene, None, Some("2026-06-01T00:00:00Z"));
    let log = Log(at);
    let checks = Checks { log: Some(&log), ..checks() };
    let refused = block_on(attestations(&[scene.attestation()], &scene.image, &scene.trust, &checks)).err();
    assert_eq!(refused.map(|refused| refused.cause()), expected);
    let refused = block_on(image_signatures(&[scene.signature()], &scene.image, &scene.trust, &checks)).err();
    assert_eq!(refused.map(|refused| refused.cause()), expected);
}
