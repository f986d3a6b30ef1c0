use rstest::rstest;
use serde_json::{Value, json};

use super::*;

const EARLIER: &str = "2024-03-01T12:00:00Z";
const NOW: &str = "2024-03-01T13:00:00Z";
const RUN: &str = "managed/managed-1";

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn condition(type_: &str, status: &str, reason: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": EARLIER})
}

fn released(reason: &str) -> Value {
    condition("Released", if reason == "Succeeded" { "True" } else { "False" }, reason)
}

fn validated() -> Value {
    condition("Validated", "True", "Succeeded")
}

/// Both conditions of the managed phase.
fn managed(status: &str, reason: &str) -> [Value; 2] {
    ["Processed", "ManagedPipelineProcessed"].map(|type_| condition(type_, status, reason))
}

/// A valid Release whose managed run goes on.
fn running() -> Value {
    let [processed, managed] = managed("False", "Progressing");
    json!({
        "startTime": EARLIER,
        "target": "managed",
        "conditions": [released("Progressing"), validated(), processed, managed],
        "processing": {"startTime": EARLIER, "pipelineRun": RUN},
        "managedProcessing": {"startTime": EARLIER, "pipelineRun": RUN},
    })
}

fn release(status: &Value) -> Release {
    serde_json::from_value(json!({
        "metadata": {"name": "r", "namespace": "tenant", "uid": "u", "generation": 1},
        "spec": {"snapshot": "s", "releasePlan": "p"},
        "status": status,
    }))
    .unwrap()
}

/// What is written of a Release with this status after a change, and the reasons of the Events beside.
fn written(status: &Value, change: impl FnOnce(&mut Account)) -> (Value, Vec<&'static str>) {
    let release = release(status);
    let mut account = Account::of(&release, at(NOW));
    change(&mut account);
    let (mut fields, mut events) = (Value::Null, Vec::new());
    for write in account.writes(&release, false) {
        match write {
            Write::Status(apply) => {
                assert_eq!(apply.transitions, [], "users hear of what happened, not of each condition");
                fields = apply.fields.into();
            }
            Write::Event(event) => events.push(event.reason),
            other => panic!("{other:?}"),
        }
    }
    (fields, events)
}

/// Type, status and reason of the conditions that are written.
fn shown(fields: &Value) -> Vec<String> {
    let conditions = fields["conditions"].as_array().cloned().unwrap_or_default();
    conditions
        .iter()
        .map(|condition| {
            let word = |field: &str| condition[field].as_str().unwrap().to_owned();
            format!("{} {} {}", word("type"), word("status"), word("reason"))
        })
        .collect()
}

fn message<'a>(fields: &'a Value, type_: &str) -> &'a str {
    let conditions = fields["conditions"].as_array().unwrap();
    conditions.iter().find(|condition| condition["type"] == type_).unwrap()["message"].as_str().unwrap()
}

fn attribution() -> Attribution {
    Attribution { author: Some("ann".to_owned()), standing_authorization: None }
}

fn key() -> ObjectKey {
    ObjectKey::new("managed", "managed-1")
}

fn bindings() -> RoleBindings {
    RoleBindings { tenant_role_binding: Some("tenant/b".to_owned()), ..RoleBindings::default() }
}

#[test]
fn a_simple_release_is_told_in_one_write() {
    let (fields, events) = written(&json!({}), |account| {
        account.begin();
        account.valid(attribution(), "managed".to_owned());
        account.expires(at("2024-03-08T12:00:00Z"));
        for phase in [Phase::TenantCollectors, Phase::ManagedCollectors, Phase::Tenant] {
            account.skip(phase);
        }
        account.run_made(Phase::Managed, &key(), bindings(), RUN);
    });
    assert_eq!(
        shown(&fields),
        [
            "Released False Progressing",
            "Validated True Succeeded",
            "Processed False Progressing",
            "ManagedPipelineProcessed False Progressing",
        ],
        "in this order, and phases that it does not have are not named"
    );
    assert_eq!(message(&fields, "Processed"), RUN);
    assert_eq!(fields["startTime"], NOW);
    assert_eq!(fields["validation"], json!({ "time": NOW }));
    assert_eq!(fields["target"], "managed");
    assert_eq!(fields["attribution"], json!({"author": "ann"}));
    assert_eq!(fields["expirationTime"], "2024-03-08T12:00:00Z");
    assert_eq!(
        fields["processing"],
        json!({"startTime": NOW, "pipelineRun": RUN, "roleBinding": "tenant/b"}),
        "as programs know it that know of no other phase"
    );
    assert_eq!(
        fields["managedProcessing"],
        json!({"startTime": NOW, "pipelineRun": RUN, "roleBindings": {"tenantRoleBinding": "tenant/b"}})
    );
    assert_eq!(events, ["PipelineRunCreated"]);
}

