//! Reasons of the Events that release-service publishes.

/// Reason of an Event on a Release. Ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum EventReason {
    /// It is taken up.
    ReleaseStarted,
    /// It may not be released. A warning that says why.
    ValidationFailed,
    /// The run of a phase was made.
    PipelineRunCreated,
    /// A phase failed. A warning that says why.
    PhaseFailed,
    /// It is done.
    Released,
}
