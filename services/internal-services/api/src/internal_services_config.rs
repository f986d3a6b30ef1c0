//! `InternalServicesConfig`: whom internal-services serves, and how.

use fleet_api::schema::DNS_LABEL;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Whom the service serves, and how.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "appstudio.redhat.com",
    version = "v1alpha1",
    kind = "InternalServicesConfig",
    plural = "internalservicesconfigs",
    doc = "Settings of internal-services: the object config of its own namespace.",
    namespaced,
    status = "InternalServicesConfigStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[schemars(transform = fleet_api::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct InternalServicesConfigSpec {
    /// Namespaces of the remote cluster whose requests are served, each alone or, as `namespace:request,request`,
    /// with the requests that it may make. Absent or empty means none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_list: Vec<String>,
    /// True if finished runs are kept. Absent means false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debug: Option<bool>,
    /// The volume of a run.
    #[schemars(extend("default" = json!({"name": VolumeClaim::NAME, "size": VolumeClaim::SIZE})))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_claim: Option<VolumeClaim>,
    /// URLs of repositories that pipelines of requests may come from. Absent or empty means any.
    #[serde(default, rename = "allowedGitResolverURLs", skip_serializing_if = "Vec::is_empty")]
    pub allowed_git_resolver_urls: Vec<String>,
}

impl InternalServicesConfigSpec {
    /// Name of the one object.
    pub const NAME: &'static str = "config";
}

/// The volume of a run.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeClaim {
    /// The workspace of the pipeline that it is bound to.
    #[schemars(regex(pattern = DNS_LABEL), extend("default" = VolumeClaim::NAME))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How large it is, such as `1Gi`.
    #[schemars(regex(pattern = "^[1-9][0-9]*(K|M|G)i$"), extend("default" = VolumeClaim::SIZE))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
}

impl VolumeClaim {
    /// `name` where none is given.
    pub const NAME: &'static str = "workspace";
    /// `size` where none is given.
    pub const SIZE: &'static str = "1Gi";
}

/// Nothing.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = fleet_api::schema::stored, extend("x-kubernetes-preserve-unknown-fields" = true))]
#[serde(rename_all = "camelCase")]
pub struct InternalServicesConfigStatus {}
