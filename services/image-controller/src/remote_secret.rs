//! `RemoteSecret`, as far as this service knows it: it asks for one, and sees whether it is delivered. The kind belongs to
//! service-provider-integration.

use fleet_api::Condition;
use k8s_openapi::api::core::v1::LocalObjectReference;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

/// A Secret that is kept elsewhere and delivered to where it is wanted.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "appstudio.redhat.com",
    version = "v1beta1",
    kind = "RemoteSecret",
    plural = "remotesecrets",
    namespaced,
    schema = "disabled",
    status = "RemoteSecretStatus",
    derive = "PartialEq"
)]
pub(crate) struct RemoteSecretSpec {
    /// What the Secret is to be like.
    #[serde(default)]
    pub secret: LinkableSecret,
    /// Where it is wanted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<RemoteSecretTarget>,
}

/// Name and type of the Secret, and the accounts that it is linked to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LinkableSecret {
    #[serde(default)]
    pub name: String,
    #[serde(default, rename = "type")]
    pub type_: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub linked_to: Vec<SecretLink>,
}

/// An account that the Secret is linked to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SecretLink {
    #[serde(default)]
    pub service_account: ServiceAccountLink,
}

/// A `ServiceAccount` that exists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ServiceAccountLink {
    #[serde(default)]
    pub reference: LocalObjectReference,
}

/// A namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RemoteSecretTarget {
    #[serde(default)]
    pub namespace: String,
}

/// What has become of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RemoteSecretStatus {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

impl RemoteSecret {
    /// Whether the Secret is there and linked.
    pub(crate) fn is_deployed(&self) -> bool {
        let conditions = self.status.iter().flat_map(|status| &status.conditions);
        conditions.into_iter().any(|condition| condition.type_ == "Deployed" && condition.status == "True")
    }
}
