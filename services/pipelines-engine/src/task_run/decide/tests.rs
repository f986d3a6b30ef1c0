#![expect(clippy::needless_pass_by_value, reason = "values are written where they are used")]

use pipelines_engine_api::{PipelineRef, PipelineSpec, StepActionSpec, TaskRef};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

const START: i64 = 1_700_000_000;

/// A world with one Task, `t`.
struct World {
    images: Awaited<Image>,
    place: Place,
    account: Account,
    log: Awaited<String>,
}

impl Catalog for World {
    fn pipeline(&self, _: Asker<'_>, _: &PipelineRef) -> Lookup<PipelineSpec> {
        unreachable!("a TaskRun has no Pipeline")
    }

    fn task(&self, asker: Asker<'_>, reference: &TaskRef) -> Lookup<TaskSpec> {
        match (reference.name.as_str(), reference.resolver.as_str()) {
            ("t", "") => Lookup::Found(Box::new(Found {
                spec: serde_json::from_value(
                    json!({"steps": [{"name": "a", "image": "i", "command": ["x"]}]}),
                )
                .unwrap(),
                name: "t".into(),
                labels: [("from".to_owned(), "t".to_owned())].into(),
                annotations: [("chains.tekton.dev/x".to_owned(), "y".to_owned())].into(),
                source: None,
            })),
            ("", _) => Lookup::Wanted(Box::new(ResolutionRequest::new(asker.name, Default::default()))),
            (name, _) => Lookup::Failed(Failure::NotFound(format!("tasks.tekton.dev {name:?} not found"))),
        }
    }

    fn step_action(&self, _: Asker<'_>, reference: &TaskRef) -> Lookup<StepActionSpec> {
        Lookup::Failed(Failure::NotFound(format!("{:?} not found", reference.name)))
    }
}

impl Surroundings for World {
    fn image(&self, _: &TaskRun, _: &str) -> Awaited<Image> {
        self.images.clone()
    }

    fn account(&self, _: &str, _: &str) -> Awaited<Account> {
        Awaited::Ready(self.account.clone())
    }

    fn limit_ranges(&self, _: &str) -> Vec<LimitRange> {
        Vec::new()
    }

    fn entrypoint(&self, _: &str) -> Awaited<Entrypoint> {
        Awaited::Ready(Entrypoint::ConfigMap { name: "entrypoint".into() })
    }

    fn result_log(&self, _: &TaskRun, _: &Pod) -> Awaited<String> {
        self.log.clone()
    }

    fn place(&self, _: &str, _: &str) -> Place {
        self.place.clone()
    }
}

struct Play {
    run: TaskRun,
    pods: Vec<Pod>,
    config: Config,
    world: World,
    now: Timestamp,
    actions: Vec<Action>,
}

impl Play {
    fn new(spec: Value) -> Self {
        Self {
            run: serde_json::from_value(json!({
                "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
                "metadata": {
                    "name": "run", "namespace": "n", "uid": "u",
                    "creationTimestamp": Timestamp::from_second(START).unwrap().to_string(),
                },
                "spec": spec,
            }))
            .unwrap(),
            pods: Vec::new(),
            config: Config::default(),
            world: World {
                images: Awaited::Later,
                place: Place::Anywhere,
                account: Account::default(),
                log: Awaited::Later,
            },
            now: Timestamp::from_second(START).unwrap(),
            actions: Vec::new(),
        }
    }

    fn inline(spec: Value) -> Self {
        Self::new(json!({"taskSpec": spec}))
    }

