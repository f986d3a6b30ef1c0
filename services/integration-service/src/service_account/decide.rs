//! What an account lacks.

use std::sync::Arc;

use fleet::{ObjectKey, Write};
use image_controller_api::names::NAMESPACE_PULL_SECRET;
use k8s_openapi::api::core::v1::{LocalObjectReference, ServiceAccount};
use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use kube::api::ObjectMeta;
use serde_json::json;

/// What the decision looks at.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    /// The account's.
    pub(super) key: ObjectKey,
    /// Whether its namespace has any that stay.
    pub(super) has_applications: bool,
    pub(super) account: Option<Arc<ServiceAccount>>,
    /// Of the same name.
    pub(super) binding: Option<Arc<RoleBinding>>,
}

/// The account with the Secret to pull by, and its binding to the `ClusterRole` of its name. Others may have made both, and may have put more
/// into them: that stays.
pub(super) fn decide(seen: &Observed) -> Vec<Write> {
    if !seen.has_applications {
        return Vec::new();
    }
    let account = match seen.account.as_deref() {
        None => Some(Write::create(&account(&seen.key))),
        Some(account) => with_pull_secret(account),
    };
    let binding = match seen.binding.as_deref() {
        None => Some(Write::create(&binding(&seen.key))),
        Some(binding) => with_subject(binding, &seen.key),
    };
    account.into_iter().chain(binding).collect()
}

fn metadata(key: &ObjectKey) -> ObjectMeta {
    ObjectMeta {
        name: Some(key.name.clone()),
        namespace: Some(key.namespace.clone()),
        ..ObjectMeta::default()
    }
}

fn account(key: &ObjectKey) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(key),
        image_pull_secrets: Some(vec![pull_secret()]),
        ..ServiceAccount::default()
    }
}

fn pull_secret() -> LocalObjectReference {
    LocalObjectReference { name: NAMESPACE_PULL_SECRET.to_owned() }
}

/// The list is written as a whole, so only if nobody else has written since.
fn with_pull_secret(account: &ServiceAccount) -> Option<Write> {
    let mut secrets = account.image_pull_secrets.clone().unwrap_or_default();
    let is_there = secrets.contains(&pull_secret()) || account.metadata.deletion_timestamp.is_some();
    secrets.push(pull_secret());
    (!is_there).then(|| Write::merge(account, json!({"imagePullSecrets": secrets})))
}

fn binding(key: &ObjectKey) -> RoleBinding {
    RoleBinding {
        metadata: metadata(key),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "ClusterRole".to_owned(),
            name: key.name.clone(),
        },
        subjects: Some(vec![subject(key)]),
    }
}

fn subject(key: &ObjectKey) -> Subject {
    Subject {
        api_group: None,
        kind: "ServiceAccount".to_owned(),
        name: key.name.clone(),
        namespace: Some(key.namespace.clone()),
    }
}

/// `None` also if it is for another role: that cannot be changed, and somebody meant it.
fn with_subject(binding: &RoleBinding, key: &ObjectKey) -> Option<Write> {
    let mut subjects = binding.subjects.clone().unwrap_or_default();
    let ours = subject(key);
    let is_same = |other: &Subject| {
        (&other.kind, &other.name, &other.namespace) == (&ours.kind, &ours.name, &ours.namespace)
    };
    let is_right = binding.role_ref.name == key.name && binding.metadata.deletion_timestamp.is_none();
    if subjects.iter().any(is_same) || !is_right {
        return None;
    }
    subjects.push(ours);
    Some(Write::merge(binding, json!({"subjects": subjects})))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleet::write::PatchKind;
    use rstest::rstest;
    use serde_json::{Value, from_value};

    const NAME: &str = "konflux-integration-runner";

    fn seen(account: Option<Value>, binding: Option<Value>) -> Observed {
        let metadata = json!({"name": NAME, "namespace": "n", "uid": "u", "resourceVersion": "3"});
        let object = |mut object: Value| {
            object["metadata"] = metadata.clone();
            object
        };
        Observed {
            key: ObjectKey::new("n", NAME),
            has_applications: true,
            account: account.map(|account| from_value(object(account)).unwrap()),
            binding: binding.map(|binding| from_value(object(binding)).unwrap()),
        }
    }

    fn role_ref(name: &str) -> Value {
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name})
    }

    /// Kinds of what is created, and bodies of patches.
    fn summary(writes: Vec<Write>) -> Vec<Value> {
        let of = |write: Write| match write {
            Write::Create(create) => json!(create.resource.kind),
            Write::Patch(patch) => {
                assert_eq!(
                    (patch.kind, &patch.body["metadata"]["resourceVersion"]),
                    (PatchKind::Merge, &json!("3"))
                );
                let mut body = patch.body;
                body.as_object_mut().unwrap().remove("metadata");
                body
            }
            other => panic!("{other:?}"),
        };
        writes.into_iter().map(of).collect()
    }

    #[test]
    fn both_are_made() {
        assert_eq!(summary(decide(&seen(None, None))), [json!("ServiceAccount"), json!("RoleBinding")]);
    }

    #[test]
    fn nothing_is_made_where_there_is_no_application() {
        assert_eq!(decide(&Observed { has_applications: false, ..seen(None, None) }), []);
    }

    #[rstest]
    #[case::bare(json!({}), json!({"roleRef": role_ref(NAME)}), vec![
        json!({"imagePullSecrets": [{"name": "components-namespace-pull"}]}),
        json!({"subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": "n"}]}),
    ])]
    #[case::of_others(
        json!({"imagePullSecrets": [{"name": "shop-pull"}]}),
        json!({"roleRef": role_ref(NAME), "subjects": [{"kind": "User", "name": "alice"}]}),
        vec![
            json!({"imagePullSecrets": [{"name": "shop-pull"}, {"name": "components-namespace-pull"}]}),
            json!({"subjects": [
                {"kind": "User", "name": "alice"}, {"kind": "ServiceAccount", "name": NAME, "namespace": "n"},
            ]}),
        ],
    )]
    #[case::complete(
        json!({"imagePullSecrets": [{"name": "components-namespace-pull"}]}),
        json!({"roleRef": role_ref(NAME), "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": "n"}]}),
        vec![],
    )]
    #[case::for_another_role(
        json!({"imagePullSecrets": [{"name": "components-namespace-pull"}]}), json!({"roleRef": role_ref("view")}), vec![],
    )]
    fn what_is_there_gets_what_it_lacks(
        #[case] account: Value,
        #[case] binding: Value,
        #[case] expected: Vec<Value>,
    ) {
        assert_eq!(summary(decide(&seen(Some(account), Some(binding)))), expected);
    }
}
