//! A tenant as YAML: what kustomize makes of the component, the workspace's name and its people.
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{Kind, Tenant};
use crate::{deploy::kustomize_text, paths};

/// All objects of the tenant, the Namespace first. With `authorities` (PEM), `trusted-ca` holds them.
pub async fn yaml(tenant: &Tenant, authorities: Option<&str>) -> anyhow::Result<String> {
    let folder = tempfile::tempdir().context("create a folder for a kustomization")?;
    // Links resolved: the way up is counted in folders.
    let root = folder.path().canonicalize()?;
    let mut resources = Vec::new();
    if !tenant.members.is_empty() {
        let bindings: Vec<String> =
            tenant.members.iter().map(|member| member.binding().to_string()).collect();
        std::fs::write(root.join("members.yaml"), bindings.join("\n---\n"))?;
        resources.push("members.yaml");
    }
    let component = match tenant.kind {
        Kind::Development => "tenant",
        Kind::Managed => "managed-tenant",
    };
    let component = paths::repository()?.join("deploy/kustomize/components").join(component);
    let mut patches = vec![patch("Namespace", &namespace(tenant))];
    if let Some(bundle) = authorities {
        patches.push(patch("ConfigMap", &json!({"data": {"ca-bundle.crt": bundle}})));
    }
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": tenant.workspace.namespace(),
        "resources": resources,
        "components": [relative(&root, &component)],
        "patches": patches,
    });
    std::fs::write(root.join("kustomization.yaml"), kustomization.to_string())?;
    kustomize_text(&root).await
}

/// What the Namespace says of its workspace.
fn namespace(tenant: &Tenant) -> Value {
    let workspace = tenant.workspace.to_string();
    json!({"metadata": {
        "labels": {
            "appstudio.redhat.com/workspace_name": workspace,
            "name": tenant.workspace.namespace(),
        },
        "annotations": {
            "openshift.io/description": workspace,
            "openshift.io/display-name": workspace,
            "openshift.io/requester": workspace,
        },
    }})
}

/// A patch of the one object of this kind.
fn patch(kind: &str, content: &Value) -> Value {
    let mut content = content.clone();
    content["apiVersion"] = json!("v1");
    content["kind"] = json!(kind);
    content["metadata"]["name"] = json!("any");
    json!({"target": {"kind": kind}, "patch": content.to_string()})
}

/// `to` as seen from `from`, both absolute: kustomize takes no other paths.
fn relative(from: &Path, to: &Path) -> String {
    let up = "../".repeat(from.components().count() - 1);
    format!("{up}{}", to.strip_prefix("/").unwrap_or(to).display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        deploy::{Object, objects},
        tenant::{Member, Role},
    };

    async fn rendered(kind: Kind, authorities: Option<&str>) -> Vec<Object> {
        let members = vec![
            Member { role: Role::Admin, who: "alice".parse().unwrap() },
            Member { role: Role::Viewer, who: "group:readers".parse().unwrap() },
        ];
        let tenant = Tenant { workspace: "acme".parse().unwrap(), kind, members };
        objects(&yaml(&tenant, authorities).await.unwrap()).unwrap()
    }

    fn find<'a>(objects: &'a [Object], kind: &str, name: &str) -> &'a Object {
        let found = objects.iter().find(|object| object.kind() == kind && object.name() == name);
        found.unwrap_or_else(|| panic!("no {kind} {name}"))
    }

    #[tokio::test]
    async fn everything_is_in_the_workspace_namespace() {
        for kind in [Kind::Development, Kind::Managed] {
            let objects = rendered(kind, None).await;
            let namespace = find(&objects, "Namespace", "acme-tenant");
            assert_eq!(namespace.label("appstudio.redhat.com/workspace_name"), Some("acme"));
            assert_eq!(namespace.label("name"), Some("acme-tenant"));
            assert_eq!(namespace.label(crate::tenant::KIND), Some(kind.label()));
            assert_eq!(namespace.label(crate::tenant::TYPE.0), Some("tenant"));
            for object in objects.iter().filter(|object| object.kind() != "Namespace") {
                assert_eq!(object.namespace(), Some("acme-tenant"), "{object}");
            }
            let accounts = objects
                .iter()
                .filter(|object| object.kind() == "RoleBinding")
                .flat_map(|binding| binding.content["subjects"].as_array().unwrap())
                .filter(|subject| subject["kind"] == "ServiceAccount");
            for account in accounts {
                assert_eq!(account["namespace"], "acme-tenant", "{account}");
                find(&objects, "ServiceAccount", account["name"].as_str().unwrap());
            }
        }
    }

    #[tokio::test]
    async fn members_are_bound_to_their_roles() {
        let objects = rendered(Kind::Development, None).await;
        let alice = &find(&objects, "RoleBinding", "appstudio-admin-alice-actions-user").content;
        assert_eq!(alice["roleRef"]["name"], "appstudio-admin-user-actions");
        assert_eq!(alice["subjects"][0]["kind"], "User");
        let readers = &find(&objects, "RoleBinding", "appstudio-viewer-readers-actions-group").content;
        assert_eq!(readers["subjects"][0]["kind"], "Group");
    }

    #[tokio::test]
    async fn authorities_are_there_only_when_given() {
        let objects = rendered(Kind::Development, None).await;
        assert_eq!(find(&objects, "ConfigMap", "trusted-ca").content.get("data"), None);
        let objects = rendered(Kind::Managed, Some("PEM\n")).await;
        assert_eq!(find(&objects, "ConfigMap", "trusted-ca").content["data"]["ca-bundle.crt"], "PEM\n");
    }

    #[test]
    fn path_goes_up_to_the_root_and_down() {
        assert_eq!(relative(Path::new("/tmp/x"), Path::new("/srv/c")), "../../srv/c");
    }
}
