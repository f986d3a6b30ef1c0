//! The Snapshot garbage collector as a process, with the rights of its own account.

use std::process::{Output, Stdio};
use std::time::Duration;

use application_service_api::{Snapshot, SnapshotEnvironmentBinding};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use release_service_api::Release;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::builders::Build as _;
use testkit::{ControlPlane, Installed, Namespace};
use tokio::process::Command;

use crate::service::{NEIGHBOURS, component_with_image, snapshot};

/// The program ends by itself.
const PATIENCE: Duration = Duration::from_mins(1);
const ACCOUNT: &str = "snapshot-garbage-collector";
const TENANT: &str = "toolchain.dev.openshift.com/type";

const EVENT_TYPE: &str = "pac.test.appstudio.openshift.io/event-type";
const BUILT: &str = "test.appstudio.openshift.io/pipelinerunfinishtime";
const COMPONENT: &str = "appstudio.openshift.io/component";

/// A control plane with the collector's account.
struct Cluster {
    plane: &'static ControlPlane,
    installed: Installed<'static>,
    folder: TempDir,
}

impl Cluster {
    async fn start() -> anyhow::Result<Self> {
        let plane = ControlPlane::shared().await;
        for neighbour in NEIGHBOURS {
            plane.install_kinds(neighbour).await?;
        }
        let installed = plane.install("integration-service", None).await?;
        Ok(Self { plane, installed, folder: tempfile::tempdir()? })
    }

    async fn tenant(&self, label: (&str, &str)) -> anyhow::Result<Tenant> {
        let namespace = self.plane.namespace("tenant").await?;
        let labels = json!({"metadata": {"labels": {label.0: label.1}}});
        let namespaces: Api<v1::Namespace> = Api::all(self.plane.admin());
        namespaces.patch(&namespace, &PatchParams::default(), &Patch::Merge(&labels)).await?;
        Ok(Tenant { plane: self.plane, namespace })
    }

    /// How the program is called for these tenants, with the token of an account.
    async fn command(&self, account: (&str, &str), tenants: &[&Tenant]) -> anyhow::Result<Command> {
        let mut config: Value = serde_json::from_slice(&std::fs::read(self.plane.kubeconfig())?)?;
        config["users"][0]["user"] = json!({"token": self.plane.token_of(account.0, account.1, &[]).await?});
        let file = self.folder.path().join("kubeconfig");
        std::fs::write(&file, config.to_string())?;
        let tenants: Vec<&str> = tenants.iter().map(|tenant| tenant.namespace.name()).collect();
        let mut command = Command::new(env!("CARGO_BIN_EXE_snapshotgc"));
        command
            .env_clear()
            .arg(format!("--kubeconfig={}", file.display()))
            .arg(format!("--watch-namespaces={}", tenants.join(",")))
            .args(["--metrics-addr=127.0.0.1:0", "--log-format=text"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Ok(command)
    }

    /// Calls it as it is deployed.
    async fn collect(&self, tenants: &[&Tenant], flags: &[&str]) -> anyhow::Result<(bool, String)> {
        let mut command = self.command((self.installed.namespace(), ACCOUNT), tenants).await?;
        ended(command.args(flags)).await
    }
}

/// Whether it ended well, and its log.
async fn ended(command: &mut Command) -> anyhow::Result<(bool, String)> {
    let Output { status, stderr, .. } = tokio::time::timeout(PATIENCE, command.output()).await??;
    Ok((status.success(), String::from_utf8_lossy(&stderr).into_owned()))
}

struct Tenant {
    plane: &'static ControlPlane,
    namespace: Namespace<'static>,
}

impl Tenant {
    fn snapshots(&self) -> Api<Snapshot> {
        Api::namespaced(self.plane.admin(), &self.namespace)
    }

    /// Makes a Snapshot without a verdict.
    async fn open(&self, snapshot: &Snapshot) -> anyhow::Result<()> {
        self.snapshots().create(&PostParams::default(), snapshot).await?;
        Ok(())
    }

    /// Makes a Snapshot with a condition.
    async fn make(&self, snapshot: &Snapshot, [type_, status, reason]: [&str; 3]) -> anyhow::Result<()> {
        self.open(snapshot).await?;
        let condition = json!({"type": type_, "status": status, "reason": reason, "message": "",
            "lastTransitionTime": "2024-03-01T00:00:00Z"});
        let body = json!({"status": {"conditions": [condition]}});
        self.snapshots()
            .patch_status(&snapshot.name_any(), &PatchParams::default(), &Patch::Merge(&body))
            .await?;
        Ok(())
    }

    async fn passed(&self, snapshot: &Snapshot) -> anyhow::Result<()> {
        self.make(snapshot, PASSED).await
    }

    async fn names(&self) -> anyhow::Result<Vec<String>> {
        let all = self.snapshots().list(&ListParams::default()).await?;
        Ok(all.iter().map(ResourceExt::name_any).collect())
    }
}

const PASSED: [&str; 3] = ["AppStudioTestSucceeded", "True", "Passed"];

/// The build of it ended so many seconds after another time.
fn push(number: u64) -> Snapshot {
    snapshot(&format!("push-{number:03}"), &[("web", number)])
        .label(COMPONENT, "web")
        .label(BUILT, (1_700_000_000 + number).to_string())
        .label(EVENT_TYPE, "push")
}

fn pull_request(number: u64) -> Snapshot {
    snapshot(&format!("request-{number:03}"), &[("web", number)])
        .label(COMPONENT, "web")
        .label(BUILT, (1_700_000_000 + number).to_string())
        .label(EVENT_TYPE, "pull_request")
        .label("pac.test.appstudio.openshift.io/url-org", "acme")
        .label("pac.test.appstudio.openshift.io/url-repository", "web")
        .annotation("pac.test.appstudio.openshift.io/pull-request", number.to_string())
}

fn typed<K: serde::de::DeserializeOwned>(kind: &str, name: &str, spec: &Value) -> anyhow::Result<K> {
    let api_version = "appstudio.redhat.com/v1alpha1";
    let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec});
    Ok(serde_json::from_value(object)?)
}

