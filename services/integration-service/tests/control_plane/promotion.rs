//! The candidate list: who gets into it, and that none is measured against the list of before (section 4.6).

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use anyhow::{Context as _, ensure};
use application_service_api::{Component, Snapshot};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;
use serde_json::{Value, json};
use testkit::builders::Build as _;
use testkit::engine::{RunScript, Runs, TaskScript};
use testkit::{DEADLINE, eventually};

use crate::service::{
    Service, as_pairs, build_run, commit, component_with_image, ended, image, label, reason, results,
    scenario, snapshot,
};

const ADDED: &str = "AddedToGlobalCandidateList";
const STATUS: &str = "AppStudioIntegrationStatus";
const TESTED: &str = "AppStudioTestSucceeded";

/// When the first of the builds began.
const BEGAN: i64 = 1_700_000_000;

/// All runs of tests.
fn tests() -> Runs {
    Runs::labelled("pipelines.appstudio.openshift.io/type", "test")
}

fn tests_of(snapshot: &str) -> Runs {
    Runs::labelled("appstudio.openshift.io/snapshot", snapshot)
}

fn waiting() -> RunScript {
    RunScript::never_ends().task("test", TaskScript::never_ends())
}

fn passing() -> RunScript {
    RunScript::new().task("test", TaskScript::succeeds())
}

fn unlucky() -> RunScript {
    RunScript::new().task("test", TaskScript::fails("Failed", "no"))
}

/// An Application with these Components, all built once, and one scenario, whose runs wait.
async fn install(components: &[&str], flags: &[&str]) -> anyhow::Result<Service> {
    let service = Service::start_with(flags).await?;
    service.engine.play(tests(), waiting());
    for name in components {
        service.create(&component_with_image(name, 1)).await?;
    }
    service.create(&scenario("lint")).await?;
    Ok(service)
}

/// Build `number` of a Component began so many seconds after the first, ended now, and is signed.
async fn build(service: &Service, component: &str, number: u64) -> anyhow::Result<String> {
    let name = format!("{component}-{number}");
    service.create(&build_run(&name, component)).await?;
    end(service, component, number).await?;
    Ok(name)
}

async fn end(service: &Service, component: &str, number: u64) -> anyhow::Result<()> {
    let name = format!("{component}-{number}");
    let mut status = ended("True", "Succeeded", &as_pairs(&results(component, number)));
    let began = Timestamp::from_second(BEGAN + i64::try_from(number)?)?;
    status["startTime"] = json!(began.to_string());
    service.patch_status::<PipelineRun>(&name, &status).await?;
    service.sign(&name).await?;
    Ok(())
}

/// The image and the commit that count, and the image that is shown.
fn candidate(component: &Component) -> (String, String, String) {
    let status = component.status.clone().unwrap_or_default();
    (
        status.last_promoted_image.unwrap_or_default(),
        status.last_built_commit.unwrap_or_default(),
        component.spec.container_image.clone().unwrap_or_default(),
    )
}

fn is(component: &str, number: u64) -> (String, String, String) {
    (image(component, number), commit(number), image(component, number))
}

/// Waits until a Component's candidate is the image of this number.
async fn has(service: &Service, component: &str, number: u64) -> anyhow::Result<()> {
    let what = format!("candidate {number}");
    service
        .until::<Component>(component, &what, |object| candidate(object) == is(component, number))
        .await
        .map(drop)
}

fn images(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.spec.components.iter().map(|entry| entry.container_image.as_str()).collect()
}

#[tokio::test]
async fn scenario_12_of_two_that_pass_together_one_is_promoted_and_then_both() -> anyhow::Result<()> {
    let service = install(&["a", "b"], &[]).await?;
    let runs = [build(&service, "a", 2).await?, build(&service, "b", 3).await?];
    let mut names = Vec::new();
    for run in &runs {
        let name = service.snapshot_of(run).await?.name_any();
        service.has_entry(&name, "lint", "InProgress").await?;
        names.push(name);
    }
    service.engine.play(tests(), passing());

    let [_, _, composite] = &composite_and(&service, &names).await?[..] else {
        unreachable!("it was waited for")
    };
    assert_eq!(images(composite), [image("a", 2), image("b", 3)]);
    service.has_reason(&composite.name_any(), ADDED, "Added").await?;
    has(&service, "a", 2).await?;
    has(&service, "b", 3).await?;
    let mut outcomes: Vec<_> = Vec::new();
    for name in &names {
        let snapshot = service.api::<Snapshot>().get(name).await?;
        outcomes.push((reason(&snapshot, STATUS), reason(&snapshot, TESTED), reason(&snapshot, ADDED)));
    }
    outcomes.sort();
    let word = |word: &str| Some(word.to_owned());
    assert_eq!(outcomes, [(word("Finished"), word("Passed"), word("Added")), (word("Invalid"), None, None)]);
    Ok(())
}

