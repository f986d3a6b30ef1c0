//! `InternalRequest`: asks for something that only another cluster can do.

use std::collections::BTreeMap;

use fleet_api::Condition;
use fleet_api::schema::{DNS_LABEL, NAMESPACED_NAME};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::Rule;
use kube::{CustomResource, KubeSchema};
use release_service_api::pipeline::{ParameterizedPipeline, Timeouts};
use serde::{Deserialize, Serialize};

/// What is asked for. Never changes.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "appstudio.redhat.com",
    version = "v1alpha1",
    kind = "InternalRequest",
    plural = "internalrequests",
    doc = "Asks for a pipeline of the private cluster to be run.",
    namespaced,
    status = "InternalRequestStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn(
        name = "Succeeded",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Succeeded\")].status",
        description = "Whether it is done."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Succeeded\")].reason",
        description = "How far it has come."
    ),
    validation = one_of_request_and_pipeline()
)]
#[x_kube(
    validation = Rule::new("self == oldSelf").message("spec cannot be updated: create another InternalRequest")
)]
#[schemars(transform = fleet_api::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct InternalRequestSpec {
    /// Name of a Pipeline in the namespace of the service. Excludes `pipeline`.
    #[schemars(regex(pattern = DNS_LABEL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// A pipeline that is fetched by a resolver. Excludes `request`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<ParameterizedPipeline>,
    /// Parameters of the run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// How long the run may take. Absent means the default of the private cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
    /// `ServiceAccount` of the run. Absent means the default of the private cluster.
    #[schemars(regex(pattern = DNS_LABEL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
}

/// A new request says in one way what it asks for. It cannot change later: no rule is needed for that, nor may one
/// hold up the requests of newer programs that ask in another way.
fn one_of_request_and_pipeline() -> Rule {
    Rule::new("oldSelf.hasValue() || has(self.spec.request) != has(self.spec.pipeline)")
        .message("exactly one of request and pipeline must be given")
        .field_path(".spec")
        .optional_old_self(true)
}

/// What has become of a request.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[schemars(transform = fleet_api::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct InternalRequestStatus {
    /// `Succeeded`, and no other.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// When the run was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When the run ended, or the request was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// The run in the private cluster, as `<namespace>/<name>`.
    #[schemars(regex(pattern = NAMESPACED_NAME))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_run: Option<String>,
    /// Results of the run, by name. Those that are no text are JSON.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub results: BTreeMap<String, String>,
}
