//! What the state of a pod makes of its TaskRun (section 2.5).

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateWaiting, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use pipelines_engine_api::reasons::{TaskRunReason as Reason, TerminationReason};
use pipelines_engine_api::task_run::{SidecarState, StepState};
use pipelines_engine_api::{TaskRunResult, TaskSpec};

use super::result_log::Logged;
use super::termination::{self, Message};
use crate::condition::Verdict;

/// Begins the names of the containers of steps.
pub const STEP: &str = "step-";

/// Begins the names of the containers of sidecars.
pub const SIDECAR: &str = "sidecar-";

/// What a pod says about its run.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub verdict: Verdict,
    pub reason: Reason,
    pub message: String,
    pub steps: Vec<StepState>,
    pub sidecars: Vec<SidecarState>,
    /// Only of a run that is done.
    pub results: Vec<TaskRunResult>,
    /// When the last step ended, of a run that is done.
    pub completion: Option<Timestamp>,
}

impl Report {
    pub fn is_done(&self) -> bool {
        self.verdict != Verdict::Unknown
    }

    /// Whether containers are being made, and nothing is known to stand in their way.
    pub fn is_starting(&self) -> bool {
        let is_made = |waiting: Option<&ContainerStateWaiting>| {
            let reason = waiting.and_then(|waiting| waiting.reason.as_deref());
            reason.is_some_and(|reason| STARTS.contains(&reason))
        };
        self.verdict == Verdict::Unknown
            && self.reason == Reason::Pending
            && self.steps.iter().all(|step| is_made(step.waiting.as_ref()))
            && self.sidecars.iter().all(|sidecar| is_made(sidecar.waiting.as_ref()))
    }
}

/// Reads a pod. `ignores_failure` says that the PipelineRun goes on if this run fails.
pub fn report(pod: &Pod, spec: &TaskSpec, ignores_failure: bool) -> Report {
    report_with(pod, spec, ignores_failure, &Logged::default())
}

/// As [`report`], with results that do not come by termination messages.
pub fn report_with(pod: &Pod, spec: &TaskSpec, ignores_failure: bool, logged: &Logged) -> Report {
    let statuses = in_order(pod);
    let of_steps: Vec<_> = statuses.iter().copied().filter(|status| status.name.starts_with(STEP)).collect();
    let read: Vec<_> = of_steps.iter().map(|status| Step::read(status, spec, logged)).collect();
    let steps = read.iter().map(|step| step.state.clone()).collect();
    let sidecars = statuses
        .iter()
        .filter(|status| status.name.starts_with(SIDECAR))
        .map(|status| sidecar(status))
        .collect();

    let (verdict, reason, message) = outcome(pod, &statuses, &read);
    let mut report =
        Report { verdict, reason, message, steps, sidecars, results: Vec::new(), completion: None };
    if report.is_done() {
        report.completion = read.iter().filter_map(Step::finished).max();
        match results(&read, spec, logged) {
            Ok(results) => report.results = results,
            Err(message) if report.verdict == Verdict::True => {
                report.verdict = Verdict::False;
                report.reason = Reason::TaskRunValidationFailed;
                report.message = message;
            }
            Err(_) => {}
        }
    }
    if report.verdict == Verdict::False && ignores_failure {
        report.reason = Reason::FailureIgnored;
    }
    report
}

/// Statuses of containers in the order of the pod's specification, which the kubelet does not keep.
fn in_order(pod: &Pod) -> Vec<&ContainerStatus> {
    let Some(status) = &pod.status else { return Vec::new() };
    let statuses = status.container_statuses.as_deref().unwrap_or_default();
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers.filter_map(|container| statuses.iter().find(|status| status.name == container.name)).collect()
}

/// A step as its container shows it.
struct Step {
    state: StepState,
    message: Message,
    /// Its exit code as the kubelet has it.
    exit_code: Option<i32>,
    was_out_of_memory: bool,
}

