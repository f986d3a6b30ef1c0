//! InternalRequests: made, waited for, cleaned up. internal-services is played.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use internal_services_api::InternalRequest;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use testkit::{DEADLINE, eventually};
use tokio::task::JoinHandle;

use crate::world::{Ran, World};

const TASK_RUN: &str = "5f1d7a2e-task";
const RUN: &str = "5f1d7a2e-run";

/// Answers requests by their pipeline's name until it is dropped: `fine`, `bad`, `unknown`; others never.
struct Played {
    /// The most that were open at once.
    most: Arc<AtomicUsize>,
    playing: JoinHandle<()>,
}

impl Drop for Played {
    fn drop(&mut self) {
        self.playing.abort();
    }
}

impl Played {
    fn start(world: &World) -> Self {
        let requests: Api<InternalRequest> = world.api(&world.managed);
        let most = Arc::new(AtomicUsize::new(0));
        let seen = most.clone();
        let playing = tokio::spawn(async move {
            loop {
                let Ok(list) = requests.list(&ListParams::default()).await else { return };
                let open: Vec<InternalRequest> =
                    list.items.into_iter().filter(|request| request.status.is_none()).collect();
                seen.fetch_max(open.len(), Ordering::SeqCst);
                for request in open {
                    if let Some(status) = answer(&request) {
                        let patch = Patch::Merge(json!({ "status": status }));
                        let _ =
                            requests.patch_status(&request.name_any(), &PatchParams::default(), &patch).await;
                    }
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        });
        Self { most, playing }
    }
}

fn answer(request: &InternalRequest) -> Option<Value> {
    let (truth, reason, message) = match request.spec.request.as_deref()? {
        "fine" => ("True", "Succeeded", ""),
        "bad" => ("False", "Failed", "the pipeline failed"),
        "unknown" => ("False", "Rejected", "No endpoint to handle 'unknown' requests"),
        _ => return None,
    };
    let payload: BTreeMap<String, String> =
        request.spec.params.iter().map(|(name, value)| (name.clone(), format!("{value}, signed"))).collect();
    Some(json!({
        "conditions": [{
            "type": "Succeeded", "status": truth, "reason": reason, "message": message,
            "lastTransitionTime": "2024-01-01T00:00:00Z",
        }],
        "results": payload,
    }))
}

async fn ask(world: &World, further: &[&str]) -> anyhow::Result<Ran> {
    let task_run = format!("--task-run-uid={TASK_RUN}");
    let run = format!("--pipeline-run-uid={RUN}");
    let flags =
        ["create-internal-request", "--namespace={managed}", &task_run, &run, "--workspace={folder}/work"];
    world.run(&[&flags[..], further].concat()).await
}

/// Scenario 16 of internal-services.
#[tokio::test]
async fn a_batch_with_one_rejected_says_how_all_ended() -> anyhow::Result<()> {
    let world = World::new().await?;
    let played = Played::start(&world);
    let mut batch: Vec<Value> =
        ["a", "b", "c"].iter().map(|blob| json!({"request": "fine", "params": {"blob": blob}})).collect();
    batch.insert(1, json!({"request": "unknown"}));
    world.write("work/run/requests.json", &json!(batch))?;
    let flags =
        ["--requests-path=run/requests.json", "--results-path=run/answers.json", "--concurrent-limit=2"];
    let ran = ask(&world, &flags).await?.failed(21, &["1 of 4", "No endpoint to handle 'unknown' requests"]);
    assert_eq!(ran.log.matches(") Succeeded").count(), 3, "{}", ran.log);
    assert_eq!(ran.log.matches(") Rejected: No endpoint").count(), 1, "{}", ran.log);
    assert!(played.most.load(Ordering::SeqCst) <= 2, "no more are open than may be");
    let answers = world.json("work/run/answers.json")?;
    let reasons: Vec<&str> =
        answers.as_array().unwrap().iter().filter_map(|answer| answer["reason"].as_str()).collect();
    assert_eq!(reasons, ["Succeeded", "Rejected", "Succeeded", "Succeeded"]);
    assert_eq!(answers[0]["results"], json!({"blob": "a, signed"}));
    for request in world.requests().await? {
        let label = |key: &str| {
            request.labels().get(&format!("internal-services.appstudio.openshift.io/{key}")).cloned()
        };
        assert_eq!(
            (label("group-id").as_deref(), label("pipelinerun-uid").as_deref()),
            (Some(TASK_RUN), Some(RUN))
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_step_that_runs_again_asks_for_nothing_twice() -> anyhow::Result<()> {
    let world = World::new().await?;
    let _played = Played::start(&world);
    let flags = ["--request=fine", "--results-path=run/answer.json", "--", "blob=--namespace=x\n$(y)"];
    for _ in 0..2 {
        ask(&world, &flags).await?.succeeded();
        assert_eq!(world.json("work/run/answer.json")?, json!({"blob": "--namespace=x\n$(y), signed"}));
        assert_eq!(world.requests().await?.len(), 1);
    }
    // One that failed is worth another try, once for each run of the step.
    for tries in 2..4 {
        ask(&world, &["--request=bad"]).await?.failed(21, &["Failed: the pipeline failed"]);
        assert_eq!(world.requests().await?.len(), tries);
    }
    Ok(())
}

#[tokio::test]
async fn exit_codes_and_results_tell_how_it_ended() -> anyhow::Result<()> {
    let world = World::new().await?;
    let _played = Played::start(&world);
    let names = ["requestName", "requestReason", "requestMessage", "groupId"];
    let results = world.results(&names);
    let results: Vec<&str> = results.iter().map(String::as_str).collect();
    for (request, code, reason, message) in [
        ("fine", 0, "Succeeded", ""),
        ("unknown", 22, "Rejected", "No endpoint to handle 'unknown' requests"),
        ("bad", 21, "Failed", "the pipeline failed"),
        (
            "silent",
            124,
            "TimedOut",
            "no answer in 2 s: does internal-services run, and may this namespace use it?",
        ),
    ] {
        let flag = format!("--request={request}");
        let ran = ask(&world, &[&[flag.as_str(), "--timeout=2"], &results[..]].concat()).await?;
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.error.contains(message), "{ran:?}");
        assert!(world.result("requestName")?.starts_with(request));
        let told: Vec<String> = names[1..].iter().map(|name| world.result(name)).collect::<Result<_, _>>()?;
        assert_eq!(told, [reason, message, TASK_RUN]);
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_made_or_is_deleted_is_an_outcome() -> anyhow::Result<()> {
    let world = World::new().await?;
    ask(&world, &["--request=Not_A_Name"]).await?.failed(21, &["Failed", "spec.request"]);
    let requests: Api<InternalRequest> = world.api(&world.managed);
    let asking = ask(&world, &["--request=silent"]);
    let deleting = async {
        let name = eventually(DEADLINE, "a request", async || {
            let list = requests.list(&ListParams::default()).await?;
            list.items.first().map(kube::ResourceExt::name_any).context("there is none")
        });
        let name = name.await?;
        requests.delete(&name, &DeleteParams::default()).await?;
        anyhow::Ok(())
    };
    let (ran, deleted) = tokio::join!(asking, deleting);
    deleted?;
    ran?.failed(21, &["it was deleted while it was waited for"]);
    Ok(())
}

#[tokio::test]
async fn a_request_of_somebody_else_is_not_taken_for_ones_own() -> anyhow::Result<()> {
    let world = World::new().await?;
    ask(&world, &["--request=silent", "--sync=false", "--", "blob=a"]).await?.succeeded();
    let made = world.requests().await?.remove(0);
    let requests: Api<InternalRequest> = world.api(&world.managed);
    let mut other = InternalRequest::new(&made.name_any(), made.spec.clone());
    for (group, blob) in [("other-task", "a"), (TASK_RUN, "b")] {
        requests.delete(&made.name_any(), &DeleteParams::default()).await?;
        other
            .labels_mut()
            .insert("internal-services.appstudio.openshift.io/group-id".to_owned(), group.to_owned());
        other.spec.params.insert("blob".to_owned(), blob.to_owned());
        world.make(&world.managed, &other).await?;
        let ran = ask(&world, &["--request=silent", "--timeout=1", "--", "blob=a"]).await?;
        ran.failed(21, &["which this step did not make"]);
    }
    Ok(())
}

#[tokio::test]
async fn a_later_task_waits_for_the_group() -> anyhow::Result<()> {
    let world = World::new().await?;
    let wait =
        ["wait-for-internal-requests", "--namespace={managed}", "--group-id=5f1d7a2e-task", "--timeout=20"];
    world.run(&wait).await?.failed(1, &["there is none in namespace"]);
    world.write("work/run/requests.json", &json!([{"request": "fine"}, {"request": "unknown"}]))?;
    ask(&world, &["--requests-path=run/requests.json", "--sync=false"]).await?.succeeded();
    assert_eq!(world.requests().await?.len(), 2);
    let _played = Played::start(&world);
    let ran = world.run(&wait).await?.failed(21, &["1 of 2", "No endpoint"]);
    assert_eq!(ran.log.matches(") Succeeded").count(), 1, "{}", ran.log);
    Ok(())
}

#[tokio::test]
async fn the_requests_of_a_run_go_with_its_files() -> anyhow::Result<()> {
    let world = World::new().await?;
    world.write("work/run/requests.json", &json!([{"request": "silent"}, {"request": "slow"}]))?;
    ask(&world, &["--requests-path=run/requests.json", "--sync=false"]).await?.succeeded();
    let task_run = "--task-run-uid=other-task";
    let other =
        ["create-internal-request", "--namespace={managed}", task_run, "--pipeline-run-uid=other-run"];
    world.run(&[&other[..], &["--request=silent", "--sync=false"]].concat()).await?.succeeded();
    let cleanup = |uid: &str, subdirectory: &str| {
        [
            "cleanup-workspace".to_owned(),
            "--namespace={managed}".to_owned(),
            "--workspace={folder}/work".to_owned(),
            format!("--pipeline-run-uid={uid}"),
            format!("--subdirectory={subdirectory}"),
        ]
    };
    let run = async |uid: &str, subdirectory: &str| {
        let flags = cleanup(uid, subdirectory);
        world.run(&flags.iter().map(String::as_str).collect::<Vec<_>>()).await
    };
    // Neither without a folder, nor with a wrong one, nor by what would select others' requests.
    run(RUN, "").await?.succeeded();
    run(RUN, "..").await?.failed(1, &["no path below the workspace"]);
    assert_eq!(world.requests().await?.len(), 3);
    run("x,y", "none").await?.failed(1, &["expected the uid of an object"]);
    assert!(world.path("work/run/requests.json").exists());
    for _ in 0..2 {
        run(RUN, "run").await?.succeeded();
        let left: Vec<String> = world.requests().await?.iter().map(kube::ResourceExt::name_any).collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(!world.path("work/run").exists() && world.path("work").exists());
    }
    Ok(())
}
