use std::fmt::Write as _;

use serde_json::{Value, json};

use super::*;
use crate::builders::{self, CREATED};
use crate::kubelet::Container;

/// A pod with `spec`, in JSON.
fn pod(spec: &Value) -> Pod {
    let metadata = builders::metadata("a", "pod");
    builders::stored(Pod { metadata, spec: serde_json::from_value(spec.clone()).unwrap(), ..Pod::default() })
}

/// Containers of the image `none`, never restarted.
fn with_containers(names: &[&str]) -> Pod {
    let containers: Vec<Value> = names.iter().map(|name| json!({"name": name, "image": "none"})).collect();
    pod(&json!({"restartPolicy": "Never", "containers": containers}))
}

/// Plays until nothing comes next. Returns each state but what is the same in all: `<phase> <container>=<state> …`.
fn play(pod: &mut Pod, script: &PodScript) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(write) = next(pod, script, CREATED) {
        seen.push(match write {
            Write::Bind => {
                pod.spec.as_mut().unwrap().node_name = Some("node".to_owned());
                "bound".to_owned()
            }
            Write::Status(status) => {
                pod.status = Some(*status);
                state(pod)
            }
            Write::Delete => {
                pod.metadata.deletion_timestamp = Some(Time(CREATED));
                pod.metadata.deletion_grace_period_seconds = Some(30);
                "deleted".to_owned()
            }
            Write::Remove => {
                seen.push("removed".to_owned());
                return seen;
            }
        });
        assert!(seen.len() < 30, "no end of it: {seen:#?}");
    }
    seen
}

/// The phase and the seen of all containers, in the order of the status.
fn state(pod: &Pod) -> String {
    let status = pod.status.as_ref().unwrap();
    let mut text = status.phase.clone().unwrap_or_default();
    for container in status.init_container_statuses.iter().chain(&status.container_statuses).flatten() {
        let state = container.state.as_ref().unwrap();
        let state = match (&state.waiting, &state.running, &state.terminated) {
            (Some(waiting), None, None) => waiting.reason.clone().unwrap(),
            (None, Some(_), None) if container.ready => "ready".to_owned(),
            (None, Some(_), None) => "running".to_owned(),
            (None, None, Some(end)) => format!("{}({})", end.reason.as_ref().unwrap(), end.exit_code),
            other => panic!("not one state: {other:?}"),
        };
        _ = write!(text, " {}={state}", container.name);
    }
    text
}

fn condition<'a>(pod: &'a Pod, type_: &str) -> Option<(&'a str, Option<&'a str>)> {
    let conditions = pod.status.as_ref()?.conditions.as_deref()?;
    let found = conditions.iter().find(|condition| condition.type_ == type_)?;
    Some((&found.status, found.reason.as_deref()))
}

fn container<'a>(pod: &'a Pod, name: &str) -> &'a ContainerStatus {
    let all = pod.status.as_ref().unwrap().container_statuses.as_deref().unwrap();
    all.iter().find(|status| status.name == name).unwrap()
}

#[test]
fn succeeds_at_once_by_default() {
    let mut pod = with_containers(&["b", "a"]);
    let seen = play(&mut pod, &PodScript::new());
    assert_eq!(
        seen,
        [
            "bound",
            "Pending a=ContainerCreating b=ContainerCreating",
            "Running a=ready b=ready",
            "Succeeded a=Completed(0) b=Completed(0)",
        ]
    );
    assert_eq!(condition(&pod, "Initialized"), Some(("True", Some("PodCompleted"))));
    assert_eq!(condition(&pod, "Ready"), Some(("False", Some("PodCompleted"))));
    let status = container(&pod, "a");
    assert!(status.image_id.starts_with("none@sha256:"), "{status:?}");
    let end = status.state.as_ref().unwrap().terminated.as_ref().unwrap();
    assert_eq!((&end.started_at, &end.finished_at), (&Some(Time(CREATED)), &Some(Time(CREATED))));
    assert_eq!((&end.message, &end.container_id), (&None, &status.container_id));
}

#[test]
fn containers_end_as_scripted_and_in_their_turns() {
    let mut pod = with_containers(&["a", "b", "c"]);
    let script = PodScript::new()
        .container("a", Container::is_oom_killed().turn(2))
        .container("b", Container::exits(3).message("broken"));
    let seen = play(&mut pod, &script);
    assert_eq!(
        seen[3..],
        ["Running a=ready b=Error(3) c=Completed(0)", "Failed a=OOMKilled(137) b=Error(3) c=Completed(0)",]
    );
    let end = container(&pod, "b").state.clone().unwrap().terminated.unwrap();
    assert_eq!(end.message.as_deref(), Some("broken"));
    assert_eq!(condition(&pod, "Ready"), Some(("False", Some("PodFailed"))));
}

