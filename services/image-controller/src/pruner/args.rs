//! Flags of the tag pruner.

use std::net::SocketAddr;
use std::path::PathBuf;

use fleet::outbound::{AllowList, Options, Url};
use fleet::{LogFormat, Secret};

use crate::registry::api_url;

/// Deletes tags of signatures, attestations, SBOMs and sources in Quay whose image is gone, once.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "image-pruner", version, about)]
pub struct Args {
    /// Organization whose repositories are looked at.
    #[arg(long, value_name = "ORGANIZATION")]
    pub namespace: String,

    /// Whether only to say what would be deleted.
    #[arg(long)]
    pub dry_run: bool,

    /// Token of the organization, with rights to administer its repositories. By the variable: others see flags.
    #[arg(long, env = "QUAY_TOKEN", hide_env_values = true, value_parser = secret, value_name = "TOKEN")]
    pub quay_token: Secret<String>,

    /// Where Quay's API is.
    #[arg(long, env = "QUAYAPIURL", default_value = "https://quay.io/api/v1", value_parser = api_url, value_name = "URL")]
    pub quay_api_url: Url,

    /// Repositories that are looked at together.
    #[arg(long, env, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64), value_name = "COUNT")]
    pub concurrency: u16,

    /// Calls to the registry's API, at most.
    #[arg(long, env, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000), value_name = "PER SECOND")]
    pub registry_calls_per_second: u32,

    /// ConfigMap that remembers how far a run got, so that the one after a crash goes on from there. Without it each begins anew.
    #[arg(long, env, value_name = "NAME")]
    pub cursor: Option<String>,

    /// Namespace of the ConfigMap of --cursor.
    #[arg(long, env = "POD_NAMESPACE", default_value = "image-controller", value_name = "NAMESPACE")]
    pub cursor_namespace: String,

    /// Configuration of the cluster of --cursor. Inside a pod: that pod's cluster.
    #[arg(long, env, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Address of the metrics endpoint, while it runs.
    #[arg(long, env, default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub metrics_addr: SocketAddr,

    /// What may be called beside the internet, separated by commas: a host, host:port, an IP address or a network.
    #[arg(long, env, default_value_t, hide_default_value = true, value_name = "HOSTS")]
    pub outbound_allow: AllowList,

    /// Certificate authorities (PEM) that are trusted beside the machine's own.
    #[arg(long, env, value_name = "FILE")]
    pub ca_bundle: Option<PathBuf>,

    /// Format of the log on standard error.
    #[arg(long, env, default_value = "json", value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// Which log lines to write, as `level` or `target=level,…` (error, warn, info, debug, trace).
    #[arg(long, env, default_value = "info", value_name = "FILTER")]
    pub log_filter: String,
}

impl Args {
    pub(super) fn outbound(&self) -> Options {
        Options {
            allow: self.outbound_allow.clone(),
            ca_bundle: self.ca_bundle.clone(),
            ..Options::default()
        }
    }
}

fn secret(text: &str) -> Result<Secret<String>, String> {
    match text.trim() {
        "" => Err("it is empty".to_owned()),
        token => Ok(Secret::new(token.to_owned())),
    }
}
