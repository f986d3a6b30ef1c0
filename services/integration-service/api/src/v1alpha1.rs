//! `IntegrationTestScenario` as it was first: pipelines come from bundles only.

use fleet_api::schema::DNS_LABEL;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::scenario::{IntegrationTestScenarioStatus, PipelineParameter, TestContext, TestEnvironment};
use crate::validation;

/// A test that the Snapshots of an Application have to pass.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "appstudio.redhat.com",
    version = "v1alpha1",
    kind = "IntegrationTestScenario",
    plural = "integrationtestscenarios",
    shortname = "its",
    doc = "A pipeline that tests the Snapshots of an Application.",
    namespaced,
    status = "IntegrationTestScenarioStatus",
    derive = "Default",
    derive = "PartialEq",
    storage = false,
    deprecated = "appstudio.redhat.com/v1alpha1 IntegrationTestScenario is deprecated: use v1beta2",
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
    /// Name of the pipeline in the bundle. Empty if it does not come from a bundle.
    #[schemars(!default)]
    #[serde(default)]
    pub pipeline: String,
    /// The bundle's image. Empty if the pipeline does not come from a bundle.
    #[schemars(!default)]
    #[serde(default)]
    pub bundle: String,
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