#[test]
fn containers_end_one_after_another_in_the_order_of_the_spec() {
    let mut pod = with_containers(&["z", "a"]);
    let seen = play(&mut pod, &PodScript::new().one_after_another());
    assert_eq!(seen[3..], ["Running a=ready z=Completed(0)", "Succeeded a=Completed(0) z=Completed(0)"]);
}

#[test]
fn a_gate_holds_this_turn_and_later_ones() {
    let mut pod = with_containers(&["a", "b"]);
    let gated = Container::succeeds().after_annotation("tekton.dev/ready");
    let script = PodScript::new().container("a", gated).one_after_another();
    assert_eq!(play(&mut pod, &script).last().unwrap(), "Running a=ready b=ready");
    pod.metadata.annotations = Some([("tekton.dev/ready".to_owned(), String::new())].into());
    assert_eq!(play(&mut pod, &script), [""; 0]);
    pod.metadata.annotations = Some([("tekton.dev/ready".to_owned(), "READY".to_owned())].into());
    assert_eq!(play(&mut pod, &script).len(), 2);
}

#[test]
fn init_containers_come_first_and_one_by_one() {
    let spec = json!({
        "restartPolicy": "Never",
        "initContainers": [{"name": "y"}, {"name": "x"}],
        "containers": [{"name": "a"}],
    });
    let mut pod = pod(&spec);
    let seen = play(&mut pod, &PodScript::new());
    assert_eq!(
        seen[1..],
        [
            "Pending y=PodInitializing x=PodInitializing a=PodInitializing",
            "Pending y=ready x=PodInitializing a=PodInitializing",
            "Pending y=Completed(0) x=PodInitializing a=PodInitializing",
            "Pending y=Completed(0) x=ready a=PodInitializing",
            "Pending y=Completed(0) x=Completed(0) a=PodInitializing",
            "Running y=Completed(0) x=Completed(0) a=ready",
            "Succeeded y=Completed(0) x=Completed(0) a=Completed(0)",
        ]
    );
}

#[test]
fn an_init_container_that_fails_fails_the_pod() {
    let spec = json!({
        "restartPolicy": "Never",
        "initContainers": [{"name": "x"}],
        "containers": [{"name": "a"}],
    });
    let mut pod = pod(&spec);
    let seen = play(&mut pod, &PodScript::new().container("x", Container::exits(1)));
    assert_eq!(seen.last().unwrap(), "Failed x=Error(1) a=PodInitializing");
    assert_eq!(condition(&pod, "Initialized"), Some(("False", Some("ContainersNotInitialized"))));
}

#[test]
fn native_sidecars_run_beside_the_others_and_end_last() {
    let spec = json!({
        "restartPolicy": "Never",
        "initContainers": [{"name": "proxy", "restartPolicy": "Always"}, {"name": "x"}],
        "containers": [{"name": "a"}],
    });
    let seen = play(&mut pod(&spec), &PodScript::new());
    assert_eq!(
        seen[2..],
        [
            "Pending proxy=ready x=PodInitializing a=PodInitializing",
            "Pending proxy=ready x=ready a=PodInitializing",
            "Pending proxy=ready x=Completed(0) a=PodInitializing",
            "Running proxy=ready x=Completed(0) a=ready",
            "Running proxy=ready x=Completed(0) a=Completed(0)",
            "Succeeded proxy=Completed(0) x=Completed(0) a=Completed(0)",
        ]
    );
}

#[test]
fn another_image_ends_a_container_that_runs() {
    let mut pod = with_containers(&["sidecar", "step"]);
    let script = PodScript::new().container("sidecar", Container::never_ends());
    assert_eq!(play(&mut pod, &script).last().unwrap(), "Running sidecar=ready step=Completed(0)");
    pod.spec.as_mut().unwrap().containers[0].image = Some("nop".to_owned());
    let seen = play(&mut pod, &script);
    assert_eq!(
        seen,
        ["Running sidecar=ready step=Completed(0)", "Succeeded sidecar=Completed(0) step=Completed(0)",]
    );
    let sidecar = container(&pod, "sidecar");
    assert_eq!((sidecar.restart_count, sidecar.image.as_str()), (1, "nop"));
    assert_eq!(sidecar.last_state.clone().unwrap().terminated.unwrap().exit_code, SIGTERM);
}

