//! Releases that nobody asks for (section 4.7; annex, L10 and L15).

use application_service_api::{Component, Snapshot};
use fleet::names::{fit, hash};
use kube::ResourceExt as _;
use release_service_api::{Release, ReleasePlan};
use serde_json::{Value, json};
use testkit::builders::Build as _;
use testkit::engine::{RunScript, Runs, TaskScript};

use crate::service::{Service, annotation, build_run, component_with_image, label, plan, reason, scenario};

const AUTOMATED: &str = "release.appstudio.openshift.io/automated";
const RELEASED: &str = "AutoReleased";

/// A Component that was built once, and a scenario.
async fn install() -> anyhow::Result<Service> {
    let service = Service::start().await?;
    service.create(&component_with_image("a", 1)).await?;
    service.create(&scenario("lint")).await?;
    Ok(service)
}

async fn released(service: &Service, run: &str) -> anyhow::Result<(Snapshot, String)> {
    let name = service.snapshot_of(run).await?.name_any();
    let snapshot = service.has_reason(&name, RELEASED, RELEASED).await?;
    let conditions = snapshot.status.clone().unwrap_or_default().conditions;
    let message = conditions.into_iter().find(|condition| condition.type_ == RELEASED);
    Ok((snapshot, message.map(|condition| condition.message).unwrap_or_default()))
}

#[tokio::test]
async fn scenario_14_each_automatic_plan_releases_a_snapshot_once() -> anyhow::Result<()> {
    let mut service = install().await?;
    for (name, automatic) in [("yes", "true"), ("no", "false"), ("absent", "")] {
        service.create(&plan(name, automatic)).await?;
    }
    service.build(&build_run("build", "a"), 2).await?;
    let (snapshot, _) = released(&service, "build").await?;
    let releases = service.has::<Release>(2).await?;
    let mut plans: Vec<_> = releases.iter().map(|release| release.spec.release_plan.as_str()).collect();
    plans.sort_unstable();
    assert_eq!(plans, ["absent", "yes"]);
    for release in &releases {
        assert_eq!(release.spec.snapshot, snapshot.name_any());
        assert_eq!(label(release, AUTOMATED), Some("true"));
        assert_eq!(label(release, "appstudio.openshift.io/component"), Some("a"));
        assert_eq!(label(release, "pac.test.appstudio.openshift.io/event-type"), Some("push"));
        assert_eq!(release.status.clone().unwrap_or_default().automated, Some(true));
        let owner = &release.owner_references()[0];
        assert_eq!((owner.kind.as_str(), owner.controller), ("Application", Some(true)));
    }
    assert!(service.sum("integration_svc_release_latency_seconds") >= 1.0);

    service.create(&plan("later", "true")).await?;
    service.stop().await?;
    service.run().await?;
    // Whatever the start set off was before this one.
    service.build(&build_run("next", "a"), 3).await?;
    released(&service, "next").await?;
    let releases = service.has::<Release>(5).await?;
    let of_first = releases.iter().filter(|release| release.spec.snapshot == snapshot.name_any());
    assert_eq!(of_first.count(), 2);
    Ok(())
}

#[tokio::test]
async fn a_mark_that_is_missing_is_made_up_for() -> anyhow::Result<()> {
    let service = install().await?;
    service.create(&plan("yes", "true")).await?;
    service.build(&build_run("build", "a"), 2).await?;
    released(&service, "build").await?;
    let name = service.has::<Release>(1).await?[0].name_any();
    service.patch_status::<Release>(&name, &json!({"automated": null})).await?;
    service
        .until::<Release>(&name, "its mark", |release| {
            release.status.as_ref().is_some_and(|status| status.automated == Some(true))
        })
        .await?;
    Ok(())
}

#[tokio::test]
async fn an_expression_and_the_build_have_a_say() -> anyhow::Result<()> {
    let service = install().await?;
    let expression = |name: &str, text: &str| -> ReleasePlan {
        plan(name, "").annotation("release.appstudio.openshift.io/auto-release", text)
    };
    service.create(&plan("by-label", "true")).await?;
    service.create(&expression("of-a", "updatedComponentIs('a')")).await?;
    service.create(&expression("of-b", "updatedComponentIs('b') || shouldRelease()")).await?;
    service.create(&expression("wrong", "updatedComponentIs(")).await?;
    service.create(&build_run("build", "a")).await?;
    let mut results = crate::service::results("a", 2);
    results.push(("SHOULD_RELEASE", "false".to_owned()));
    service.finish("build", &crate::service::as_pairs(&results)).await?;
    service.sign("build").await?;
    let (snapshot, message) = released(&service, "build").await?;
    assert_eq!(annotation(&snapshot, "test.appstudio.openshift.io/result-should-release"), Some("false"));
    let releases = service.has::<Release>(1).await?;
    assert_eq!(releases[0].spec.release_plan, "of-a");
    assert!(message.contains("wrong"), "{message}");
    assert!(service.told("wrong", "ExpressionInvalid").await?.contains("auto-release"));
    Ok(())
}

#[tokio::test]
async fn what_is_refused_for_good_is_said_and_tried_again() -> anyhow::Result<()> {
    let service = install().await?;
    let tests = Runs::labelled("pipelines.appstudio.openshift.io/type", "test");
    service.engine.play(tests.clone(), RunScript::never_ends().task("test", TaskScript::never_ends()));
    let plan: ReleasePlan = service.create(&plan("yes", "true")).await?;
    service.build(&build_run("build", "a"), 2).await?;
    let snapshot = service.snapshot_of("build").await?;
    let name = snapshot.name_any();
    // Somebody else's Releases have both names.
    let cause = [snapshot.uid().unwrap_or_default(), plan.uid().unwrap_or_default()];
    let cause: Vec<&str> = cause.iter().map(String::as_str).collect();
    let taken = [10, 15].map(|length| fit(63, &name, &format!("-{}", hash(length, &cause))));
    for taken in &taken {
        let release: Value = json!({
            "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "Release", "metadata": {"name": taken},
            "spec": {"snapshot": "another", "releasePlan": "another"},
        });
        service.create::<Release>(&serde_json::from_value(release)?).await?;
    }
    service.engine.play(tests, RunScript::new().task("test", TaskScript::succeeds()));
    let error = service.has_reason(&name, "AppStudioIntegrationStatus", "ErrorOccured").await?;
    assert_eq!(reason(&error, "AppStudioTestSucceeded").as_deref(), Some("Passed"), "that stays");
    assert_eq!(reason(&error, RELEASED), None);
    for taken in &taken {
        service.delete::<Release>(taken).await?;
    }
    service.has_reason(&name, RELEASED, RELEASED).await?;
    service.has_reason(&name, "AppStudioIntegrationStatus", "Finished").await?;
    let releases = service.has::<Release>(1).await?;
    assert_eq!(releases[0].spec.snapshot, name);
    assert_eq!(releases[0].status.clone().unwrap_or_default().automated, Some(true));
    let component: Component = service.api().get("a").await?;
    assert_eq!(component.status.unwrap_or_default().last_built_commit, Some(crate::service::commit(2)));
    Ok(())
}
