use rstest::rstest;
use serde_json::{Value, json};

use super::*;

const CREATED: &str = "2024-01-01T00:00:00Z";

fn at(seconds: i64) -> Timestamp {
    CREATED.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

/// Merges `with` (RFC 7386) into an object of namespace `team` that was just created.
fn object(with: &Value) -> ImageRepository {
    let mut json = json!({
        "metadata": {
            "name": "web", "namespace": "team", "uid": "u1", "resourceVersion": "7", "generation": 2,
            "creationTimestamp": CREATED,
        },
        "spec": {},
    });
    merge(&mut json, with);
    serde_json::from_value(json).unwrap()
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                if value.is_null() {
                    into.remove(key);
                } else {
                    merge(into.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (into, from) => *into = from.clone(),
    }
}

const FINALIZER: &str = "appstudio.openshift.io/image-repository";

/// One that is made.
fn ready(with: &Value) -> ImageRepository {
    let mut json = json!({
        "metadata": {
            "finalizers": [FINALIZER],
            "annotations": {"fleet.konflux-ci.dev/uid": "u1", "fleet.konflux-ci.dev/repository": "team/web"},
        },
        "spec": {"image": {"name": "team/web", "visibility": "public"}},
        "status": {
            "state": "ready",
            "image": {"url": "images.example/org/team/web", "visibility": "public"},
            "credentials": {
                "generationTimestamp": CREATED, "push-robot-account": "r", "push-secret": "web-image-push",
            },
        },
    });
    merge(&mut json, with);
    object(&json)
}

fn of_component(with: &Value) -> Value {
    let mut json = json!({"metadata": {"labels": {
        "appstudio.redhat.com/application": "shop", "appstudio.redhat.com/component": "web",
    }}});
    merge(&mut json, with);
    json
}

fn component(with: &Value) -> ComponentSeen {
    let mut json = json!({
        "metadata": {"name": "web", "namespace": "team", "uid": "c1", "resourceVersion": "3"},
        "spec": {"componentName": "web", "application": "shop"},
    });
    merge(&mut json, with);
    ComponentSeen::Found(Arc::new(serde_json::from_value(json).unwrap()))
}

fn seen(object: ImageRepository) -> Observed {
    Observed {
        now: at(10),
        image_repository: Arc::new(object),
        component: ComponentSeen::NotAsked,
        delivery: Some(Delivery::Secret),
        accounts: Vec::new(),
        is_linked: true,
        is_link_left: false,
        is_shared: false,
        is_last: false,
        look_up_at: at(1000),
        build_accounts: BuildAccounts::Tenant,
        clean_up_limit: SignedDuration::from_mins(10),
    }
}

fn settled(seen: &Observed) -> Decision<Hold> {
    match decide(seen) {
        Next::Settle(decision) => decision,
        other => panic!("{other:?}"),
    }
}

/// The bodies of the patches.
fn bodies(decision: &Decision<Hold>) -> Vec<Value> {
    let patches = decision.writes.iter().filter_map(|write| match write {
        Write::Patch(patch) => {
            let mut body = patch.body.clone();
            if let Some(metadata) = body["metadata"].as_object_mut() {
                metadata.retain(|key, _| !["uid", "resourceVersion"].contains(&key.as_str()));
            }
            if body["metadata"].as_object().is_some_and(serde_json::Map::is_empty) {
                body.as_object_mut().unwrap().remove("metadata");
            }
            Some(body)
        }
        _ => None,
    });
    patches.collect()
}

#[test]
fn the_first_write_claims_the_name() {
    let decision = settled(&seen(object(&json!({}))));
    assert_eq!(
        bodies(&decision),
        [json!({
            "metadata": {
                "finalizers": [FINALIZER],
                "annotations": {"fleet.konflux-ci.dev/repository": "team/web", "fleet.konflux-ci.dev/uid": "u1"},
            },
            "spec": {"image": {"name": "team/web", "visibility": "public"}},
        })]
    );
}

#[test]
fn one_of_a_component_is_owned_and_named_by_it() {
    let mut seen = seen(object(&of_component(&json!({}))));
    seen.component = component(&json!({}));
    let body = &bodies(&settled(&seen))[0];
    assert_eq!(body["spec"]["image"]["name"], "team/shop/web");
    assert_eq!(body["metadata"]["ownerReferences"][0]["uid"], "c1");
    assert_eq!(body["metadata"]["labels"], Value::Null);
}

#[test]
fn what_a_tool_keeps_in_sync_gets_no_owner_and_the_application_comes_from_the_component() {
    let labels = json!({"appstudio.redhat.com/component": "web"});
    let mut seen = seen(object(&json!({"metadata": {"labels": labels}})));
    seen.component =
        component(&json!({"metadata": {"annotations": {"argocd.argoproj.io/tracking-id": "x"}}}));
    let body = &bodies(&settled(&seen))[0];
    assert_eq!(body["metadata"]["ownerReferences"], Value::Null);
    assert_eq!(body["metadata"]["labels"]["appstudio.redhat.com/application"], "shop");
    assert_eq!(body["spec"]["image"]["name"], "team/shop/web");
}

fn claimed(with: &Value) -> ImageRepository {
    let mut json = json!({"metadata": {
        "finalizers": [FINALIZER],
        "annotations": {"fleet.konflux-ci.dev/repository": "team/web", "fleet.konflux-ci.dev/uid": "u1"},
    }});
    merge(&mut json, with);
    object(&json)
}

#[test]
fn what_is_claimed_is_made_under_that_name_whatever_the_spec_says_since() {
    let renamed = claimed(&json!({"spec": {"image": {"name": "other", "visibility": "private"}}}));
    let Next::Provision(plan) = decide(&seen(renamed)) else { panic!() };
    assert_eq!(plan.repository.as_str(), "team/web");
    assert_eq!((plan.visibility, plan.pull, plan.delivery), (Visibility::Private, None, Delivery::Secret));
    assert_eq!(plan.push, plan.repository.push_robot("u1"));
}

#[test]
fn nothing_is_made_while_it_is_not_known_how_to_deliver() {
    let mut seen = seen(claimed(&json!({})));
    seen.delivery = None;
    assert_eq!(settled(&seen).hold, Some(Hold::NotListed));
}

#[rstest]
#[case::in_a_moment(10, None, Some(120))]
#[case::after_two_minutes(130, Some("waiting"), Some(3600))]
#[case::after_an_hour(3601, Some("failed"), None)]
fn a_missing_component_is_waited_for(
    #[case] age: i64,
    #[case] state: Option<&str>,
    #[case] wakes_at: Option<i64>,
) {
    let mut seen = seen(object(&of_component(&json!({}))));
    seen.component = ComponentSeen::Missing;
    seen.now = at(age);
    let decision = settled(&seen);
    let status = bodies(&decision).into_iter().find(|body| body["status"].is_object()).unwrap();
    assert_eq!(status["status"]["message"], "Component 'web' does not exist");
    assert_eq!(status["status"]["state"].as_str(), state);
    assert_eq!(decision.wake, wakes_at.map_or(Wake::OnChange, |seconds| Wake::At(at(seconds))));
}

#[rstest]
#[case::same_spec("2", false)]
#[case::another_spec("1", true)]
#[case::let_fail_by_the_original("", false)]
fn what_failed_is_tried_again_with_another_spec(#[case] failed: &str, #[case] is_tried: bool) {
    let object = claimed(&json!({
        "metadata": {"annotations": {"fleet.konflux-ci.dev/failed-generation": failed}},
        "status": {"state": "failed", "message": "no"},
    }));
    let next = decide(&seen(object));
    assert_eq!(matches!(next, Next::Provision(_)), is_tried, "{next:?}");
}

#[test]
fn another_name_of_one_that_failed_is_claimed_anew() {
    let object = claimed(&json!({
        "metadata": {"annotations": {"fleet.konflux-ci.dev/failed-generation": "1"}},
        "spec": {"image": {"name": "short"}},
        "status": {"state": "failed"},
    }));
    let body = &bodies(&settled(&seen(object)))[0];
    assert_eq!(body["metadata"]["annotations"]["fleet.konflux-ci.dev/repository"], "team/short");
    assert_eq!(body["metadata"]["finalizers"], json!([FINALIZER]));
}

#[test]
fn a_failure_is_written_down_before_it_is_shown() {
    let writes = fail(&object(&json!({})), "no");
    let [Write::Patch(first), Write::Patch(second), Write::Event(event)] = writes.as_slice() else {
        panic!("{writes:?}")
    };
    assert_eq!(first.body["metadata"]["annotations"]["fleet.konflux-ci.dev/failed-generation"], "2");
    assert_eq!(second.body["status"], json!({"state": "failed", "message": "no"}));
    assert_eq!(event.reason, "ImageRepositoryFailed");
}

#[test]
fn what_is_as_it_should_be_is_left_alone() {
    let decision = settled(&seen(ready(&json!({}))));
    assert_eq!((decision.hold, decision.writes), (Some(Hold::UpToDate), vec![]));
    assert_eq!(decision.wake, Wake::At(at(1000)));
}

#[rstest]
#[case::renamed(json!({"spec": {"image": {"name": "team/other"}}}), Some("team/web"))]
#[case::of_another_tenant(json!({"spec": {"image": {"name": "other/web"}}}), Some("team/web"))]
#[case::without_name(json!({"spec": {"image": {"name": null}}}), Some("team/web"))]
#[case::short(json!({"spec": {"image": {"name": "web"}}}), None)]
fn a_name_goes_back(#[case] with: Value, #[case] expected: Option<&str>) {
    let written = bodies(&settled(&seen(ready(&with))));
    assert_eq!(written.first().and_then(|body| body["spec"]["image"]["name"].as_str()), expected);
}

#[rstest]
#[case::lost_robot(json!({"status": {"credentials": {"push-robot-account": null}}}))]
#[case::lost_url(json!({"status": {"image": {"url": null}}}))]
#[case::foreign_url(json!({
    "status": {"image": {"url": "images.example/org/other/web"}},
    "metadata": {"annotations": {"fleet.konflux-ci.dev/repository": null}},
}))]
fn what_lost_its_fields_is_damaged(#[case] with: Value) {
    let written = bodies(&settled(&seen(ready(&with))));
    assert_eq!(written[0]["status"]["state"], "damaged");
}

