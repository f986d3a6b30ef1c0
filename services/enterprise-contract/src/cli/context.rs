//! What commands work with.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use fleet::outbound::{self, Options};
use fleet::{Clock, Secret};
use registry::{Client, Keychain};

use super::Global;
use crate::conftest;
use crate::judge::Environment;
use crate::output::Style;
use crate::policy::{Cluster, Sigstore};
use crate::rego::Offline;
use crate::sources::{Local, Sources};

pub(super) struct Context {
    pub(super) environment: Environment,
    pub(super) style: Style,
    /// For the whole command. `None` is as long as it takes.
    pub(super) timeout: Option<Duration>,
}

impl Context {
    pub(super) fn new(global: &Global) -> anyhow::Result<Self> {
        let is_full = |path: &PathBuf| path.metadata().is_ok_and(|file| file.len() > 0);
        let options = Options {
            allow: global.outbound_allow.clone(),
            ca_bundle: global.ca_bundle.clone().filter(is_full),
            ..Options::default()
        };
        let clock = Clock::system();
        let outbound = outbound::Client::new("ec", options, clock.clone(), &prometheus::Registry::new())?;
        let registry = Client::new(outbound.clone());
        let keychain = Arc::new(keychain(global)?);
        let sources = Sources::new(outbound.clone(), registry.clone(), Arc::clone(&keychain), Local::Allowed);
        let color = global.color || !global.no_color && std::io::stdout().is_terminal();
        let sigstore = Sigstore { outbound, tuf_root: global.tuf_root.clone() };
        let cluster = Cluster::new(global.kubeconfig.clone());
        Ok(Self {
            environment: Environment { sigstore, registry, keychain, sources, cluster, clock },
            style: Style { show_successes: global.show_successes, color },
            timeout: Some(global.timeout).filter(|timeout| !timeout.is_zero()),
        })
    }
}

impl Context {
    /// Rules there have no images to ask about.
    pub(super) fn conftest(&self) -> conftest::Environment {
        let Environment { sources, clock, .. } = &self.environment;
        conftest::Environment { sources: sources.clone(), host: Arc::new(Offline), now: clock.now() }
    }
}

/// `$DOCKER_CONFIG/config.json`, else `$HOME/.docker/config.json`, else nobody's.
fn keychain(global: &Global) -> anyhow::Result<Keychain> {
    let in_home = global.home.as_ref().map(|home| home.join(".docker"));
    let folders = global.docker_config.iter().cloned().chain(in_home);
    let file = folders.map(|folder| folder.join("config.json")).find(|file| file.is_file());
    file.as_deref().map(read).transpose().map(Option::unwrap_or_default)
}

fn read(path: &Path) -> anyhow::Result<Keychain> {
    let said = || format!("read the logins of {}", path.display());
    let file = Secret::new(std::fs::read(path).with_context(said)?);
    let mut keychain = Keychain::default();
    keychain.add_docker_config_json(file.expose()).with_context(said)?;
    Ok(keychain)
}
