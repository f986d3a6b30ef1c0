//! How verification is tried with whatever somebody may push beside an image.
//!
//! Each test runs a bounded number of cases, or, with `FUZZ_SECONDS` in the environment, for that many seconds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::executor::block_on;
use jiff::Timestamp;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use registry::Digest;
use serde_json::{Value, json};

use crate::cosign::Layer;
use crate::verify::{Checks, Trust, attestations, image_signatures};
use crate::{KeySet, PrivateKey, PublicKey};

/// Tries `test` on what `strategy` makes up.
pub(crate) fn fuzz<S: Strategy>(strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    testkit::fuzz(file!(), strategy, test);
}

/// JSON with the words that are looked for at any place.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("payloadType"),
        Just("payload"),
        Just("signatures"),
        Just("sig"),
        Just("keyid"),
        Just("_type"),
        Just("subject"),
        Just("digest"),
        Just("sha256"),
        Just("predicate"),
        Just("predicateType"),
        Just("critical"),
        Just("image"),
        Just("keys"),
        Just("key"),
        Just("application/vnd.in-toto+json"),
        Just("https://in-toto.io/Statement/v0.1"),
        Just(""),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        vec(any::<u8>(), 0..24).prop_map(|bytes| BASE64.encode(bytes).into()),
    ];
    leaf.prop_recursive(6, 48, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map(word.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A whole envelope whose statement is any JSON.
fn any_envelope() -> impl Strategy<Value = Value> {
    (any_json(), vec(vec(any::<u8>(), 0..80), 0..20)).prop_map(|(statement, signatures)| {
        let signatures: Vec<_> =
            signatures.iter().map(|bytes| json!({"sig": BASE64.encode(bytes)})).collect();
        json!({
            "payloadType": "application/vnd.in-toto+json", "payload": BASE64.encode(statement.to_string()),
            "signatures": signatures,
        })
    })
}

fn any_layer() -> impl Strategy<Value = Layer> {
    let bytes = prop_oneof![
        vec(any::<u8>(), 0..64),
        any_json().prop_map(|json| json.to_string().into_bytes()),
        any_envelope().prop_map(|json| json.to_string().into_bytes()),
    ];
    let media_type = prop_oneof![
        Just("application/vnd.dsse.envelope.v1+json"),
        Just("application/vnd.dev.cosign.simplesigning.v1+json"),
        Just(""),
    ];
    let key = prop_oneof![
        Just("dev.cosignproject.cosign/signature"),
        Just("dev.sigstore.cosign/certificate"),
        Just("dev.sigstore.cosign/chain"),
        Just("dev.sigstore.cosign/bundle"),
    ];
    let value = prop_oneof![
        "\\PC{0,12}",
        vec(any::<u8>(), 0..80).prop_map(|bytes| BASE64.encode(bytes)),
        any_json().prop_map(|json| json.to_string()),
        vec(any::<u8>(), 0..80).prop_map(|der| {
            format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64.encode(der))
        }),
    ];
    (bytes, media_type, btree_map(key.prop_map(str::to_owned), value, 0..4)).prop_map(
        |(bytes, media_type, annotations)| Layer { bytes, media_type: media_type.to_owned(), annotations },
    )
}

/// Whatever it is, it is refused: nobody has the key.
#[test]
fn never_panics_and_never_verifies() {
    let key = PrivateKey::generate().unwrap();
    let trust = Trust::Keys(KeySet::from(key.public().clone()));
    let checks = Checks { log: None, now: Timestamp::UNIX_EPOCH };
    fuzz(&vec(any_layer(), 0..4), |layers| {
        let image = Digest::of(b"manifest");
        prop_assert!(block_on(image_signatures(&layers, &image, &trust, &checks)).is_err());
        prop_assert!(block_on(attestations(&layers, &image, &trust, &checks)).is_err());
        Ok(())
    });
}

#[test]
fn keys_never_panic() {
    let label = prop_oneof![
        Just("PUBLIC KEY"),
        Just("PRIVATE KEY"),
        Just("ENCRYPTED SIGSTORE PRIVATE KEY"),
        Just("CERTIFICATE"),
    ];
    let content =
        prop_oneof![vec(any::<u8>(), 0..120), any_json().prop_map(|json| json.to_string().into_bytes()),];
    let block = (label, content).prop_map(|(label, content)| {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(content))
    });
    let text = prop_oneof![block, "\\PC{0,80}", any_json().prop_map(|json| json.to_string())];
    fuzz(&text, |text| {
        prop_assert!(PublicKey::from_pem(&text).is_err());
        prop_assert!(KeySet::parse(&text).is_err());
        _ = PrivateKey::from_pem(&text);
        _ = PrivateKey::from_encrypted(&text, "password");
        Ok(())
    });
}

/// A key with something else at one place is another key or none.
#[test]
fn changed_keys_never_panic() {
    let key = PrivateKey::generate().unwrap();
    let der = crate::key::blocks(&key.public().to_pem()).unwrap().remove(0).content;
    let signature = key.sign(b"message").unwrap();
    fuzz(&(0..der.len(), any::<u8>()), |(at, byte)| {
        let mut changed = der.clone();
        changed[at] = byte;
        if let Ok(other) = PublicKey::from_der(&changed) {
            prop_assert_eq!(changed == der, other.verify(b"message", &signature).is_ok());
        }
        Ok(())
    });
}
