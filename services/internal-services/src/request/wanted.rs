//! The run that a request asks for.

use std::collections::BTreeMap;

use fleet::{ObjectKey, TraceContext};
use fleet_api::keys;
use internal_services_api::names::cluster_resolver;
use internal_services_api::{InternalRequest, InternalRequestSpec, annotations, labels};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt as _;
use kube::api::ObjectMeta;
use pipelines_engine_api::pipeline_run::{PipelineTaskRunTemplate, TimeoutFields};
use pipelines_engine_api::{
    Param, PipelineRef, PipelineRun, PipelineRunSpec, PipelineSpec, WorkspaceBinding,
};
use release_service_api::pipeline::{self, ParameterizedPipeline, Timeouts};

use super::run::name_of;
use crate::settings::Settings;

/// Parameter of the resolver `git`: the file with the pipeline.
const PATH_IN_REPO: &str = "pathInRepo";

/// What a run is made of, beside the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ingredients<'a> {
    /// Namespace of the run.
    pub(super) home: &'a str,
    /// The remote cluster.
    pub(super) cluster: &'a str,
    pub(super) settings: &'a Settings,
    /// The Pipeline that the request names.
    pub(super) pipeline: Option<&'a PipelineSpec>,
    /// Where pipelines of the resolver `cluster` come from: the request's namespace if true, else `home`.
    pub(super) from_request_namespace: bool,
    pub(super) trace: Option<TraceContext>,
}

/// What people call the pipeline that is asked for: its name, or that of its file.
pub(crate) fn name_of_pipeline(spec: &InternalRequestSpec) -> &str {
    let asked = || spec.request.as_deref();
    asked().or_else(|| file_name(spec.pipeline.as_ref()?)).unwrap_or_default()
}

fn file_name(pipeline: &ParameterizedPipeline) -> Option<&str> {
    let params = &pipeline.pipeline.pipeline_ref.params;
    let path = &params.iter().find(|param| param.name == PATH_IN_REPO)?.value;
    let file = path.rsplit('/').next()?;
    Some(file.rsplit_once('.').map_or(file, |(name, _)| name))
}

/// The account that the request names for its run.
pub(super) fn service_account(spec: &InternalRequestSpec) -> Option<&str> {
    let of_pipeline = || spec.pipeline.as_ref()?.pipeline.service_account_name.as_deref();
    spec.service_account.as_deref().or_else(of_pipeline).filter(|name| !name.is_empty())
}

/// The run.
pub(super) fn run(request: &InternalRequest, with: Ingredients<'_>) -> PipelineRun {
    let spec = &request.spec;
    let timeouts =
        [spec.timeouts.as_ref(), spec.pipeline.as_ref().and_then(|p| p.pipeline.timeouts.as_ref())];
    PipelineRun {
        metadata: metadata(request, with),
        spec: PipelineRunSpec {
            pipeline_ref: Some(match &spec.pipeline {
                Some(pipeline) => resolved(&pipeline.pipeline.pipeline_ref, request, with),
                None => {
                    PipelineRef { name: spec.request.clone().unwrap_or_default(), ..PipelineRef::default() }
                }
            }),
            params: params(spec),
            timeouts: timeouts.into_iter().flatten().find_map(timeout_fields),
            task_run_template: PipelineTaskRunTemplate {
                service_account_name: service_account(spec).unwrap_or_default().to_owned(),
                ..PipelineTaskRunTemplate::default()
            },
            workspaces: workspace(spec, with).into_iter().collect(),
            ..PipelineRunSpec::default()
        },
        status: None,
    }
}

