//! Scenarios 4, 5, 18: who is not served is told so, in the whole remote cluster.

use serde_json::json;
use testkit::engine::{RunScript, Runs};
use testkit::{DEADLINE, eventually};

use kube::ResourceExt as _;

use crate::service::{NAME, Service, message};

#[tokio::test]
async fn scenario_04_05_and_18_whoever_is_not_allowed_is_rejected_and_counted() -> anyhow::Result<()> {
    let mut service = Service::alone().await?;
    service.pipeline("sign", &[]).await?;
    service.run().await?;
    let expected =
        format!("the internal request namespace ({}) is not in the allow list", service.managed.name());
    // No settings, an empty list, another namespace.
    service.ask("none", json!({"request": "sign"})).await?;
    let none = service.has("none", "Rejected").await?;
    assert_eq!((message(&none), none.finalizers().len()), (expected.clone(), 0));
    assert!(none.status.is_some_and(|status| status.completion_time.is_some()));
    service.configure(json!({"allowList": ["another"]})).await?;
    service.ask("other", json!({"request": "sign"})).await?;
    assert_eq!(message(&service.has("other", "Rejected").await?), expected);
    assert_eq!(service.told("other", "Rejected").await?, expected);
    assert!(service.engine.seen().is_empty(), "nothing was run");

    // Settings that come later serve what comes then, and nothing that was rejected.
    service.configure(json!({"allowList": [service.managed.name()]})).await?;
    service.engine.play(Runs::labelled(NAME, "bad"), RunScript::fails("Failed", "it broke"));
    service.ask("good", json!({"request": "sign"})).await?;
    service.has("good", "Succeeded").await?;
    service.ask("bad", json!({"request": "sign"})).await?;
    service.has("bad", "Failed").await?;
    assert_eq!(service.requests().get("none").await?.status.unwrap().conditions[0].reason, "Rejected");

    eventually(DEADLINE, "the counts", async || {
        let count = |reason| service.sum("internal_request_attempt_total", Some(("reason", reason)));
        let counts = [count("Succeeded"), count("Failed"), count("Rejected")];
        anyhow::ensure!(counts == [1, 1, 2], "{counts:?}");
        let durations = service.sum("internal_request_attempt_duration_seconds", None);
        anyhow::ensure!(durations == 4, "{durations}");
        let running = service.sum("internal_request_attempt_concurrent_requests", None);
        anyhow::ensure!(running == 0, "{running} are running");
        Ok(())
    })
    .await
}
