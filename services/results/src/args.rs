//! The command line. Each flag has the variable of the original (results.md, section 7).

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgAction;
use clap::builder::BoolishValueParser;
use fleet::{LogFormat, Secret};

use crate::logs;
use crate::store;

/// How to reach the database.
#[derive(Clone, clap::Args)]
#[group(skip)]
pub struct DatabaseArgs {
    /// User of the database.
    #[arg(long, env, value_name = "NAME")]
    pub db_user: String,

    /// That user's password. Better given by its variable than on the command line, where others see it.
    #[arg(long, env, hide_env_values = true, value_name = "PASSWORD")]
    pub db_password: String,

    /// Host of the database, or the folder of its Unix socket.
    #[arg(long, env, default_value = "localhost", value_name = "HOST")]
    pub db_host: String,

    /// Port of the database.
    #[arg(long, env, default_value_t = 5432, value_name = "PORT")]
    pub db_port: u16,

    /// Name of the database.
    #[arg(long, env, default_value = "tekton-results", value_name = "NAME")]
    pub db_name: String,

    /// How the database is trusted: verify-full, verify-ca, require, or disable for plain text, where password and archive
    /// can be read on the way.
    #[arg(long, env = "DB_SSLMODE", default_value = "verify-full", value_parser = store::Tls::parse, value_name = "MODE")]
    pub db_sslmode: store::Tls,

    /// Certificate authorities (PEM) of the database. Every mode but disable needs it.
    #[arg(long, env = "DB_SSLROOTCERT", value_name = "FILE")]
    pub db_sslrootcert: Option<PathBuf>,

    /// Whether tables and indexes are made, and brought up to date, at the start.
    #[arg(long, env, default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = ArgAction::Set, value_parser = BoolishValueParser::new(), value_name = "BOOL")]
    pub db_enable_auto_migration: bool,

    /// How many connections are kept open while nobody needs them.
    #[arg(long, env, default_value_t = 10, value_name = "COUNT")]
    pub db_max_idle_connections: u32,

    /// How many connections there may be.
    #[arg(long, env, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..), value_name = "COUNT")]
    pub db_max_open_connections: u32,

    /// Seconds after which a statement of the database is given up.
    #[arg(long, env, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600), value_name = "SECONDS")]
    pub db_statement_timeout: u64,
}

impl DatabaseArgs {
    /// What the store is opened with.
    pub fn options(&self) -> store::Options {
        let (user, password) = (&self.db_user, &self.db_password);
        store::Options {
            tls: self.db_sslmode,
            root_cert: self.db_sslrootcert.clone().filter(|file| !file.as_os_str().is_empty()),
            max_connections: self.db_max_open_connections,
            idle_connections: self.db_max_idle_connections.min(self.db_max_open_connections),
            auto_migrate: self.db_enable_auto_migration,
            statement_timeout: Duration::from_secs(self.db_statement_timeout),
            ..store::Options::new(&self.db_host, self.db_port, &self.db_name, user, password)
        }
    }
}

impl std::fmt::Debug for DatabaseArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatabaseArgs")
            .field("host", &self.db_host)
            .field("port", &self.db_port)
            .field("name", &self.db_name)
            .finish_non_exhaustive()
    }
}

/// Where logs are stored.
#[derive(Clone, clap::Args)]
#[group(skip)]
pub struct LogArgs {
    /// Whether the service Logs is there.
    #[arg(long, env, default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = ArgAction::Set, value_parser = BoolishValueParser::new(), value_name = "BOOL")]
    pub logs_api: bool,

    /// Where logs are kept: File or S3.
    #[arg(long, env, default_value = "File", value_name = "KIND")]
    pub logs_type: logs::Kind,

    /// Bytes of each piece that a log is read in.
    #[arg(long, env, default_value_t = 32 * 1024, value_name = "BYTES")]
    pub logs_buffer_size: usize,

    /// Folder of stored logs, for the kind File.
    #[arg(long, env, default_value = "/logs", value_name = "FOLDER")]
    pub logs_path: PathBuf,

