//! Turns the manifests of a service into those of one installation among several on the same API server.

use std::collections::BTreeSet;

use base64::Engine as _;
use kube::api::ResourceExt as _;
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::Webhooks;
use crate::manifests::kind;

/// What differs between an installation and the base it comes from.
pub(super) struct Rewrite<'a> {
    /// The namespace that the base is for, and the one that it goes to.
    pub own: &'a str,
    pub namespace: &'a str,
    /// Makes names unique that other installations would use too.
    pub suffix: &'a str,
    pub webhooks: Option<Webhooks<'a>>,
}

/// An object that gets another name: its plural, as rules spell it, and its name in the base.
type Renamed = BTreeSet<(&'static str, String)>;

impl Rewrite<'_> {
    /// The account, its rules, settings and webhooks, with names and addresses of this installation. What runs in
    /// pods or leads to them is left out, and so are webhooks when there is no server for them.
    pub(super) fn apply(&self, base: &[DynamicObject]) -> Vec<DynamicObject> {
        let kept: Vec<&DynamicObject> = base.iter().filter(|object| self.keeps(object)).collect();
        let renamed: Renamed = kept
            .iter()
            .filter(|object| self.is_shared(object))
            .filter_map(|object| Some((plural(kind(object))?, object.name_any())))
            .collect();
        kept.into_iter().map(|object| self.object(object.clone(), &renamed)).collect()
    }

    fn keeps(&self, object: &DynamicObject) -> bool {
        match kind(object) {
            "ServiceAccount" | "ConfigMap" | "Role" | "RoleBinding" | "ClusterRole"
            | "ClusterRoleBinding" => true,
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => self.webhooks.is_some(),
            _ => false,
        }
    }

    /// Whether it is cluster-wide, or in a namespace that other installations use too.
    fn is_shared(&self, object: &DynamicObject) -> bool {
        object.metadata.namespace.as_deref() != Some(self.own)
    }

    fn object(&self, mut object: DynamicObject, renamed: &Renamed) -> DynamicObject {
        if self.is_shared(&object) {
            object.metadata.name = Some(self.renamed(&object.name_any()));
        } else {
            object.metadata.namespace = Some(self.namespace.to_owned());
        }
        match kind(&object) {
            "ClusterRoleBinding" | "RoleBinding" => self.binding(&mut object.data, renamed),
            "ClusterRole" | "Role" => self.rules(&mut object.data, renamed),
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
                for webhook in list(&mut object.data["webhooks"]) {
                    self.webhook(webhook);
                }
            }
            _ => {}
        }
        object
    }

    fn renamed(&self, name: &str) -> String {
        format!("{name}-{}", self.suffix)
    }

    fn binding(&self, binding: &mut Value, renamed: &Renamed) {
        let role = &mut binding["roleRef"];
        if let (Some(plural), Some(name)) = (role["kind"].as_str().and_then(plural), role["name"].as_str())
            && renamed.contains(&(plural, name.to_owned()))
        {
            role["name"] = self.renamed(name).into();
        }
        for subject in list(&mut binding["subjects"]) {
            if subject["namespace"] == self.own {
                subject["namespace"] = self.namespace.into();
            }
        }
    }

    /// Rules that name an object which is called differently here.
    fn rules(&self, role: &mut Value, renamed: &Renamed) {
        for rule in list(&mut role["rules"]) {
            let resources: Vec<String> =
                list(&mut rule["resources"]).iter().filter_map(|r| Some(r.as_str()?.to_owned())).collect();
            for name in list(&mut rule["resourceNames"]) {
                let is_renamed =
                    |(resource, old): &(&str, String)| name == old && resources.iter().any(|r| r == resource);
                if renamed.iter().any(is_renamed) {
                    *name = self.renamed(name.as_str().unwrap_or_default()).into();
                }
            }
        }
    }

    fn webhook(&self, webhook: &mut Value) {
        let Some(server) = &self.webhooks else { return };
        server.redirect(&mut webhook["clientConfig"]);
        if !server.namespaces.is_empty() {
            let selector = &mut webhook["namespaceSelector"];
            let ours = json!({
                "key": "kubernetes.io/metadata.name", "operator": "In", "values": server.namespaces,
            });
            match selector["matchExpressions"].as_array_mut() {
                Some(expressions) => expressions.push(ours),
                None => selector["matchExpressions"] = json!([ours]),
            }
        }
    }
}

impl Webhooks<'_> {
    /// Points the conversion webhook of a definition here, if it has one.
    pub(crate) fn convert(&self, definition: &mut DynamicObject) {
        if let Some(conversion) = definition.data.pointer_mut("/spec/conversion")
            && conversion["strategy"] == "Webhook"
        {
            self.redirect(&mut conversion["webhook"]["clientConfig"]);
        }
    }

    /// From a Service, which nobody routes to here, to a port of this machine.
    fn redirect(&self, client: &mut Value) {
        let path = client["service"]["path"].as_str().unwrap_or("/").to_owned();
        let mut redirected = json!({"url": format!("https://127.0.0.1:{}{path}", self.port)});
        if let Some(ca) = self.ca_pem {
            redirected["caBundle"] = base64::engine::general_purpose::STANDARD.encode(ca).into();
        }
        *client = redirected;
    }
}

