//! Plans and admissions find each other (section 4.3).

use application_service_api::Application;
use kube::ResourceExt as _;
use release_service_api::{Release, ReleasePlan, ReleasePlanAdmission, labels};
use serde_json::{Value, json};
use testkit::builders::Build as _;

use crate::service::{
    ADMISSION, PLAN, SHOP, SNAPSHOT, Service, admission, admission_with, application, message, plan,
    plan_with, release_with, truth,
};

const MATCHED: &str = "Matched";
const RELEASED: &str = "Released";

/// What a plan says of its admission: name and whether that is open.
fn admitted(plan: &ReleasePlan) -> Option<(Option<String>, bool)> {
    let matched = plan.status.as_ref()?.release_plan_admission.clone()?;
    Some((matched.name, matched.active))
}

fn listed(admission: &ReleasePlanAdmission) -> Vec<(String, bool)> {
    let status = admission.status.clone().unwrap_or_default();
    status.release_plans.into_iter().map(|plan| (plan.name, plan.active)).collect()
}

/// Waits until a plan names this admission, or none.
async fn is_admitted(
    service: &Service,
    plan: &str,
    by: Option<&str>,
    active: bool,
) -> anyhow::Result<ReleasePlan> {
    let name = by.map(|by| format!("{}/{by}", service.managed.name));
    let expected = if by.is_some() { "True" } else { "False" };
    service
        .tenant
        .until(plan, &format!("to be admitted by {by:?}"), |plan: &ReleasePlan| {
            truth(plan, MATCHED).as_deref() == Some(expected)
                && admitted(plan) == Some((name.clone(), active))
        })
        .await
}

/// Waits until an admission lists these plans of the tenant.
async fn lists(
    service: &Service,
    admission: &str,
    plans: &[(&str, bool)],
) -> anyhow::Result<ReleasePlanAdmission> {
    let tenant = &service.tenant.name;
    let plans: Vec<_> = plans.iter().map(|(name, active)| (format!("{tenant}/{name}"), *active)).collect();
    let expected = if plans.is_empty() { "False" } else { "True" };
    service
        .managed
        .until(admission, &format!("plans {plans:?}"), |admission: &ReleasePlanAdmission| {
            truth(admission, MATCHED).as_deref() == Some(expected) && listed(admission) == plans
        })
        .await
}

/// Waits until a Release is refused, and returns why.
async fn is_refused(service: &Service, name: &str, plan: &str) -> anyhow::Result<String> {
    service.tenant.create(&release_with(name, SNAPSHOT, plan, &json!({}))).await?;
    let release = service.has_reason(name, RELEASED, "Failed").await?;
    assert_eq!(message(&release, RELEASED), "Release validation failed");
    let first = release.status.as_ref().and_then(|status| status.conditions.first());
    assert_eq!(first.map(|condition| &*condition.type_), Some(RELEASED), "clients read the first");
    Ok(message(&release, "Validated"))
}

#[tokio::test]
async fn scenario_4_two_admissions_are_none_until_one_goes() -> anyhow::Result<()> {
    let service = Service::start().await?;
    is_admitted(&service, PLAN, Some(ADMISSION), true).await?;
    service.managed.create(&admission("second", &service.tenant.name)).await?;
    let plan = is_admitted(&service, PLAN, None, false).await?;
    let why = message(&plan, MATCHED);
    assert!(why.contains("multiple") && why.contains("admission, second"), "{why}");
    let cause = is_refused(&service, "ambiguous", PLAN).await?;
    assert!(cause.contains("multiple"), "{cause}");

    service.managed.delete::<ReleasePlanAdmission>("second").await?;
    is_admitted(&service, PLAN, Some(ADMISSION), true).await?;
    let release: Release = service.tenant.api().get("ambiguous").await?;
    assert_eq!(truth(&release, RELEASED).as_deref(), Some("False"), "it stays failed");
    Ok(())
}

#[tokio::test]
async fn scenario_5_a_closed_admission_takes_nothing() -> anyhow::Result<()> {
    let service = Service::start().await?;
    for (name, label, closed, open) in [
        ("switched-off", labels::AUTO_RELEASE, "false", "true"),
        ("blocked", labels::BLOCK_RELEASES, "true", "false"),
    ] {
        let set = |value: &str| json!({"metadata": {"labels": {label.as_str(): value}}});
        service.managed.patch::<ReleasePlanAdmission>(ADMISSION, &set(closed)).await?;
        is_admitted(&service, PLAN, Some(ADMISSION), false).await?;
        is_refused(&service, name, PLAN).await?;
        service.managed.patch::<ReleasePlanAdmission>(ADMISSION, &set(open)).await?;
        is_admitted(&service, PLAN, Some(ADMISSION), true).await?;
    }
    Ok(())
}

