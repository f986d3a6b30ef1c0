//! The Secret of a Component's image repository, where image-controller answers by an annotation (section 4.1, steps 1 and 6).

use application_service_api::Component;
use build_service_api::finalizers;
use fleet::Write;
use k8s_openapi::api::core::v1::{LocalObjectReference, ObjectReference, ServiceAccount};
use serde_json::json;

use crate::image;

/// What is missing between a Component and its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    /// Its Secret is linked, then the finalizer added. Empty: there is no Secret, only the finalizer is added.
    Link {
        secret: String,
    },
    /// Its Secret is taken off, then the finalizer removed.
    Unlink {
        secret: String,
    },
}

pub(super) fn need(component: &Component) -> Need {
    let annotated = image::annotated(component).and_then(Result::ok);
    let secret = annotated.as_ref().map(|image| image.secret.trim().to_owned());
    let is_linked = finalizers::SECRET_LINK.is_in(component.metadata.finalizers.as_ref());
    if component.metadata.deletion_timestamp.is_some() {
        return if is_linked { Need::Unlink { secret: secret.unwrap_or_default() } } else { Need::Nothing };
    }
    if is_linked || !is_ready(component) {
        return Need::Nothing;
    }
    let (Some(annotated), Some(secret)) = (annotated, secret) else { return Need::Nothing };
    let given = component.spec.container_image.as_deref().map(image::repository_of).unwrap_or_default();
    let generated = image::repository_of(&annotated.image);
    if generated.is_empty() || !(given.is_empty() || given == generated) {
        return Need::Nothing;
    }
    Need::Link { secret }
}

/// Whether a Component has all that it is built from.
fn is_ready(component: &Component) -> bool {
    let devfile = component.status.as_ref().and_then(|status| status.devfile.as_deref());
    crate::stores::source_url(component).is_some() && devfile.is_some_and(|text| !text.is_empty())
}

/// Both lists of the account with the Secret, or without. Entries of others stay as they are. `None` if nothing changes.
pub(super) fn write(account: &ServiceAccount, need: &Need) -> Option<Write> {
    let (mut secrets, mut pull_secrets) =
        (account.secrets.clone().unwrap_or_default(), account.image_pull_secrets.clone().unwrap_or_default());
    match need {
        Need::Link { secret } if !secret.is_empty() => add(&mut secrets, &mut pull_secrets, secret),
        Need::Unlink { secret } if !secret.is_empty() => {
            secrets.retain(|entry| entry.name.as_deref() != Some(secret));
            pull_secrets.retain(|entry| entry.name != *secret);
        }
        _ => return None,
    }
    changed(account, &secrets, &pull_secrets)
}

/// Adds a Secret to both lists of an account where it is missing.
pub(super) fn add(
    secrets: &mut Vec<ObjectReference>,
    pull_secrets: &mut Vec<LocalObjectReference>,
    name: &str,
) {
    if secrets.iter().all(|entry| entry.name.as_deref() != Some(name)) {
        secrets.push(ObjectReference { name: Some(name.to_owned()), ..ObjectReference::default() });
    }
    if pull_secrets.iter().all(|entry| entry.name != name) {
        pull_secrets.push(LocalObjectReference { name: name.to_owned() });
    }
}

/// The write of these lists, under the version that was read: others add to them too.
pub(super) fn changed(
    account: &ServiceAccount,
    secrets: &[ObjectReference],
    pull_secrets: &[LocalObjectReference],
) -> Option<Write> {
    let is_same = account.secrets.as_deref().unwrap_or_default() == secrets
        && account.image_pull_secrets.as_deref().unwrap_or_default() == pull_secrets;
    (!is_same).then(|| Write::merge(account, json!({"secrets": secrets, "imagePullSecrets": pull_secrets})))
}

#[cfg(test)]
mod tests {
    use fleet::write::Patch;
    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    const LINKED: &str = "image-registry-secret-sa-link.component.appstudio.openshift.io/finalizer";

