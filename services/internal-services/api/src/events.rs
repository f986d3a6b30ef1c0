//! Reasons of the Events that internal-services publishes.

/// Reason of an Event on an `InternalRequest`, in the remote cluster. Ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum EventReason {
    /// Its run was made.
    Started,
    /// Its run did what was asked for.
    Succeeded,
    /// Its run failed, or could not be made. A warning.
    Failed,
    /// It will not be done. A warning that says why.
    Rejected,
}
