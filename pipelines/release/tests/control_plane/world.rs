//! A tenant, a release team, and the program run as the account of its pipeline.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use fleet::ObjectKey;
use internal_services_api::InternalRequest;
use k8s_openapi::NamespaceResourceScope;
use kube::api::{Patch, PatchParams, PostParams};
use kube::config::{AuthInfo, Kubeconfig};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testkit::{ControlPlane, Namespace};
use tokio::process::Command;
use tokio::sync::OnceCell;

/// The account of the release pipeline, in the managed namespace.
const ACCOUNT: &str = "release-service-account";
const ROLE: &str = "release-pipeline-resource-role";

/// A tenant's namespace with a Release of two components, the managed namespace with its admission, and that of the service with its
/// settings.
pub(crate) struct World {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) tenant: Namespace<'static>,
    pub(crate) managed: Namespace<'static>,
    folder: tempfile::TempDir,
}

/// How a step ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) log: String,
    pub(crate) error: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// Failed with this code, and said each of these at the end.
    #[track_caller]
    pub(crate) fn failed(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(self.error.contains(word), "{word}: {self:?}");
        }
        self
    }
}

impl World {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        static KINDS: OnceCell<()> = OnceCell::const_new();
        let plane = ControlPlane::shared().await;
        let kinds = async || {
            for service in ["application-service", "release-service", "internal-services"] {
                plane.install_kinds(service).await?;
            }
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
            let role = root.join("deploy/kustomize/components/tenant-roles/release-pipeline.yaml");
            plane.apply_path(&role).await?;
            anyhow::Ok(())
        };
        KINDS.get_or_try_init(kinds).await?;
        let tenant = plane.namespace("tenant").await?;
        let managed = plane.namespace("managed").await?;
        let world = Self { plane, tenant, managed, folder: tempfile::tempdir()? };
        for name in ["work", "results"] {
            fs::create_dir(world.path(name))?;
        }
        world.grant().await?;
        world.objects().await?;
        Ok(world)
    }

    /// What release-service and its administrators bind the account to.
    async fn grant(&self) -> anyhow::Result<()> {
        let account = json!({"kind": "ServiceAccount", "name": ACCOUNT, "namespace": self.managed.name()});
        for namespace in [&self.tenant, &self.managed] {
            let binding = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "release-pipeline"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ROLE},
                "subjects": [account],
            });
            namespace.apply_yaml(&binding.to_string()).await?;
        }
        // In a cluster the Role is in the namespace of the service, whose settings they are.
        let rule = json!({"apiGroups": ["appstudio.redhat.com"], "resources": ["releaseserviceconfigs"], "verbs": ["get"]});
        self.permit("settings", &rule).await?;
        self.kubeconfig(&self.managed, ACCOUNT).await?;
        Ok(())
    }

    /// Binds the account to a Role of this one rule in the managed namespace.
    pub(crate) async fn permit(&self, name: &str, permission: &Value) -> anyhow::Result<()> {
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name}, "rules": [permission],
        });
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": self.managed.name()}],
        });
        for object in [role, binding] {
            self.managed.apply_yaml(&object.to_string()).await?;
        }
        Ok(())
    }

    /// A kubeconfig of an account, which is made if it is not there.
    pub(crate) async fn kubeconfig(&self, namespace: &str, account: &str) -> anyhow::Result<PathBuf> {
        let token = self.plane.token_of(namespace, account, &[]).await?;
        let mut config = Kubeconfig::read_from(self.plane.kubeconfig())?;
        for user in &mut config.auth_infos {
            user.auth_info = Some(AuthInfo { token: Some(token.clone().into()), ..AuthInfo::default() });
        }
        let path = self.path(&format!("{account}.kubeconfig"));
        fs::write(&path, serde_json::to_vec(&config)?)?;
        Ok(path)
    }

    async fn objects(&self) -> anyhow::Result<()> {
        let component = |name: &str, revision: &str| {
            json!({
                "name": name, "containerImage": format!("registry.example/{name}@sha256:{}", "a".repeat(64)),
                "source": {"git": {"url": format!("https://git.example/{name}"), "revision": revision}},
            })
        };
        let snapshot = |name: &str, revision: &str| {
            json!({
                "metadata": {"name": name, "labels": {"appstudio.openshift.io/component": "web"}},
                "spec": {"application": "shop", "components": [component("api", "1"), component("web", revision)]},
            })
        };
        self.create("v1alpha1", "Snapshot", &self.tenant, snapshot("first", "1")).await?;
        self.create("v1alpha1", "Snapshot", &self.tenant, snapshot("second", "2")).await?;
        for (release, snapshot) in [("release-1", "first"), ("release-2", "second")] {
            let release = json!({
                "metadata": {"name": release},
                "spec": {"snapshot": snapshot, "releasePlan": "plan", "data": {"who": "release", "tags": ["r"]}},
            });
            self.create("v1alpha1", "Release", &self.tenant, release).await?;
        }
        let plan = json!({
            "metadata": {"name": "plan"},
            "spec": {"application": "shop", "target": self.managed.name(), "data": {"who": "plan", "tags": ["p", "r"]}},
        });
        self.create("v1alpha1", "ReleasePlan", &self.tenant, plan).await?;
        let admission = json!({
            "metadata": {"name": "admission"},
            "spec": {
                "applications": ["shop"], "origin": self.tenant.name(), "policy": "default",
                "pipeline": {"pipelineRef": {"resolver": "bundles", "params": []}},
                "data": {"who": "admission", "mapping": {"components": [{"name": "web", "repository": "quay.example/web"}]}},
            },
        });
        self.create("v1alpha1", "ReleasePlanAdmission", &self.managed, admission).await
    }

    /// Makes an object of the release API.
    pub(crate) async fn create(
        &self,
        version: &str,
        kind: &str,
        namespace: &str,
        mut object: Value,
    ) -> anyhow::Result<()> {
        object["apiVersion"] = format!("appstudio.redhat.com/{version}").into();
        object["kind"] = kind.into();
        let text = object.to_string();
        let namespace = if namespace == self.tenant.name() { &self.tenant } else { &self.managed };
        namespace.apply_yaml(&text).await.with_context(|| format!("create {kind}"))?;
        Ok(())
    }

    pub(crate) fn admin(&self) -> Client {
        self.plane.admin()
    }

    pub(crate) fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.admin(), namespace)
    }

    pub(crate) async fn get<K>(&self, namespace: &str, name: &str) -> anyhow::Result<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        self.api::<K>(namespace).get(name).await.with_context(|| ObjectKey::new(namespace, name).to_string())
    }

    pub(crate) async fn merge<K>(&self, namespace: &str, name: &str, patch: &Value) -> anyhow::Result<()>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        self.api::<K>(namespace).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    pub(crate) async fn make<K>(&self, namespace: &str, object: &K) -> anyhow::Result<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned,
    {
        Ok(self.api::<K>(namespace).create(&PostParams::default(), object).await?)
    }

    pub(crate) async fn requests(&self) -> anyhow::Result<Vec<InternalRequest>> {
        Ok(self.api::<InternalRequest>(&self.managed).list(&kube::api::ListParams::default()).await?.items)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &Value) -> anyhow::Result<()> {
        let path = self.path(name);
        fs::create_dir_all(path.parent().context("a file in a folder")?)?;
        Ok(fs::write(path, content.to_string())?)
    }

    pub(crate) fn json(&self, name: &str) -> anyhow::Result<Value> {
        let content = fs::read(self.path(name)).with_context(|| name.to_owned())?;
        Ok(serde_json::from_slice(&content)?)
    }

    pub(crate) fn result(&self, name: &str) -> anyhow::Result<String> {
        fs::read_to_string(self.path("results").join(name)).with_context(|| format!("result {name}"))
    }

    /// The value of a flag for results, all of these.
    pub(crate) fn results(&self, names: &[&str]) -> Vec<String> {
        let path = |name: &&str| self.path("results").join(name).display().to_string();
        std::iter::once("--results".to_owned()).chain(names.iter().map(path)).collect()
    }

    /// Runs a step as the account of the release pipeline. In its flags `{tenant}`, `{managed}` and `{folder}` stand for those.
    pub(crate) async fn run(&self, flags: &[&str]) -> anyhow::Result<Ran> {
        self.run_as(&self.path(&format!("{ACCOUNT}.kubeconfig")), flags).await
    }

    /// As [`run`](Self::run), as another account.
    pub(crate) async fn run_as(&self, kubeconfig: &Path, flags: &[&str]) -> anyhow::Result<Ran> {
        let output = self.command(kubeconfig, flags).output().await?;
        Ok(Ran {
            code: output.status.code().context("the step ends with a code")?,
            log: String::from_utf8(output.stdout)?,
            error: String::from_utf8(output.stderr)?,
        })
    }

    fn command(&self, kubeconfig: &Path, flags: &[&str]) -> Command {
        let folder = self.folder.path().display().to_string();
        let filled = flags.iter().map(|flag| {
            let flag = flag.replace("{tenant}", &self.tenant).replace("{managed}", &self.managed);
            flag.replace("{folder}", &folder)
        });
        let mut command = Command::new(env!("CARGO_BIN_EXE_release-tasks"));
        command.args(filled).env_clear().env("KUBECONFIG", kubeconfig).env("HOME", &folder);
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}
