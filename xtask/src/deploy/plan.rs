//! The order in which an overlay's objects are applied.
use super::Object;

/// Marks the namespaces of our services.
const NAMESPACE_TYPE: &str = "appstudio.redhat.com/namespacetype";

/// Kinds that others need when they start, in this order; the rest comes after them.
const FIRST: [&str; 10] = [
    "PriorityClass",
    "ServiceAccount",
    "ClusterRole",
    "Role",
    "ClusterRoleBinding",
    "RoleBinding",
    "ConfigMap",
    "Secret",
    "PersistentVolumeClaim",
    "Service",
];

/// API groups that are no configuration of ours although CRDs serve them.
const FOREIGN: [&str; 2] = ["monitoring.coreos.com", "cert-manager.io"];

/// Objects by stage; within a stage in the order to apply.
#[derive(Debug, Default)]
pub struct Plan {
    pub namespaces: Vec<Object>,
    /// `CustomResourceDefinition`s.
    pub definitions: Vec<Object>,
    pub services: Vec<Object>,
    /// Objects of the kinds that the services bring. Applied when their webhooks answer.
    pub configuration: Vec<Object>,
}

impl Plan {
    pub fn of(objects: Vec<Object>) -> Self {
        let mut plan = Self::default();
        for object in objects {
            let stage = match object.kind() {
                "Namespace" => &mut plan.namespaces,
                "CustomResourceDefinition" => &mut plan.definitions,
                _ if is_configuration(object.group()) => &mut plan.configuration,
                _ => &mut plan.services,
            };
            stage.push(object);
        }
        // Stable: what is alike keeps the order of the overlay.
        plan.services.sort_by_key(|object| {
            FIRST.iter().position(|kind| *kind == object.kind()).unwrap_or(FIRST.len())
        });
        plan
    }

    /// Objects whose kind this plan does not bring itself: the cluster has to know them beforehand.
    pub fn of_foreign_kinds(&self) -> impl Iterator<Item = &Object> {
        let brought = |object: &Object| {
            self.definitions.iter().any(|definition| {
                let spec = &definition.content["spec"];
                spec["group"] == object.group() && spec["names"]["kind"] == object.kind()
            })
        };
        self.services.iter().chain(&self.configuration).filter(move |object| !brought(object))
    }

    pub fn namespace_names(&self) -> Vec<&str> {
        self.namespaces.iter().map(Object::name).collect()
    }

    /// Namespaces of our services, not of tenants.
    pub fn service_namespaces(&self) -> Vec<&str> {
        let ours =
            self.namespaces.iter().filter(|namespace| namespace.label(NAMESPACE_TYPE) == Some("controller"));
        ours.map(Object::name).collect()
    }
}

/// Kubernetes' own groups have no dot, or end in `.k8s.io`.
fn is_configuration(group: &str) -> bool {
    group.contains('.') && !group.ends_with(".k8s.io") && !FOREIGN.contains(&group)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(api: &str, kind: &str) -> Object {
        let labels = json!({NAMESPACE_TYPE: "controller"});
        Object::parse(json!({"apiVersion": api, "kind": kind, "metadata": {"name": "x", "labels": labels}}))
            .unwrap()
    }

    #[test]
    fn kinds_that_come_along_need_not_be_known() {
        let mut definition = object("apiextensions.k8s.io/v1", "CustomResourceDefinition");
        definition.content["spec"] = json!({"group": "example.com", "names": {"kind": "Ours"}});
        let others =
            [object("example.com/v1", "Ours"), object("example.com/v1", "Theirs"), object("apps/v1", "Ours")];
        let plan = Plan::of([definition].into_iter().chain(others).collect());
        let foreign: Vec<_> = plan.of_foreign_kinds().map(|object| (object.group(), object.kind())).collect();
        assert_eq!(foreign, [("apps", "Ours"), ("example.com", "Theirs")]);
    }

    fn kinds(objects: &[Object]) -> Vec<&str> {
        objects.iter().map(Object::kind).collect()
    }

    #[test]
    fn each_object_comes_after_what_it_needs() {
        let plan = Plan::of(vec![
            object("appstudio.redhat.com/v1alpha1", "EnterpriseContractPolicy"),
            object("apps/v1", "Deployment"),
            object("monitoring.coreos.com/v1", "ServiceMonitor"),
            object("rbac.authorization.k8s.io/v1", "ClusterRole"),
            object("v1", "ServiceAccount"),
            object("v1", "Namespace"),
            object("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        ]);
        assert_eq!(kinds(&plan.namespaces), ["Namespace"]);
        assert_eq!(kinds(&plan.definitions), ["CustomResourceDefinition"]);
        assert_eq!(kinds(&plan.services), ["ServiceAccount", "ClusterRole", "Deployment", "ServiceMonitor"]);
        assert_eq!(kinds(&plan.configuration), ["EnterpriseContractPolicy"]);
        assert_eq!(plan.service_namespaces(), ["x"]);
    }
}
