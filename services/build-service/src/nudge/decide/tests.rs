use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::nudge::group::groups;

const NOW: &str = "2024-03-01T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// So many seconds ago.
fn ago(seconds: i64) -> String {
    (now() - SignedDuration::from_secs(seconds)).to_string()
}

fn component(nudges: &[&str]) -> Component {
    serde_json::from_value(json!({
        "metadata": {"name": "lib", "namespace": "tenant", "uid": "uid-lib"},
        "spec": {"componentName": "lib", "application": "a", "build-nudges-ref": nudges},
    }))
    .unwrap()
}

fn target(name: &str) -> Arc<Component> {
    let url = format!("https://github.com/acme/{name}");
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "tenant"},
            "spec": {"componentName": name, "application": "a", "source": {"git": {"url": url}}},
        }))
        .unwrap(),
    )
}

/// A build by a push, to be changed.
struct Build(Value);

fn build(name: &str, created: i64) -> Build {
    Build(json!({
        "metadata": {
            "name": name, "namespace": "tenant", "uid": format!("uid-{name}"), "resourceVersion": "1",
            "creationTimestamp": ago(created),
            "labels": {"appstudio.openshift.io/component": "lib", "pipelines.appstudio.openshift.io/type": "build"},
            "annotations": {"pipelinesascode.tekton.dev/event-type": "push"},
        },
        "spec": {},
    }))
}

impl Build {
    fn held(mut self) -> Self {
        self.0["metadata"]["finalizers"] = json!(["build.appstudio.openshift.io/build-nudge-finalizer"]);
        self
    }

    fn going(mut self) -> Self {
        self.0["metadata"]["deletionTimestamp"] = json!(ago(0));
        self
    }

    fn annotated(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["annotations"][key] = json!(value);
        self
    }

    fn processed(self) -> Self {
        self.annotated("build.appstudio.openshift.io/component-nudge-processed", "true")
    }

    fn failed_before(self, times: &str) -> Self {
        self.annotated("build.appstudio.openshift.io/build-nudge-failures", times)
    }

    fn ended(mut self, status: &str, seconds: i64) -> Self {
        let digest = format!("sha256:{}", "a".repeat(64));
        self.0["status"] = json!({
            "conditions": [{"type": "Succeeded", "status": status}],
            "completionTime": ago(seconds),
            "results": [
                {"name": "IMAGE_URL", "value": "reg.example:5000/acme/lib:b7\n"},
                {"name": "IMAGE_DIGEST", "value": digest},
            ],
        });
        self
    }

    fn without_results(mut self) -> Self {
        self.0["status"]["results"] = json!([]);
        self
    }

    fn done(self) -> Arc<PipelineRun> {
        Arc::new(serde_json::from_value(self.0).unwrap())
    }
}

/// A run of the updater for the first attempt of `build` to reach `target`.
fn nudge(
    build: &PipelineRun,
    target: &str,
    number: u32,
    status: Option<(&str, i64)>,
    pending: bool,
) -> Arc<PipelineRun> {
    let cause = format!("{} {number} github.com/acme/{target}@", build.uid().unwrap());
    let conditions = status.map(|(status, _)| json!([{"type": "Succeeded", "status": status}]));
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {
                "name": format!("renovate-{target}-{number}"), "namespace": "tenant", "uid": format!("n-{target}-{number}"),
                "creationTimestamp": ago(60),
                "annotations": {"fleet.konflux-ci.dev/cause": cause},
            },
            "spec": {"status": if pending { "PipelineRunPending" } else { "" }},
            "status": {"conditions": conditions.unwrap_or(json!([])), "completionTime": status.map(|(_, at)| ago(at))},
        }))
        .unwrap(),
    )
}

struct World {
    component: Option<Component>,
    presence: Presence,
    builds: Vec<Arc<PipelineRun>>,
    nudges: Vec<Arc<PipelineRun>>,
    skipped: HashSet<String>,
}

fn world(nudges: &[&str], builds: &[Arc<PipelineRun>]) -> World {
    World {
        component: Some(component(nudges)),
        presence: Presence::Listed,
        builds: builds.to_vec(),
        nudges: Vec::new(),
        skipped: HashSet::new(),
    }
}

impl World {
    fn with(mut self, nudges: &[Arc<PipelineRun>]) -> Self {
        self.nudges = nudges.to_vec();
        self
    }

    fn decide(&self) -> Next {
        let component = self.component.as_ref();
        let targets: Vec<_> = component
            .iter()
            .flat_map(|component| &component.spec.build_nudges_ref)
            .map(|name| target(name))
            .collect();
        decide(&Observed {
            now: now(),
            component,
            components: self.presence,
            builds: self.builds.clone(),
            nudges: self.nudges.clone(),
            groups: &groups(&targets),
            skipped: &self.skipped,
            not_before: &HashMap::new(),
            retry_after: SignedDuration::from_mins(5),
        })
    }

