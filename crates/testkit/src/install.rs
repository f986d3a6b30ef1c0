//! Installs a service on a control plane as it is deployed, but for the pods: its code runs in the test, with the
//! rights, settings and webhooks of its kustomize base.
//!
//! ```text
//! let tenant = plane.namespace("tenant").await?;
//! let webhooks = Webhooks { port, ca_pem: Some(authority.cert_pem()), namespaces: &[&tenant] };
//! let installed = plane.install("application-service", Some(webhooks)).await?;
//! application_service::run(args, installed.client().await?)
//! ```
//! Each installation has a namespace of its own and its own copies of cluster-wide objects, so tests that run at the
//! same time do not meet. Only CRDs are shared.
//!
//! **Conversions.** A CRD names one conversion webhook for the whole control plane. On [`ControlPlane::shared`] it stays
//! what the manifest says, a Service that nobody routes to: all is as while the service is away, so the stored version
//! can be used and the others cannot. A test that needs the others installs on a control plane of its own
//! ([`ControlPlane::start`]), where conversions go to the port of [`Webhooks`] as admission does; one installation has
//! them there, the last. [`Kinds::converting`](crate::crd::Kinds::converting) is such a control plane without a service.

mod rewrite;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1;
use kube::api::{Api, PostParams, ResourceExt as _};
use kube::core::DynamicObject;
use kube::{Client, Config};

use self::rewrite::Rewrite;
use crate::builders;
use crate::control_plane::{ControlPlane, Namespace, is_random_suffix, random_suffix, user_name};
use crate::ledger::{Call, Calls};
use crate::manifests::{self, kind};
use crate::rbac::{self, Comparison, Grant, Rare};
use crate::wait::{DEADLINE, eventually};

/// Where the API server finds the webhooks of a service.
#[derive(Clone, Copy, Debug)]
pub struct Webhooks<'a> {
    /// On 127.0.0.1, over TLS.
    pub port: u16,
    /// The authority that its certificate is of. Absent if the service itself writes it into the objects.
    pub ca_pem: Option<&'a str>,
    /// Only objects in these are shown to the webhooks; empty means all.
    pub namespaces: &'a [&'a str],
}

/// A service's objects on a control plane.
#[derive(Debug)]
pub struct Installed<'plane> {
    plane: &'plane ControlPlane,
    namespace: Namespace<'plane>,
    /// The manifests that it came from, unchanged.
    base: Vec<DynamicObject>,
    /// The service's own.
    account: Result<String, String>,
    suffix: String,
}

impl ControlPlane {
    /// Installs `deploy/kustomize/{crds,base}/<service>`. A service without kinds has no `crds`.
    pub async fn install(
        &self,
        service: &str,
        webhooks: Option<Webhooks<'_>>,
    ) -> anyhow::Result<Installed<'_>> {
        let crds = kustomize_folder("crds", service);
        let crds = crds.is_dir().then_some(crds.as_path());
        self.install_from(&kustomize_folder("base", service), crds, webhooks).await
    }

    /// Installs `deploy/kustomize/crds/<service>`: the kinds of a service that does not run here.
    pub async fn install_kinds(&self, service: &str) -> anyhow::Result<()> {
        let mut definitions = manifests::read(&kustomize_folder("crds", service)).await?;
        definitions.retain(|object| kind(object) == "CustomResourceDefinition");
        manifests::apply(&self.admin(), definitions, "default").await?;
        Ok(())
    }

    /// Installs a service from its base, and its CRDs if it has any.
    ///
    /// Of the base, accounts, rules, `ConfigMaps` and webhook configurations are applied. On return the rules are in
    /// force; webhooks are a moment later, so expect their first refusal by [`eventually`].
    pub async fn install_from(
        &self,
        base: &Path,
        crds: Option<&Path>,
        webhooks: Option<Webhooks<'_>>,
    ) -> anyhow::Result<Installed<'_>> {
        let admin = self.admin();
        if let Some(crds) = crds {
            let mut definitions = manifests::read(crds).await?;
            definitions.retain(|object| kind(object) == "CustomResourceDefinition");
            if let Some(webhooks) = webhooks.filter(|_| !self.is_shared) {
                for definition in &mut definitions {
                    webhooks.convert(definition);
                }
            }
            manifests::apply(&admin, definitions, "default").await?;
        }

        let base_objects = manifests::read(base).await?;
        let (own, accounts) =
            accounts(&base_objects).with_context(|| format!("install {}", base.display()))?;
        let suffix = random_suffix();
        let namespace = self.namespace_named(format!("{own}-{suffix}")).await?;
        let rewrite = Rewrite { own: &own, namespace: &namespace, suffix: &suffix, webhooks };
        let objects = rewrite.apply(&base_objects);
        for outside in objects.iter().filter_map(|object| object.metadata.namespace.as_deref()) {
            ensure_namespace(&admin, outside).await?;
        }
        manifests::apply(&admin, objects.clone(), &namespace).await?;
        for account in &accounts {
            await_rules(&admin, &objects, &namespace, account).await?;
        }
        let account = main_account(base, &accounts);
        Ok(Installed { plane: self, namespace, base: base_objects, account, suffix })
    }
}

