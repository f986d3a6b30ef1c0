//! Which scenarios test a Snapshot (annex, L1), and which of them have to pass.

use std::sync::Arc;

use application_service_api::Snapshot;
use fleet_api::keys;
use integration_service_api::IntegrationTestScenario;
use integration_service_api::labels::{self, snapshot_type};

use crate::origin::Origin;

/// What there is to test, as the contexts of scenarios name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Occasion<'a> {
    /// One of [`snapshot_type`]; none of a Snapshot made by hand.
    pub(crate) snapshot_type: Option<&'a str>,
    /// The Component that was built.
    pub(crate) component: Option<&'a str>,
    pub(crate) is_push: bool,
}

impl<'a> Occasion<'a> {
    pub(crate) fn of(snapshot: &'a Snapshot) -> Self {
        let labels = &snapshot.metadata.labels;
        Self {
            snapshot_type: labels::TYPE.of(labels),
            component: keys::COMPONENT.of(labels),
            is_push: Origin::of(snapshot).is_push(),
        }
    }

    /// Whether a scenario with these contexts tests it; any of them suffices, and so does none at all.
    pub(crate) fn calls_for(self, scenario: &IntegrationTestScenario) -> bool {
        let contexts = &scenario.spec.contexts;
        contexts.is_empty() || contexts.iter().any(|context| self.is(&context.name))
    }

    fn is(self, context: &str) -> bool {
        let of_component =
            matches!(self.snapshot_type, Some(snapshot_type::COMPONENT | snapshot_type::COMPOSITE));
        let is_group = self.snapshot_type == Some(snapshot_type::GROUP);
        match context {
            "application" | "all" => true,
            "component" => of_component,
            "group" => is_group,
            "override" => self.snapshot_type == Some(snapshot_type::OVERRIDE),
            "push" => self.is_push && !is_group,
            "pull_request" => !self.is_push || is_group,
            _ => {
                of_component
                    && self.component.is_some()
                    && context.strip_prefix("component_") == self.component
            }
        }
    }
}

/// Those of an Application's `scenarios` that test this Snapshot; one that is being deleted does not.
pub(crate) fn scenarios_for(
    snapshot: &Snapshot,
    scenarios: &[Arc<IntegrationTestScenario>],
) -> Vec<Arc<IntegrationTestScenario>> {
    let occasion = Occasion::of(snapshot);
    let is_due = |scenario: &&Arc<IntegrationTestScenario>| {
        scenario.metadata.deletion_timestamp.is_none() && occasion.calls_for(scenario)
    };
    scenarios.iter().filter(is_due).cloned().collect()
}

/// Whether a Snapshot is good only if this scenario passes.
pub(crate) fn is_required(scenario: &IntegrationTestScenario) -> bool {
    labels::OPTIONAL.of(&scenario.metadata.labels) != Some("true")
}

#[cfg(test)]
mod tests {
    use super::*;
    use integration_service_api::scenario::TestContext;
    use rstest::rstest;

    const BUILT: Occasion<'_> =
        Occasion { snapshot_type: Some("component"), component: Some("web"), is_push: true };
    const BY_HAND: Occasion<'_> = Occasion { snapshot_type: None, component: None, is_push: true };
    const GROUP: Occasion<'_> =
        Occasion { snapshot_type: Some("group"), component: Some("web"), is_push: false };

    #[rstest]
    #[case::none_is_always(BUILT, &[], true)]
    #[case::application(GROUP, &["application"], true)]
    #[case::all(BY_HAND, &["all"], true)]
    #[case::component(BUILT, &["component"], true)]
    #[case::composite(Occasion { snapshot_type: Some("composite"), ..BUILT }, &["component_web"], true)]
    #[case::this_component(BUILT, &["component_web"], true)]
    #[case::another_component(BUILT, &["component_db"], false)]
    #[case::by_hand_is_of_no_component(BY_HAND, &["component", "component_"], false)]
    #[case::group(GROUP, &["group"], true)]
    #[case::group_is_not_of_a_component(GROUP, &["component", "component_web"], false)]
    #[case::over(Occasion { snapshot_type: Some("override"), ..BY_HAND }, &["override"], true)]
    #[case::push(BUILT, &["push"], true)]
    #[case::group_is_no_push(Occasion { is_push: true, ..GROUP }, &["push"], false)]
    #[case::pull_request(Occasion { is_push: false, ..BUILT }, &["pull_request"], true)]
    #[case::push_is_no_pull_request(BUILT, &["pull_request"], false)]
    #[case::any_suffices(BUILT, &["group", "push"], true)]
    #[case::unknown_word(BUILT, &["weekly"], false)]
    fn calls_for(#[case] occasion: Occasion<'_>, #[case] contexts: &[&str], #[case] expected: bool) {
        let mut scenario = IntegrationTestScenario::default();
        scenario.spec.contexts = contexts
            .iter()
            .map(|name| TestContext { name: (*name).to_owned(), ..TestContext::default() })
            .collect();
        assert_eq!(occasion.calls_for(&scenario), expected);
    }

    #[rstest]
    #[case::absent(None, true)]
    #[case::yes(Some("true"), false)]
    #[case::anything_else(Some("yes"), true)]
    fn requires(#[case] optional: Option<&str>, #[case] expected: bool) {
        let mut scenario = IntegrationTestScenario::default();
        scenario.metadata.labels =
            optional.map(|value| [(labels::OPTIONAL.as_str().to_owned(), value.to_owned())].into());
        assert_eq!(is_required(&scenario), expected);
    }
}
