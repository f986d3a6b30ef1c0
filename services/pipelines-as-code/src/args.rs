//! How the program is configured, beside its ConfigMap.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use fleet::ServiceArgs;
use fleet::outbound::Url;
use ipnet::IpNet;
use pipelines_as_code_api::names;
use pipelines_as_code_api::pipeline_run::ControllerInfo;

/// Configuration of pipelines-as-code, beside its ConfigMap.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "pipelines-as-code", version, about = "Starts pipelines for what happens at Git forges")]
pub struct Args {
    #[command(flatten)]
    pub fleet: fleet::Args,

    /// Port of webhooks, incoming requests and the look-up of deliveries, on all addresses.
    #[arg(long, env = "PAC_CONTROLLER_PORT", default_value_t = 8080, value_name = "PORT")]
    pub port: u16,

    /// Name of this controller, where several share a cluster: each with a GitHub App, a Secret and a ConfigMap of its own.
    #[arg(long, env = "PAC_CONTROLLER_LABEL", default_value = "default", value_name = "NAME")]
    pub controller_label: String,

    /// Secret in the service's namespace with the GitHub App's id and key and the secrets of webhooks.
    #[arg(long, env = "PAC_CONTROLLER_SECRET", default_value = names::SECRET, value_name = "NAME")]
    pub controller_secret: String,

    /// ConfigMap in the service's namespace with the settings. Followed while the service runs.
    #[arg(long, env = "PAC_CONTROLLER_CONFIGMAP", default_value = names::CONFIG, value_name = "NAME")]
    pub controller_config_map: String,

    /// Namespace of the service, where --namespace (POD_NAMESPACE) does not say. The name that the original has for it.
    #[arg(long, env = "SYSTEM_NAMESPACE", value_name = "NAMESPACE")]
    pub system_namespace: Option<String>,

    /// Server of the GitHub App. What its key signs goes to no other.
    #[arg(long, env, default_value = "https://github.com", value_name = "URL", value_parser = parse_server)]
    pub github_app_server: Url,

    /// Folder with the certificate of the port, as a Secret is mounted.
    #[arg(long, env, default_value = "/etc/pipelines-as-code/tls", value_name = "FOLDER")]
    pub tls_dir: PathBuf,

    /// File of the certificate (PEM) in --tls-dir. Read again when it changes. Without it and --tls-key: plain text, for a proxy
    /// that stands in front.
    #[arg(
        long,
        env,
        default_value = "",
        hide_default_value = true,
        value_name = "FILE",
        requires = "tls_key"
    )]
    pub tls_cert: String,

    /// File of the certificate's key in --tls-dir.
    #[arg(long, env, default_value = "", hide_default_value = true, value_name = "FILE")]
    pub tls_key: String,

    /// Folder for deliveries that are accepted and not worked on yet, and for what became of earlier ones.
    #[arg(long, env, default_value = "/var/spool/pipelines-as-code", value_name = "FOLDER")]
    pub spool_dir: PathBuf,

    /// Bytes that the spool holds; beyond them deliveries are answered 503.
    #[arg(long, env, default_value_t = 512 * 1024 * 1024, value_name = "BYTES")]
    pub spool_bytes: u64,

    /// Deliveries that the spool holds; beyond them deliveries are answered 503.
    #[arg(long, env, default_value_t = 10_000, value_name = "COUNT")]
    pub spool_count: usize,

    /// How long a delivery is tried before it is given up.
    #[arg(long, env, default_value = "24h", value_name = "DURATION", value_parser = parse_duration)]
    pub retry_for: Duration,

    /// Deliveries that are worked on at once.
    #[arg(long, env, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256), value_name = "COUNT")]
    pub deliveries: u16,

    /// Deliveries of one Repository that are worked on at once.
    #[arg(long, env, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256), value_name = "COUNT")]
    pub deliveries_of_repository: u16,

    /// Networks of proxies whose X-Forwarded-For tells where a delivery came from, separated by commas. Counts for Bitbucket Cloud
    /// alone, which is known by its addresses.
    #[arg(long, env, value_delimiter = ',', default_value = PRIVATE, value_name = "NETWORKS")]
    pub trusted_proxies: Vec<IpNet>,

    /// Addresses of all replicas' ports, separated by commas, to ask all of them what became of a delivery. A replica is not asked by
    /// itself: that whose host begins with its --identity.
    #[arg(long, env, value_delimiter = ',', value_name = "URLS", value_parser = parse_peer)]
    pub peers: Vec<Url>,

    /// URL of the port for forges, to be shown in the ConfigMap pipelines-as-code-info.
    #[arg(long, env, default_value = "", hide_default_value = true, value_name = "URL")]
    pub controller_url: String,

    /// Whether to serve admission webhooks.
    #[arg(long, env = "ENABLE_WEBHOOKS", default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub enable_webhooks: bool,
}

