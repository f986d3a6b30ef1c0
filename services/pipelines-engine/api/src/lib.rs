//! The Tekton API, groups `tekton.dev` and `resolution.tekton.dev`: what the engine runs, what it says about it, and
//! the labels, annotations and reasons that others read.
//!
//! ```text
//! PipelineRun ─▶ Pipeline ─▶ PipelineTask ─▶ TaskRun ─▶ Task ─▶ Step, Sidecar
//!      └──────────────▶ ResolutionRequest ◀──────┘
//! ```
//! The types are those of version `v1`. Fields that are unknown to them are kept by the API server, never written by us:
//! objects are patched, not replaced. What the webhook requires is optional here where reading an older or newer
//! object would fail otherwise.

pub mod annotations;
pub mod crds;
pub mod custom_run;
pub mod duration;
pub mod labels;
pub mod param;
pub mod pipeline;
pub mod pipeline_run;
pub mod pod_template;
pub mod reasons;
pub mod reference;
pub mod resolution_request;
pub mod result;
pub mod status;
pub mod step;
pub mod step_action;
pub mod task;
pub mod task_run;
pub mod verification_policy;
pub mod when;
pub mod workspace;

pub use crds::crds;
pub use custom_run::{CustomRun, CustomRunSpec, CustomRunStatus};
pub use duration::GoDuration;
pub use param::{Param, ParamSpec, ParamType, ParamValue};
pub use pipeline::{EmbeddedTask, Pipeline, PipelineSpec, PipelineTask};
pub use pipeline_run::{PipelineRun, PipelineRunSpec, PipelineRunStatus};
pub use pod_template::PodTemplate;
pub use reference::{PipelineRef, TaskRef};
pub use resolution_request::{ResolutionRequest, ResolutionRequestSpec, ResolutionRequestStatus};
pub use result::{PipelineResult, PipelineRunResult, StepResult, TaskResult, TaskRunResult};
pub use status::{Provenance, RefSource, RunCondition};
pub use step::{Sidecar, Step, StepTemplate};
pub use step_action::{StepAction, StepActionSpec};
pub use task::{Task, TaskSpec};
pub use task_run::{TaskRun, TaskRunSpec, TaskRunStatus};
pub use verification_policy::{VerificationPolicy, VerificationPolicySpec};
pub use when::{Matrix, WhenExpression};
pub use workspace::{WorkspaceBinding, WorkspaceDeclaration};

/// API group of the runs and what they refer to.
pub const GROUP: &str = "tekton.dev";

/// API group of requests to resolvers.
pub const RESOLUTION_GROUP: &str = "resolution.tekton.dev";
