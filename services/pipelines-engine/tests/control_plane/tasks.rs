//! TaskRuns and what their pods make of them: attempts, steps, results, sidecars, images.

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use pipelines_engine_api::TaskRun;
use pipelines_engine_api::task_run::StepState;
use serde_json::{Value, json};
use testkit::kubelet::{Container, PodScript, Pods};
use testkit::{DEADLINE, wait_for, wait_gone};

use crate::service::{Service, message, note, of_task_run, results, says, step, with};

/// Steps of these names.
fn steps(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| with(step("x"), &json!({"name": name}))).collect()
}

fn message_of(run: &TaskRun) -> &str {
    run.status.as_ref().map(|status| message(&status.conditions)).unwrap_or_default()
}

fn step_of<'a>(run: &'a TaskRun, name: &str) -> &'a StepState {
    let mut steps = run.status.iter().flat_map(|status| &status.steps);
    steps.find(|step| step.name == name).expect("the step is in the status")
}

fn exit_code(step: &StepState) -> Option<i32> {
    Some(step.terminated.as_ref()?.exit_code)
}

async fn args(service: &Service, pod: &str, container: &str) -> anyhow::Result<Vec<String>> {
    let spec = service.api::<Pod>().get(pod).await?.spec.unwrap_or_default();
    let found = spec.containers.into_iter().find(|candidate| candidate.name == container);
    Ok(found.and_then(|container| container.args).unwrap_or_default())
}

#[tokio::test]
async fn a_task_run_becomes_a_pod_with_the_entrypoint_of_the_engine() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let message = results(&[("r", "1")]);
    service
        .kubelet
        .play(Pods::any(), PodScript::new().container("step-s", Container::succeeds().message(&message)));
    let spec = json!({"taskSpec": {"steps": [step("x")], "results": [{"name": "r"}]}});
    service.run_task("alone", &spec).await?;
    let ended = service.end_of_task("alone").await?;
    assert_eq!(of_task_run(&ended), says("True", "Succeeded"));
    let status = ended.status.unwrap_or_default();
    assert_eq!(status.results[0].value, "1".into());
    let pod = service.api::<Pod>().get(&status.pod_name).await?.spec.unwrap_or_default();
    assert_eq!(pod.containers[0].command.as_deref(), Some(&["/tekton/bin/entrypoint".to_owned()][..]));
    let volume = pod.volumes.unwrap_or_default().into_iter().find_map(|volume| volume.config_map);
    let map = service.api::<ConfigMap>().get(&volume.map(|map| map.name).unwrap_or_default()).await?;
    assert_eq!(map.immutable, Some(true));
    service.stop().await
}

#[tokio::test]
async fn scenario_4_each_attempt_has_a_pod() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    for name in ["flaky-pod", "flaky-pod-retry1"] {
        service.kubelet.play(Pods::named(name), PodScript::new().others(Container::exits(1)));
    }
    let counts = with(step("x"), &json!({"args": ["$(context.task.retry-count)"]}));
    service.run_task("flaky", &json!({"retries": 2, "taskSpec": {"steps": [counts]}})).await?;
    let ended = service.end_of_task("flaky").await?;
    assert_eq!(of_task_run(&ended), says("True", "Succeeded"));
    assert_eq!(service.pods().await?, ["flaky-pod", "flaky-pod-retry1", "flaky-pod-retry2"]);
    let status = ended.status.unwrap_or_default();
    assert_eq!(status.pod_name, "flaky-pod-retry2");
    let earlier: Vec<_> = status.retries_status.iter().map(|attempt| &*attempt.pod_name).collect();
    assert_eq!(earlier, ["flaky-pod", "flaky-pod-retry1"]);
    assert!(status.retries_status.iter().all(|attempt| message(&attempt.conditions).contains("step-s")));
    for (attempt, pod) in service.pods().await?.iter().enumerate() {
        assert_eq!(args(&service, pod, "step-s").await?.last(), Some(&attempt.to_string()));
    }
    service.stop().await
}

