//! The RoleBinding by which accounts of single Components get the rights of runs.

use build_service_api::names;
use fleet::Write;
use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use kube::Api;
use serde_json::json;

use super::Error;
use crate::Context;

/// Adds an account to the binding of its namespace, which is made where it is missing.
pub(super) async fn ensure(context: &Context, namespace: &str, account: &str) -> Result<(), Error> {
    let binding = read(context, namespace).await?;
    let write = with_accounts(binding.as_ref(), namespace, &[account.to_owned()], |_| true);
    Ok(context.write(&write.into_iter().collect::<Vec<_>>()).await?)
}

pub(super) async fn read(context: &Context, namespace: &str) -> Result<Option<RoleBinding>, Error> {
    let bindings: Api<RoleBinding> = Api::namespaced(context.client.clone(), namespace);
    let what = || format!("read RoleBinding {namespace}/{}", names::RUNNER_BINDING);
    bindings.get_opt(names::RUNNER_BINDING).await.map_err(|source| Error::Read { what: what(), source })
}

/// The binding with all of `accounts`, and without those accounts of Components that `is_wanted` does not know. Subjects of
/// others stay.
pub(super) fn with_accounts(
    binding: Option<&RoleBinding>,
    namespace: &str,
    accounts: &[String],
    is_wanted: impl Fn(&str) -> bool,
) -> Option<Write> {
    let before = binding.and_then(|binding| binding.subjects.clone()).unwrap_or_default();
    let mut subjects = before.clone();
    subjects.retain(|subject| {
        let is_ours = subject.kind == "ServiceAccount"
            && subject.name.starts_with(names::COMPONENT_SERVICE_ACCOUNT_PREFIX);
        !is_ours || is_wanted(&subject.name)
    });
    for account in accounts {
        let is_there = |subject: &Subject| subject.kind == "ServiceAccount" && subject.name == *account;
        if !subjects.iter().any(is_there) {
            subjects.push(Subject {
                kind: "ServiceAccount".to_owned(),
                name: account.clone(),
                namespace: Some(namespace.to_owned()),
                ..Subject::default()
            });
        }
    }
    if let Some(binding) = binding {
        return (subjects != before).then(|| Write::merge(binding, json!({"subjects": subjects})));
    }
    if subjects.is_empty() {
        return None;
    }
    let mut binding = RoleBinding {
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "ClusterRole".to_owned(),
            name: names::RUNNER_ROLE.to_owned(),
        },
        subjects: Some(subjects),
        ..RoleBinding::default()
    };
    binding.metadata.name = Some(names::RUNNER_BINDING.to_owned());
    binding.metadata.namespace = Some(namespace.to_owned());
    Some(Write::create(&binding))
}

#[cfg(test)]
mod tests {
    use fleet::write::Patch;
    use serde_json::Value;

    use super::*;

    fn binding(subjects: &Value) -> RoleBinding {
        serde_json::from_value(json!({
            "metadata": {"name": names::RUNNER_BINDING, "resourceVersion": "7"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": names::RUNNER_ROLE},
            "subjects": subjects,
        }))
        .unwrap()
    }

    fn subject(name: &str) -> Value {
        json!({"kind": "ServiceAccount", "name": name, "namespace": "n"})
    }

    fn names_after(
        before: &Value,
        accounts: &[&str],
        is_wanted: impl Fn(&str) -> bool,
    ) -> Option<Vec<String>> {
        let accounts: Vec<_> = accounts.iter().map(|name| (*name).to_owned()).collect();
        let write = with_accounts(Some(&binding(before)), "n", &accounts, is_wanted)?;
        let Write::Patch(Patch { body, .. }) = write else { panic!("{write:?}") };
        assert_eq!(body["metadata"]["resourceVersion"], "7");
        let subjects = body["subjects"].as_array().unwrap();
        Some(subjects.iter().map(|subject| subject["name"].as_str().unwrap().to_owned()).collect())
    }

    #[test]
    fn adds_its_own_and_removes_only_its_own() {
        let before = json!([subject("user"), subject("build-pipeline-gone"), subject("build-pipeline-a")]);
        let after = names_after(&before, &["build-pipeline-b"], |name| name != "build-pipeline-gone");
        assert_eq!(after.unwrap(), ["user", "build-pipeline-a", "build-pipeline-b"]);
        assert_eq!(names_after(&before, &["build-pipeline-a"], |_| true), None);
    }

    #[test]
    fn is_made_for_the_first_account() {
        let write = with_accounts(None, "n", &["build-pipeline-a".to_owned()], |_| true).unwrap();
        let Write::Create(create) = write else { panic!("{write:?}") };
        assert_eq!(create.object["roleRef"]["name"], "appstudio-pipelines-runner");
        assert_eq!(create.object["subjects"][0]["name"], "build-pipeline-a");
        assert_eq!(with_accounts(None, "n", &[], |_| true), None);
    }
}
