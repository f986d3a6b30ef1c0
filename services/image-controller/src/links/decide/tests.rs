use fleet::write::Patch;

use super::*;

fn made(name: &str, with: &[(&str, &str)], is_going: bool) -> Arc<ImageRepository> {
    let mut json = json!({
        "metadata": {"name": name, "namespace": "team", "uid": name},
        "spec": {},
        "status": {"state": "ready", "credentials": {
            "push-secret": format!("{name}-image-push"), "push-robot-account": "r",
        }},
    });
    for (key, value) in with {
        json["status"]["credentials"][*key] = json!(value);
    }
    if is_going {
        json["metadata"]["deletionTimestamp"] = json!("2024-01-01T00:00:00Z");
    }
    Arc::new(serde_json::from_value(json).unwrap())
}

fn account(name: &str, secrets: &[&str], pull: &[&str]) -> Arc<ServiceAccount> {
    let entries = |names: &[&str]| names.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>();
    let metadata = json!({"name": name, "namespace": "team", "uid": "a", "resourceVersion": "5"});
    let json = json!({"metadata": metadata, "secrets": entries(secrets), "imagePullSecrets": entries(pull)});
    Arc::new(serde_json::from_value(json).unwrap())
}

fn seen(
    name: &str,
    account: Option<Arc<ServiceAccount>>,
    image_repositories: &[Arc<ImageRepository>],
) -> Observed {
    Observed {
        key: ObjectKey::new("team", name),
        account,
        image_repositories: image_repositories.to_vec(),
        build_accounts: BuildAccounts::Tenant,
    }
}

fn body(write: Option<Write>) -> Value {
    match write {
        Some(Write::Patch(Patch { mut body, .. })) => {
            body.as_object_mut().unwrap().remove("metadata");
            body
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_write_links_all_and_unlinks_what_goes() {
    let pipeline = account("appstudio-pipeline", &["mine", "old-image-push", "b-image-push"], &[]);
    let all = [made("a", &[], false), made("b", &[], false), made("old", &[], true), made("c", &[], false)];
    let write = decide(&seen("appstudio-pipeline", Some(pipeline), &all));
    assert!(matches!(&write, Some(Write::Patch(patch)) if patch.kind == PatchKind::Strategic));
    assert_eq!(
        body(write),
        json!({"secrets": [
            {"name": "a-image-push"}, {"name": "c-image-push"}, {"$patch": "delete", "name": "old-image-push"},
        ]})
    );
}

#[test]
fn what_pulls_goes_to_the_account_of_workloads() {
    let both = made("a", &[("pull-secret", "a-image-pull")], false);
    let write = decide(&seen("default", Some(account("default", &[], &["mine"])), &[both]));
    assert!(
        matches!(&write, Some(Write::Patch(patch)) if patch.body["metadata"]["resourceVersion"] == "5"),
        "the whole list is written: {write:?}"
    );
    assert_eq!(body(write), json!({"imagePullSecrets": [{"name": "mine"}, {"name": "a-image-pull"}]}));
}

#[test]
fn nothing_to_do_is_no_write() {
    let linked = account("appstudio-pipeline", &["a-image-push"], &[]);
    assert_eq!(decide(&seen("appstudio-pipeline", Some(linked), &[made("a", &[], false)])), None);
    let remote = made("a", &[("push-remote-secret", "a-image-push")], false);
    let empty = account("appstudio-pipeline", &[], &[]);
    assert_eq!(decide(&seen("appstudio-pipeline", Some(empty), &[remote])), None);
}

#[test]
fn only_the_account_of_builds_is_made() {
    let all = [made("a", &[("pull-secret", "a-image-pull")], false)];
    let made_account = decide(&seen("appstudio-pipeline", None, &all));
    assert!(matches!(made_account, Some(Write::Create(_))), "{made_account:?}");
    assert_eq!(decide(&seen("default", None, &all)), None);
    assert_eq!(decide(&seen("appstudio-pipeline", None, &[made("a", &[], true)])), None);
}

#[test]
fn knows_what_is_linked() {
    let object = made("a", &[("pull-secret", "a-image-pull")], false);
    let pipeline = account("appstudio-pipeline", &["a-image-push"], &[]);
    let default = |pull: &[&str]| account("default", &[], pull);
    let tenant = BuildAccounts::Tenant;
    assert!(!has_all(&object, &[pipeline.clone(), default(&[])], tenant));
    assert!(has_any(&object, &[pipeline.clone(), default(&[])], tenant));
    assert!(has_all(&object, &[pipeline, default(&["a-image-pull"])], tenant));
    assert!(!has_any(&object, &[default(&["other"])], tenant));
}

#[test]
fn with_an_account_per_component_only_its_pushing_is_linked() {
    let mut object = (*made("a", &[("pull-secret", "a-image-pull")], false)).clone();
    assert_eq!(accounts_of(&object, BuildAccounts::PerComponent), []);
    object.metadata.labels = Some([("appstudio.redhat.com/component".to_owned(), "web".to_owned())].into());
    let accounts = accounts_of(&object, BuildAccounts::PerComponent);
    assert_eq!(accounts, [ObjectKey::new("team", "build-pipeline-web")]);
}

#[test]
fn verifying_drops_repetitions_and_what_is_in_the_wrong_list() {
    let object = made("a", &[], false);
    let messy =
        account("appstudio-pipeline", &["x", "a-image-push", "a-image-push", "x"], &["a-image-push", "y"]);
    assert_eq!(
        body(verify(&messy, &object, BuildAccounts::Tenant)),
        json!({
            "secrets": [{"name": "x"}, {"name": "a-image-push"}, {"name": "x"}],
            "imagePullSecrets": [{"name": "y"}],
        })
    );
    let tidy = account("appstudio-pipeline", &["x", "a-image-push"], &["y"]);
    assert_eq!(verify(&tidy, &object, BuildAccounts::Tenant), None);
}

#[test]
fn a_copy_from_a_backup_is_not_linked() {
    let mut copy = (*made("a", &[], false)).clone();
    copy.metadata.labels = Some([("velero.io/restore-name".to_owned(), "daily".to_owned())].into());
    assert_eq!(accounts_of(&copy, BuildAccounts::Tenant), []);
}
