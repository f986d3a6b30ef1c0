//! Where a model or GitOps resources live.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A place in a Git repository.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryLocation {
    /// URL of the repository. Empty means that none was chosen, as if the whole object were absent.
    #[schemars(!default)]
    #[serde(default)]
    pub url: String,
    /// Branch. Absent or empty means the default branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Directory in the repository. Absent or empty means its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}