    fn observed(&self) -> Observed<'_> {
        Observed {
            run: &self.run,
            pods: self.pods.iter().cloned().map(Arc::new).collect(),
            now: self.now,
            config: &self.config,
            catalog: &self.world,
            surroundings: &self.world,
            release: "v1",
            tools_image: "tools",
        }
    }

    fn decide(&self) -> Decided {
        decide(&self.observed())
    }

    /// Decides and carries it out. What was done, in a word each.
    fn step(&mut self) -> Vec<String> {
        let decided = self.decide();
        self.run.status = Some(decided.status);
        self.actions.clone_from(&decided.actions);
        let mut done = Vec::new();
        for action in decided.actions {
            done.push(match action {
                Action::CreatePod(pod) => {
                    let name = pod.metadata.name.clone().unwrap();
                    self.pods.push(*pod);
                    format!("create {name}")
                }
                Action::DeletePod { name } => {
                    self.pods.retain(|pod| pod.metadata.name.as_ref() != Some(&name));
                    format!("delete {name}")
                }
                Action::CancelPod { name } => format!("cancel {name}"),
                Action::Release { name } => format!("release {name}"),
                Action::StopSidecars { name, containers } => format!("stop {name} {}", containers.join(",")),
                Action::Request(_) => "request".into(),
                Action::Claim(_) => "claim".into(),
                Action::ConfigMap(_) => "config map".into(),
                Action::Warn { reason, .. } => format!("warn {reason}"),
            });
        }
        done
    }

    /// The last pod is in this phase, with these states of its containers.
    fn pod(&mut self, phase: &str, states: Value) {
        let states: Vec<_> = states
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, state)| {
                let ready = state.get("running").is_some();
                json!({"name": name, "image": "i", "imageID": "", "ready": ready, "restartCount": 0, "state": state})
            })
            .collect();
        self.pods.last_mut().unwrap().status =
            serde_json::from_value(json!({"phase": phase, "containerStatuses": states})).unwrap();
    }

    fn ended(&mut self, code: i32) {
        let phase = if code == 0 { "Succeeded" } else { "Failed" };
        self.pod(phase, json!({"step-a": {"terminated": {"exitCode": code, "reason": "X"}}}));
    }

    fn after(&mut self, seconds: i64) {
        self.now = Timestamp::from_second(START + seconds).unwrap();
    }

    fn status(&self) -> &TaskRunStatus {
        self.run.status.as_ref().unwrap()
    }

    fn said(&self) -> (&str, &str, &str) {
        let condition = succeeded(&self.status().conditions).unwrap();
        (&condition.status, &condition.reason, &condition.message)
    }
}

fn one_step() -> Value {
    json!({"steps": [{"name": "a", "image": "i", "command": ["x"]}]})
}

#[test]
fn a_run_becomes_a_pod_and_the_pod_a_result() {
    let mut play = Play::inline(json!({
        "steps": [{"name": "a", "image": "i", "command": ["x"]}], "results": [{"name": "r"}],
    }));
    assert_eq!(play.step(), ["create run-pod"]);
    assert_eq!((play.said().1, &*play.status().pod_name), ("Pending", "run-pod"));
    assert_eq!(play.step(), Vec::<String>::new());
    play.pod("Running", json!({"step-a": {"running": {}}}));
    play.step();
    assert_eq!(play.said(), ("Unknown", "Running", "Not all Steps in the Task have finished executing"));
    let message = r#"[{"key":"r","value":"1","type":1}]"#;
    play.pod(
        "Succeeded",
        json!({"step-a": {"terminated": {"exitCode": 0, "reason": "Completed", "message": message}}}),
    );
    assert_eq!(play.step(), Vec::<String>::new());
    assert_eq!(play.said(), ("True", "Succeeded", "All Steps have completed executing"));
    assert_eq!(play.status().results[0].value, "1".into());
    let again = play.decide();
    assert_eq!((Some(&again.status), &*again.actions), (play.run.status.as_ref(), &[][..]));
}

/// As a kubelet tells of a short step: its end while the pod is Pending, and a second later that of the pod.
#[test]
fn a_run_ends_with_its_steps_whatever_its_pod_is_called() {
    let mut play = Play::inline(json!({"steps": [
        {"name": "a", "image": "i", "command": ["x"]}, {"name": "b", "image": "i", "command": ["x"]},
    ]}));
    play.step();
    let ended = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
    play.pod("Pending", json!({"step-a": ended}));
    play.step();
    assert_eq!(play.said().0, "Unknown", "a step has not begun");
    play.pod("Pending", json!({"step-a": ended, "step-b": ended}));
    play.step();
    assert_eq!(play.said(), ("True", "Succeeded", "All Steps have completed executing"));
}

