//! What is said of a finished run: statements with SLSA provenance, and the images that it has made.
//!
//! ```text
//! TaskRun ─────────────┐   hints ─▶ subjects, inputs    ┌─▶ v02 ┐
//!                      ├─▶ steps ─▶ images that ran  ───┤       ├─▶ Payload: the bytes that are signed
//! PipelineRun,         │   children ─▶ tasks in order   └─▶ v1  ┘
//!   its TaskRuns ──────┘
//! ```
//! Pure: the same runs give the same bytes. All that tasks report is input by tenants: what is malformed is left out with a
//! note, and fails nothing.

use std::collections::BTreeMap;

use attest::statement::{self, Statement, Subject};
use pipelines_engine_api::{PipelineRun, TaskRun};
use serde::Serialize;
use serde_json::{Map, Value};

mod artifact;
mod children;
mod facts;
mod format;
mod hints;
mod run;
mod steps;
mod v02;
mod v1;
mod v1beta1;

use facts::Facts;
pub(crate) use format::{BuildType, Draft, Format};
pub(crate) use hints::ImageRef;
use run::Run;

/// Who says that it has built something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Builder {
    /// URI of this shard, which policies accept or not.
    pub(crate) id: String,
    /// What it consists of, by name. Only SLSA v1 has a place for it (`runDetails.builder.version`).
    pub(crate) version: BTreeMap<String, String>,
}

/// What statements say that is not of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) builder: Builder,
    /// Of SLSA v1. Those of v0.2 are fixed.
    pub(crate) build_type: BuildType,
    /// Whether outputs and inputs of its TaskRuns are those of a PipelineRun too.
    pub(crate) deep_inspection: bool,
}

/// A statement about a run, to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    /// JSON of the statement.
    pub(crate) statement: Vec<u8>,
    /// What it is about; empty for a run without outputs.
    pub(crate) subjects: Vec<Subject>,
    /// About malformed hints that were left out: run, result and why.
    pub(crate) notes: Vec<String>,
}

/// Why there is no statement about a run.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub(crate) enum PayloadError {
    #[error(
        "{run}: container {container:?} ran image {image:?}, which names no repository and digest, so provenance cannot \
         say what ran; pull the image from a registry"
    )]
    ImageWithoutDigest { run: String, container: String, image: String },
    #[error("a statement cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// A predicate and what is known beside it.
struct Described {
    predicate_type: &'static str,
    predicate: Value,
    facts: Facts,
}

impl Described {
    fn new(
        predicate_type: &'static str,
        predicate: &impl Serialize,
        facts: Facts,
    ) -> Result<Self, PayloadError> {
        Ok(Self { predicate_type, predicate: serde_json::to_value(predicate)?, facts })
    }

    fn into_payload(self, statement_type: &'static str) -> Result<Payload, PayloadError> {
        let artifacts = self.facts.outputs.into_iter().map(|output| output.artifact);
        let subjects: Vec<Subject> =
            artifacts.map(|artifact| Subject { name: artifact.name, digest: artifact.digest }).collect();
        let statement = Statement {
            statement_type: statement_type.to_owned(),
            predicate_type: self.predicate_type.to_owned(),
            subject: subjects.clone(),
            predicate: self.predicate,
        };
        let statement = serde_json::to_vec(&statement)?;
        Ok(Payload { statement, subjects, notes: self.facts.notes })
    }
}

/// The fields of what serializes as an object, and none of anything else.
fn object(fields: &impl Serialize) -> Result<Map<String, Value>, serde_json::Error> {
    Ok(match serde_json::to_value(fields)? {
        Value::Object(fields) => fields,
        _ => Map::new(),
    })
}

/// The statement about a TaskRun.
pub(crate) fn task_run(format: Format, run: &TaskRun, settings: &Settings) -> Result<Payload, PayloadError> {
    match format {
        Format::SlsaV02 => v02::task_run(run, settings)?,
        Format::SlsaV1(draft) => v1::task_run(run, draft, settings)?,
    }
    .into_payload(statement_type(format))
}

/// The statement about a PipelineRun. `task_runs` are its TaskRuns, in any order: those that `status.childReferences` does
/// not name are not described.
pub(crate) fn pipeline_run(
    format: Format,
    run: &PipelineRun,
    task_runs: &[TaskRun],
    settings: &Settings,
) -> Result<Payload, PayloadError> {
    match format {
        Format::SlsaV02 => v02::pipeline_run(run, task_runs, settings)?,
        Format::SlsaV1(draft) => v1::pipeline_run(run, task_runs, draft, settings)?,
    }
    .into_payload(statement_type(format))
}

fn statement_type(format: Format) -> &'static str {
    match format {
        Format::SlsaV02 | Format::SlsaV1(Draft::Alpha2) => statement::V0_1,
        Format::SlsaV1(Draft::Alpha3 | Draft::Alpha4) => statement::V1,
    }
}

/// Images that a TaskRun says it has made, and notes about hints that were left out.
pub(crate) fn images(run: &TaskRun) -> (Vec<ImageRef>, Vec<String>) {
    images_of(&Run::of_task(run))
}

/// Images that a PipelineRun itself says were made. Those of its TaskRuns are theirs.
pub(crate) fn pipeline_run_images(run: &PipelineRun) -> (Vec<ImageRef>, Vec<String>) {
    images_of(&Run::of_pipeline(run))
}

fn images_of(run: &Run<'_>) -> (Vec<ImageRef>, Vec<String>) {
    let facts = Facts::of_task(run);
    let images = facts.outputs.into_iter().filter_map(|output| output.image);
    (images.collect(), facts.notes)
}

#[cfg(test)]
mod tests;
