//! `cargo xtask tenant`: the namespace of a team, with all that belongs in it and the rights of its people.
//!
//! ```text
//! component tenant or managed-tenant ─┐
//! name, labels of the workspace ──────┼─ kustomize ─▶ Namespace ─▶ the rest ─▶ trusted-ca ─▶ quotas are counted
//! a RoleBinding for each person ──────┘
//! ```
//! Everything is written by server-side apply, so a second run repairs what differs and adds whom it names. Nothing is
//! deleted: a namespace takes everything in it along, which is for `kubectl delete namespace` to say.
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::api::{core::v1::Namespace, rbac::v1::ClusterRole};
use kube::{Api, Client, ResourceExt as _};

use crate::{
    cluster,
    deploy::{Applier, Object, Plan, Target, objects},
    program::interruptible,
    ui,
};

mod authorities;
mod member;
mod quota;
mod render;
#[cfg(test)]
mod tests;
mod workspace;

pub use member::{Member, Role, Who};
pub use workspace::Workspace;

/// Which namespaces are tenants', for services and for us.
const TYPE: (&str, &str) = ("toolchain.dev.openshift.com/type", "tenant");
/// Put on namespaces by registration-service, which undoes what others change in them.
const PROVIDER: &str = "toolchain.dev.openshift.com/provider";
/// Which of the two components a namespace was made from.
const KIND: &str = "fleet.konflux-ci.dev/tenant";

/// Makes a tenant: the namespace NAME-tenant with accounts, quotas, limits and network policies, and the rights of its
/// people. A second run repairs what differs and adds whom it names. Nothing is ever deleted.
#[derive(Clone, Debug, clap::Args)]
pub struct TenantArgs {
    /// Name of the workspace: lower case letters, digits and '-'. The namespace is NAME-tenant.
    #[arg(value_name = "NAME")]
    workspace: Workspace,
    #[command(flatten)]
    cluster: cluster::Choice,
    /// Use this cluster instead of the embedded one.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// For a team that releases what others build: with an account for release pipelines, without builds.
    #[arg(long)]
    managed: bool,
    /// Who owns what is in the namespace: a user as the cluster knows them, or `group:NAME`. Can be repeated.
    #[arg(long, value_name = "WHO")]
    admin: Vec<Who>,
    /// Who shapes Applications, tests and releases, but sees no Secrets. Can be repeated.
    #[arg(long, value_name = "WHO")]
    maintainer: Vec<Who>,
    /// Who sees all but Secrets and works through Git. Can be repeated.
    #[arg(long, value_name = "WHO")]
    contributor: Vec<Who>,
    /// Who sees what there is, but no logs and no ConfigMaps. Can be repeated.
    #[arg(long, value_name = "WHO")]
    viewer: Vec<Who>,
    /// Certificate authorities that pipelines trust (`trusted-ca`), PEM. Default: the embedded cluster's own; elsewhere
    /// those that are there already, else those that the services were deployed with.
    #[arg(long, value_name = "FILE")]
    ca_bundle: Option<PathBuf>,
    /// Take fields over that somebody else has set meanwhile, instead of stopping.
    #[arg(long)]
    force_conflicts: bool,
    /// Print the objects instead, for a Git repository. No cluster is asked.
    #[arg(long, conflicts_with_all = ["kubeconfig", "force_conflicts"])]
    print: bool,
}

/// A tenant as it shall be.
#[derive(Clone, Debug)]
pub struct Tenant {
    pub workspace: Workspace,
    pub kind: Kind,
    pub members: Vec<Member>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Kind {
    /// Builds and tests.
    Development,
    /// Releases what others have built.
    Managed,
}

/// How the cluster is written to.
#[derive(Clone, Copy, Debug)]
pub struct Writing<'a> {
    /// PEM, for `trusted-ca`. Without it, what is there stays; if there is none, that of the services is taken.
    pub authorities: Option<&'a str>,
    /// Take fields over that others have set.
    pub force: bool,
}

impl Kind {
    fn label(self) -> &'static str {
        self.into()
    }
}

impl TenantArgs {
    fn tenant(&self) -> anyhow::Result<Tenant> {
        let given = [
            (Role::Admin, &self.admin),
            (Role::Maintainer, &self.maintainer),
            (Role::Contributor, &self.contributor),
            (Role::Viewer, &self.viewer),
        ];
        let members = given
            .into_iter()
            .flat_map(|(role, people)| people.iter().map(move |who| Member { role, who: who.clone() }))
            .collect();
        let kind = if self.managed { Kind::Managed } else { Kind::Development };
        let tenant = Tenant { workspace: self.workspace.clone(), kind, members };
        member::check(&tenant.members, kind)?;
        Ok(tenant)
    }
}

