//! What the statements about TaskRuns and about PipelineRuns have in common: one view of both.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use pipelines_engine_api::status::{Provenance, RefSource, RunCondition, tampered};
use pipelines_engine_api::{Param, ParamSpec, ParamValue, PipelineRun, TaskRun, annotations};
use serde::Serialize;

use super::hints::Hint;

/// A run, whichever kind it is of.
pub(super) struct Run<'a> {
    pub(super) kind: &'static str,
    pub(super) meta: &'a ObjectMeta,
    /// Parameters of the Task or Pipeline, with their defaults.
    pub(super) declared: &'a [ParamSpec],
    pub(super) given: &'a [Param],
    pub(super) provenance: Option<&'a Provenance>,
    pub(super) started: Option<&'a Time>,
    pub(super) finished: Option<&'a Time>,
    pub(super) conditions: &'a [RunCondition],
    pub(super) results: Vec<Hint<'a>>,
    /// Of the steps of a TaskRun.
    pub(super) step_results: Vec<Hint<'a>>,
}

/// That somebody was let into a pod of a run: what it reports need not be what its steps did.
///
/// Statements say so in a field of their own. Labels and annotations are the tenant's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Tampering {
    /// `TaskRun` or `PipelineRun`.
    kind: &'static str,
    name: String,
    /// A [`TamperedReason`](pipelines_engine_api::reasons::TamperedReason). Not the message: it names people, and what
    /// is attested is public.
    reason: String,
}

impl<'a> Run<'a> {
    pub(super) fn of_task(run: &'a TaskRun) -> Self {
        let status = run.status.as_ref();
        let task = status.and_then(|status| status.task_spec.as_ref()).or(run.spec.task_spec.as_ref());
        let results = status.into_iter().flat_map(|status| &status.results);
        let steps = status.into_iter().flat_map(|status| &status.steps);
        Self {
            kind: "TaskRun",
            meta: &run.metadata,
            declared: task.map_or(&[], |task| &task.params),
            given: &run.spec.params,
            provenance: status.and_then(|status| status.provenance.as_ref()),
            started: status.and_then(|status| status.start_time.as_ref()),
            finished: status.and_then(|status| status.completion_time.as_ref()),
            conditions: status.map_or(&[], |status| &status.conditions),
            results: results.map(|result| Hint { name: &result.name, value: &result.value }).collect(),
            step_results: steps
                .flat_map(|step| &step.results)
                .map(|result| Hint { name: &result.name, value: &result.value })
                .collect(),
        }
    }

    pub(super) fn of_pipeline(run: &'a PipelineRun) -> Self {
        let status = run.status.as_ref();
        let pipeline =
            status.and_then(|status| status.pipeline_spec.as_ref()).or(run.spec.pipeline_spec.as_ref());
        let results = status.into_iter().flat_map(|status| &status.results);
        Self {
            kind: "PipelineRun",
            meta: &run.metadata,
            declared: pipeline.map_or(&[], |pipeline| &pipeline.params),
            given: &run.spec.params,
            provenance: status.and_then(|status| status.provenance.as_ref()),
            started: status.and_then(|status| status.start_time.as_ref()),
            finished: status.and_then(|status| status.completion_time.as_ref()),
            conditions: status.map_or(&[], |status| &status.conditions),
            results: results.map(|result| Hint { name: &result.name, value: &result.value }).collect(),
            step_results: Vec::new(),
        }
    }

    /// Kind, namespace and name, for messages.
    pub(super) fn title(&self) -> String {
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        format!("{} {}/{}", self.kind, part(&self.meta.namespace), part(&self.meta.name))
    }

    /// Where the Task or Pipeline came from.
    pub(super) fn source(&self) -> Option<&'a RefSource> {
        self.provenance.and_then(|provenance| provenance.ref_source.as_ref())
    }

    /// Values that the run had: defaults, and over them what was given.
    pub(super) fn parameters(&self) -> BTreeMap<&'a str, &'a ParamValue> {
        let defaults = self.declared.iter().filter_map(|spec| Some((&*spec.name, spec.default.as_ref()?)));
        let given = self.given.iter().map(|param| (&*param.name, &param.value));
        defaults.chain(given).collect()
    }

    /// Annotations without those of chains, which change while it signs, and without what kubectl applied last.
    pub(super) fn annotations(&self) -> BTreeMap<&'a str, &'a str> {
        let all = self.meta.annotations.iter().flatten().map(|(key, value)| (key.as_str(), value.as_str()));
        all.filter(|(key, _)| {
            !key.starts_with(annotations::CHAINS_PREFIX) && *key != annotations::LAST_APPLIED.as_str()
        })
        .collect()
    }

    pub(super) fn labels(&self) -> BTreeMap<&'a str, &'a str> {
        let all = self.meta.labels.iter().flatten();
        all.map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    pub(super) fn tampering(&self) -> Option<Tampering> {
        tampered(self.conditions).map(|condition| Tampering {
            kind: self.kind,
            name: self.meta.name.clone().unwrap_or_default(),
            reason: condition.reason.clone(),
        })
    }
}
