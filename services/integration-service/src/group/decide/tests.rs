use fleet::write::Target;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

const HASH: &str = "abc";
const RUN: &str = "2024-03-10T01:00:00Z";

fn now() -> Timestamp {
    "2024-03-10T02:00:00Z".parse().unwrap()
}

fn at(minute: u32) -> String {
    format!("2024-03-10T00:{minute:02}:00Z")
}

fn image(component: &str, number: u32) -> String {
    format!("reg.test/{component}@sha256:{number:064}")
}

fn keys_of(pull_request: u32) -> Value {
    json!({
        "pac.test.appstudio.openshift.io/event-type": "pull_request",
        "pac.test.appstudio.openshift.io/pull-request": pull_request.to_string(),
        "pac.test.appstudio.openshift.io/repo-url": "https://git.test/acme/app",
    })
}

/// The Snapshot of a build that began at this minute, whose image has that number.
fn snapshot(component: &str, pull_request: u32, began: u32) -> Snapshot {
    let name = format!("{component}-{pull_request}-{began}");
    let seconds = at(began).parse::<Timestamp>().unwrap().as_second();
    let mut annotations = keys_of(pull_request);
    annotations[annotations::BUILD_START.as_str()] = json!(seconds.to_string());
    annotations[PR_GROUP.as_str()] = json!("fix");
    let labels = json!({
        keys::COMPONENT.as_str(): component,
        labels::BUILD_PIPELINE_RUN.as_str(): format!("build-{name}"),
        labels::TYPE.as_str(): "component",
        "unrelated": "label",
    });
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "n", "uid": name, "labels": labels, "annotations": annotations, "creationTimestamp": RUN},
        "spec": {"application": "shop", "components": [
            {"name": component, "containerImage": image(component, began)}, {"name": "other", "containerImage": image("other", 1)},
        ]},
    }))
    .unwrap()
}

/// The build of that Snapshot: `True`, `False`, or `Unknown` while it runs.
fn build(component: &str, pull_request: u32, began: u32, succeeded: &str) -> PipelineRun {
    let name = format!("build-{component}-{pull_request}-{began}");
    let labels = json!({keys::COMPONENT.as_str(): component, keys::APPLICATION.as_str(): "shop"});
    let condition = json!({"type": "Succeeded", "status": succeeded, "reason": "x"});
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "n", "labels": labels, "annotations": keys_of(pull_request)},
        "spec": {}, "status": {"startTime": at(began), "conditions": [condition]},
    }))
    .unwrap()
}

fn component(name: &str) -> Arc<Component> {
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "n"},
            "spec": {"application": "shop", "componentName": name},
            "status": {"lastPromotedImage": image(name, 99)},
        }))
        .unwrap(),
    )
}

fn seen(snapshots: Vec<Snapshot>, builds: Vec<PipelineRun>) -> Observed {
    let application = json!({"metadata": {"name": "shop", "namespace": "n", "uid": "app"}, "spec": {}});
    let scenario = json!({
        "metadata": {"name": "together", "namespace": "n"},
        "spec": {"application": "shop", "contexts": [{"name": "group"}]},
    });
    Observed {
        now: now(),
        hash: HASH.to_owned(),
        application: Some(Arc::new(serde_json::from_value(application).unwrap())),
        components: ["a", "b", "c"].map(component).into(),
        scenarios: vec![Arc::new(serde_json::from_value(scenario).unwrap())],
        snapshots: snapshots.into_iter().map(Arc::new).collect(),
        builds: builds.into_iter().map(Arc::new).collect(),
    }
}

fn saying(mut snapshot: Snapshot, status: Status) -> Snapshot {
    let text = serde_json::to_string(&Outcome::new(status, "said before".to_owned())).unwrap();
    annotate(&mut snapshot, annotations::CREATE_GROUP_SNAPSHOT_STATUS.as_str(), &text);
    snapshot
}