pub async fn run(args: TenantArgs) -> anyhow::Result<()> {
    let tenant = args.tenant()?;
    let given = args.ca_bundle.as_deref().map(read_bundle).transpose()?;
    if args.print {
        ui::answer(render::yaml(&tenant, given.as_deref()).await?.trim_end());
        return Ok(());
    }
    interruptible(async {
        let target = Target::choose(&args.cluster, args.kubeconfig.as_deref()).await?;
        let authorities = given.as_deref().or(target.certificate_authority.as_deref());
        make(&tenant, &target.client, Writing { authorities, force: args.force_conflicts }).await?;
        show(&tenant, &target, &args.cluster.flags()).await
    })
    .await
}

fn read_bundle(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    ensure!(
        text.contains("-----BEGIN CERTIFICATE-----"),
        "{} holds no certificate: --ca-bundle names a file of certificates in PEM",
        file.display()
    );
    Ok(text)
}

/// Brings the tenant onto the cluster. Returns when objects can be created in it.
pub async fn make(tenant: &Tenant, client: &Client, writing: Writing<'_>) -> anyhow::Result<()> {
    let namespace = tenant.workspace.namespace();
    let plan = Plan::of(objects(&render::yaml(tenant, None).await?)?);
    check_namespace(client, tenant).await?;
    check_roles(client, &plan.services).await?;

    let applier = Applier::discover(client.clone(), writing.force).await?;
    let step = ui::step(format!("namespace {namespace}"));
    let all: Vec<Object> = plan.namespaces.iter().chain(&plan.services).cloned().collect();
    let tally = applier.apply_all(&all, |name| step.waiting(name)).await?;
    step.done_with(&tally.to_string());

    let authorities = match writing.authorities {
        Some(bundle) => Some(bundle.to_owned()),
        None if authorities::are_there(client, &namespace).await? => None,
        None => authorities::of_services(client).await?,
    };
    if let Some(bundle) = authorities {
        authorities::hand_to(client, &namespace, &bundle, writing.force).await?;
    }
    let quotas: Vec<&Object> =
        plan.services.iter().filter(|object| object.kind() == "ResourceQuota").collect();
    quota::counted(client, &applier, &namespace, &quotas).await
}

/// That the namespace is free, or is such a tenant already.
async fn check_namespace(client: &Client, tenant: &Tenant) -> anyhow::Result<()> {
    let name = tenant.workspace.namespace();
    let live = Api::<Namespace>::all(client.clone()).get_opt(&name).await;
    let Some(live) = live.with_context(|| format!("read Namespace {name}"))? else { return Ok(()) };
    let label = |key: &str| live.labels().get(key).map(String::as_str);
    ensure!(
        live.metadata.deletion_timestamp.is_none(),
        "namespace {name} is being deleted: wait until it is gone"
    );
    ensure!(
        label(PROVIDER).is_none(),
        "namespace {name} belongs to registration-service, which undoes what others change there: share it by a \
         SpaceBindingRequest"
    );
    let (key, tenants) = TYPE;
    ensure!(
        label(key) == Some(tenants),
        "namespace {name} exists and is no tenant's: choose another NAME, or, if it shall become one, \
         `kubectl label namespace {name} {key}={tenants}` first"
    );
    match label(KIND) {
        Some(other) if other != tenant.kind.label() => bail!(
            "namespace {name} is a {other} tenant, and this asks for a {} one. What was built or trusted in the one must \
             not count in the other: choose another NAME",
            tenant.kind.label()
        ),
        _ => Ok(()),
    }
}

/// That the roles exist which are bound: a binding to none is accepted and gives no right.
async fn check_roles(client: &Client, objects: &[Object]) -> anyhow::Result<()> {
    let roles: Api<ClusterRole> = Api::all(client.clone());
    for binding in objects.iter().filter(|object| object.kind() == "RoleBinding") {
        let name = binding.content.pointer("/roleRef/name").and_then(|name| name.as_str());
        let name = name.with_context(|| format!("{binding}: field roleRef.name is missing"))?;
        let role = roles.get_opt(name).await.with_context(|| format!("read ClusterRole {name}"))?;
        ensure!(
            role.is_some(),
            "the cluster has no ClusterRole {name}, which is bound in a tenant: add \
             deploy/kustomize/components/tenant-roles to the overlay's `components:` and run `cargo xtask deploy`"
        );
    }
    Ok(())
}

/// Says who may do what there now, and how to go on.
async fn show(tenant: &Tenant, target: &Target, flags: &str) -> anyhow::Result<()> {
    let namespace = tenant.workspace.namespace();
    let bindings = member::bindings(&target.client, &namespace).await?;
    if bindings.is_empty() {
        ui::note(&format!("Nobody has a role in {namespace} yet: repeat the command with --admin USER."));
    }
    for (role, who, binding) in &bindings {
        ui::note(&format!("{role:<12} {who}   (RoleBinding {binding})"));
    }
    if !bindings.is_empty() {
        ui::note(&format!("To take a role back: {} delete rolebinding NAME -n {namespace}", target.kubectl));
    }
    if target.certificate_authority.is_some() {
        for user in tenant.members.iter().filter_map(|member| member.who.user()) {
            ui::note(&format!(
                "To be {user}: export KUBECONFIG=$(cargo xtask kubeconfig --user {user}{flags})"
            ));
        }
    }
    Ok(())
}
