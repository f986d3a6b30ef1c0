//! Puts what a run refers to into the run.

use pipelines_engine_api::pipeline::PipelineTaskMetadata;
use pipelines_engine_api::{
    EmbeddedTask, GROUP, Pipeline, PipelineRef, PipelineRun, PipelineSpec, Task, TaskRef,
};

use super::Error;

/// What there is to refer to. Of one name the first counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) pipelines: Vec<Pipeline>,
    pub(super) tasks: Vec<Task>,
}

/// The run with the pipeline and the tasks in itself that it names. What a resolver finds, a ClusterTask, and what a controller of its
/// own runs stay as they are.
pub(super) fn inlined(run: &PipelineRun, found: &Found) -> Result<PipelineRun, Error> {
    let mut run = run.clone();
    if let Some(reference) = run.spec.pipeline_ref.as_ref().filter(|reference| is_local(reference)) {
        let is_it = |pipeline: &&Pipeline| pipeline.metadata.name.as_ref() == Some(&reference.name);
        let pipeline = found.pipelines.iter().find(is_it);
        let pipeline = pipeline.ok_or_else(|| Error::NoPipeline(reference.name.clone()))?;
        run.spec.pipeline_spec = Some(pipeline.spec.clone());
        run.spec.pipeline_ref = None;
    }
    if let Some(pipeline) = &mut run.spec.pipeline_spec {
        put_tasks(pipeline, &found.tasks)?;
    }
    Ok(run)
}

/// Whether it names a pipeline that has to be at hand.
pub(super) fn is_local(reference: &PipelineRef) -> bool {
    reference.resolver.is_empty() && !reference.name.is_empty()
}

fn put_tasks(pipeline: &mut PipelineSpec, tasks: &[Task]) -> Result<(), Error> {
    for user in pipeline.tasks.iter_mut().chain(&mut pipeline.finally) {
        let Some(reference) = user.task_ref.as_ref().filter(|reference| names_task(reference)) else {
            continue;
        };
        let is_it = |task: &&Task| task.metadata.name.as_ref() == Some(&reference.name);
        let task = tasks
            .iter()
            .find(is_it)
            .ok_or_else(|| Error::NoTask { task: reference.name.clone(), user: user.name.clone() })?;
        user.task_spec = Some(EmbeddedTask {
            metadata: PipelineTaskMetadata {
                labels: task.metadata.labels.clone().unwrap_or_default(),
                annotations: task.metadata.annotations.clone().unwrap_or_default(),
            },
            task: task.spec.clone(),
            ..EmbeddedTask::default()
        });
        user.task_ref = None;
    }
    Ok(())
}

/// Whether it names a Task that has to be at hand.
fn names_task(reference: &TaskRef) -> bool {
    let group = reference.api_version.split_once('/').map(|(group, _)| group);
    let is_tekton = reference.api_version.is_empty() || group == Some(GROUP);
    reference.resolver.is_empty()
        && !reference.name.is_empty()
        && reference.kind != "ClusterTask"
        && is_tekton
}
