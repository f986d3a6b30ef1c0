//! The flags that every service has.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::outbound::{self, AllowList, DenyList};
use crate::shard::Shard;

/// Flags of the kit, flattened into each service's own `Args`. Each can also be given by its environment variable.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Namespaces to work in, separated by commas. All if empty.
    #[arg(long, env, value_delimiter = ',', value_name = "NAMESPACES")]
    pub watch_namespaces: Vec<String>,

    /// Address of the Prometheus endpoint /metrics.
    #[arg(long, alias = "metrics-bind-address", env, default_value = "0.0.0.0:8080", value_name = "ADDRESS", value_parser = parse_address)]
    pub metrics_addr: SocketAddr,

    /// Address of /healthz and /readyz.
    #[arg(long, alias = "health-probe-bind-address", env, default_value = "0.0.0.0:8081", value_name = "ADDRESS", value_parser = parse_address)]
    pub health_addr: SocketAddr,

    /// Address of the admission and conversion webhooks (TLS).
    #[arg(long, env, default_value = "0.0.0.0:9443", value_name = "ADDRESS", value_parser = parse_address)]
    pub webhook_addr: SocketAddr,

    /// Folder with tls.crt and tls.key for the webhooks, as cert-manager mounts it. Without it the leader issues a
    /// certificate itself.
    #[arg(long, env, value_name = "FOLDER")]
    pub webhook_cert_dir: Option<PathBuf>,

    /// Further DNS names or IP addresses for the certificate that the leader issues, separated by commas: for callers
    /// that do not come through the Service.
    #[arg(long, env, value_delimiter = ',', value_name = "NAMES")]
    pub webhook_names: Vec<String>,

    /// Webhook configuration that the leader writes its certificate authority into. That with the service's own name if
    /// absent.
    #[arg(long, env, value_name = "NAME")]
    pub webhook_configuration: Option<String>,

    /// Whether replicas agree on one that acts, by a Lease. Only for a single process without rivals: false.
    #[arg(long, env, default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub leader_elect: bool,

    /// Name of that Lease, if it is not the service's own name: where several installations share a namespace.
    #[arg(long, alias = "leader-election-id", env, value_name = "NAME")]
    pub lease: Option<String>,

    /// A second Lease to hold while acting, in the same namespace: that of the original which this service replaces, so
    /// that the two never act at once.
    #[arg(long, env, value_name = "NAME")]
    pub also_hold_lease: Option<String>,

    /// Namespace of the service itself: where its Lease and its certificate Secret lie.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// Name of this replica in Lease and Events. A random one if absent.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub identity: Option<String>,

    /// How many objects each controller works on at once.
    #[arg(long, env, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256), value_name = "COUNT")]
    pub concurrency: u16,

    /// Experimental: works only on the namespaces that fall to shard INDEX of COUNT. Each shard has its own Lease,
    /// `<service>-<INDEX>-of-<COUNT>`. Stop all replicas before COUNT changes.
    #[arg(long, env, hide = true, default_value_t = Shard::ALL, value_name = "INDEX/COUNT")]
    pub shard: Shard,

    /// Format of the log on standard error.
    #[arg(long, env, default_value = "json", value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// Which log lines to write, as `level` or `target=level,…` (error, warn, info, debug, trace).
    #[arg(long, env, default_value = "info", value_name = "FILTER")]
    pub log_filter: String,

    /// Where to send traces (OTLP over gRPC), as `http://host:4317`. Nowhere if absent.
    #[arg(long, env, value_name = "URL")]
    pub otlp_endpoint: Option<String>,

    /// What outgoing calls may reach beside the internet, separated by commas: a host, host:port, an IP address or a
    /// network (10.0.0.0/8). A host is permitted wherever its name leads, link-local addresses excepted; with http:// in
    /// front also without TLS. Everything else that is loopback, private or link-local is refused.
    #[arg(long, env, default_value_t, hide_default_value = true, value_name = "HOSTS")]
    pub outbound_allow: AllowList,

    /// Networks that outgoing calls may not reach although they are on the internet, separated by commas: those of the
    /// cluster's pods and Services, if their addresses are public.
    #[arg(long, env, default_value_t, hide_default_value = true, value_name = "NETWORKS")]
    pub outbound_deny: DenyList,

    /// How many outgoing calls to one host may be under way at once. Further ones wait for two seconds, and are then tried
    /// again later.
    #[arg(long, env, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256), value_name = "COUNT")]
    pub outbound_calls_per_host: u16,

    /// Certificate authorities (PEM) that outgoing calls trust beside the machine's own. Read again when it changes. A file
    /// that is not there yet, in a folder that is, counts as empty until it appears.
    #[arg(long, env, value_name = "FILE")]
    pub ca_bundle: Option<PathBuf>,

    /// Configuration of the cluster to work on. Inside a pod: that pod's cluster.
    #[arg(long, env, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For reading.
    Text,
}