#[tokio::test]
async fn scenario_8_a_step_that_may_fail_lets_the_next_one_see_its_code() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    service.kubelet.play(
        Pods::any(),
        PodScript::new()
            .container("step-may-fail", Container::succeeds().message(&note("ExitCode", "3")))
            .one_after_another(),
    );
    let spec = json!({"taskSpec": {"steps": [
        with(step("x"), &json!({"name": "may-fail", "onError": "continue"})),
        with(step("cat"), &json!({"name": "reads", "args": ["$(steps.step-may-fail.exitCode.path)"]})),
    ]}});
    service.run_task("continues", &spec).await?;
    let ended = service.end_of_task("continues").await?;
    assert_eq!(of_task_run(&ended), says("True", "Succeeded"));
    let failed = step_of(&ended, "may-fail");
    assert_eq!((exit_code(failed), failed.termination_reason.as_str()), (Some(3), "Continued"));
    assert_eq!(step_of(&ended, "reads").termination_reason, "Completed");
    let told = args(&service, "continues-pod", "step-may-fail").await?.join(" ");
    assert!(told.contains("-on_error continue"), "{told}");
    let path = args(&service, "continues-pod", "step-reads").await?;
    assert_eq!(path.last().map(String::as_str), Some("/tekton/steps/step-may-fail/exitCode"));
    service.stop().await
}

#[tokio::test]
async fn scenario_9_a_step_that_takes_too_long_is_named() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let ends = |reason: &str| Container::exits(1).message(&note("Reason", reason));
    service.kubelet.play(
        Pods::any(),
        PodScript::new()
            .container("step-slow", ends("TimeoutExceeded"))
            .container("step-later", ends("Skipped"))
            .one_after_another(),
    );
    let mut both = steps(&["slow", "later"]);
    both[0]["timeout"] = json!("2s");
    service.run_task("late", &json!({"taskSpec": {"steps": both}})).await?;
    let ended = service.end_of_task("late").await?;
    assert_eq!(of_task_run(&ended), says("False", "StepFailed"));
    assert_eq!(
        message_of(&ended),
        "\"step-slow\" exited because the step exceeded the specified timeout limit"
    );
    assert_eq!(step_of(&ended, "slow").termination_reason, "TimeoutExceeded");
    assert_eq!(step_of(&ended, "later").termination_reason, "Skipped");
    let told = args(&service, "late-pod", "step-slow").await?.join(" ");
    assert!(told.contains("-timeout 2s"), "{told}");
    service.stop().await
}

#[tokio::test]
async fn scenario_10_results_of_many_steps_arrive_and_too_large_ones_fail_theirs() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let names: Vec<String> = (0..20).map(|index| format!("r{index:02}")).collect();
    let value = |name: &str| format!("{name}-{}", "x".repeat(46));
    let mut script = PodScript::new();
    for index in 0..8 {
        // Those that the entrypoint says were changed by this step.
        let own: Vec<_> =
            names.iter().skip(index).step_by(8).map(|name| (name.as_str(), value(name))).collect();
        let own: Vec<_> = own.iter().map(|(name, value)| (*name, value.as_str())).collect();
        script = script.container(&format!("step-s{index}"), Container::succeeds().message(&results(&own)));
    }
    service.kubelet.play(Pods::named("many-pod"), script.one_after_another());
    let step_names: Vec<_> = (0..8).map(|index| format!("s{index}")).collect();
    let step_names: Vec<_> = step_names.iter().map(String::as_str).collect();
    let declared: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
    let spec = json!({"taskSpec": {"steps": steps(&step_names), "results": declared}});
    service.run_task("many", &spec).await?;
    let ended = service.end_of_task("many").await?;
    assert_eq!(of_task_run(&ended), says("True", "Succeeded"));
    let arrived = ended.status.unwrap_or_default().results;
    assert_eq!(arrived.len(), 20);
    assert!(arrived.iter().all(|result| result.value == value(&result.name).into()), "{arrived:?}");

    // What the entrypoint leaves of a step whose results do not fit: no results, and exit code 1.
    service.kubelet.play(
        Pods::named("large-pod"),
        PodScript::new()
            .container("step-big", Container::exits(1).message("[]"))
            .container("step-next", Container::exits(1).message(&note("Reason", "Skipped")))
            .one_after_another(),
    );
    let spec = json!({"taskSpec": {"steps": steps(&["big", "next"]), "results": [{"name": "r"}]}});
    service.run_task("large", &spec).await?;
    let ended = service.end_of_task("large").await?;
    assert_eq!(of_task_run(&ended), says("False", "StepFailed"));
    assert_eq!(message_of(&ended), "\"step-big\" exited with code 1");
    service.stop().await
}

