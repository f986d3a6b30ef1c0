//! What a run may do beside what its account may anyway: bindings that are there while its phase is (spec, sections 4.4 and 4.9). Pure.
//!
//! Names come from Release and phase, not from the attempt: all attempts share them, and none is made twice.

use std::collections::BTreeMap;

use fleet::{ObjectKey, Write, names as fleet_names};
use fleet_api::keys;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use kube::api::ObjectMeta;
use kube::{Resource, ResourceExt as _};
use release_service_api::release::RoleBindings;
use release_service_api::{Phase, labels, names};

use super::observe::Seen;
use super::work::Work;

/// Longest name of a binding or role.
const NAME: usize = 253;

/// A binding, with the Role that it is to if that is one of its own.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grant {
    pub(super) kind: Kind,
    /// Of the `RoleBinding`.
    pub(super) key: ObjectKey,
    /// In this order.
    pub(super) writes: Vec<Write>,
}

/// Where the status tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tenant,
    Managed,
    Secrets,
}

/// What the run of this work is granted. The error says what is missing.
pub(super) fn grants(seen: &Seen, work: &Work) -> Result<Vec<Grant>, String> {
    let Some(account) = work.service_account.as_deref() else {
        return match work.secrets.first() {
            Some(secret) => Err(format!(
                "{}.serviceAccountName is missing: Secret {secret} is for an account that is named",
                work.field
            )),
            // The account of the namespace's other runs gets nothing.
            None => Ok(Vec::new()),
        };
    };
    let maker = Maker { seen, work, account };
    let mut grants = Vec::new();
    // Not to an account of the tenant's own: who may write the status of a Release could say that it is another's (security.md,
    // section 2).
    if matches!(work.phase, Phase::Managed | Phase::ManagedCollectors) {
        grants.push(maker.pipeline(Kind::Tenant, seen.tenant()));
    }
    if work.phase == Phase::ManagedCollectors && work.namespace != seen.tenant() {
        grants.push(maker.pipeline(Kind::Managed, &work.namespace));
    }
    // A rule without names would be for all Secrets.
    if !work.secrets.is_empty() {
        grants.push(maker.secrets());
    }
    Ok(grants)
}

/// As the status tells of them.
pub(super) fn told<'a>(grants: impl IntoIterator<Item = &'a Grant>) -> RoleBindings {
    let mut told = RoleBindings::default();
    for grant in grants {
        let field = match grant.kind {
            Kind::Tenant => &mut told.tenant_role_binding,
            Kind::Managed => &mut told.managed_role_binding,
            Kind::Secrets => &mut told.secret_role_binding,
        };
        *field = Some(grant.key.to_string());
    }
    told
}

struct Maker<'a> {
    seen: &'a Seen,
    work: &'a Work,
    account: &'a str,
}

