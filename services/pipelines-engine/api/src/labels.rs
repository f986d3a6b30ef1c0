//! Labels (specification, section 6).

use fleet_api::LabelKey;

/// On PipelineRuns, TaskRuns and pods: name of the Pipeline; of the PipelineRun until that is known.
pub const PIPELINE: LabelKey = LabelKey::new("tekton.dev/pipeline");
/// On TaskRuns, CustomRuns and pods: name of the PipelineRun.
pub const PIPELINE_RUN: LabelKey = LabelKey::new("tekton.dev/pipelineRun");
/// On TaskRuns, CustomRuns and pods: name of the task within the Pipeline.
pub const PIPELINE_TASK: LabelKey = LabelKey::new("tekton.dev/pipelineTask");
/// On TaskRuns, CustomRuns and pods: [`MEMBER_OF_TASKS`] or [`MEMBER_OF_FINALLY`].
pub const MEMBER_OF: LabelKey = LabelKey::new("tekton.dev/memberOf");
/// Value of [`MEMBER_OF`].
pub const MEMBER_OF_TASKS: &str = "tasks";
/// Value of [`MEMBER_OF`].
pub const MEMBER_OF_FINALLY: &str = "finally";
/// On TaskRuns and pods: name of the Task, where the run refers to one.
pub const TASK: LabelKey = LabelKey::new("tekton.dev/task");
/// On pods: name of the TaskRun.
pub const TASK_RUN: LabelKey = LabelKey::new("tekton.dev/taskRun");
/// On TaskRuns and pods: a word from the configuration. The engine watches pods that have it.
pub const MANAGED_BY: LabelKey = LabelKey::new("app.kubernetes.io/managed-by");
/// On ResolutionRequests: which resolver is asked.
pub const RESOLVER_TYPE: LabelKey = LabelKey::new("resolution.tekton.dev/type");
/// On ConfigMaps of the engine's configuration.
pub const PART_OF: LabelKey = LabelKey::new("app.kubernetes.io/part-of");