    /// What is decided, in words.
    fn decided(&self) -> Vec<String> {
        let next = self.decide();
        let mut words: Vec<String> = next.over.iter().map(|run| format!("over {}", run.name_any())).collect();
        words.extend(next.writes.iter().map(|write| match write {
            Write::Patch(patch) => {
                let metadata = &patch.body["metadata"];
                let marks = !metadata["annotations"].is_null();
                match (metadata["finalizers"].as_array().map(Vec::len), marks) {
                    (Some(1), false) => format!("hold {}", patch.target.key.name),
                    (Some(0), true) => format!("finish {}", patch.target.key.name),
                    (Some(0), false) => format!("let go {}", patch.target.key.name),
                    (None, true) => format!("mark {}", patch.target.key.name),
                    other => panic!("{other:?}: {metadata}"),
                }
            }
            Write::Delete(delete) => format!("delete {}", delete.target.key.name),
            other => panic!("{other:?}"),
        }));
        words.extend(next.attempts.iter().map(|attempt| {
            format!("attempt {} of {} at {:?}", attempt.number, attempt.build.name_any(), attempt.groups)
        }));
        words.extend(
            next.failures
                .iter()
                .map(|failed| format!("failed {} times {}", failed.times, failed.build.name_any())),
        );
        match next.wake {
            Wake::At(at) => words.push(format!("wake in {}", at.duration_since(now()).as_secs())),
            Wake::OnChange => {}
            other @ Wake::After(_) => panic!("{other:?}"),
        }
        words
    }
}

#[rstest]
#[case::metadata_is_contended_at_first(build("b", 3), &["wake in 7"])]
#[case::is_held_while_it_runs(build("b", 20), &["hold b"])]
#[case::once(build("b", 20).held(), &[])]
#[case::what_goes_is_let_go(build("b", 20).held().going(), &["finish b"])]
#[case::and_not_held_again(build("b", 20).going(), &[])]
#[case::failure_has_no_image(build("b", 90).held().ended("False", 5), &["finish b"])]
#[case::other_events_do_not_count(
    build("b", 90).ended("True", 5).annotated("pipelinesascode.tekton.dev/event-type", "pull_request"), &[])]
#[case::incoming_is_a_push(
    build("b", 20).annotated("pipelinesascode.tekton.dev/event-type", "Incoming"), &["hold b"])]
#[case::others_may_end_together_with_it(build("b", 90).held().ended("True", 1), &["wake in 2"])]
#[case::is_proposed(build("b", 90).held().ended("True", 5), &["attempt 1 of b at [0]"])]
#[case::also_if_nobody_looked_while_it_ran(build("b", 90).ended("True", 5), &["attempt 1 of b at [0]"])]
#[case::but_not_if_it_is_history(build("b", 200_000).ended("True", 100_000), &[])]
#[case::held_ones_are_never_history(build("b", 200_000).held().ended("True", 100_000), &["attempt 1 of b at [0]"])]
#[case::no_image(build("b", 90).held().ended("True", 5).without_results(), &["finish b"])]
#[case::is_over(build("b", 90).ended("True", 5).processed(), &[])]
#[case::crashed_before_it_was_let_go(build("b", 90).held().ended("True", 5).processed(), &["let go b"])]
#[case::given_up(build("b", 90).held().ended("True", 5).failed_before("3"), &["finish b"])]
#[case::counter_that_is_none(build("b", 90).held().ended("True", 5).failed_before("many"), &["finish b"])]
#[case::restored(
    build("b", 90).held().ended("True", 5).annotated("fleet.konflux-ci.dev/uid", "another"), &[])]
fn a_build(#[case] build: Build, #[case] expected: &[&str]) {
    assert_eq!(world(&["app"], &[build.done()]).decided(), expected);
}

#[rstest]
#[case::runs(build("b", 20), &[])]
#[case::was_held_before(build("b", 20).held(), &["finish b"])]
#[case::is_marked_so_that_it_is_not_proposed_later(build("b", 90).ended("True", 5), &["mark b"])]
#[case::history_is_not(build("b", 200_000).ended("True", 100_000), &[])]
#[case::failure_is_not(build("b", 90).ended("False", 5), &[])]
fn a_build_of_a_component_that_nudges_nobody(#[case] build: Build, #[case] expected: &[&str]) {
    assert_eq!(world(&[], &[build.done()]).decided(), expected);
}

#[test]
fn a_build_of_a_component_that_is_gone_is_let_go() {
    let mut world =
        world(&[], &[build("a", 90).held().ended("True", 5).done(), build("b", 90).ended("True", 5).done()]);
    world.component = None;
    assert_eq!(world.decided(), ["finish a"]);
    world.presence = Presence::Unknown;
    assert_eq!(world.decided(), [""; 0], "it may only not be known yet");
}

#[test]
fn the_newest_image_wins() {
    let (older, newer) = (build("a", 100).held().ended("True", 5), build("b", 90).held().ended("True", 5));
    let world = world(&["app"], &[older.done(), newer.done()]);
    assert_eq!(world.decided(), ["finish a", "attempt 1 of b at [0]"]);
}

