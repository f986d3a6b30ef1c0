//! From a push to a run, and back to the commit.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use reqwest::StatusCode;
use serde_json::json;
use testkit::engine::{RunScript, Runs};
use testkit::forge::{Fault, NO_COMMIT};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::service::{ON_PUSH, REPOSITORY, Service, WEBHOOK_SECRET, annotation, definition, label};

#[tokio::test]
async fn s01_a_push_starts_one_run_that_says_where_it_comes_from() -> anyhow::Result<()> {
    let service = Service::start().await?;
    // Until it was looked at: its Secret goes when it has ended.
    service.engine.play(Runs::any(), RunScript::never_ends());
    let run = definition("on-push", &ON_PUSH).replace(
        r#""taskSpec":"#,
        r#""params": [{"name": "revision", "value": "{{ revision }}"}], "taskSpec":"#,
    );
    let (commit, event) = service.commit("main", &[(".tekton/push.yaml", &run)])?;
    service.deliver(&event).await?;

    let run = service.has_runs(1).await?.remove(0);
    anyhow::ensure!(run.name_any().starts_with("on-push-"), "{}", run.name_any());
    let expected = [
        ("url-org", "acme"),
        ("url-repository", "app"),
        ("sha", &*commit),
        ("repository", "app"),
        ("event-type", "push"),
        ("state", "started"),
        ("original-prname", "on-push"),
    ];
    for (key, value) in expected {
        assert_eq!((label(&run, key), annotation(&run, key)), (value, value), "{key}");
    }
    assert_eq!(annotation(&run, "sha-title"), "Change it");
    assert_eq!(annotation(&run, "repo-url"), service.url());
    assert_eq!(annotation(&run, "branch"), "refs/heads/main");
    assert_eq!(annotation(&run, "sender"), "jane");
    let tasks = &run.spec.pipeline_spec.as_ref().map(|spec| spec.tasks.clone()).unwrap_or_default();
    assert_eq!(tasks[0].params[0].value.as_str(), Some(&*commit));

    let secret = service.api::<Secret>().get(annotation(&run, "git-auth-secret")).await?;
    assert_eq!(secret.owner_references()[0].uid, run.uid().unwrap_or_default());
    service.engine.play(Runs::any(), RunScript::new());
    let check = service.check(&commit, "that ended", |check| check.conclusion.is_some()).await?;
    assert_eq!((&*check.name, check.conclusion.as_deref()), ("Konflux / on-push", Some("success")));
    assert_eq!(check.external_id, run.name_any());
    let run = service.until(&run.name_any(), "the end", |run| label(run, "state") == "completed").await?;
    assert_eq!(label(&run, "check-run-id"), check.id.to_string());
    Ok(())
}

#[tokio::test]
async fn s02_the_same_event_twice_starts_one_run() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (_, event) = service.commit("main", &[(".tekton/push.yaml", &definition("once", &ON_PUSH))])?;
    service.deliver(&event).await?;
    service.has_runs(1).await?;
    service.deliver(&event).await?;
    let (_, another) = service.commit("main", &[("README.md", "more")])?;
    service.deliver(&another).await?;
    service.has_runs(2).await?;
    Ok(())
}

#[tokio::test]
async fn s03_a_wrong_signature_reaches_nobody() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (_, event) = service.commit("main", &[(".tekton/push.yaml", &definition("never", &ON_PUSH))])?;
    service.github.traffic().forget();
    let deliveries = [
        ("by another secret", event.signed("another secret")),
        ("by nobody", event.unsigned()),
        ("changed on its way", event.signed(WEBHOOK_SECRET).tampered()),
    ];
    for (signed, delivery) in deliveries {
        let answer = delivery.send(&service.http, &service.listener()).await?;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{signed}");
    }
    let note = service.told("RepositorySecretValidation").await?;
    anyhow::ensure!(note.contains("signature"), "{note}");
    assert_eq!(service.runs().await?.len(), 0);
    assert_eq!(service.github.traffic().count("*"), 0, "{:?}", service.github.traffic().calls());
    Ok(())
}

