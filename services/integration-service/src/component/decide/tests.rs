use fleet::write::{Create, Patch};
use rstest::rstest;
use serde_json::{from_value, json};

use super::*;

const B: &str = "reg.test/b@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const DELETED: &str = "2024-01-01T00:00:00Z";
const FINALIZER: &str = "test.appstudio.openshift.io/component";

fn component(name: &str, image: &str) -> Component {
    from_value(json!({
        "metadata": {
            "name": name, "namespace": "n", "uid": format!("{name}-uid"), "resourceVersion": "1",
            "finalizers": [FINALIZER],
        },
        "spec": {"componentName": name, "application": "app", "containerImage": image},
    }))
    .unwrap()
}

fn delete(component: &mut Component) {
    component.metadata.deletion_timestamp = Some(from_value(json!(DELETED)).unwrap());
}

fn application() -> Application {
    from_value(json!({"metadata": {"name": "app", "namespace": "n", "uid": "app-uid"}, "spec": {}})).unwrap()
}

/// Component `a` goes, with these others.
fn seen(others: &[(&str, &str)]) -> Observed {
    let mut going = component("a", B);
    delete(&mut going);
    let others = others.iter().map(|(name, image)| Arc::new(component(name, image)));
    Observed {
        now: DELETED.parse().unwrap(),
        components: others.chain([Arc::new(going.clone())]).collect(),
        component: Arc::new(going),
        application: Known::There(Arc::new(application())),
        scenarios: vec![],
        namesake: None,
        trace: None,
    }
}

fn created(decision: &Decision<Hold>) -> Snapshot {
    match &decision.writes[0] {
        Write::Create(Create { object, .. }) => from_value(object.clone()).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn is_let_go(write: &Write) -> bool {
    matches!(write, Write::Patch(Patch { body, .. }) if body["metadata"]["finalizers"] == json!([]))
}

/// Lets go, and nothing else.
fn lets_go(decision: &Decision<Hold>) -> bool {
    matches!(&decision.writes[..], [write] if is_let_go(write))
}

#[test]
fn a_component_is_held() {
    let mut seen = seen(&[]);
    let mut here = component("a", B);
    assert!(decide(&Observed { component: Arc::new(here.clone()), ..seen.clone() }).writes.is_empty());
    here.metadata.finalizers = None;
    seen.component = Arc::new(here);
    let decision = decide(&seen);
    let [Write::Patch(patch)] = &decision.writes[..] else { panic!("{decision:?}") };
    assert_eq!(patch.body["metadata"]["finalizers"], json!([FINALIZER]));
}

#[rstest]
#[case::one(&[("b", B), ("never-built", "")], "component")]
#[case::two(&[("b", B), ("c", B)], "composite")]
fn the_others_are_tested_without_it(#[case] others: &[(&str, &str)], #[case] type_: &str) {
    let decision = decide(&seen(others));
    let snapshot = created(&decision);
    assert!(is_let_go(&decision.writes[1]), "after the Snapshot exists");
    assert_eq!(snapshot.labels()["test.appstudio.openshift.io/type"], type_);
    assert!(snapshot.spec.components.iter().all(|entry| entry.name != "a"));
    assert!(crate::origin::Origin::of(&snapshot).is_push());
    assert_eq!(snapshot.annotations()["test.appstudio.openshift.io/status"], "[]");
}

#[test]
fn a_snapshot_that_was_made_before_is_not_made_again() {
    let mut seen = seen(&[("b", B)]);
    let made = created(&decide(&seen));
    seen.namesake = Some(Arc::new(made));
    assert!(lets_go(&decide(&seen)));
}

#[test]
fn a_name_that_is_taken_is_made_longer() {
    let mut seen = seen(&[("b", B)]);
    let name = created(&decide(&seen)).name_any();
    let foreign = json!({"metadata": {"name": name, "namespace": "n"}, "spec": {}});
    seen.namesake = Some(Arc::new(from_value(foreign).unwrap()));
    let longer = created(&decide(&seen)).name_any();
    assert!(longer.starts_with(&name) && longer.len() == name.len() + 5, "{longer}");
}

#[test]
fn the_last_one_goes_without_a_snapshot() {
    assert!(lets_go(&decide(&seen(&[("never-built", "")]))));
}

#[test]
fn with_its_application_it_goes_without_a_snapshot() {
    let mut seen = seen(&[("b", B)]);
    seen.application = Known::Missing;
    assert!(lets_go(&decide(&seen)));
    let mut going = application();
    going.metadata.deletion_timestamp = Some(from_value(json!(DELETED)).unwrap());
    seen.application = Known::There(Arc::new(going));
    assert!(lets_go(&decide(&seen)));
    seen.application = Known::Unknown;
    assert_eq!(decide(&seen), Hold::NotListed.into());
}

#[test]
fn others_that_go_too_are_not_tested() {
    let mut seen = seen(&[("b", B)]);
    delete(Arc::make_mut(&mut seen.components[0]));
    assert!(lets_go(&decide(&seen)));
}

#[test]
fn a_restored_one_is_not_held() {
    let restore = |component: &mut Arc<Component>| {
        let labels = &mut Arc::make_mut(component).metadata.labels;
        labels.get_or_insert_default().insert("velero.io/restore-name".into(), "r".into());
    };
    let mut seen = seen(&[("b", B)]);
    restore(&mut seen.component);
    assert!(lets_go(&decide(&seen)));
    seen.component = Arc::new(component("a", B));
    restore(&mut seen.component);
    assert_eq!(decide(&seen), Hold::Inert.into());
}

fn answer(code: u16, message: &str) -> WriteError {
    let status = kube::core::Status::failure(message, "").with_code(code);
    WriteError::Refused { write: "create".into(), source: kube::Error::Api(status.boxed()) }
}

#[rstest]
#[case::quota(403, "exceeded quota: q", 0, Some(Hold::Quota))]
#[case::quota_for_ten_minutes(403, "exceeded quota: q", 600, Some(Hold::Refused))]
#[case::forbidden(403, "no rule", 0, Some(Hold::Refused))]
#[case::invalid(422, "bad", 0, Some(Hold::Refused))]
#[case::busy(429, "later", 0, None)]
#[case::busy_for_ten_minutes(429, "later", 600, Some(Hold::Refused))]
fn a_deletion_does_not_wait_for_ever(
    #[case] code: u16,
    #[case] message: &str,
    #[case] after: i64,
    #[case] expected: Option<Hold>,
) {
    let mut seen = seen(&[("b", B)]);
    seen.now += SignedDuration::from_secs(after);
    let decision = refused(&seen, &answer(code, message));
    assert_eq!(decision.as_ref().and_then(|decision| decision.hold), expected);
    let Some(decision) = decision.filter(|decision| decision.hold == Some(Hold::Refused)) else { return };
    let [Write::Event(event), write] = &decision.writes[..] else { panic!("{decision:?}") };
    assert!(event.note.contains(message), "{}", event.note);
    assert!(is_let_go(write));
}

#[test]
fn what_is_gone_is_left_alone() {
    let mut seen = seen(&[("b", B)]);
    Arc::make_mut(&mut seen.component).metadata.finalizers = Some(vec!["other.example/finalizer".into()]);
    assert_eq!(decide(&seen), Hold::Gone.into());
}
