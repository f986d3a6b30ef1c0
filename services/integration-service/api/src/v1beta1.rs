//! `IntegrationTestScenario` as it was stored until `v1beta2`, with the Environment that is copied for each run.

use fleet_api::schema::DNS_LABEL;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::scenario::{
    IntegrationTestScenarioStatus, PipelineParameter, ResolverRef, TestContext, TestEnvironment,
};
use crate::validation;

/// A test that the Snapshots of an Application have to pass.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "appstudio.redhat.com",
    version = "v1beta1",
    kind = "IntegrationTestScenario",
    plural = "integrationtestscenarios",
    shortname = "its",
    doc = "A pipeline that tests the Snapshots of an Application.",
    namespaced,
    status = "IntegrationTestScenarioStatus",
    derive = "Default",
    derive = "PartialEq",
    storage = false,
    deprecated = "appstudio.redhat.com/v1beta1 IntegrationTestScenario is deprecated: use v1beta2",
    printcolumn(
        name = "Application",
        type_ = "string",
        json_path = ".spec.application",
        description = "The Application whose Snapshots are tested."
    ),
    validation = validation::name()
)]
#[schemars(transform = fleet_api::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct IntegrationTestScenarioSpec {
    /// Application of the same namespace.
    #[schemars(!default, regex(pattern = DNS_LABEL))]
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub application: String,
    /// The pipeline.
    #[schemars(required)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolver_ref: Option<ResolverRef>,
    /// Added to the parameters of each run, after `SNAPSHOT`. Absent means none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<PipelineParameter>,
    /// Environment that is copied for each run. Absent means that nothing is deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<TestEnvironment>,
    /// For which Snapshots it is run. Absent means for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contexts: Vec<TestContext>,
}