#[tokio::test]
async fn a_check_run_whose_answer_is_lost_is_found_again() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (commit, event) =
        service.commit("main", &[(".tekton/push.yaml", &definition("on-push", &ON_PUSH))])?;
    service.github.traffic().fail("POST /repos/{owner}/{repo}/check-runs", 1, Fault::LoseReply);
    service.deliver(&event).await?;
    service.check(&commit, "that ended", |check| check.conclusion.is_some()).await?;
    let names: Vec<_> = service.checks(&commit).into_iter().map(|check| check.name).collect();
    assert_eq!(names, ["Konflux / on-push"]);
    Ok(())
}

#[tokio::test]
async fn s07_an_expression_decides_by_the_changed_files_and_asks_for_them_once() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let docs = r#"event == "push" && target_branch == "main" && "docs/*.md".pathChanged()"#;
    let code = r#"event == "push" && "src/**".pathChanged()"#;
    service.commit(
        "main",
        &[
            (".tekton/docs.yaml", &definition("docs", &[("on-cel-expression", docs)])),
            (".tekton/code.yaml", &definition("code", &[("on-cel-expression", code)])),
        ],
    )?;
    service.github.traffic().forget();
    let (_, event) = service.commit("main", &[("docs/use.md", "use it")])?;
    service.deliver(&event).await?;
    let run = service.has_runs(1).await?.remove(0);
    assert_eq!(label(&run, "original-prname"), "docs");
    let asked = service.github.traffic().calls();
    let compared = asked.iter().filter(|call| call.route.contains("/compare/")).count();
    assert_eq!(compared, 1, "{asked:?}");

    let (_, event) = service.commit("main", &[("README.md", "read it")])?;
    service.deliver(&event).await?;
    service.told("RepositoryNoMatch").await?;
    assert_eq!(service.runs().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn s08_a_tag_starts_what_is_for_tags() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let tagged = [ON_PUSH[0], ("on-target-branch", "[refs/tags/*]")];
    let (commit, _) = service.commit(
        "main",
        &[
            (".tekton/tag.yaml", &definition("tagged", &tagged)),
            (".tekton/push.yaml", &definition("pushed", &ON_PUSH)),
        ],
    )?;
    let event = service.github.edit(|model| {
        model.set_ref(REPOSITORY, "refs/tags/v1.2", &commit)?;
        testkit::forge::github::event::push(model, REPOSITORY, "refs/tags/v1.2", NO_COMMIT, &commit, "jane")
    })?;
    service.deliver(&event).await?;
    let run = service.has_runs(1).await?.remove(0);
    assert_eq!(label(&run, "original-prname"), "tagged");
    Ok(())
}

#[tokio::test]
async fn s12_what_cannot_be_used_is_said_at_the_commit() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let broken = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: [unclosed\n";
    let (commit, event) = service.commit(
        "main",
        &[(".tekton/bad.yaml", broken), (".tekton/push.yaml", &definition("good", &ON_PUSH))],
    )?;
    service.deliver(&event).await?;
    let check =
        service.check(&commit, "that failed", |check| check.conclusion.as_deref() == Some("failure")).await?;
    let text = check.output.to_string();
    anyhow::ensure!(text.contains(".tekton/bad.yaml:"), "file and line are named: {text}");
    assert_eq!(service.runs().await?.len(), 0);

    let absent = definition("absent", &ON_PUSH).replace(
        r#""taskSpec":{"steps":[{"image":"images.example/work","name":"work","script":"true"}]}"#,
        r#""taskRef":{"name":"compile"}"#,
    );
    let (commit, event) = service.commit("main", &[(".tekton/bad.yaml", &absent)])?;
    service.deliver(&event).await?;
    let check = service
        .check(&commit, "that names the task", |check| {
            check.conclusion.as_deref() == Some("failure") && check.output.to_string().contains("compile")
        })
        .await?;
    assert_eq!(check.name, "Konflux / absent");
    // The other run of the same push is none the worse for it.
    let runs = service.has_runs(1).await?;
    assert_eq!(label(&runs[0], "original-prname"), "good");
    Ok(())
}

