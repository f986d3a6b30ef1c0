//! What the programs in the steps of tasks share: the way out, the registry with the logins of the pod, results, the log.
//!
//! ```text
//! flags of a program ─▶ Settings ─▶ Context { outbound, registry, keychain, clock }
//! ```
//! The programs are `toolbox` for builds and `release-tasks` for releases.

pub mod results;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use fleet::outbound::{self, AllowList, Options};
use fleet::{Clock, Secret};
use registry::{Client, Keychain};

/// How many calls of one host a step makes at once. It is the only one in its process, so nobody else waits for them.
pub const CALLS_PER_HOST: u16 = 16;

/// Flags by which a program finds the logins for registries.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Logins {
    /// Logins for registries, as `docker login` writes them.
    ///
    /// Without it: `$DOCKER_CONFIG/config.json`, else `$HOME/.docker/config.json`, else nobody's.
    #[arg(long, env = "REGISTRY_AUTH_FILE", value_name = "FILE", global = true)]
    auth_file: Option<PathBuf>,
    #[arg(long, env, hide = true, global = true)]
    docker_config: Option<PathBuf>,
    #[arg(long, env, hide = true, global = true)]
    home: Option<PathBuf>,
}

impl Logins {
    /// The file with the logins, if there is one.
    fn file(self) -> Option<PathBuf> {
        self.auth_file.or_else(|| {
            let in_home = self.home.map(|home| home.join(".docker"));
            let mut folders = self.docker_config.into_iter().chain(in_home);
            folders.find_map(|folder| Some(folder.join("config.json")).filter(|file| file.is_file()))
        })
    }
}

/// What a [`Context`] is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program, as servers are told.
    pub agent: &'static str,
    pub logins: Logins,
    /// PEM of certificate authorities that are trusted beside the machine's own. One that is missing or empty adds none.
    pub ca_bundle: Option<PathBuf>,
    /// What may be called beside the internet.
    pub allow: AllowList,
}

/// What a step works with.
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
    pub fn new(settings: impl Into<Settings>) -> anyhow::Result<Self> {
        let Settings { agent, logins, ca_bundle, allow } = settings.into();
        let auth_file = logins.file();
        let keychain = auth_file.as_deref().map(keychain).transpose()?.unwrap_or_default();
        let is_full = |path: &PathBuf| path.metadata().is_ok_and(|file| file.len() > 0);
        let ca_bundle = ca_bundle.filter(is_full);
        let calls_per_host = Some(CALLS_PER_HOST);
        let options = Options { allow, ca_bundle: ca_bundle.clone(), calls_per_host, ..Options::default() };
        let clock = Clock::system();
        let outbound = outbound::Client::new(agent, options, clock.clone(), &prometheus::Registry::new())?;
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

    #[test]
    fn logins_are_those_named_else_those_of_the_first_folder_that_has_any() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        std::fs::create_dir_all(home.join(".docker")).unwrap();
        std::fs::write(home.join(".docker/config.json"), "{}").unwrap();
        let in_home = Logins {
            docker_config: Some(folder.path().join("none")),
            home: Some(home.clone()),
            ..Logins::default()
        };
        assert_eq!(in_home.clone().file(), Some(home.join(".docker/config.json")));
        // A file that is named and is not there is an error later, not silence.
        let named = Logins { auth_file: Some(folder.path().join("auth.json")), ..in_home };
        assert_eq!(named.file(), Some(folder.path().join("auth.json")));
        assert_eq!(Logins::default().file(), None);
    }
}
