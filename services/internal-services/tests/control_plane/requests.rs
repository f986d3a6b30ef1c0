//! Scenarios 1 to 3, 6, 7, 10, 11, 17: what becomes of one request.

use anyhow::ensure;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams, PostParams};
use rstest::rstest;
use serde_json::{Value, json};
use testkit::builders::Build as _;
use testkit::engine::{RunScript, Runs, TaskScript};
use testkit::faults::{Fault, Plan, Requests};

use crate::service::{NAME, Service, message, request};

#[tokio::test]
async fn scenario_01_and_10_a_request_gets_a_run_that_says_whose_it_is() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.engine.play(Runs::any(), RunScript::never_ends().task("sign", TaskScript::never_ends()));
    let asked = request("one", json!({"request": "sign", "params": {"b": "2", "a": "1"}}))
        .label("pipelines.appstudio.openshift.io/type", "build")
        .label("internal-services.appstudio.openshift.io/group-id", "g");
    service.requests().create(&PostParams::default(), &asked).await?;
    let request = service.has("one", "Running").await?;
    let runs = service.has_runs(1).await?;
    let run = &runs[0];
    let namespace = service.installed.namespace();
    let params = json!([{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]);
    assert_eq!(json!(run.spec.params), params);
    assert_eq!(run.spec.pipeline_ref.as_ref().map(|reference| reference.name.as_str()), Some("sign"));
    let labels = json!({
        NAME: "one", "internal-services.appstudio.openshift.io/namespace": service.managed.name(),
        "pipelines.appstudio.openshift.io/type": "release", "internal-services.appstudio.openshift.io/group-id": "g",
    });
    for (key, value) in labels.as_object().into_iter().flatten() {
        assert_eq!(run.labels().get(key).map(String::as_str), value.as_str(), "{key}");
    }
    let annotations = run.annotations();
    assert_eq!(annotations["operator-sdk/primary-resource"], format!("{}/one", service.managed.name()));
    assert_eq!(annotations["operator-sdk/primary-resource-type"], "InternalRequest.appstudio.redhat.com");
    let status = request.status.unwrap();
    assert!(status.start_time.is_some() && status.completion_time.is_none());
    assert_eq!(status.pipeline_run, Some(format!("{namespace}/{}", run.name_any())));
    service.told("one", "Started").await?;
    Ok(())
}

