//! What judging costs, in requests and memory.

use serde_json::{Value, json};

use crate::world::{ALLOW, World, provenance};

/// Requests that one image may cause (quality.md).
const REQUESTS: usize = 14;

#[tokio::test]
async fn an_image_takes_few_requests() {
    let world = World::new();
    let image = world.good("app");
    let before = world.registry.calls().len();
    let report = world.judge(&image).await;
    assert!(report.success);
    let calls = world.registry.calls();
    let calls = &calls[before..];
    assert!(calls.len() <= REQUESTS, "{calls:#?}");
    // Each thing once.
    let mut distinct = calls.to_vec();
    distinct.sort();
    distinct.dedup();
    let blobs = calls.iter().filter(|call| call.contains("/blobs/")).count();
    assert_eq!(blobs, 3, "{calls:#?}");
}

/// Sixty images by three sources: each source is fetched and compiled once, and memory does not grow with the images.
#[tokio::test(flavor = "multi_thread")]
async fn sixty_images_by_three_sources_take_little_memory() {
    let world = World::new();
    let images: Vec<_> = (0..60)
        .map(|number| {
            let image = world.image(&format!("app{number}"), &json!({"Labels": {"number": number.to_string()}}), &[]);
            world.sign(&image);
            let mut statement = provenance(&image);
            let task = |number: usize| json!({"name": format!("task{number}"), "steps": [{"entryPoint": "x".repeat(1000)}]});
            statement["predicate"]["buildConfig"] = json!({"tasks": (0..100).map(task).collect::<Vec<_>>()});
            world.attest(&image, &[statement]);
            image
        })
        .collect();
    let source = |number: usize| {
        let rules = ALLOW
            .replace("release.allow", &format!("release.allow{number}"))
            .replace("allow.all", &format!("allow{number}.all"));
        let data: Value =
            json!({format!("table{number}"): (0..2000).map(|row| format!("row {row}")).collect::<Vec<_>>()});
        json!({
            "policy": [world.source(&format!("rules{number}"), &[("r.rego", &rules)])],
            "data": [world.source(&format!("data{number}"), &[("d.json", &data.to_string())])],
        })
    };
    let policy = json!({"sources": [source(0), source(1), source(2)]});
    let references: Vec<_> = images.iter().collect();
    let mut request = world.request(&references, &policy);
    request.keep_inputs = false;
    let before = resident();
    let report = world.validate(&request).await.unwrap();
    let grown = peak().saturating_sub(before);
    assert!(report.success, "{:?}", report.components[0]);
    assert_eq!(report.components.len(), 60);
    assert!(report.components.iter().all(|found| found.successes.len() == 6));
    // Far below the gigabyte that is allowed: the registry of the test is in the same process.
    assert!(grown < 200 * 1024, "{grown} KiB more than before");
}

/// KiB of this process.
fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

fn resident() -> u64 {
    status("VmRSS")
}

fn peak() -> u64 {
    status("VmHWM")
}