fn metadata(request: &InternalRequest, with: Ingredients<'_>) -> ObjectMeta {
    let key = ObjectKey::of(request);
    let uid = request.uid().unwrap_or_default();
    let mut labels = request.labels().clone();
    // Last, so that nobody passes a run off as somebody else's.
    labels.extend([
        (labels::NAME.into(), key.name.clone()),
        (labels::NAMESPACE.into(), key.namespace.clone()),
        (keys::PIPELINE_TYPE.into(), labels::PIPELINE_TYPE_RELEASE.to_owned()),
    ]);
    let annotations = [
        (keys::PRIMARY_RESOURCE.into(), key.to_string()),
        (keys::PRIMARY_RESOURCE_TYPE.into(), annotations::PRIMARY_RESOURCE_TYPE_REQUEST.to_owned()),
        (keys::CAUSE.into(), uid.clone()),
    ];
    let mut metadata = ObjectMeta {
        name: Some(name_of(with.cluster, &uid)),
        namespace: Some(with.home.to_owned()),
        labels: Some(labels),
        annotations: Some(annotations.into()),
        ..ObjectMeta::default()
    };
    TraceContext::annotate_pipeline_run(with.trace, &mut metadata);
    metadata
}

/// By name, so that the same request always makes the same run.
fn params(spec: &InternalRequestSpec) -> Vec<Param> {
    let of_pipeline = spec.pipeline.iter().flat_map(|pipeline| &pipeline.params);
    let mut params: BTreeMap<&str, &str> =
        of_pipeline.map(|param| (param.name.as_str(), param.value.as_str())).collect();
    params.extend(spec.params.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    params.into_iter().map(|(name, value)| Param::new(name, value)).collect()
}

fn resolved(wanted: &pipeline::PipelineRef, request: &InternalRequest, with: Ingredients<'_>) -> PipelineRef {
    let is_cluster = wanted.resolver == pipeline::PipelineRef::CLUSTER;
    let given = wanted.params.iter().filter(|param| {
        // The request does not say where in this cluster its pipeline comes from.
        !is_cluster || ![cluster_resolver::NAMESPACE, cluster_resolver::KIND].contains(&param.name.as_str())
    });
    let mut params: Vec<_> =
        given.map(|param| Param::new(param.name.as_str(), param.value.as_str())).collect();
    if is_cluster {
        let request_namespace = request.namespace().unwrap_or_default();
        let namespace = if with.from_request_namespace { request_namespace.as_str() } else { with.home };
        params.push(Param::new(cluster_resolver::NAMESPACE, namespace));
        params.push(Param::new(cluster_resolver::KIND, cluster_resolver::PIPELINE));
    }
    PipelineRef { resolver: wanted.resolver.clone(), params, ..PipelineRef::default() }
}

/// `None` if nothing is limited.
fn timeout_fields(timeouts: &Timeouts) -> Option<TimeoutFields> {
    let given = |text: &Option<String>| {
        text.clone().filter(|text| text.bytes().any(|byte| byte.is_ascii_digit() && byte != b'0'))
    };
    let fields = TimeoutFields {
        pipeline: given(&timeouts.pipeline),
        tasks: given(&timeouts.tasks),
        finally: given(&timeouts.finally),
    };
    (fields != TimeoutFields::default()).then_some(fields)
}

/// Where the Pipeline declares it. What is fetched later may declare it, too.
fn workspace(spec: &InternalRequestSpec, with: Ingredients<'_>) -> Option<WorkspaceBinding> {
    let name = &with.settings.workspace;
    let is_declared = with
        .pipeline
        .is_some_and(|pipeline| pipeline.workspaces.iter().any(|workspace| workspace.name == *name));
    (is_declared || spec.pipeline.is_some()).then(|| WorkspaceBinding {
        name: name.clone(),
        volume_claim_template: Some(PersistentVolumeClaim {
            spec: Some(PersistentVolumeClaimSpec {
                access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
                resources: Some(VolumeResourceRequirements {
                    requests: Some(
                        [("storage".to_owned(), Quantity(with.settings.volume_size.clone()))].into(),
                    ),
                    ..VolumeResourceRequirements::default()
                }),
                ..PersistentVolumeClaimSpec::default()
            }),
            ..PersistentVolumeClaim::default()
        }),
        ..WorkspaceBinding::default()
    })
}

#[cfg(test)]
mod tests;