#[test]
fn what_every_pod_does_at_first_is_not_written() {
    let mut play = Play::inline(one_step());
    play.step();
    play.pods[0].metadata.creation_timestamp = Some(Time(play.now));
    let written = play.status().clone();
    play.pod("Pending", json!({"step-a": {"waiting": {"reason": "ContainerCreating"}}}));
    assert_eq!(play.step(), Vec::<String>::new());
    assert_eq!(*play.status(), written);
    assert_eq!(play.decide().wake, Some(Timestamp::from_second(START + 3).unwrap()));
    let mut hindered = Play::inline(one_step());
    hindered.step();
    hindered.pods[0].metadata.creation_timestamp = Some(Time(play.now));
    hindered.pod("Pending", json!({"step-a": {"waiting": {"reason": "ErrImagePull", "message": "no"}}}));
    hindered.step();
    assert_eq!(hindered.said().1, "PullImageFailed", "what is in the way is said at once");
    play.after(3);
    play.step();
    assert!(play.status().steps[0].waiting.is_some(), "when it takes longer, it is said");
}

/// Scenario 4.
#[test]
fn each_attempt_has_a_pod_of_its_own() {
    let mut play = Play::new(json!({"retries": 2, "taskSpec": {"steps": [
        {"name": "a", "image": "i", "command": ["x"], "args": ["$(context.task.retry-count)"]},
    ]}}));
    for (attempt, name) in ["run-pod", "run-pod-retry1", "run-pod-retry2"].iter().enumerate() {
        assert_eq!(play.step(), [format!("create {name}")]);
        let args = play.pods.last().unwrap().spec.as_ref().unwrap().containers[0].args.clone().unwrap();
        assert_eq!(args.last().unwrap(), &attempt.to_string());
        play.ended(1);
        assert_eq!(play.step(), Vec::<String>::new());
        if attempt < 2 {
            assert_eq!((play.said().0, play.said().1), ("Unknown", "ToBeRetried"));
            assert_eq!(play.status().start_time, None);
        }
    }
    assert_eq!((play.said().0, play.said().1), ("False", "StepFailed"));
    let pods: Vec<_> = play.status().retries_status.iter().map(|attempt| &*attempt.pod_name).collect();
    assert_eq!(pods, ["run-pod", "run-pod-retry1"]);
}

#[test]
fn a_cancelled_run_is_not_retried_and_its_pod_goes() {
    let mut play = Play::new(json!({"retries": 1, "taskSpec": one_step()}));
    play.step();
    play.pod("Running", json!({"step-a": {"running": {}}}));
    play.step();
    play.run.spec.status = CANCELLED.into();
    play.run.spec.status_message = "because".into();
    assert_eq!(play.step(), ["delete run-pod"]);
    assert_eq!(play.said(), ("False", "TaskRunCancelled", "TaskRun \"run\" was cancelled. because"));
    let step = &play.status().steps[0];
    assert_eq!(
        (&*step.termination_reason, step.terminated.as_ref().unwrap().exit_code),
        ("TaskRunCancelled", 1)
    );
}

#[test]
fn a_cancelled_pod_can_be_kept() {
    let mut play = Play::inline(one_step());
    play.config.features.keep_pod_on_cancel = true;
    play.step();
    play.run.spec.status = CANCELLED.into();
    assert_eq!(play.step(), ["cancel run-pod"]);
}

#[test]
fn a_run_that_takes_too_long_ends() {
    let mut play = Play::new(json!({"timeout": "10s", "taskSpec": one_step()}));
    play.step();
    assert_eq!(play.decide().wake, Some(Timestamp::from_second(START + 10).unwrap()));
    play.after(10);
    assert_eq!(play.step(), ["delete run-pod"]);
    assert_eq!(play.said(), ("False", "TaskRunTimeout", "TaskRun \"run\" failed to finish within \"10s\""));
}