fn annotate(snapshot: &mut Snapshot, key: &str, value: &str) {
    snapshot.metadata.annotations.get_or_insert_default().insert(key.to_owned(), value.to_owned());
}

/// Who says what.
fn said(writes: &[Write]) -> Vec<(String, Status, String)> {
    let of = |write: &Write| {
        let Write::Patch(patch) = write else { return None };
        let text = &patch.body["metadata"]["annotations"][annotations::CREATE_GROUP_SNAPSHOT_STATUS.as_str()];
        let outcome: Outcome = serde_json::from_str(text.as_str()?).unwrap();
        Some((patch.target.key.name.clone(), *outcome.status.known()?, outcome.message))
    };
    writes.iter().filter_map(of).collect()
}

fn says(plan: Plan) -> (Status, String) {
    let Plan::Say(writes) = plan else { panic!("{plan:?}") };
    let said = said(&writes);
    assert!(
        said.iter().all(|(_, status, message)| (*status, message) == (said[0].1, &said[0].2)),
        "{said:?}"
    );
    (said[0].1, said[0].2.clone())
}

fn asked(plan: Plan) -> Vec<String> {
    let Plan::Ask(members) = plan else { panic!("{plan:?}") };
    members.iter().map(|member| member.snapshot.name_any()).collect()
}

#[test]
fn the_newest_snapshots_of_all_components_are_asked_for() {
    let snapshots =
        vec![snapshot("a", 1, 1), snapshot("a", 1, 5), snapshot("b", 2, 3), snapshot("gone", 3, 3)];
    let builds = vec![build("a", 1, 5, "True"), build("b", 2, 3, "True"), build("b", 2, 1, "Unknown")];
    assert_eq!(asked(plan(&seen(snapshots, builds))), ["a-1-5", "b-2-3"]);
}

#[test]
fn a_build_that_was_pruned_is_not_missed() {
    assert_eq!(
        asked(plan(&seen(vec![snapshot("a", 1, 1), snapshot("b", 2, 3)], vec![]))),
        ["a-1-1", "b-2-3"]
    );
}

#[rstest]
#[case::running(build("c", 3, 4, "Unknown"), Status::Waiting, "build-c-3-4, is running")]
#[case::failed(build("c", 3, 4, "False"), Status::Failed, "There is no Snapshot")]
#[case::without_snapshot_yet(build("c", 3, 4, "True"), Status::Waiting, "has no Snapshot yet")]
#[case::newer_build_of_a_member(build("a", 1, 9, "Unknown"), Status::Waiting, "build-a-1-9, is running")]
fn other_builds_of_the_group_count(
    #[case] other: PipelineRun,
    #[case] status: Status,
    #[case] message: &str,
) {
    let snapshots = vec![snapshot("a", 1, 1), snapshot("b", 2, 3)];
    let builds = vec![build("a", 1, 1, "True"), build("b", 2, 3, "True"), other];
    let (said, text) = says(plan(&seen(snapshots, builds)));
    assert!(said == status && text.contains(message), "{said:?} {text}");
}

#[test]
fn a_build_of_which_no_snapshot_can_be_made_has_failed() {
    let mut other = build("c", 3, 4, "True");
    let failure = json!({"status": "failed", "message": "no"}).to_string();
    other.metadata.annotations.as_mut().unwrap().insert(annotations::CREATE_SNAPSHOT_STATUS.into(), failure);
    let (status, _) = says(plan(&seen(vec![snapshot("a", 1, 1), snapshot("b", 2, 3)], vec![other])));
    assert_eq!(status, Status::Failed);
}

#[test]
fn a_build_that_is_deleted_while_it_runs_is_not_waited_for() {
    let mut other = build("c", 3, 4, "Unknown");
    other.metadata.deletion_timestamp = Some(serde_json::from_value(json!(RUN)).unwrap());
    assert_eq!(asked(plan(&seen(vec![snapshot("a", 1, 1), snapshot("b", 2, 3)], vec![other]))).len(), 2);
}

