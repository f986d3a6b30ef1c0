use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::memory::LogOutcome;
use crate::run::Run;
use crate::selector;
use pipelines_engine_api::{PipelineRun, TaskRun};

const ENDED: &str = "2024-04-01T10:00:00Z";

fn at(seconds: i64) -> Timestamp {
    ENDED.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn settings() -> Settings {
    Settings {
        finalizers: true,
        logs: true,
        only_ended: false,
        grace: Some(SignedDuration::from_secs(60)),
        check_owner: false,
        selector: Selector::default(),
        waits: Vec::new(),
        store_deadline: SignedDuration::from_mins(10),
    }
}

/// A run that is as far as its name says, and what is remembered of it.
#[derive(Clone)]
struct Scene {
    object: Value,
    memory: Memory,
    settings: Settings,
    children: Children,
}

impl Scene {
    fn seen() -> Self {
        let object = json!({
            "metadata": {"name": "r", "namespace": "n", "uid": "u", "resourceVersion": "7"},
            "status": {"conditions": [{"type": "Succeeded", "status": "Unknown", "reason": "Running"}]},
        });
        Self { object, memory: Memory::default(), settings: settings(), children: Children::Ready }
    }

    fn held() -> Self {
        let held = Self::seen()
            .annotated("results.tekton.dev/result", "n/results/u")
            .annotated("results.tekton.dev/record", "n/results/u/records/u");
        held.with("/metadata/finalizers", json!(["results.tekton.dev/taskrun"]))
    }

    fn ended() -> Self {
        let conditions = json!([{"type": "Succeeded", "status": "True", "reason": "Succeeded"}]);
        Self::held().with("/status", json!({"conditions": conditions, "completionTime": ENDED}))
    }

    /// In the archive, with its log.
    fn stored() -> Self {
        let mut scene = Self::ended()
            .annotated("results.tekton.dev/log", "n/results/u/logs/l")
            .annotated("results.tekton.dev/stored", "true");
        scene.memory.log = Some(LogOutcome { name: Some("n/results/u/logs/l".into()), missing: None });
        let digest = scene.run::<TaskRun>().digest().to_string();
        scene.annotated("results.fleet.konflux-ci.dev/archived", &digest).archived()
    }

    /// The archive has said that it has this very state.
    fn archived(mut self) -> Self {
        self.memory.archived = Some(self.run::<TaskRun>().digest());
        self.memory.archived_at = Some(at(0));
        self
    }

    fn forgotten(mut self) -> Self {
        self.memory = Memory::default();
        self
    }

    fn with(mut self, path: &str, value: Value) -> Self {
        let (parent, field) = path.rsplit_once('/').unwrap();
        self.object.pointer_mut(parent).unwrap()[field] = value;
        self
    }

    fn annotated(mut self, key: &str, value: &str) -> Self {
        self.object["metadata"]["annotations"][key] = json!(value);
        self
    }

    fn owned_by(self, api: &str, kind: &str) -> Self {
        let owner = json!({"apiVersion": api, "kind": kind, "name": "o", "uid": "o"});
        self.with("/metadata/ownerReferences", json!([owner]))
    }

    fn deleted(self) -> Self {
        self.with("/metadata/deletionTimestamp", json!(ENDED))
    }

    fn set(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn run<K: Kind>(&self) -> Run<K> {
        serde_json::from_value(self.object.clone()).unwrap()
    }

    fn next<K: Kind>(&self, now: Timestamp) -> Next {
        let run = self.run::<K>();
        let place = Place::of(&run, None);
        decide(&Observed {
            now,
            run: &run,
            place: &place,
            memory: &self.memory,
            children: self.children.clone(),
            settings: &self.settings,
        })
    }
}

/// The step and the hold, without what is written.
fn word(next: &Next) -> &'static str {
    match next {
        Next::Hold(_) => "hold",
        Next::Archive => "archive",
        Next::Log => "log",
        Next::NoLog(_) => "no log",
        Next::Mark(_) => "mark",
        Next::Delete(_) => "delete",
        Next::Release { is_archived: true, .. } => "release",
        Next::Release { is_archived: false, .. } => "release without an archive",
        Next::Rest(hold, _) => hold.into(),
    }
}

const OTHER: &str = "/metadata/finalizers";

fn others() -> Value {
    json!(["results.tekton.dev/taskrun", "chains.tekton.dev"])
}

#[rstest]
#[case::a_new_run_is_held(Scene::seen(), "hold")]
#[case::a_held_run_is_archived(Scene::held(), "archive")]
#[case::a_running_run_pauses(Scene::held().archived().annotated("a/b", "c"), "Pauses")]
#[case::a_running_run_is_archived_once(Scene::held().archived(), "NotEnded")]
#[case::only_ended_runs_if_so_wanted(Scene::held().set(|s| s.settings.only_ended = true), "NotEnded")]
#[case::the_end_is_archived_at_once(Scene::ended().set(|s| s.memory.archived_at = Some(at(0))), "archive")]
#[case::then_the_log(Scene::ended().archived(), "log")]
#[case::task_runs_first(Scene::ended().archived().set(|s| s.children = Children::Waits("c".into())), "TaskRunsFirst")]
#[case::without_logs_it_is_marked(Scene::ended().archived().set(|s| s.settings.logs = false), "mark")]
#[case::a_log_that_takes_too_long(Scene::ended().archived().set(|s| s.memory.log_since = Some(at(-600))), "no log")]
#[case::stored_and_not_due(Scene::stored(), "NotDue")]
#[case::changed_since(Scene::stored().annotated("chains.tekton.dev/signed", "true"), "archive")]
#[case::stored_before_a_restart(Scene::stored().forgotten(), "NotDue")]
#[case::a_running_run_that_says_it_is_stored(Scene::held().annotated("results.tekton.dev/stored", "true"), "hold")]
fn comes_next(#[case] scene: Scene, #[case] expected: &str) {
    assert_eq!(word(&scene.next::<TaskRun>(at(1))), expected);
}

#[rstest]
#[case::when_it_is_due(Scene::stored(), "delete")]
#[case::after_a_restart_the_archive_is_asked_first(Scene::stored().forgotten(), "archive")]
#[case::never(Scene::stored().set(|s| s.settings.grace = None), "KeptForEver")]
#[case::of_a_pipeline_run(
    Scene::stored().annotated("results.tekton.dev/childReadyForDeletion", "true").owned_by("tekton.dev/v1", "PipelineRun").archived(),
    "LeftToPipelineRun"
)]
#[case::of_a_component(Scene::stored().owned_by("appstudio.redhat.com/v1alpha1", "Component").archived(), "delete")]
#[case::owners_are_respected_if_so_wanted(
    Scene::stored().owned_by("appstudio.redhat.com/v1alpha1", "Component").archived().set(|s| s.settings.check_owner = true),
    "Owned"
)]
#[case::not_selected(Scene::stored().set(|s| s.settings.selector = selector::parse("a=b").unwrap()), "NotSelected")]
#[case::task_runs_first(Scene::stored().set(|s| s.children = Children::Waits("c".into())), "TaskRunsFirst")]
#[case::without_a_completion_time(
    Scene::stored().with("/status/completionTime", Value::Null).archived(),
    "NoCompletionTime"
)]
#[case::somebody_has_not_seen_it(
    Scene::stored().with("/metadata/labels", json!({"t": "build"})).archived().set(|s| s.settings.waits = vec!["t=build:a/b".parse().unwrap()]),
    "AwaitsAnnotation"
)]
fn is_deleted(#[case] scene: Scene, #[case] expected: &str) {
    // With the labels of one case the first answer is to archive them: the archive has them here.
    let scene = scene.set(|s| {
        if s.memory.archived.is_some() {
            *s = s.clone().archived();
        }
    });
    assert_eq!(word(&scene.next::<TaskRun>(at(60))), expected);
}