/// What the entrypoint makes of them is in its own tests: `entrypoint/tests/process/credentials.rs`.
#[tokio::test]
async fn scenario_15_secrets_of_the_account_reach_the_entrypoint() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let login = |key: &str| json!({key: "https://host.example"});
    let docker = json!({".dockerconfigjson": r#"{"auths":{}}"#});
    let secrets = [
        ("git", "basic-auth", login("tekton.dev/git-0"), json!({"username": "u", "password": "p"})),
        ("key", "ssh-auth", json!({"tekton.dev/git-0": "host.example"}), json!({"ssh-privatekey": "k"})),
        ("one", "dockerconfigjson", json!({}), docker.clone()),
        ("two", "dockerconfigjson", json!({}), docker),
    ];
    for (name, kind, annotations, data) in &secrets {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "annotations": annotations},
            "type": format!("kubernetes.io/{kind}"), "stringData": data,
        });
        service.tenant.apply_yaml(&secret.to_string()).await?;
    }
    let named: Vec<_> = secrets.iter().map(|(name, ..)| json!({"name": name})).collect();
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "builder"}, "secrets": named,
    });
    service.tenant.apply_yaml(&account.to_string()).await?;
    service
        .run_task("knows", &json!({"serviceAccountName": "builder", "taskSpec": {"steps": [step("x")]}}))
        .await?;
    service.end_of_task("knows").await?;
    let told = args(&service, "knows-pod", "step-s").await?;
    for flag in [
        "-basic-git=git=https://host.example",
        "-ssh-git=key=host.example",
        "-docker-config=one",
        "-docker-config=two",
    ] {
        assert!(told.iter().any(|arg| arg == flag), "{flag} in {told:?}");
    }
    let pod = service.api::<Pod>().get("knows-pod").await?.spec.unwrap_or_default();
    let mounts = pod.containers[0].volume_mounts.clone().unwrap_or_default();
    let mut places: Vec<_> =
        mounts.iter().filter_map(|mount| mount.mount_path.strip_prefix("/tekton/creds-secrets/")).collect();
    places.sort_unstable();
    assert_eq!(places, ["git", "key", "one", "two"]);
    service.stop().await
}

#[tokio::test]
async fn scenario_17_the_first_step_waits_for_sidecars_and_the_last_ends_them() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let script = |sidecar: Container| {
        PodScript::new()
            .container("step-s", Container::succeeds().after_annotation("tekton.dev/ready"))
            .container("sidecar-db", sidecar)
    };
    service.kubelet.play(Pods::any(), script(Container::never_ends().never_ready()));
    let probe = json!({"exec": {"command": ["check"]}});
    let spec = json!({"taskSpec": {
        "steps": [step("x")],
        "sidecars": [{"name": "db", "image": "images.example/db", "readinessProbe": probe}],
    }});
    service.run_task("beside", &spec).await?;
    let running = service.task_says("beside", "Running").await?;
    assert!(step_of(&running, "s").terminated.is_none());
    let told = args(&service, "beside-pod", "step-s").await?.join(" ");
    assert!(told.starts_with("-wait_file /tekton/downward/ready -wait_file_content"), "{told}");
    service.pass("marker").await?;
    let ready = |pod: &Pod| {
        let annotations = pod.metadata.annotations.as_ref();
        annotations.and_then(|all| all.get("tekton.dev/ready")).is_some_and(|ready| !ready.is_empty())
    };
    assert!(!ready(&service.api::<Pod>().get("beside-pod").await?), "the sidecar is not ready");

    service.kubelet.play(Pods::any(), script(Container::never_ends()));
    let pod = wait_for(&service.api::<Pod>(), "beside-pod", "its end", DEADLINE, |pod: &Pod| {
        pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Succeeded")
    })
    .await?;
    assert!(ready(&pod));
    let sidecar = pod.spec.unwrap_or_default().containers.into_iter().find(|c| c.name == "sidecar-db");
    assert_eq!(sidecar.and_then(|sidecar| sidecar.image).as_deref(), Some("images.example/entrypoint"));
    let ended = wait_for(&service.task_runs(), "beside", "the sidecar's end", DEADLINE, |run: &TaskRun| {
        run.status.as_ref().is_some_and(|status| status.sidecars.iter().all(|s| s.terminated.is_some()))
    })
    .await?;
    assert_eq!(of_task_run(&ended), says("True", "Succeeded"));
    service.stop().await
}

