//! Killed at any moment, the controller ends where it ends on a calm day.

use enterprise_contract_api::EnterpriseContractPolicy;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use testkit::drill::{Drill, Tenant};
use testkit::git_server::GitServer;

use crate::service::{RULES, policy, until};

/// A Git server for all repetitions.
pub(crate) struct Scene {
    git: GitServer,
}

impl Scene {
    pub(crate) async fn set() -> anyhow::Result<Self> {
        let git = GitServer::start().await?;
        git.repository("rules")?.commit(&[("policy/sample.rego", RULES)])?;
        Ok(Self { git })
    }

    pub(crate) fn drill(&self) -> Drill {
        let flags = [format!("--outbound-allow={}", self.git.origin())];
        Drill::of("enterprise-contract", env!("CARGO_BIN_EXE_enterprise-contract"))
            .flags(flags.iter().map(String::as_str))
    }

    /// A policy that cannot be used, is mended, and loses its rules.
    pub(crate) async fn flow(&self, tenant: &Tenant) -> anyhow::Result<()> {
        let policies = tenant.api::<EnterpriseContractPolicy>();
        let url = |folder: &str| format!("git::{}//{folder}", self.git.url("rules"));
        let spec = json!({"sources": [{"policy": [url("gone")]}]});
        policies.create(&PostParams::default(), &policy("release", &spec)).await?;
        until(&policies, "release", "SourceUnreachable").await?;
        // Often enough for every fault to meet a request.
        let states = [
            ("policy", json!([]), "Valid"),
            ("policy", json!(["*", "sample"]), "NoRules"),
            ("policy", json!(["sample.one"]), "Valid"),
            ("gone", json!([]), "SourceUnreachable"),
            ("policy", json!(["*", "sample"]), "NoRules"),
            ("policy", json!([]), "Valid"),
        ];
        for (folder, exclude, reason) in states {
            let body =
                json!({"spec": {"sources": [{"policy": [url(folder)], "config": {"exclude": exclude}}]}});
            policies.patch("release", &PatchParams::default(), &Patch::Merge(&body)).await?;
            until(&policies, "release", reason).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn killed_at_any_write_it_ends_where_it_ends_on_a_calm_day() -> anyhow::Result<()> {
    let scene = Scene::set().await?;
    let report =
        scene.drill().crash_after_each_write(async |tenant: &Tenant| scene.flow(tenant).await).await?;
    eprintln!("crash drill: {report}");
    Ok(())
}
