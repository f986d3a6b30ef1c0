//! How the readers of what is around an image are tried with whatever somebody may push or send.
//!
//! Each test runs a bounded number of cases, or, with `FUZZ_SECONDS` in the environment, for that many seconds.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use registry::{Digest, Manifest, Reference};
use serde_json::{Value, json};

use crate::effective_time::EffectiveTime;
use crate::image;
use crate::snapshot::Snapshot;
use crate::{policy, yaml};

/// Tries `test` on what `strategy` makes up.
pub(crate) fn fuzz<S: Strategy>(strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    testkit::fuzz(file!(), strategy, test);
}

/// JSON with the words that are looked for at any place.
fn any_json() -> impl Strategy<Value = Value> {
    let words = [
        "schemaVersion",
        "mediaType",
        "config",
        "layers",
        "manifests",
        "annotations",
        "subject",
        "digest",
        "size",
        "platform",
        "architecture",
        "components",
        "containerImage",
        "name",
        "source",
        "apiVersion",
        "spec",
        "sources",
        "policy",
        "data",
        "ruleData",
        "volatileConfig",
        "exclude",
        "value",
        "effectiveOn",
        "identity",
        "predicateType",
        "predicate",
        "builder",
        "id",
        "materials",
        "uri",
        "_type",
        "org.opencontainers.image.base.name",
    ];
    let word = proptest::sample::select(words.to_vec()).prop_map(str::to_owned);
    let text = prop_oneof![
        word.clone(),
        Just(Digest::of(b"").to_string()),
        Just("https://slsa.dev/provenance/v0.2".to_owned()),
        Just("registry.example/app:v1".to_owned()),
        ".{0,12}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(word.clone(), inner, 0..6).prop_map(|map| json!(map)),
        ]
    })
}

fn manifest(bytes: Vec<u8>) -> Manifest {
    let reference: Reference = "registry.example/app:v1".parse().unwrap();
    let digest = Digest::of(&bytes);
    Manifest { reference: reference.at(digest.clone()), digest, media_type: String::new(), bytes }
}

#[test]
fn never_panics_on_json() {
    fuzz(&any_json(), |value| {
        let text = value.to_string();
        image::try_all(&manifest(text.clone().into_bytes()));
        let _ = image::faults(&value);
        let _ = Snapshot::parse("fuzz", &text).map(|snapshot| snapshot.value());
        let _ = policy::check("fuzz", &value);
        Ok(())
    });
}

#[test]
fn never_panics_on_text() {
    fuzz(&".{0,200}", |text| {
        image::try_all(&manifest(text.clone().into_bytes()));
        let _ = Snapshot::parse("fuzz", &text);
        let _ = yaml::documents(text.as_bytes());
        let _ = text.parse::<EffectiveTime>();
        Ok(())
    });
}
