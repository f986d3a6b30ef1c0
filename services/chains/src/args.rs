//! The command line of chains.

use std::path::PathBuf;

use fleet::ServiceArgs;
use jiff::SignedDuration;

/// Configuration of chains. What is signed how is in the ConfigMap `chains-config`.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "chains", version, about = "Signatures and provenance of what runs have built")]
pub struct Args {
    #[command(flatten)]
    pub fleet: fleet::Args,

    /// The original's name for `--concurrency`; wins over it.
    #[arg(long, env, value_parser = clap::value_parser!(u16).range(1..=256), value_name = "COUNT")]
    pub threads_per_controller: Option<u16>,

    /// Taken from manifests of the original and without effect: workers bound how often the API server is asked.
    #[arg(long, env, hide = true, value_name = "RATE")]
    pub kube_api_qps: Option<f64>,

    /// As `--kube-api-qps`.
    #[arg(long, env, hide = true, value_name = "COUNT")]
    pub kube_api_burst: Option<u32>,

    /// ConfigMap of this service's namespace with the settings, read again whenever it changes.
    #[arg(long, env = "CONFIG_NAME", default_value = "chains-config", value_name = "NAME")]
    pub config: String,

    /// Folder of the signing key: `x509.pem`, or `cosign.key` and `cosign.password`. Read again whenever it changes.
    #[arg(long, env, default_value = "/etc/signing-secrets", value_name = "FOLDER")]
    pub signing_secrets: PathBuf,

    /// How long the signing of one run is tried, with growing pauses, before it is marked `failed`.
    #[arg(long, env, default_value = "1h", value_parser = positive, value_name = "DURATION")]
    pub retry_window: SignedDuration,

    /// Whether new runs are given their finalizer at admission, which spares one write for each. Without it the controllers
    /// add it.
    #[arg(long, env, default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub enable_webhooks: bool,
}

fn positive(text: &str) -> Result<SignedDuration, String> {
    match text.parse() {
        Ok(duration) if duration > SignedDuration::ZERO => Ok(duration),
        _ => Err("expected a time above 0, as 1h or 90s".to_owned()),
    }
}

impl Args {
    /// Puts what the original's flags say where the kit reads it.
    #[must_use]
    pub fn settled(mut self) -> Self {
        self.fleet.concurrency = self.threads_per_controller.unwrap_or(self.fleet.concurrency);
        self
    }
}

impl ServiceArgs for Args {
    const SERVICE: &'static str = "chains";

    fn fleet(&self) -> &fleet::Args {
        &self.fleet
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn parse(flags: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from([&["chains"], flags].concat()).map(Args::settled)
    }

    #[test]
    fn takes_the_flags_of_the_original() {
        let flags = ["--threads-per-controller=32", "--kube-api-qps=100", "--kube-api-burst=200"];
        assert_eq!(parse(&flags).unwrap().fleet.concurrency, 32);
        assert_eq!(parse(&[]).unwrap().fleet.concurrency, 8);
    }

    #[test]
    fn a_window_is_a_time() {
        assert_eq!(parse(&[]).unwrap().retry_window, SignedDuration::from_hours(1));
        let error = parse(&["--retry-window=soon"]).unwrap_err().to_string();
        assert!(error.contains("--retry-window") && error.contains("90s"), "{error}");
        assert!(parse(&["--retry-window=0s"]).is_err());
    }
}