#[tokio::test]
async fn scenario_22_the_newest_of_each_class_and_what_is_bound_stay() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let tenant = cluster.tenant((TENANT, "tenant")).await?;
    for number in 0..30 {
        tenant.passed(&push(number)).await?;
        tenant.passed(&pull_request(number)).await?;
    }
    let admin = cluster.plane.admin();
    let releases: Api<Release> = Api::namespaced(admin.clone(), &tenant.namespace);
    for name in ["push-000", "push-007"] {
        let release = typed("Release", name, &json!({"snapshot": name, "releasePlan": "plan"}))?;
        releases.create(&PostParams::default(), &release).await?;
    }
    let spec =
        json!({"application": "shop", "environment": "dev", "snapshot": "request-003", "components": []});
    let bindings: Api<SnapshotEnvironmentBinding> = Api::namespaced(admin, &tenant.namespace);
    bindings.create(&PostParams::default(), &typed("SnapshotEnvironmentBinding", "dev", &spec)?).await?;

    let keep = ["--non-pr-snapshots-to-keep=10", "--pr-snapshots-to-keep=5"];
    let (is_fine, log) = cluster.collect(&[&tenant], &keep).await?;
    assert!(is_fine && log.contains("snapshots=60") && log.contains("deleted=45"), "{log}");
    // What is bound counts.
    let pushes = ["push-000", "push-007"].map(ToOwned::to_owned).into_iter();
    let pushes = pushes.chain((22..30).map(|number| format!("push-{number:03}")));
    let requests = std::iter::once("request-003".to_owned());
    let requests = requests.chain((26..30).map(|number| format!("request-{number:03}")));
    assert_eq!(tenant.names().await?, pushes.chain(requests).collect::<Vec<_>>());

    let (is_fine, log) = cluster.collect(&[&tenant], &keep).await?;
    assert!(is_fine && log.contains("deleted=0"), "{log}");
    Ok(())
}

