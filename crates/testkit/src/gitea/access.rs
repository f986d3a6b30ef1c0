//! Where a forge is and who may do everything there.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// All that its administrator needs. Holds a password: there is no `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// What the forge calls itself, and repositories are cloned by: `https://git.dev.konflux.test/`.
    pub url: String,
    /// Where it listens, for whoever does not resolve the name in `url`.
    pub address: SocketAddr,
    /// PEM of the authority that signed its certificate.
    pub certificate_authority: String,
    pub administrator: String,
    pub password: String,
}

impl Access {
    /// What was saved as JSON, such as `forge.json` in the state folder of a dev cluster.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read(path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} tells of no forge", path.display()))
    }
}
