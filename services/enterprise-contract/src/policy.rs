//! The policy that images are judged by, and whose signatures count.
//!
//! ```text
//! --policy: text, file, URL, [namespace/]name ─▶ load ─▶ schema ─▶ spec ─▶ + flags ─▶ Signers: who has to have signed
//! ```

mod cluster;
mod load;
mod schema;
mod signers;

use enterprise_contract_api::EnterpriseContractPolicySpec;
use serde_json::{Map, Value};

pub use cluster::{Cluster, ClusterError};
pub use load::load;
pub use schema::check;
pub use signers::{Expected, Signers, Sigstore};

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("policy {what}: {reason}")]
    Unreadable { what: String, reason: String },
    #[error("policy {what}: it is empty")]
    Empty { what: String },
    /// An unknown field, a wrong type, a missing value.
    #[error("policy {what}: {}", faults.join("; "))]
    Invalid { what: String, faults: Vec<String> },
    #[error("policy {what}: there is no .ec/policy.yaml, .ec/policy.json, policy.yaml or policy.json")]
    NoFile { what: String },
    #[error("policy {what}")]
    Fetch { what: String, source: crate::sources::Error },
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("public key {what}: {reason}")]
    Key { what: String, reason: String },
    #[error("without a public key it has to be said whose certificate counts: {} missing", names(missing))]
    NoSigner { missing: Vec<&'static str> },
    #[error(
        "{why} by roots of trust, and there are none; fetch them with `ec sigstore initialize` (TUF_ROOT)"
    )]
    Roots { why: String, source: Option<attest::roots::BadRoots> },
    #[error("certificate identity: {0}")]
    Identity(String),
    #[error("transparency log: {0}")]
    Log(String),
}

fn names(missing: &[&str]) -> String {
    format!("{} {}", missing.join(" and "), if missing.len() == 1 { "is" } else { "are" })
}

/// The policy as flags change it.
pub(crate) fn with_flags(
    mut spec: EnterpriseContractPolicySpec,
    signers: &Expected,
    extra_rule_data: &Map<String, Value>,
) -> EnterpriseContractPolicySpec {
    signers.apply(&mut spec);
    for source in &mut spec.sources {
        if !extra_rule_data.is_empty() {
            source.rule_data.get_or_insert_default().extend(extra_rule_data.clone());
        }
    }
    spec
}