impl Step {
    fn read(status: &ContainerStatus, spec: &TaskSpec, logged: &Logged) -> Self {
        let absent = ContainerState::default();
        let state = status.state.as_ref().unwrap_or(&absent);
        let mut step = StepState {
            name: status.name.strip_prefix(STEP).unwrap_or(&status.name).to_owned(),
            container: status.name.clone(),
            image_id: status.image_id.clone(),
            waiting: state.waiting.clone(),
            running: state.running.clone(),
            terminated: state.terminated.clone(),
            ..StepState::default()
        };
        let Some(terminated) = &mut step.terminated else {
            return Self {
                state: step,
                message: Message::default(),
                exit_code: None,
                was_out_of_memory: false,
            };
        };
        let was_out_of_memory = terminated.reason.as_deref() == Some("OOMKilled");
        let exit_code = terminated.exit_code;
        let message = terminated.message.as_deref().and_then(Message::parse);
        if let Some(message) = &message {
            if let Some(started) = message.started_at {
                terminated.started_at = Some(Time(started));
            }
            if let Some(code) = message.exit_code {
                terminated.exit_code = code;
            }
            terminated.message = Some(message.shown.clone()).filter(|shown| !shown.is_empty());
        }
        let mut message = message.unwrap_or_default();
        message.step_results.extend(logged.step_results.get(&status.name).into_iter().flatten().cloned());
        step.termination_reason = message.reason.clone().unwrap_or_else(|| {
            if message.exit_code.is_some() {
                TerminationReason::Continued.to_string()
            } else {
                terminated.reason.clone().unwrap_or_default()
            }
        });
        step.results = step_results(&step.name, &message, spec);
        Self { state: step, message, exit_code: Some(exit_code), was_out_of_memory }
    }

    fn has_failed(&self) -> bool {
        self.was_out_of_memory || self.exit_code.is_some_and(|code| code != 0)
    }

    fn finished(&self) -> Option<Timestamp> {
        Some(self.state.terminated.as_ref()?.finished_at.as_ref()?.0)
    }
}

/// What a step gave out, by its declarations. A value that does not fit is left out: the Task's own results tell.
fn step_results(name: &str, message: &Message, spec: &TaskSpec) -> Vec<TaskRunResult> {
    let Some(step) = spec.steps.iter().find(|step| step.name == name) else { return Vec::new() };
    let last: BTreeMap<_, _> =
        message.step_results.iter().map(|(key, value)| (key.as_str(), value)).collect();
    step.results
        .iter()
        .filter_map(|declared| {
            let text = last.get(declared.name.as_str())?;
            let keys = declared.properties.keys().cloned();
            termination::result(&declared.name, text, declared.effective_type(), keys).ok()
        })
        .collect()
}

/// What the steps gave out, by the Task's declarations: of each name the last value. What nobody declared is left out.
fn results(steps: &[Step], spec: &TaskSpec, logged: &Logged) -> Result<Vec<TaskRunResult>, String> {
    let mut last: BTreeMap<&str, &str> = BTreeMap::new();
    let of_steps = steps.iter().flat_map(|step| &step.message.task_results);
    for (name, value) in of_steps.chain(&logged.task_results) {
        last.insert(name, value);
    }
    let mut results = Vec::new();
    let mut wrong = Vec::new();
    for declared in &spec.results {
        if let Some(reference) = declared.value.as_ref().and_then(|value| value.as_str()) {
            results.extend(
                of_step(reference, steps).map(|found| TaskRunResult { name: declared.name.clone(), ..found }),
            );
            continue;
        }
        let Some(text) = last.get(declared.name.as_str()) else { continue };
        let keys = declared.properties.keys().cloned();
        match termination::result(&declared.name, text, declared.effective_type(), keys) {
            Ok(result) => results.push(result),
            Err(mismatch) => wrong.push(format!("{:?} {}", mismatch.name, mismatch.why)),
        }
    }
    if wrong.is_empty() {
        return Ok(results);
    }
    Err(format!(
        "Provided results don't match declared results; may be invalid JSON or missing result declaration: {}",
        wrong.join("; ")
    ))
}

