//! The command line of enterprise-contract, the controller of policies.

use std::num::NonZeroUsize;
use std::time::Duration;

use fleet::ServiceArgs;

/// Configuration of enterprise-contract.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "enterprise-contract", version, about = "Checks policies before they are needed")]
pub struct Args {
    #[command(flatten)]
    pub fleet: fleet::Args,

    /// How often the sources of each policy are fetched again, in seconds.
    #[arg(long, env, default_value = "1800", value_parser = seconds, value_name = "SECONDS")]
    pub resolve_interval: Duration,

    /// How often the Secret with a policy's key is looked at, in seconds. Secrets are not watched.
    #[arg(long, env, default_value = "120", value_parser = seconds, value_name = "SECONDS")]
    pub key_interval: Duration,

    /// How many policies are fetched and compiled at once.
    #[arg(long, env, default_value = "2", value_name = "COUNT")]
    pub resolve_workers: NonZeroUsize,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 1..) => Ok(Duration::from_secs(seconds)),
        _ => Err("expected a number of seconds, at least 1".to_owned()),
    }
}

impl ServiceArgs for Args {
    const SERVICE: &'static str = "enterprise-contract";

    fn fleet(&self) -> &fleet::Args {
        &self.fleet
    }
}
