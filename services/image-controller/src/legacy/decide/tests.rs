use rstest::rstest;
use serde_json::Value;

use super::*;

const REQUEST: &str = "image.redhat.com/generate";
const ANSWER: &str = "image.redhat.com/image";

fn component(annotations: &Value) -> Component {
    serde_json::from_value(json!({
        "metadata": {
            "name": "web", "namespace": "team", "uid": "c1", "resourceVersion": "3", "annotations": annotations,
        },
        "spec": {"componentName": "web", "application": "shop"},
        "status": {"devfile": "(there)"},
    }))
    .unwrap()
}

fn legacy(mut component: Component) -> Component {
    component.metadata.finalizers = Some(vec![finalizers::COMPONENT.into()]);
    component
}

fn made(name: &str, state: &str, visibility: &str, message: &str) -> ImageRepository {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "team", "uid": "i1", "resourceVersion": "4"},
        "spec": {"image": {"name": "team/shop/web", "visibility": visibility}},
        "status": {
            "state": state, "message": message,
            "image": {"url": "images.example/org/team/shop/web", "visibility": "public"},
            "credentials": {"push-secret": "push"},
        },
    }))
    .unwrap()
}

fn seen(component: Component, image_repository: Option<ImageRepository>) -> Observed {
    Observed {
        component: Arc::new(component),
        image_repository: image_repository.map(Arc::new),
        is_shared: false,
        is_ambiguous: false,
        give_up_at: Timestamp::UNIX_EPOCH,
    }
}

fn settled(seen: &Observed) -> Decision<Hold> {
    match decide(seen) {
        Next::Settle(decision) => decision,
        other @ Next::CleanUp(_) => panic!("{other:?}"),
    }
}

/// The annotations that are written.
fn written(decision: &Decision<Hold>) -> Value {
    let mut patches = decision.writes.iter().filter_map(|write| match write {
        Write::Patch(patch) => Some(patch.body["metadata"]["annotations"].clone()),
        _ => None,
    });
    patches.next_back().unwrap_or_default()
}

fn answer(visibility: &str, message: &str) -> String {
    let mut json =
        json!({"image": "images.example/org/team/shop/web", "visibility": visibility, "secret": "push"});
    if !message.is_empty() {
        json["message"] = json!(message);
    }
    serde_json::from_value::<ComponentImage>(json).map(|image| json!(image).to_string()).unwrap()
}

const MADE: &str = "imagerepository-for-shop-web";

