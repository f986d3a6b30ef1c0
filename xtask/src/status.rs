//! `cargo xtask status`.
use anyhow::bail;

use crate::{
    cluster::{self, Choice, Cluster, Report, Settings, State},
    ui,
};

/// Shows how the dev cluster is: its parts, their restarts, and where things are. Fails unless it is ready.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub cluster: Choice,

    /// Also run pods, a Service and a volume in a namespace of their own, to see that they work.
    #[arg(long)]
    pub check: bool,
}

pub async fn run(args: StatusArgs) -> anyhow::Result<()> {
    let cluster = Cluster::load(&args.cluster)?;
    let again = format!("cargo xtask up{}", args.cluster.flags());
    match cluster.settings() {
        Settings::External(external) => {
            ui::answer(&format!("external cluster of {}", external.kubeconfig.display()));
            let version = cluster.client().await?.apiserver_version().await?;
            ui::answer(&format!("answers as Kubernetes {}", version.git_version));
            Ok(())
        }
        Settings::Embedded(embedded) => {
            let Some(report) = cluster.report() else {
                bail!("cluster {:?} is down: run `{again}`", embedded.name);
            };
            let line = |what: &str, value: String| ui::answer(&format!("{what:<12} {value}"));
            line("API server", embedded.api_server());
            line("registry", format!("{} (at {})", cluster::REGISTRY_NAME, embedded.registry()));
            if let Some(forge) = cluster.forge_access()? {
                line("forge", format!("{} (at {})", forge.url, forge.address.ip()));
            }
            line("kubeconfig", cluster.kubeconfig().display().to_string());
            line("kubectl", cluster.kubectl_wrapper().display().to_string());
            line("supervisor", cluster.supervisor().map_or_else(String::new, |pid| format!("process {pid}")));
            line("logs", cluster.logs().display().to_string());
            line("audit log", cluster.audit_log().display().to_string());
            ui::answer("");
            ui::answer(&table(&report));
            if !report.is_ready() {
                bail!(
                    "not all is ready; parts that ended are started again: look at their logs, or run `{again}`"
                );
            }
            if args.check {
                cluster::smoke::run(&cluster).await?;
            }
            Ok(())
        }
    }
}

fn table(report: &Report) -> String {
    let rows = report.parts.iter().map(|part| {
        let restarts =
            if part.restarts == 0 { String::new() } else { format!("{} restarts ", part.restarts) };
        let detail = if part.state == State::Ready { "" } else { part.detail.as_str() };
        format!("{:<20} {:<9} {restarts}{detail}", part.name, part.state.to_string()).trim_end().to_owned()
    });
    rows.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_says_what_is_wrong() {
        let report: Report = serde_json::from_value(serde_json::json!({
            "fingerprint": "f",
            "parts": [
                { "name": "etcd", "state": "ready", "restarts": 0, "detail": "" },
                { "name": "kubelet", "state": "down", "restarts": 2, "detail": "ended: exit status: 1" },
            ],
        }))
        .unwrap();
        assert_eq!(
            table(&report),
            "etcd                 ready\nkubelet              down      2 restarts ended: exit status: 1"
        );
    }
}
