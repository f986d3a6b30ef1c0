//! Component: one image of an Application, and the source that it is built from.

use fleet_api::Condition;
use k8s_openapi::api::core::v1::{EnvVar, ResourceRequirements};
use kube::core::{Message, Rule};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::source::GitSource;
use crate::validation;
use crate::versions::{
    BuildPipeline, ComponentActions, ComponentVersion, ComponentVersionStatus, RepositorySettings,
};

/// What the user wants of a Component.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "appstudio.redhat.com",
    version = "v1alpha1",
    kind = "Component",
    plural = "components",
    shortname = "hascmp",
    shortname = "hc",
    shortname = "comp",
    doc = "One image of an Application, and the source that it is built from.",
    namespaced,
    status = "ComponentStatus",
    derive = "Default",
    derive = "PartialEq",
    selectable = ".spec.application",
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
    printcolumn(
        name = "Type",
        type_ = "string",
        json_path = ".status.conditions[-1].type",
        description = "The newest type of condition."
    ),
    validation = validation::dns_1035_name("component"),
    validation = has_a_source(),
    validation = immutable_name("componentName", "component name"),
    validation = immutable_name("application", "application name"),
    validation = immutable_git_url(),
    validation = does_not_nudge_itself(),
    validation = does_not_begin_to_nudge_itself()
)]
#[schemars(transform = crate::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct ComponentSpec {
    /// Name in the model of the Application; never changes.
    #[schemars(!default, length(max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    #[serde(default)]
    pub component_name: String,
    /// Application of the same namespace that this belongs to; never changes. It may be created later.
    #[schemars(!default, regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    #[serde(default)]
    pub application: String,
    /// Secret of the same namespace. With a Git source, its key `password` holds a token for the repository;
    /// with an image source it is used to pull the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Where the source code lives. Absent for a Component that is an image made elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ComponentSource>,
    /// Compute resources of the container when deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Replicas when deployed. Absent means what the devfile says, else 1; 0 means none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Port that the container listens on. Absent or 0 means none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_port: Option<i32>,
    /// Host name under which the Component is reached from outside when deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Environment variables of the container when deployed. Only literal values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// The image: given by the user for one made elsewhere, else the latest build that was promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_image: Option<String>,
    /// True if no GitOps resources are wanted. Absent means false.
    #[serde(default, rename = "skipGitOpsResourceGeneration", skip_serializing_if = "Option::is_none")]
    pub skip_git_ops_resource_generation: Option<bool>,
    /// Names of Components whose source is updated, by pull request, to each new image of this one. Must not
    /// lead back to this one. Unknown names are fine.
    #[schemars(length(max = 1000), inner(length(max = 253)))]
    #[serde(default, rename = "build-nudges-ref", skip_serializing_if = "Vec::is_empty")]
    pub build_nudges_ref: Vec<String>,
    /// What to do once. Each is removed when it has been taken up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<ComponentActions>,
    /// True if no pull request is wanted that removes the build pipelines when the Component is deleted.
    /// Absent means false.
    #[serde(default, rename = "skip-offboarding-pr", skip_serializing_if = "Option::is_none")]
    pub skip_offboarding_pr: Option<bool>,
    /// The build pipeline of the versions that name none. Absent means the platform's.
    #[serde(default, rename = "default-build-pipeline", skip_serializing_if = "Option::is_none")]
    pub default_build_pipeline: Option<BuildPipeline>,
    /// Settings of the repository at Pipelines-as-Code.
    #[serde(default, rename = "repository-settings", skip_serializing_if = "Option::is_none")]
    pub repository_settings: Option<RepositorySettings>,
}

/// Source code of a Component: `git`, or a repository of which several versions are built.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentSource {
    /// One revision of a repository. Its `url` never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitSource>,
    /// URL of the repository that `versions` are built from, with the https scheme.
    #[x_kube(validation = validation::https_url(), validation = validation::no_userinfo())]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Path of the Dockerfile, for the versions that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile_uri: Option<String>,
    /// The versions that are built.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<ComponentVersion>,
}

