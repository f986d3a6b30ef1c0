//! Pull requests, comments on them, and who may start what.

use kube::ResourceExt as _;
use testkit::engine::{RunScript, Runs};

use crate::service::{ON_PULL, ON_PUSH, REPOSITORY, Service, definition, label};

/// A service whose `main` has runs `a` and `b` for pull requests; they end only when they are cancelled.
async fn with_two_runs() -> anyhow::Result<Service> {
    let service = Service::start().await?;
    service.engine.play(Runs::any(), RunScript::never_ends());
    service.commit(
        "main",
        &[(".tekton/a.yaml", &definition("a", &ON_PULL)), (".tekton/b.yaml", &definition("b", &[]))],
    )?;
    Ok(service)
}

#[tokio::test]
async fn s04_a_strangers_pull_request_waits_for_a_members_word() -> anyhow::Result<()> {
    let service = with_two_runs().await?;
    let commit = service.github.edit(|model| -> anyhow::Result<String> {
        model.fork(REPOSITORY, "mallory")?;
        model.commit("mallory/app", "gift", "A gift", &[("gift.md", Some(b"for you"))])
    })?;
    let (number, opened) = service.open("mallory", "mallory/app", "gift")?;
    service.deliver(&opened).await?;
    let waits =
        service.check(&commit, "that waits", |check| check.output["title"] == "Pending approval").await?;
    assert_eq!(waits.conclusion, None);
    service.told("RepositoryPermissionDenied").await?;

    // What mallory says about it changes nothing.
    for text in ["/ok-to-test", "/test", "/test b", "/retest"] {
        service.deliver(&service.comment("mallory", number, text)?).await?;
    }
    service.deliver(&service.comment("jane", number, "/ok-to-test")?).await?;
    let runs = service.has_runs(1).await?;
    assert_eq!(
        (label(&runs[0], "original-prname"), label(&runs[0], "event-type")),
        ("a", "ok-to-test-comment")
    );

    // The approval is of what jane saw.
    let (later, pushed) = service.github.edit(|model| -> anyhow::Result<_> {
        let later = model.commit("mallory/app", "gift", "Another", &[("gift.md", Some(b"mine"))])?;
        let event =
            testkit::forge::github::event::pull_request(model, REPOSITORY, number, "synchronize", "mallory")?;
        Ok((later, event))
    })?;
    service.deliver(&pushed).await?;
    service.check(&later, "that waits", |check| check.output["title"] == "Pending approval").await?;
    assert_eq!(service.runs().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn s04_with_remember_ok_to_test_later_pushes_are_covered() -> anyhow::Result<()> {
    let service = with_two_runs().await?;
    service.configure(&serde_json::json!({"remember-ok-to-test": "true"})).await?;
    service.github.edit(|model| -> anyhow::Result<()> {
        model.fork(REPOSITORY, "mallory")?;
        model.commit("mallory/app", "gift", "A gift", &[("gift.md", Some(b"for you"))])?;
        Ok(())
    })?;
    let (number, _) = service.open("mallory", "mallory/app", "gift")?;
    service.deliver(&service.comment("jane", number, "/ok-to-test")?).await?;
    service.has_runs(1).await?;
    let pushed = service.github.edit(|model| -> anyhow::Result<_> {
        model.commit("mallory/app", "gift", "Another", &[("gift.md", Some(b"mine"))])?;
        testkit::forge::github::event::pull_request(model, REPOSITORY, number, "synchronize", "mallory")
    })?;
    service.deliver(&pushed).await?;
    service.has_runs(2).await?;
    Ok(())
}

#[tokio::test]
async fn s05_commands_start_and_cancel_the_run_that_they_name() -> anyhow::Result<()> {
    let service = with_two_runs().await?;
    service.commit("fix", &[("fix.md", "fixed")])?;
    let (number, opened) = service.open("jane", REPOSITORY, "fix")?;
    service.deliver(&opened).await?;
    let a = service.has_runs(1).await?.remove(0);
    assert_eq!(label(&a, "original-prname"), "a");
    assert_eq!(label(&a, "pull-request"), number.to_string());

    service.deliver(&service.comment("jane", number, "/test b")?).await?;
    let runs = service.has_runs(2).await?;
    let b = runs
        .iter()
        .find(|run| label(run, "original-prname") == "b")
        .ok_or_else(|| anyhow::anyhow!("no b"))?;
    assert_eq!(label(b, "event-type"), "test-comment");

    service.deliver(&service.comment("jane", number, "/cancel b")?).await?;
    let cancelled = service
        .until(&b.name_any(), "the cancellation", |run| run.spec.status == "CancelledRunFinally")
        .await?;
    service.until(&cancelled.name_any(), "its report", |run| label(run, "state") == "completed").await?;
    let a = service.until(&a.name_any(), "that it goes on", |_| true).await?;
    assert_eq!((&*a.spec.status, label(&a, "state")), ("", "started"));

    service.deliver(&service.comment("jane", number, "/cancel")?).await?;
    service.until(&a.name_any(), "the cancellation", |run| run.spec.status == "CancelledRunFinally").await?;
    service.deliver(&service.comment("jane", number, "/retest")?).await?;
    let runs = service.has_runs(3).await?;
    anyhow::ensure!(runs.iter().any(|run| label(run, "event-type") == "retest-all-comment"));
    Ok(())
}

#[tokio::test]
async fn s06_a_run_waits_for_a_comment_that_fits() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let merge = definition("merge", &[("on-comment", "^/merge")]).replace(
        r#""taskSpec":"#,
        r#""params": [{"name": "said", "value": "{{ trigger_comment }} ({{ event_type }})"}], "taskSpec":"#,
    );
    service.commit(
        "main",
        &[(".tekton/merge.yaml", &merge), (".tekton/other.yaml", &definition("other", &ON_PULL))],
    )?;
    service.commit("fix", &[("fix.md", "fixed")])?;
    let (number, _) = service.open("jane", REPOSITORY, "fix")?;
    // Nobody has to approve talk, nor is it answered.
    service.deliver(&service.comment("mallory", number, "nice")?).await?;
    service.deliver(&service.comment("jane", number, "/merge now")?).await?;
    let run = service.has_runs(1).await?.remove(0);
    assert_eq!((label(&run, "original-prname"), label(&run, "event-type")), ("merge", "on-comment"));
    let tasks = run.spec.pipeline_spec.map(|spec| spec.tasks).unwrap_or_default();
    assert_eq!(tasks[0].params[0].value.as_str(), Some("/merge now (on-comment)"));
    Ok(())
}

#[tokio::test]
async fn s20_with_the_default_branchs_definitions_a_pull_request_changes_nothing_of_them()
-> anyhow::Result<()> {
    let service = Service::start().await?;
    service
        .change_repository(&serde_json::json!({"settings": {"pipelinerun_provenance": "default_branch"}}))
        .await?;
    service.commit("main", &[(".tekton/a.yaml", &definition("of-main", &ON_PULL))])?;
    service.commit("fix", &[(".tekton/a.yaml", &definition("of-fix", &ON_PULL))])?;
    let (_, opened) = service.open("jane", REPOSITORY, "fix")?;
    service.deliver(&opened).await?;
    let run = service.has_runs(1).await?.remove(0);
    assert_eq!(label(&run, "original-prname"), "of-main");
    Ok(())
}

#[tokio::test]
async fn a_newer_push_takes_the_place_of_the_older_where_that_is_wanted() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.engine.play(Runs::any(), RunScript::never_ends());
    let run = definition("latest", &[ON_PUSH[0], ON_PUSH[1], ("cancel-in-progress", "true")]);
    let (_, first) = service.commit("main", &[(".tekton/push.yaml", &run)])?;
    service.deliver(&first).await?;
    let old = service.has_runs(1).await?.remove(0);
    // Of runs that are made in the same second the names decide which is the newer one.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let (_, second) = service.commit("main", &[("more.md", "more")])?;
    service.deliver(&second).await?;
    service.has_runs(2).await?;
    service.until(&old.name_any(), "its end", |run| run.spec.status == "CancelledRunFinally").await?;
    Ok(())
}
