//! The release team: a namespace of its own, a login for where it copies to, whose Snapshots it admits, and by which policy.
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use data_encoding::BASE64;
use k8s_openapi::{
    ByteString,
    api::{
        core::v1::{Secret, ServiceAccount},
        rbac::v1::RoleBinding,
    },
};
use kube::{
    Api, Client,
    api::{ListParams, ObjectMeta, Patch, PatchParams},
};
use serde_json::json;

use super::{super::registry::use_registry, MANAGED, NAMESPACE};
use crate::{
    cluster,
    demo::{Fact, Show, follow},
    deploy::{self, Applier, Object},
    paths,
    tenant::{self, Kind, Member, Role, Tenant, Who, Writing},
    ui,
};

/// Its workspace, after which [`MANAGED`] is called.
const WORKSPACE: &str = "release-team";
/// Who decides there. Nobody of the tenant has a role in it.
const ADMIN: &str = "carol";
/// The account that its pipelines run as.
const ACCOUNT: &str = "release-service-account";
/// Where that account finds the login for the destination.
const LOGIN: &str = "release-destination";
/// Folders of the example, in the checkout: what the release team has, and what the tenant.
const EXAMPLES: [&str; 2] = ["examples/first-release/managed", "examples/first-release/tenant"];

/// How long release-service may take to see that plan and admission are made for each other, and to take back what it has given.
const LIMIT: Duration = Duration::from_mins(1);

pub(super) async fn set_up(show: &Show, registry: &cluster::Registry) -> anyhow::Result<Vec<Fact>> {
    let asked = Instant::now();
    let target = show.target()?;
    let client = &target.client;
    let writing = Writing { authorities: target.certificate_authority.as_deref(), force: true };
    let workspace = WORKSPACE.parse().map_err(anyhow::Error::msg)?;
    let members = vec![Member { role: Role::Admin, who: Who::User(ADMIN.to_owned()) }];
    tenant::make(&Tenant { workspace, kind: Kind::Managed, members }, client, writing).await?;
    keep_login(client, registry).await?;

    let mut objects = Vec::new();
    for example in EXAMPLES {
        objects.extend(deploy::kustomize(&paths::repository()?.join(example)).await?);
    }
    for object in &mut objects {
        use_registry(object, &show.registry);
    }
    Applier::discover(client.clone(), true).await?.apply_all(&objects, |_| {}).await?;
    let followed: Vec<&Object> =
        objects.iter().filter(|object| object.kind() != "EnterpriseContractPolicy").collect();
    let (_, mut facts) = follow::until(client, &followed, "Matched", asked).await?;
    let state = format!("ready, {ADMIN} decides there");
    facts.insert(0, Fact { object: format!("Namespace {MANAGED}"), state, after: asked.elapsed() });
    Ok(facts)
}

/// The login for the destination, and that the team's account has it: in the tenant's namespace there is none.
async fn keep_login(client: &Client, registry: &cluster::Registry) -> anyhow::Result<()> {
    let auth = BASE64.encode(format!("{}:{}", registry.push_user, registry.push_password).as_bytes());
    let host = format!("{}:{}", registry.name, registry.push_port);
    let config = json!({"auths": {host: {"auth": auth}}}).to_string();
    let secret = Secret {
        metadata: ObjectMeta { name: Some(LOGIN.to_owned()), ..ObjectMeta::default() },
        type_: Some("kubernetes.io/dockerconfigjson".to_owned()),
        data: Some([(".dockerconfigjson".to_owned(), ByteString(config.into_bytes()))].into()),
        ..Secret::default()
    };
    let parameters = PatchParams::apply("konflux-demo").force();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), MANAGED);
    let applied = secrets.patch(LOGIN, &parameters, &Patch::Apply(&secret)).await;
    applied.with_context(|| format!("apply Secret {MANAGED}/{LOGIN}"))?;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), MANAGED);
    let linked = Patch::Strategic(json!({"secrets": [{"name": LOGIN}]}));
    let linked = accounts.patch(ACCOUNT, &PatchParams::default(), &linked).await;
    linked.with_context(|| format!("link Secret {LOGIN} to ServiceAccount {MANAGED}/{ACCOUNT}"))?;
    Ok(())
}

/// Waits until the release team can read nothing of the tenant's any more.
pub(super) async fn let_go(client: &Client, release: &str) -> anyhow::Result<()> {
    let step = ui::step("what the release team could read of the tenant's is closed again");
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), NAMESPACE);
    let of_release = release_service_api::labels::NAME.as_str();
    let meant = ListParams::default().labels(&format!("{of_release}={release}"));
    let until = Instant::now() + LIMIT;
    loop {
        let left = bindings.list(&meant).await?.items;
        let left: Vec<String> = left.iter().map(kube::ResourceExt::name_any).collect();
        if left.is_empty() {
            break;
        }
        ensure!(
            Instant::now() < until,
            "RoleBindings of Release {release} are left in {NAMESPACE}: {}",
            left.join(", ")
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    step.done();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::steps::release::{DESTINATION, PLAN};

    #[tokio::test]
    async fn examples_are_made_for_each_other() {
        let root = paths::repository().unwrap();
        let [managed, tenant] = EXAMPLES;
        let managed = deploy::kustomize(&root.join(managed)).await.unwrap();
        let tenant = deploy::kustomize(&root.join(tenant)).await.unwrap();
        assert!(managed.iter().all(|object| object.namespace() == Some(MANAGED)));
        assert!(tenant.iter().all(|object| object.namespace() == Some(NAMESPACE)));
        let of = |objects: &[Object], kind: &str| {
            objects.iter().find(|object| object.kind() == kind).unwrap().clone()
        };
        let (plan, admission) = (of(&tenant, "ReleasePlan"), of(&managed, "ReleasePlanAdmission"));
        let policy = of(&managed, "EnterpriseContractPolicy");
        let (plan, spec) =
            ((plan.name().to_owned(), plan.content["spec"].clone()), &admission.content["spec"]);
        assert_eq!(plan.0, PLAN);
        assert_eq!(plan.1["target"], MANAGED);
        assert_eq!(spec["applications"], json!([plan.1["application"]]));
        assert_eq!((&spec["origin"], &spec["policy"]), (&json!(NAMESPACE), &json!(policy.name())));
        assert_eq!(spec["pipeline"]["serviceAccountName"], ACCOUNT);
        let component = &spec["data"]["mapping"]["components"][0];
        assert!(
            component["repository"].as_str().unwrap().ends_with(&format!("/{DESTINATION}")),
            "{component}"
        );
        assert_eq!(MANAGED, format!("{WORKSPACE}-tenant"));
    }
}