    fn component(changes: &Value) -> Component {
        let mut component = json!({
            "metadata": {
                "name": "c",
                "annotations": {"image.redhat.com/image": "{\"image\":\"quay.io/a/b\",\"secret\":\"s\"}"},
            },
            "spec": {"source": {"git": {"url": "https://git.example/a/b"}}},
            "status": {"devfile": "x"},
        });
        json_patch::merge(&mut component, changes);
        serde_json::from_value(component).unwrap()
    }

    fn link(secret: &str) -> Need {
        Need::Link { secret: secret.to_owned() }
    }

    fn unlink(secret: &str) -> Need {
        Need::Unlink { secret: secret.to_owned() }
    }

    fn image(text: &str) -> Value {
        json!({"metadata": {"annotations": {"image.redhat.com/image": text}}})
    }

    const DELETED: &str = "2024-01-01T00:00:00Z";

    #[rstest]
    #[case::generated(json!({}), link("s"))]
    #[case::linked(json!({"metadata": {"finalizers": [LINKED]}}), Need::Nothing)]
    #[case::same_repository(json!({"spec": {"containerImage": "quay.io/a/b:1"}}), link("s"))]
    #[case::another_repository(json!({"spec": {"containerImage": "quay.io/a/c"}}), Need::Nothing)]
    #[case::no_secret(image("{\"image\":\"quay.io/a/b\"}"), link(""))]
    #[case::no_image(image("{\"secret\":\"s\"}"), Need::Nothing)]
    #[case::garbage(image("{"), Need::Nothing)]
    #[case::no_annotation(json!({"metadata": {"annotations": null}}), Need::Nothing)]
    #[case::no_source(json!({"spec": {"source": null}}), Need::Nothing)]
    #[case::no_model(json!({"status": null}), Need::Nothing)]
    #[case::deleted(json!({"metadata": {"finalizers": [LINKED], "deletionTimestamp": DELETED}}), unlink("s"))]
    #[case::deleted_with_garbage(json!({"metadata": {
        "finalizers": [LINKED], "deletionTimestamp": DELETED, "annotations": {"image.redhat.com/image": "{"},
    }}), unlink(""))]
    #[case::deleted_unlinked(json!({"metadata": {"deletionTimestamp": DELETED}}), Need::Nothing)]
    fn what_is_missing(#[case] changes: Value, #[case] expected: Need) {
        assert_eq!(need(&component(&changes)), expected);
    }

    fn account() -> ServiceAccount {
        serde_json::from_value(json!({
            "metadata": {"name": "a", "resourceVersion": "7", "uid": "u"},
            "secrets": [{"name": "other"}, {"name": "both"}],
            "imagePullSecrets": [{"name": "pull"}, {"name": "both"}],
        }))
        .unwrap()
    }

    fn written(need: &Need) -> Option<Value> {
        write(&account(), need).map(|write| match write {
            Write::Patch(Patch { body, .. }) => body,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn entries_of_others_stay_and_the_version_is_named() {
        assert_eq!(
            written(&link("s")).unwrap(),
            json!({
                "metadata": {"resourceVersion": "7", "uid": "u"},
                "secrets": [{"name": "other"}, {"name": "both"}, {"name": "s"}],
                "imagePullSecrets": [{"name": "pull"}, {"name": "both"}, {"name": "s"}],
            })
        );
        let body = written(&unlink("both")).unwrap();
        assert_eq!(body["secrets"], json!([{"name": "other"}]));
        assert_eq!(body["imagePullSecrets"], json!([{"name": "pull"}]));
    }

    #[rstest]
    #[case::linked_already(link("both"))]
    #[case::none(link(""))]
    #[case::free_already(unlink("s"))]
    #[case::nothing_to_take_off(unlink(""))]
    fn nothing_is_written_that_changes_nothing(#[case] need: Need) {
        assert_eq!(written(&need), None);
    }
}
