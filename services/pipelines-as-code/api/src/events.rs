//! Reasons of the Events that pipelines-as-code publishes.

/// Reason of an Event on a Repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum EventReason {
    /// No Repository has the URL of the event.
    RepositoryNamespaceMatch,
    /// The event is of no forge that is known.
    RepositoryDetectProvider,
    /// The event is not signed with the secret.
    RepositorySecretValidation,
    /// Its author may not start runs.
    RepositoryPermissionDenied,
    /// Its author may start runs, as a member of a team.
    PolicySetAllowed,
    /// Its author may not start runs: a member of no team that may.
    PolicySetDisallowed,
    /// The token should cover a repository that has no Repository in the namespace.
    RepoDoesNotExistInNamespace,
    /// The token should cover further repositories, which the administrator does not allow.
    #[strum(serialize = "SecretGHAppTokenRepoScopeIsEnabled")]
    SecretGhAppTokenRepoScopeIsEnabled,
    /// There is no `.tekton/`.
    RepositoryPipelineRunNotFound,
    /// There is no run in `.tekton/`.
    RepositoryCannotLocatePipelineRun,
    /// The run that was asked for is not in `.tekton/`.
    RepositoryCannotLocatePipelineRunForIncomingEvent,
    /// What is in `.tekton/` cannot be read.
    PipelineRunValidationErrors,
    /// The annotations of a run cannot be read.
    FailedToResolvePipelineRunMetadata,
    /// A run is started by the event.
    RepositoryMatchedPipelineRun,
    /// No run is started by the event.
    RepositoryNoMatch,
    /// Which runs are started by the event could not be found out.
    RepositoryFailedToMatch,
    /// A run could not be made.
    RepositoryPipelineRun,
    /// The forge could not be told.
    RepositoryCreateStatus,
    /// The forge could not be told how a run ended.
    RepositoryReportFinalStatus,
    /// The forge does not give what is needed.
    RepositoryForge,
    /// Nothing shall be run for the event.
    RepositorySkipped,
    /// Runs were cancelled, or there was none to cancel.
    RepositoryCancelled,
    /// The variables of the Repository cannot be read.
    ParamsError,
    /// The `filter` of a variable failed.
    ParamsFilterError,
    /// The `filter` of a variable is not true.
    ParamsFilterSkipped,
    /// A variable has a `value` and a `secret_ref`: the `value` counts.
    ParamsFilterUsedValue,
    /// A variable that a caller sets is not a string.
    IncomingParamsNotString,
}