#[test]
fn one_component_is_no_group() {
    // Though it has two pull requests.
    let (status, _) = says(plan(&seen(vec![snapshot("a", 1, 1), snapshot("a", 2, 3)], vec![])));
    assert_eq!(status, Status::Alone);
}

#[rstest]
#[case::all_said(saying(snapshot("a", 1, 1), Status::Alone), Some(Hold::Done))]
#[case::one_waits(saying(snapshot("a", 1, 1), Status::Waiting), None)]
#[case::one_is_new(snapshot("a", 1, 1), None)]
fn what_is_said_is_not_decided_again(#[case] other: Snapshot, #[case] hold: Option<Hold>) {
    let found = plan(&seen(vec![other, saying(snapshot("b", 2, 3), Status::Failed)], vec![]));
    assert_eq!(found == Plan::Rest(Hold::Done), hold.is_some(), "{found:?}");
}

#[test]
fn words_of_another_program_are_final() {
    let mut other = snapshot("a", 1, 1);
    annotate(&mut other, annotations::CREATE_GROUP_SNAPSHOT_STATUS.as_str(), "no group Snapshot was made");
    let all = vec![other, saying(snapshot("b", 2, 3), Status::Alone)];
    assert_eq!(plan(&seen(all, vec![])), Plan::Rest(Hold::Done));
}

#[test]
fn what_was_there_before_the_service_is_left_alone() {
    let mut seen = seen(vec![snapshot("a", 1, 1), snapshot("b", 2, 3)], vec![]);
    seen.now = now() + SignedDuration::from_hours(25);
    assert_eq!(plan(&seen), Plan::Rest(Hold::Old));
}

#[test]
fn nothing_is_made_for_an_application_that_goes() {
    let mut seen = seen(vec![snapshot("a", 1, 1), snapshot("b", 2, 3)], vec![]);
    let going = Some(serde_json::from_value(json!(RUN)).unwrap());
    Arc::make_mut(seen.application.as_mut().unwrap()).metadata.deletion_timestamp = going;
    assert_eq!(plan(&seen), Plan::Rest(Hold::NoApplication));
}

fn answered(answers: Vec<(Snapshot, Answer)>) -> Group {
    let answers =
        answers.into_iter().map(|(snapshot, answer)| (Member::of(&Arc::new(snapshot)).unwrap(), answer));
    Group { answers: answers.collect(), trace: None }
}

/// Of the group, both open.
fn pair() -> Vec<(Snapshot, Answer)> {
    vec![(snapshot("a", 1, 1), Answer::Open), (snapshot("b", 2, 3), Answer::Open)]
}

fn observed(group: &Group) -> Observed {
    seen(group.answers.iter().map(|(member, _)| (*member.snapshot).clone()).collect(), vec![])
}

fn created(writes: &[Write]) -> Snapshot {
    let Some(Write::Create(create)) = writes.first() else { panic!("{writes:?}") };
    serde_json::from_value(create.object.clone()).unwrap()
}

#[test]
fn the_snapshot_has_the_members_images_and_the_candidates_of_the_rest() {
    let group = answered(pair());
    let new = created(&decide(&observed(&group), &group));
    let images: Vec<_> = new.spec.components.iter().map(|entry| entry.container_image.as_str()).collect();
    assert_eq!(images, [image("a", 1), image("b", 3), image("c", 99)]);
    let labels = new.labels();
    assert_eq!(labels.get(labels::TYPE.as_str()).map(String::as_str), Some("group"));
    assert_eq!(labels.get(labels::PR_GROUP_SHA.as_str()).map(String::as_str), Some(HASH));
    assert!(
        !labels.contains_key("unrelated") && !labels.contains_key(keys::COMPONENT.as_str()),
        "{labels:?}"
    );
    assert!(!Origin::of(&new).is_push());
    assert_eq!(new.annotations()[PR_GROUP.as_str()], "fix");
    let info: Value = serde_json::from_str(&new.annotations()[GROUP_TEST_INFO.as_str()]).unwrap();
    let of = |component: &str, snapshot: &str, number: &str| {
        json!({
            "namespace": "n", "component": component, "buildPipelineRun": format!("build-{snapshot}"),
            "snapshot": snapshot, "repoUrl": "https://git.test/acme/app", "pullRequestNumber": number,
        })
    };
    assert_eq!(info, json!([of("a", "a-1-1", "1"), of("b", "b-2-3", "2")]));
    let status: Value = serde_json::from_str(&new.annotations()[STATUS.as_str()]).unwrap();
    assert_eq!((&status[0]["scenario"], &status[0]["status"]), (&json!("together"), &json!("Pending")));
}