impl Maker<'_> {
    /// To the role of release pipelines, in this namespace.
    fn pipeline(&self, kind: Kind, namespace: &str) -> Grant {
        let metadata = self.metadata(namespace, names::PIPELINE_BINDING_INFIX);
        let role = RoleRef {
            api_group: ClusterRole::group(&()).into_owned(),
            kind: ClusterRole::kind(&()).into_owned(),
            name: names::PIPELINE_ROLE.to_owned(),
        };
        let binding = self.binding(metadata, role);
        Grant { kind, key: ObjectKey::of(&binding), writes: vec![Write::create(&binding)] }
    }

    /// To the Secrets of collectors, in the namespace of their run.
    fn secrets(&self) -> Grant {
        let namespace = &self.work.namespace;
        let role = Role {
            metadata: self.metadata(namespace, names::COLLECTORS_ROLE_INFIX),
            rules: Some(vec![PolicyRule {
                api_groups: Some(vec![String::new()]),
                resources: Some(vec!["secrets".to_owned()]),
                resource_names: Some(self.work.secrets.clone()),
                verbs: vec!["get".to_owned()],
                ..PolicyRule::default()
            }]),
        };
        let reference = RoleRef {
            api_group: Role::group(&()).into_owned(),
            kind: Role::kind(&()).into_owned(),
            name: role.name_any(),
        };
        let binding = self.binding(self.metadata(namespace, names::COLLECTORS_BINDING_INFIX), reference);
        Grant {
            kind: Kind::Secrets,
            key: ObjectKey::of(&binding),
            writes: vec![Write::create(&role), Write::create(&binding)],
        }
    }

    fn binding(&self, metadata: ObjectMeta, role_ref: RoleRef) -> RoleBinding {
        let subject = Subject {
            kind: "ServiceAccount".to_owned(),
            name: self.account.to_owned(),
            namespace: Some(self.work.namespace.clone()),
            ..Subject::default()
        };
        RoleBinding { metadata, role_ref, subjects: Some(vec![subject]) }
    }

    fn metadata(&self, namespace: &str, infix: &str) -> ObjectMeta {
        let release = &self.seen.release;
        let hash = fleet_names::hash(10, &[self.seen.uid(), self.work.phase.as_str(), "0"]);
        let name = fleet_names::fit(NAME, &release.name_any(), &format!("{infix}{hash}"));
        // An owner of another namespace does not count, and would be taken for one that is gone.
        let owner = (namespace == self.seen.tenant()).then(|| release.controller_owner_ref(&())).flatten();
        ObjectMeta {
            name: Some(name),
            namespace: Some(namespace.to_owned()),
            labels: Some(of_release(self.seen, self.work.phase)),
            annotations: Some([(keys::CAUSE.into(), self.seen.uid().to_owned())].into()),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        }
    }
}

