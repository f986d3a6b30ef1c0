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
    ], "resourceKind": "pipeline"});
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
#[case(json!({"apiVersion": "appstudio.redhat.com/v1beta1", "metadata": {}, "spec": 1}), "its spec is missing, or not an object")]
#[case(json!({"apiVersion": "appstudio.redhat.com/v1beta1", "spec": {}}), "its metadata is missing")]
#[case(json!("text"), "apiVersion is \"\"")]
fn refuses_what_is_no_scenario(#[case] object: Value, #[case] expected: &str) {
    let error = convert(object, Version::V1beta2).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn an_object_without_a_spec_stays_so() {
    let bare = json!({"apiVersion": format!("{GROUP}/v1beta1"), "metadata": {"name": "a"}});
    let mut moved = bare.clone();
    for version in [Version::V1alpha1, Version::V1beta2, Version::V1beta1] {
        moved = convert(moved, version).unwrap();
        assert_eq!(moved.get("spec"), None, "{version:?}");
    }
    assert_eq!(moved, bare);
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

/// Up to two fields that no version of ours declares.
fn unknown() -> impl Strategy<Value = Map<String, Value>> {
    btree_map("added[A-Z]", anything(), 0..3).prop_map(|fields| fields.into_iter().collect())
}

/// `object` with some of its fields missing, and others added.
fn altered(object: Value) -> impl Strategy<Value = Value> {
    let fields = match object {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let kept = vec(proptest::bool::weighted(0.8), fields.len());
    (kept, unknown()).prop_map(move |(kept, unknown)| {
        let kept =
            fields.clone().into_iter().zip(kept).filter_map(|(field, is_kept)| is_kept.then_some(field));
        Value::Object(kept.chain(unknown).collect())
    })
}

fn resolver_ref() -> impl Strategy<Value = Value> {
    let name = prop_oneof![Just("bundle"), Just("name"), Just("kind"), Just("url")];
    let value = prop_oneof![Just(String::new()), Just("pipeline".to_owned()), ".{1,8}"];
    let param = (name, value).prop_map(|(name, value)| json!({"name": name, "value": value}));
    let param = prop_oneof![2 => param.clone().boxed(), 1 => param.prop_flat_map(altered).boxed()];
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
    prop_oneof![
        3 => written.clone(),
        3 => written.prop_flat_map(altered),
        2 => plain.clone(),
        1 => plain.prop_flat_map(altered),
        1 => something(),
    ]
}

/// Objects as each version may have stored them, with fields that it does not declare at each level: such that no
/// version declares, and such that another one does.
fn stored(version: Version) -> impl Strategy<Value = Value> {
    let parts = (
        btree_map("(application|params|contexts|added[A-Z])", anything(), 0..4),
        undeclared(version),
        option::of(something()),
        option::of((resolver_ref(), ".{0,8}", ".{0,8}")),
        metadata(),
        unknown(),
        option::of(anything()),
    );
    parts.prop_map(move |(rest, undeclared, environment, pipeline, metadata, unknown, status)| {
        let mut object = scenario(version.as_str(), &json!({}));
        let root = object.as_object_mut().unwrap();
        root.extend(unknown);
        root.extend(status.map(|status| ("status".to_owned(), status)));
        object["metadata"] = metadata;
        for (field, value) in rest.into_iter().chain(undeclared) {
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
        object
    })
}

/// Fields of the spec whose names only other versions declare.
fn undeclared(version: Version) -> impl Strategy<Value = Map<String, Value>> {
    let names =
        Version::iter().flat_map(Version::declares).filter(|field| !version.declares().contains(field));
    let names: Vec<&str> = names.copied().collect();
    btree_map(proptest::sample::select(names), anything(), 0..3)
        .prop_map(|fields| fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect())
}

fn metadata() -> impl Strategy<Value = Value> {
    let texts = |keys: &'static str| btree_map(keys, ".{0,8}", 0..3);
    let managers = option::of(vec(anything(), 0..2));
    (texts("[a-z]{1,4}"), texts("example[.]com/[a-z]{1,4}"), managers, unknown()).prop_map(
        |(labels, annotations, managers, unknown)| {
            let mut metadata = json!({"name": "a", "namespace": "b", "uid": "c", "resourceVersion": "7"});
            // As the API server has it: what is empty is not there.
            if !labels.is_empty() {
                metadata["labels"] = json!(labels);
            }
            if !annotations.is_empty() {
                metadata["annotations"] = json!(annotations);
            }
            if let Some(managers) = managers {
                metadata["managedFields"] = managers.into();
            }
            metadata.as_object_mut().unwrap().extend(unknown);
            metadata
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
        let others = |object: &Value| {
            let mut rest = object.clone();
            rest["apiVersion"] = Value::Null;
            let spec = rest["spec"].as_object_mut().unwrap();
            spec.retain(|field, _| Version::iter().all(|version| !version.declares().contains(&field.as_str())));
            let metadata = rest["metadata"].as_object_mut().unwrap();
            if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
                annotations.retain(|key, _| !key.starts_with("conversion.test.appstudio.openshift.io/"));
                if annotations.is_empty() {
                    metadata.remove("annotations");
                }
            }
            rest
        };
        prop_assert_eq!(others(&convert(object.clone(), to).unwrap()), others(&object));
    }

    /// Somebody reads an object in an older version, changes one thing, and writes it back: that is what changes.
    #[test]
    fn an_edit_in_another_version_is_one_edit(
        object in any_version().prop_flat_map(stored),
        there in any_version(),
        field in "(params|contexts|addedZ)",
        value in something(),
    ) {
        let home = version_of(&object).unwrap();
        let mut edited = convert(object.clone(), there).unwrap();
        edited["spec"][&field] = value.clone();
        let mut expected = object;
        expected["spec"][&field] = value;
        prop_assert_eq!(convert(edited, home).unwrap(), expected);
    }

    #[test]
    fn an_environment_edited_in_an_older_version_is_one_edit(
        object in stored(Version::V1beta2),
        there in proptest::sample::select(vec![Version::V1alpha1, Version::V1beta1]),
        environment in option::of(something()),
    ) {
        let mut edited = convert(object.clone(), there).unwrap();
        let mut expected = object;
        let spec = edited["spec"].as_object_mut().unwrap();
        spec.remove("environment");
        // As if it had been made without one.
        let parts = expected["metadata"].as_object_mut().unwrap();
        if let Some(Value::Object(annotations)) = parts.get_mut("annotations") {
            annotations.remove(annotations::ENVIRONMENT.as_str());
            if annotations.is_empty() {
                parts.remove("annotations");
            }
        }
        if let Some(environment) = environment {
            spec.insert("environment".to_owned(), environment.clone());
            expected["metadata"]["annotations"][annotations::ENVIRONMENT.as_str()] =
                environment.to_string().into();
        }
        prop_assert_eq!(convert(edited, Version::V1beta2).unwrap(), expected);
    }

    #[test]
    fn a_pipeline_edited_in_the_oldest_version_is_one_edit(
        object in stored(Version::V1beta2), pipeline in "[a-z]{1,8}", bundle in "[a-z]{1,8}",
    ) {
        let mut edited = convert(object.clone(), Version::V1alpha1).unwrap();
        edited["spec"]["pipeline"] = pipeline.clone().into();
        edited["spec"]["bundle"] = bundle.clone().into();
        let mut expected = object;
        let wanted = Bundle { pipeline: Some(pipeline.into()), image: Some(bundle.into()) };
        // What says the same already is kept as it was written.
        if Bundle::of(&expected["spec"]["resolverRef"]) != wanted {
            expected["spec"]["resolverRef"] = wanted.resolver_ref();
        }
        prop_assert_eq!(convert(edited, Version::V1beta2).unwrap(), expected);
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