/// Waits until there is one Snapshot beside those of these names, and gives out all, that one last.
async fn composite_and(service: &Service, names: &[String]) -> anyhow::Result<Vec<Snapshot>> {
    let mut all = service.has::<Snapshot>(names.len() + 1).await?;
    all.sort_by_key(|snapshot| !names.contains(&snapshot.name_any()));
    let composite = all.last().context("there is one")?;
    assert_eq!(label(composite, "test.appstudio.openshift.io/type"), Some("composite"));
    Ok(all)
}

#[tokio::test]
async fn scenario_13_what_a_pull_request_built_stays_out() -> anyhow::Result<()> {
    let service = install(&["a"], &[]).await?;
    service.engine.play(tests(), passing());
    for event in ["pull_request", "Merge Request"] {
        let number = if event == "pull_request" { 2 } else { 3 };
        let key = "pipelinesascode.tekton.dev/event-type";
        let run =
            build_run(&format!("a-{number}"), "a").label(key, event.replace(' ', "_")).annotation(key, event);
        service.create(&run).await?;
        end(&service, "a", number).await?;
        let name = service.snapshot_of(&run.name_any()).await?.name_any();
        let passed = service.has_reason(&name, TESTED, "Passed").await?;
        assert_eq!(reason(&passed, ADDED), None);
    }
    // Whatever the others set off was before this one.
    let run = build(&service, "a", 4).await?;
    let pushed = service.snapshot_of(&run).await?.name_any();
    service.has_reason(&pushed, "AutoReleased", "AutoReleased").await?;
    has(&service, "a", 4).await?;
    for snapshot in service.all::<Snapshot>().await? {
        let is_push = snapshot.name_any() == pushed;
        assert_eq!(reason(&snapshot, ADDED).is_some(), is_push);
        assert_eq!(reason(&snapshot, "AutoReleased").is_some(), is_push);
    }
    Ok(())
}

#[tokio::test]
async fn scenario_23_an_older_build_that_passes_later_leaves_the_newer_one() -> anyhow::Result<()> {
    let service = install(&["a", "b"], &[]).await?;
    // The newer one ends first.
    let newer = build(&service, "a", 3).await?;
    let newer = service.snapshot_of(&newer).await?.name_any();
    let older = build(&service, "a", 2).await?;
    let older = service.snapshot_of(&older).await?.name_any();
    service.engine.play(tests_of(&newer), passing());
    has(&service, "a", 3).await?;
    service.has_reason(&newer, ADDED, "Added").await?;
    service.engine.play(tests_of(&older), passing());
    let passed = service.has_reason(&older, TESTED, "Passed").await?;
    let status = passed.status.unwrap_or_default();
    let added =
        status.conditions.iter().find(|condition| condition.type_ == ADDED).context("it was looked at")?;
    assert!(added.message.contains("newer build"), "{}", added.message);
    assert_eq!(candidate(&service.api::<Component>().get("a").await?), is("a", 3));
    assert_eq!(service.all::<Snapshot>().await?.len(), 2, "nobody waits for the older one");
    let released = service.has_reason(&older, "AutoReleased", "AutoReleased").await?;
    let status = released.status.unwrap_or_default();
    assert!(
        status.conditions.iter().any(|condition| condition.message.contains("Not released automatically"))
    );
    Ok(())
}

#[tokio::test]
async fn what_fails_and_what_is_held_back_stays_out() -> anyhow::Result<()> {
    let service = install(&["a", "b"], &[]).await?;
    let failing = build(&service, "a", 2).await?;
    let failing = service.snapshot_of(&failing).await?.name_any();
    service.engine.play(tests_of(&failing), unlucky());
    let failed = service.has_reason(&failing, TESTED, "Failed").await?;
    let message = failed.status.unwrap_or_default().conditions.into_iter().map(|condition| condition.message);
    assert!(message.into_iter().any(|message| message.contains("lint")), "it says which");

    let held_back = build(&service, "b", 2).await?;
    let held_back = service.snapshot_of(&held_back).await?.name_any();
    let only_tested =
        json!({"metadata": {"labels": {"release.appstudio.openshift.io/auto-release": "false"}}});
    service.patch::<Snapshot>(&held_back, &only_tested).await?;
    service.engine.play(tests_of(&held_back), passing());
    service.has_reason(&held_back, TESTED, "Passed").await?;

    service.engine.play(tests(), passing());
    let run = build(&service, "b", 3).await?;
    let good = service.snapshot_of(&run).await?.name_any();
    service.has_reason(&good, "AutoReleased", "AutoReleased").await?;
    has(&service, "b", 3).await?;
    let names = [failing, held_back];
    for snapshot in service.all::<Snapshot>().await? {
        let stays_out = names.contains(&snapshot.name_any());
        assert_eq!(reason(&snapshot, ADDED).is_none(), stays_out, "{}", snapshot.name_any());
        assert_eq!(reason(&snapshot, "AutoReleased").is_none(), stays_out, "{}", snapshot.name_any());
    }
    let untouched: Component = service.api().get("a").await?;
    assert_eq!(untouched.status.unwrap_or_default().last_promoted_image, None);
    Ok(())
}

