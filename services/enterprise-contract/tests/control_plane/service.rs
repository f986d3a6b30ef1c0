//! The controller as it is deployed, but for the pod: its code runs here, with the rights of its base. Policies are in a Git
//! server of the test's own.

use attest::PrivateKey;
use clap::Parser as _;
use enterprise_contract::Args;
use enterprise_contract_api::EnterpriseContractPolicy;
use fleet::Fleet;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use prometheus::Registry;
use serde_json::{Value, json};
use testkit::git_server::{GitServer, Repository};
use testkit::{ControlPlane, DEADLINE, Installed, Namespace, builders, wait_for};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Two rules.
pub(crate) const RULES: &str = r#"
package policy.release.sample

import rego.v1

# METADATA
# title: One
# custom:
#   short_name: one
#   collections: [minimal]
deny contains result if {
	input.one
	result := {"code": "sample.one", "msg": "one"}
}

# METADATA
# title: Two
# custom:
#   short_name: two
warn contains result if {
	input.two
	result := {"code": "sample.two", "msg": "two"}
}
"#;

/// A tenant's namespace, a Git server, and an installation of the controller that works in this namespace alone.
pub(crate) struct Service {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) tenant: Namespace<'static>,
    pub(crate) installed: Installed<'static>,
    pub(crate) git: GitServer,
    pub(crate) rules: Repository,
    pub(crate) registry: Registry,
    flags: Vec<String>,
    running: Option<Running>,
}

struct Running {
    stop: CancellationToken,
    ended: JoinHandle<Result<(), fleet::Error>>,
}

impl Service {
    /// Installs the controller and starts it.
    pub(crate) async fn start(flags: &[&str]) -> anyhow::Result<Self> {
        let mut service = Self::install(flags).await?;
        service.run().await?;
        Ok(service)
    }

    /// Installs the controller. Nothing runs yet.
    pub(crate) async fn install(flags: &[&str]) -> anyhow::Result<Self> {
        let plane = ControlPlane::shared().await;
        let tenant = plane.namespace("tenant").await?;
        let installed = plane.install("enterprise-contract", None).await?;
        let git = GitServer::start().await?;
        let rules = git.repository("rules")?;
        rules.commit(&[("policy/sample.rego", RULES), ("data/data.yaml", "rule_data: {x: 1}")])?;
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Ok(Self { plane, tenant, installed, git, rules, registry: Registry::new(), flags, running: None })
    }

    pub(crate) async fn run(&mut self) -> anyhow::Result<()> {
        let mut arguments = vec![
            "enterprise-contract".to_owned(),
            "--metrics-addr=127.0.0.1:0".to_owned(),
            "--health-addr=127.0.0.1:0".to_owned(),
            format!("--watch-namespaces={}", self.tenant),
            format!("--namespace={}", self.installed.namespace()),
            format!("--outbound-allow={}", self.git.origin()),
            "--identity=test".to_owned(),
        ];
        arguments.extend(self.flags.iter().cloned());
        let args = Args::try_parse_from(arguments)?;
        self.registry = Registry::new();
        let client = fleet::client::build(self.installed.config().await?, &self.registry)?;
        let stop = CancellationToken::new();
        let fleet = Fleet::new(
            "enterprise-contract",
            args.fleet.clone(),
            client,
            self.registry.clone(),
            stop.clone(),
        )?;
        let ended = tokio::spawn(enterprise_contract::run(args, fleet));
        self.running = Some(Running { stop, ended });
        Ok(())
    }

    /// Stops the controller gracefully.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(Running { stop, ended }) = self.running.take() {
            stop.cancel();
            ended.await??;
        }
        Ok(())
    }

    pub(crate) fn admin(&self) -> Client {
        self.plane.admin()
    }

    pub(crate) fn policies(&self) -> Api<EnterpriseContractPolicy> {
        Api::namespaced(self.admin(), &self.tenant)
    }

    pub(crate) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.admin(), &self.tenant)
    }

    /// `git::<server>/rules//<folder>`
    pub(crate) fn url(&self, folder: &str) -> String {
        format!("git::{}//{folder}", self.git.url("rules"))
    }

    /// A spec whose rules are those of the repository.
    pub(crate) fn spec(&self) -> Value {
        json!({"sources": [{"policy": [self.url("policy")], "data": [self.url("data")]}]})
    }

    pub(crate) async fn create(&self, name: &str, spec: &Value) -> anyhow::Result<()> {
        self.policies().create(&PostParams::default(), &policy(name, spec)).await?;
        Ok(())
    }

    pub(crate) async fn patch(&self, name: &str, body: &Value) -> anyhow::Result<()> {
        self.policies().patch(name, &PatchParams::default(), &Patch::Merge(body)).await?;
        Ok(())
    }

    /// Makes the Secret `name` with a public key.
    pub(crate) async fn key(&self, name: &str) -> anyhow::Result<()> {
        let key = PrivateKey::generate()?.public().to_pem();
        let secret = builders::secret(&self.tenant, name, [("cosign.pub", key.as_str())]);
        self.secrets().create(&PostParams::default(), &secret).await?;
        Ok(())
    }

    /// Waits until the present spec was looked at with this outcome, and returns the policy and what `Ready` says.
    pub(crate) async fn until(
        &self,
        name: &str,
        reason: &str,
    ) -> anyhow::Result<(EnterpriseContractPolicy, String)> {
        until(&self.policies(), name, reason).await
    }
}

pub(crate) async fn until(
    policies: &Api<EnterpriseContractPolicy>,
    name: &str,
    reason: &str,
) -> anyhow::Result<(EnterpriseContractPolicy, String)> {
    let policy = wait_for(policies, name, reason, DEADLINE, |policy: &EnterpriseContractPolicy| {
        ready(policy).is_some_and(|(found, _)| found == reason)
    })
    .await?;
    let (_, message) = ready(&policy).unwrap_or_default();
    Ok((policy, message))
}

/// Reason and message of `Ready`, for the present spec.
fn ready(policy: &EnterpriseContractPolicy) -> Option<(String, String)> {
    let status = policy.status.as_ref()?;
    let condition = status.conditions.iter().find(|condition| condition.type_ == "Ready")?;
    let is_present = condition.observed_generation == policy.metadata.generation
        && status.observed_generation == policy.metadata.generation;
    is_present.then(|| (condition.reason.clone(), condition.message.clone()))
}

pub(crate) fn policy(name: &str, spec: &Value) -> EnterpriseContractPolicy {
    let object = json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "EnterpriseContractPolicy",
        "metadata": {"name": name}, "spec": spec,
    });
    serde_json::from_value(object).expect("test objects have the type that they are made for")
}
