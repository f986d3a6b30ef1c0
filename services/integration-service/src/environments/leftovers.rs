//! What was made for tests and is not needed any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use application_service_api::Environment;
use fleet::{ObjectKey, Write};
use gitops_service_api::DeploymentTargetClaim;
use integration_service_api::labels;

use super::{claim_of, is_ephemeral};
use crate::stores::{BY_ENVIRONMENT, BY_SCENARIO, BY_SNAPSHOT, Stores};

/// Environments and claims that were made for tests. Their bindings go with the Environments, their targets with the claims.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leftovers {
    environments: Vec<Arc<Environment>>,
    claims: Vec<Arc<DeploymentTargetClaim>>,
}

impl Leftovers {
    /// Of one Environment, which a run was in.
    pub(crate) fn of_environment(stores: &Stores, environment: &ObjectKey) -> Self {
        let environments = stores.environments.get(environment).into_iter().collect();
        Self::new(stores, environments, stores.claims.indexed(BY_ENVIRONMENT, environment))
    }

    /// Of all tests of a Snapshot, which may be gone.
    pub(crate) fn of_snapshot(stores: &Stores, snapshot: &ObjectKey) -> Self {
        let environments = stores.environments.indexed(BY_SNAPSHOT, snapshot);
        Self::new(stores, environments, stores.claims.indexed(BY_SNAPSHOT, snapshot))
    }

    /// Of all runs of a scenario, which may be gone.
    pub(crate) fn of_scenario(stores: &Stores, scenario: &ObjectKey) -> Self {
        let environments = stores.environments.indexed(BY_SCENARIO, scenario);
        Self::new(stores, environments, stores.claims.indexed(BY_SCENARIO, scenario))
    }

    /// `claims` are those that we labelled; the original's are known only by the Environments that name them.
    fn new(
        stores: &Stores,
        environments: Vec<Arc<Environment>>,
        claims: Vec<Arc<DeploymentTargetClaim>>,
    ) -> Self {
        let mut found = Self::of(environments, claims);
        let named = found.environments.iter().filter_map(|environment| {
            stores.claims.get(&ObjectKey::of(&**environment).sibling(claim_of(environment)))
        });
        found.claims.extend(named);
        found
    }

    /// These, without what is not ours.
    pub(crate) fn of(
        mut environments: Vec<Arc<Environment>>,
        claims: Vec<Arc<DeploymentTargetClaim>>,
    ) -> Self {
        environments.retain(|environment| is_ours(environment));
        Self { environments, claims }
    }

    /// Nothing where all is gone, or going, already. Claims first: a crash in between leaves the Environments, by which they are
    /// found again.
    pub(crate) fn deletes(&self) -> Vec<Write> {
        let claims: BTreeMap<_, _> =
            self.claims.iter().map(|claim| (ObjectKey::of(&**claim), claim)).collect();
        let claims = claims.into_values().filter(|claim| claim.metadata.deletion_timestamp.is_none());
        let environments =
            self.environments.iter().filter(|environment| environment.metadata.deletion_timestamp.is_none());
        claims
            .map(|claim| Write::delete(&**claim))
            .chain(environments.map(|environment| Write::delete(&**environment)))
            .collect()
    }
}

/// Whether it was made for a test, and is no user's.
fn is_ours(environment: &Environment) -> bool {
    is_ephemeral(environment) && labels::SCENARIO.of(&environment.metadata.labels).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environments::tests::{claim, copy, environment};
    use rstest::rstest;

    fn described(leftovers: &Leftovers) -> Vec<String> {
        leftovers.deletes().iter().map(Write::describe).collect()
    }

    #[test]
    fn the_claim_goes_first_and_once() {
        let leftovers = Leftovers {
            environments: vec![Arc::new(copy("e", "c"))],
            claims: vec![Arc::new(claim("c")), Arc::new(claim("c"))],
        };
        assert_eq!(described(&leftovers), ["delete DeploymentTargetClaim n/c", "delete Environment n/e"]);
    }

    #[test]
    fn what_is_going_is_not_deleted_again() {
        let (mut copy, mut claim) = (copy("e", "c"), claim("c"));
        copy.metadata.deletion_timestamp = copy.metadata.creation_timestamp.clone();
        claim.metadata.deletion_timestamp = copy.metadata.creation_timestamp.clone();
        let leftovers = Leftovers { environments: vec![Arc::new(copy)], claims: vec![Arc::new(claim)] };
        assert_eq!(described(&leftovers), Vec::<String>::new());
    }

    #[rstest]
    #[case::made_for_a_test(copy("e", "c"), true)]
    #[case::of_a_user(environment("dev"), false)]
    #[case::of_a_user_with_our_tag({ let mut it = copy("e", "c"); it.metadata.labels = None; it }, false)]
    #[case::of_a_user_with_our_labels({ let mut it = copy("e", "c"); it.spec.tags.clear(); it }, false)]
    fn only_what_was_made_for_a_test_goes(#[case] environment: Environment, #[case] goes: bool) {
        let leftovers = Leftovers::of(vec![Arc::new(environment)], Vec::new());
        assert_eq!(!leftovers.deletes().is_empty(), goes);
    }
}