#[tokio::test]
async fn scenario_6_nobody_uses_the_admission_of_another_tenant_by_naming_it() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.managed.create(&admission("foreign", "another-tenant")).await?;
    let naming = |name: &str| {
        plan("naming", &service.managed.name).label(labels::RELEASE_PLAN_ADMISSION.as_str(), name)
    };
    service.tenant.create(&naming("foreign")).await?;
    let plan = is_admitted(&service, "naming", None, false).await?;
    // What is not for this tenant looks as if it were not there.
    let of_foreign = message(&plan, MATCHED).replace("foreign", "missing");
    let cause = is_refused(&service, "foreign", "naming").await?;
    assert!(cause.contains("there is no ReleasePlanAdmission"), "{cause}");
    let admission = lists(&service, "foreign", &[]).await?;
    assert_eq!(listed(&admission), []);

    let label = json!({"metadata": {"labels": {labels::RELEASE_PLAN_ADMISSION.as_str(): "missing"}}});
    service.tenant.patch::<ReleasePlan>("naming", &label).await?;
    let says_so = |plan: &ReleasePlan| message(plan, MATCHED) == of_foreign;
    service.tenant.until("naming", "the same words", says_so).await?;
    let label = json!({"metadata": {"labels": {labels::RELEASE_PLAN_ADMISSION.as_str(): ADMISSION}}});
    service.tenant.patch::<ReleasePlan>("naming", &label).await?;
    is_admitted(&service, "naming", Some(ADMISSION), true).await?;
    // Where plans name an admission, only these are its.
    lists(&service, ADMISSION, &[("naming", true)]).await?;
    Ok(())
}

#[tokio::test]
async fn scenario_18_the_last_of_quick_changes_counts() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.tenant.create(&plan("another", &service.managed.name)).await?;
    lists(&service, ADMISSION, &[("another", true), (PLAN, true)]).await?;
    let automatic = |value: &str| json!({"metadata": {"labels": {labels::AUTO_RELEASE.as_str(): value}}});
    for value in ["false", "true", "false"] {
        service.tenant.patch::<ReleasePlan>(PLAN, &automatic(value)).await?;
    }
    let before = lists(&service, ADMISSION, &[("another", true), (PLAN, false)]).await?;
    service.tenant.patch::<ReleasePlan>(PLAN, &automatic("true")).await?;
    let after = lists(&service, ADMISSION, &[("another", true), (PLAN, true)]).await?;
    let time = |admission: &ReleasePlanAdmission| {
        admission.status.as_ref().unwrap().conditions[0].last_transition_time.0
    };
    assert!(time(&after) >= time(&before));
    Ok(())
}

#[tokio::test]
async fn scenario_18_what_is_so_already_is_not_written() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let plan = is_admitted(&service, PLAN, Some(ADMISSION), true).await?;
    let owned = |plan: &ReleasePlan| !plan.owner_references().is_empty();
    let plan_version = service.tenant.until(PLAN, "its owner", owned).await?.resource_version();
    let admission_version = lists(&service, ADMISSION, &[(PLAN, true)]).await?.resource_version();
    assert!(plan.status.is_some());
    service.stop().await?;
    service.run().await?;
    // Something new is looked at after all that was there at the start.
    service.tenant.create(&crate::service::plan("last", "nowhere")).await?;
    is_admitted(&service, "last", None, false).await?;
    // A change that says nothing about either.
    let data = json!({"spec": {"data": {"anything": 1}}});
    service
        .managed
        .patch::<ReleasePlanAdmission>(ADMISSION, &json!({"metadata": {"annotations": {"a": "b"}}}))
        .await?;
    service.tenant.patch::<ReleasePlan>("last", &data).await?;
    let plan: ReleasePlan = service.tenant.api().get(PLAN).await?;
    assert_eq!(plan.resource_version(), plan_version);
    service.stop().await?;
    let admission: ReleasePlanAdmission = service.managed.api().get(ADMISSION).await?;
    let written: Vec<_> = admission
        .managed_fields()
        .iter()
        .filter(|entry| entry.subresource.as_deref() == Some("status"))
        .filter_map(|entry| entry.time.clone())
        .collect();
    assert_eq!(written.len(), 1);
    assert_ne!(admission.resource_version(), admission_version, "the annotation");
    Ok(())
}

