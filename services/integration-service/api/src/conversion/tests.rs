use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use rstest::rstest;
use strum::IntoEnumIterator as _;

use super::*;
use crate::{v1alpha1, v1beta1, v1beta2};

fn scenario(version: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/{version}"), "kind": "IntegrationTestScenario",
        "metadata": {"name": "a"}, "spec": spec,
    })
}

fn annotation(object: &Value, key: AnnotationKey) -> Option<Value> {
    let text = object["metadata"]["annotations"].get(key.as_str())?.as_str()?;
    serde_json::from_str(text).ok()
}

#[test]
fn a_bundle_becomes_a_resolver_reference() {
    let old = scenario(
        "v1alpha1",
        &json!({"application": "shop", "pipeline": "test", "bundle": "images.example.com/b"}),
    );
    let expected = json!({"resolver": "bundles", "params": [
        {"name": "bundle", "value": "images.example.com/b"},
        {"name": "name", "value": "test"},
        {"name": "kind", "value": "pipeline"},
    ]});
    for to in [Version::V1beta1, Version::V1beta2] {
        let new = convert(old.clone(), to).unwrap();
        assert_eq!(new["apiVersion"], format!("{GROUP}/{}", to.as_str()));
        assert_eq!(new["spec"], json!({"application": "shop", "resolverRef": expected}));
        assert_eq!(new["metadata"], old["metadata"]);
    }
}

#[test]
fn the_environment_is_kept_in_an_annotation() {
    let environment = json!({"name": "staging", "type": "POC"});
    let old = scenario("v1beta1", &json!({"application": "shop", "environment": environment}));
    let new = convert(old, Version::V1beta2).unwrap();
    assert_eq!(new["spec"], json!({"application": "shop"}));
    assert_eq!(annotation(&new, annotations::ENVIRONMENT), Some(environment));
}

#[test]
fn what_is_in_no_bundle_has_none() {
    let git = json!({"resolver": "git", "params": [{"name": "url", "value": "https://git.example.com/a"}]});
    let new = scenario("v1beta2", &json!({"application": "shop", "resolverRef": git}));
    let old = convert(new, Version::V1alpha1).unwrap();
    assert_eq!(old["spec"], json!({"application": "shop", "pipeline": "", "bundle": ""}));
    assert_eq!(annotation(&old, annotations::RESOLVER_REF), Some(git));
}

/// Who writes an older version means what he writes there.
#[test]
fn edits_in_an_older_version_win_over_annotations() {
    let git = json!({"resolver": "git", "params": []});
    let new = scenario("v1beta2", &json!({"application": "shop", "resolverRef": git}));
    let mut old = convert(new, Version::V1alpha1).unwrap();
    old["spec"]["pipeline"] = "test".into();
    old["spec"]["bundle"] = "images.example.com/b".into();
    let edited = convert(old, Version::V1beta2).unwrap();
    assert_eq!(edited["spec"]["resolverRef"]["resolver"], "bundles");
    assert_eq!(edited["metadata"], json!({"name": "a"}), "no annotation is left");

    let old =
        scenario("v1beta1", &json!({"application": "shop", "environment": {"name": "a", "type": "POC"}}));
    let mut again = convert(convert(old, Version::V1beta2).unwrap(), Version::V1beta1).unwrap();
    again["spec"].as_object_mut().unwrap().remove("environment");
    let edited = convert(again, Version::V1beta2).unwrap();
    assert_eq!(annotation(&edited, annotations::ENVIRONMENT), None);
}

#[rstest]
#[case(json!({"apiVersion": "appstudio.redhat.com/v1", "spec": {}, "metadata": {}}), "apiVersion is")]
#[case(json!({"apiVersion": "tekton.dev/v1beta1", "spec": {}, "metadata": {}}), "apiVersion is \"tekton.dev/v1beta1\"")]
#[case(json!({"apiVersion": "appstudio.redhat.com/v1beta1", "metadata": {}}), "its spec is missing")]
#[case(json!({"apiVersion": "appstudio.redhat.com/v1beta1", "spec": {}}), "its metadata is missing")]
#[case(json!("text"), "apiVersion is \"\"")]
fn refuses_what_is_no_scenario(#[case] object: Value, #[case] expected: &str) {
    let error = convert(object, Version::V1beta2).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

/// Any JSON, a few levels deep.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map("[a-zA-Z]{1,6}", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn something() -> impl Strategy<Value = Value> {
    anything().prop_filter("the API server drops null", |value| !value.is_null())
}