#[test]
fn an_older_build_that_still_runs_is_done_when_the_newer_is() {
    let older = || build("a", 100).held().done();
    let newer = build("b", 90).held().ended("True", 5).done();
    assert_eq!(world(&["app"], &[older(), newer]).decided(), ["attempt 1 of b at [0]"], "not before");
    let newer = build("b", 90).ended("True", 5).processed().done();
    assert_eq!(world(&["app"], &[older(), newer]).decided(), ["finish a"]);
    let failed = build("b", 90).ended("False", 5).processed().done();
    assert_eq!(world(&["app"], &[older(), failed]).decided(), [""; 0]);
}

#[test]
fn waits_for_its_runs() {
    let built = || build("b", 90).held().ended("True", 70).done();
    let running = |pending| nudge(&built(), "app", 1, None, pending);
    assert_eq!(world(&["app"], &[built()]).with(&[running(false)]).decided(), ["wake in 240"]);
    assert_eq!(world(&["app"], &[built()]).with(&[running(true)]).decided(), ["attempt 1 of b at [0]"]);
    let done = nudge(&built(), "app", 1, Some(("True", 5)), false);
    assert_eq!(
        world(&["app"], &[built()]).with(std::slice::from_ref(&done)).decided(),
        ["over renovate-app-1", "finish b"]
    );
    let two = world(&["app", "cli"], &[built()]).with(&[done]);
    assert_eq!(two.decided(), ["over renovate-app-1", "attempt 1 of b at [1]"]);
}

#[test]
fn a_failure_counts_when_all_are_over() {
    let built = || build("b", 90).held().ended("True", 70).done();
    let failed = nudge(&built(), "app", 1, Some(("False", 5)), false);
    let running = nudge(&built(), "cli", 1, None, false);
    let world = |nudges: &[Arc<PipelineRun>]| world(&["app", "cli"], &[built()]).with(nudges);
    assert_eq!(world(&[failed.clone(), running]).decided(), ["over renovate-app-1", "wake in 240"]);
    let good = nudge(&built(), "cli", 1, Some(("True", 5)), false);
    assert_eq!(
        world(&[failed, good]).decided(),
        ["over renovate-app-1", "over renovate-cli-1", "failed 1 times b"]
    );
}

#[test]
fn only_what_failed_is_tried_again_and_after_a_while() {
    let built = build("b", 900).held().ended("True", 800).failed_before("1").done();
    let nudges = |ended| {
        [
            nudge(&built, "app", 1, Some(("False", ended)), false),
            nudge(&built, "cli", 1, Some(("True", ended)), false),
        ]
    };
    let decided = |ended| {
        let mut words = world(&["app", "cli"], &[Arc::clone(&built)]).with(&nudges(ended)).decided();
        words.retain(|word| !word.starts_with("over"));
        words
    };
    assert_eq!(decided(60), ["wake in 240"], "five minutes after the first failure");
    assert_eq!(decided(301), ["attempt 2 of b at [0]"]);
}

#[test]
fn a_run_of_the_attempt_before_that_still_goes_on_is_waited_for() {
    let built = build("b", 90).held().ended("True", 70).failed_before("1").done();
    let running = nudge(&built, "cli", 1, None, false);
    let world = world(&["app", "cli"], &[built]).with(&[running]);
    assert_eq!(world.decided(), ["attempt 2 of b at [0]"]);
}

#[test]
fn what_cannot_be_reached_does_not_hold_up_the_rest() {
    let built = build("b", 90).held().ended("True", 70).done();
    let mut world = world(&["app"], &[Arc::clone(&built)]);
    world.skipped = (1..=3).map(|number| format!("uid-b {number} github.com/acme/app@")).collect();
    assert_eq!(world.decided(), ["finish b"]);
}

#[test]
fn a_run_that_nobody_lets_go_is_deleted() {
    let built = build("b", 90).ended("True", 70).processed().done();
    let pending = nudge(&built, "app", 1, None, true);
    assert_eq!(world(&["app"], &[built]).with(&[pending]).decided(), ["delete renovate-app-1"]);
}

#[rstest]
#[case("reg.example:5000/acme/lib:b7", Some(("reg.example:5000/acme/lib", "b7")))]
#[case("reg.example/acme/lib:b7@sha256:0", Some(("reg.example/acme/lib", "b7")))]
#[case::no_tag("reg.example:5000/acme/lib", None)]
#[case::no_image("reg.example/A cme:b7", None)]
fn images(#[case] url: &str, #[case] expected: Option<(&str, &str)>) {
    let mut built = build("b", 90).ended("True", 5);
    built.0["status"]["results"][0]["value"] = json!(url);
    let found = image(&built.done());
    assert_eq!(found.as_ref().map(|image| (image.repository.as_str(), image.tag.as_str())), expected);
}