    /// Bucket of stored logs, for the kind S3.
    #[arg(long, env = "S3_BUCKET_NAME", default_value = "", value_name = "NAME")]
    pub s3_bucket_name: String,

    /// Address of the S3 server, as https://host. That of the region if absent.
    #[arg(long, env = "S3_ENDPOINT", default_value = "", value_name = "URL")]
    pub s3_endpoint: String,

    /// Whether the bucket is named in the path instead of the host.
    #[arg(long, env = "S3_HOSTNAME_IMMUTABLE", default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = ArgAction::Set, value_parser = BoolishValueParser::new(), value_name = "BOOL")]
    pub s3_hostname_immutable: bool,

    /// Region of the bucket.
    #[arg(long, env = "S3_REGION", default_value = "", value_name = "NAME")]
    pub s3_region: String,

    /// Name of the key for S3.
    #[arg(long, env = "S3_ACCESS_KEY_ID", default_value = "", hide_env_values = true, value_name = "ID")]
    pub s3_access_key_id: String,

    /// The key for S3. Better given by its variable than on the command line.
    #[arg(
        long,
        env = "S3_SECRET_ACCESS_KEY",
        default_value = "",
        hide_env_values = true,
        hide_default_value = true,
        value_name = "KEY"
    )]
    pub s3_secret_access_key: String,

    /// Bytes of each part of an upload to S3, at least 5 MiB.
    #[arg(long, env = "S3_MULTI_PART_SIZE", default_value_t = 5 * 1024 * 1024, value_name = "BYTES")]
    pub s3_multi_part_size: u64,

    /// Certificate authorities (PEM) that the S3 server is trusted by beside the machine's own.
    #[arg(long, env = "S3_CA_BUNDLE", value_name = "FILE")]
    pub s3_ca_bundle: Option<PathBuf>,
}

impl LogArgs {
    /// What the store of logs is opened with.
    pub fn options(&self) -> logs::Options {
        logs::Options {
            kind: self.logs_type,
            chunk: self.logs_buffer_size,
            folder: self.logs_path.clone(),
            s3: logs::S3Options {
                bucket: self.s3_bucket_name.clone(),
                endpoint: self.s3_endpoint.clone(),
                hostname_immutable: self.s3_hostname_immutable,
                region: self.s3_region.clone(),
                access_key_id: self.s3_access_key_id.clone(),
                secret_access_key: Secret::new(self.s3_secret_access_key.clone()),
                part_size: self.s3_multi_part_size,
                ca_bundle: self.s3_ca_bundle.clone().filter(|file| !file.as_os_str().is_empty()),
            },
        }
    }
}

impl std::fmt::Debug for LogArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogArgs").field("logs_type", &self.logs_type).finish_non_exhaustive()
    }
}

/// Keeps PipelineRuns, TaskRuns and their logs for long, and shows them to those who may see them.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "results-api", version, about)]
pub struct Args {
    #[command(flatten)]
    pub database: DatabaseArgs,

    #[command(flatten)]
    pub logs: LogArgs,

    /// Port of gRPC and REST, on all interfaces.
    #[arg(long, env, default_value_t = 8080, value_name = "PORT")]
    pub server_port: u16,

    /// Port of /metrics.
    #[arg(long, env, default_value_t = 9090, value_name = "PORT")]
    pub prometheus_port: u16,

    /// Whether to measure how long calls take, as a histogram by method.
    #[arg(long, env, default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = ArgAction::Set, value_parser = BoolishValueParser::new(), value_name = "BOOL")]
    pub prometheus_histogram: bool,

    /// Address of /healthz (the process is alive) and /readyz (the database answers).
    #[arg(long, env, default_value = "0.0.0.0:8081", value_name = "ADDRESS")]
    pub health_addr: SocketAddr,

    /// Folder with tls.crt and tls.key to serve with, read again when they change. Without them calls are served in plain
    /// text.
    #[arg(long, env, default_value = "/etc/tls", value_name = "FOLDER")]
    pub tls_path: PathBuf,

