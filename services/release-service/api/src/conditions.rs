//! Conditions of the kinds of this crate. A variant is a legal pair of status and reason.

use std::borrow::Cow;

use fleet_api::{ConditionState, Truth};

use crate::Phase;

/// Release condition that other versions of the API know; never set.
pub const POST_ACTIONS_EXECUTED: &str = "PostActionsExecuted";

/// Release condition that other versions of the API know; never set.
pub const DEPLOYED: &str = "Deployed";

/// How many bytes of a message are kept, cut between two characters: what pods print can be long.
pub const MESSAGE_BYTES: usize = 31_000;

/// Release condition `Released`: how far the Release as a whole has come. The first of its conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum Released {
    Progressing,
    Succeeded,
    Failed(ReleaseFailure),
}

/// What a Release failed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseFailure {
    /// It may not be released. `Validated` says why.
    Validation,
    /// Its only run failed. `Processed` says why.
    Processing,
    /// One of its runs failed. The condition of that phase says why.
    Phase(Phase),
    /// A run could not be created. The condition of that phase says why.
    Creation(Phase),
}

impl ConditionState for Released {
    const TYPE: &'static str = "Released";

    fn truth(&self) -> Truth {
        match self {
            Self::Succeeded => Truth::True,
            Self::Progressing | Self::Failed(_) => Truth::False,
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }

    fn message(&self) -> Cow<'_, str> {
        const PROCESSING: &str = "Release processing failed";
        match self {
            Self::Progressing | Self::Succeeded => "".into(),
            Self::Failed(ReleaseFailure::Validation) => "Release validation failed".into(),
            Self::Failed(ReleaseFailure::Processing) => PROCESSING.into(),
            Self::Failed(ReleaseFailure::Phase(phase)) => {
                format!("{PROCESSING} on {phase} pipelineRun").into()
            }
            Self::Failed(ReleaseFailure::Creation(phase)) => {
                format!("{PROCESSING} on {phase} pipelineRun creation").into()
            }
        }
    }
}

/// Why a Release may not be released, as far as it takes no names: causes in [`Validated`].
pub mod causes {
    /// A Release made by hand has no author label.
    pub const NO_AUTHOR: &str = "no author found for manual release";
    /// The plan of an automated Release has no author label.
    pub const NO_AUTHOR_IN_PLAN: &str = "no author in the ReleasePlan found for automated release";
    /// Who made an automated Release did not say so in its status in time.
    pub const NOT_AUTOMATED: &str = "automated not set in status for automated release";
    /// A pipeline comes from the cluster itself.
    pub const DEBUG_ONLY: &str =
        "tried using debug only options while debug mode is disabled in the ReleaseServiceConfig";
    /// The service does not know its own namespace.
    pub const NO_SERVICE_NAMESPACE: &str = "SERVICE_NAMESPACE env var not set";
    /// Of a phase: its run is gone before it ended.
    pub const RUN_DELETED: &str = "PipelineRun was deleted while still running";
}

/// Release condition `Validated`: whether it may be released.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum Validated {
    Succeeded,
    Failed { cause: String },
}

impl ConditionState for Validated {
    const TYPE: &'static str = "Validated";

    fn truth(&self) -> Truth {
        match self {
            Self::Succeeded => Truth::True,
            Self::Failed { .. } => Truth::False,
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }

    fn message(&self) -> Cow<'_, str> {
        match self {
            Self::Succeeded => "".into(),
            Self::Failed { cause } => cause.into(),
        }
    }
}

/// How far one phase of a Release has come.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum Progress {
    /// `what`: the run, and how many of its tasks are done.
    Progressing {
        what: String,
    },
    Succeeded,
    /// Not configured, or a phase before it failed.
    Skipped,
    Failed {
        cause: String,
    },
}

impl Progress {
    fn truth(&self) -> Truth {
        match self {
            Self::Succeeded | Self::Skipped => Truth::True,
            Self::Progressing { .. } | Self::Failed { .. } => Truth::False,
        }
    }

    fn message(&self) -> Cow<'_, str> {
        match self {
            Self::Progressing { what: text } | Self::Failed { cause: text } => text.into(),
            Self::Succeeded | Self::Skipped => "".into(),
        }
    }
}