#[test]
fn the_end_is_told_in_one_write() {
    let (fields, events) = written(&running(), |account| {
        account.succeeded(Phase::Managed, at("2024-03-01T12:59:00Z"));
        account.complete();
    });
    assert_eq!(
        shown(&fields),
        [
            "Released True Succeeded",
            "Validated True Succeeded",
            "Processed True Succeeded",
            "ManagedPipelineProcessed True Succeeded",
        ]
    );
    assert_eq!((&fields["startTime"], &fields["completionTime"]), (&json!(EARLIER), &json!(NOW)));
    assert_eq!(fields["processing"]["completionTime"], "2024-03-01T12:59:00Z");
    assert_eq!(events, ["Released"]);
}

#[test]
fn that_it_is_taken_up_is_told_once() {
    let (fields, events) = written(&json!({}), Account::begin);
    assert_eq!(
        (shown(&fields), events),
        (vec!["Released False Progressing".to_owned()], vec!["ReleaseStarted"])
    );
    assert_eq!(written(&running(), Account::begin), (Value::Null, vec![]));
}

#[test]
fn with_other_phases_all_are_named() {
    let release = release(&running());
    let mut account = Account::of(&release, at(NOW));
    account.skip(Phase::Tenant);
    account.skip(Phase::Final);
    let fields = match &account.writes(&release, true)[..] {
        [Write::Status(apply)] => Value::from(apply.fields.clone()),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        shown(&fields),
        [
            "Released False Progressing",
            "Validated True Succeeded",
            "Processed False Progressing",
            "TenantPipelineProcessed True Skipped",
            "ManagedPipelineProcessed False Progressing",
            "FinalPipelineProcessed True Skipped",
        ]
    );
}

#[test]
fn one_that_was_never_good_says_why() {
    let (fields, events) = written(&json!({}), |account| account.invalid("nobody answers"));
    assert_eq!(shown(&fields), ["Released False Failed", "Validated False Failed"]);
    assert_eq!(message(&fields, "Released"), "Release validation failed");
    assert_eq!(message(&fields, "Validated"), "nobody answers");
    assert_eq!(fields["validation"], json!({ "time": NOW }));
    assert_eq!((&fields["startTime"], &fields["completionTime"]), (&json!(NOW), &json!(NOW)));
    assert_eq!(events, ["ValidationFailed"]);
}

#[test]
fn one_that_is_not_good_any_more_goes_on_with_what_runs() {
    let release = release(&running());
    let mut account = Account::of(&release, at(NOW));
    account.invalid("blocked");
    assert!(account.was_valid() && account.is_invalid() && account.is_withdrawn());
    assert_eq!(account.phase(Phase::Managed), Some(State::Running));
    let (fields, _) = written(&running(), |account| {
        account.invalid("blocked");
        account.succeeded(Phase::Managed, at(NOW));
        account.complete();
    });
    assert_eq!(
        shown(&fields),
        [
            "Released False Failed",
            "Validated False Failed",
            "Processed True Succeeded",
            "ManagedPipelineProcessed True Succeeded",
        ]
    );
    assert_eq!(fields["validation"]["failedPostValidation"], true);
}

fn failed(released: &str) -> Value {
    let [processed, managed] = managed("False", "Failed");
    json!({"conditions": [self::released(released), validated(), processed, managed]})
}

/// A Release that is over: what is true of it stays true.
fn over() -> Value {
    let [processed, managed] = managed("True", "Succeeded");
    json!({
        "conditions": [released("Succeeded"), validated(), processed, managed],
        "expirationTime": EARLIER, "attribution": {"author": "bob"},
        "processing": {"startTime": EARLIER, "pipelineRun": RUN},
        "managedProcessing": {"startTime": EARLIER, "pipelineRun": RUN},
    })
}

fn refused() -> Value {
    json!({"conditions": [released("Failed"), condition("Validated", "False", "Failed")]})
}

#[rstest]
#[case::begin(over(), Account::begin)]
#[case::valid(over(), |account: &mut Account| account.valid(attribution(), "other".to_owned()))]
#[case::invalid(over(), |account: &mut Account| account.invalid("x"))]
#[case::invalid_twice(refused(), |account: &mut Account| account.invalid("y"))]
#[case::run_made(over(), |account: &mut Account| account.run_made(Phase::Managed, &key(), bindings(), RUN))]
#[case::not_started(over(), |account: &mut Account| account.not_started(Phase::Managed, "x", bindings()))]
#[case::succeeded(over(), |account: &mut Account| account.succeeded(Phase::Managed, at(NOW)))]
#[case::succeeded_after_a_failure(failed("Failed"), |account: &mut Account| account.succeeded(Phase::Managed, at(NOW)))]
#[case::succeeded_without_a_beginning(refused(), |account: &mut Account| account.succeeded(Phase::Managed, at(NOW)))]
#[case::failed(over(), |account: &mut Account| account.failed(Phase::Managed, at(NOW), "x", true))]
#[case::failed_without_a_beginning(refused(), |account: &mut Account| account.failed(Phase::Managed, at(NOW), "x", true))]
#[case::progressed(over(), |account: &mut Account| account.progressed(Phase::Managed, "x"))]
#[case::the_same_progress(running(), |account: &mut Account| account.progressed(Phase::Managed, ""))]
#[case::skip(over(), |account: &mut Account| account.skip(Phase::Managed))]
#[case::complete(over(), Account::complete)]
#[case::complete_after_a_failure(failed("Failed"), Account::complete)]
#[case::complete_before_it_began(json!({}), Account::complete)]
#[case::another_expiration(over(), |account: &mut Account| account.expires(at(NOW)))]
fn does_nothing(#[case] status: Value, #[case] change: fn(&mut Account)) {
    assert_eq!(written(&status, change), (Value::Null, vec![]));
}

