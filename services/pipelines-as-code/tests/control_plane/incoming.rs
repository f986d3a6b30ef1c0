//! Runs that somebody asks for without an event, and Repositories as they may be.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use pipelines_as_code_api::Repository;
use reqwest::StatusCode;
use serde_json::json;
use testkit::{DEADLINE, builders, eventually, wait_for};

use crate::service::{ON_PUSH, Service, definition, label};

/// A service whose Repository lets whoever knows the secret start runs on `main`.
async fn open_to_callers() -> anyhow::Result<Service> {
    let service = Service::start().await?;
    let secret = builders::secret(&service.tenant, "caller", [("secret", "open sesame")]);
    service.api::<Secret>().create(&PostParams::default(), &secret).await?;
    let incoming = json!([{"type": "webhook-url", "secret": {"name": "caller"}, "targets": ["main"], "params": ["colour"]}]);
    service.change_repository(&json!({"incoming": incoming})).await?;
    service.commit("main", &[(".tekton/push.yaml", &definition("asked", &ON_PUSH))])?;
    Ok(service)
}

#[tokio::test]
async fn s13_who_knows_the_secret_starts_a_run_and_nobody_else() -> anyhow::Result<()> {
    let service = open_to_callers().await?;
    let call = async |query: &str, params: serde_json::Value| {
        let namespace = &*service.tenant;
        let url = format!("{}incoming?namespace={namespace}&{query}", service.listener());
        let request = service.http.post(url).json(&json!({"params": params}));
        anyhow::Ok(request.send().await?.status())
    };
    let right = "repository=app&branch=main&pipelinerun=asked&secret=open+sesame";
    for (wrong, params) in [
        ("repository=app&branch=main&pipelinerun=asked&secret=open", json!({})),
        ("repository=app&branch=other&pipelinerun=asked&secret=open+sesame", json!({})),
        ("repository=other&branch=main&pipelinerun=asked&secret=open+sesame", json!({})),
        ("repository=app&branch=main&secret=open+sesame", json!({})),
        (right, json!({"size": "1"})),
        (right, json!({"colour": 1})),
    ] {
        let status = call(wrong, params.clone()).await?;
        anyhow::ensure!(status.is_client_error(), "{wrong} with {params} is answered {status}");
    }
    assert_eq!(service.runs().await?.len(), 0);
    assert_eq!(call(right, json!({"colour": "red"})).await?, StatusCode::ACCEPTED);
    let run = service.has_runs(1).await?.remove(0);
    assert_eq!((label(&run, "event-type"), label(&run, "original-prname")), ("incoming", "asked"));
    Ok(())
}

#[tokio::test]
async fn an_annotation_asks_for_a_run_and_gets_the_answer() -> anyhow::Result<()> {
    let service = open_to_callers().await?;
    let entries = json!([
        {"id": "claim-1", "branch": "main", "pipelineRun": "asked"},
        {"id": "claim-2", "branch": "main", "pipelineRun": "not-there"},
    ]);
    let body = json!({"metadata": {"annotations": {"fleet.konflux-ci.dev/incoming": entries.to_string()}}});
    service.api::<Repository>().patch("app", &PatchParams::default(), &Patch::Merge(&body)).await?;
    let run = service.has_runs(1).await?.remove(0);
    assert_eq!(label(&run, "event-type"), "incoming");
    eventually(DEADLINE, "both outcomes", async || {
        let repository = service.api::<Repository>().get("app").await?;
        let annotations = repository.metadata.annotations.unwrap_or_default();
        let read = |key: &str| {
            let text = annotations.get(&format!("fleet.konflux-ci.dev/{key}")).map_or("[]", String::as_str);
            serde_json::from_str::<serde_json::Value>(text)
        };
        let (left, outcomes) = (read("incoming")?, read("incoming-outcome")?);
        let of =
            |id: &str| outcomes.as_array().into_iter().flatten().find(|outcome| outcome["id"] == id).cloned();
        let started = of("claim-1").ok_or_else(|| anyhow::anyhow!("there are {outcomes}"))?;
        let refused = of("claim-2").ok_or_else(|| anyhow::anyhow!("there are {outcomes}"))?;
        anyhow::ensure!(started["pipelineRun"] == run.metadata.name.clone().unwrap_or_default(), "{started}");
        anyhow::ensure!(refused["message"].as_str().is_some_and(|text| text.contains("asked")), "{refused}");
        anyhow::ensure!(left == json!([]), "{left} is left");
        Ok(())
    })
    .await?;
    assert_eq!(service.runs().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn s14_one_url_has_one_repository() -> anyhow::Result<()> {
    let service = Service::start().await?;
    eventually(DEADLINE, "the webhook to refuse a second one", async || {
        let url = format!("{}/", service.url());
        let second = Repository {
            metadata: kube::api::ObjectMeta { name: Some("second".into()), ..Default::default() },
            ..serde_json::from_value(json!({"metadata": {}, "spec": {"url": url}}))?
        };
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        match service.api::<Repository>().create(&dry_run, &second).await {
            Ok(_) => anyhow::bail!("it was accepted"),
            Err(error) if error.to_string().contains("repository already exist") => Ok(()),
            Err(error) => Err(error.into()),
        }
    })
    .await?;
    let zero = service.change_repository(&json!({"concurrency_limit": 0})).await;
    anyhow::ensure!(zero.is_err_and(|error| error.to_string().contains("must be greater than 0")));
    let mail = service.change_repository(&json!({"url": "git@github.com:acme/app"})).await;
    anyhow::ensure!(mail.is_err_and(|error| error.to_string().contains("failed to validate url")));
    wait_for(&service.api::<Repository>(), "app", "itself", DEADLINE, |_| true).await?;
    Ok(())
}
