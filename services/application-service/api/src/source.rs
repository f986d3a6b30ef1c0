//! Where source code lives.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::validation;

/// A directory of a Git repository at a revision.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitSource {
    /// URL of the repository, with the https scheme.
    #[x_kube(validation = validation::https_url(), validation = validation::no_userinfo())]
    #[schemars(!default)]
    #[serde(default)]
    pub url: String,
    /// Branch, tag or commit. Absent or empty means the default branch.
    #[x_kube(validation = validation::no_parent_segments(), validation = validation::no_leading_dash())]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Directory in the repository. Absent, empty, `./` and `/` mean its root.
    #[x_kube(validation = validation::no_parent_segments(), validation = validation::no_leading_dash())]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The devfile: a path that starts at `context`, or an https URL. Absent means that it is looked for.
    #[x_kube(
        validation = validation::path_or_https_url(),
        validation = validation::no_userinfo(),
        validation = validation::no_parent_segments()
    )]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devfile_url: Option<String>,
    /// The Dockerfile: a path that starts at `context`, or an https URL. Absent means what the devfile says.
    #[x_kube(
        validation = validation::path_or_https_url(),
        validation = validation::no_userinfo(),
        validation = validation::no_parent_segments()
    )]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile_url: Option<String>,
}
