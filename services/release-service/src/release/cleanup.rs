//! Takes back what a phase was given once it is over (spec, section 4.5).
//!
//! ```text
//! phase is over ─▶ its bindings, and the Roles that they give ─▶ our finalizer on its runs
//! ```
//! The finalizer goes last: it is the mark that something is still to be done. Of a phase whose run is gone, or was never made, the
//! bindings go in the pass that ends it, and what a crash leaves behind is for the [sweep](crate::sweep).

pub(crate) mod leftovers;
mod remove;

use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use pipelines_engine_api::PipelineRun;
use release_service_api::release::RoleBindings;
use release_service_api::{Phase, labels};
use strum::IntoEnumIterator as _;

use fleet::{ObjectKey, patience};

use super::account::{Account, State};
use super::observe::{Seen, key_of, slot};
pub(crate) use super::start::Error;
use crate::service::Context;
use crate::trim::is_held;

use remove::remove_binding;
pub(crate) use remove::{let_go, remove};

/// Bindings and Roles of a Release in a namespace, by their labels, read live.
pub(crate) async fn bindings_of(
    context: &Context,
    release: &ObjectKey,
    namespace: &str,
) -> Result<(Vec<RoleBinding>, Vec<Role>), kube::Error> {
    let of_release = format!("{}={},{}={}", labels::NAME, release.name, labels::NAMESPACE, release.namespace);
    let params = ListParams::default().labels(&of_release);
    let bindings: Api<RoleBinding> = Api::namespaced(context.client.clone(), namespace);
    let roles: Api<Role> = Api::namespaced(context.client.clone(), namespace);
    Ok((
        patience::read(|| bindings.list(&params)).await?.items,
        patience::read(|| roles.list(&params)).await?.items,
    ))
}

/// Removes bindings, Roles and finalizers of all phases that are over, by what the status says after this pass; with `withdrawn`, the
/// bindings of the phase that runs as well. Makes no call where there is nothing to do: what was cleaned shows in the runs' finalizers.
pub(crate) async fn clean(
    context: &Context,
    seen: &Seen,
    account: &Account,
    withdrawn: bool,
) -> Result<(), Error> {
    let before = Account::of(&seen.release, seen.now);
    let current = slot(account.status(), Phase::Managed).attempt;
    for phase in Phase::iter() {
        let held = held(seen, phase);
        let due = due(before.phase(phase), account.phase(phase), !held.is_empty(), withdrawn);
        if due.bindings {
            Box::pin(take_back(context, seen, account, phase, &held)).await?;
        }
        for (attempt, run) in held {
            if due.runs || (phase == Phase::Managed && attempt < current) {
                Box::pin(let_go(context, run)).await?;
            }
        }
    }
    Ok(())
}

/// What is to be done about a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct DueCleaning {
    bindings: bool,
    runs: bool,
}

/// `before`, `after`: how far the phase had come, and has after this pass. `is_held`: a run of it has our finalizer.
fn due(before: Option<State>, after: Option<State>, is_held: bool, withdrawn: bool) -> DueCleaning {
    let is_over = after.is_some_and(State::is_finished);
    let ends_now = is_over && !before.is_some_and(State::is_finished);
    let is_withdrawn = withdrawn && after == Some(State::Running);
    DueCleaning { bindings: ends_now || (is_over && is_held) || is_withdrawn, runs: is_over }
}

/// The runs of a phase that have our finalizer, by attempt.
fn held(seen: &Seen, phase: Phase) -> Vec<(u32, &PipelineRun)> {
    let of_phase = seen.runs.iter().filter(|(slot, _)| slot.phase == phase);
    of_phase.filter(|(_, run)| is_held(run)).map(|(slot, run)| (slot.attempt, &**run)).collect()
}

/// Removes the bindings of a phase: those that the status names; if it names none though a run is there, those that are found.
async fn take_back(
    context: &Context,
    seen: &Seen,
    account: &Account,
    phase: Phase,
    held: &[(u32, &PipelineRun)],
) -> Result<(), Error> {
    let release = ObjectKey::of(&*seen.release);
    let bindings = account.processing(phase).and_then(|processing| processing.role_bindings.as_ref());
    if let Some(bindings) = bindings {
        for binding in keys(bindings) {
            Box::pin(remove_binding(context, &seen.release, &binding)).await?;
        }
    } else if let Some((_, run)) = held.first() {
        let mut namespaces = vec![release.namespace.clone(), run.namespace().unwrap_or_default()];
        namespaces.dedup();
        for namespace in namespaces {
            let (bindings, roles) = bindings_of(context, &release, &namespace).await.map_err(Error::Read)?;
            for binding in
                bindings.iter().filter(|binding| leftovers::phase_of(&binding.metadata) == Some(phase))
            {
                remove(context, binding).await?;
            }
            for role in roles.iter().filter(|role| leftovers::phase_of(&role.metadata) == Some(phase)) {
                remove(context, role).await?;
            }
        }
    }
    Ok(())
}

/// All that there are.
fn keys(bindings: &RoleBindings) -> Vec<ObjectKey> {
    let all = [&bindings.tenant_role_binding, &bindings.managed_role_binding, &bindings.secret_role_binding];
    all.into_iter().flatten().filter_map(|text| key_of(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    const NOTHING: DueCleaning = DueCleaning { bindings: false, runs: false };
    const BINDINGS: DueCleaning = DueCleaning { bindings: true, runs: false };
    const ALL: DueCleaning = DueCleaning { bindings: true, runs: true };
    const LATE_RUNS: DueCleaning = DueCleaning { bindings: false, runs: true };

    #[rstest]
    #[case::not_begun(None, None, false, false, NOTHING)]
    #[case::runs(Some(State::Running), Some(State::Running), true, false, NOTHING)]
    #[case::withdrawn(Some(State::Running), Some(State::Running), true, true, BINDINGS)]
    #[case::withdrawn_before_it_began(None, None, false, true, NOTHING)]
    #[case::ends(Some(State::Running), Some(State::Succeeded), true, false, ALL)]
    #[case::run_is_gone(Some(State::Running), Some(State::Failed), false, false, ALL)]
    #[case::refused_at_once(None, Some(State::Failed), false, false, ALL)]
    #[case::crashed_after_the_status(Some(State::Failed), Some(State::Failed), true, false, ALL)]
    #[case::cleaned(Some(State::Succeeded), Some(State::Succeeded), false, false, LATE_RUNS)]
    #[case::cleaned_and_invalid(Some(State::Succeeded), Some(State::Succeeded), false, true, LATE_RUNS)]
    fn says_what_is_due(
        #[case] before: Option<State>,
        #[case] after: Option<State>,
        #[case] is_held: bool,
        #[case] withdrawn: bool,
        #[case] expected: DueCleaning,
    ) {
        assert_eq!(due(before, after, is_held, withdrawn), expected);
    }

    #[test]
    fn all_bindings_of_a_phase_are_named() {
        let bindings: RoleBindings = serde_json::from_value(json!({
            "tenantRoleBinding": "t/a", "managedRoleBinding": "m/b", "secretRoleBinding": "m/c",
        }))
        .unwrap();
        let expected = [("t", "a"), ("m", "b"), ("m", "c")];
        assert_eq!(keys(&bindings), expected.map(|(namespace, name)| ObjectKey::new(namespace, name)));
    }
}