/// Also takes `:8080` for all addresses, as the original's flags do.
fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let parsed = match text.strip_prefix(':') {
        Some(port) => port.parse().map(|port: u16| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).ok(),
        None => text.parse().ok(),
    };
    parsed.ok_or_else(|| "expected address:port, as 0.0.0.0:8080 or :8080".to_owned())
}

impl Args {
    pub(crate) fn outbound(&self) -> outbound::Options {
        outbound::Options {
            allow: self.outbound_allow.clone(),
            deny: self.outbound_deny.clone(),
            ca_bundle: self.ca_bundle.clone(),
            calls_per_host: Some(self.outbound_calls_per_host),
        }
    }

    /// The namespaces to watch; `None` means all.
    pub(crate) fn scopes(&self) -> Vec<crate::Scope> {
        let mut namespaces: Vec<_> =
            self.watch_namespaces.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        if namespaces.is_empty() {
            return vec![crate::Scope::All];
        }
        namespaces.into_iter().map(|name| crate::Scope::Namespace(name.to_owned())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scope;
    use clap::Parser as _;
    use rstest::rstest;

    #[derive(Debug, clap::Parser)]
    struct Service {
        #[command(flatten)]
        fleet: Args,
    }

    fn parse(flags: &[&str]) -> Result<Args, clap::Error> {
        Service::try_parse_from([&["service"], flags].concat()).map(|service| service.fleet)
    }

    #[rstest]
    #[case::ours(&["--metrics-addr", "127.0.0.1:9000"], "127.0.0.1:9000")]
    #[case::spelled_as_upstream(&["--metrics-bind-address=:8443"], "0.0.0.0:8443")]
    #[case::default(&[], "0.0.0.0:8080")]
    fn takes_metrics_address(#[case] flags: &[&str], #[case] expected: &str) {
        assert_eq!(parse(flags).unwrap().metrics_addr.to_string(), expected);
    }

    #[rstest]
    #[case::bare(&["--leader-elect"], true)]
    #[case::off(&["--leader-elect=false"], false)]
    #[case::default(&[], true)]
    fn takes_leader_elect(#[case] flags: &[&str], #[case] expected: bool) {
        assert_eq!(parse(flags).unwrap().leader_elect, expected);
    }

    #[test]
    fn a_bad_value_names_the_flag() {
        let error = parse(&["--metrics-addr", "nowhere"]).unwrap_err().to_string();
        assert!(error.contains("--metrics-addr") && error.contains("0.0.0.0:8080"), "{error}");
        let error = parse(&["--concurrency", "0"]).unwrap_err().to_string();
        assert!(error.contains("--concurrency"), "{error}");
    }

    #[test]
    fn takes_what_may_be_called_and_an_empty_list_as_manifests_have_it() {
        let args = parse(&["--outbound-allow", "forge.test:8443, 10.0.0.0/8", "--outbound-deny="]).unwrap();
        assert_eq!(args.outbound_allow.to_string(), "forge.test:8443,10.0.0.0/8");
        assert_eq!(args.outbound_deny, DenyList::default());
        assert_eq!(parse(&[]).unwrap().outbound_allow, AllowList::default());
        assert_eq!(parse(&["--outbound-calls-per-host=96"]).unwrap().outbound().calls_per_host, Some(96));
        let error = parse(&["--outbound-allow", "https://forge.test"]).unwrap_err().to_string();
        assert!(error.contains("--outbound-allow") && error.contains("host:port"), "{error}");
    }

    #[test]
    fn watches_all_namespaces_unless_some_are_named() {
        assert_eq!(parse(&[]).unwrap().scopes(), [Scope::All]);
        let scopes = parse(&["--watch-namespaces", "b,a,,b"]).unwrap().scopes();
        assert_eq!(scopes, [Scope::Namespace("a".into()), Scope::Namespace("b".into())]);
    }
}