#[test]
fn nobody_is_waited_for_longer_than_a_day() {
    let scene = Scene::stored()
        .with("/metadata/labels", json!({"t": "build"}))
        .archived()
        .set(|scene| scene.settings.waits = vec!["t=build:a/b".parse().unwrap()]);
    assert_eq!(word(&scene.next::<TaskRun>(at(24 * 3600))), "delete");
}

#[rstest]
#[case::is_archived_first(Scene::held().deleted(), 1, "archive")]
#[case::a_deleted_run_that_ran_goes(Scene::held().deleted().archived(), 1, "release")]
#[case::one_that_ended_has_a_log(Scene::ended().deleted().archived(), 1, "log")]
#[case::others_first(Scene::stored().deleted().with(OTHER, others()), 1, "OthersFirst")]
#[case::not_for_ever(Scene::stored().deleted().with(OTHER, others()), 600, "release")]
#[case::what_others_wrote_is_archived(Scene::stored().deleted().annotated("chains.tekton.dev/signed", "true"), 1, "archive")]
#[case::the_archive_is_asked_after_a_restart(Scene::stored().deleted().forgotten(), 1, "archive")]
#[case::the_archive_is_away(Scene::ended().deleted().set(|s| s.memory.failed = true), 599, "archive")]
#[case::the_archive_is_away_too_long(Scene::ended().deleted().set(|s| s.memory.failed = true), 600, "release without an archive")]
#[case::once_is_tried_in_any_case(Scene::ended().deleted(), 600, "archive")]
#[case::the_log_is_not_waited_for_longer(Scene::ended().deleted().archived(), 600, "no log")]
#[case::not_held_by_us(Scene::stored().deleted().with(OTHER, json!(["chains.tekton.dev"])), 1, "Going")]
fn a_run_that_is_deleted(#[case] scene: Scene, #[case] seconds: i64, #[case] expected: &str) {
    assert_eq!(word(&scene.next::<TaskRun>(at(seconds))), expected);
}