/// Where proxies of clusters are.
const PRIVATE: &str = "10.0.0.0/8,100.64.0.0/10,127.0.0.0/8,172.16.0.0/12,192.168.0.0/16,::1/128,fc00::/7";

impl ServiceArgs for Args {
    const SERVICE: &'static str = "pipelines-as-code";

    fn fleet(&self) -> &fleet::Args {
        &self.fleet
    }
}

impl Args {
    /// With the namespace of [`system_namespace`](Self::system_namespace), where the kit's own flag is not given.
    #[must_use]
    pub fn settled(mut self) -> Self {
        self.fleet.namespace = self.fleet.namespace.or_else(|| self.system_namespace.clone());
        self
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::UNSPECIFIED, self.port).into()
    }

    pub(crate) fn controller(&self) -> ControllerInfo {
        ControllerInfo {
            name: self.controller_label.clone(),
            configmap: self.controller_config_map.clone(),
            secret: self.controller_secret.clone(),
        }
    }

    /// The files of certificate and key; `None` for plain text.
    pub(crate) fn certificate(&self) -> Option<(PathBuf, PathBuf)> {
        let is_set = !self.tls_cert.is_empty() && !self.tls_key.is_empty();
        is_set.then(|| (self.tls_dir.join(&self.tls_cert), self.tls_dir.join(&self.tls_key)))
    }

    /// The other replicas.
    pub(crate) fn others(&self) -> Vec<Url> {
        let own = self.fleet.identity.as_deref().map(|name| format!("{name}."));
        let is_own = |url: &Url| {
            own.as_deref().is_some_and(|own| url.host_str().is_some_and(|host| host.starts_with(own)))
        };
        self.peers.iter().filter(|url| !is_own(url)).cloned().collect()
    }
}

fn parse_server(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{error}; expected https://github.example.com"))?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err("expected an address, as https://github.example.com".to_owned())
    }
}

/// Those who ask send their token along.
fn parse_peer(text: &str) -> Result<Url, String> {
    let url = parse_server(text)?;
    if url.scheme() == "https" { Ok(url) } else { Err("expected https://".to_owned()) }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let expected = || "expected a duration, as 24h or 90m".to_owned();
    let duration: jiff::SignedDuration = text.parse().map_err(|_| expected())?;
    Duration::try_from(duration).map_err(|_| expected())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn parse(flags: &[&str]) -> Result<Args, String> {
        Args::try_parse_from([&["pipelines-as-code"], flags].concat()).map_err(|error| error.to_string())
    }

    #[test]
    fn plain_text_unless_both_files_are_named() {
        assert_eq!(parse(&[]).unwrap().certificate(), None);
        let args = parse(&["--tls-dir=/tls", "--tls-cert=cert", "--tls-key=key"]).unwrap();
        assert_eq!(args.certificate(), Some(("/tls/cert".into(), "/tls/key".into())));
        assert!(parse(&["--tls-cert=cert"]).unwrap_err().contains("--tls-key"));
    }

    #[test]
    fn a_replica_does_not_ask_itself() {
        let args =
            parse(&["--identity=pac-1", "--peers=https://pac-0.r.ns.svc:8080,https://pac-1.r.ns.svc:8080"]);
        let others: Vec<_> = args.unwrap().others().iter().map(ToString::to_string).collect();
        assert_eq!(others, ["https://pac-0.r.ns.svc:8080/"]);
    }

    #[test]
    fn the_originals_name_of_the_namespace_counts_last() {
        let namespace = |flags: &[&str]| parse(flags).unwrap().settled().fleet.namespace;
        assert_eq!(namespace(&["--system-namespace=a"]).as_deref(), Some("a"));
        assert_eq!(namespace(&["--system-namespace=a", "--namespace=b"]).as_deref(), Some("b"));
    }

    #[test]
    fn a_bad_value_names_its_flag() {
        for (flag, value) in [
            ("--github-app-server", "github.com"),
            ("--retry-for", "long"),
            ("--trusted-proxies", "here"),
            ("--peers", "http://pac-0.r.ns.svc:8080"),
        ] {
            let text = parse(&[flag, value]).unwrap_err();
            assert!(text.contains(flag), "{text}");
        }
    }
}