#[tokio::test]
async fn what_is_tested_or_promoted_or_to_be_kept_is_spared() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let tenant = cluster.tenant(("konflux-ci.dev/type", "tenant")).await?;
    let components = Api::namespaced(cluster.plane.admin(), &tenant.namespace);
    components.create(&PostParams::default(), &component_with_image("web", 4)).await?;

    tenant.open(&push(1)).await?;
    tenant.make(&push(2), ["AppStudioIntegrationStatus", "False", "Canceled"]).await?;
    tenant.passed(&push(3).annotation("test.appstudio.openshift.io/keep-snapshot", "720h")).await?;
    // What the candidate list holds, with the source that the Component names.
    let mut promoted = push(4);
    let git = json!({"git": {"url": "https://git.example/acme/web", "revision": "main"}});
    promoted.spec.components[0].source = Some(serde_json::from_value(git)?);
    let mut older = promoted.clone();
    older.metadata.name = Some("push-000".to_owned());
    older = older.label(BUILT, "1690000000");
    tenant.passed(&older).await?;
    tenant.passed(&promoted).await?;
    tenant.passed(&push(5)).await?;
    tenant.passed(&push(6).label("velero.io/restore-name", "nightly")).await?;
    tenant.passed(&push(7).label("test.appstudio.openshift.io/run", "all")).await?;
    tenant.passed(&push(8)).await?;

    let flags = ["--non-pr-snapshots-to-keep=100", "--min-snapshots-to-keep-per-component=1"];
    let mut command = cluster.command((cluster.installed.namespace(), ACCOUNT), &[&tenant]).await?;
    let command = command.args(flags).env("NON_PR_SNAPSHOTS_TO_KEEP", "0");
    let (is_fine, log) = ended(command.arg("--dry-run")).await?;
    assert!(is_fine && log.matches("Would delete Snapshot").count() == 3, "{log}");
    assert_eq!(tenant.names().await?.len(), 9);

    let mut command = cluster.command((cluster.installed.namespace(), ACCOUNT), &[&tenant]).await?;
    let command = command.args(flags).env("NON_PR_SNAPSHOTS_TO_KEEP", "0");
    let (is_fine, log) = ended(command).await?;
    assert!(is_fine && log.contains("deleted=3") && log.contains("spared=3"), "{log}");
    let left = ["push-001", "push-003", "push-004", "push-006", "push-007", "push-008"];
    assert_eq!(tenant.names().await?, left);
    Ok(())
}

#[tokio::test]
async fn all_pages_are_looked_at() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let tenant = cluster.tenant(("konflux.ci/type", "user")).await?;
    for number in 0..3 {
        tenant.passed(&push(number)).await?;
    }
    let others = futures::stream::iter(100..352).map(|number| {
        let snapshot = push(number);
        let tenant = &tenant;
        async move { tenant.open(&snapshot).await }
    });
    let made: Vec<_> = others.buffer_unordered(16).collect().await;
    made.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let (is_fine, log) = cluster.collect(&[&tenant], &["--non-pr-snapshots-to-keep=252"]).await?;
    assert!(is_fine && log.contains("snapshots=255") && log.contains("deleted=3"), "{log}");
    let names = tenant.names().await?;
    assert_eq!((names.len(), names[0].as_str()), (252, "push-100"));
    Ok(())
}

#[tokio::test]
async fn a_tenant_that_cannot_be_read_does_not_stop_others() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let (one, other) = (cluster.tenant((TENANT, "tenant")).await?, cluster.tenant((TENANT, "tenant")).await?);
    for tenant in [&one, &other] {
        tenant.passed(&push(1)).await?;
    }
    let account = (one.namespace.name(), "visitor");
    let mut command = cluster.command(account, &[&one, &other]).await?;
    let (is_fine, log) = ended(&mut command).await?;
    assert!(!is_fine && log.contains("the namespaces of tenants cannot be listed"), "{log}");

    // All rights of the collector, but of the own namespace only.
    let role = cluster.installed.name_of(ACCOUNT);
    let suffix = other.namespace.name();
    one.namespace
        .apply_yaml(&format!(
            "
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: visitor}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {role}}}
subjects: [{{kind: ServiceAccount, name: visitor, namespace: {namespace}}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: visitor-{suffix}}}
rules: [{{apiGroups: [''], resources: [namespaces], verbs: [list]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: visitor-{suffix}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: visitor-{suffix}}}
subjects: [{{kind: ServiceAccount, name: visitor, namespace: {namespace}}}]
",
            namespace = account.0
        ))
        .await?;
    let flags =
        ["--non-pr-snapshots-to-keep=0", "--min-snapshots-to-keep-per-component=0", "--concurrency=1"];
    let log = testkit::eventually(testkit::DEADLINE, "the rules to be in force", async || {
        let mut command = cluster.command(account, &[&one, &other]).await?;
        let (is_fine, log) = ended(command.args(flags)).await?;
        anyhow::ensure!(is_fine && one.names().await?.is_empty(), "{log}");
        Ok(log)
    })
    .await?;
    assert!(log.contains("Skipped a tenant") && log.contains(other.namespace.name()), "{log}");
    assert_eq!(other.names().await?, ["push-001"]);
    Ok(())
}

#[tokio::test]
async fn a_limit_that_is_no_number_ends_it() -> anyhow::Result<()> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_snapshotgc"));
    command.env_clear().env("PR_SNAPSHOTS_TO_KEEP", "many").stderr(Stdio::piped());
    let (is_fine, log) = ended(&mut command).await?;
    assert!(!is_fine && log.contains("many"), "{log}");
    Ok(())
}
