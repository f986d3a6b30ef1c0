//! What all subcommands share: the registry, the logins of the pod, the log.

use std::path::PathBuf;

use fleet::outbound;
pub use step::{Context, Flag, bound, say};

/// Flags of all subcommands.
#[derive(Clone, Debug, clap::Args)]
pub struct Global {
    /// PEM of certificate authorities that are trusted beside the machine's own. One that is missing or empty adds none.
    #[arg(long, env = "TOOLBOX_CA_BUNDLE", value_name = "FILE", global = true)]
    ca_bundle: Option<PathBuf>,
    #[command(flatten)]
    logins: step::Logins,
    /// What may be called beside the internet. A step runs with its user's own rights in the user's own namespace, so all
    /// that the pod can reach is permitted unless this says less.
    #[arg(
        long,
        env = "TOOLBOX_OUTBOUND_ALLOW",
        value_name = "LIST",
        global = true,
        default_value = "0.0.0.0/0,::/0"
    )]
    outbound_allow: outbound::AllowList,
}

impl From<Global> for step::Settings {
    fn from(global: Global) -> Self {
        Self {
            agent: "konflux-toolbox",
            logins: global.logins,
            ca_bundle: global.ca_bundle,
            allow: global.outbound_allow,
        }
    }
}
