//! The command line.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use fleet::LogFormat;
use forge::signature::Sender;
use jiff::SignedDuration;

use crate::backend::Origin;

/// Sends each webhook of a forge to every member cluster.
#[derive(Debug, clap::Parser)]
#[command(name = "sprayproxy", version, about)]
pub enum Command {
    Server(Box<Args>),
    Deliveries(DeliveriesArgs),
}

/// Receives webhooks and passes them on, until it is told to stop.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "sprayproxy")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Args {
    /// Address to listen on. All interfaces if empty.
    #[arg(long, env = "SPRAYPROXY_SERVER_HOST", default_value = "", value_name = "ADDRESS")]
    pub host: String,

    /// Port to listen on.
    #[arg(long, env = "SPRAYPROXY_SERVER_PORT", default_value_t = 8080, value_name = "PORT")]
    pub port: u16,

    /// Folder with tls.crt and tls.key to serve webhooks with, read again when they change. Without it they are served in
    /// plain text, for a proxy in front.
    #[arg(long, env = "SPRAYPROXY_SERVER_TLS_CERT_DIR", value_name = "FOLDER")]
    pub tls_cert_dir: Option<PathBuf>,

    /// A back end that gets every webhook, as https://host[:port]; repeatable. In the variable they are separated by
    /// spaces. Only scheme and host are used.
    #[arg(long = "backend", env = "SPRAYPROXY_SERVER_BACKEND", value_delimiter = ' ', value_name = "URL")]
    pub backends: Vec<String>,

    /// Further back ends, one per line (# begins a comment): a mounted ConfigMap, read again when it changes.
    #[arg(long, env = "SPRAYPROXY_SERVER_BACKENDS_FILE", value_name = "FILE")]
    pub backends_file: Option<PathBuf>,

    /// Whether to serve /backends, where callers with the right to it register back ends. Needs a cluster; not for
    /// production.
    #[arg(long, env = "SPRAYPROXY_SERVER_ENABLE_DYNAMIC_BACKENDS")]
    pub enable_dynamic_backends: bool,

    /// How the host of a back end that is registered at /backends has to end, as .apps.example.com; repeatable, separated
    /// by commas in the variable. With http:// in front also without TLS. Without any suffix every https host on the
    /// internet can be registered, but no address of ours.
    #[arg(long, env = "SPRAYPROXY_SERVER_BACKEND_SUFFIX", value_delimiter = ',', value_name = "SUFFIX")]
    pub backend_suffix: Vec<String>,

    /// Whether not to verify the certificates of back ends. Not for production: whoever is on the way reads and
    /// swallows webhooks.
    #[arg(long, env = "SPRAYPROXY_SERVER_INSECURE_SKIP_TLS_VERIFY")]
    pub insecure_skip_tls_verify: bool,

    /// Whether to pass on what nobody has signed. Not for production.
    #[arg(long, env = "SPRAYPROXY_SERVER_INSECURE_SKIP_WEBHOOK_VERIFY")]
    pub insecure_skip_webhook_verify: bool,

    /// A forge whose deliveries are passed on unverified while no secret of it is configured, for the receivers to verify:
    /// github, gitlab, gitea, bitbucket-server, bitbucket-cloud; repeatable, separated by commas in the variable.
    #[arg(long, env = "SPRAYPROXY_SERVER_PASS_UNVERIFIED", value_delimiter = ',', value_name = "FORGE")]
    pub pass_unverified: Vec<Sender>,

    /// Whether GitHub's SHA-1 signature counts where the SHA-256 one is missing.
    #[arg(long, env = "SPRAYPROXY_SERVER_ALLOW_SHA1")]
    pub allow_sha1: bool,

    /// Folder with webhook secrets, a file each, named GH_APP_WEBHOOK_SECRET, GITLAB_WEBHOOK_SECRET,
    /// GITEA_WEBHOOK_SECRET, and with _PREVIOUS at the end those that still count while one is rotated: a mounted Secret,
    /// read again when it changes. The same names as environment variables count for what the folder does not have.
    #[arg(long, env = "SPRAYPROXY_SERVER_SECRETS_DIR", value_name = "FOLDER")]
    pub secrets_dir: Option<PathBuf>,

    /// Port of /metrics.
    #[arg(long, env = "SPRAYPROXY_SERVER_METRICS_PORT", default_value_t = 9090, allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..), value_name = "PORT")]
    pub metrics_port: u16,

    /// Certificate (PEM) of /metrics, read again when it changes. TLS only if the key is given as well.
    #[arg(long, env = "SPRAYPROXY_SERVER_METRICS_CERT", default_value = "", value_name = "FILE")]
    pub metrics_cert: String,

    /// Key (PEM) of that certificate.
    #[arg(long, env = "SPRAYPROXY_SERVER_METRICS_KEY", default_value = "", value_name = "FILE")]
    pub metrics_key: String,

    /// Whether /metrics is only for callers with a token and the right to get /metrics. Needs a cluster.
    #[arg(long, env = "SPRAYPROXY_SERVER_METRICS_AUTH")]
    pub metrics_auth: bool,

    /// Address of /healthz and /readyz.
    #[arg(
        long,
        env = "SPRAYPROXY_SERVER_HEALTH_ADDR",
        default_value = "0.0.0.0:8081",
        value_name = "ADDRESS"
    )]
    pub health_addr: SocketAddr,

    /// How long one try at a back end may take. What cannot be read counts as absent.
    #[arg(
        long,
        env = "SPRAYPROXY_FORWARDING_REQUEST_TIMEOUT",
        default_value = "15s",
        value_name = "DURATION"
    )]
    pub forwarding_request_timeout: String,

    /// Bytes of the largest webhook that is taken. What cannot be read counts as absent.
    #[arg(long, env = "SPRAYPROXY_MAX_REQUEST_SIZE", default_value = "26214400", value_name = "BYTES")]
    pub max_request_size: String,

    /// Bytes of all webhooks that are being passed on; beyond, 503. At least the largest webhook.
    #[arg(long, env = "SPRAYPROXY_SERVER_BODIES_IN_FLIGHT", default_value_t = 64 * 1024 * 1024, value_name = "BYTES")]
    pub bodies_in_flight: usize,

    /// After how long a forge is answered, whatever back ends do. Forges give up after 10 s.
    #[arg(long, env = "SPRAYPROXY_SERVER_ANSWER_WITHIN", default_value = "8s", value_parser = duration, value_name = "DURATION")]
    pub answer_within: Duration,

    /// Folder, of one process at a time, for what back ends did not take, which is tried again. Without it, it is lost,
    /// and the forge is told so (502).
    #[arg(long, env = "SPRAYPROXY_SERVER_SPOOL_DIR", value_name = "FOLDER")]
    pub spool_dir: Option<PathBuf>,

    /// Bytes that may wait there; beyond, the forge is told that a delivery failed.
    #[arg(long, env = "SPRAYPROXY_SERVER_SPOOL_BYTES", default_value_t = 512 * 1024 * 1024, value_name = "BYTES")]
    pub spool_bytes: u64,

    /// Deliveries that may wait there.
    #[arg(long, env = "SPRAYPROXY_SERVER_SPOOL_COUNT", default_value_t = 10_000, value_name = "COUNT")]
    pub spool_count: usize,

    /// How long a delivery is kept for a back end that does not take it.
    #[arg(long, env = "SPRAYPROXY_SERVER_RETRY_FOR", default_value = "24h", value_parser = duration, value_name = "DURATION")]
    pub retry_for: Duration,

    /// How often a delivery is sent to a back end that answers with an error. Tries that do not reach it do not count.
    #[arg(long, env = "SPRAYPROXY_SERVER_RETRY_ATTEMPTS", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..), value_name = "COUNT")]
    pub retry_attempts: u32,

    /// Certificate authorities (PEM) that back ends are trusted by beside the machine's own. Read again when it changes.
    #[arg(long, env = "CA_BUNDLE", value_name = "FILE")]
    pub ca_bundle: Option<PathBuf>,

    /// Configuration of the cluster that says who may use /backends and /metrics. Inside a pod: that pod's cluster.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Format of the log on standard error.
    #[arg(long, env = "LOG_FORMAT", default_value = "json", value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// Which log lines to write, as `level` or `target=level,…` (error, warn, info, debug, trace).
    #[arg(long, env = "LOG_FILTER", default_value = "info", value_name = "FILTER")]
    pub log_filter: String,
}

