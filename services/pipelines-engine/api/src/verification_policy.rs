//! `VerificationPolicy` (specification, section 3.11): which Tasks and Pipelines have to be signed by whom.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Signatures that resolved Tasks and Pipelines need.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "tekton.dev",
    version = "v1alpha1",
    kind = "VerificationPolicy",
    plural = "verificationpolicies",
    category = "tekton",
    category = "tekton-pipelines",
    namespaced,
    schema = "disabled",
    derive = "Default",
    derive = "PartialEq"
)]
pub struct VerificationPolicySpec {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourcePattern>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorities: Vec<Authority>,
    /// `enforce` (if absent) or `warn`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mode: String,
}

/// What a policy is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResourcePattern {
    /// Regular expression for the `uri` of where it came from.
    #[serde(default)]
    pub pattern: String,
}

/// Who may sign.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Authority {
    #[serde(default)]
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyRef>,
}

/// A public key: one of the first three.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyRef {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<k8s_openapi::api::core::v1::SecretReference>,
    /// In PEM.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub data: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kms: String,
    /// `sha256` if absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash_algorithm: String,
}
