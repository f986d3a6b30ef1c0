//! The command line of release-service.

use clap::builder::{StringValueParser, TypedValueParser};
use fleet::ServiceArgs;
use release_service_api::names;

/// Configuration of release-service.
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "release-service",
    version,
    about = "Releases of Snapshots, by pipelines of tenants and release teams"
)]
pub struct Args {
    #[command(flatten)]
    pub fleet: fleet::Args,

    /// Namespace of the ReleaseServiceConfig; this service's own in most installations.
    #[arg(long, env = "SERVICE_NAMESPACE", default_value = "", value_name = "NAMESPACE")]
    pub service_namespace: String,

    /// Name of the workspace that each run gets.
    #[arg(long, env = "DEFAULT_RELEASE_WORKSPACE_NAME", default_value = names::WORKSPACE, value_name = "NAME")]
    pub workspace_name: String,

    /// Size of the volume of that workspace. One that cannot be read fails each Release when its run is made.
    #[arg(long, env = "DEFAULT_RELEASE_WORKSPACE_SIZE", default_value = names::WORKSPACE_SIZE, value_name = "QUANTITY")]
    pub workspace_size: String,

    /// ConfigMap with the task bundle that verifies policies, as `namespace/name`. A value without `/` means none.
    #[arg(long, env = "ENTERPRISE_CONTRACT_CONFIG_MAP", default_value = names::EC_DEFAULTS, value_name = "NAMESPACE/NAME")]
    pub enterprise_contract_config_map: String,

    /// Repository of release pipelines that collectors come from where the admission names none.
    #[arg(long, env = "DEFAULT_CATALOG_URL", default_value = "", value_name = "URL")]
    pub default_catalog_url: String,

    /// Its revision.
    #[arg(long, env = "DEFAULT_CATALOG_REVISION", default_value = "main", value_name = "REVISION")]
    pub default_catalog_revision: String,

    /// Bundle with the Pipeline `run-collectors`, that collectors come from where the admission names no Git repository. Wins over the default
    /// catalog.
    #[arg(long, env = "COLLECTORS_BUNDLE", default_value = "", value_name = "IMAGE")]
    pub collectors_bundle: String,

    /// How many Releases are worked on at once.
    #[arg(long, env = "MAX_CONCURRENT_RECONCILES", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=256), value_name = "N")]
    pub max_concurrent_reconciles: u16,

    /// Whether plans are owned by their Application, so that they go with it. Plans that a GitOps tool keeps are left alone.
    #[arg(long, env = "RELEASEPLAN_OWNER_REFERENCE", default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub plan_owner_reference: bool,

    /// Whether Releases are deleted when they expire: `on` or `off`.
    #[arg(long, env = "RELEASE_EXPIRATION", default_value = "on", value_name = "ON|OFF")]
    pub expiration: Expiration,

    /// How many expired Releases are deleted per second.
    #[arg(long, env = "RELEASE_EXPIRATION_RATE", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub expiration_rate: u32,

    /// Token for the repositories of github.com that pipelines come from, to ask which commit a branch is at. Public ones need none.
    #[arg(long, env = "GITHUB_TOKEN", hide_env_values = true, value_parser = secret(), value_name = "TOKEN")]
    pub github_token: Option<fleet::Secret<String>>,

    /// Whether to serve admission webhooks.
    #[arg(long, env = "ENABLE_WEBHOOKS", default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub enable_webhooks: bool,
}

/// `RELEASE_EXPIRATION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Expiration {
    /// Releases go when their time has come.
    On,
    /// They stay.
    Off,
}

fn secret() -> impl TypedValueParser<Value = fleet::Secret<String>> {
    StringValueParser::new().map(fleet::Secret::new)
}

impl ServiceArgs for Args {
    const SERVICE: &'static str = "release-service";

    fn fleet(&self) -> &fleet::Args {
        &self.fleet
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn no_two_flags_are_in_each_others_way() {
        Args::command().debug_assert();
    }
}