#[tokio::test]
async fn s17_a_bad_annotation_is_its_own_runs_trouble() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let bad = [
        ("glob", [ON_PUSH[0], ("on-target-branch", "[main[]")]),
        ("regex", [ON_PUSH[0], ("on-comment", "(")]),
        ("cel", [ON_PUSH[0], ("on-cel-expression", "event ==")]),
        ("list", [("on-event", "[push"), ON_PUSH[1]]),
    ];
    let files: Vec<(String, String)> = bad
        .iter()
        .map(|(name, annotations)| (format!(".tekton/{name}.yaml"), definition(name, annotations)))
        .chain([(".tekton/good.yaml".to_owned(), definition("good", &ON_PUSH))])
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
    let (_, event) = service.commit("main", &files)?;
    service.deliver(&event).await?;
    let run = service.has_runs(1).await?.remove(0);
    assert_eq!(label(&run, "original-prname"), "good");
    let note = service.told("RepositoryFailedToMatch").await?;
    anyhow::ensure!(note.contains("PipelineRun "), "{note}");

    let (_, again) = service.commit("main", &[("README.md", "still here")])?;
    service.deliver(&again).await?;
    service.has_runs(2).await?;
    Ok(())
}

#[tokio::test]
async fn s18_what_is_for_nobody_here_costs_the_api_server_nothing() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    for number in 0..300 {
        let url = format!("{}/team-{number}/app", service.github.url());
        service.repository(&format!("app-{number}"), &json!({"url": url})).await?;
    }
    service.run().await?;
    let (_, event) = service.commit("main", &[("README.md", "nobody cares")])?;
    let ledger = service.plane.ledger()?;
    let mark = ledger.mark().await?;
    for _ in 0..400 {
        let answer = event.replayed().signed(WEBHOOK_SECRET).send(&service.http, &service.listener()).await?;
        assert_eq!(answer.status(), StatusCode::OK);
    }
    let calls = ledger.since(&mark).await?.by(&service.installed.user()?).except("leases");
    // The leader says once which version it is.
    let calls = calls.except("configmaps");
    anyhow::ensure!(calls.is_empty(), "{calls:?}");
    Ok(())
}

#[tokio::test]
async fn a_commit_that_asks_for_no_runs_gets_none() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let files = [(".tekton/push.yaml", &*definition("on-push", &ON_PUSH))];
    let (_, event) = service.commit_with("Only words [skip ci]", "main", &files)?;
    service.deliver(&event).await?;
    service.told("RepositorySkipped").await?;
    assert_eq!(service.runs().await?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_deleted_branch_and_nonsense_are_answered_and_nothing_else() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (commit, event) =
        service.commit("gone", &[(".tekton/push.yaml", &definition("on-push", &ON_PUSH))])?;
    let deleted = service.github.edit(|model| {
        testkit::forge::github::event::push(model, REPOSITORY, "refs/heads/gone", &commit, NO_COMMIT, "jane")
    })?;
    let answer = deleted.signed(WEBHOOK_SECRET).send(&service.http, &service.listener()).await?;
    assert_eq!(answer.status(), StatusCode::OK);

    let mut nulls = event;
    for field in ["head_commit", "pusher", "commits"] {
        nulls.payload[field] = serde_json::Value::Null;
    }
    let answer = nulls.signed(WEBHOOK_SECRET).send(&service.http, &service.listener()).await?;
    anyhow::ensure!(answer.status().as_u16() < 500, "it answers {}", answer.status());
    let request = service.http.post(service.listener()).header("x-github-event", "push").body("{nonsense");
    assert_eq!(request.send().await?.status(), StatusCode::BAD_REQUEST);
    let announced = format!(
        "POST / HTTP/1.1\r\nHost: listener\r\nX-GitHub-Event: push\r\nContent-Length: {}\r\n\r\n",
        26 << 20
    );
    let address = service.listener().replace("http://", "").replace('/', "");
    let mut connection = TcpStream::connect(address).await?;
    connection.write_all(announced.as_bytes()).await?;
    let mut answer = [0; 32];
    let length = connection.read(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer[..length]);
    anyhow::ensure!(answer.starts_with("HTTP/1.1 413"), "it answers {answer:?} before it is sent");
    Ok(())
}