impl Installed<'_> {
    /// Where the service lives: its account, settings, leases and certificates.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name here of a cluster-wide object of the base: a webhook configuration, a `ClusterRole`.
    pub fn name_of(&self, name: &str) -> String {
        format!("{name}-{}", self.suffix)
    }

    /// A client with the rights of the service's account: the only one, or the one with the service's name.
    pub async fn client(&self) -> anyhow::Result<Client> {
        self.client_as(self.account()?).await
    }

    /// A client with the rights of one of its accounts, where it has several.
    pub async fn client_as(&self, account: &str) -> anyhow::Result<Client> {
        self.plane.client_as(&self.namespace, account).await
    }

    /// What [`Self::client`] is made from.
    pub async fn config(&self) -> anyhow::Result<Config> {
        self.config_as(self.account()?).await
    }

    /// What [`Self::client_as`] is made from.
    pub async fn config_as(&self, account: &str) -> anyhow::Result<Config> {
        self.plane.config_as(&self.namespace, account).await
    }

    /// The service's user in the [ledger](crate::ledger).
    pub fn user(&self) -> anyhow::Result<String> {
        Ok(self.user_as(self.account()?))
    }

    /// The user of one of its accounts.
    pub fn user_as(&self, account: &str) -> String {
        user_name(&self.namespace, account)
    }

    /// Compares the rules of the base with the calls that this installation made.
    pub fn compare_rules(&self, calls: &Calls, rare: &[Rare]) -> anyhow::Result<Comparison> {
        let (own, _) = accounts(&self.base)?;
        let calls = calls.iter().filter_map(|call| as_deployed(call, &own, Some(&self.suffix))).collect();
        rbac::compare(&self.base, &calls, rare)
    }

    fn account(&self) -> anyhow::Result<&str> {
        self.account.as_deref().map_err(|why| anyhow::anyhow!("{why}"))
    }
}

/// The account of the service itself among those of its base, or why none is.
fn main_account(base: &Path, accounts: &[String]) -> Result<String, String> {
    let service = base.file_name().unwrap_or_default();
    let named = accounts.iter().find(|name| service == name.as_str());
    match (named, accounts) {
        (Some(account), _) | (None, [account]) => Ok(account.clone()),
        (None, several) => {
            Err(format!("the service has several accounts, say which: {}", several.join(", ")))
        }
    }
}

/// Compares the rules of `deploy/kustomize/base/<service>` with the calls of all its installations: for a ledger of
/// many tests together.
pub async fn compare_rules(service: &str, calls: &Calls, rare: &[Rare]) -> anyhow::Result<Comparison> {
    let base = manifests::read(&kustomize_folder("base", service)).await?;
    let (own, _) = accounts(&base)?;
    let calls = calls.iter().filter_map(|call| as_deployed(call, &own, None)).collect();
    rbac::compare(&base, &calls, rare)
}

fn kustomize_folder(part: &str, service: &str) -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    repository.join("deploy/kustomize").join(part).join(service)
}

/// The namespace of a base and the names of its `ServiceAccounts`.
fn accounts(base: &[DynamicObject]) -> anyhow::Result<(String, Vec<String>)> {
    let mut own = None;
    let mut names = Vec::new();
    for account in base.iter().filter(|object| kind(object) == "ServiceAccount") {
        let name = account.name_any();
        let namespace = account.namespace();
        let namespace = namespace.with_context(|| {
            format!("ServiceAccount {name} has no namespace: set `namespace` in the kustomization")
        })?;
        let first = own.get_or_insert_with(|| namespace.clone());
        ensure!(
            *first == namespace,
            "ServiceAccounts in two namespaces, {first} and {namespace}: make two bases"
        );
        names.push(name);
    }
    Ok((own.context("there is no ServiceAccount: whose rights would the service have?")?, names))
}

/// A call of an installation (of the one with this suffix, or of any) as the deployed service would have made it.
fn as_deployed(call: &Call, own: &str, suffix: Option<&str>) -> Option<Call> {
    let namespace = call.user.strip_prefix("system:serviceaccount:")?.split(':').next()?;
    let found = namespace.strip_prefix(own)?.strip_prefix('-')?;
    if suffix.map_or(!is_random_suffix(found), |suffix| suffix != found) {
        return None;
    }
    let mut call = call.clone();
    call.user = call.user.replacen(namespace, own, 1);
    if let Some(target) = &mut call.target {
        if target.namespace.as_deref() == Some(namespace) {
            target.namespace = Some(own.to_owned());
        }
        let base_name = |name: &String| Some(name.strip_suffix(found)?.strip_suffix('-')?.to_owned());
        if let Some(name) = target.name.as_ref().and_then(base_name) {
            target.name = Some(name);
        }
    }
    Some(call)
}

