//! What the API server asks before it stores (section 2.6): whose a Release is, and what stays.

use application_service_api::Snapshot;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use release_service_api::{Release, ReleasePlan, ReleasePlanAdmission, annotations, labels};
use serde_json::{Value, json};
use testkit::builders::Build as _;

use crate::service::{
    ADMISSION, PLAN, SNAPSHOT, Service, admission, annotation, label, message, plan, release, release_with,
    snapshot,
};

/// The service with its webhooks, and what a Release needs.
async fn start() -> anyhow::Result<Service> {
    let mut service = Service::install_with_webhooks().await?;
    service.run().await?;
    service.prepare().await?;
    Ok(service)
}

/// Label and annotation that say who answers for it.
fn author(object: &impl kube::ResourceExt) -> (Option<&str>, Option<&str>) {
    (label(object, labels::AUTHOR.as_str()), annotation(object, annotations::AUTHOR_USERNAME.as_str()))
}

/// Changes an object as this user.
async fn change<K>(service: &Service, user: &str, name: &str, body: &Value) -> Result<K, kube::Error>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let client: Client = service.user(user).expect("an administrator may be anybody");
    let api = Api::<K>::namespaced(client, &service.tenant.name);
    api.patch(name, &PatchParams::default(), &Patch::Merge(body)).await
}

fn labelled(key: &str, value: &Value) -> Value {
    json!({"metadata": {"labels": {key: value}}})
}

/// Code and text of a refusal.
fn refusal<K: std::fmt::Debug>(answer: Result<K, kube::Error>) -> anyhow::Result<(u16, String)> {
    match answer {
        Err(kube::Error::Api(status)) => Ok((status.code, status.message)),
        other => anyhow::bail!("this is no refusal: {other:?}"),
    }
}

#[tokio::test]
async fn scenario_8_a_release_is_of_whoever_makes_it() -> anyhow::Result<()> {
    let service = start().await?;
    let user = service.user("system:serviceaccount:a:b")?;
    let releases = Api::<Release>::namespaced(user, &service.tenant.name);
    let forged = release("forged").annotation(annotations::AUTHOR_USERNAME.as_str(), "mallory");
    let made = releases.create(&PostParams::default(), &forged).await?;
    assert_eq!(author(&made), (Some("system_serviceaccount_a_b"), Some("system:serviceaccount:a:b")));

    let key = labels::AUTHOR.as_str();
    for value in [json!("bob"), Value::Null] {
        let answer = change::<Release>(&service, "bob", "forged", &labelled(key, &value)).await;
        let (code, text) = refusal(answer)?;
        assert_eq!(code, 400);
        assert!(text.contains("release author label cannot be updated"), "{text}");
    }
    let other = json!({"metadata": {"annotations": {annotations::AUTHOR_USERNAME.as_str(): "bob"}}});
    let (code, text) = refusal(change::<Release>(&service, "bob", "forged", &other).await)?;
    assert!(code == 400 && text.contains("author-username"), "{code} {text}");
    change::<Release>(&service, "bob", "forged", &labelled("a", &json!("b"))).await?;
    Ok(())
}

/// Else whoever makes an automated one in the name of somebody, and takes the mark off, would have released in that name.
#[tokio::test]
async fn scenario_8_an_automated_release_has_no_author_of_its_own() -> anyhow::Result<()> {
    let service = start().await?;
    let automated = release("automated").label(labels::AUTOMATED.as_str(), "true");
    let made: Release = service.tenant.create(&automated).await?;
    assert_eq!(author(&made), (None, None));
    let unmarked = labelled(labels::AUTOMATED.as_str(), &Value::Null);
    let (code, text) = refusal(change::<Release>(&service, "bob", "automated", &unmarked).await)?;
    assert!(code == 400 && text.contains("automated label cannot be updated"), "{code} {text}");
    Ok(())
}

#[tokio::test]
async fn scenario_8_nobody_attributes_a_plan_to_another() -> anyhow::Result<()> {
    let service = start().await?;
    let (standing, key) = (labels::STANDING_ATTRIBUTION.as_str(), labels::AUTHOR.as_str());
    let alice = Api::<ReleasePlan>::namespaced(service.user("alice")?, &service.tenant.name);
    let attributed = plan("attributed", &service.managed.name).label(standing, "true").label(key, "mallory");
    let made = alice.create(&PostParams::default(), &attributed).await?;
    assert_eq!(author(&made), (Some("alice"), Some("alice")));
    // Bob may change it, and take it over, but not give it to carol.
    let changed: ReleasePlan = change(&service, "bob", "attributed", &labelled("a", &json!("b"))).await?;
    assert_eq!(author(&changed), (Some("alice"), Some("alice")));
    let given: ReleasePlan = change(&service, "bob", "attributed", &labelled(key, &json!("carol"))).await?;
    assert_eq!(author(&given), (Some("alice"), Some("alice")));
    let taken: ReleasePlan = change(&service, "bob", "attributed", &labelled(key, &json!("bob"))).await?;
    assert_eq!(author(&taken), (Some("bob"), Some("bob")));
    let off: ReleasePlan =
        change(&service, "bob", "attributed", &labelled(standing, &json!("false"))).await?;
    assert_eq!(author(&off), (None, None));
    let plain = plan("plain", &service.managed.name).label(key, "mallory");
    assert_eq!(author(&service.tenant.create(&plain).await?), (None, None));
    Ok(())
}