/// Prints deliveries that were given up, one JSON object per line, the newest first.
#[derive(Clone, Debug, clap::Parser)]
pub struct DeliveriesArgs {
    /// The folder of `sprayproxy server`.
    #[arg(long, env = "SPRAYPROXY_SERVER_SPOOL_DIR", value_name = "FOLDER")]
    pub spool_dir: PathBuf,

    /// Only what the forge calls this, as in X-GitHub-Delivery.
    #[arg(long, value_name = "ID")]
    pub delivery: Option<String>,

    /// How many at most.
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    pub limit: usize,
}

const TIMEOUT: Duration = Duration::from_secs(15);
const LARGEST: usize = 25 * 1024 * 1024;

impl Args {
    /// Where webhooks arrive.
    pub(crate) fn address(&self) -> Result<SocketAddr, String> {
        address(&self.host, self.port)
    }

    /// Where metrics are read.
    pub(crate) fn metrics_address(&self) -> Result<SocketAddr, String> {
        address(&self.host, self.metrics_port)
    }

    /// As the original: what cannot be read is the default.
    pub(crate) fn timeout(&self) -> Duration {
        duration(&self.forwarding_request_timeout).unwrap_or_else(|reason| {
            tracing::warn!(
                value = self.forwarding_request_timeout,
                reason,
                "SPRAYPROXY_FORWARDING_REQUEST_TIMEOUT cannot be read; 15s it is"
            );
            TIMEOUT
        })
    }

