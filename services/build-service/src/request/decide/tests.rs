use rstest::rstest;

use super::*;

const REQUEST: &str = "build.appstudio.openshift.io/request";
const STATUS: &str = "build.appstudio.openshift.io/status";
const CLAIM: &str = "fleet.konflux-ci.dev/build-claim";
const UID: &str = "fleet.konflux-ci.dev/uid";
const PAC: &str = "pac.component.appstudio.openshift.io/finalizer";
const ID: &str = "1714384800-0123456789abcdef";

/// Of one that has all that it is built from, changed so.
fn step(changes: &Value) -> Step {
    let mut component = json!({
        "metadata": {"name": "c", "uid": "u", "annotations": {}},
        "spec": {"containerImage": "quay.io/a/b", "source": {"git": {"url": "https://git.example/a/b"}}},
        "status": {"devfile": "x"},
    });
    json_patch::merge(&mut component, changes);
    decide(&serde_json::from_value(component).unwrap(), Request::TriggerSimpleBuild)
}

fn annotated(annotations: &Value) -> Value {
    json!({"metadata": {"annotations": annotations}})
}

/// Both changes: what one of them removes (null) is still removed.
fn with(mut one: Value, other: &Value) -> Value {
    match (&mut one, other) {
        (Value::Object(one), Value::Object(other)) => {
            for (key, value) in other {
                let merged = with(one.remove(key).unwrap_or(json!({})), value);
                one.insert(key.clone(), merged);
            }
        }
        (one, other) => *one = other.clone(),
    }
    one
}

fn asks(request: &str) -> Value {
    annotated(&json!({REQUEST: request}))
}

fn refused(reason: &str) -> Step {
    Step::Finish(Outcome::Refused(reason.to_owned()))
}

fn message(step: &Step) -> Option<String> {
    let Step::Write(changes) = step else { return None };
    let status: BuildStatus = serde_json::from_str(changes.get(STATUS)?.as_str()?).unwrap();
    status.message
}

#[rstest]
#[case::a_new_one_is_built(json!({}), Step::Claim(Request::TriggerSimpleBuild))]
#[case::told_already(annotated(&json!({STATUS: "{}"})), Step::Hold(Hold::Idle))]
#[case::asked(asks("configure-pac"), Step::Claim(Request::ConfigurePac))]
#[case::asked_with_blanks(asks(" unconfigure-pac\n"), Step::Claim(Request::UnconfigurePac))]
#[case::empty(asks(""), Step::Hold(Hold::EmptyRequest))]
#[case::unknown(asks("deploy"), refused("unexpected build request: deploy"))]
#[case::claimed(
    annotated(&json!({REQUEST: "configure-pac", CLAIM: ID})),
    Step::Handle(Request::ConfigurePac, ID.parse().unwrap())
)]
#[case::claimed_by_nonsense(
    annotated(&json!({REQUEST: "configure-pac", CLAIM: "x"})),
    Step::Claim(Request::ConfigurePac)
)]
#[case::claim_of_a_request_that_was_taken_back(
    annotated(&json!({STATUS: "{}", CLAIM: ID})),
    Step::Write([(CLAIM.to_owned(), Value::Null)].into_iter().collect())
)]
#[case::claim_without_request_is_none(annotated(&json!({CLAIM: ID})), Step::Claim(Request::TriggerSimpleBuild))]
#[case::no_image(json!({"spec": {"containerImage": null}}), Step::Hold(Hold::Waiting))]
#[case::garbage_of_an_image(
    with(annotated(&json!({"image.redhat.com/image": "{"})), &json!({"spec": {"containerImage": null}})),
    Step::Hold(Hold::Waiting)
)]
#[case::image_of_image_controller(
    with(annotated(&json!({"image.redhat.com/image": "{\"image\":\"quay.io/a/b\"}"})), &json!({"spec": {"containerImage": null}})),
    Step::Claim(Request::TriggerSimpleBuild)
)]
#[case::no_source(json!({"spec": {"source": null}}), Step::Hold(Hold::NoSource))]
#[case::no_source_though_asked(with(asks("configure-pac"), &json!({"spec": {"source": null}})), Step::Hold(Hold::NoSource))]
#[case::no_model(json!({"status": null}), Step::Hold(Hold::Waiting))]
#[case::goes(json!({"metadata": {"deletionTimestamp": "2024-01-01T00:00:00Z"}}), Step::Hold(Hold::BeingDeleted))]
#[case::goes_and_was_set_up(
    json!({"metadata": {"deletionTimestamp": "2024-01-01T00:00:00Z", "finalizers": [PAC]}}),
    Step::Leave
)]
#[case::goes_without_anything(
    json!({
        "metadata": {"deletionTimestamp": "2024-01-01T00:00:00Z", "finalizers": [PAC]},
        "spec": {"containerImage": null, "source": null}, "status": null,
    }),
    Step::Leave
)]
#[case::build_without_pac(
    asks("trigger-pac-build"),
    refused("Pipelines-as-Code is not set up for this Component: request configure-pac first")
)]
#[case::build_with_pac(
    annotated(&json!({REQUEST: "trigger-pac-build", STATUS: "{\"pac\":{\"state\":\"enabled\"}}"})),
    Step::Claim(Request::TriggerPacBuild)
)]
#[case::it_is_what_it_says(annotated(&json!({UID: "u", STATUS: "{}"})), Step::Hold(Hold::Idle))]
#[case::looked_at_after_a_restore(
    with(annotated(&json!({UID: "u", REQUEST: "configure-pac"})), &json!({"metadata": {"labels": {"velero.io/restore-name": "r"}}})),
    Step::Claim(Request::ConfigurePac)
)]
fn next(#[case] changes: Value, #[case] expected: Step) {
    assert_eq!(step(&changes), expected);
}