#[test]
fn without_its_finalizer_it_is_made_again() {
    let written = bodies(&settled(&seen(ready(&json!({"metadata": {"finalizers": null}})))));
    assert_eq!(written, [json!({"status": {"state": null}})]);
}

#[test]
fn a_missing_one_is_looked_for_now_and_then() {
    let missing = || ready(&json!({"status": {"state": "missing", "message": "gone"}}));
    assert_eq!(settled(&seen(missing())).wake, Wake::At(at(1000)));
    let mut later = seen(missing());
    later.now = at(1000);
    assert!(matches!(decide(&later), Next::LookUp(_)));
}

#[rstest]
#[case::other_visibility(json!({"spec": {"image": {"visibility": "private"}}}), "SetVisibility")]
#[case::word_of_a_later_version(json!({"spec": {"image": {"visibility": "internal"}}}), "SetVisibility")]
#[case::new_token(json!({"spec": {"credentials": {"regenerate-token": true}}}), "BeginRotation([Push])")]
#[case::new_tokens(
    json!({
        "spec": {"credentials": {"regenerate-token": true}},
        "status": {"credentials": {"pull-robot-account": "p"}},
    }),
    "BeginRotation([Push, Pull])"
)]
#[case::noted_tokens(
    json!({
        "spec": {"credentials": {"regenerate-token": true}},
        "metadata": {"annotations": {"fleet.konflux-ci.dev/rotated": "push=00"}},
    }),
    "Rotate("
)]
#[case::no_token_of_the_namespace(
    json!({"spec": {"credentials": {"regenerate-namespace-pull-token": true}}}),
    "Settle("
)]
#[case::notifications(json!({"spec": {"notifications": [{"title": "a"}]}}), "Notify")]
fn does_what_is_asked(#[case] with: Value, #[case] expected: &str) {
    let next = format!("{:?}", decide(&seen(ready(&with))));
    assert!(next.starts_with(expected), "{next}");
}