#[test]
fn both_kinds_have_their_own_finalizer() {
    let only = |name: &str| Scene::held().with("/metadata/finalizers", json!([name]));
    assert_eq!(word(&only("results.tekton.dev/pipelinerun").next::<PipelineRun>(at(1))), "archive");
    assert_eq!(word(&only("results.tekton.dev/taskrun").next::<PipelineRun>(at(1))), "hold");
}

/// A world of one run: the cluster's copy, the archive, this process.
#[derive(Clone, Debug, PartialEq)]
struct World {
    object: Option<Value>,
    archived: Option<String>,
    has_log: bool,
    is_lost: bool,
}

impl World {
    /// Does up to `steps` steps with what a process remembers, and answers whether nothing is left to do.
    fn work(&mut self, steps: usize, now: Timestamp) -> bool {
        let mut scene = Scene::seen();
        for _ in 0..steps {
            let Some(object) = self.object.clone() else { return true };
            scene.object = object;
            let run = scene.run::<TaskRun>();
            match scene.next::<TaskRun>(now) {
                Next::Hold(write) | Next::Mark(write) => self.patch(&write),
                Next::Archive => {
                    self.archived = Some(run.digest().to_string());
                    scene.memory.archived = Some(run.digest());
                    scene.memory.archived_at = Some(now);
                }
                Next::Log => {
                    self.has_log = true;
                    scene.memory.log = Some(LogOutcome { name: Some("l".into()), missing: None });
                }
                Next::NoLog(_) => unreachable!("time stands still"),
                Next::Delete(_) => {
                    self.object.as_mut().unwrap()["metadata"]["deletionTimestamp"] = json!(now.to_string());
                }
                Next::Release { write, .. } => {
                    self.is_lost = self.archived != Some(run.digest().to_string()) || !self.has_log;
                    self.patch(&write);
                    self.object = None;
                }
                Next::Rest(..) => return true,
            }
        }
        false
    }

    fn patch(&mut self, write: &Write) {
        let Write::Patch(patch) = write else { panic!("{write:?}") };
        let metadata = self.object.as_mut().unwrap()["metadata"].as_object_mut().unwrap();
        for (field, value) in patch.body["metadata"].as_object().unwrap() {
            match (field.as_str(), value.as_object()) {
                ("annotations", Some(changes)) => {
                    let annotations = metadata.entry("annotations").or_insert(json!({}));
                    for (key, value) in changes {
                        annotations[key] = value.clone();
                    }
                    annotations.as_object_mut().unwrap().retain(|_, value| !value.is_null());
                }
                _ => _ = metadata.insert(field.clone(), value.clone()),
            }
        }
    }
}

proptest! {
    /// A crash after any step ends where a calm life ends: archived with its log, then gone.
    #[test]
    fn settles(crash_after in 0_usize..10, again_after in 0_usize..10, is_deleted: bool) {
        let scene = if is_deleted { Scene::ended().deleted() } else { Scene::ended() };
        let mut object = scene.object;
        if !is_deleted {
            object["metadata"]["annotations"] = json!({});
            object["metadata"]["finalizers"] = json!([]);
        }
        let mut world = World { object: Some(object), archived: None, has_log: false, is_lost: false };
        world.work(crash_after, at(60));
        world.work(again_after, at(60));
        prop_assert!(world.work(20, at(60)));
        prop_assert!(world.object.is_none() && world.has_log && !world.is_lost, "{world:?}");
    }
}