#[tokio::test]
async fn scenario_19_an_image_that_cannot_be_pulled_ends_the_run_at_once() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    service.kubelet.play(Pods::any(), PodScript::new().others(Container::cannot_pull("no such image")));
    service.run_task("none", &json!({"taskSpec": {"steps": [step("x")]}})).await?;
    let ended = service.end_of_task("none").await?;
    assert_eq!(of_task_run(&ended), says("False", "TaskRunImagePullFailed"));
    assert!(message_of(&ended).contains("no such image"), "{}", message_of(&ended));
    assert_eq!(exit_code(step_of(&ended, "s")), Some(1));
    wait_gone(&service.api::<Pod>(), "none-pod", DEADLINE).await?;
    service.stop().await
}

#[tokio::test]
async fn scenario_19_or_when_patience_ends() -> anyhow::Result<()> {
    let patience = ("config-defaults", json!({"default-imagepullbackoff-timeout": "5m"}));
    let mut service = Service::with(&[patience], &[]).await?;
    let none = PodScript::new().others(Container::cannot_pull("no such image"));
    service.kubelet.play(Pods::named("slow-pod"), none);
    service.run_task("slow", &json!({"taskSpec": {"steps": [step("x")]}})).await?;
    let is_backing_off = |pod: &Pod| {
        let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        let mut waiting = containers.filter_map(|container| container.state.as_ref()?.waiting.as_ref());
        waiting.any(|waiting| waiting.reason.as_deref() == Some("ImagePullBackOff"))
    };
    wait_for(&service.api::<Pod>(), "slow-pod", "its back-off", DEADLINE, is_backing_off).await?;
    service.pass("marker").await?;
    let waiting = service.task_says("slow", "PullImageFailed").await?;
    assert_eq!(of_task_run(&waiting).0, "Unknown");
    service.kubelet.play(Pods::named("slow-pod"), PodScript::new());
    assert_eq!(of_task_run(&service.end_of_task("slow").await?), says("True", "Succeeded"));
    service.stop().await
}

/// Nor does a pod that somebody else writes to all the time: what is not read wakes nobody.
#[tokio::test]
async fn scenario_25_a_run_without_timeout_is_looked_at_a_few_times_only() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let script = |step: Container| {
        PodScript::new().container("step-s", step).container("sidecar-chatty", Container::never_ends())
    };
    service.kubelet.play(Pods::any(), script(Container::never_ends()));
    let spec = json!({"timeouts": {"pipeline": "0s"}, "pipelineSpec": {"tasks": [{"name": "a", "taskSpec": {
        "steps": [step("x")], "sidecars": [{"name": "chatty", "image": "images.example/tool"}],
    }}]}});
    service.run_pipeline("endless", &spec).await?;
    let running = service.task_says("endless-a", "Running").await?;
    assert_eq!(running.spec.timeout.as_deref(), Some("0s"));
    for line in 0..50 {
        let talk = json!({"metadata": {"annotations": {"said": format!("line {line}")}}});
        service.merge::<Pod>("endless-a-pod", &talk).await?;
    }
    service.kubelet.play(Pods::any(), script(Container::succeeds()));
    service.end_of("endless").await?;
    let is_over =
        |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Succeeded");
    wait_for(&service.api::<Pod>(), "endless-a-pod", "its end", DEADLINE, is_over).await?;
    for controller in ["taskrun", "pipelinerun"] {
        let reconciles = service.reconciles(controller);
        assert!((1..20).contains(&reconciles), "{controller}: {reconciles}");
    }
    service.stop().await
}