/// Labels by which all that a phase makes is found.
pub(super) fn of_release(seen: &Seen, phase: Phase) -> BTreeMap<String, String> {
    [
        (labels::NAME.into(), seen.release.name_any()),
        (labels::NAMESPACE.into(), seen.tenant().to_owned()),
        (keys::PIPELINE_TYPE.into(), phase.as_str().to_owned()),
    ]
    .into()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::super::work::testing::seen;
    use super::super::work::work;
    use super::*;

    fn collectors(secrets: &[&str]) -> Value {
        json!({"items": [{"name": "a", "type": "b"}], "secrets": secrets, "serviceAccountName": "collector"})
    }

    fn granted(phase: Phase, secrets: &[&str]) -> Vec<Grant> {
        let pipeline =
            json!({"pipelineRef": {"resolver": "bundles", "params": []}, "serviceAccountName": "runner"});
        let seen = seen(
            json!({"tenantPipeline": pipeline, "finalPipeline": pipeline, "collectors": collectors(secrets)}),
            json!({"pipeline": pipeline, "collectors": collectors(secrets)}),
        );
        grants(&seen, &work(&seen, phase).unwrap()).unwrap()
    }

    fn object(write: &Write) -> &Value {
        match write {
            Write::Create(create) => &create.object,
            other => panic!("{other:?}"),
        }
    }

    #[rstest]
    #[case::tenant(Phase::Tenant, &[], &[])]
    #[case::final_(Phase::Final, &[], &[])]
    #[case::managed(Phase::Managed, &[], &[("tenant", "ClusterRole", "runner")])]
    #[case::tenant_collectors(Phase::TenantCollectors, &[], &[])]
    #[case::managed_collectors(
        Phase::ManagedCollectors, &[], &[("tenant", "ClusterRole", "collector"), ("managed", "ClusterRole", "collector")]
    )]
    #[case::with_secrets(
        Phase::ManagedCollectors, &["token"],
        &[("tenant", "ClusterRole", "collector"), ("managed", "ClusterRole", "collector"), ("managed", "Role", "collector")]
    )]
    #[case::tenant_with_secrets(Phase::TenantCollectors, &["token"], &[("tenant", "Role", "collector")])]
    fn grants_what_a_phase_needs(
        #[case] phase: Phase,
        #[case] secrets: &[&str],
        #[case] expected: &[(&str, &str, &str)],
    ) {
        let grants = granted(phase, secrets);
        let shown: Vec<_> = grants
            .iter()
            .map(|grant| {
                let binding = object(grant.writes.last().unwrap());
                assert_eq!(binding["subjects"].as_array().unwrap().len(), 1);
                let subject = &binding["subjects"][0];
                assert_eq!(subject["kind"], "ServiceAccount");
                let home = if matches!(phase, Phase::Managed | Phase::ManagedCollectors) {
                    "managed"
                } else {
                    "tenant"
                };
                assert_eq!(subject["namespace"], home);
                (
                    binding["metadata"]["namespace"].as_str().unwrap(),
                    binding["roleRef"]["kind"].as_str().unwrap(),
                    subject["name"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_binding_is_of_its_release() {
        let grants = granted(Phase::Managed, &[]);
        let binding = object(&grants[0].writes[0]);
        assert_eq!(binding["roleRef"]["name"], "release-pipeline-resource-role");
        let metadata = &binding["metadata"];
        let name = metadata["name"].as_str().unwrap();
        assert!(
            name.starts_with("shop-1-rolebinding-for-release-pipeline-resource-role-") && name.len() == 64,
            "{name}"
        );
        assert_eq!(
            metadata["labels"],
            json!({
                "release.appstudio.openshift.io/name": "shop-1",
                "release.appstudio.openshift.io/namespace": "tenant",
                "pipelines.appstudio.openshift.io/type": "managed",
            })
        );
        assert_eq!(metadata["annotations"], json!({"fleet.konflux-ci.dev/cause": "u"}));
        assert_eq!(metadata["ownerReferences"][0]["uid"], "u");
        let told = told(&grants);
        assert_eq!(told.tenant_role_binding, Some(format!("tenant/{name}")));
        assert_eq!((told.managed_role_binding, told.secret_role_binding), (None, None));
    }

    #[test]
    fn an_owner_is_named_in_its_own_namespace_alone() {
        let grants = granted(Phase::ManagedCollectors, &["token"]);
        for write in grants.iter().flat_map(|grant| &grant.writes) {
            let metadata = &object(write)["metadata"];
            assert_eq!(
                metadata["ownerReferences"].is_array(),
                metadata["namespace"] == "tenant",
                "{metadata}"
            );
        }
        let told = told(&grants);
        assert!(told.managed_role_binding.unwrap().starts_with("managed/shop-1-rolebinding-for-release"));
        assert!(
            told.secret_role_binding
                .unwrap()
                .starts_with("managed/shop-1-rolebinding-for-managed-collectors-")
        );
    }

    #[test]
    fn secrets_are_granted_by_name_alone() {
        let grants = granted(Phase::ManagedCollectors, &["token", "key"]);
        let [role, binding] = &*grants[2].writes else { panic!("{grants:?}") };
        let reads = json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["token", "key"], "verbs": ["get"]}]);
        assert_eq!(object(role)["rules"], reads);
        assert_eq!(object(binding)["roleRef"]["name"], object(role)["metadata"]["name"]);
        assert_eq!(granted(Phase::ManagedCollectors, &[""]).len(), 2);
    }

    #[test]
    fn without_an_account_there_is_nothing_to_bind() {
        let mut own = collectors(&["token"]);
        own.as_object_mut().unwrap().remove("serviceAccountName");
        let pipeline = json!({"pipelineRef": {"resolver": "bundles", "params": []}});
        let seen = seen(json!({"collectors": own}), json!({"pipeline": pipeline}));
        assert_eq!(grants(&seen, &work(&seen, Phase::Managed).unwrap()), Ok(Vec::new()));
        let error = grants(&seen, &work(&seen, Phase::TenantCollectors).unwrap()).unwrap_err();
        assert!(
            error.starts_with("ReleasePlan tenant/plan, spec.collectors.serviceAccountName is missing"),
            "{error}"
        );
    }

    #[test]
    fn names_fit_and_differ() {
        let mut seen = seen(
            json!({}),
            json!({"pipeline": {"serviceAccountName": "runner"}, "collectors": collectors(&[])}),
        );
        std::sync::Arc::make_mut(&mut seen.release).metadata.name = Some("a".repeat(253));
        let managed = grants(&seen, &work(&seen, Phase::Managed).unwrap()).unwrap();
        let collected = grants(&seen, &work(&seen, Phase::ManagedCollectors).unwrap()).unwrap();
        assert!(managed[0].key.name.len() <= 253);
        assert_ne!(managed[0].key, collected[0].key);
    }
}
