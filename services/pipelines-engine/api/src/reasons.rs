//! Reasons in status, as clients read them (specification, section 7).
//!
//! Whoever reads the condition of a run treats a reason that is not here as a failure where the condition is `False`,
//! and as running where it is `Unknown`.

/// Why a PipelineRun's condition `Succeeded` is what it is.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::IntoStaticStr,
)]
pub enum PipelineRunReason {
    // Unknown.
    Started,
    Running,
    ResolvingPipelineRef,
    ResolvingTaskRef,
    PipelineRunPending,
    PipelineRunStopping,
    CancelledRunningFinally,
    StoppedRunningFinally,
    PipelineRunCouldntCancel,
    PipelineRunCouldntTimeOut,
    // True.
    Succeeded,
    /// Some tasks were skipped.
    Completed,
    // False.
    Failed,
    Cancelled,
    PipelineRunTimeout,
    CouldntGetPipeline,
    CouldntGetTask,
    PipelineValidationFailed,
    PipelineInvalidGraph,
    ParameterMissing,
    ParameterTypeMismatch,
    ObjectParameterMissKeys,
    ParamArrayIndexingInvalid,
    InvalidWorkspaceBindings,
    InvalidTaskRunSpecs,
    InvalidMatrixParameterTypes,
    InvalidTaskResultReference,
    InvalidPipelineResultReference,
    RequiredWorkspaceMarkedOptional,
    CouldntGetPipelineResult,
    CreateRunFailed,
    #[strum(serialize = "CELEvaluationFailed")]
    CelEvaluationFailed,
    InvalidParamValue,
    ResourceVerificationFailed,
    #[strum(serialize = "CouldntCreateWorkspacePVC")]
    CouldntCreateWorkspacePvc,
    /// What the cluster would have to store is more than an object can hold. Ours: the original tries for ever.
    PipelineRunTooLarge,
    /// Spelt as the original spells it. Read, never written: this engine has no affinity assistants.
    #[strum(serialize = "ReasonCouldntCreateOrUpdateAffinityAssistantStatefulSet")]
    CouldntCreateOrUpdateAffinityAssistant,
}

/// Why a TaskRun's condition `Succeeded` is what it is.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::IntoStaticStr,
)]
pub enum TaskRunReason {
    // Unknown.
    Started,
    Pending,
    Running,
    ResolvingTaskRef,
    ResolvingStepActionRef,
    ToBeRetried,
    ExceededResourceQuota,
    ExceededNodeResources,
    PullImageFailed,
    // True.
    Succeeded,
    // False.
    Failed,
    FailureIgnored,
    TaskRunCancelled,
    TaskRunTimeout,
    TaskRunImagePullFailed,
    TaskRunResolutionFailed,
    TaskRunValidationFailed,
    TaskValidationFailed,
    InvalidParamValue,
    TaskRunResultLargerThanAllowedLimit,
    TaskRunStopSidecarFailed,
    PodCreationFailed,
    PodAdmissionFailed,
    CreateContainerConfigError,
    #[strum(serialize = "CouldntCreateWorkspacePVC")]
    CouldntCreateWorkspacePvc,
    ResourceVerificationFailed,
    // False, in the place of a bare `Failed` (section 8.1).
    StepFailed,
    #[strum(serialize = "StepOOM")]
    StepOom,
    SidecarFailed,
    #[strum(serialize = "SidecarOOM")]
    SidecarOom,
    InitContainerFailed,
    #[strum(serialize = "InitContainerOOM")]
    InitContainerOom,
    PodEvicted,
    // Ours.
    /// What the cluster would have to store is more than an object can hold. The original tries for ever.
    TaskRunTooLarge,
}

/// Why a run's condition `Tampered` is there: the first way in that somebody was given.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::IntoStaticStr,
)]
pub enum TamperedReason {
    /// A command was run in a container.
    Exec,
    /// Somebody was connected to the input and output of a container.
    Attach,
    /// Somebody was connected to a port of the pod.
    PortForward,
    /// The same, by HTTP through the API server.
    Proxy,
    /// A container for debugging was put into the pod.
    EphemeralContainer,
    /// Of a PipelineRun: one of its TaskRuns is tampered with.
    TaskRunTampered,
}

/// Why a ResolutionRequest's condition `Succeeded` is what it is.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::IntoStaticStr,
)]
pub enum ResolutionReason {
    ResolutionInProgress,
    ResolutionFailed,
    ResolutionTimedOut,
    ResolutionSuccessful,
}

/// `terminationReason` of a step, where the engine has a word of its own.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::IntoStaticStr,
)]
pub enum TerminationReason {
    Completed,
    Error,
    TimeoutExceeded,
    Skipped,
    /// It failed, and `onError` is `continue`.
    Continued,
    Cancelled,
    TaskRunCancelled,
    TaskRunTimeout,
}

/// `reason` of a skipped task.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::IntoStaticStr,
)]
pub enum SkippingReason {
    #[strum(serialize = "When Expressions evaluated to false")]
    WhenExpressions,
    #[strum(serialize = "Parent Tasks were skipped")]
    ParentTasks,
    #[strum(serialize = "PipelineRun was stopping")]
    Stopping,
    #[strum(serialize = "PipelineRun was gracefully cancelled")]
    GracefullyCancelled,
    #[strum(serialize = "PipelineRun was gracefully stopped")]
    GracefullyStopped,
    #[strum(serialize = "Results were missing")]
    MissingResults,
    #[strum(serialize = "PipelineRun timeout has been reached")]
    PipelineTimeout,
    #[strum(serialize = "PipelineRun Tasks timeout has been reached")]
    TasksTimeout,
    #[strum(serialize = "PipelineRun Finally timeout has been reached")]
    FinallyTimeout,
    #[strum(serialize = "Matrix Parameters have an empty array")]
    EmptyMatrix,
}

#[cfg(test)]
mod tests {
    use super::*;
    use strum::IntoEnumIterator as _;

    #[test]
    fn every_reason_reads_back() {
        for reason in PipelineRunReason::iter() {
            assert_eq!(reason.to_string().parse(), Ok(reason));
        }
        for reason in TaskRunReason::iter() {
            assert_eq!(reason.to_string().parse(), Ok(reason));
        }
        assert_eq!(TaskRunReason::StepOom.to_string(), "StepOOM");
        assert_eq!(SkippingReason::MissingResults.to_string(), "Results were missing");
    }
}
