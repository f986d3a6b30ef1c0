//! The definitions of all kinds (specification, section 2).
//!
//! Their schemas keep every field, as the original's do: the webhook refuses what is unknown or wrong, with the
//! original's paths and words, and the controllers check again.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceConversion, CustomResourceDefinition,
    CustomResourceDefinitionVersion, CustomResourceValidation, JSONSchemaProps, ServiceReference,
    WebhookClientConfig, WebhookConversion,
};
use kube::CustomResourceExt as _;

use crate::{
    CustomRun, Pipeline, PipelineRun, ResolutionRequest, StepAction, Task, TaskRun, VerificationPolicy,
};

/// Namespace that the engine is installed in.
pub const NAMESPACE: &str = "tekton-pipelines";

/// Service of the webhook.
pub const WEBHOOK_SERVICE: &str = "pipelines-engine";

/// Path under which the webhook converts between versions.
pub const CONVERSION_PATH: &str = "/resource-conversion";

/// The definitions, as `cargo xtask crds` writes them to `deploy/kustomize/crds/pipelines-engine`.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let with_beta = |crd| convertible(with_version(crd, "v1beta1"));
    vec![
        with_beta(Task::crd()),
        with_beta(Pipeline::crd()),
        with_beta(with_columns(TaskRun::crd(), &run_columns())),
        with_beta(with_columns(PipelineRun::crd(), &run_columns())),
        open(with_columns(CustomRun::crd(), &run_columns())),
        with_version(StepAction::crd(), "v1beta1"),
        open(VerificationPolicy::crd()),
        convertible(with_version(with_columns(ResolutionRequest::crd(), &request_columns()), "v1alpha1")),
    ]
}

/// Serves `version` beside the stored one.
fn with_version(crd: CustomResourceDefinition, version: &str) -> CustomResourceDefinition {
    let mut crd = open(crd);
    let other = crd.spec.versions.first().map(|stored| CustomResourceDefinitionVersion {
        name: version.to_owned(),
        storage: false,
        ..stored.clone()
    });
    crd.spec.versions.extend(other);
    crd
}

/// Lets every field through, and keeps it.
fn open(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        version.schema = Some(CustomResourceValidation {
            open_api_v3_schema: Some(JSONSchemaProps {
                type_: Some("object".to_owned()),
                x_kubernetes_preserve_unknown_fields: Some(true),
                ..JSONSchemaProps::default()
            }),
        });
    }
    crd
}

fn with_columns(
    mut crd: CustomResourceDefinition,
    columns: &[CustomResourceColumnDefinition],
) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        version.additional_printer_columns = Some(columns.to_vec());
    }
    crd
}

/// Versions that differ, and that the webhook converts.
fn convertible(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    crd.spec.conversion = Some(CustomResourceConversion {
        strategy: "Webhook".to_owned(),
        webhook: Some(WebhookConversion {
            client_config: Some(WebhookClientConfig {
                service: Some(ServiceReference {
                    namespace: NAMESPACE.to_owned(),
                    name: WEBHOOK_SERVICE.to_owned(),
                    path: Some(CONVERSION_PATH.to_owned()),
                    port: None,
                }),
                ..WebhookClientConfig::default()
            }),
            conversion_review_versions: vec!["v1".to_owned()],
        }),
    });
    crd
}

fn column(name: &str, type_: &str, path: &str) -> CustomResourceColumnDefinition {
    CustomResourceColumnDefinition {
        name: name.to_owned(),
        type_: type_.to_owned(),
        json_path: path.to_owned(),
        ..CustomResourceColumnDefinition::default()
    }
}

const SUCCEEDED: &str = r#".status.conditions[?(@.type=="Succeeded")]"#;

fn run_columns() -> Vec<CustomResourceColumnDefinition> {
    vec![
        column("Succeeded", "string", &format!("{SUCCEEDED}.status")),
        column("Reason", "string", &format!("{SUCCEEDED}.reason")),
        column("StartTime", "date", ".status.startTime"),
        column("CompletionTime", "date", ".status.completionTime"),
    ]
}

fn request_columns() -> Vec<CustomResourceColumnDefinition> {
    vec![
        column("OwnerKind", "string", ".metadata.ownerReferences[0].kind"),
        column("Owner", "string", ".metadata.ownerReferences[0].name"),
        column("Succeeded", "string", &format!("{SUCCEEDED}.status")),
        column("Reason", "string", &format!("{SUCCEEDED}.reason")),
        column("StartTime", "string", ".metadata.creationTimestamp"),
        column("EndTime", "string", &format!("{SUCCEEDED}.lastTransitionTime")),
    ]
}