/// What has become of a Component.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[schemars(transform = crate::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// The newest type is last.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// URL of the webhook at the forge. No longer written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
    /// `spec.containerImage` when it was last processed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_image: Option<String>,
    /// The Component's devfile in YAML, with all parents merged in. Other services wait until it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devfile: Option<String>,
    /// Where the GitOps resources of the Component are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gitops: Option<GitOpsStatus>,
    /// Commit of the latest build that was promoted. Written by integration-service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_built_commit: Option<String>,
    /// The latest image that was promoted, by digest. Written by integration-service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_promoted_image: Option<String>,
    /// Names of the Components whose `build-nudges-ref` names this one.
    #[serde(default, rename = "build-nudged-by", skip_serializing_if = "Vec::is_empty")]
    pub build_nudged_by: Vec<String>,
    /// What went wrong with the Component as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Name of the Repository object of Pipelines-as-Code.
    #[serde(default, rename = "pac-repository", skip_serializing_if = "Option::is_none")]
    pub pac_repository: Option<String>,
    /// The settings in effect.
    #[serde(default, rename = "repository-settings", skip_serializing_if = "Option::is_none")]
    pub repository_settings: Option<RepositorySettings>,
    /// How far each of `spec.source.versions` has come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<ComponentVersionStatus>,
}

/// Where the GitOps resources of a Component are.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitOpsStatus {
    /// URL of the repository.
    #[serde(default, rename = "repositoryURL", skip_serializing_if = "Option::is_none")]
    pub repository_url: Option<String>,
    /// Branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Directory in the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Commit that holds the resources as last generated.
    #[serde(default, rename = "commitID", skip_serializing_if = "Option::is_none")]
    pub commit_id: Option<String>,
    /// True if none are generated, as the user asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_generation_skipped: Option<bool>,
}

// The rules below stand at the root, not in the spec, so that the stub of a ComponentDetectionQuery, which is
// a spec whose name may change with the next detection, does not carry them.

/// A new Component has something to build or an image.
fn has_a_source() -> Rule {
    Rule::new(
        "oldSelf.hasValue() || (has(self.spec.containerImage) && self.spec.containerImage != '') \
         || (has(self.spec.source) && ((has(self.spec.source.git) && has(self.spec.source.git.url) \
         && self.spec.source.git.url != '') \
         || (has(self.spec.source.url) && self.spec.source.url != '')))",
    )
    .message(
        "a git source or an image source must be specified: set spec.source.git.url or spec.containerImage",
    )
    .optional_old_self(true)
}

/// It may be given to an object that a newer version of this kind stored without.
fn immutable_name(field: &str, what: &str) -> Rule {
    Rule::new(format!(
        "!has(self.spec.{field}) || !has(oldSelf.spec.{field}) || self.spec.{field} == oldSelf.spec.{field}"
    ))
    .field_path(format!(".spec.{field}"))
    .message(Message::Expression(format!("'{what} cannot be updated to ' + self.spec.{field}")))
}

/// A Git source may be added and taken away, but not moved to another repository. Its revision may change.
fn immutable_git_url() -> Rule {
    let without = |of: &str| {
        format!("!has({of}.spec.source) || !has({of}.spec.source.git) || !has({of}.spec.source.git.url)")
    };
    Rule::new(format!(
        "{} || {} || self.spec.source.git.url == oldSelf.spec.source.git.url",
        without("self"),
        without("oldSelf")
    ))
    .field_path(".spec.source.git.url")
    .message(Message::Expression(format!(
        "'git source cannot be updated to ' + {}",
        validation::shown_url("self.spec.source.git.url")
    )))
}

const NUDGES: &str = "spec.build__dash__nudges__dash__ref";

fn nudges_itself(object: &str) -> String {
    format!("(has({object}.{NUDGES}) && {object}.metadata.name in {object}.{NUDGES})")
}

fn cycle_detected(rule: Rule) -> Rule {
    rule.field_path(".spec.build-nudges-ref").message(Message::Expression(
        "'cycle detected: component ' + self.metadata.name + ' must not nudge itself'".to_owned(),
    ))
}

/// The shortest cycle of nudges, the only one that shows in a single object.
fn does_not_nudge_itself() -> Rule {
    cycle_detected(Rule::new(format!("oldSelf.hasValue() || !{}", nudges_itself("self"))))
        .optional_old_self(true)
}

/// Who did so before the rule existed may be edited, else a finalizer could not be removed.
fn does_not_begin_to_nudge_itself() -> Rule {
    cycle_detected(Rule::new(format!("!{} || {}", nudges_itself("self"), nudges_itself("oldSelf"))))
}
