//! The rules of the base are what the code uses: nothing is missing, nothing is too much.

use kube::ResourceExt;
use kube::api::DeleteParams;
use pipelines_engine_api::PipelineRun;
use serde_json::json;
use testkit::engine::{RunScript, Runs, TaskScript};
use testkit::rbac::Rare;
use testkit::{DEADLINE, wait_gone};

use crate::service::{ON_PULL, ON_PUSH, REPOSITORY, Service, definition, label};

#[tokio::test]
async fn the_base_grants_exactly_what_is_used() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.repository("app", &json!({"url": service.url(), "concurrency_limit": 1})).await?;
    let ledger = service.plane.ledger()?;
    let mark = ledger.mark().await?;
    service.run().await?;
    let kept = [ON_PUSH[0], ON_PUSH[1], ("max-keep-runs", "1")];
    service.commit(
        "main",
        &[
            (".tekton/push.yaml", &definition("kept", &kept)),
            (".tekton/pull.yaml", &definition("pull", &ON_PULL)),
        ],
    )?;
    for number in 0..2 {
        let (commit, event) = service.commit("main", &[("number", &number.to_string())])?;
        service.deliver(&event).await?;
        service.check(&commit, "that ended", |check| check.conclusion.is_some()).await?;
        service.deliver(&event).await?;
    }
    let key = "pipelinesascode.tekton.dev/original-prname";
    let failed =
        RunScript::fails("Failed", "one failed").task("work", TaskScript::fails("Failed", "exit code 1"));
    service.engine.play(Runs::labelled(key, "pull"), failed);
    service.commit("fix", &[("fix.md", "fixed")])?;
    let (number, opened) = service.open("jane", REPOSITORY, "fix")?;
    service.deliver(&opened).await?;
    let head = service.github.edit(|model| {
        Ok::<_, anyhow::Error>(model.repo(REPOSITORY)?.head("fix").unwrap_or_default().to_owned())
    })?;
    service.check(&head, "that failed", |check| check.conclusion.as_deref() == Some("failure")).await?;
    service.engine.play(Runs::any(), RunScript::never_ends());
    service.deliver(&service.comment("jane", number, "/test pull")?).await?;
    let going = service.check(&head, "that goes on", |check| check.status == "in_progress").await?;
    service.api::<PipelineRun>().delete(&going.external_id, &DeleteParams::default()).await?;
    wait_gone(&service.api::<PipelineRun>(), &going.external_id, DEADLINE).await?;
    let left = service.runs().await?;
    anyhow::ensure!(
        left.iter().all(|run| label(run, "state") == "completed"),
        "{:?}",
        left.iter().map(ResourceExt::name_any).collect::<Vec<_>>()
    );
    let unsigned = service.comment("jane", number, "/test")?.unsigned();
    unsigned.send(&service.http, &service.listener()).await?;
    service.told("RepositorySecretValidation").await?;
    service.stop().await?;

    let calls = ledger.since(&mark).await?.by(&service.installed.user()?);
    let no_streaming = "API servers without streaming lists";
    let certificate = "the webhook's certificate comes from a folder here";
    let look_up = "somebody looks up a delivery, with a token";
    let rare = [
        Rare { verb: "list", resource: "pipelineruns", because: no_streaming },
        Rare { verb: "list", resource: "taskruns", because: no_streaming },
        Rare { verb: "list", resource: "repositories", because: no_streaming },
        Rare { verb: "list", resource: "configmaps", because: no_streaming },
        Rare { verb: "patch", resource: "secrets", because: certificate },
        Rare { verb: "create", resource: "secrets", because: certificate },
        Rare { verb: "get", resource: "secrets", because: certificate },
        Rare {
            verb: "get",
            resource: "pipelineruns",
            because: "a delivery is worked on again after a crash",
        },
        Rare { verb: "get", resource: "validatingwebhookconfigurations", because: certificate },
        Rare { verb: "patch", resource: "validatingwebhookconfigurations", because: certificate },
        Rare { verb: "patch", resource: "events", because: "the same Event twice" },
        Rare { verb: "create", resource: "tokenreviews", because: look_up },
        Rare { verb: "create", resource: "subjectaccessreviews", because: look_up },
        Rare { verb: "create", resource: "leases", because: "the lease is made once" },
    ];
    service.installed.compare_rules(&calls, &rare)?.check()
}
