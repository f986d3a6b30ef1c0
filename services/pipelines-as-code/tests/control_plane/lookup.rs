//! Who waits for a run that does not come is told why: `GET /deliveries`.

use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::ResourceExt as _;
use kube::api::PostParams;
use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::forge::github::event::Event;
use testkit::{DEADLINE, eventually, user_name};

use crate::service::{ON_PUSH, Service, WEBHOOK_SECRET, definition};

/// For whom tokens have to be.
const AUDIENCE: &str = "pipelines-as-code";

/// A token of an account of the tenant that may get its Repositories.
async fn reader(service: &Service) -> anyhow::Result<String> {
    let token = service.plane.token_of(&service.tenant, "reader", &[AUDIENCE]).await?;
    let role: Role = serde_json::from_value(json!({
        "metadata": {"name": "reader"},
        "rules": [{"apiGroups": ["pipelinesascode.tekton.dev"], "resources": ["repositories"], "verbs": ["get"]}],
    }))?;
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": &*service.tenant}],
    }))?;
    service.api::<Role>().create(&PostParams::default(), &role).await?;
    service.api::<RoleBinding>().create(&PostParams::default(), &binding).await?;
    Ok(token)
}

/// Asks about the Repository `app`; `further` ends the query.
async fn ask(service: &Service, token: Option<&str>, further: &str) -> anyhow::Result<(StatusCode, Value)> {
    let url = format!("{}deliveries?repository={}/app{further}", service.listener(), &*service.tenant);
    let mut request = service.http.get(url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

/// Waits until there is an outcome, and returns the only one.
async fn outcome(service: &Service, token: &str, further: &str) -> anyhow::Result<Value> {
    // The authorizer learns of roles a moment after they are stored.
    eventually(DEADLINE, &format!("an outcome of {further}"), async || {
        let (status, body) = ask(service, Some(token), further).await?;
        anyhow::ensure!(status == StatusCode::OK, "it answers {status}: {body}");
        anyhow::ensure!(body["missing"].is_null(), "replicas are missing: {body}");
        let [outcome] = body["outcomes"].as_array().map_or(&[][..], Vec::as_slice) else {
            anyhow::bail!("it answers {body}")
        };
        Ok(outcome.clone())
    })
    .await
}

fn of(event: &Event) -> String {
    format!("&delivery={}", event.delivery)
}

#[tokio::test]
async fn it_says_what_became_of_a_delivery_and_why_nothing_did() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let token = reader(&service).await?;
    let (commit, event) =
        service.commit("main", &[(".tekton/push.yaml", &definition("on-push", &ON_PUSH))])?;
    service.deliver(&event).await?;
    let run = service.has_runs(1).await?.remove(0).name_any();
    for asked in [of(&event), format!("&commit={commit}")] {
        let started = outcome(&service, &token, &asked).await?;
        assert_eq!((&started["result"], &started["labels"]["runs"]), (&json!("started"), &json!(run)));
        anyhow::ensure!(started["text"].as_str().is_some_and(|text| text.contains(&run)), "{started}");
    }

    let (_, elsewhere) = service.commit("other", &[("README.md", "read it")])?;
    service.deliver(&elsewhere).await?;
    let skipped = outcome(&service, &token, &of(&elsewhere)).await?;
    assert_eq!(skipped["result"], "skipped");
    // The run, and what it waits for.
    let text = skipped["text"].as_str().unwrap_or_default();
    anyhow::ensure!(text.contains("on-push") && text.contains("[main]"), "{text}");

    let (commit, unsigned) = service.commit("main", &[("README.md", "trust it")])?;
    unsigned.signed("another secret").send(&service.http, &service.listener()).await?;
    let refused = outcome(&service, &token, &format!("&commit={commit}")).await?;
    assert_eq!(refused["result"], "refused");
    anyhow::ensure!(!refused.to_string().contains(WEBHOOK_SECRET), "{refused}");

    // All of them, the newest first.
    let (_, body) = ask(&service, Some(&token), "").await?;
    let all: Vec<_> = body["outcomes"].as_array().into_iter().flatten().map(|one| &one["result"]).collect();
    assert_eq!(all, ["refused", "skipped", "started"]);
    Ok(())
}

#[tokio::test]
async fn only_who_may_get_the_repository_is_told() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let token = reader(&service).await?;
    let (_, event) = service.commit("main", &[(".tekton/push.yaml", &definition("on-push", &ON_PUSH))])?;
    service.deliver(&event).await?;
    outcome(&service, &token, &of(&event)).await?;

    let plane = service.plane;
    let stranger = plane.token_of(&service.tenant, "stranger", &[AUDIENCE]).await?;
    let of_neighbour = plane.token_of(service.installed.namespace(), "reader", &[AUDIENCE]).await?;
    for (who, token) in
        [(user_name(&service.tenant, "stranger"), stranger), ("a neighbour".to_owned(), of_neighbour)]
    {
        let (status, body) = ask(&service, Some(&token), "").await?;
        assert_eq!(status, StatusCode::FORBIDDEN, "{who}: {body}");
        anyhow::ensure!(body["outcomes"].is_null(), "{body}");
    }
    // Of the same account, but for the API server, which must not be lent to us.
    let for_another = plane.token_of(&service.tenant, "reader", &[]).await?;
    for token in [None, Some("nonsense"), Some(&*for_another)] {
        let (status, body) = ask(&service, token, "").await?;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
        anyhow::ensure!(body["outcomes"].is_null(), "{body}");
    }
    // May they, then only in the tenant; and only what there is can be asked for.
    let elsewhere =
        format!("{}deliveries?repository={}/app", service.listener(), service.installed.namespace());
    let answer = service.http.get(elsewhere).bearer_auth(&token).send().await?;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let (status, body) = ask(&service, Some(&token), "&run=x").await?;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    Ok(())
}

#[tokio::test]
async fn a_replica_asks_the_others_too() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.repository("app", &json!({"url": service.url()})).await?;
    let mut other = Service::replica()?;
    service.peers.push(other.url());
    service.run().await?;
    service.run_replica(&mut other).await?;
    let token = reader(&service).await?;
    let authority = reqwest::Certificate::from_pem(service.authority.cert_pem().as_bytes())?;
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([authority]).build()?;
    let (_, event) = service.commit("main", &[(".tekton/push.yaml", &definition("on-push", &ON_PUSH))])?;
    eventually(DEADLINE, "the other replica to take a delivery", async || {
        let answer = event.signed(WEBHOOK_SECRET).send(&http, &other.url()).await?;
        let status = answer.status();
        anyhow::ensure!(status == StatusCode::ACCEPTED, "it answers {status}");
        Ok(())
    })
    .await?;
    let run = service.has_runs(1).await?.remove(0).name_any();
    let started = outcome(&service, &token, &of(&event)).await?;
    assert_eq!((&started["result"], &started["labels"]["runs"]), (&json!("started"), &json!(run)));

    // Without it there is an answer still, which says what it lacks.
    other.kill();
    eventually(DEADLINE, "the other replica to be missed", async || {
        let (status, body) = ask(&service, Some(&token), &of(&event)).await?;
        anyhow::ensure!(status == StatusCode::OK, "it answers {status}: {body}");
        anyhow::ensure!(body["missing"] == json!(["127.0.0.1"]) && body["outcomes"] == json!([]), "{body}");
        Ok(())
    })
    .await
}