#[test]
fn a_note_of_tokens_that_nobody_wants_replaced_goes() {
    let object = ready(&json!({"metadata": {"annotations": {"fleet.konflux-ci.dev/rotated": "push=00"}}}));
    let written = bodies(&settled(&seen(object)));
    assert_eq!(written, [json!({"metadata": {"annotations": {"fleet.konflux-ci.dev/rotated": null}}})]);
}

#[test]
fn with_accounts_of_their_own_all_join_the_namespace() {
    let mut seen = seen(ready(&json!({})));
    seen.build_accounts = BuildAccounts::PerComponent;
    assert!(matches!(decide(&seen), Next::JoinNamespace(_)));
}

const UPDATE: &str = "image-controller.appstudio.redhat.com/update-component-image";

fn asked_for_image() -> ImageRepository {
    ready(&of_component(&json!({"metadata": {"annotations": {UPDATE: "true"}}})))
}

#[rstest]
#[case::none(json!({}), true)]
#[case::another_repository(json!({"spec": {"containerImage": "images.example/org/team/web2:v1"}}), true)]
#[case::same(json!({"spec": {"containerImage": "images.example/org/team/web"}}), false)]
#[case::tag_of_the_same(json!({"spec": {"containerImage": "images.example/org/team/web:v1@sha256:00"}}), false)]
fn the_component_takes_another_repository_only(#[case] with: Value, #[case] takes: bool) {
    let mut seen = seen(asked_for_image());
    seen.component = component(&with);
    let written = bodies(&settled(&seen));
    let image = json!({"spec": {"containerImage": "images.example/org/team/web"}});
    assert_eq!(written.contains(&image), takes, "{written:?}");
    assert_eq!(written.last(), Some(&json!({"metadata": {"annotations": {UPDATE: null}}})));
}