#[tokio::test]
async fn scenario_9_the_spec_of_a_release_stays() -> anyhow::Result<()> {
    let service = start().await?;
    service.tenant.create(&release_with("r", SNAPSHOT, PLAN, &json!({"data": {"a": 1}}))).await?;
    for spec in [
        json!({"snapshot": "other"}),
        json!({"releasePlan": "other"}),
        json!({"data": {"a": 2}}),
        json!({"data": null}),
        json!({"gracePeriodDays": 1}),
    ] {
        let answer = change::<Release>(&service, "alice", "r", &json!({ "spec": spec })).await;
        let (_, text) = refusal(answer)?;
        assert!(text.contains("release resources spec cannot be updated"), "{text}");
    }
    for key in [labels::SNAPSHOT, labels::RELEASE_PLAN] {
        let answer =
            change::<Release>(&service, "alice", "r", &labelled(key.as_str(), &json!("other"))).await;
        let (_, text) = refusal(answer)?;
        assert!(text.contains(key.as_str()), "{text}");
    }
    let body = json!({"metadata": {"annotations": {"a": "b"}}});
    let changed: Release = change(&service, "alice", "r", &body).await?;
    assert_eq!(annotation(&changed, "a"), Some("b"));
    Ok(())
}

#[tokio::test]
async fn a_release_gets_what_its_plan_says() -> anyhow::Result<()> {
    let service = start().await?;
    let days = crate::service::plan_with("days", &json!({"releaseGracePeriodDays": 3}));
    service.tenant.create(&days).await?;
    // The service hears of the plan by its watch.
    let is_known = |plan: &ReleasePlan| plan.status.is_some();
    service.tenant.until("days", "to be known", is_known).await?;
    let made: Release = service.tenant.create(&release_with("r", SNAPSHOT, "days", &json!({}))).await?;
    assert_eq!(made.spec.grace_period_days, Some(3));
    assert_eq!(label(&made, labels::SNAPSHOT.as_str()), Some(SNAPSHOT));
    assert_eq!(label(&made, labels::RELEASE_PLAN.as_str()), Some("days"));
    let own: Release =
        service.tenant.create(&release_with("own", SNAPSHOT, "days", &json!({"gracePeriodDays": 5}))).await?;
    assert_eq!(own.spec.grace_period_days, Some(5));
    let unplanned: Release =
        service.tenant.create(&release_with("unplanned", SNAPSHOT, "none", &json!({}))).await?;
    assert_eq!(unplanned.spec.grace_period_days.unwrap_or(0), 0);
    Ok(())
}

#[tokio::test]
async fn switches_are_true_or_false() -> anyhow::Result<()> {
    let service = start().await?;
    let plan: ReleasePlan = service.tenant.api().get(PLAN).await?;
    assert_eq!(label(&plan, labels::AUTO_RELEASE.as_str()), Some("true"));
    let closed = admission("closed", "nobody").label(labels::BLOCK_RELEASES.as_str(), "true");
    let closed: ReleasePlanAdmission = service.managed.create(&closed).await?;
    assert_eq!(label(&closed, labels::BLOCK_RELEASES.as_str()), Some("true"));
    let open: ReleasePlanAdmission = service.managed.api().get(ADMISSION).await?;
    assert_eq!(label(&open, labels::BLOCK_RELEASES.as_str()), Some("false"));
    let key = labels::AUTO_RELEASE.as_str();
    let (_, text) =
        refusal(change::<ReleasePlan>(&service, "alice", PLAN, &labelled(key, &json!("perhaps"))).await)?;
    assert!(text.contains(&format!("'{key}' label can only be set to true or false")), "{text}");
    for wrong in [labels::AUTO_RELEASE, labels::BLOCK_RELEASES] {
        let object = admission("wrong", "nobody").label(wrong.as_str(), "perhaps");
        let error = service.managed.create(&object).await.unwrap_err().to_string();
        assert!(error.contains(wrong.as_str()), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn what_goes_is_let_go() -> anyhow::Result<()> {
    let service = start().await?;
    let kept = release("kept").finalizer(fleet_api::Finalizer::new("example.com/keep"));
    service.tenant.create(&kept).await?;
    service.tenant.delete::<Release>("kept").await?;
    let body = json!({"metadata": {"finalizers": null}});
    change::<Release>(&service, "bob", "kept", &body).await?;
    service.tenant.gone::<Release>("kept").await?;
    Ok(())
}

/// While nobody can say whose they are no Release is made; all else goes on.
#[tokio::test]
async fn without_the_service_no_release_is_made() -> anyhow::Result<()> {
    let mut service = start().await?;
    service.tenant.create(&release("before")).await?;
    service.stop().await?;
    let error = service.tenant.create(&release("after")).await.unwrap_err().to_string();
    assert!(error.contains("mauthor.kb.io"), "{error}");
    change::<Release>(&service, "alice", "before", &labelled("a", &json!("b"))).await?;
    service.tenant.create(&plan("unseen", &service.managed.name)).await?;
    service.managed.create(&admission("unseen", "nobody")).await?;
    service.tenant.create::<Snapshot>(&snapshot("unseen")).await?;
    Ok(())
}

#[tokio::test]
async fn scenario_21_without_webhooks_a_release_has_no_author() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let mut nobodys = release("nobodys");
    nobodys.metadata.labels = None;
    service.tenant.create(&nobodys).await?;
    let refused = service.has_reason("nobodys", "Released", "Failed").await?;
    assert_eq!(message(&refused, "Validated"), "no author found for manual release");
    assert_eq!(message(&refused, "Released"), "Release validation failed");
    Ok(())
}