/// The condition of one phase.
macro_rules! phase {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(pub Progress);

        impl ConditionState for $name {
            const TYPE: &'static str = stringify!($name);

            fn truth(&self) -> Truth {
                self.0.truth()
            }

            fn reason(&self) -> &'static str {
                (&self.0).into()
            }

            fn message(&self) -> Cow<'_, str> {
                self.0.message()
            }
        }
    };
}

phase! {
    /// Release condition `Processed`: the managed phase, as programs know it that know of no other. Always says the
    /// same as [`ManagedPipelineProcessed`].
    Processed
}
phase! {
    /// Release condition `TenantCollectorsPipelineProcessed`.
    TenantCollectorsPipelineProcessed
}
phase! {
    /// Release condition `ManagedCollectorsPipelineProcessed`.
    ManagedCollectorsPipelineProcessed
}
phase! {
    /// Release condition `TenantPipelineProcessed`.
    TenantPipelineProcessed
}
phase! {
    /// Release condition `ManagedPipelineProcessed`.
    ManagedPipelineProcessed
}
phase! {
    /// Release condition `FinalPipelineProcessed`.
    FinalPipelineProcessed
}

/// `ReleasePlan` and `ReleasePlanAdmission` condition `Matched`: whether there is one on the other side. Its reason
/// never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matched {
    Matched,
    Unmatched { cause: String },
}

impl ConditionState for Matched {
    const TYPE: &'static str = "Matched";

    fn truth(&self) -> Truth {
        match self {
            Self::Matched => Truth::True,
            Self::Unmatched { .. } => Truth::False,
        }
    }

    fn reason(&self) -> &'static str {
        "Matched"
    }

    fn message(&self) -> Cow<'_, str> {
        match self {
            Self::Matched => "".into(),
            Self::Unmatched { cause } => cause.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::progressing(&Released::Progressing, "Released", Truth::False, "Progressing", "")]
    #[case::released(&Released::Succeeded, "Released", Truth::True, "Succeeded", "")]
    #[case::invalid(
        &Released::Failed(ReleaseFailure::Validation), "Released", Truth::False, "Failed", "Release validation failed"
    )]
    #[case::processing_failed(
        &Released::Failed(ReleaseFailure::Processing), "Released", Truth::False, "Failed", "Release processing failed"
    )]
    #[case::collectors_failed(
        &Released::Failed(ReleaseFailure::Phase(Phase::TenantCollectors)),
        "Released", Truth::False, "Failed", "Release processing failed on tenant collectors pipelineRun"
    )]
    #[case::not_created(
        &Released::Failed(ReleaseFailure::Creation(Phase::Managed)),
        "Released", Truth::False, "Failed", "Release processing failed on managed pipelineRun creation"
    )]
    #[case::not_validated(
        &Validated::Failed { cause: "no author found for manual release".to_owned() },
        "Validated", Truth::False, "Failed", "no author found for manual release"
    )]
    #[case::phase_runs(
        &Processed(Progress::Progressing { what: "a: 1/2 tasks done".to_owned() }),
        "Processed", Truth::False, "Progressing", "a: 1/2 tasks done"
    )]
    #[case::phase_skipped(&FinalPipelineProcessed(Progress::Skipped), "FinalPipelineProcessed", Truth::True, "Skipped", "")]
    #[case::phase_failed(
        &ManagedPipelineProcessed(Progress::Failed { cause: "x".to_owned() }),
        "ManagedPipelineProcessed", Truth::False, "Failed", "x"
    )]
    #[case::unmatched(
        &Matched::Unmatched { cause: "none".to_owned() }, "Matched", Truth::False, "Matched", "none"
    )]
    fn shows<C: ConditionState>(
        #[case] state: &C,
        #[case] type_: &str,
        #[case] truth: Truth,
        #[case] reason: &str,
        #[case] message: &str,
    ) {
        assert_eq!(
            (C::TYPE, state.truth(), state.reason(), state.message().as_ref()),
            (type_, truth, reason, message)
        );
    }
}
