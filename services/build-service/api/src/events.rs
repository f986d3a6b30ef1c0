//! Reasons of the Events that build-service publishes.

/// Reason of an Event. All are warnings but `PipelinesAsCodeConfiguration`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum EventReason {
    /// On a Component: Pipelines-as-Code is set up. Says the URL of the pull request, or that none is needed.
    PipelinesAsCodeConfiguration,
    /// On a Component: its repository could not be prepared.
    #[strum(serialize = "ErrorConfiguringPaCForComponentRepository")]
    ErrorConfiguringPacForComponentRepository,
    /// On a Component: there are no credentials for its forge.
    #[strum(serialize = "PaCSecretNotFound")]
    PacSecretNotFound,
    /// On a Secret: it does not hold the credentials that it should.
    #[strum(serialize = "ErrorValidatingPaCSecret")]
    ErrorValidatingPacSecret,
    /// On a Component: its pipeline is not in the bundle.
    ErrorGettingPipelineFromBundle,
    /// On a Component: its forge is unknown.
    ErrorComponentProviderInfo,
    /// The credentials of the GitHub App could not be read: its repositories are left out.
    #[strum(serialize = "ErrorReadingPaCSecret")]
    ErrorReadingPacSecret,
    /// On a Component: its image was not proposed to others. Says how often that was tried.
    ComponentNudgeFailed,
    /// On a Component: its image was proposed, but the run could not be let go.
    ComponentNudged,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// Rust and the API differ in how they write Pipelines-as-Code.
    #[rstest]
    #[case(EventReason::PipelinesAsCodeConfiguration, "PipelinesAsCodeConfiguration")]
    #[case(
        EventReason::ErrorConfiguringPacForComponentRepository,
        "ErrorConfiguringPaCForComponentRepository"
    )]
    #[case(EventReason::PacSecretNotFound, "PaCSecretNotFound")]
    #[case(EventReason::ErrorValidatingPacSecret, "ErrorValidatingPaCSecret")]
    #[case(EventReason::ErrorReadingPacSecret, "ErrorReadingPaCSecret")]
    fn spells_reasons(#[case] reason: EventReason, #[case] text: &str) {
        assert_eq!(<&str>::from(reason), text);
    }
}
