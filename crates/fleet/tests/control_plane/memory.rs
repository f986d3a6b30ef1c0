//! How many bytes an object takes in a store, measured in a process of its own.

use std::process::Command;

use fleet::Store;
use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Set, it makes [`the_process_that_fills_a_store`] do so: `trimmed` or `whole`.
const FILL: &str = "FLEET_TEST_FILL";
const OBJECTS: u32 = 20_000;

/// Of one object with what a Component of application-service keeps. About 600 bytes of that is its text, the rest the
/// Rust types around it, its key and its place in the maps.
const BOUND: u64 = 2_500;

/// Like a Component: a dozen strings, of which controllers use some.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "memory.example.com",
    version = "v1",
    kind = "Part",
    derive = "PartialEq",
    namespaced,
    schema = "disabled"
)]
#[serde(rename_all = "camelCase", default)]
struct PartSpec {
    application: String,
    url: String,
    revision: Option<String>,
    context: Option<String>,
    image: Option<String>,
    secret: Option<String>,
    nudges: Vec<String>,
    env: Vec<Value>,
    replicas: Option<i32>,
}

fn part(number: u32) -> Part {
    let name = format!("component-{number}");
    let managed = |manager: &str| {
        json!({"manager": manager, "operation": "Update", "apiVersion": "memory.example.com/v1",
            "time": "2024-03-01T12:00:00Z", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:metadata": {"f:annotations": {".": {}, "f:example.com/team": {}}, "f:ownerReferences": {}},
                "f:spec": {".": {}, "f:application": {}, "f:url": {}, "f:revision": {}, "f:context": {}, "f:image": {}}}})
    };
    serde_json::from_value(json!({
        "apiVersion": "memory.example.com/v1", "kind": "Part",
        "metadata": {
            "name": name, "namespace": format!("team-{}", number / 200), "uid": format!("{number:036}"),
            "resourceVersion": (number + 1).to_string(), "generation": 1, "creationTimestamp": "2024-03-01T12:00:00Z",
            "finalizers": ["example.com/part"],
            "annotations": {"example.com/team": "shop", "example.com/contact": "shop@example.com"},
            "ownerReferences": [{"apiVersion": "example.com/v1", "kind": "Application", "name": "shop", "uid": format!("{number:036}")}],
            "managedFields": [managed("kubectl"), managed("service")],
        },
        "spec": {
            "application": "shop", "url": format!("https://git.example.com/shop/{name}"), "revision": "main",
            "context": "./", "image": format!("registry.example.com/shop/{name}@sha256:{number:064x}"),
            "env": [{"name": "LOG_LEVEL", "value": "info"}, {"name": "REGION", "value": "north"}], "replicas": 1,
        },
    }))
    .unwrap()
}

/// Drops what no controller reads.
fn trim(part: &mut Part) {
    part.metadata.annotations = None;
    part.spec.env.clear();
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap() * 1024
}

/// Nothing, but in a process that [`bytes_per_object`] started: prints how much memory each object took.
#[test]
fn the_process_that_fills_a_store() {
    #[expect(clippy::disallowed_methods, reason = "a test has no flags; this is how it is told")]
    let Ok(how) = std::env::var(FILL) else { return };
    let is_trimmed = how == "trimmed";
    let store: Store<Part> = Store::new(if is_trimmed { trim } else { |_| {} }, Vec::new());
    // What the first objects cost is not what each one does.
    (0..100).for_each(|number| store.apply(part(number)));
    let before = resident();
    let mut kept = Vec::new();
    for number in 100..OBJECTS + 100 {
        let part = part(number);
        if !is_trimmed {
            kept.push(part.metadata.managed_fields.clone());
        }
        store.apply(part);
    }
    let bytes = resident().saturating_sub(before) / u64::from(OBJECTS);
    assert_eq!(store.len(), OBJECTS as usize + 100);
    eprintln!("bytes per object: {bytes}");
}

fn bytes_per_object(how: &str) -> u64 {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "memory::the_process_that_fills_a_store", "--nocapture", "--test-threads=1"])
        .env(FILL, how)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let bytes = text.lines().find_map(|line| line.strip_prefix("bytes per object: "));
    bytes.and_then(|bytes| bytes.parse().ok()).unwrap_or_else(|| panic!("no figure in: {text}"))
}

#[test]
fn a_trimmed_object_takes_few_bytes() {
    let (trimmed, whole) = (bytes_per_object("trimmed"), bytes_per_object("whole"));
    eprintln!("bytes per object: {trimmed} trimmed, {whole} with managedFields and all");
    assert!(trimmed <= BOUND, "{trimmed} bytes each");
    // So that the bound means something: with managedFields it would be exceeded.
    assert!(whole > BOUND, "{whole} bytes each");
}
