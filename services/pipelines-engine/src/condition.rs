//! The conditions of runs: `Succeeded`, and `Tampered` of those that somebody has been in.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use pipelines_engine_api::RunCondition;
use pipelines_engine_api::reasons::TamperedReason;
use pipelines_engine_api::status::{SUCCEEDED, TAMPERED, succeeded, tampered};

/// What a run has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Unknown,
    True,
    False,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown",
            Self::True => "True",
            Self::False => "False",
        }
    }
}

/// Sets the condition. Its time moves only if something about it has changed.
pub fn set(
    conditions: &mut Vec<RunCondition>,
    verdict: Verdict,
    reason: impl Into<String>,
    message: impl Into<String>,
    now: Timestamp,
) {
    let condition = RunCondition {
        type_: SUCCEEDED.to_owned(),
        status: verdict.as_str().to_owned(),
        severity: String::new(),
        last_transition_time: None,
        reason: reason.into(),
        message: message.into(),
    };
    let same = |old: &RunCondition| RunCondition { last_transition_time: None, ..old.clone() } == condition;
    if succeeded(conditions).is_some_and(same) {
        return;
    }
    put(conditions, RunCondition { last_transition_time: Some(Time(now)), ..condition });
}

/// Marks a run as tampered with. The first mark stays: a run does not become trustworthy again.
pub fn mark_tampered(
    conditions: &mut Vec<RunCondition>,
    reason: TamperedReason,
    message: impl Into<String>,
    now: Timestamp,
) {
    if tampered(conditions).is_some() {
        return;
    }
    let condition = RunCondition {
        type_: TAMPERED.to_owned(),
        status: Verdict::True.as_str().to_owned(),
        severity: String::new(),
        last_transition_time: Some(Time(now)),
        reason: reason.to_string(),
        message: message.into(),
    };
    put(conditions, condition);
}

/// In the order of types, as Knative keeps them: some clients take the first condition for the one that counts.
fn put(conditions: &mut Vec<RunCondition>, condition: RunCondition) {
    conditions.retain(|old| old.type_ != condition.type_);
    let place = conditions.partition_point(|old| old.type_ < condition.type_);
    conditions.insert(place, condition);
}

/// Whether the condition has its last value.
pub fn is_final(conditions: &[RunCondition]) -> bool {
    succeeded(conditions).is_some_and(|condition| condition.status == "True" || condition.status == "False")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_time_moves_only_with_a_change() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut conditions = Vec::new();
        set(&mut conditions, Verdict::Unknown, "Running", "a", at(1));
        set(&mut conditions, Verdict::Unknown, "Running", "a", at(2));
        assert_eq!(conditions[0].last_transition_time, Some(Time(at(1))));
        assert!(!is_final(&conditions));
        set(&mut conditions, Verdict::Unknown, "Running", "b", at(3));
        assert_eq!(conditions[0].last_transition_time, Some(Time(at(3))));
        set(&mut conditions, Verdict::True, "Succeeded", "b", at(4));
        assert_eq!(conditions.len(), 1);
        assert!(is_final(&conditions));
    }

    #[test]
    fn a_mark_stays_as_it_is_and_behind() {
        let now = Timestamp::UNIX_EPOCH;
        let mut conditions = Vec::new();
        mark_tampered(&mut conditions, TamperedReason::Exec, "first", now);
        set(&mut conditions, Verdict::Unknown, "Running", "", now);
        mark_tampered(&mut conditions, TamperedReason::Attach, "second", now);
        set(&mut conditions, Verdict::True, "Succeeded", "", now);
        let seen: Vec<_> =
            conditions.iter().map(|condition| (&*condition.type_, &*condition.reason)).collect();
        assert_eq!(seen, [("Succeeded", "Succeeded"), ("Tampered", "Exec")]);
    }
}
