//! The command line of image-controller.

use std::time::Duration;

use fleet::ServiceArgs;

use crate::registry;

/// Configuration of image-controller.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "image-controller", version, about = "Image repositories with credentials of their own")]
pub struct Args {
    #[command(flatten)]
    pub fleet: fleet::Args,

    #[command(flatten)]
    pub registry: registry::Options,

    /// How credentials come into a tenant's namespace: as `secret`s, or through a `remote-secret` that another service delivers.
    /// `auto`: by the latter where its kind is installed. Fixed for each ImageRepository when it is made.
    #[arg(long, env, default_value = "auto", value_name = "MODE")]
    pub credentials_mode: CredentialsMode,

    /// The accounts that builds run as: one for the namespace, `appstudio-pipeline` (`tenant`), or one for each Component,
    /// `build-pipeline-<component>` (`per-component`). The same setting as build-service's.
    #[arg(long, env, default_value = "tenant", value_name = "WHOSE")]
    pub build_service_account: BuildAccounts,

    /// How often the registry is asked whether a repository is still there, in seconds.
    #[arg(long, env, default_value = "21600", value_parser = seconds, value_name = "SECONDS")]
    pub registry_check_interval: Duration,

    /// How long the deletion of an ImageRepository waits for a registry that does not answer, in seconds.
    #[arg(long, env, default_value = "600", value_parser = seconds, value_name = "SECONDS")]
    pub clean_up_limit: Duration,
}

/// `CREDENTIALS_MODE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum CredentialsMode {
    /// What the cluster has.
    Auto,
    /// `RemoteSecret` of service-provider-integration.
    RemoteSecret,
    /// Secrets.
    Secret,
}

/// `BUILD_SERVICE_ACCOUNT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum BuildAccounts {
    /// One for each namespace.
    Tenant,
    /// One for each Component.
    PerComponent,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 1..) => Ok(Duration::from_secs(seconds)),
        _ => Err("expected a number of seconds, at least 1".to_owned()),
    }
}

impl ServiceArgs for Args {
    const SERVICE: &'static str = "image-controller";

    fn fleet(&self) -> &fleet::Args {
        &self.fleet
    }
}
