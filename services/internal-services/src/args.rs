//! The command line of internal-services.

use std::path::PathBuf;

use fleet::ServiceArgs;
use jiff::SignedDuration;

/// Configuration of internal-services.
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "internal-services",
    version,
    about = "Runs pipelines of this cluster for requests of another one"
)]
pub struct Args {
    #[command(flatten)]
    pub fleet: fleet::Args,

    /// Kubeconfig of the cluster whose InternalRequests are served. Read again when it changes.
    #[arg(long, env, value_name = "FILE")]
    pub remote_cluster_config_file: PathBuf,

    /// Namespace of the pipelines, of their runs and of the InternalServicesConfig. The service's own if absent.
    #[arg(long, env, value_name = "NAMESPACE")]
    pub service_namespace: Option<String>,

    /// Whether requests of all namespaces of the remote cluster are watched, and rejected where nobody allowed them. If false, each
    /// namespace that is allowed is watched by itself: that takes no right in any other, and nobody there gets an answer.
    #[arg(long, env, default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub watch_all_remote: bool,

    /// ServiceAccounts that a request may name for its run, separated by commas. Requests that name another are rejected.
    #[arg(long, env, value_delimiter = ',', value_name = "NAMES")]
    pub allowed_service_accounts: Vec<String>,

    /// Whether a request that names a pipeline by the resolver `cluster` gets it from the namespace of this cluster with the name of
    /// its own namespace, instead of the service's.
    #[arg(long, env, default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub cluster_resolver_from_request_namespace: bool,

    /// How long after its end a request is kept in the remote cluster. 0 means for ever.
    #[arg(long, env, default_value = "24h", value_name = "DURATION", value_parser = parse_not_negative)]
    pub request_ttl: SignedDuration,
}

fn parse_not_negative(text: &str) -> Result<SignedDuration, String> {
    match text.trim() {
        "0" => Ok(SignedDuration::ZERO),
        text => match text.parse::<SignedDuration>() {
            Ok(duration) if !duration.is_negative() => Ok(duration),
            _ => Err("expected a duration that is not negative, as 24h or 0".to_owned()),
        },
    }
}

impl ServiceArgs for Args {
    const SERVICE: &'static str = "internal-services";

    fn fleet(&self) -> &fleet::Args {
        &self.fleet
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};
    use rstest::rstest;

    use super::*;

    #[test]
    fn no_two_flags_are_in_each_others_way() {
        Args::command().debug_assert();
    }

    #[rstest]
    #[case::default(&[], Some(24 * 3600))]
    #[case::off(&["--request-ttl=0"], Some(0))]
    #[case::negative(&["--request-ttl=-1h"], None)]
    #[case::no_unit(&["--request-ttl=7"], None)]
    fn takes_a_time_to_live(#[case] flags: &[&str], #[case] expected: Option<i64>) {
        let all = [&["internal-services", "--remote-cluster-config-file=c"], flags].concat();
        assert_eq!(Args::try_parse_from(all).ok().map(|args| args.request_ttl.as_secs()), expected);
    }

    #[test]
    fn the_kubeconfig_of_the_remote_cluster_is_required() {
        let error = Args::try_parse_from(["internal-services"]).unwrap_err().to_string();
        assert!(error.contains("--remote-cluster-config-file"), "{error}");
    }
}
