//! What is left of Releases though nothing needs it any more. Pure.

use fleet::ObjectKey;
use fleet_api::keys;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use pipelines_engine_api::PipelineRun;
use release_service_api::names::{COLLECTORS_BINDING_INFIX, COLLECTORS_ROLE_INFIX, PIPELINE_BINDING_INFIX};
use release_service_api::{Phase, Release};
use strum::IntoEnumIterator as _;

use super::super::account::{Account, State};
use super::super::observe::slot_of;
use crate::stores::release_of;
use crate::trim::is_held;

/// The phase that a binding or Role says it is of.
pub(crate) fn phase_of(metadata: &ObjectMeta) -> Option<Phase> {
    keys::PIPELINE_TYPE.of(&metadata.labels)?.parse().ok()
}

/// Whether a run is one of this Release: it has a name that we give, or the status names it, as of runs that the original made.
pub(crate) fn is_run_of(run: &PipelineRun, release: &Release) -> bool {
    slot_of(run, release).is_some() || is_named(run, release)
}

/// Whether the status names a run that has the labels of the Release. One without them may be anybody's: pipelines write status too.
fn is_named(run: &PipelineRun, release: &Release) -> bool {
    let account = Account::of(release, Timestamp::UNIX_EPOCH);
    let key = ObjectKey::of(run).to_string();
    let is_it = |phase| account.processing(phase).is_some_and(|of| of.pipeline_run.as_ref() == Some(&key));
    release_of(run) == Some(ObjectKey::of(release)) && Phase::iter().any(is_it)
}

/// Whether a binding or Role with our labels is for a Release that is gone, is another one of the same name, may not be released any
/// more, or is through with that phase. `release`: the one that the labels name.
pub(crate) fn is_orphan(metadata: &ObjectMeta, release: Option<&Release>) -> bool {
    let name = metadata.name.as_deref().unwrap_or_default();
    let infixes = [PIPELINE_BINDING_INFIX, COLLECTORS_ROLE_INFIX, COLLECTORS_BINDING_INFIX];
    let is_ours = infixes.iter().any(|infix| name.contains(infix));
    // Not ours to judge.
    let Some(phase) = phase_of(metadata).filter(|_| is_ours) else { return false };
    let Some(release) = release else { return true };
    let uid = release.metadata.uid.as_deref().unwrap_or_default();
    if !name.ends_with(&fleet::names::hash(10, &[uid, phase.as_str(), "0"])) {
        return true;
    }
    let account = Account::of(release, Timestamp::UNIX_EPOCH);
    match account.phase(phase) {
        // It may be just beginning: the binding is made before the status says so.
        None => account.is_finished(),
        Some(State::Running) => account.is_invalid(),
        Some(State::Succeeded | State::Skipped | State::Failed) => true,
    }
}

