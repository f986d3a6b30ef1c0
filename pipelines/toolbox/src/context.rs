//! What all subcommands share: the registry, the logins of the pod, the log.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use fleet::outbound::{self, Options};
use fleet::{Clock, Secret};
use registry::{Client, Keychain};

/// Flags of all subcommands.
#[derive(Clone, Debug, clap::Args)]
pub struct Global {
    /// PEM of certificate authorities that are trusted beside the machine's own. One that is missing or empty adds none.
    #[arg(long, env = "TOOLBOX_CA_BUNDLE", value_name = "FILE", global = true)]
    ca_bundle: Option<PathBuf>,
    /// Logins for registries, as `docker login` writes them.
    ///
    /// Without it: `$DOCKER_CONFIG/config.json`, else `$HOME/.docker/config.json`, else nobody's.
    #[arg(long, env = "REGISTRY_AUTH_FILE", value_name = "FILE", global = true)]
    auth_file: Option<PathBuf>,
    #[arg(long, env, hide = true, global = true)]
    docker_config: Option<PathBuf>,
    #[arg(long, env, hide = true, global = true)]
    home: Option<PathBuf>,
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

/// What a subcommand works with.
#[derive(Debug)]
pub struct Context {
    pub outbound: outbound::Client,
    pub registry: Client,
    pub keychain: Keychain,
    pub clock: Clock,
    /// The file behind [`keychain`](Self::keychain), for programs that log in themselves.
    pub auth_file: Option<PathBuf>,
    /// The file of further authorities, if it has any.
    pub ca_bundle: Option<PathBuf>,
}

impl Context {
    pub fn new(global: Global) -> anyhow::Result<Self> {
        let auth_file = global.auth_file.clone().or_else(|| {
            let in_home = global.home.map(|home| home.join(".docker"));
            let mut folders = global.docker_config.into_iter().chain(in_home);
            folders.find_map(|folder| Some(folder.join("config.json")).filter(|file| file.is_file()))
        });
        let keychain = auth_file.as_deref().map(keychain).transpose()?.unwrap_or_default();
        let is_full = |path: &PathBuf| path.metadata().is_ok_and(|file| file.len() > 0);
        let ca_bundle = global.ca_bundle.filter(is_full);
        let options =
            Options { allow: global.outbound_allow, ca_bundle: ca_bundle.clone(), ..Options::default() };
        let clock = Clock::system();
        let outbound =
            outbound::Client::new("konflux-toolbox", options, clock.clone(), &prometheus::Registry::new())?;
        let registry = Client::new(outbound.clone());
        Ok(Self { outbound, registry, keychain, clock, auth_file, ca_bundle })
    }
}

fn keychain(path: &Path) -> anyhow::Result<Keychain> {
    let mut keychain = Keychain::default();
    let file = std::fs::read(path).map(Secret::new);
    let file = file.with_context(|| format!("read the logins of {}", path.display()))?;
    keychain
        .add_docker_config_json(file.expose())
        .with_context(|| format!("read the logins of {}", path.display()))?;
    Ok(keychain)
}

/// The value of a task's parameter that is `true` or `false`.
///
/// Parameters are strings: what is neither is refused, so that a typo does not switch a check off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag(pub bool);

impl FromStr for Flag {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "true" => Ok(Self(true)),
            "false" => Ok(Self(false)),
            _ => Err("expected true or false"),
        }
    }
}

/// A line for whoever reads the step's log. Control characters of what users wrote do not get to their terminals.
pub fn say(line: &str) {
    let visible: String =
        line.chars().map(|c| if c.is_control() && c != '\t' && c != '\n' { '\u{fffd}' } else { c }).collect();
    // A log that nobody reads any more is no reason to fail.
    let _ = writeln!(std::io::stdout().lock(), "{visible}");
}

/// The folder of a workspace, unless it is not bound: not given, empty, or not there.
pub fn bound(folder: Option<PathBuf>) -> Option<PathBuf> {
    folder.filter(|folder| !folder.as_os_str().is_empty() && folder.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_true_or_false_and_nothing_else() {
        assert_eq!("true".parse(), Ok(Flag(true)));
        assert_eq!("false".parse(), Ok(Flag(false)));
        for other in ["", "True", "yes", "1", "false "] {
            assert!(other.parse::<Flag>().is_err(), "{other:?}");
        }
    }
}
