//! The phases of a Release.

use std::fmt;

/// A phase of a Release, in the order in which they run; each is one `PipelineRun`. As text, the value of the label
/// [`PIPELINE_TYPE`](fleet_api::keys::PIPELINE_TYPE) of that run.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    strum::EnumIter,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[strum(serialize_all = "kebab-case")]
pub enum Phase {
    /// Collects data, in the namespace of the plan.
    TenantCollectors,
    /// Collects data, in the namespace of the admission.
    ManagedCollectors,
    /// The plan's pipeline.
    Tenant,
    /// The admission's pipeline.
    Managed,
    /// The plan's last pipeline, which also runs after a failure.
    Final,
}

impl Phase {
    /// Value of the label `pipelines.appstudio.openshift.io/type`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// For people.
impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TenantCollectors => "tenant collectors",
            Self::ManagedCollectors => "managed collectors",
            Self::Tenant => "tenant",
            Self::Managed => "managed",
            Self::Final => "final",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Phase::TenantCollectors, "tenant-collectors", "tenant collectors")]
    #[case(Phase::Managed, "managed", "managed")]
    #[case(Phase::Final, "final", "final")]
    fn as_a_label_and_for_people(#[case] phase: Phase, #[case] label: &str, #[case] words: &str) {
        assert_eq!((phase.as_str(), phase.to_string().as_str()), (label, words));
        assert_eq!(label.parse(), Ok(phase));
    }
}