#[test]
fn what_ended_in_time_counts_however_late_it_is_seen() {
    let mut play = Play::new(json!({"timeout": "10s", "taskSpec": one_step()}));
    play.step();
    play.ended(0);
    play.after(60);
    play.step();
    assert_eq!(play.said().1, "Succeeded");
}

/// Scenario 17.
#[test]
fn sidecars_are_awaited_and_stopped() {
    let mut play = Play::inline(json!({
        "steps": [{"name": "a", "image": "i", "command": ["x"]}],
        "sidecars": [{"name": "s", "image": "j"}],
    }));
    play.step();
    play.pod("Running", json!({"step-a": {"running": {}}, "sidecar-s": {"waiting": {}}}));
    assert_eq!(play.step(), Vec::<String>::new());
    play.pod("Running", json!({"step-a": {"running": {}}, "sidecar-s": {"running": {}}}));
    assert_eq!(play.step(), ["release run-pod"]);
    play.pods[0].metadata.annotations.as_mut().unwrap().insert("tekton.dev/ready".into(), "READY".into());
    assert_eq!(play.step(), Vec::<String>::new(), "once");
    play.pod("Running", json!({"step-a": {"terminated": {"exitCode": 0}}, "sidecar-s": {"running": {}}}));
    assert_eq!(play.step(), ["stop run-pod sidecar-s"]);
    assert_eq!(play.said().1, "Succeeded");
    let sidecar = &play.status().sidecars[0];
    assert_eq!(sidecar.terminated.as_ref().unwrap().reason.as_deref(), Some("Completed"), "{sidecar:?}");
    assert_eq!(play.step(), ["stop run-pod sidecar-s"], "until it has ended");
    play.pod(
        "Succeeded",
        json!({"step-a": {"terminated": {"exitCode": 0}}, "sidecar-s": {"terminated": {"exitCode": 0}}}),
    );
    assert_eq!(play.step(), Vec::<String>::new());
}

/// Scenario 19.
#[test]
fn an_image_that_cannot_be_pulled_ends_the_run_when_patience_does() {
    let mut play = Play::inline(one_step());
    play.step();
    play.pod(
        "Pending",
        json!({"step-a": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}),
    );
    let mut patient = Play::inline(one_step());
    patient.config.defaults.image_pull_backoff = Duration::from_mins(5);
    patient.step();
    patient.pods[0].metadata.creation_timestamp = Some(Time(patient.now));
    patient.pods[0].status.clone_from(&play.pods[0].status);
    assert_eq!(play.step(), ["delete run-pod"]);
    assert_eq!((play.said().0, play.said().1), ("False", "TaskRunImagePullFailed"));
    assert_eq!(patient.step(), Vec::<String>::new());
    assert_eq!((patient.said().0, patient.said().1), ("Unknown", "PullImageFailed"));
    assert_eq!(patient.decide().wake, Some(Timestamp::from_second(START + 300).unwrap()));
    patient.after(300);
    assert_eq!(patient.step(), ["delete run-pod"]);
}

#[test]
fn a_pod_that_was_made_before_a_crash_is_taken_in() {
    let mut play = Play::inline(one_step());
    play.step();
    play.run.status = None;
    assert_eq!(play.step(), Vec::<String>::new());
    assert_eq!(&*play.status().pod_name, "run-pod");
    assert!(play.status().task_spec.is_some());
}

#[test]
fn a_pod_that_was_deleted_is_made_again_only_before_it_began() {
    let mut play = Play::inline(one_step());
    play.step();
    play.pods.clear();
    assert_eq!(play.step(), ["create run-pod"]);
    play.pod("Running", json!({"step-a": {"running": {}}}));
    play.step();
    play.pods.clear();
    assert_eq!(play.step(), Vec::<String>::new());
    assert_eq!((play.said().0, play.said().1), ("False", "Failed"));
    assert!(play.said().2.contains("was deleted"), "{}", play.said().2);
}

