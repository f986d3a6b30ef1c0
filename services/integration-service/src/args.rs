//! The command line of integration-service.

use fleet::ServiceArgs;
use jiff::SignedDuration;

/// Configuration of integration-service.
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "integration-service",
    version,
    about = "Snapshots of builds, their tests, and what follows from them"
)]
#[expect(clippy::struct_excessive_bools, reason = "switches")]
pub struct Args {
    #[command(flatten)]
    pub fleet: fleet::Args,

    #[command(flatten)]
    pub report: crate::report::Options,

    /// Whether a build's Snapshot waits until the build is signed. Not so where chains is not installed.
    #[arg(long, env = "REQUIRE_SIGNED", default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub require_signed: bool,

    /// How long after its end a build is expected to be signed. Then its run says that it was not; a later signature still counts.
    #[arg(long, env = "SIGNATURE_TIMEOUT", default_value = "5m", value_name = "DURATION")]
    pub signature_timeout: SignedDuration,

    /// When an image of a push becomes the one that later Snapshots hold.
    #[arg(long, env = "GCL_PROMOTION", default_value = "tests", value_name = "WHEN")]
    pub gcl_promotion: Promotion,

    /// Whether Environments are deployed to, and copied for tests.
    #[arg(long, env = "ENVIRONMENTS_ENABLED", default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub environments_enabled: bool,

    /// Whether `spec.containerImage` of a Component shows what was promoted last. Components that a GitOps tool keeps are left alone.
    #[arg(long, env = "MIRROR_CONTAINER_IMAGE", default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub mirror_container_image: bool,

    #[command(flatten)]
    pub tests: crate::tests::Options,

    /// Whether each namespace gets an account konflux-integration-runner, and runs of tests run as that instead of the engine's default.
    #[arg(long, env = "INTEGRATION_RUNNER", default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub integration_runner: bool,

    /// Whether to serve admission and conversion webhooks.
    #[arg(long, env = "ENABLE_WEBHOOKS", default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub enable_webhooks: bool,
}

/// `GCL_PROMOTION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Promotion {
    /// As soon as its build is signed.
    Build,
    /// When all required tests of its Snapshot have passed.
    Tests,
}

impl ServiceArgs for Args {
    const SERVICE: &'static str = "integration-service";

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
