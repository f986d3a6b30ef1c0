//! `EnterpriseContractPolicy`: which rules an image has to meet, and whose signatures count.

use fleet_api::Condition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A policy, as it also stands in files.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "appstudio.redhat.com",
    version = "v1alpha1",
    kind = "EnterpriseContractPolicy",
    plural = "enterprisecontractpolicies",
    shortname = "ecp",
    category = "all",
    doc = "Says which rules an image has to meet before it is released, and whose signatures count.",
    namespaced,
    status = "EnterpriseContractPolicyStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[schemars(transform = fleet_api::schema::stored, extend("default" = {}))]
#[serde(rename_all = "camelCase")]
pub struct EnterpriseContractPolicySpec {
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the policy is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Groups of rules and data. Each group is judged apart from the others.
    #[schemars(length(min = 1))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
    /// Deprecated: which rules count, for the sources that do not say so themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<PolicyConfiguration>,
    /// URL of the transparency log. Absent or empty means none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rekor_url: Option<String>,
    /// Key that signatures are checked with: PEM, the path of a file, `k8s://<namespace>/<secret>` (its key
    /// `cosign.pub`), or the URI of a key management service. Absent means that `identity` counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// Whose certificate signatures are checked with. Has no effect beside `publicKey`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
}

/// Rules and data that are judged together.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Name for logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// URLs of Rego: directories of Git repositories, bundles in registries.
    #[schemars(length(min = 1))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policy: Vec<String>,
    /// URLs of data, as of `policy`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<String>,
    /// Data for the rules, which read it as `data.rule_data__configuration__`.
    #[schemars(schema_with = "any_object")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_data: Option<Map<String, Value>>,
    /// Which rules count. Absent means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<SourceConfiguration>,
    /// Which rules count for some time, or for some images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volatile_config: Option<VolatileConfiguration>,
}

/// Which rules count: those whose best match in `include` is more exact than their best in `exclude`. An item
/// is `*`, a package, `<package>.<rule>`, either with `:<term>`, or `@<collection>`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceConfiguration {
    /// What counts. Absent means `*`.
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// What does not.
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

/// Which rules count, as for a source.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyConfiguration {
    /// What counts. Absent means `*`.
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// What does not.
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Names of collections of rules that count.
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collections: Vec<String>,
}

/// Which rules count for some time, or for some images.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolatileConfiguration {
    /// What counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<VolatileCriterion>,
    /// What does not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<VolatileCriterion>,
}

/// One item, with the time and the images that it is for.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolatileCriterion {
    /// The item, as in `config`.
    #[schemars(!default)]
    #[serde(default)]
    pub value: String,
    /// From when on it holds (RFC 3339). Absent means from ever.
    #[schemars(extend("format" = "date-time"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_on: Option<String>,
    /// Until when it holds (RFC 3339). Absent means for ever.
    #[schemars(extend("format" = "date-time"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_until: Option<String>,
    /// Digest of the image that it is for. Absent means all images.
    #[schemars(regex(pattern = "^sha256:[a-fA-F0-9]{64}$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    /// Older name of `imageDigest`.
    #[schemars(regex(pattern = "^sha256:[a-fA-F0-9]{64}$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_ref: Option<String>,
    /// Repository, without tag and digest, whose images it is for. Absent means all images.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9.-]*[a-z0-9](?:\\/[a-z0-9][a-z0-9-]*[a-z0-9]){2,}$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_url: Option<String>,
    /// Where to read why, such as the link to a ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// Whose certificate counts: subject and issuer, each as it is or as a regular expression. Both are needed.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Subject of the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Regular expression for the subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_reg_exp: Option<String>,
    /// Issuer of the token that the certificate was given for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Regular expression for the issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_reg_exp: Option<String>,
}

/// Whether a policy can be used. `ec` does not look at it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[schemars(transform = fleet_api::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct EnterpriseContractPolicyStatus {
    /// `Ready`.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Generation of the spec that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What the URLs of the spec led to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resolved_sources: Vec<ResolvedSource>,
}

/// What a URL led to.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedSource {
    /// The URL, as in the spec.
    #[schemars(!default)]
    #[serde(default)]
    pub url: String,
    /// Commit of the Git repository, or digest of the bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// How many rules are there. Absent for data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_count: Option<i64>,
    /// When it was fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
}

/// An object with any fields.
fn any_object(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
