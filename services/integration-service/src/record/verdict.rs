//! What the entries of a record come to.

use std::sync::Arc;

use integration_service_api::IntegrationTestScenario;
use integration_service_api::conditions::TestSucceeded;
use kube::ResourceExt as _;

use super::{Record, is_required};

/// What the required scenarios of a Snapshot have come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// At least one has not ended.
    Open,
    Passed,
    /// All have ended; `cause` names those that did not pass.
    Failed {
        cause: String,
    },
}

impl Verdict {
    /// Over those of an Application's `scenarios` that are required and in the record. Optional ones have no say.
    pub(crate) fn of(record: &Record, scenarios: &[Arc<IntegrationTestScenario>]) -> Self {
        let mut failed = Vec::new();
        for scenario in scenarios.iter().filter(|scenario| is_required(scenario)) {
            let name = scenario.name_any();
            match record.state(&name) {
                Some(state) if !state.is_final() => return Self::Open,
                Some(state) if !state.is_passed() => failed.push(format!("{name} ({state:?})")),
                _ => {}
            }
        }
        if failed.is_empty() {
            return Self::Passed;
        }
        failed.sort();
        Self::Failed { cause: format!("Required integration tests did not pass: {}", failed.join(", ")) }
    }

    pub(crate) const fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// The condition that says it; none while it is open.
    pub(crate) fn condition(&self) -> Option<TestSucceeded> {
        match self {
            Self::Open => None,
            Self::Passed => Some(TestSucceeded::Passed),
            Self::Failed { cause } => Some(TestSucceeded::Failed { cause: cause.clone() }),
        }
    }
}