/// Whether a run keeps our finalizer though its Release is gone, is another one of the same name, or is through with that phase.
pub(crate) fn is_orphaned_run(run: &PipelineRun, release: Option<&Release>) -> bool {
    if !is_held(run) {
        return false;
    }
    let Some(release) = release.filter(|release| is_run_of(run, release)) else { return true };
    let account = Account::of(release, Timestamp::UNIX_EPOCH);
    phase_of(&run.metadata).and_then(|phase| account.phase(phase)).is_some_and(State::is_finished)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::observe::Slot;
    use crate::release::start::run_name;
    use rstest::rstest;
    use serde_json::{Value, json};

    const HELD: &str = "appstudio.redhat.com/release-finalizer";

    fn release(uid: &str, conditions: &Value) -> Release {
        serde_json::from_value(json!({
            "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "Release",
            "metadata": {"name": "r", "namespace": "t", "uid": uid},
            "spec": {"snapshot": "s", "releasePlan": "p"},
            "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    fn condition(type_: &str, status: &str, reason: &str) -> Value {
        json!({"type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": "2024-03-01T12:00:00Z"})
    }

    fn binding(infix: &str, uid: &str) -> ObjectMeta {
        let hash = fleet::names::hash(10, &[uid, "managed", "0"]);
        serde_json::from_value(json!({
            "name": format!("r{infix}{hash}"), "namespace": "t",
            "labels": {
                "pipelines.appstudio.openshift.io/type": "managed",
                "release.appstudio.openshift.io/name": "r",
                "release.appstudio.openshift.io/namespace": "t",
            },
        }))
        .unwrap()
    }

    fn run(uid: &str, attempt: Option<u32>, finalizers: &[&str]) -> PipelineRun {
        let slot = Slot { phase: Phase::Managed, attempt: attempt.unwrap_or_default() };
        let mut labels = json!({"pipelines.appstudio.openshift.io/type": "managed"});
        if let Some(attempt) = attempt {
            labels["release.appstudio.openshift.io/attempt"] = json!(attempt.to_string());
        }
        serde_json::from_value(json!({
            "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
            "metadata": {"name": run_name(uid, slot), "namespace": "m", "labels": labels, "finalizers": finalizers},
            "spec": {},
        }))
        .unwrap()
    }

    #[rstest]
    #[case::just_begins(&json!([condition("Released", "False", "Progressing")]), false)]
    #[case::runs(&json!([condition("Released", "False", "Progressing"), condition("Processed", "False", "Progressing")]), false)]
    #[case::ended_well(&json!([condition("Processed", "True", "Succeeded")]), true)]
    #[case::failed(&json!([condition("Processed", "False", "Failed")]), true)]
    #[case::skipped(&json!([condition("ManagedPipelineProcessed", "True", "Skipped")]), true)]
    #[case::withdrawn(
        &json!([
            condition("Released", "False", "Failed"), condition("Validated", "False", "Failed"),
            condition("Processed", "False", "Progressing"),
        ]),
        true
    )]
    #[case::other_phase_still_runs(
        &json!([condition("Released", "False", "Progressing"), condition("FinalPipelineProcessed", "False", "Progressing")]),
        false
    )]
    #[case::never_began(&json!([condition("Released", "False", "Failed")]), true)]
    fn a_binding_is_needed_while_its_phase_runs(#[case] conditions: &Value, #[case] expected: bool) {
        let orphan = is_orphan(&binding(PIPELINE_BINDING_INFIX, "u"), Some(&release("u", conditions)));
        assert_eq!(orphan, expected);
    }

    #[rstest]
    #[case::release_is_gone(binding(PIPELINE_BINDING_INFIX, "u"), None, true)]
    #[case::role_of_one_that_is_gone(binding(COLLECTORS_ROLE_INFIX, "u"), None, true)]
    #[case::of_one_that_had_the_name_before(binding(PIPELINE_BINDING_INFIX, "old"), Some("u"), true)]
    #[case::of_this_one(binding(PIPELINE_BINDING_INFIX, "u"), Some("u"), false)]
    #[case::somebody_elses(binding("-view-", "u"), None, false)]
    fn a_binding_needs_its_release(
        #[case] metadata: ObjectMeta,
        #[case] uid: Option<&str>,
        #[case] expected: bool,
    ) {
        let running = json!([condition("Processed", "False", "Progressing")]);
        let release = uid.map(|uid| release(uid, &running));
        assert_eq!(is_orphan(&metadata, release.as_ref()), expected);
    }

    #[rstest]
    #[case::just_made(run("u", None, &[HELD]), Some("u"), &json!([]), false)]
    #[case::under_way(run("u", None, &[HELD]), Some("u"), &json!([condition("Processed", "False", "Progressing")]), false)]
    #[case::phase_is_over(run("u", None, &[HELD]), Some("u"), &json!([condition("Processed", "False", "Failed")]), true)]
    #[case::release_is_gone(run("u", None, &[HELD]), None, &json!([]), true)]
    #[case::second_attempt(run("u", Some(1), &[HELD]), Some("u"), &json!([]), false)]
    #[case::forged(run("other", None, &[HELD]), Some("u"), &json!([]), true)]
    #[case::not_held(run("u", None, &["chains.tekton.dev"]), None, &json!([]), false)]
    fn a_run_needs_its_release(
        #[case] run: PipelineRun,
        #[case] uid: Option<&str>,
        #[case] conditions: &Value,
        #[case] expected: bool,
    ) {
        let release = uid.map(|uid| release(uid, conditions));
        assert_eq!(is_orphaned_run(&run, release.as_ref()), expected);
    }

    #[rstest]
    #[case::of_the_original(&json!({"release.appstudio.openshift.io/name": "r", "release.appstudio.openshift.io/namespace": "t"}), "m/managed-x7x2k", true)]
    #[case::not_named(&json!({"release.appstudio.openshift.io/name": "r", "release.appstudio.openshift.io/namespace": "t"}), "m/managed-other", false)]
    #[case::of_another_release(&json!({"release.appstudio.openshift.io/name": "q", "release.appstudio.openshift.io/namespace": "t"}), "m/managed-x7x2k", false)]
    fn a_run_with_another_name_counts_if_the_status_names_it(
        #[case] labels: &Value,
        #[case] named: &str,
        #[case] expected: bool,
    ) {
        let mut release = release("u", &json!([]));
        release.status =
            serde_json::from_value(json!({"managedProcessing": {"pipelineRun": named}})).unwrap();
        let mut run = run("u", None, &[HELD]);
        run.metadata.name = Some("managed-x7x2k".to_owned());
        run.metadata.labels = serde_json::from_value(labels.clone()).unwrap();
        assert_eq!(is_run_of(&run, &release), expected);
        assert_eq!(is_orphaned_run(&run, Some(&release)), !expected);
    }
}