#[test]
fn a_task_brings_its_labels() {
    let play = Play::new(json!({"taskRef": {"name": "t"}}));
    let decided = play.decide();
    assert_eq!(decided.labels["from"], "t");
    assert!(decided.annotations.is_empty(), "but not what only chains writes");
}

#[test]
fn what_is_elsewhere_is_asked_for() {
    let mut play = Play::new(json!({"taskRef": {"resolver": "git"}}));
    assert_eq!(play.step(), ["request"]);
    assert_eq!((play.said().0, play.said().1), ("Unknown", "ResolvingTaskRef"));
}

#[rstest]
#[case::none(json!({"taskRef": {"name": "x"}}), "TaskRunResolutionFailed", "\"x\" not found")]
#[case::neither(json!({}), "TaskRunValidationFailed", "got neither")]
#[case::param(json!({"taskSpec": {"params": [{"name": "p"}], "steps": [{"image": "i", "command": ["x"]}]}}), "TaskRunValidationFailed", "missing parameters: p")]
#[case::action(json!({"taskSpec": {"steps": [{"name": "a", "ref": {"name": "x"}}]}}), "TaskRunResolutionFailed", "step \"a\"")]
fn bad_input_ends_the_run_in_words(#[case] spec: Value, #[case] reason: &str, #[case] text: &str) {
    let mut play = Play::new(spec);
    assert_eq!(play.step(), Vec::<String>::new());
    assert_eq!((play.said().0, play.said().1), ("False", reason));
    assert!(play.said().2.contains(text), "{}", play.said().2);
}

#[test]
fn an_image_is_waited_for_or_given_up() {
    let mut play = Play::inline(json!({"steps": [{"name": "a", "image": "i"}]}));
    assert_eq!(play.step(), Vec::<String>::new());
    assert_eq!((play.said().0, play.said().2), ("Unknown", "Waiting for the command of image \"i\""));
    assert_eq!(play.decide().wake, Some(Timestamp::from_second(START + 3600).unwrap()), "it is woken");
    play.world.images = Awaited::Again("the API server is away".into());
    play.step();
    assert!(play.said().2.ends_with("the API server is away"), "{}", play.said().2);
    assert_eq!(play.decide().wake, Some(Timestamp::from_second(START + 5).unwrap()), "nobody wakes it");
    play.world.images = Awaited::Failed("no such image".into());
    play.step();
    assert_eq!((play.said().0, play.said().1), ("False", "PodCreationFailed"));
}

#[test]
fn a_claim_whose_pod_has_no_node_yet_is_waited_for() {
    let mut play = Play::new(json!({
        "workspaces": [{"name": "w", "persistentVolumeClaim": {"claimName": "c"}}],
        "taskSpec": {"workspaces": [{"name": "w"}], "steps": [{"image": "i", "command": ["x"]}]},
    }));
    play.world.place = Place::Undecided;
    assert_eq!(play.step(), Vec::<String>::new());
    assert!(play.said().2.contains("\"c\""), "{}", play.said().2);
    assert!(play.decide().wake.is_some());
    play.world.place = Place::On(Node { name: "h".into(), is_required: true });
    assert_eq!(play.step(), ["create run-pod"]);
    assert!(play.pods[0].spec.as_ref().unwrap().affinity.is_some());
}

#[test]
fn a_run_that_is_being_deleted_gets_no_pod() {
    let mut play = Play::inline(one_step());
    play.run.metadata.deletion_timestamp = Some(Time(play.now));
    assert_eq!(play.step(), Vec::<String>::new());
}

#[rstest]
#[case(403, "pods \"x\" is forbidden: exceeded quota: q", "ExceededResourceQuota")]
#[case(409, "Operation cannot be fulfilled on resourcequotas \"q\"", "Pending")]
#[case(403, "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\"", "PodAdmissionFailed")]
#[case(422, "Pod \"x\" is invalid", "PodCreationFailed")]
fn refusals_have_their_reasons(#[case] code: u16, #[case] message: &str, #[case] expected: &str) {
    let reason = match refused(code, message) {
        Refused::Again { reason, .. } => Some(reason),
        Refused::Fault(fault) => Some(fault.reason),
        Refused::Transient => None,
    };
    assert_eq!(reason.map(|reason| reason.to_string()).as_deref(), Some(expected));
}