/// As rules spell the kinds that may get another name.
fn plural(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "ConfigMap" => "configmaps",
        "Role" => "roles",
        "RoleBinding" => "rolebindings",
        "ClusterRole" => "clusterroles",
        "ClusterRoleBinding" => "clusterrolebindings",
        "MutatingWebhookConfiguration" => "mutatingwebhookconfigurations",
        "ValidatingWebhookConfiguration" => "validatingwebhookconfigurations",
        _ => return None,
    })
}

fn list(value: &mut Value) -> &mut [Value] {
    value.as_array_mut().map_or(&mut [], Vec::as_mut_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifests::parse;

    const BASE: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot, namespace: factory}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: robot, namespace: factory}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: robot}
rules:
  - apiGroups: [admissionregistration.k8s.io]
    resources: [validatingwebhookconfigurations]
    resourceNames: [robot, others]
    verbs: [patch]
  - {apiGroups: [''], resources: [secrets], resourceNames: [robot], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: robot}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: robot}
subjects: [{kind: ServiceAccount, name: robot, namespace: factory}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: robot, namespace: kube-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: extension-reader}
subjects: [{kind: ServiceAccount, name: robot, namespace: factory}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: robot}
webhooks:
  - name: maps.example.com
    clientConfig: {service: {name: robot, namespace: factory, path: /validate}}
";

    fn rewritten(webhooks: Option<Webhooks<'_>>) -> Vec<DynamicObject> {
        let rewrite = Rewrite { own: "factory", namespace: "factory-x", suffix: "x", webhooks };
        rewrite.apply(&parse(BASE).unwrap())
    }

    fn find<'a>(objects: &'a [DynamicObject], wanted: &str) -> &'a DynamicObject {
        objects.iter().find(|object| kind(object) == wanted).unwrap()
    }

    #[test]
    fn moves_what_is_in_its_own_namespace_and_renames_what_is_shared() {
        let objects = rewritten(None);
        let title = |object: &DynamicObject| {
            format!("{} {}/{}", kind(object), object.namespace().unwrap_or_default(), object.name_any())
        };
        let titles: Vec<String> = objects.iter().map(title).collect();
        let expected = [
            "ServiceAccount factory-x/robot",
            "ClusterRole /robot-x",
            "ClusterRoleBinding /robot-x",
            "RoleBinding kube-system/robot-x",
        ];
        assert_eq!(titles, expected);
    }

    #[test]
    fn bindings_follow_accounts_and_roles() {
        let objects = rewritten(None);
        let binding = &find(&objects, "ClusterRoleBinding").data;
        assert_eq!(binding["roleRef"]["name"], "robot-x");
        assert_eq!(binding["subjects"][0]["namespace"], "factory-x");
        // A role that is not of this base keeps its name.
        assert_eq!(find(&objects, "RoleBinding").data["roleRef"]["name"], "extension-reader");
    }

    #[test]
    fn rules_follow_the_webhooks_that_they_name() {
        let server = Webhooks { port: 1, ca_pem: None, namespaces: &[] };
        let objects = rewritten(Some(server));
        let rules = &find(&objects, "ClusterRole").data["rules"];
        assert_eq!(rules[0]["resourceNames"], json!(["robot-x", "others"]));
        assert_eq!(rules[1]["resourceNames"], json!(["robot"]));
    }

    #[test]
    fn webhooks_are_called_on_this_machine_for_these_namespaces() {
        let server = Webhooks { port: 4711, ca_pem: Some("PEM"), namespaces: &["a"] };
        let objects = rewritten(Some(server));
        let webhook = &find(&objects, "ValidatingWebhookConfiguration").data["webhooks"][0];
        let expected = json!({"url": "https://127.0.0.1:4711/validate", "caBundle": "UEVN"});
        assert_eq!(webhook["clientConfig"], expected);
        let selector = &webhook["namespaceSelector"]["matchExpressions"];
        assert_eq!(selector[0]["values"], json!(["a"]));
    }

    #[test]
    fn conversions_are_asked_for_on_this_machine() {
        let client = json!({"service": {"path": "/convert"}});
        let definition = |conversion: &Value| {
            let text = format!(
                "apiVersion: v1\nkind: CustomResourceDefinition\nspec: {{conversion: {conversion}}}\n"
            );
            parse(&text).unwrap().remove(0)
        };
        let server = Webhooks { port: 9, ca_pem: None, namespaces: &[] };
        let mut converted = definition(&json!({"strategy": "Webhook", "webhook": {"clientConfig": client}}));
        server.convert(&mut converted);
        let url = converted.data.pointer("/spec/conversion/webhook/clientConfig");
        assert_eq!(url, Some(&json!({"url": "https://127.0.0.1:9/convert"})));

        for other in [json!({"strategy": "None"}), Value::Null] {
            let mut plain = definition(&other);
            let before = plain.data.clone();
            server.convert(&mut plain);
            assert_eq!(plain.data, before);
        }
    }
}
