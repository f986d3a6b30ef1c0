//! ImageRepository: a repository in the registry, with credentials of its own.
#![expect(clippy::duplicated_attributes, reason = "columns have their types in common")]

use fleet_api::Open;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the user wants of an image repository.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "appstudio.redhat.com",
    version = "v1alpha1",
    kind = "ImageRepository",
    plural = "imagerepositories",
    doc = "A repository in the registry, with accounts of its own to push and pull.",
    namespaced,
    status = "ImageRepositoryStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn(name = "Image", type_ = "string", json_path = ".status.image.url"),
    printcolumn(name = "Visibility", type_ = "string", json_path = ".status.image.visibility")
)]
#[schemars(transform = fleet_api::schema::stored, extend("default" = {}))]
#[serde(rename_all = "camelCase")]
pub struct ImageRepositorySpec {
    /// Name and visibility.
    #[schemars(extend("default" = {}))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageParameters>,
    /// What to do once with the credentials. Each is removed when it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<CredentialActions>,
    /// Who is told by the registry of what happens to the repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notifications: Vec<Notification>,
}

/// Name and visibility of an image repository.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageParameters {
    /// Name in the registry's organisation. The namespace is put in front of it. Absent means the names of
    /// Application and Component, else that of this object. A change after creation has no effect.
    #[schemars(regex(pattern = "^[a-z0-9][.a-z0-9_-]*(/[a-z0-9][.a-z0-9_-]*)*$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who may pull.
    #[schemars(extend("default" = "public"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Open<Visibility>>,
}

/// Who may pull from an image repository.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    #[default]
    Public,
    Private,
}

/// What to do once with the credentials.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CredentialActions {
    /// True replaces the tokens to push and to pull. The old ones are dead at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regenerate_token: Option<bool>,
    /// True replaces the token that can pull all image repositories of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regenerate_namespace_pull_token: Option<bool>,
    /// True links the Secrets to their `ServiceAccounts` again, once each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_linking: Option<bool>,
}

/// Tells somebody what happens to an image repository.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// Name of the notification, unique in the image repository.
    #[schemars(!default)]
    #[serde(default)]
    pub title: String,
    /// What has to happen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Open<NotificationEvent>>,
    /// How somebody is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Open<NotificationMethod>>,
    /// Who is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<NotificationConfig>,
}

/// What a notification is about.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotificationEvent {
    RepoPush,
}

/// How a notification is sent.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotificationMethod {
    Email,
    Webhook,
}

/// Where a notification is sent to.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotificationConfig {
    /// Address, for the method `email`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// URL, for the method `webhook`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// What has become of an image repository.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[schemars(transform = fleet_api::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct ImageRepositoryStatus {
    /// `ready`, `failed`, `damaged`, `missing` or `waiting`. Absent until it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// What went wrong, for a person. Absent or empty after a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The repository as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageStatus>,
    /// Accounts and where their credentials lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<CredentialsStatus>,
    /// The notifications that the registry has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notifications: Vec<NotificationStatus>,
}

impl ImageRepositoryStatus {
    /// `state`: it can be used.
    pub const READY: &'static str = "ready";
    /// `state`: it could not be made, and is not tried again until the spec changes.
    pub const FAILED: &'static str = "failed";
    /// `state`: it was made, but what is known of it was lost.
    pub const DAMAGED: &'static str = "damaged";
    /// `state`: the registry has it no more.
    pub const MISSING: &'static str = "missing";
    /// `state`: its Component does not exist yet.
    pub const WAITING: &'static str = "waiting";
}

/// A repository as it is.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageStatus {
    /// `<registry>/<organisation>/<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Who may pull.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Open<Visibility>>,
}

/// Accounts of an image repository. They are named without their organisation; Secrets are of the same
/// namespace.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CredentialsStatus {
    /// When the tokens were last made.
    #[serde(default, rename = "generationTimestamp", skip_serializing_if = "Option::is_none")]
    pub generation_timestamp: Option<Time>,
    /// The account that may push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_robot_account: Option<String>,
    /// The account that may only pull.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_robot_account: Option<String>,
    /// Secret with the credentials to push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_secret: Option<String>,
    /// Secret with the credentials to pull.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_secret: Option<String>,
    /// `RemoteSecret` that delivers `push-secret`. Absent where the Secret is made without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_remote_secret: Option<String>,
    /// `RemoteSecret` that delivers `pull-secret`. Absent where the Secret is made without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_remote_secret: Option<String>,
}

/// A notification that the registry has.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotificationStatus {
    /// Name of the notification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its id at the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
}