#[test]
fn a_phase_begins_once() {
    let (fields, events) = written(&running(), |account| {
        account.run_made(Phase::Managed, &key(), bindings(), "again");
    });
    assert_eq!(fields["processing"]["startTime"], EARLIER);
    assert_eq!(events, Vec::<&str>::new(), "it was told of when it was made");
}

#[test]
fn another_run_of_a_phase_is_told_of() {
    let next = ObjectKey::new("managed", "managed-2");
    let (fields, events) = written(&running(), |account| {
        account.run_made(Phase::Managed, &next, RoleBindings::default(), "managed-2");
    });
    assert_eq!(
        fields["managedProcessing"],
        json!({"startTime": EARLIER, "pipelineRun": "managed/managed-2"})
    );
    assert_eq!(fields["processing"]["pipelineRun"], "managed/managed-2");
    assert_eq!(events, ["PipelineRunCreated"]);
}

#[test]
fn the_place_of_the_managed_run_stays() {
    let (fields, _) = written(&running(), |account| {
        account.valid(attribution(), "moved".to_owned());
        account.progressed(Phase::Managed, "1/2");
    });
    assert_eq!(fields["target"], "managed");
    let (fields, _) = written(&json!({"target": "before"}), |account| {
        account.begin();
        account.valid(attribution(), "moved".to_owned());
    });
    assert_eq!(fields["target"], "moved");
}

#[rstest]
#[case::alone(true, "Release processing failed")]
#[case::one_of_several(false, "Release processing failed on managed pipelineRun")]
fn a_failed_run_fails_the_release(#[case] is_only_phase: bool, #[case] expected: &str) {
    let (fields, events) = written(&running(), |account| {
        account.failed(Phase::Managed, at(NOW), "task push failed", is_only_phase);
        account.complete();
    });
    assert_eq!(message(&fields, "Released"), expected);
    assert_eq!(message(&fields, "Processed"), "task push failed");
    assert_eq!(message(&fields, "ManagedPipelineProcessed"), "task push failed");
    assert_eq!(fields["processing"]["completionTime"], NOW);
    assert_eq!(fields["completionTime"], NOW);
    assert_eq!(events, ["PhaseFailed"]);
}

#[test]
fn a_run_that_cannot_be_made_names_what_was_made_for_it() {
    let status = json!({"conditions": [released("Progressing"), validated()]});
    let (fields, events) =
        written(&status, |account| account.not_started(Phase::Managed, "quota", bindings()));
    assert_eq!(message(&fields, "Released"), "Release processing failed on managed pipelineRun creation");
    assert_eq!(message(&fields, "Processed"), "quota");
    assert_eq!(
        fields["processing"],
        json!({"startTime": NOW, "completionTime": NOW, "roleBinding": "tenant/b"})
    );
    assert_eq!(events, ["PhaseFailed"]);
}

#[test]
fn what_the_tenants_collectors_found_stands_beside_what_others_wrote() {
    let (fields, _) = written(&running(), |account| account.collected(&json!({"cves": []})));
    assert_eq!(fields["collectors"], json!({"tenant": {"cves": []}}));
}

#[rstest]
#[case::under_way("False", "Progressing", State::Running)]
#[case::done("True", "Succeeded", State::Succeeded)]
#[case::skipped("True", "Skipped", State::Skipped)]
#[case::failed("False", "Failed", State::Failed)]
#[case::of_tomorrow("False", "Paused", State::Failed)]
#[case::skipped_and_false("False", "Skipped", State::Failed)]
fn reads_a_phase(#[case] status: &str, #[case] reason: &str, #[case] expected: State) {
    for type_ in ["Processed", "ManagedPipelineProcessed"] {
        let release = release(&json!({"conditions": [condition(type_, status, reason)]}));
        assert_eq!(Account::of(&release, at(NOW)).phase(Phase::Managed), Some(expected), "{type_}");
    }
}

#[test]
fn a_long_message_is_cut_between_characters() {
    let long = "é".repeat(MESSAGE_BYTES);
    let (fields, _) = written(&running(), |account| account.failed(Phase::Managed, at(NOW), &long, true));
    let message = message(&fields, "Processed");
    assert!(message.len() <= MESSAGE_BYTES && message.len() > MESSAGE_BYTES - 2, "{}", message.len());
    let (fields, _) = written(&json!({}), |account| account.invalid(&long));
    assert!(self::message(&fields, "Validated").len() <= MESSAGE_BYTES);
}