#[test]
fn the_component_waits_for_links_but_not_for_ever() {
    let mut seen = seen(asked_for_image());
    seen.component = component(&json!({}));
    seen.is_linked = false;
    let decision = settled(&seen);
    assert_eq!((decision.hold, decision.wake), (Some(Hold::NotLinked), Wake::At(at(120))));
    seen.now = at(120);
    let written = bodies(&settled(&seen));
    assert_eq!(written[0]["status"]["message"], messages::NOT_LINKED);
    assert_eq!(written.len(), 3, "{written:?}");
}

fn going(with: &Value) -> ImageRepository {
    let mut json = json!({"metadata": {"deletionTimestamp": CREATED, "deletionGracePeriodSeconds": 0}});
    merge(&mut json, with);
    ready(&json)
}

fn plan(seen: &Observed) -> CleanUp {
    match decide(seen) {
        Next::CleanUp(plan) => plan,
        other => panic!("{other:?}"),
    }
}

#[test]
fn links_go_before_accounts() {
    let mut seen = seen(going(&json!({})));
    seen.is_link_left = true;
    let decision = settled(&seen);
    assert_eq!((decision.hold, decision.wake), (Some(Hold::Unlinking), Wake::At(at(600))));
    seen.now = at(600);
    assert!(plan(&seen).repository.is_some());
}

#[rstest]
#[case::alone(json!({}), false, true)]
#[case::used_by_another(json!({}), true, false)]
#[case::asked_to_keep(
    json!({"metadata": {"annotations": {"image-controller.appstudio.redhat.com/skip-repository-deletion": "true"}}}),
    false,
    false
)]
fn the_repository_goes_unless_somebody_wants_it(
    #[case] with: Value,
    #[case] is_shared: bool,
    #[case] goes: bool,
) {
    let mut seen = seen(going(&with));
    seen.is_shared = is_shared;
    let plan = plan(&seen);
    assert_eq!(plan.repository.is_some(), goes);
    assert_eq!(plan.robots.len(), 1);
}

#[test]
fn what_a_status_says_of_robots_is_believed_of_the_original_only_and_within_reason() {
    let of_original = |push: &str| {
        going(&json!({
            "metadata": {"annotations": {"fleet.konflux-ci.dev/uid": null}},
            "status": {"credentials": {"push-robot-account": push}},
        }))
    };
    assert_eq!(plan(&seen(of_original("team_web_0123456789"))).robots, ["team_web_0123456789"]);
    let derived = RepositoryName::parse("team", "team/web").unwrap().push_robot("u1");
    assert_eq!(plan(&seen(of_original("other_web_0123456789"))).robots, std::slice::from_ref(&derived));
    let of_ours = going(&json!({"status": {"credentials": {"push-robot-account": "team_web_0123456789"}}}));
    assert_eq!(plan(&seen(of_ours)).robots, [derived]);
}

#[test]
fn one_that_was_made_halfway_is_cleaned_up_by_its_record() {
    let object = going(&of_component(&json!({"status": null})));
    let plan = plan(&seen(object));
    assert_eq!(plan.repository.as_ref().map(RepositoryName::as_str), Some("team/web"));
    assert_eq!(plan.robots.len(), 2);
}

#[rstest]
#[case::other_uid(json!({"metadata": {"annotations": {"fleet.konflux-ci.dev/uid": "u0"}}}))]
#[case::velero(json!({"metadata": {"labels": {"velero.io/restore-name": "daily"}}}))]
fn a_copy_from_a_backup_does_nothing_and_goes_quietly(#[case] with: Value) {
    let decision = settled(&seen(ready(&with)));
    assert_eq!(bodies(&decision), [json!({"status": {"message": messages::RESTORED}})]);
    let decision = settled(&seen(going(&with)));
    assert_eq!(bodies(&decision), [json!({"metadata": {"finalizers": []}})]);
}