#[rstest]
#[case(500, "internal")]
#[case(403, "namespace n is being terminated")]
#[case(409, "already exists")]
fn others_are_tried_again(#[case] code: u16, #[case] message: &str) {
    assert_eq!(refused(code, message), Refused::Transient);
}

#[test]
fn what_a_pod_does_without_is_said_once_when_it_is_made() {
    let mut play = Play::inline(json!({"steps": [{"name": "a", "image": "i", "command": ["x"]}]}));
    play.run.spec.retries = 1;
    play.run.spec.service_account_name = "builder".into();
    play.world.account = Account {
        instead: Some("default".into()),
        credentials: Vec::new(),
        missing: vec!["login".into(), "push".into()],
    };
    assert_eq!(play.step(), ["create run-pod", "warn DefaultAccountUsed", "warn FailedToRetrieveSecret"]);
    let notes: Vec<_> = play
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Warn { note, .. } => Some(note.as_str()),
            _ => None,
        })
        .collect();
    assert!(
        notes[0].contains("no ServiceAccount \"builder\"") && notes[0].contains("\"default\""),
        "{notes:?}"
    );
    assert!(notes[1].contains("\"default\"") && notes[1].contains("login, push"), "{notes:?}");
    let spec = play.pods[0].spec.clone().unwrap();
    assert_eq!(spec.service_account_name.as_deref(), Some("default"));
    assert_eq!(play.step(), [] as [String; 0]);
    play.ended(1);
    play.step();
    assert_eq!(play.step(), ["create run-pod-retry1"]);
}

#[test]
fn a_container_for_debugging_marks_a_run_that_runs() {
    let mut play = Play::inline(json!({"steps": [{"name": "a", "image": "i", "command": ["x"]}]}));
    play.step();
    let spec = play.pods[0].spec.as_mut().unwrap();
    spec.ephemeral_containers = serde_json::from_value(json!([{"name": "debugger"}])).unwrap();
    play.ended(0);
    play.step();
    let conditions = play.run.status.clone().unwrap().conditions;
    let seen: Vec<_> = conditions.iter().map(|condition| (&*condition.type_, &*condition.reason)).collect();
    assert_eq!(seen, [("Succeeded", "Succeeded"), ("Tampered", "EphemeralContainer")]);
    assert!(conditions[1].message.contains("\"debugger\""), "{conditions:?}");
}

#[test]
fn a_run_that_cannot_be_stored_ends_before_it_begins() {
    let script = "x".repeat(crate::size::MAX / 2);
    let mut play = Play::inline(json!({"steps": [{"name": "a", "image": "i", "script": script}]}));
    play.run.spec.retries = 3;
    assert_eq!(play.step(), [] as [String; 0]);
    let status = play.run.status.clone().unwrap();
    let condition = succeeded(&status.conditions).unwrap();
    assert_eq!((&*condition.status, &*condition.reason), ("False", "TaskRunTooLarge"));
    assert!(condition.message.starts_with("[User error] TaskRun \"run\" is too large"), "{condition:?}");
    assert_eq!((status.task_spec, status.retries_status.len()), (None, 0));
}

#[test]
fn a_run_that_was_not_stored_ends_with_its_pod() {
    let mut play = Play::inline(json!({"steps": [{"name": "a", "image": "i", "command": ["x"]}]}));
    play.step();
    play.pod("Running", json!({"step-a": {"running": {}}}));
    play.step();
    let decided = too_large(&play.observed(), "it was not stored (too large)");
    assert_eq!(decided.actions, [Action::DeletePod { name: "run-pod".into() }]);
    let condition = succeeded(&decided.status.conditions).unwrap();
    assert!(condition.message.contains("it was not stored (too large)"), "{condition:?}");
}