#[rstest]
#[case::image(json!({"spec": {"containerImage": ""}}), BuildStatus::WAITS_FOR_IMAGE)]
#[case::model(json!({"status": {"devfile": ""}}), WAITS_FOR_MODEL)]
fn who_asked_is_told_once_what_is_waited_for(#[case] lacks: Value, #[case] expected: &str) {
    let asks = with(asks("configure-pac"), &lacks);
    assert_eq!(message(&step(&asks)).as_deref(), Some(expected));
    let told = json!({"pac": {"state": "disabled"}, "message": expected}).to_string();
    assert_eq!(step(&with(asks, &annotated(&json!({STATUS: told})))), Step::Hold(Hold::Waiting));
}

#[test]
fn garbage_instead_of_an_image_is_told_to_who_asked() {
    let changes = annotated(&json!({"image.redhat.com/image": "{", REQUEST: "configure-pac"}));
    let step = step(&with(changes, &json!({"spec": {"containerImage": null}})));
    let Step::Finish(Outcome::PacFailed(id, detail)) = step else { panic!("{step:?}") };
    assert_eq!(id.number(), 200);
    assert!(detail.starts_with("image.redhat.com/image: "), "{detail}");
}

/// What a backup brings back does nothing: neither a request that was open in it, nor that it has no status yet.
#[rstest]
#[case::by_velero(json!({"metadata": {"labels": {"velero.io/restore-name": "r"}}}))]
#[case::by_hand(annotated(&json!({UID: "of another"})))]
#[case::by_velero_again(
    with(annotated(&json!({UID: "of another"})), &json!({"metadata": {"labels": {"velero.io/restore-name": "r"}}}))
)]
fn a_copy_waits_until_it_is_asked_again(#[case] copy: Value) {
    for open in [json!({}), annotated(&json!({REQUEST: "configure-pac", CLAIM: ID}))] {
        let step = step(&with(copy.clone(), &open));
        assert_eq!(message(&step).as_deref(), Some(RESTORED));
        let Step::Write(changes) = step else { panic!("{step:?}") };
        assert_eq!(
            (&changes[UID], &changes[REQUEST], &changes[CLAIM]),
            (&json!("u"), &Value::Null, &Value::Null)
        );
    }
}