async fn ensure_namespace(admin: &Client, name: &str) -> anyhow::Result<()> {
    let namespaces = Api::<v1::Namespace>::all(admin.clone());
    match namespaces.create(&PostParams::default(), &builders::namespace(name)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(error) => Err(error).with_context(|| format!("create Namespace {name}")),
    }
}

/// The authorizer learns of roles and bindings a moment after they are stored.
async fn await_rules(
    admin: &Client,
    objects: &[DynamicObject],
    namespace: &str,
    account: &str,
) -> anyhow::Result<()> {
    let reviews = Api::<SubjectAccessReview>::all(admin.clone());
    let grants = rbac::grants(objects, namespace, account)?;
    // A role is in force as a whole: one permission of each, in each place where it is bound, is proof.
    let one_of_each: BTreeMap<_, _> =
        grants.iter().map(|grant| ((&grant.role, &grant.namespace), grant)).collect();
    for grant in one_of_each.into_values() {
        let review = review(grant, namespace, account);
        eventually(DEADLINE, &format!("{grant} to be in force"), async || {
            let answer = reviews.create(&PostParams::default(), &review).await?;
            let status = answer.status.context("no answer to a SubjectAccessReview")?;
            ensure!(status.allowed, "not allowed: {}", status.reason.unwrap_or_default());
            Ok(())
        })
        .await?;
    }
    Ok(())
}

fn review(grant: &Grant, namespace: &str, account: &str) -> SubjectAccessReview {
    let mut spec = SubjectAccessReviewSpec {
        user: Some(user_name(namespace, account)),
        ..SubjectAccessReviewSpec::default()
    };
    let verb = Some(grant.verb.clone());
    if grant.resource.starts_with('/') {
        spec.non_resource_attributes =
            Some(NonResourceAttributes { path: Some(grant.resource.clone()), verb });
    } else {
        let (resource, subresource) =
            grant.resource.split_once('/').map_or((grant.resource.as_str(), None), |(r, s)| (r, Some(s)));
        spec.resource_attributes = Some(ResourceAttributes {
            verb,
            group: Some(grant.group.clone()),
            resource: Some(resource.to_owned()),
            subresource: subresource.map(ToOwned::to_owned),
            name: grant.name.clone(),
            namespace: grant.namespace.clone(),
            ..ResourceAttributes::default()
        });
    }
    SubjectAccessReview { spec, ..SubjectAccessReview::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Target;
    use rstest::rstest;

    const BASE: &str = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: a, namespace: one}}";

    #[rstest]
    #[case::none("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}", "no ServiceAccount")]
    #[case::no_namespace("{apiVersion: v1, kind: ServiceAccount, metadata: {name: a}}", "has no namespace")]
    #[case::two_namespaces(&format!("{BASE}\n---\n{}", BASE.replace("one", "two")), "two namespaces")]
    fn refuses_a_base_without_one_home(#[case] text: &str, #[case] expected: &str) {
        let error = accounts(&manifests::parse(text).unwrap()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[rstest]
    #[case::only(&["robot"], Some("robot"))]
    #[case::of_its_name(&["resolvers", "engine"], Some("engine"))]
    #[case::several(&["a", "b"], None)]
    fn a_service_has_one_account_of_its_own(#[case] accounts: &[&str], #[case] expected: Option<&str>) {
        let accounts: Vec<_> = accounts.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(main_account(Path::new("base/engine"), &accounts).ok().as_deref(), expected);
    }

    #[rstest]
    #[case::its_own("build-abcd1234", "Lease build-abcd1234/webhook", Some("Lease build/webhook"))]
    #[case::renamed("build-abcd1234", "Lease tenant/robot-abcd1234", Some("Lease tenant/robot"))]
    #[case::service_with_a_longer_name("build-service-abcd1234", "Lease build-service-abcd1234/x", None)]
    #[case::somebody_else("tenant-abcd1234", "Lease tenant-abcd1234/x", None)]
    fn sees_a_call_as_the_deployed_service_makes_it(
        #[case] from: &str,
        #[case] about: &str,
        #[case] expected: Option<&str>,
    ) {
        let (namespace, name) = about.strip_prefix("Lease ").unwrap().split_once('/').unwrap();
        let call = Call {
            at: builders::CREATED,
            user: user_name(from, "robot"),
            user_agent: String::new(),
            verb: "get".to_owned(),
            target: Some(Target {
                group: "coordination.k8s.io".to_owned(),
                resource: "leases".to_owned(),
                subresource: None,
                namespace: Some(namespace.to_owned()),
                name: Some(name.to_owned()),
            }),
            uri: String::new(),
            code: 200,
        };
        let seen = as_deployed(&call, "build", None);
        let shown = seen.map(|call| {
            assert_eq!(call.user, user_name("build", "robot"));
            let target = call.target.unwrap();
            format!("Lease {}/{}", target.namespace.unwrap(), target.name.unwrap())
        });
        assert_eq!(shown.as_deref(), expected);
    }
}