#[test]
fn a_request_becomes_an_image_repository() {
    let decision = settled(&seen(component(&json!({REQUEST: r#"{"visibility":"private"}"#})), None));
    let [Write::Create(create), Write::Patch(patch)] = decision.writes.as_slice() else {
        panic!("{:?}", decision.writes)
    };
    assert_eq!(create.key.name, MADE);
    assert_eq!(create.object["spec"], json!({"image": {"visibility": "private"}}));
    let metadata = &create.object["metadata"];
    assert_eq!(metadata["labels"]["appstudio.redhat.com/application"], "shop");
    assert_eq!(metadata["labels"]["appstudio.redhat.com/component"], "web");
    assert_eq!(metadata["ownerReferences"][0]["uid"], "c1");
    let update = "image-controller.appstudio.redhat.com/update-component-image";
    assert_eq!(metadata["annotations"], json!({update: "true"}));
    assert_eq!(patch.body["metadata"]["annotations"], json!({ REQUEST: null }));
}

#[test]
fn the_words_of_the_original_stay() {
    let of = |annotations: Value| written(&settled(&seen(component(&annotations), None)));
    let told = |message: &str| json!({REQUEST: null, ANSWER: json!({ "message": message }).to_string()});
    assert_eq!(of(json!({REQUEST: "{"})), told("invalid JSON in image.redhat.com/generate annotation"));
    assert_eq!(
        of(json!({REQUEST: r#"{"visibility":"x"}"#})),
        told("invalid value: x in visibility field in image.redhat.com/generate annotation")
    );
    assert_eq!(of(json!({REQUEST: "true", ANSWER: "{"})), told("Invalid image status annotation"));
}

#[rstest]
#[case::ready("ready", "", answer("public", ""))]
#[case::ready_and_no_more_private(
    "ready",
    "Quay organization plan private repositories limit exceeded",
    answer("public", "Quay organization plan doesn't allow private image repositories")
)]
#[case::plan_limit(
    "failed",
    "Number of private repositories exceeds current quay plan limit",
    json!({"message": "Quay organization plan doesn't allow private image repositories"}).to_string()
)]
#[case::failed("failed", "whatever", json!({"message": "failed to generate image repository"}).to_string())]
fn what_became_of_it_is_told(#[case] state: &str, #[case] message: &str, #[case] expected: String) {
    let object = made(MADE, state, "public", message);
    let decision = settled(&seen(component(&json!({})), Some(object.clone())));
    assert_eq!(written(&decision), json!({ ANSWER: expected }));
    let told = settled(&seen(component(&json!({ ANSWER: expected })), Some(object)));
    assert_eq!(told.writes, []);
}

#[test]
fn nobody_is_told_who_did_not_ask() {
    let decision = settled(&seen(component(&json!({})), Some(made("own", "ready", "public", ""))));
    assert_eq!(decision.hold, Some(Hold::NothingAsked));
    let asked =
        settled(&seen(component(&json!({REQUEST: "true"})), Some(made("own", "ready", "public", ""))));
    assert_eq!(written(&asked), json!({REQUEST: null, ANSWER: answer("public", "")}));
    let early = settled(&seen(component(&json!({REQUEST: "true"})), Some(made("own", "", "public", ""))));
    assert_eq!(early.hold, Some(Hold::UnderWay));
}

#[test]
fn another_visibility_is_asked_of_the_image_repository() {
    let request = json!({REQUEST: r#"{"visibility":"private"}"#, ANSWER: answer("public", "")});
    let decision = settled(&seen(component(&request), Some(made(MADE, "ready", "public", ""))));
    let [Write::Patch(first), Write::Patch(_)] = decision.writes.as_slice() else {
        panic!("{:?}", decision.writes)
    };
    assert_eq!(first.body["spec"], json!({"image": {"visibility": "private"}}));
    assert_eq!(written(&decision), json!({ REQUEST: null }));
    let same = json!({REQUEST: "true", ANSWER: answer("public", "")});
    let decision = settled(&seen(component(&same), Some(made(MADE, "ready", "public", ""))));
    assert_eq!((written(&decision), decision.writes.len()), (json!({ REQUEST: null }), 1));
}

#[test]
fn what_the_original_made_is_taken_over() {
    let component = legacy(component(&json!({ANSWER: answer("private", "")})));
    let decision = settled(&seen(component, None));
    let [Write::Create(create)] = decision.writes.as_slice() else { panic!("{:?}", decision.writes) };
    assert_eq!(create.object["spec"], json!({"image": {"visibility": "private"}}));
    assert_eq!(create.object["metadata"]["annotations"], Value::Null);
}

#[test]
fn a_copy_from_a_backup_asks_for_nothing() {
    let mut copy = component(&json!({REQUEST: "true"}));
    copy.metadata.labels = Some([("velero.io/restore-name".to_owned(), "daily".to_owned())].into());
    assert_eq!(settled(&seen(copy, None)).hold, Some(Hold::Restored));
}

#[test]
fn without_a_model_nothing_happens() {
    let mut early = component(&json!({REQUEST: "true"}));
    early.status = None;
    assert_eq!(settled(&seen(early, None)).hold, Some(Hold::NoModel));
}

#[rstest]
#[case::all(false, false, &["teamshopweb-pull", "teamshopweb"], true)]
#[case::of_an_image_repository(true, false, &["teamshopweb-pull", "teamshopweb"], false)]
#[case::perhaps_of_another_tenant(false, true, &[], true)]
fn what_the_original_made_goes_with_its_component(
    #[case] is_shared: bool,
    #[case] is_ambiguous: bool,
    #[case] robots: &[&str],
    #[case] goes: bool,
) {
    let mut component = legacy(component(&json!({})));
    component.metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2024-01-01T00:00:00Z")).unwrap());
    let seen = Observed { is_shared, is_ambiguous, ..seen(component, None) };
    let Next::CleanUp(plan) = decide(&seen) else { panic!() };
    assert_eq!(
        (plan.robots, plan.repository.is_some()),
        (robots.iter().map(|r| (*r).to_owned()).collect(), goes)
    );
}
