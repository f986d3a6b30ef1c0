//! Trust for programs that have a client of their own, because they call nothing but what an operator has named.

use std::path::Path;

use rustls::ClientConfig;

use super::trust::{self, Authorities, Bundle, TrustError};

/// The machine's certificate authorities and those of a bundle, as they were read. To be compared with a later reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    platform: Authorities,
    bundle: Option<Authorities>,
}

impl Roots {
    /// Reads them. A bundle that is not there yet, in a folder that is, counts as empty. Blocks.
    pub fn read(bundle: Option<&Path>) -> Result<Self, TrustError> {
        let bundle = bundle.map(|path| Bundle::new(path).read()).transpose()?.flatten();
        Ok(Self { platform: trust::platform(), bundle })
    }

    /// TLS that believes all of them. Nothing is offered by ALPN.
    pub fn client_config(&self) -> Result<ClientConfig, TrustError> {
        let all: Vec<&Authorities> = std::iter::once(&self.platform).chain(&self.bundle).collect();
        let mut config = trust::client_config(&all)?;
        config.alpn_protocols.clear();
        Ok(config)
    }
}