/// A run whose results are collected by a sidecar, when its step has ended so.
fn collected(code: i32, collector: Value) -> Play {
    let mut play = Play::inline(json!({
        "steps": [{"name": "a", "image": "i", "command": ["x"], "results": [{"name": "s"}]}],
        "results": [{"name": "r"}],
    }));
    play.config.features.results_from = crate::config::ResultsFrom::SidecarLogs;
    play.config.features.max_result_size = 5000;
    play.step();
    let states = json!({
        "step-a": {"terminated": {"exitCode": code, "reason": "X"}}, "sidecar-tekton-log-results": collector,
    });
    play.pod("Running", states);
    play
}

fn log(size: usize) -> Awaited<String> {
    let line = |name: &str, value: &str, kind: &str| {
        format!("{}\n", json!({"name": name, "value": value, "type": kind}))
    };
    Awaited::Ready(line("r", &"x".repeat(size), "task") + &line("step-a.s", "y", "step"))
}

#[test]
fn results_can_come_by_a_log() {
    let mut play = collected(0, json!({"running": {}}));
    let sidecar = &play.pods[0].spec.as_ref().unwrap().containers[1];
    assert_eq!((&*sidecar.name, sidecar.image.as_deref()), (result_log::CONTAINER, Some("tools")));
    assert!(sidecar.security_context.is_some());
    // It is not stopped: it has to print first.
    assert_eq!(play.step(), Vec::<String>::new());
    assert_eq!(play.said(), ("Unknown", "Running", "Waiting until results are collected"));
    play.pod(
        "Succeeded",
        json!({
            "step-a": {"terminated": {"exitCode": 0, "reason": "Completed"}},
            "sidecar-tekton-log-results": {"terminated": {"exitCode": 0, "reason": "Completed"}},
        }),
    );
    play.step();
    assert_eq!(play.said().2, "Waiting for the log of results");
    play.world.log = log(5000);
    play.step();
    assert_eq!(play.said().1, "Succeeded");
    assert_eq!(play.status().results[0].value.as_str().unwrap().len(), 5000);
    assert_eq!(play.status().steps[0].results[0].value.as_str(), Some("y"));
}

#[rstest]
#[case::too_large(0, json!({"terminated": {"exitCode": 0}}), log(5001), "TaskRunResultLargerThanAllowedLimit", "result \"r\" has more than 5000 bytes")]
#[case::lost(0, json!({"terminated": {"exitCode": 0}}), Awaited::Failed("the log is gone".into()), "Failed", "the log is gone")]
#[case::collector(0, json!({"terminated": {"exitCode": 1}}), Awaited::Later, "SidecarFailed", "results could not be collected")]
#[case::step(3, json!({"terminated": {"exitCode": 0}}), log(5001), "StepFailed", "\"step-a\" exited with code 3")]
fn results_that_cannot_be_had_fail_the_run(
    #[case] code: i32,
    #[case] collector: Value,
    #[case] log: Awaited<String>,
    #[case] reason: &str,
    #[case] message: &str,
) {
    let mut play = collected(code, collector);
    play.world.log = log;
    play.step();
    assert_eq!((play.said().0, play.said().1), ("False", reason));
    assert!(play.said().2.contains(message), "{}", play.said().2);
}

#[test]
fn a_pod_that_was_taken_away_has_no_log() {
    let mut play = collected(0, json!({"running": {}}));
    play.pods[0].status.as_mut().unwrap().phase = Some("Failed".to_owned());
    play.pods[0].status.as_mut().unwrap().reason = Some("Evicted".to_owned());
    play.step();
    assert_eq!(play.said().1, "PodEvicted");
}

