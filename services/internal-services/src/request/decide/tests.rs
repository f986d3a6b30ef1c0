use fleet::write::Create;
use internal_services_api::InternalServicesConfig;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::Value;

use super::*;
use crate::request::run::name_of;

const NOW: &str = "2024-03-01T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn config(spec: &Value) -> Settings {
    let config: InternalServicesConfig =
        serde_json::from_value(json!({"metadata": {"name": "config"}, "spec": spec})).unwrap();
    Settings::of(Some(&config))
}

fn request(patch: &Value) -> InternalRequest {
    let mut object = json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "InternalRequest",
        "metadata": {"name": "sign-1", "namespace": "managed", "uid": "u", "resourceVersion": "7",
            "creationTimestamp": "2024-03-01T11:59:00Z"},
        "spec": {"request": "sign"},
    });
    json_patch::merge(&mut object, patch);
    serde_json::from_value(object).unwrap()
}

fn condition(reason: &str, message: &str) -> Value {
    json!({"type": "Succeeded", "status": if reason == "Succeeded" { "True" } else { "False" },
        "reason": reason, "message": message, "lastTransitionTime": "2024-03-01T11:59:10Z"})
}

fn held() -> Value {
    json!({"metadata": {"finalizers": [finalizers::PIPELINE_RUN_CLEANUP.as_str()]}})
}

fn running() -> Value {
    with(
        &held(),
        &json!({"status": {
            "conditions": [condition("Running", "")], "startTime": "2024-03-01T11:59:10Z",
            "pipelineRun": format!("home/{}", name_of("c", "u")),
        }}),
    )
}

fn completed(reason: &str) -> Value {
    with(
        &running(),
        &json!({"status": {
            "conditions": [condition(reason, "")], "completionTime": "2024-03-01T11:59:30Z",
        }}),
    )
}

fn deleted() -> Value {
    json!({"metadata": {"deletionTimestamp": NOW}})
}

fn with(object: &Value, patch: &Value) -> Value {
    let mut object = object.clone();
    json_patch::merge(&mut object, patch);
    object
}

fn seen(patch: &Value) -> Observed {
    Observed {
        now: at(NOW),
        request: Arc::new(request(patch)),
        settings: config(&json!({"allowList": ["managed"]})),
        options: Options { time_to_live: SignedDuration::from_hours(24), ..Options::default() },
        home: "home".into(),
        cluster: "c".into(),
        run: None,
        pipeline: Named::There(Box::default()),
        noted: None,
        trace: None,
    }
}

fn run(status: &str, message: &str) -> Arc<PipelineRun> {
    let run = json!({
        "metadata": {
            "name": name_of("c", "u"), "namespace": "home", "uid": "r",
            "annotations": {"fleet.konflux-ci.dev/cause": "u"},
        },
        "spec": {},
        "status": {
            "conditions": [{"type": "Succeeded", "status": status, "message": message}],
            "results": [{"name": "foo", "value": "bar"}],
        },
    });
    Arc::new(serde_json::from_value(run).unwrap())
}

/// What is done, in short, and where.
fn steps(decision: &Decision) -> Vec<String> {
    let name = |write: &Write| match write {
        Write::Create(_) => "create".to_owned(),
        Write::Delete(delete) => format!("delete {}", delete.target.resource.kind),
        Write::Event(event) => format!("tell {}", event.reason),
        Write::Status(status) => {
            format!("status {}", status.fields["conditions"][0]["reason"].as_str().unwrap())
        }
        Write::Patch(patch) if patch.body["spec"]["status"] == "Cancelled" => "cancel".to_owned(),
        Write::Patch(patch) => match patch.body["metadata"]["finalizers"].as_array().unwrap().len() {
            0 => "free".to_owned(),
            _ => "hold".to_owned(),
        },
    };
    let of = |step: &Step| match step {
        Step::Local(write) => format!("local {}", name(write)),
        Step::Remote(write) => format!("remote {}", name(write)),
    };
    decision.steps.iter().map(of).collect()
}

fn status(decision: &Decision) -> Value {
    let status = decision.steps.iter().find_map(|step| match step {
        Step::Remote(Write::Status(status)) => Some(Value::Object(status.fields.clone())),
        _ => None,
    });
    status.unwrap_or_default()
}

