//! Why something was not signed or stored.

use crate::keychain::KeychainError;
use crate::payload::PayloadError;
use crate::signers::SignerError;
use crate::storage::StoreError;

use super::Item;

/// Failures that are told; the rest is counted.
const TOLD: usize = 5;

/// Of one item, or of all.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Failure {
    #[error("provenance of the {kind} cannot be made")]
    Payload { kind: &'static str, source: PayloadError },
    #[error("{what} is not signed")]
    Signer { what: String, source: SignerError },
    #[error("{what} is not signed")]
    Sign { what: String, source: attest::SignError },
    #[error("the logins of the run's account are not known")]
    Keychain(#[source] KeychainError),
    #[error("{what} is not in the transparency log")]
    Log { what: String, source: attest::rekor::Error },
    #[error("{what} is not stored in {backend}")]
    Store { what: String, backend: &'static str, source: StoreError },
}

impl Failure {
    pub(super) fn signer(item: &Item, source: SignerError) -> Self {
        Self::Signer { what: item.what.clone(), source }
    }

    /// What failed, as a label of metrics.
    pub(crate) fn label(&self) -> &'static str {
        self.into()
    }

    /// Whether the same run will fail in the same way at every attempt.
    pub(crate) fn is_permanent(&self) -> bool {
        match self {
            Self::Payload { .. } => true,
            Self::Store { source, .. } => source.is_permanent(),
            Self::Signer { .. } | Self::Sign { .. } | Self::Keychain(_) | Self::Log { .. } => false,
        }
    }
}

/// All failures in one line, without credentials.
pub(crate) fn told(failures: &[Failure]) -> String {
    let mut lines: Vec<_> =
        failures.iter().take(TOLD).map(|failure| fleet::controller::chain(failure)).collect();
    // One cause, such as a missing key, fails all items alike.
    lines.dedup();
    if failures.len() > TOLD {
        lines.push(format!("and {} more", failures.len() - TOLD));
    }
    lines.join("; ")
}
