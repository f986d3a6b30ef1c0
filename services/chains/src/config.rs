//! What is signed how, by what, and where it is stored: the ConfigMap `chains-config` (specification, section 2).
//!
//! Everything is read, and every fault is found, before anything of it is in force. A word that nobody knows is a fault: the
//! previous settings stay. A boolean that cannot be read counts as absent, as in the original.

mod read;

use std::collections::BTreeMap;

use fleet::Secret;
use url::Url;

use crate::payload::{BuildType, Format};

/// The settings in force.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    pub(crate) task_runs: Artifact,
    pub(crate) pipeline_runs: Artifact,
    /// Images that TaskRuns have built. Their format is always simple signing.
    pub(crate) images: Artifact,
    /// Whether the provenance of a PipelineRun has the inputs and outputs of its TaskRuns.
    pub(crate) deep_inspection: bool,
    /// Where signatures and attestations go instead of the image's own repository.
    pub(crate) repository: Option<registry::Reference>,
    /// `builder.id` of provenance.
    pub(crate) builder_id: String,
    /// `builder.version` of provenance, where its format has it: versions by component.
    pub(crate) builder_version: BTreeMap<String, String>,
    /// `buildDefinition.buildType` of SLSA v1.
    pub(crate) build_type: BuildType,
    pub(crate) transparency: Transparency,
    pub(crate) log: Url,
    pub(crate) keyless: Option<Keyless>,
    pub(crate) kms: Kms,
}

/// How artifacts of one kind are signed and stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Artifact {
    /// Of runs; what images have is not chosen.
    pub(crate) format: Format,
    /// In the order in which they are used. Empty: nothing is signed.
    pub(crate) storage: Vec<Backend>,
    pub(crate) signer: SignerKind,
}

impl Artifact {
    /// Whether artifacts of this kind are signed at all.
    pub(crate) fn is_enabled(&self) -> bool {
        self.signer != SignerKind::None && !self.storage.is_empty()
    }
}

/// Where signatures are stored. Sorted by name.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::EnumString, strum::IntoStaticStr,
)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Backend {
    Archivista,
    Docdb,
    Gcs,
    Grafeas,
    Kafka,
    /// Beside the image, in its registry.
    Oci,
    /// In annotations of the run.
    Tekton,
}

/// What holds the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum SignerKind {
    /// A file, or with Fulcio a certificate for a key of the moment.
    X509,
    Kms,
    /// Artifacts of this kind are neither signed nor stored.
    None,
}

/// Which signatures a transparency log is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transparency {
    Off,
    /// Those of runs that ask for it by annotation.
    Manual,
    On,
}

/// Signing with a certificate for an identity, by Fulcio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keyless {
    pub(crate) fulcio: Url,
    /// The file with the identity's token.
    pub(crate) token_file: String,
}

/// The settings of key management services, `signers.kms.*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kms {
    pub(crate) key: String,
    pub(crate) address: String,
    pub(crate) token: Option<Secret<String>>,
    pub(crate) token_path: String,
    pub(crate) oidc_path: String,
    pub(crate) oidc_role: String,
    pub(crate) oidc_token_path: String,
    pub(crate) spire_socket: String,
    pub(crate) spire_audience: String,
}

/// What is wrong with one key of the ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub(crate) struct Fault {
    pub(crate) key: String,
    pub(crate) why: String,
}

impl Config {
    /// Reads `data` of the ConfigMap; all its faults at once.
    pub(crate) fn read(data: &BTreeMap<String, String>) -> Result<Self, Vec<Fault>> {
        read::config(data)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::read(&BTreeMap::new()).expect("the defaults are valid: a test reads them")
    }
}

#[cfg(test)]
mod tests;
