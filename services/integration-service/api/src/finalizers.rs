//! Finalizers of integration-service.

use fleet_api::Finalizer;

/// On the `PipelineRun` of a build or a test: it is read before it goes.
pub const PIPELINE_RUN: Finalizer = Finalizer::new("test.appstudio.openshift.io/pipelinerun");

/// On an `IntegrationTestScenario`: what was made for it is removed before it goes.
pub const SCENARIO: Finalizer = Finalizer::new("test.appstudio.openshift.io/scenario");

/// On a Component: the others of its Application are tested without it before it goes.
pub const COMPONENT: Finalizer = Finalizer::new("test.appstudio.openshift.io/component");
