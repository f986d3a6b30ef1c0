use fleet::Write;
use fleet::write::{Create, Patch};
use rstest::rstest;
use serde_json::{Value, from_value, json};

use super::*;

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const OTHER: &str = "reg.test/b@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const COMPLETED: &str = "2024-01-01T00:00:00Z";
const FINALIZER: &str = "test.appstudio.openshift.io/pipelinerun";
const OUTCOME: &str = "test.appstudio.openshift.io/create-snapshot-status";
const SINCE: &str = "fleet.konflux-ci.dev/snapshot-refused-since";

fn at(seconds: i64) -> Timestamp {
    COMPLETED.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

/// A build of Component `a` that ended well, is signed and held.
fn run() -> Value {
    json!({
        "metadata": {
            "name": "build-1", "namespace": "n", "uid": "run-uid", "resourceVersion": "1",
            "creationTimestamp": "2023-12-31T23:50:00Z",
            "labels": {"appstudio.openshift.io/component": "a", "app": "mine"},
            "annotations": {"chains.tekton.dev/signed": "true"},
            "finalizers": [FINALIZER, "other.example/finalizer"],
        },
        "spec": {},
        "status": {
            "conditions": [{"type": "Succeeded", "status": "True"}],
            "startTime": "2023-12-31T23:51:00Z",
            "completionTime": COMPLETED,
            "results": [
                {"name": "IMAGE_URL", "value": "reg.local:5000/t/a:tag\n"},
                {"name": "IMAGE_DIGEST", "value": DIGEST},
                {"name": "CHAINS-GIT_URL", "value": "https://git.test/a"},
                {"name": "CHAINS-GIT_COMMIT", "value": "c0ffee"},
                {"name": "SHOULD_RELEASE", "value": "false"},
            ],
        },
    })
}

fn component(name: &str, image: &str) -> Arc<Component> {
    Arc::new(
        from_value(json!({
            "metadata": {"name": name, "namespace": "n", "uid": format!("{name}-uid")},
            "spec": {"componentName": name, "application": "app", "containerImage": image},
        }))
        .unwrap(),
    )
}

fn application() -> Known<Application> {
    let object = json!({"metadata": {"name": "app", "namespace": "n", "uid": "app-uid"}, "spec": {}});
    Known::There(Arc::new(from_value(object).unwrap()))
}

fn snapshot(name: &str, labels: &Value) -> Arc<Snapshot> {
    let metadata = json!({
        "name": name, "namespace": "n", "uid": name, "labels": labels,
        "creationTimestamp": "2024-01-01T00:00:05Z",
    });
    Arc::new(from_value(json!({"metadata": metadata, "spec": {"application": "app"}})).unwrap())
}

fn of_run(name: &str) -> Arc<Snapshot> {
    snapshot(
        name,
        &json!({"appstudio.openshift.io/build-pipelinerun": "build-1", "test.appstudio.openshift.io/type": "component"}),
    )
}

fn seen(run: Value) -> Observed {
    Observed {
        now: at(10),
        require_signed: true,
        signature_timeout: SignedDuration::from_mins(5),
        run: Arc::new(from_value(run).unwrap()),
        component: Some(Known::There(component("a", ""))),
        application: application(),
        snapshots: vec![],
        snapshot_presence: Presence::Listed,
        components: vec![component("a", ""), component("b", OTHER), component("never-built", "")],
        scenarios: vec![],
        namesake: None,
        last_refusal: None,
        trace: None,
    }
}

/// With what `change` makes of the run.
fn with(change: impl FnOnce(&mut Value)) -> Observed {
    let mut object = run();
    change(&mut object);
    seen(object)
}

fn created(decision: &Decision<Hold>) -> Snapshot {
    match &decision.writes[0] {
        Write::Create(Create { object, .. }) => from_value(object.clone()).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn patches(decision: &Decision<Hold>) -> Vec<&Value> {
    let patch = |write: &'_ Write| matches!(write, Write::Patch(_));
    let patches = decision.writes.iter().filter(|write| patch(write));
    patches
        .map(|write| match write {
            Write::Patch(Patch { body, .. }) => &body["metadata"],
            _ => unreachable!(),
        })
        .collect()
}

/// The only patch, of the run's metadata.
fn patched(decision: &Decision<Hold>) -> &Value {
    match patches(decision)[..] {
        [patch] => patch,
        ref other => panic!("{other:?} in {decision:?}"),
    }
}

fn events(decision: &Decision<Hold>) -> Vec<(&str, &str)> {
    let events = decision.writes.iter().filter_map(|write| match write {
        Write::Event(event) => Some((event.reason, event.note.as_str())),
        _ => None,
    });
    events.collect()
}

fn outcome(patch: &Value) -> Value {
    serde_json::from_str(patch["annotations"][OUTCOME].as_str().unwrap()).unwrap()
}

fn is_let_go(patch: &Value) -> bool {
    patch["finalizers"] == json!(["other.example/finalizer"])
}

#[test]
fn a_signed_build_becomes_the_candidate_list_with_its_image() {
    let decision = decide(&seen(run()));
    assert_eq!(decision.writes.len(), 1, "what is recorded comes after it exists");
    let snapshot = created(&decision);
    let spec = serde_json::to_value(&snapshot.spec).unwrap();
    let source = json!({"git": {"url": "https://git.test/a", "revision": "c0ffee"}});
    let expected = json!({
        "application": "app",
        "components": [
            {"name": "a", "containerImage": format!("reg.local:5000/t/a@{DIGEST}"), "source": source},
            {"name": "b", "containerImage": OTHER},
        ],
    });
    assert_eq!(spec, expected);
    let labels = snapshot.labels();
    assert_eq!(labels["appstudio.openshift.io/build-pipelinerun"], "build-1");
    assert_eq!(labels["test.appstudio.openshift.io/pipelinerunfinishtime"], "1704067200");
    assert_eq!(labels.get("app"), None, "labels of others stay with the run");
    let annotations = snapshot.annotations();
    assert_eq!(annotations["test.appstudio.openshift.io/status"], "[]");
    assert_eq!(annotations["test.appstudio.openshift.io/result-should-release"], "false");
    assert_eq!(annotations["test.appstudio.openshift.io/pipelinerunstarttime"], "1704066660");
    assert!(!annotations.contains_key("chains.tekton.dev/signed"));
}

#[test]
fn a_bad_image_of_another_component_is_left_out_and_told() {
    let mut seen = seen(run());
    seen.components.push(component("c", "reg.test/c@sha256:12"));
    seen.components.push(component("d", "reg.test/d:latest"));
    let decision = decide(&seen);
    assert_eq!(created(&decision).spec.components.len(), 2);
    let [(reason, note)] = events(&decision)[..] else { panic!("{decision:?}") };
    assert_eq!(reason, "InvalidCandidate");
    assert!(note.contains("Component c") && note.contains("reg.test/c@sha256:12"), "{note}");
}

#[rstest]
#[case::image(0, "IMAGE_URL")]
#[case::digest(1, "IMAGE_DIGEST")]
#[case::repository(2, "CHAINS-GIT_URL")]
#[case::commit(3, "CHAINS-GIT_COMMIT")]
fn a_missing_result_is_named_and_final(#[case] at: usize, #[case] result: &str) {
    let without = |object: &mut Value| {
        object["status"]["results"].as_array_mut().unwrap().remove(at);
    };
    let decision = decide(&with(without));
    let patch = patched(&decision);
    assert!(is_let_go(patch), "{patch}");
    let said = outcome(patch);
    assert_eq!((&said["status"], &said["reason"]), (&json!("failed"), &json!("MissingResult")));
    assert!(said["message"].as_str().unwrap().contains(result), "{said}");
    assert_eq!(events(&decision)[0].0, "SnapshotNotCreated");
    // Even if the result could be seen later: this was said.
    let again = decide(&with(|object| {
        object["metadata"]["annotations"][OUTCOME] = patch["annotations"][OUTCOME].clone();
        object["metadata"]["finalizers"] = json!([]);
    }));
    assert_eq!((again.hold, again.writes), (Some(Hold::NoSnapshot), vec![]));
}

#[test]
fn a_bad_digest_of_the_build_is_final() {
    let bad = |object: &mut Value| object["status"]["results"][1]["value"] = json!("sha256:12");
    let decision = decide(&with(bad));
    let said = outcome(patched(&decision));
    let message = said["message"].as_str().unwrap();
    assert!(message.contains("InvalidImageDigest") && message.contains("sha256:12"), "{message}");
    assert!(is_let_go(patched(&decision)));
}

#[rstest]
#[case::running(json!([{"type": "Succeeded", "status": "Unknown"}]))]
#[case::not_begun(json!([]))]
fn a_run_that_goes_on_is_held_from_the_start(#[case] conditions: Value) {
    let mut seen = with(|object| {
        object["status"]["conditions"] = conditions;
        object["metadata"]["finalizers"] = json!(["other.example/finalizer"]);
    });
    let decision = decide(&seen);
    assert_eq!(patched(&decision)["finalizers"], json!(["other.example/finalizer", FINALIZER]));
    assert_eq!(patched(&decision)["resourceVersion"], "1", "others write finalizers, too");
    // Deleted while it runs: there is nothing to wait for.
    let run = Arc::make_mut(&mut seen.run);
    run.metadata.finalizers = Some(vec![FINALIZER.to_owned(), "other.example/finalizer".to_owned()]);
    assert_eq!(decide(&seen).writes, [], "held already");
    Arc::make_mut(&mut seen.run).metadata.deletion_timestamp = Some(from_value(json!(COMPLETED)).unwrap());
    assert!(is_let_go(patched(&decide(&seen))));
}

#[test]
fn one_of_a_pull_request_is_held_and_grouped_in_one_write() {
    let decision = decide(&with(|object| {
        object["status"] = json!({});
        object["metadata"]["finalizers"] = json!([]);
        object["metadata"]["annotations"] = json!({
            "pipelinesascode.tekton.dev/event-type": "pull_request",
            "pipelinesascode.tekton.dev/source-branch": "fix",
        });
    }));
    let patch = patched(&decision);
    assert_eq!(patch["finalizers"], json!([FINALIZER]));
    assert_eq!(patch["annotations"]["test.appstudio.openshift.io/pr-group"], "fix");
    let hash = patch["labels"]["test.appstudio.openshift.io/pr-group-sha"].as_str().unwrap();
    assert_eq!(hash.len(), 62);
}

#[test]
fn the_snapshot_of_a_pull_request_knows_its_group_and_where_it_comes_from() {
    let snapshot = created(&decide(&with(|object| {
        object["metadata"]["labels"]["pipelinesascode.tekton.dev/event-type"] = json!("pull_request");
        object["metadata"]["labels"]["pipelinesascode.tekton.dev/state"] = json!("started");
        object["metadata"]["annotations"]["pipelinesascode.tekton.dev/source-branch"] = json!("fix@fork");
        object["metadata"]["annotations"]["build.appstudio.redhat.com/commit_sha"] = json!("c0ffee");
    })));
    assert!(!Origin::of(&snapshot).is_push());
    assert_eq!(snapshot.annotations()["test.appstudio.openshift.io/pr-group"], "fix");
    assert_eq!(snapshot.annotations()["build.appstudio.redhat.com/commit_sha"], "c0ffee");
    assert_eq!(snapshot.labels()["test.appstudio.openshift.io/pr-group-sha"].len(), 62);
    let is_pac = |key: &&String| key.starts_with("pipelinesascode.tekton.dev/");
    assert_eq!(snapshot.labels().keys().chain(snapshot.annotations().keys()).find(is_pac), None);
    assert_eq!(snapshot.labels().get("pac.test.appstudio.openshift.io/state"), None, "it changes");
}

#[test]
fn a_failed_build_is_let_go_without_a_signature() {
    let decision = decide(&with(|object| {
        object["status"]["conditions"][0]["status"] = json!("False");
        object["metadata"]["annotations"] = json!({});
    }));
    assert_eq!(decision.hold, Some(Hold::Unsuccessful));
    assert!(is_let_go(patched(&decision)));
}

fn unsign(object: &mut Value) {
    object["metadata"]["annotations"] = json!({});
}

#[test]
fn an_unsigned_build_waits() {
    let decision = decide(&with(unsign));
    assert_eq!(decision, Decision { wake: Wake::At(at(300)), ..Hold::NotSigned.into() });
}

#[test]
fn where_nothing_signs_a_build_does_not_wait() {
    let mut seen = with(unsign);
    seen.require_signed = false;
    assert_eq!(created(&decide(&seen)).spec.components.len(), 2);
}

#[test]
fn a_build_that_stays_unsigned_says_so_and_goes_on_when_it_is_signed() {
    let mut seen = with(unsign);
    seen.now = at(300);
    let decision = decide(&seen);
    let patch = patched(&decision);
    assert_eq!(patch["finalizers"], Value::Null, "a signature may still come");
    let said = patch["annotations"][OUTCOME].clone();
    assert_eq!(outcome(patch)["reason"], "Unsigned");
    let told = |signed: bool| {
        let mut seen = with(|object| {
            object["metadata"]["annotations"] = json!({OUTCOME: said});
            if signed {
                object["metadata"]["annotations"]["chains.tekton.dev/signed"] = json!("failed");
            }
        });
        seen.now = at(3000);
        decide(&seen)
    };
    assert_eq!(told(false).writes, [], "it says so once");
    assert_eq!(created(&told(true)).spec.components.len(), 2);
}

#[test]
fn a_deletion_waits_eight_minutes_for_the_signature() {
    let mut seen = with(|object| {
        unsign(object);
        object["metadata"]["deletionTimestamp"] = json!("2024-01-01T00:04:00Z");
    });
    seen.now = at(600);
    assert_eq!(decide(&seen), Decision { wake: Wake::At(at(720)), ..Hold::NotSigned.into() });
    seen.now = at(720);
    assert!(is_let_go(patched(&decide(&seen))));
}

#[test]
fn a_signed_build_that_goes_still_becomes_a_snapshot() {
    let decision = decide(&with(|object| object["metadata"]["deletionTimestamp"] = json!(COMPLETED)));
    assert_eq!(created(&decision).spec.components.len(), 2);
}

#[test]
fn a_snapshot_that_exists_is_recorded_and_the_run_let_go_in_one_write() {
    let mut seen = seen(run());
    seen.snapshots = vec![of_run("s")];
    let decision = decide(&seen);
    let patch = patched(&decision);
    assert_eq!(patch["annotations"]["appstudio.openshift.io/snapshot"], "s");
    assert_eq!(outcome(patch)["status"], "success");
    assert!(is_let_go(patch));
    assert_eq!(decision.writes.len(), 1, "each build costs as few writes as may be");
}

#[test]
fn of_several_snapshots_none_is_chosen() {
    let mut seen = seen(run());
    seen.snapshots = vec![of_run("s"), of_run("t")];
    let decision = decide(&seen);
    assert_eq!(decision.hold, Some(Hold::SeveralSnapshots));
    assert!(is_let_go(patched(&decision)));
    assert_eq!(patched(&decision)["annotations"], Value::Null);
}

#[test]
fn snapshots_of_an_earlier_run_of_the_name_do_not_count() {
    let mut seen = seen(run());
    let mut earlier = of_run("s");
    Arc::make_mut(&mut earlier).metadata.creation_timestamp =
        Some(from_value(json!("2023-01-01T00:00:00Z")).unwrap());
    seen.snapshots = vec![earlier];
    assert_eq!(created(&decide(&seen)).spec.components.len(), 2);
}

#[test]
fn a_recorded_run_is_let_go_and_left_alone() {
    let mut object = run();
    object["metadata"]["annotations"]["appstudio.openshift.io/snapshot"] = json!("s");
    let decision = decide(&seen(object.clone()));
    assert!(is_let_go(patched(&decision)));
    assert_eq!(patched(&decision)["annotations"], Value::Null);
    object["metadata"]["finalizers"] = json!(["other.example/finalizer"]);
    assert_eq!(decide(&seen(object.clone())).writes, []);
    // Deleted before we let go: whoever reads it last wants to know.
    object["metadata"]["finalizers"] = json!([FINALIZER]);
    object["metadata"]["deletionTimestamp"] = json!(COMPLETED);
    assert_eq!(outcome(patched(&decide(&seen(object))))["status"], "success");
}

#[rstest]
#[case::gone(Some(Known::Missing), Some(Hold::ComponentGone), true)]
#[case::unknown(Some(Known::Unknown), Some(Hold::NotListed), false)]
#[case::not_named(None, Some(Hold::NoComponent), false)]
fn without_its_component_a_build_is_nothing(
    #[case] component: Option<Known<Component>>,
    #[case] hold: Option<Hold>,
    #[case] lets_go: bool,
) {
    let mut seen = seen(run());
    seen.component = component;
    let decision = decide(&seen);
    assert_eq!(decision.hold, hold);
    assert_eq!(decision.writes.len(), usize::from(lets_go));
    assert!(patches(&decision).into_iter().all(is_let_go));
}

#[test]
fn a_component_that_goes_gets_no_snapshot_any_more() {
    let mut seen = seen(run());
    let mut going = component("a", "");
    Arc::make_mut(&mut going).metadata.deletion_timestamp = Some(from_value(json!(COMPLETED)).unwrap());
    seen.component = Some(Known::There(going));
    assert!(is_let_go(patched(&decide(&seen))));
}

#[test]
fn without_an_application_a_build_fails_until_there_is_one() {
    let mut seen = seen(run());
    seen.application = Known::Missing;
    let decision = decide(&seen);
    let patch = patched(&decision);
    assert_eq!(outcome(patch)["reason"], "NoApplication");
    assert!(outcome(patch)["message"].as_str().unwrap().contains("Application app"));
    assert!(is_let_go(patch));
    let said = patch["annotations"][OUTCOME].clone();
    let later = with(|object| object["metadata"]["annotations"][OUTCOME] = said);
    assert_eq!(created(&decide(&later)).spec.components.len(), 2);
}

#[test]
fn nothing_is_made_for_an_application_that_goes() {
    let mut seen = seen(run());
    let Known::There(application) = &mut seen.application else { unreachable!() };
    Arc::make_mut(application).metadata.deletion_timestamp = Some(from_value(json!(COMPLETED)).unwrap());
    let decision = decide(&seen);
    assert_eq!(decision.hold, Some(Hold::ApplicationGoes));
    assert!(is_let_go(patched(&decision)));
}

#[test]
fn a_restored_run_starts_nothing_and_holds_nothing_up() {
    let restore = |object: &mut Value| object["metadata"]["labels"]["velero.io/restore-name"] = json!("r");
    assert_eq!(decide(&with(restore)), Hold::Inert.into());
    let decision = decide(&with(|object| {
        restore(object);
        object["metadata"]["deletionTimestamp"] = json!(COMPLETED);
    }));
    assert!(is_let_go(patched(&decision)));
}

#[test]
fn a_name_that_is_taken_is_made_longer() {
    let mut seen = seen(run());
    let [name, longer] = seen.snapshot_names().unwrap();
    assert_eq!(created(&decide(&seen)).name_any(), name);
    seen.namesake = Some(snapshot(&name, &json!({})));
    assert_eq!(created(&decide(&seen)).name_any(), longer);
}

/// Its Snapshot's label does not lead back to it.
#[test]
fn a_run_of_a_long_name_looks_again_by_itself() {
    assert_eq!(decide(&seen(run())).wake, Wake::OnChange);
    let decision = decide(&with(|object| object["metadata"]["name"] = json!("b".repeat(64))));
    assert_eq!(decision.wake, Wake::After(Duration::from_secs(1)));
    assert!(created(&decision).labels()["appstudio.openshift.io/build-pipelinerun"].len() <= 63);
}

#[rstest]
#[case::absent(Presence::Absent)]
#[case::unknown(Presence::Unknown)]
fn snapshots_that_nobody_listed_are_waited_for(#[case] presence: Presence) {
    let mut seen = seen(run());
    seen.snapshot_presence = presence;
    assert_eq!(decide(&seen), Hold::NotListed.into());
}

#[test]
fn a_quota_is_tried_for_ten_minutes_at_most_twenty_times() {
    let mut object = run();
    let mut last = None;
    let mut now = at(0);
    let mut attempts = 0;
    let quota = Refusal::Quota("exceeded quota: snapshots".to_owned());
    let failed = loop {
        let mut seen = seen(object.clone());
        (seen.now, seen.last_refusal) = (now, last);
        if let Wake::At(later) = decide(&seen).wake {
            assert!(later > now);
            now = later;
            continue;
        }
        assert!(matches!(decide(&seen).writes[0], Write::Create(_)));
        attempts += 1;
        last = Some(now);
        let decision = refused(&seen, &quota);
        if let [patch] = patches(&decision)[..] {
            if patch["annotations"][OUTCOME].is_string() {
                break patch.clone();
            }
            assert_eq!(attempts, 1, "it is recorded once: {patch}");
            object["metadata"]["annotations"][SINCE] = patch["annotations"][SINCE].clone();
        }
        assert!(matches!(decision.wake, Wake::At(_)), "{decision:?}");
    };
    assert!(now >= at(600), "{now}");
    assert!((10..=20).contains(&attempts), "{attempts}");
    assert!(is_let_go(&failed));
    assert_eq!(outcome(&failed)["reason"], "QuotaExceeded");
    assert_eq!(failed["annotations"][SINCE], Value::Null);
}

#[test]
fn what_is_refused_for_good_is_final() {
    let decision = refused(&seen(run()), &Refusal::Permanent("no such field".to_owned()));
    let said = outcome(patched(&decision));
    assert_eq!(said["reason"], "Refused");
    assert!(said["message"].as_str().unwrap().contains("no such field"));
    assert!(is_let_go(patched(&decision)));
}

#[rstest]
#[case::usual("SHOULD_RELEASE", Some("test.appstudio.openshift.io/result-should-release"))]
#[case::with_dashes("CHAINS-GIT_URL", Some("test.appstudio.openshift.io/result-chains-git-url"))]
#[case::too_long(&"x".repeat(60), None)]
#[case::ends_badly("X_", None)]
fn results_become_keys(#[case] name: &str, #[case] key: Option<&str>) {
    let snapshot = created(&decide(&with(|object| {
        object["status"]["results"][4] = json!({"name": name, "value": "found"});
    })));
    let found = snapshot.annotations().iter().find(|(_, value)| *value == "found");
    assert_eq!(found.map(|(key, _)| key.as_str()), key);
}

#[test]
fn no_more_results_are_kept_than_there_is_room_for() {
    let snapshot = created(&decide(&with(|object| {
        let results = object["status"]["results"].as_array_mut().unwrap();
        let large = (0..40).map(|number| json!({"name": format!("R{number}"), "value": "x".repeat(4000)}));
        results.extend(large);
    })));
    let bytes: usize = snapshot.annotations().iter().map(|(key, value)| key.len() + value.len()).sum();
    assert!((50_000..70_000).contains(&bytes), "{bytes}");
}