#[tokio::test]
async fn promoted_at_the_build_nothing_waits_for_tests() -> anyhow::Result<()> {
    let service = install(&["a", "b"], &["--gcl-promotion=build"]).await?;
    let runs = [build(&service, "a", 2).await?, build(&service, "b", 3).await?];
    has(&service, "a", 2).await?;
    has(&service, "b", 3).await?;
    for run in &runs {
        let name = service.snapshot_of(run).await?.name_any();
        let added = service.has_reason(&name, ADDED, "Added").await?;
        assert_eq!(reason(&added, TESTED), None, "its tests run");
    }
    service.engine.play(tests(), passing());
    for run in &runs {
        let name = service.snapshot_of(run).await?.name_any();
        service.has_reason(&name, TESTED, "Passed").await?;
    }
    assert_eq!(service.all::<Snapshot>().await?.len(), 2, "no composite");
    Ok(())
}

/// The source of an image, which an override has to name.
fn with_sources(mut snapshot: Snapshot) -> Snapshot {
    for (entry, number) in snapshot.spec.components.iter_mut().zip(7..) {
        let git = json!({"git": {"url": "https://git.example/acme/x", "revision": commit(number)}});
        entry.source = serde_json::from_value(git).ok();
    }
    snapshot.label("test.appstudio.openshift.io/type", "override")
}

#[tokio::test]
async fn an_override_sets_the_list_and_one_with_faults_does_not() -> anyhow::Result<()> {
    let service = install(&["a", "b"], &[]).await?;
    service.create(&with_sources(snapshot("wrong", &[("a", 9), ("none", 9)]))).await?;
    service.has_reason("wrong", STATUS, "Invalid").await?;
    service.create(&with_sources(snapshot("right", &[("a", 7), ("b", 8)]))).await?;
    service.has_reason("right", ADDED, "Added").await?;
    has(&service, "a", 7).await?;
    has(&service, "b", 8).await?;
    let wrong: Snapshot = service.api().get("wrong").await?;
    assert_eq!(reason(&wrong, ADDED), None);
    Ok(())
}

#[tokio::test]
async fn the_image_that_git_keeps_is_not_written() -> anyhow::Result<()> {
    let service = install(&[], &[]).await?;
    service.engine.play(tests(), passing());
    let tracked = component_with_image("a", 1).annotation("argocd.argoproj.io/tracking-id", "app:x");
    service.create(&tracked).await?;
    let run = build(&service, "a", 2).await?;
    let name = service.snapshot_of(&run).await?.name_any();
    service.has_reason(&name, ADDED, "Added").await?;
    let expected = (image("a", 2), commit(2), image("a", 1));
    assert_eq!(candidate(&service.api::<Component>().get("a").await?), expected);
    Ok(())
}

/// The race drill: builds of five Components end in random order, several at a time, and are tested.
#[tokio::test]
async fn fifty_builds_in_random_order_leave_the_newest_of_each() -> anyhow::Result<()> {
    const COMPONENTS: [&str; 5] = ["a", "b", "c", "d", "e"];
    let service = install(&COMPONENTS, &[]).await?;
    service.engine.play(tests(), passing());
    let of = |number: u64| COMPONENTS[usize::try_from(number).unwrap_or_default() % COMPONENTS.len()];
    let mut order: Vec<u64> = (2..52).collect();
    for number in &order {
        service.create(&build_run(&format!("{}-{number}", of(*number)), of(*number))).await?;
    }
    let random = RandomState::new();
    order.sort_by_key(|number| random.hash_one(number));
    stream::iter(order.clone())
        .map(|number| end(&service, of(number), number))
        .buffer_unordered(5)
        .try_collect::<()>()
        .await?;

    let newest: BTreeMap<&str, u64> = (2..52).map(|number| (of(number), number)).collect();
    eventually(DEADLINE * 4, "the newest of each, and quiet", async || {
        let snapshots = service.all::<Snapshot>().await?;
        let open: HashSet<_> = snapshots
            .iter()
            .filter(|snapshot| {
                reason(*snapshot, ADDED).is_none() && reason(*snapshot, STATUS).as_deref() != Some("Invalid")
            })
            .map(kube::ResourceExt::name_any)
            .collect();
        ensure!(snapshots.len() >= 50 && open.is_empty(), "of {} are open {open:?}", snapshots.len());
        Ok(())
    })
    .await
    .with_context(|| format!("order {order:?}"))?;
    for component in service.all::<Component>().await? {
        let name = component.name_any();
        assert_eq!(candidate(&component), is(&name, newest[name.as_str()]), "{name}, order {order:?}");
    }
    Ok(())
}

/// The verdict waits for nobody when the Application's objects change in between.
#[tokio::test]
async fn a_scenario_that_becomes_optional_decides_a_verdict() -> anyhow::Result<()> {
    let service = install(&["a"], &[]).await?;
    let run = build(&service, "a", 2).await?;
    let name = service.snapshot_of(&run).await?.name_any();
    service.has_entry(&name, "lint", "InProgress").await?;
    let optional: Value = json!({"metadata": {"labels": {"test.appstudio.openshift.io/optional": "true"}}});
    service.patch::<integration_service_api::IntegrationTestScenario>("lint", &optional).await?;
    service.has_reason(&name, TESTED, "Passed").await?;
    has(&service, "a", 2).await
}