    /// As the original: what cannot be read is the default.
    pub(crate) fn largest(&self) -> usize {
        match self.max_request_size.trim().parse() {
            Ok(bytes) if bytes > 0 => bytes,
            _ => {
                tracing::warn!(
                    value = self.max_request_size,
                    "SPRAYPROXY_MAX_REQUEST_SIZE is no number of bytes; {LARGEST} it is"
                );
                LARGEST
            }
        }
    }

    /// The back ends of the command line; one that cannot be read is passed over, as by the original.
    pub(crate) fn origins(&self) -> Vec<Origin> {
        crate::backend::parse_all(self.backends.iter().map(String::as_str))
    }

    /// Both or none.
    pub(crate) fn metrics_tls(&self) -> Option<(PathBuf, PathBuf)> {
        let is_set = !self.metrics_cert.is_empty() && !self.metrics_key.is_empty();
        is_set.then(|| (self.metrics_cert.clone().into(), self.metrics_key.clone().into()))
    }
}

fn address(host: &str, port: u16) -> Result<SocketAddr, String> {
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let mut addresses = (bare, port).to_socket_addrs().map_err(|error| {
        format!("--host (SPRAYPROXY_SERVER_HOST) {host:?}: no address of this machine: {error}")
    })?;
    addresses
        .next()
        .ok_or_else(|| format!("--host (SPRAYPROXY_SERVER_HOST) {host:?}: no address of this machine"))
}

/// `15s`, `1m30s`, `1.5h`, `300ms`; more than nothing.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed: Option<SignedDuration> = text.trim().parse().ok();
    parsed
        .filter(SignedDuration::is_positive)
        .and_then(|duration| duration.try_into().ok())
        .ok_or_else(|| "expected a duration, as 15s or 1m30s".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use rstest::rstest;

    use super::*;

    fn parse(flags: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from([&["sprayproxy"], flags].concat())
    }

    #[rstest]
    #[case::go_style("2s", 2_000)]
    #[case::several_units("1m30s", 90_000)]
    #[case::parts("1.5s", 1_500)]
    #[case::milliseconds("300ms", 300)]
    #[case::nonsense("abc", 15_000)]
    #[case::nothing("0s", 15_000)]
    #[case::less_than_nothing("-2s", 15_000)]
    #[case::no_unit("5", 15_000)]
    fn reads_the_timeout_or_takes_the_default(#[case] text: &str, #[case] milliseconds: u64) {
        let args = parse(&[&format!("--forwarding-request-timeout={text}")]).unwrap();
        assert_eq!(args.timeout(), Duration::from_millis(milliseconds));
    }

    #[rstest]
    #[case::bytes("100", 100)]
    #[case::nonsense("1MiB", LARGEST)]
    #[case::nothing("0", LARGEST)]
    #[case::negative("-1", LARGEST)]
    fn reads_the_size_or_takes_the_default(#[case] text: &str, #[case] expected: usize) {
        assert_eq!(parse(&[&format!("--max-request-size={text}")]).unwrap().largest(), expected);
    }

    #[rstest]
    #[case::zero("0")]
    #[case::negative("-1")]
    fn a_metrics_port_has_to_be_one(#[case] port: &str) {
        let error = parse(&["--metrics-port", port]).unwrap_err().to_string();
        assert!(error.contains("--metrics-port"), "{error}");
    }

    #[test]
    fn takes_back_ends_one_by_one_and_passes_over_what_is_none() {
        let args = parse(&[
            "--backend",
            "https://a.test/path?x=1",
            "--backend",
            "nonsense",
            "--backend",
            "http://b.test:8080",
        ])
        .unwrap();
        let shown: Vec<String> = args.origins().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["https://a.test", "http://b.test:8080"]);
    }

    #[rstest]
    #[case::all("", "0.0.0.0:8080")]
    #[case::one("127.0.0.1", "127.0.0.1:8080")]
    #[case::six("::1", "[::1]:8080")]
    #[case::six_in_brackets("[::1]", "[::1]:8080")]
    fn reads_the_host(#[case] host: &str, #[case] expected: &str) {
        assert_eq!(parse(&["--host", host]).unwrap().address().unwrap().to_string(), expected);
    }
}
