//! Environment: a place that an Application is deployed to. Its behaviour and its conditions belong to
//! gitops-service.

use fleet_api::{Condition, Open};
use kube::core::Rule;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::validation;

/// What the user wants of an Environment.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "appstudio.redhat.com",
    version = "v1alpha1",
    kind = "Environment",
    plural = "environments",
    shortname = "env",
    doc = "A place that Applications are deployed to.",
    namespaced,
    status = "EnvironmentStatus",
    derive = "Default",
    derive = "PartialEq",
    validation = validation::dns_1123_name("environment")
)]
#[schemars(transform = crate::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentSpec {
    /// Deprecated and without effect.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<Open<EnvironmentType>>,
    /// Name for people.
    #[schemars(!default)]
    #[serde(default)]
    pub display_name: String,
    /// How Snapshots come here: `Manual` or `AppStudioAutomated`.
    #[schemars(!default)]
    #[serde(default)]
    pub deployment_strategy: String,
    /// Environment of the same namespace that is promoted from. Absent or empty means that Snapshots come
    /// here first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_environment: Option<String>,
    /// Words by which Environments are told apart, such as `managed` or `ephemeral`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What is deployed differently here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<EnvironmentConfiguration>,
    /// The cluster to deploy to, where no claim names one. May change without notice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unstable_configuration_fields: Option<UnstableConfiguration>,
}

impl EnvironmentSpec {
    /// `deploymentStrategy`: a person promotes.
    pub const MANUAL: &'static str = "Manual";
    /// `deploymentStrategy`: each Snapshot that passes is promoted.
    pub const AUTOMATED: &'static str = "AppStudioAutomated";
}

/// Deprecated kind of an Environment.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnvironmentType {
    #[serde(rename = "POC")]
    Poc,
    #[serde(rename = "Non-POC")]
    NonPoc,
}

/// What is deployed differently in one Environment.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentConfiguration {
    /// Environment variables of all Components.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVarPair>,
    /// Where to deploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<EnvironmentTarget>,
}

/// An environment variable with a literal value.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvVarPair {
    /// Name of the variable.
    #[schemars(!default)]
    #[serde(default)]
    pub name: String,
    /// Its value.
    #[schemars(!default)]
    #[serde(default)]
    pub value: String,
}

/// Where to deploy.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentTarget {
    /// The claim to a place.
    #[schemars(!default)]
    #[serde(default)]
    pub deployment_target_claim: DeploymentTargetClaimReference,
}

/// Names a `DeploymentTargetClaim`.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentTargetClaimReference {
    /// `DeploymentTargetClaim` of the same namespace. Empty means none.
    #[schemars(!default)]
    #[serde(default)]
    pub claim_name: String,
}

/// The cluster to deploy to.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = ingress_domain())]
#[serde(rename_all = "camelCase")]
pub struct UnstableConfiguration {
    /// What kind of cluster it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_type: Option<Open<ClusterType>>,
    /// How to reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes_credentials: Option<KubernetesCredentials>,
}

/// How applications are reached from outside: by Ingress or by Route.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClusterType {
    Kubernetes,
    OpenShift,
}

/// How to reach a cluster.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesCredentials {
    /// Namespace to deploy to.
    #[schemars(!default)]
    #[serde(default)]
    pub target_namespace: String,
    /// URL of its API server.
    #[x_kube(
        validation = Rule::new("self == '' || isURL(self)")
            .message("API URL must be an absolute URL starting with an 'https' scheme")
    )]
    #[schemars(!default)]
    #[serde(default, rename = "apiURL")]
    pub api_url: String,
    /// Secret of the same namespace that holds a kubeconfig.
    #[schemars(!default)]
    #[serde(default)]
    pub cluster_credentials_secret: String,
    /// True if its certificate is not checked.
    #[schemars(!default)]
    #[serde(default, rename = "allowInsecureSkipTLSVerify")]
    pub allow_insecure_skip_tls_verify: bool,
    /// Domain below which applications get their host names. Needed where they are reached by Ingress.
    #[x_kube(
        validation = Rule::new(
            "self == '' || (self.size() <= 253 \
             && self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'))"
        ).message(Message::Expression("'invalid ingress domain: ' + self + ': must be a DNS-1123 subdomain'".into()))
    )]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress_domain: Option<String>,
    /// Namespaces that may be read. Absent means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// True if resources outside namespaces may be deployed. Absent means false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_resources: Option<bool>,
}

/// What has become of an Environment.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[schemars(transform = crate::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentStatus {
    /// Written by gitops-service.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// On [`UnstableConfiguration`]: applications on Kubernetes need a domain for their host names, unless the Environment
/// came without one.
fn ingress_domain() -> Rule {
    let lacks_domain = |of: &str| {
        let credentials = format!("{of}.kubernetesCredentials");
        format!(
            "(has({of}.clusterType) && {of}.clusterType == 'Kubernetes' && !(has({credentials}) \
             && has({credentials}.ingressDomain) && {credentials}.ingressDomain != ''))"
        )
    };
    Rule::new(format!(
        "!{} || (oldSelf.hasValue() && {})",
        lacks_domain("self"),
        lacks_domain("oldSelf.value()")
    ))
    .message("ingress domain cannot be empty if cluster is of type Kubernetes")
    .optional_old_self(true)
}