#[test]
fn members_say_so_after_it_was_made() {
    let group = answered(vec![
        (saying(snapshot("a", 1, 1), Status::Failed), Answer::Open),
        (snapshot("b", 2, 3), Answer::Open),
        (snapshot("c", 3, 3), Answer::Closed),
    ]);
    let writes = decide(&observed(&group), &group);
    let name = created(&writes).name_any();
    let said = said(&writes[1..]);
    let statuses: Vec<_> = said.iter().map(|(who, status, _)| (who.as_str(), *status)).collect();
    let expected = [("a-1-1", Status::Created), ("b-2-3", Status::Created), ("c-3-3", Status::Alone)];
    assert_eq!(statuses, expected);
    assert!(said[0].2.contains(&name), "{said:?}");
}

#[test]
fn one_that_a_crash_left_is_not_made_twice() {
    let group = answered(pair());
    let mut seen = observed(&group);
    let made = created(&decide(&seen, &group));
    seen.snapshots.push(Arc::new(made.clone()));
    // Its name comes from what it holds.
    Arc::make_mut(&mut seen.components[2]).status.as_mut().unwrap().last_promoted_image =
        Some(image("c", 100));
    let writes = decide(&seen, &group);
    assert_eq!(writes.len(), 2, "{writes:?}");
    assert!(said(&writes).iter().all(|(_, _, message)| message.contains(&made.name_any())), "{writes:?}");
}

#[test]
fn of_two_pull_requests_of_a_component_the_newer_open_one_counts() {
    let mut answers = pair();
    answers.push((snapshot("a", 7, 5), Answer::Open));
    answers.push((snapshot("a", 8, 9), Answer::Closed));
    let group = answered(answers);
    let new = created(&decide(&observed(&group), &group));
    assert_eq!(new.spec.components[0].container_image, image("a", 5));
}

#[test]
fn closed_pull_requests_make_no_group() {
    let group = answered(vec![(snapshot("a", 1, 1), Answer::Open), (snapshot("b", 2, 3), Answer::Closed)]);
    let writes = decide(&observed(&group), &group);
    let statuses: Vec<_> = said(&writes).into_iter().map(|(_, status, _)| status).collect();
    assert_eq!((writes.len(), statuses), (2, vec![Status::Alone, Status::Alone]));
}

#[test]
fn what_cannot_be_asked_makes_no_group() {
    let mut answers = pair();
    answers[1].1 = Answer::Unknown("no Repository".to_owned());
    let group = answered(answers);
    let writes = decide(&observed(&group), &group);
    let said = said(&writes);
    assert_eq!((writes.len(), said[0].1), (2, Status::Failed));
    assert!(said[0].2.contains("Component b") && said[0].2.ends_with("no Repository"), "{said:?}");
}

#[test]
fn a_refusal_is_told() {
    let group = answered(pair());
    let error = WriteError::Taken { write: "create Snapshot n/x".to_owned() };
    let writes = refused(&group, &error);
    assert!(said(&writes).iter().all(|(_, status, _)| *status == Status::Failed), "{writes:?}");
    let events: Vec<&Target> = writes
        .iter()
        .filter_map(|write| match write {
            Write::Event(event) => Some(&event.regarding),
            _ => None,
        })
        .collect();
    assert_eq!((writes.len(), events.len()), (4, 2));
}