#[tokio::test]
async fn both_follow_every_change_of_the_other() -> anyhow::Result<()> {
    let service = Service::start().await?;
    is_admitted(&service, PLAN, Some(ADMISSION), true).await?;
    lists(&service, ADMISSION, &[(PLAN, true)]).await?;
    // The admission changes.
    let applications = |names: Value| json!({"spec": {"applications": names}});
    service.managed.patch::<ReleasePlanAdmission>(ADMISSION, &applications(json!(["other"]))).await?;
    is_admitted(&service, PLAN, None, false).await?;
    lists(&service, ADMISSION, &[]).await?;
    service.managed.patch::<ReleasePlanAdmission>(ADMISSION, &applications(json!(["other", SHOP]))).await?;
    is_admitted(&service, PLAN, Some(ADMISSION), true).await?;
    let origin = |origin: &str| json!({"spec": {"origin": origin}});
    service.managed.patch::<ReleasePlanAdmission>(ADMISSION, &origin("elsewhere")).await?;
    is_admitted(&service, PLAN, None, false).await?;
    service.managed.patch::<ReleasePlanAdmission>(ADMISSION, &origin(&service.tenant.name)).await?;
    is_admitted(&service, PLAN, Some(ADMISSION), true).await?;
    lists(&service, ADMISSION, &[(PLAN, true)]).await?;
    // The plan changes.
    service.tenant.patch::<ReleasePlan>(PLAN, &json!({"spec": {"target": "elsewhere"}})).await?;
    lists(&service, ADMISSION, &[]).await?;
    is_admitted(&service, PLAN, None, false).await?;
    service.tenant.patch::<ReleasePlan>(PLAN, &json!({"spec": {"target": service.managed.name}})).await?;
    lists(&service, ADMISSION, &[(PLAN, true)]).await?;
    // Either goes, and comes.
    service.managed.delete::<ReleasePlanAdmission>(ADMISSION).await?;
    is_admitted(&service, PLAN, None, false).await?;
    service.managed.create(&admission(ADMISSION, &service.tenant.name)).await?;
    is_admitted(&service, PLAN, Some(ADMISSION), true).await?;
    service.tenant.delete::<ReleasePlan>(PLAN).await?;
    lists(&service, ADMISSION, &[]).await?;
    Ok(())
}

#[tokio::test]
async fn a_plan_belongs_to_its_application() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let tracked = plan("tracked", &service.managed.name).annotation("argocd.argoproj.io/tracking-id", "x");
    service.tenant.create(&tracked).await?;
    service.tenant.create(&plan_with("alone", &json!({}))).await?;
    let shop: Application = service.tenant.api().get(SHOP).await?;
    for name in [PLAN, "alone"] {
        let is_owned = |plan: &ReleasePlan| {
            let owners = plan.owner_references();
            owners.len() == 1
                && owners[0].controller == Some(true)
                && (owners[0].kind.as_str(), Some(&owners[0].uid))
                    == ("Application", shop.metadata.uid.as_ref())
        };
        service.tenant.until(name, "its owner", is_owned).await?;
    }
    let plan = is_admitted(&service, "tracked", Some(ADMISSION), true).await?;
    assert_eq!(plan.owner_references(), [], "its tool would make it again each time");
    Ok(())
}

#[tokio::test]
async fn nobody_owns_plans_where_that_is_switched_off() -> anyhow::Result<()> {
    let service = Service::start_with(&["--plan-owner-reference=false"]).await?;
    let plan = is_admitted(&service, PLAN, Some(ADMISSION), true).await?;
    assert_eq!(plan.owner_references(), []);
    Ok(())
}

#[tokio::test]
async fn what_came_out_of_a_backup_is_left_alone() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let restored = |name: &str| plan(name, &service.managed.name).label("velero.io/restore-name", "backup");
    service.tenant.create(&restored("restored")).await?;
    service
        .managed
        .create(&admission_with("restored", "nobody", &json!({})).label("velero.io/restore-name", "backup"))
        .await?;
    // Later than the two, and looked at after them.
    service.tenant.create(&application("later")).await?;
    service.tenant.create(&plan_with("later", &json!({"application": "later", "target": "nowhere"}))).await?;
    is_admitted(&service, "later", None, false).await?;
    let plan: ReleasePlan = service.tenant.api().get("restored").await?;
    assert_eq!((plan.status, plan.metadata.owner_references), (None, None));
    let admission: ReleasePlanAdmission = service.managed.api().get("restored").await?;
    assert_eq!(admission.status, None);
    let label = json!({"metadata": {"labels": {"velero.io/restore-name": null}}});
    service.tenant.patch::<ReleasePlan>("restored", &label).await?;
    is_admitted(&service, "restored", Some(ADMISSION), true).await?;
    Ok(())
}