/// The result of a step that `$(steps.<step>.results.<name>)` refers to.
fn of_step(reference: &str, steps: &[Step]) -> Option<TaskRunResult> {
    let inner = reference.strip_prefix("$(steps.")?.strip_suffix(')')?;
    let (step, result) = inner.split_once(".results.")?;
    let result = result.trim_end_matches("[*]");
    let found = steps.iter().find(|candidate| candidate.state.name == step)?;
    found.state.results.iter().find(|candidate| candidate.name == result).cloned()
}

fn sidecar(status: &ContainerStatus) -> SidecarState {
    let absent = ContainerState::default();
    let state = status.state.as_ref().unwrap_or(&absent);
    SidecarState {
        name: status.name.strip_prefix(SIDECAR).unwrap_or(&status.name).to_owned(),
        container: status.name.clone(),
        image_id: status.image_id.clone(),
        waiting: state.waiting.clone(),
        running: state.running.clone(),
        terminated: state.terminated.clone(),
    }
}

fn outcome(pod: &Pod, statuses: &[&ContainerStatus], steps: &[Step]) -> (Verdict, Reason, String) {
    let status = pod.status.clone().unwrap_or_default();
    let phase = status.phase.as_deref().unwrap_or("Pending");
    let expected =
        pod.spec.iter().flat_map(|spec| &spec.containers).filter(|c| c.name.starts_with(STEP)).count();
    let all_ended =
        expected > 0 && steps.len() == expected && steps.iter().all(|step| step.exit_code.is_some());
    if phase == "Failed" || (all_ended && steps.iter().any(Step::has_failed)) {
        let (reason, message) = failure(pod, statuses, steps);
        return (Verdict::False, reason, message);
    }
    // A kubelet tells of the ends of short steps while it still calls their pod Pending, and a second later of the pod's.
    if phase == "Succeeded" || all_ended {
        return (Verdict::True, Reason::Succeeded, "All Steps have completed executing".to_owned());
    }
    if phase == "Pending" {
        let (verdict, reason, message) = pending(pod, statuses);
        return (verdict, reason, message);
    }
    (Verdict::Unknown, Reason::Running, "Not all Steps in the Task have finished executing".to_owned())
}

/// Evicted before out of memory before sidecars before steps (specification of the API, section 8.1).
fn failure(pod: &Pod, statuses: &[&ContainerStatus], steps: &[Step]) -> (Reason, String) {
    let status = pod.status.clone().unwrap_or_default();
    let pod_message = status.message.clone().unwrap_or_default();
    if status.reason.as_deref() == Some("Evicted") {
        return (Reason::PodEvicted, pod_message);
    }
    let ended = |status: &ContainerStatus| status.state.as_ref()?.terminated.clone();
    for init in status.init_container_statuses.iter().flatten() {
        let Some(terminated) = ended(init).filter(|terminated| terminated.exit_code != 0) else { continue };
        let reason = if terminated.reason.as_deref() == Some("OOMKilled") {
            Reason::InitContainerOom
        } else {
            Reason::InitContainerFailed
        };
        let message =
            format!("init container failed, {:?} exited with code {}", init.name, terminated.exit_code);
        return (reason, message);
    }
    if let Some(step) = steps.iter().find(|step| step.was_out_of_memory) {
        return (Reason::StepOom, step_failure(step));
    }
    let step =
        steps.iter().find(|step| step.has_failed() && step.message.reason.as_deref() != Some("Skipped"));
    for sidecar in statuses.iter().filter(|status| status.name.starts_with(SIDECAR)) {
        let Some(terminated) = ended(sidecar).filter(|terminated| terminated.exit_code != 0) else {
            continue;
        };
        if terminated.reason.as_deref() == Some("OOMKilled") {
            return (Reason::SidecarOom, format!("{:?} was out of memory (OOMKilled)", sidecar.name));
        }
        if step.is_none() {
            let message = format!("{:?} exited with code {}", sidecar.name, terminated.exit_code);
            return (Reason::SidecarFailed, message);
        }
    }
    if let Some(step) = step {
        return (Reason::StepFailed, step_failure(step));
    }
    if pod_message.is_empty() {
        (Reason::Failed, "build failed for unspecified reasons.".to_owned())
    } else {
        (Reason::Failed, pod_message)
    }
}