#[tokio::test]
async fn scenario_02_results_are_brought_back_and_the_run_goes() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let script = RunScript::new().result("foo", "bar").result("arr", json!(["a", "b"]));
    service.engine.play(Runs::labelled(NAME, "one"), script);
    service.ask("one", json!({"request": "sign"})).await?;
    let request = service.settled("one").await?;
    service.has_runs(0).await?;
    let status = request.status.as_ref().unwrap();
    assert_eq!(json!(status.results), json!({"foo": "bar", "arr": r#"["a","b"]"#}));
    assert_eq!(
        (status.conditions[0].status.as_str(), status.conditions[0].reason.as_str()),
        ("True", "Succeeded")
    );
    assert!(status.completion_time >= status.start_time && status.start_time.is_some());
    let note = service.told("one", "Succeeded").await?;
    assert!(note.contains("arr (array)"), "{note}");
    Ok(())
}

#[tokio::test]
async fn scenario_03_a_failed_run_tells_why_and_is_kept_for_debugging() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.engine.play(Runs::any(), RunScript::fails("Failed", "it broke").result("log", "the end"));
    service.ask("one", json!({"request": "sign"})).await?;
    let request = service.settled("one").await?;
    assert_eq!(
        (message(&request).as_str(), request.status.unwrap().results["log"].as_str()),
        ("it broke", "the end")
    );
    assert_eq!(service.told("one", "Failed").await?, "it broke");
    service.has_runs(0).await?;
    service.configure(json!({"allowList": [service.managed.name()], "debug": true})).await?;
    service.ask("two", json!({"request": "sign"})).await?;
    service.settled("two").await?;
    assert_eq!(service.all_runs().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn scenario_06_only_a_pipeline_that_is_not_there_is_none() -> anyhow::Result<()> {
    let plan = Plan::new(1, [Requests::verbs(&["get"]).of("pipelines").first(2, Fault::Answer(500))]);
    let mut service = Service::install(plan).await?;
    service.serve_managed().await?;
    service.run().await?;
    service.ask("one", json!({"request": "sign"})).await?;
    service.has("one", "Succeeded").await?;
    service.ask("two", json!({"request": "scan"})).await?;
    let request = service.has("two", "Rejected").await?;
    assert_eq!(message(&request), "No endpoint to handle 'scan' requests");
    assert!(request.status.is_some_and(|status| status.completion_time.is_some()));
    Ok(())
}

#[rstest]
#[case::of_that_name(&["workspace"], Some("2Gi"))]
#[case::of_another(&["data"], None)]
#[case::none(&[], None)]
#[tokio::test]
async fn scenario_07_a_volume_is_bound_where_it_is_declared(
    #[case] declared: &[&str],
    #[case] expected: Option<&str>,
) -> anyhow::Result<()> {
    let service = Service::start().await?;
    let volume = json!({"name": "workspace", "size": "2Gi"});
    service.configure(json!({"allowList": [service.managed.name()], "volumeClaim": volume})).await?;
    service.pipeline("scan", declared).await?;
    service.ask("one", json!({"request": "scan"})).await?;
    let run = service.engine.sees(&Runs::labelled(NAME, "one")).await?;
    let size =
        &run.data["spec"]["workspaces"][0]["volumeClaimTemplate"]["spec"]["resources"]["requests"]["storage"];
    assert_eq!(size.as_str(), expected);
    Ok(())
}

#[tokio::test]
async fn scenario_11_a_request_says_one_thing_for_ever() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let both = json!({"request": "sign", "pipeline": {"pipelineRef": {"resolver": "git", "params": []}}});
    for (name, spec) in [("both", both), ("neither", json!({}))] {
        let error = service.ask(name, spec).await.unwrap_err().to_string();
        assert!(error.contains("exactly one of request and pipeline"), "{error}");
    }
    service.ask("one", json!({"request": "sign"})).await?;
    let other = json!({"spec": {"request": "scan"}});
    let changed = service.requests().patch("one", &PatchParams::default(), &Patch::Merge(&other)).await;
    let error = changed.unwrap_err().to_string();
    assert!(error.contains("spec cannot be updated"), "{error}");
    Ok(())
}

fn from(resolver: &str, url: &str) -> Value {
    let params =
        json!([{"name": "url", "value": url}, {"name": "pathInRepo", "value": "pipelines/sign.yaml"}]);
    json!({"pipeline": {"pipelineRef": {"resolver": resolver, "params": params}}})
}

#[tokio::test]
async fn scenario_17_pipelines_come_from_urls_that_are_allowed() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (allowed, other) = ("https://git.example/allowed", "https://git.example/other");
    service
        .configure(json!({"allowList": [service.managed.name()], "allowedGitResolverURLs": [allowed]}))
        .await?;
    // The service has heard of it once a request of another URL is rejected.
    testkit::eventually(testkit::DEADLINE, "the setting", async || {
        let name = format!(
            "probe-{}",
            service.requests().list(&kube::api::ListParams::default()).await?.items.len()
        );
        service.ask(&name, from("git", other)).await?;
        let request = service.settled(&name).await?;
        ensure!(
            message(&request).contains(other) && message(&request).contains(allowed),
            "{}",
            message(&request)
        );
        Ok(())
    })
    .await?;
    service.ask("equal", from("git", allowed)).await?;
    service.has("equal", "Succeeded").await?;
    service.ask("elsewhere", from("bundles", other)).await?;
    service.has("elsewhere", "Succeeded").await?;
    testkit::eventually(testkit::DEADLINE, "to be counted under the name of the file", async || {
        let total = service.sum("internal_request_attempt_total", Some(("request", "sign")));
        ensure!(total >= 2, "{total}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_namespace_may_be_limited_to_some_requests() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.configure(json!({"allowList": [format!("{}:sign", service.managed.name())]})).await?;
    service.pipeline("scan", &[]).await?;
    testkit::eventually(testkit::DEADLINE, "the setting", async || {
        let name = format!(
            "probe-{}",
            service.requests().list(&kube::api::ListParams::default()).await?.items.len()
        );
        service.ask(&name, json!({"request": "scan"})).await?;
        let request = service.settled(&name).await?;
        ensure!(message(&request).contains("may not ask for 'scan'"), "{}", message(&request));
        Ok(())
    })
    .await?;
    service.ask("one", json!({"request": "sign"})).await?;
    service.has("one", "Succeeded").await?;
    Ok(())
}