fn resolver_ref() -> impl Strategy<Value = Value> {
    let name = prop_oneof![Just("bundle"), Just("name"), Just("kind"), Just("url")];
    let value = prop_oneof![Just(String::new()), Just("pipeline".to_owned()), ".{1,8}"];
    let param = (name, value).prop_map(|(name, value)| json!({"name": name, "value": value}));
    let written = (prop_oneof![Just("bundles"), Just("git")], vec(param, 0..5), option::of("pipeline(run)?"))
        .prop_map(|(resolver, params, kind)| {
            let mut written = json!({"resolver": resolver, "params": params});
            if let Some(kind) = kind {
                written["resourceKind"] = kind.into();
            }
            written
        });
    let plain = (".{0,8}", ".{0,8}").prop_map(|(image, name)| {
        Bundle { pipeline: Some(name.into()), image: Some(image.into()) }.resolver_ref()
    });
    prop_oneof![3 => written, 2 => plain, 1 => something()]
}

/// Objects as each version may have stored them, with fields that none of them declares.
fn stored(version: Version) -> impl Strategy<Value = Value> {
    let rest = btree_map("(params|contexts|added[A-Z])", anything(), 0..4);
    let environment = option::of(something());
    let pipeline = option::of((resolver_ref(), ".{0,8}", ".{0,8}"));
    let annotations = btree_map("example[.]com/[a-z]{1,4}", ".{0,8}", 0..3);
    let status = option::of(anything());
    (rest, environment, pipeline, annotations, status).prop_map(
        move |(rest, environment, pipeline, annotations, status)| {
            let mut object = scenario(version.as_str(), &json!({"application": "shop"}));
            for (key, value) in annotations {
                object["metadata"]["annotations"][key] = value.into();
            }
            for (field, value) in rest {
                object["spec"][field] = value;
            }
            match environment {
                Some(environment) if version.has_environment() => object["spec"]["environment"] = environment,
                Some(environment) => {
                    object["metadata"]["annotations"][annotations::ENVIRONMENT.as_str()] =
                        environment.to_string().into();
                }
                None => {}
            }
            match pipeline {
                Some((reference, ..)) if version.has_resolver_ref() => {
                    object["spec"]["resolverRef"] = reference;
                }
                Some((_, pipeline, bundle)) => {
                    object["spec"]["pipeline"] = pipeline.into();
                    object["spec"]["bundle"] = bundle.into();
                }
                None => {}
            }
            if let Some(status) = status {
                object["status"] = status;
            }
            object
        },
    )
}

fn any_version() -> impl Strategy<Value = Version> {
    proptest::sample::select(Version::iter().collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn nothing_is_lost_on_the_way_and_back(
        object in any_version().prop_flat_map(stored),
        by_way_of in vec(any_version(), 1..4),
    ) {
        let home = version_of(&object).unwrap();
        let mut moved = object.clone();
        for version in by_way_of {
            moved = convert(moved, version).unwrap();
            prop_assert_eq!(version_of(&moved).unwrap(), version);
        }
        prop_assert_eq!(convert(moved, home).unwrap(), object);
    }

    /// The way does not matter: what is read in a version is the same, whatever was between.
    #[test]
    fn all_ways_lead_to_the_same(
        object in any_version().prop_flat_map(stored), between in any_version(), to in any_version(),
    ) {
        let home = version_of(&object).unwrap();
        prop_assume!(between != home && to != home);
        let directly = convert(object.clone(), to).unwrap();
        prop_assert_eq!(convert(convert(object, between).unwrap(), to).unwrap(), directly);
    }

    #[test]
    fn nothing_else_is_touched(object in any_version().prop_flat_map(stored), to in any_version()) {
        let moved = convert(object.clone(), to).unwrap();
        for field in ["params", "contexts", "application", "addedA"] {
            prop_assert_eq!(moved["spec"].get(field), object["spec"].get(field));
        }
        prop_assert_eq!(moved.get("status"), object.get("status"));
        prop_assert_eq!(&moved["metadata"]["name"], &object["metadata"]["name"]);
    }

    /// Whatever a version converts to, the types of the other can read, if the API server took the original.
    #[test]
    fn the_types_read_what_is_converted(
        environment in option::of("[a-z]{1,8}"),
        git in any::<bool>(),
    ) {
        let resolver = if git { "git" } else { "bundles" };
        let mut object = scenario(
            "v1beta1",
            &json!({"application": "shop", "resolverRef": {"resolver": resolver, "params": [{"name": "name", "value": "a"}]}}),
        );
        if let Some(name) = environment {
            object["spec"]["environment"] = json!({"name": name, "type": "POC"});
        }
        for version in Version::iter() {
            let read = convert(object.clone(), version).unwrap();
            let written = match version {
                Version::V1alpha1 => rewritten::<v1alpha1::IntegrationTestScenario>(&read),
                Version::V1beta1 => rewritten::<v1beta1::IntegrationTestScenario>(&read),
                Version::V1beta2 => rewritten::<v1beta2::IntegrationTestScenario>(&read),
            };
            prop_assert_eq!(written, read);
        }
    }
}

fn rewritten<K: serde::Serialize + serde::de::DeserializeOwned>(value: &Value) -> Value {
    serde_json::to_value(serde_json::from_value::<K>(value.clone()).unwrap()).unwrap()
}