fn step_failure(step: &Step) -> String {
    let container = &step.state.container;
    if step.message.reason.as_deref() == Some("TimeoutExceeded") {
        return format!("{container:?} exited because the step exceeded the specified timeout limit");
    }
    let code = step.exit_code.unwrap_or_default();
    if step.was_out_of_memory {
        return format!("{container:?} exited with code {code}: OOMKilled");
    }
    format!("{container:?} exited with code {code}")
}

/// Why containers wait that are being made.
const STARTS: [&str; 2] = ["PodInitializing", "ContainerCreating"];

/// Why images are not there, of containers that wait.
const PULL_FAILURES: [&str; 6] = [
    "ImagePullBackOff",
    "ImageInspectError",
    "ErrImagePull",
    "ErrImageNeverPull",
    "RegistryUnavailable",
    "InvalidImageName",
];

fn pending(pod: &Pod, statuses: &[&ContainerStatus]) -> (Verdict, Reason, String) {
    let status = pod.status.clone().unwrap_or_default();
    let unscheduled = status.conditions.iter().flatten().find(|condition| {
        condition.type_ == "PodScheduled" && condition.reason.as_deref() == Some("Unschedulable")
    });
    if let Some(message) = unscheduled.and_then(|condition| condition.message.as_deref())
        && message.contains("Insufficient")
    {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        return (
            Verdict::Unknown,
            Reason::ExceededNodeResources,
            format!("TaskRun Pod {name:?} exceeded available resources: {message}"),
        );
    }
    let init = status.init_container_statuses.iter().flatten();
    let waiting = init.chain(statuses.iter().copied()).find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref().filter(|reason| !STARTS.contains(reason))?;
        Some((container.name.as_str(), reason, waiting.message.as_deref().unwrap_or_default()))
    });
    if let Some((container, reason, message)) = waiting {
        let text = format!("build step {container:?} is pending with reason {message:?}");
        // A path that is not there yet is made by an earlier container or another pod.
        if reason == "CreateContainerConfigError" && !message.contains("subPath") {
            return (
                Verdict::False,
                Reason::CreateContainerConfigError,
                format!("Failed to create pod due to config error: {text}"),
            );
        }
        if PULL_FAILURES.contains(&reason) {
            return (Verdict::Unknown, Reason::PullImageFailed, text);
        }
        return (Verdict::Unknown, Reason::Pending, text);
    }
    let not_met = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.status != "True" && condition.message.is_some());
    let message = match (not_met, status.message) {
        (Some(condition), _) => format!(
            "pod status {:?}:{:?}; message: {:?}",
            condition.type_,
            condition.status,
            condition.message.as_deref().unwrap_or_default()
        ),
        (None, Some(message)) => message,
        (None, None) => "Pending".to_owned(),
    };
    (Verdict::Unknown, Reason::Pending, message)
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "values are written where they are used")]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn spec(results: Value) -> TaskSpec {
        serde_json::from_value(json!({"steps": [{"name": "a"}, {"name": "b"}], "results": results})).unwrap()
    }

    /// A pod with the steps `a` and `b` and the sidecar `s`; `statuses` as the kubelet has them.
    fn pod(phase: &str, statuses: Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "run-pod"},
            "spec": {"containers": [{"name": "step-a"}, {"name": "step-b"}, {"name": "sidecar-s"}]},
            "status": {"phase": phase, "containerStatuses": statuses},
        }))
        .unwrap()
    }

    fn ended(name: &str, code: i32, reason: &str, message: &str) -> Value {
        json!({"name": name, "image": "i", "imageID": "i@sha256:1", "ready": false, "restartCount": 0, "state": {
            "terminated": {"exitCode": code, "reason": reason, "message": message, "finishedAt": "2024-01-01T00:00:05Z"},
        }})
    }

    fn waiting(name: &str, reason: &str, message: &str) -> Value {
        json!({"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": reason, "message": message}}})
    }

    fn running(name: &str) -> Value {
        json!({"name": name, "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}})
    }

    const NOTE: &str = r#"[{"key":"StartedAt","value":"2024-01-01T00:00:01.000Z","type":3}]"#;

    #[test]
    fn steps_come_in_the_order_of_the_pod() {
        let statuses = json!([
            ended("step-b", 0, "Completed", NOTE),
            running("sidecar-s"),
            ended("step-a", 0, "Completed", NOTE)
        ]);
        let report = report(&pod("Running", statuses), &spec(json!([])), false);
        assert_eq!((report.verdict, report.reason), (Verdict::True, Reason::Succeeded));
        let names: Vec<_> =
            report.steps.iter().map(|step| (&*step.name, &*step.termination_reason)).collect();
        assert_eq!(names, [("a", "Completed"), ("b", "Completed")]);
        let terminated = report.steps[0].terminated.as_ref().unwrap();
        assert_eq!(terminated.started_at.as_ref().unwrap().0.to_string(), "2024-01-01T00:00:01Z");
        assert_eq!(terminated.message, None, "notes are not shown");
        assert!(report.sidecars[0].running.is_some());
        assert_eq!(report.completion.unwrap().to_string(), "2024-01-01T00:00:05Z");
    }

    /// Scenarios 8 and 9.
    #[rstest]
    #[case::exit(
        ended("step-a", 3, "Error", NOTE),
        ended("step-b", 1, "Error", r#"[{"key":"Reason","value":"Skipped","type":3}]"#),
        "StepFailed",
        "\"step-a\" exited with code 3"
    )]
    #[case::timeout(
        ended("step-a", 1, "Error", r#"[{"key":"Reason","value":"TimeoutExceeded","type":3}]"#),
        ended("step-b", 1, "Error", r#"[{"key":"Reason","value":"Skipped","type":3}]"#),
        "StepFailed",
        "\"step-a\" exited because the step exceeded the specified timeout limit"
    )]
    #[case::memory(
        ended("step-a", 137, "OOMKilled", ""),
        ended("step-b", 1, "Error", ""),
        "StepOOM",
        "\"step-a\" exited with code 137: OOMKilled"
    )]
    fn says_which_step_failed(
        #[case] a: Value,
        #[case] b: Value,
        #[case] reason: &str,
        #[case] message: &str,
    ) {
        let report = report(&pod("Failed", json!([a, b])), &spec(json!([])), false);
        assert_eq!((report.verdict, report.reason.to_string().as_str()), (Verdict::False, reason));
        assert_eq!(report.message, message);
    }

    #[test]
    fn a_failure_can_be_continued_or_ignored() {
        let on = r#"[{"key":"ExitCode","value":"3","type":3}]"#;
        let statuses = json!([ended("step-a", 0, "Completed", on), ended("step-b", 0, "Completed", NOTE)]);
        let continued = report(&pod("Succeeded", statuses), &spec(json!([])), false);
        assert_eq!(continued.verdict, Verdict::True);
        assert_eq!(continued.steps[0].termination_reason, "Continued");
        assert_eq!(continued.steps[0].terminated.as_ref().unwrap().exit_code, 3);
        let failed = pod("Failed", json!([ended("step-a", 1, "Error", ""), ended("step-b", 1, "Error", "")]));
        assert_eq!(report(&failed, &spec(json!([])), true).reason, Reason::FailureIgnored);
    }

    #[test]
    fn an_eviction_comes_first() {
        let mut evicted = pod("Failed", json!([ended("step-a", 137, "OOMKilled", "")]));
        let status = evicted.status.as_mut().unwrap();
        status.reason = Some("Evicted".into());
        status.message = Some("The node was low on resource: memory.".into());
        let report = report(&evicted, &spec(json!([])), false);
        assert_eq!(
            (report.reason, &*report.message),
            (Reason::PodEvicted, "The node was low on resource: memory.")
        );
    }

    #[rstest]
    #[case::pull(
        waiting("step-a", "ImagePullBackOff", "no such image"),
        Verdict::Unknown,
        "PullImageFailed",
        "build step \"step-a\" is pending with reason \"no such image\""
    )]
    #[case::config(
        waiting("step-a", "CreateContainerConfigError", "secret \"x\" not found"),
        Verdict::False,
        "CreateContainerConfigError",
        "not found"
    )]
    #[case::sub_path(
        waiting("step-a", "CreateContainerConfigError", "failed to create subPath directory"),
        Verdict::Unknown,
        "Pending",
        "subPath"
    )]
    #[case::creating(waiting("step-a", "ContainerCreating", ""), Verdict::Unknown, "Pending", "Pending")]
    fn says_what_a_pod_waits_for(
        #[case] status: Value,
        #[case] verdict: Verdict,
        #[case] reason: &str,
        #[case] text: &str,
    ) {
        let report = report(&pod("Pending", json!([status])), &spec(json!([])), false);
        assert_eq!((report.verdict, report.reason.to_string().as_str()), (verdict, reason));
        assert!(report.message.contains(text), "{}", report.message);
    }

    #[test]
    fn says_when_no_node_has_room() {
        let mut full = pod("Pending", json!([]));
        full.status.as_mut().unwrap().conditions = serde_json::from_value(json!([
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: Insufficient cpu"},
        ]))
        .unwrap();
        let report = report(&full, &spec(json!([])), false);
        assert_eq!(report.reason, Reason::ExceededNodeResources);
    }

    #[test]
    fn results_are_typed_and_the_last_one_counts() {
        let a = r#"[{"key":"r","value":"old","type":1},{"key":"list","value":"[\"x\"]","type":1},{"key":"none","value":"y","type":1}]"#;
        let b = r#"[{"key":"r","value":"new\n","type":1}]"#;
        let statuses = json!([ended("step-a", 0, "Completed", a), ended("step-b", 0, "Completed", b)]);
        let spec = spec(json!([{"name": "r"}, {"name": "list", "type": "array"}, {"name": "missing"}]));
        let report = report(&pod("Succeeded", statuses), &spec, false);
        let results: Vec<_> =
            report.results.iter().map(|result| (&*result.name, result.value.clone())).collect();
        assert_eq!(results, [("r", "new\n".into()), ("list", ["x"].into())]);
    }

    #[test]
    fn a_result_of_another_type_fails_the_run() {
        let a = r#"[{"key":"list","value":"no list","type":1}]"#;
        let statuses = json!([ended("step-a", 0, "Completed", a), ended("step-b", 0, "Completed", "")]);
        let report =
            report(&pod("Succeeded", statuses), &spec(json!([{"name": "list", "type": "array"}])), false);
        assert_eq!((report.verdict, report.reason), (Verdict::False, Reason::TaskRunValidationFailed));
        assert!(report.message.contains("\"list\" declared as array"), "{}", report.message);
    }

    #[test]
    fn a_pod_without_states_is_pending() {
        let report = report(&Pod::default(), &spec(json!([])), false);
        assert_eq!((report.verdict, report.reason), (Verdict::Unknown, Reason::Pending));
    }
}