    /// Whether everybody may do everything. Not for production.
    #[arg(long, env, default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = ArgAction::Set, value_parser = BoolishValueParser::new(), value_name = "BOOL")]
    pub auth_disable: bool,

    /// Whether callers with the right to it may act as others, by Impersonate-* headers.
    #[arg(long, env, default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = ArgAction::Set, value_parser = BoolishValueParser::new(), value_name = "BOOL")]
    pub auth_impersonate: bool,

    /// Which log lines to write, as `level` or `target=level,…` (error, warn, info, debug, trace).
    #[arg(long, env, default_value = "info", value_name = "FILTER")]
    pub log_level: String,

    /// Format of the log on standard error.
    #[arg(long, env, default_value = "json", value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// Configuration of the cluster that says who may do what. Inside a pod: that pod's cluster.
    #[arg(long, env, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Taken for the sake of configurations of the original, without effect: calls are not bound to workers here.
    #[arg(long, env, hide = true, value_name = "COUNT")]
    pub grpc_worker_pool: Option<String>,

    /// As above: reviews are limited by how many are under way, not by their rate.
    #[arg(long, env = "K8S_QPS", hide = true, value_name = "COUNT")]
    pub k8s_qps: Option<String>,

    /// As above.
    #[arg(long, env = "K8S_BURST", hide = true, value_name = "COUNT")]
    pub k8s_burst: Option<String>,

    /// As above: there is no profiling port.
    #[arg(long, env, hide = true, value_name = "BOOL")]
    pub profiling: Option<String>,

    /// As above.
    #[arg(long, env, hide = true, value_name = "PORT")]
    pub profiling_port: Option<String>,
}

impl Args {
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::UNSPECIFIED, self.server_port).into()
    }

    pub(crate) fn metrics_address(&self) -> SocketAddr {
        (Ipv4Addr::UNSPECIFIED, self.prometheus_port).into()
    }

    /// The filter of the log, with the original's levels beyond `error` taken for that.
    pub(crate) fn log_filter(&self) -> &str {
        match self.log_level.as_str() {
            "dpanic" | "panic" | "fatal" => "error",
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use rstest::rstest;

    use super::*;

    fn parse(flags: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from([&["results-api", "--db-user", "u", "--db-password", "hunter2"], flags].concat())
    }

    #[test]
    fn has_the_defaults_of_the_spec() {
        let args = parse(&[]).unwrap();
        let database = args.database.options();
        assert_eq!((database.port, database.name.as_str()), (5432, "tekton-results"));
        assert_eq!((database.tls, database.auto_migrate), (store::Tls::VerifyFull, true));
        assert_eq!((database.max_connections, database.idle_connections), (10, 10));
        assert_eq!((args.server_port, args.prometheus_port), (8080, 9090));
        assert!(args.auth_impersonate && !args.auth_disable && !args.logs.logs_api);
    }

    #[test]
    fn shows_no_password() {
        let args = parse(&["--s3-secret-access-key", "hunter2"]).unwrap();
        assert!(!format!("{args:?}").contains("hunter2"));
    }

    #[rstest]
    #[case::bare(&["--auth-disable"], true)]
    #[case::go(&["--auth-disable=1"], true)]
    #[case::off(&["--auth-disable=false"], false)]
    fn takes_booleans_as_the_original(#[case] flags: &[&str], #[case] expected: bool) {
        assert_eq!(parse(flags).unwrap().auth_disable, expected);
    }

    #[rstest]
    #[case::mode(&["--db-sslmode", "prefer"], "verify-full")]
    #[case::gcs(&["--logs-type", "GCS"], "--logs-type")]
    #[case::no_connection(&["--db-max-open-connections", "0"], "--db-max-open-connections")]
    fn a_bad_value_names_the_flag(#[case] flags: &[&str], #[case] text: &str) {
        let error = parse(flags).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }

    #[rstest]
    #[case::zap("fatal", "error")]
    #[case::ours("debug", "debug")]
    fn reads_the_level(#[case] level: &str, #[case] expected: &str) {
        assert_eq!(parse(&["--log-level", level]).unwrap().log_filter(), expected);
    }
}