#[test]
fn restarts_as_the_pod_wants_it() {
    let mut pod = pod(&json!({"restartPolicy": "OnFailure", "containers": [{"name": "a"}]}));
    let script = PodScript::new().container("a", Container::exits(1).then_exits(0));
    let seen = play(&mut pod, &script);
    assert_eq!(
        seen[3..],
        ["Running a=Error(1)", "Running a=CrashLoopBackOff", "Running a=ready", "Succeeded a=Completed(0)"]
    );
    assert_eq!(container(&pod, "a").restart_count, 1);
}

#[test]
fn images_that_cannot_be_pulled_are_waited_for() {
    let mut pod = with_containers(&["a", "b"]);
    let script = PodScript::new().container("a", Container::cannot_pull("not found"));
    let seen = play(&mut pod, &script);
    assert_eq!(
        seen[2..],
        [
            "Pending a=ErrImagePull b=ready",
            "Pending a=ImagePullBackOff b=ready",
            "Pending a=ImagePullBackOff b=Completed(0)",
        ]
    );
    let message = container(&pod, "a").state.clone().unwrap().waiting.unwrap().message.unwrap();
    assert_eq!(message, "Back-off pulling image \"none\": ErrImagePull: not found");
    assert_eq!(play(&mut pod, &PodScript::new()).last().unwrap(), "Succeeded a=Completed(0) b=Completed(0)");
}

#[test]
fn waits_for_any_other_reason() {
    let mut pod = with_containers(&["a"]);
    let script = PodScript::new().others(Container::waits("CreateContainerConfigError", "no Secret x"));
    assert_eq!(play(&mut pod, &script).last().unwrap(), "Pending a=CreateContainerConfigError");
}

#[test]
fn unschedulable_pods_wait_for_another_script() {
    let mut pod = with_containers(&["a"]);
    assert_eq!(play(&mut pod, &PodScript::unschedulable("Insufficient cpu")).len(), 1);
    assert_eq!(condition(&pod, "PodScheduled"), Some(("False", Some("Unschedulable"))));
    assert_eq!(play(&mut pod, &PodScript::new()).last().unwrap(), "Succeeded a=Completed(0)");
}

#[test]
fn evicts() {
    let mut pod = with_containers(&["a"]);
    let seen = play(&mut pod, &PodScript::evicted("low on memory"));
    assert_eq!(seen.last().unwrap(), "Failed a=Error(137)");
    let status = pod.status.clone().unwrap();
    assert_eq!(
        (status.reason.as_deref(), status.message.as_deref()),
        (Some("Evicted"), Some("low on memory"))
    );
    assert_eq!(condition(&pod, "DisruptionTarget"), Some(("True", Some("TerminationByKubelet"))));
}

#[test]
fn a_lost_node_answers_no_deletion() {
    let mut pod = with_containers(&["a"]);
    let seen = play(&mut pod, &PodScript::node_lost());
    assert_eq!(seen[2..], ["Running a=ready", "Running a=ready", "deleted"]);
    assert_eq!(condition(&pod, "Ready"), Some(("False", None)));
    // The node is back.
    assert_eq!(play(&mut pod, &PodScript::new()), ["Failed a=Error(143)", "removed"]);
}

#[test]
fn stops_what_is_being_deleted() {
    let mut pod = with_containers(&["a"]);
    let script = PodScript::new().others(Container::never_ends());
    play(&mut pod, &script);
    pod.metadata.deletion_timestamp = Some(Time(CREATED));
    pod.metadata.deletion_grace_period_seconds = Some(30);
    assert_eq!(play(&mut pod, &script), ["Failed a=Error(143)", "removed"]);
    // It stays because of a finalizer.
    pod.metadata.deletion_grace_period_seconds = Some(0);
    assert_eq!(play(&mut pod, &script), [""; 0]);
}

#[test]
fn unready_containers_make_the_pod_unready() {
    let mut pod = with_containers(&["a"]);
    let script = |container: Container| PodScript::new().others(container);
    play(&mut pod, &script(Container::never_ends().never_ready()));
    assert_eq!(condition(&pod, "Ready"), Some(("False", Some("ContainersNotReady"))));
    play(&mut pod, &script(Container::never_ends()));
    assert_eq!(condition(&pod, "Ready"), Some(("True", None)));
}

#[test]
fn termination_messages_are_cut_as_a_kubelet_cuts_them() {
    let kept = |containers: &[&str]| {
        let mut pod = with_containers(containers);
        play(&mut pod, &PodScript::new().others(Container::succeeds().message(&"x".repeat(10_000))));
        let end = container(&pod, "a").state.clone().unwrap().terminated.unwrap();
        end.message.unwrap().len()
    };
    assert_eq!((kept(&["a"]), kept(&["a", "b", "c"]), kept(&["a", "b", "c", "d"])), (4096, 4096, 3072));
}
