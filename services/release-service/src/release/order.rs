//! Which phase is next (spec, section 4.9). Pure.

use release_service_api::Phase;
use strum::IntoEnumIterator as _;

use super::account::{Account, State};
use super::observe::Seen;
use super::work::work;

/// What is to happen with the phases.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// This phase runs: it is to be followed.
    Follow(Phase),
    /// This phase is to start.
    Start(Phase),
    /// It is not configured, or a phase before it failed.
    Skip(Phase),
    /// An older Release is to end its managed phase first.
    Wait,
    /// All phases are over.
    End,
}

/// The next step. With `may_start` false nothing new starts: the Release is not allowed to, or not any more.
pub(crate) fn next(seen: &Seen, account: &Account, may_start: bool) -> Step {
    let may_start = may_start && account.was_valid() && !account.is_invalid();
    decide(
        account.has_failed(),
        may_start,
        seen.waits_for.is_some(),
        |phase| account.phase(phase),
        |phase| work(seen, phase).is_some(),
    )
}

/// Whether there is, or was, a phase other than the managed one.
pub(crate) fn has_phases(seen: &Seen, account: &Account) -> bool {
    let others = || Phase::iter().filter(|phase| *phase != Phase::Managed);
    let is_known = |phase: Phase| account.read(phase).is_some();
    others().any(is_known) || others().any(|phase| work(seen, phase).is_some())
}

fn decide(
    has_failed: bool,
    may_start: bool,
    is_to_wait: bool,
    state: impl Fn(Phase) -> Option<State>,
    is_configured: impl Fn(Phase) -> bool,
) -> Step {
    if let Some(phase) = Phase::iter().find(|phase| state(*phase) == Some(State::Running)) {
        return Step::Follow(phase);
    }
    let Some(phase) = Phase::iter().find(|phase| state(*phase).is_none()) else { return Step::End };
    let has_failed = has_failed || Phase::iter().any(|phase| state(phase) == Some(State::Failed));
    // What is configured after a later phase has begun comes too late: phases do not run side by side, nor in another order.
    let is_late = Phase::iter().filter(|later| *later > phase).any(|later| state(later).is_some());
    let goes_on = phase == Phase::Final || !has_failed;
    if !may_start || is_late || !goes_on || !is_configured(phase) {
        return Step::Skip(phase);
    }
    if phase == Phase::Managed && is_to_wait { Step::Wait } else { Step::Start(phase) }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use Phase::{Final, Managed, ManagedCollectors, Tenant, TenantCollectors};
    use State::{Failed, Running, Skipped, Succeeded};

    type States = BTreeMap<Phase, State>;

    fn all(configured: &[Phase], states: &States, is_to_wait: bool) -> Step {
        let get = |phase: Phase| states.get(&phase).copied();
        decide(false, true, is_to_wait, get, |phase| configured.contains(&phase))
    }

    #[rstest]
    #[case::first(&[Managed], &[], Step::Skip(TenantCollectors))]
    #[case::collectors_first(&[TenantCollectors, Managed], &[], Step::Start(TenantCollectors))]
    #[case::waits_for_its_end(&[TenantCollectors, Managed], &[(TenantCollectors, Running)], Step::Follow(TenantCollectors))]
    #[case::then_those_of_the_admission(
        &[TenantCollectors, ManagedCollectors], &[(TenantCollectors, Succeeded)], Step::Start(ManagedCollectors)
    )]
    #[case::managed_after_tenant(
        &[Tenant, Managed], &[(TenantCollectors, Skipped), (ManagedCollectors, Skipped), (Tenant, Succeeded)], Step::Start(Managed)
    )]
    #[case::skipped_after_a_failure(
        &[Tenant, Managed], &[(TenantCollectors, Skipped), (ManagedCollectors, Skipped), (Tenant, Failed)], Step::Skip(Managed)
    )]
    #[case::final_after_a_failure(
        &[Managed, Final],
        &[(TenantCollectors, Skipped), (ManagedCollectors, Skipped), (Tenant, Skipped), (Managed, Failed)],
        Step::Start(Final)
    )]
    #[case::configured_too_late(&[TenantCollectors, Managed], &[(Managed, Succeeded)], Step::Skip(TenantCollectors))]
    #[case::follows_what_runs_first(&[Tenant, Managed], &[(Managed, Running)], Step::Follow(Managed))]
    #[case::end(
        &[],
        &[(TenantCollectors, Skipped), (ManagedCollectors, Skipped), (Tenant, Skipped), (Managed, Succeeded), (Final, Skipped)],
        Step::End
    )]
    fn next_step(#[case] configured: &[Phase], #[case] states: &[(Phase, State)], #[case] expected: Step) {
        assert_eq!(all(configured, &states.iter().copied().collect(), false), expected);
    }

    #[test]
    fn only_the_managed_phase_waits_for_an_older_release() {
        let before: States =
            [TenantCollectors, ManagedCollectors].map(|phase| (phase, Skipped)).into_iter().collect();
        assert_eq!(all(&[Tenant, Managed], &before, true), Step::Start(Tenant));
        let mut before = before;
        before.insert(Tenant, Succeeded);
        assert_eq!(all(&[Tenant, Managed], &before, true), Step::Wait);
    }

    proptest! {
        /// Takes any Release to its end: each configured phase starts at most once and in order, after a failure only the last one.
        #[test]
        fn goes_to_the_end(
            configured in proptest::collection::btree_set(0_usize..5, 0..=5),
            failing in proptest::collection::btree_set(0_usize..5, 0..=5),
            may_start: bool,
        ) {
            let phases: Vec<Phase> = Phase::iter().collect();
            let configured: BTreeSet<Phase> = configured.into_iter().map(|at| phases[at]).collect();
            let failing: BTreeSet<Phase> = failing.into_iter().map(|at| phases[at]).collect();
            let (mut states, mut started) = (States::new(), Vec::new());
            for _ in 0..20 {
                let get = |phase: Phase| states.get(&phase).copied();
                match decide(false, may_start, false, get, |phase| configured.contains(&phase)) {
                    Step::Start(phase) => {
                        started.push(phase);
                        states.insert(phase, Running);
                    }
                    Step::Follow(phase) => {
                        states.insert(phase, if failing.contains(&phase) { Failed } else { Succeeded });
                    }
                    Step::Skip(phase) => {
                        states.insert(phase, Skipped);
                    }
                    Step::Wait => prop_assert!(false, "nothing to wait for"),
                    Step::End => break,
                }
            }
            prop_assert_eq!(states.len(), 5);
            let first_failure = configured.intersection(&failing).next().copied();
            let expected: Vec<Phase> = configured
                .iter()
                .copied()
                .filter(|phase| may_start && (*phase == Final || first_failure.is_none_or(|failed| *phase <= failed)))
                .collect();
            prop_assert_eq!(started, expected);
        }
    }
}