#[test]
fn sidecars_of_a_kept_pod_are_stopped_but_for_the_one_that_ends_by_itself() {
    let mut play = Play::inline(json!({
        "steps": [{"name": "a", "image": "i", "command": ["x"]}],
        "sidecars": [{"name": "s", "image": "j"}],
        "results": [{"name": "r"}],
    }));
    play.config.features.keep_pod_on_cancel = true;
    play.config.features.results_from = crate::config::ResultsFrom::SidecarLogs;
    play.step();
    play.run.spec.status = CANCELLED.into();
    play.step();
    play.pod(
        "Running",
        json!({
            "step-a": {"terminated": {"exitCode": 9}}, "sidecar-s": {"running": {}},
            "sidecar-tekton-log-results": {"running": {}},
        }),
    );
    assert_eq!(play.step(), ["stop run-pod sidecar-s"]);
}

/// What kept it from running is what its user has to mend.
#[rstest]
#[case::image(json!({"step-a": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}), ": build step \"step-a\" is pending with reason \"no such image\"")]
#[case::container(json!({"step-a": {"waiting": {"reason": "CreateContainerError", "message": "no such volume"}}}), ": build step \"step-a\" is pending with reason \"no such volume\"")]
#[case::nothing(json!({}), "")]
fn the_end_of_a_run_does_not_hide_what_hindered_it(#[case] states: Value, #[case] expected: &str) {
    let mut play = Play::new(json!({"timeout": "10s", "taskSpec": one_step()}));
    play.step();
    play.pod("Pending", states);
    play.step();
    let mut cancelled = play.run.clone();
    play.after(10);
    play.step();
    let said = format!("TaskRun \"run\" failed to finish within \"10s\"{expected}");
    assert_eq!(play.said(), ("False", "TaskRunTimeout", said.as_str()));

    play.after(5);
    cancelled.spec.status = CANCELLED.into();
    play.run = cancelled;
    play.step();
    assert_eq!(
        play.said(),
        ("False", "TaskRunCancelled", format!("TaskRun \"run\" was cancelled.{expected}").as_str())
    );
}

#[test]
fn an_evicted_pod_is_one_attempt() {
    let mut play = Play::new(json!({"retries": 1, "taskSpec": one_step()}));
    play.step();
    play.pod("Failed", json!({}));
    let status = play.pods[0].status.as_mut().unwrap();
    status.reason = Some("Evicted".to_owned());
    status.message = Some("The node was low on resource: memory.".to_owned());
    play.step();
    assert_eq!(play.said(), ("Unknown", "ToBeRetried", "The node was low on resource: memory."));
    assert_eq!(play.step(), ["create run-pod-retry1"]);
}

#[test]
fn a_pod_that_was_deleted_while_it_ran_is_one_attempt() {
    let mut play = Play::new(json!({"retries": 1, "taskSpec": one_step()}));
    play.step();
    play.pod("Running", json!({"step-a": {"running": {}}}));
    play.step();
    play.pods.clear();
    play.step();
    assert_eq!(play.said().1, "ToBeRetried");
    assert_eq!(play.step(), ["create run-pod-retry1"]);
}

#[rstest]
#[case::run(json!({"timeout": "-1s", "taskSpec": one_step()}), "spec.timeout")]
#[case::task(json!({"taskSpec": {"steps": [{"name": "s"}]}}), "missing field(s): spec.taskSpec.steps[0].image")]
fn a_run_that_the_webhook_has_not_seen_is_checked(#[case] spec: Value, #[case] expected: &str) {
    let mut play = Play::new(spec);
    play.step();
    assert_eq!((play.said().0, play.said().1), ("False", "TaskRunValidationFailed"));
    assert!(play.said().2.contains(expected), "{}", play.said().2);
}

#[test]
fn inline_tasks_can_be_forbidden_while_the_webhook_is_away() {
    let mut play = Play::inline(one_step());
    play.config.features.disable_inline_spec = ["taskrun".to_owned()].into();
    play.step();
    assert!(play.said().2.contains("must not set the field(s): spec.taskSpec"), "{}", play.said().2);
}

#[test]
fn a_run_that_waits_for_a_resolver_is_looked_at_again() {
    let play = Play::new(json!({"taskRef": {"resolver": "git"}}));
    assert_eq!(play.decide().wake, Some(Timestamp::from_second(START + 60).unwrap()));
}
