//! Application: Components that are tested and released together.

use fleet_api::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::repository::RepositoryLocation;
use crate::validation;

/// What the user wants of an Application.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "appstudio.redhat.com",
    version = "v1alpha1",
    kind = "Application",
    plural = "applications",
    shortname = "hasapp",
    shortname = "ha",
    shortname = "app",
    doc = "Components that are tested and released together.",
    namespaced,
    status = "ApplicationStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.conditions[-1].status",
        description = "Status of the newest type of condition."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[-1].reason",
        description = "Reason of the newest type of condition."
    ),
    validation = validation::dns_1035_name("application")
)]
#[x_kube(
    validation = validation::immutable_repository("appModelRepository", "app model repository"),
    validation = validation::immutable_repository("gitOpsRepository", "gitops repository")
)]
#[schemars(transform = crate::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationSpec {
    /// Name for people. Must not be empty.
    #[x_kube(
        validation = Rule::new("self != ''").message("display name missing: give the application a name for people")
    )]
    #[schemars(!default)]
    #[serde(default)]
    pub display_name: String,
    /// What the application is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where the model of the application is kept; never changes. Absent or with an empty `url` means beside
    /// the GitOps resources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_model_repository: Option<RepositoryLocation>,
    /// Where the GitOps resources are kept; never changes. Absent or with an empty `url` means a repository
    /// that the service makes, if it keeps GitOps resources at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_ops_repository: Option<RepositoryLocation>,
}

/// What application-service has made of an Application.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[schemars(transform = crate::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationStatus {
    /// `Created` and `Updated`; the newest type is last.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(!default)]
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// The model of the application, a devfile in YAML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devfile: Option<String>,
}