fn message(decision: &Decision) -> String {
    status(decision)["conditions"][0]["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_new_request_is_held_before_it_has_a_run_and_marked_afterwards() {
    let decision = decide(&seen(&json!({})));
    assert_eq!(
        steps(&decision),
        ["remote hold", "local create", "remote status Running", "remote tell Started"]
    );
    let status = status(&decision);
    assert_eq!(status["startTime"], NOW);
    assert_eq!(status["pipelineRun"], format!("home/{}", name_of("c", "u")));
    assert_eq!(status["conditions"][0]["status"], "False");
}

fn limited(allow_list: &[&str]) -> impl Fn(&mut Observed) {
    let settings = config(&json!({ "allowList": allow_list }));
    move |seen| seen.settings = settings.clone()
}

#[rstest]
#[case::not_allowed(json!({}), limited(&["other"]), "the internal request namespace (managed) is not in the allow list")]
#[case::nobody_is(json!({}), limited(&[]), "the internal request namespace (managed) is not in the allow list")]
#[case::no_pipeline(json!({}), |seen: &mut Observed| seen.pipeline = Named::Missing, "No endpoint to handle 'sign' requests")]
#[case::account(json!({"spec": {"serviceAccount": "admin"}}), |_: &mut Observed| {}, "spec.serviceAccount: runs of requests may not use account 'admin' (--allowed-service-accounts)")]
fn a_rejected_request_is_told_why_and_nothing_else(
    #[case] patch: Value,
    #[case] change: impl Fn(&mut Observed),
    #[case] expected: &str,
) {
    let mut seen = seen(&patch);
    change(&mut seen);
    let decision = decide(&seen);
    assert_eq!(steps(&decision), ["remote status Rejected", "remote tell Rejected"]);
    assert_eq!(message(&decision), expected);
    let status = status(&decision);
    assert_eq!((&status["completionTime"], &status["startTime"]), (&json!(NOW), &Value::Null));
    assert_eq!(decision.ended, Some(Succeeded::Rejected { cause: expected.to_owned() }));
}

#[test]
fn a_name_that_is_no_label_fails() {
    let decision = decide(&seen(&json!({"metadata": {"name": "x".repeat(64)}})));
    assert_eq!(steps(&decision), ["remote status Failed", "remote tell Failed"]);
    assert!(message(&decision).contains("63"), "{}", message(&decision));
}

#[rstest]
#[case::succeeded("True", "", "Succeeded", "")]
#[case::failed("False", "it broke", "Failed", "it broke")]
fn what_a_run_says_is_brought_back(
    #[case] condition: &str,
    #[case] said: &str,
    #[case] reason: &str,
    #[case] expected: &str,
) {
    let seen = Observed { run: Some(run(condition, said)), ..seen(&running()) };
    let decision = decide(&seen);
    assert_eq!(steps(&decision), [format!("remote status {reason}"), format!("remote tell {reason}")]);
    let status = status(&decision);
    assert_eq!((message(&decision).as_str(), &status["results"]), (expected, &json!({"foo": "bar"})));
    assert_eq!(status["startTime"], "2024-03-01T11:59:10Z", "it is stamped once");
    assert_eq!(status["completionTime"], NOW);
}

#[test]
fn too_many_results_fail_and_are_not_kept() {
    let mut run = run("True", "");
    Arc::make_mut(&mut run).status.as_mut().unwrap().results[0].value = "x".repeat(300_000).into();
    let decision = decide(&Observed { run: Some(run), ..seen(&running()) });
    assert_eq!(message(&decision), "results too large (300003 bytes)");
    assert_eq!(status(&decision)["results"], Value::Null);
}

#[rstest]
#[case::before_it_was_marked(json!({}), &["remote hold", "remote status Running", "remote tell Started"])]
#[case::held_and_not_marked(held(), &["remote status Running", "remote tell Started"])]
#[case::marked(running(), &[])]
fn a_run_that_is_there_is_not_made_again(#[case] patch: Value, #[case] expected: &[&str]) {
    let decision = decide(&Observed { run: Some(run("Unknown", "")), ..seen(&patch) });
    assert_eq!(steps(&decision), expected);
    assert_eq!(decision.hold, expected.is_empty().then_some(Hold::Running));
}

/// Also one that the original marked, which does not say which run it is.
#[rstest]
#[case::recorded(running(), format!("PipelineRun home/{} was deleted", name_of("c", "u")))]
#[case::of_the_original(with(&running(), &json!({"status": {"pipelineRun": null}})), "its PipelineRun was deleted".to_owned())]
fn a_run_that_is_gone_fails_the_request(#[case] patch: Value, #[case] expected: String) {
    let seen = seen(&patch);
    assert!(!seen.needs_run());
    assert_eq!(message(&decide(&seen)), expected);
}

#[test]
fn a_running_request_goes_on_when_its_namespace_is_allowed_no_more() {
    let mut seen = Observed { run: Some(run("Unknown", "")), ..seen(&running()) };
    limited(&[])(&mut seen);
    assert_eq!(decide(&seen).hold, Some(Hold::Running));
}

const HALF: &str = "Tasks Completed: 1 (Failed: 0, Cancelled 0), Incomplete: 1, Skipped: 0";

#[rstest]
#[case::first(None, Some("1/2 tasks completed"), Wake::OnChange)]
#[case::too_early(Some("2024-03-01T11:59:45Z"), None, Wake::At(at("2024-03-01T12:00:15Z")))]
#[case::after_half_a_minute(Some("2024-03-01T11:59:30Z"), Some("1/2 tasks completed"), Wake::OnChange)]
fn progress_is_told_every_half_minute(
    #[case] noted: Option<&str>,
    #[case] expected: Option<&str>,
    #[case] wake: Wake,
) {
    let decision =
        decide(&Observed { run: Some(run("Unknown", HALF)), noted: noted.map(at), ..seen(&running()) });
    assert_eq!(status(&decision)["conditions"][0]["message"].as_str(), expected);
    assert_eq!((steps(&decision).len(), decision.wake), (usize::from(expected.is_some()), wake));
}

#[rstest]
#[case::succeeded(completed("Succeeded"), false, &["local delete PipelineRun", "remote free"])]
#[case::kept_for_debugging(completed("Failed"), true, &["remote free"])]
fn what_is_left_goes_when_the_status_says_the_end(
    #[case] patch: Value,
    #[case] debug: bool,
    #[case] expected: &[&str],
) {
    let mut seen = Observed { run: Some(run("True", "")), ..seen(&patch) };
    seen.settings.debug = debug;
    assert_eq!(steps(&decide(&seen)), expected);
}

#[test]
fn nothing_is_said_of_a_completed_request_again() {
    let mut seen = seen(&with(&completed("Rejected"), &json!({"metadata": {"finalizers": null}})));
    limited(&[])(&mut seen);
    let decision = decide(&seen);
    assert_eq!((steps(&decision), decision.hold), (vec![], Some(Hold::Completed)));
    assert_eq!(decision.wake, Wake::At(at("2024-03-02T11:59:30Z")));
}

#[rstest]
#[case::before("2024-03-02T11:59:29Z", 24, false)]
#[case::after("2024-03-02T11:59:30Z", 24, true)]
#[case::never("2034-03-02T11:59:30Z", 0, false)]
fn a_request_goes_after_its_time(#[case] now: &str, #[case] hours: i64, #[case] expected: bool) {
    let mut seen = Observed {
        now: at(now),
        ..seen(&with(&completed("Failed"), &json!({"metadata": {"finalizers": null}})))
    };
    seen.options.time_to_live = SignedDuration::from_hours(hours);
    assert_eq!(steps(&decide(&seen)).contains(&"remote delete InternalRequest".to_owned()), expected);
}

#[rstest]
#[case::running(running(), Some(run("Unknown", "")), &["local cancel", "remote free"])]
#[case::not_marked_yet(held(), Some(run("Unknown", "")), &["local cancel", "remote free"])]
#[case::no_run(running(), None, &["remote free"])]
#[case::done(running(), Some(run("True", "")), &["local delete PipelineRun", "remote free"])]
#[case::not_held(json!({}), Some(run("Unknown", "")), &[])]
fn a_deleted_request_takes_its_run_along(
    #[case] patch: Value,
    #[case] run: Option<Arc<PipelineRun>>,
    #[case] expected: &[&str],
) {
    let mut seen = Observed { run, ..seen(&with(&patch, &deleted())) };
    // Also where nobody is served any more.
    limited(&[])(&mut seen);
    let decision = decide(&seen);
    assert_eq!(steps(&decision), expected);
    assert_eq!(decision.hold, expected.is_empty().then_some(Hold::BeingDeleted));
}

#[test]
fn a_run_is_cancelled_once() {
    let mut run = run("Unknown", "");
    Arc::make_mut(&mut run).spec.status = "Cancelled".into();
    let seen = Observed { run: Some(run), ..seen(&with(&running(), &deleted())) };
    assert_eq!(steps(&decide(&seen)), ["remote free"]);
}

#[rstest]
#[case::label(json!({"metadata": {"labels": {"velero.io/restore-name": "r"}}}))]
#[case::uid(json!({"metadata": {"annotations": {"fleet.konflux-ci.dev/uid": "before"}}}))]
fn what_came_out_of_a_backup_runs_nothing(#[case] patch: Value) {
    let seen = seen(&patch);
    assert!(!seen.needs_run());
    assert_eq!(decide(&seen), Hold::Restored.into_decision());
}

impl Hold {
    fn into_decision(self) -> Decision {
        Decision::default().or_hold(self)
    }
}

fn answer(code: u16, message: &str) -> fleet::WriteError {
    let status = kube::core::Status::failure(message, "").with_code(code);
    fleet::WriteError::Refused { write: "create".into(), source: kube::Error::Api(status.boxed()) }
}

#[rstest]
#[case::invalid(422, "bad", 1, true)]
#[case::webhook(400, "denied", 1, true)]
#[case::no_right(403, "no rule", 1, true)]
#[case::quota(403, "exceeded quota: q", 1, false)]
#[case::quota_for_ten_minutes(403, "exceeded quota: q", 10, true)]
#[case::busy(429, "later", 60, false)]
#[case::broken(500, "oops", 60, false)]
fn a_run_that_is_refused_for_good_fails_the_request(
    #[case] code: u16,
    #[case] message: &str,
    #[case] minutes: i64,
    #[case] is_final: bool,
) {
    let mut seen = seen(&json!({}));
    seen.now = at("2024-03-01T11:59:00Z").saturating_add(SignedDuration::from_mins(minutes)).unwrap();
    let decision = refused(&seen, &answer(code, message));
    assert_eq!(decision.is_some(), is_final);
    if let Some(decision) = decision {
        assert_eq!(self::message(&decision), format!("the run could not be created: {message}"));
    }
}

/// Both clusters, as far as one request goes.
#[derive(Clone, Debug, PartialEq)]
struct World {
    request: Option<Value>,
    run: Option<Value>,
    /// Runs that were ever made.
    made: usize,
}

impl World {
    fn seen(&self) -> Option<Observed> {
        let request: InternalRequest = serde_json::from_value(self.request.clone()?).unwrap();
        let run = self.run.as_ref().map(|run| Arc::new(serde_json::from_value(run.clone()).unwrap()));
        Some(Observed { run, request: Arc::new(request), ..seen(&json!({})) })
    }

    fn apply(&mut self, step: &Step) {
        let (Step::Local(write) | Step::Remote(write)) = step;
        match write {
            Write::Create(Create { object, .. }) => {
                if self.run.is_none() {
                    self.run = Some(with(object, &json!({"metadata": {"uid": "r"}})));
                    self.made += 1;
                }
            }
            Write::Status(status) => {
                self.request.as_mut().unwrap()["status"] = Value::Object(status.fields.clone());
            }
            Write::Patch(patch) if patch.target.resource.kind == "PipelineRun" => {
                json_patch::merge(self.run.as_mut().unwrap(), &patch.body);
            }
            Write::Patch(patch) => {
                let request = self.request.as_mut().unwrap();
                json_patch::merge(request, &patch.body);
                let is_free = request["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty);
                if is_free && !request["metadata"]["deletionTimestamp"].is_null() {
                    self.request = None;
                }
            }
            Write::Delete(_) => self.run = None,
            Write::Event(_) => {}
        }
    }

    /// Until nothing is left to do, or after so many writes.
    fn settle(&mut self, writes: usize) {
        let mut left = writes;
        for _ in 0..20 {
            let Some(seen) = self.seen() else { return };
            let decision = decide(&seen);
            for step in &decision.steps {
                if left == 0 {
                    return;
                }
                left -= 1;
                self.apply(step);
            }
            if decision.steps.is_empty() {
                return;
            }
        }
        panic!("it does not come to rest: {self:?}");
    }

    fn happens(&mut self, event: u8) {
        match event {
            0 => {
                if let Some(run) = &mut self.run {
                    run["status"] = json!({"conditions": [{"type": "Succeeded", "status": "True"}]});
                }
            }
            _ => match &mut self.request {
                Some(request)
                    if request["metadata"]["finalizers"].as_array().is_some_and(|all| !all.is_empty()) =>
                {
                    request["metadata"]["deletionTimestamp"] = json!(NOW);
                }
                request => *request = None,
            },
        }
    }
}

proptest! {
    /// A crash after any write ends where a calm run ends, with one run at most.
    #[test]
    fn settles(crash_after in 0_usize..8, event in 0_u8..2) {
        let request = serde_json::to_value(request(&json!({}))).unwrap();
        let start = World { request: Some(request), run: None, made: 0 };
        let mut calm = start.clone();
        calm.settle(usize::MAX);
        calm.happens(event);
        calm.settle(usize::MAX);
        let mut crashed = start;
        crashed.settle(crash_after);
        crashed.settle(usize::MAX);
        crashed.happens(event);
        crashed.settle(crash_after);
        crashed.settle(usize::MAX);
        prop_assert_eq!(&crashed, &calm);
        prop_assert_eq!(calm.made, 1);
        if event == 0 {
            prop_assert!(calm.run.is_none() && calm.request.is_some());
        } else {
            prop_assert!(calm.request.is_none());
            prop_assert_eq!(&calm.run.unwrap()["spec"]["status"], "Cancelled");
        }
    }
}
