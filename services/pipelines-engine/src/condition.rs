//! The condition `Succeeded` of runs.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use pipelines_engine_api::RunCondition;
use pipelines_engine_api::status::{SUCCEEDED, succeeded};

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
    conditions.retain(|old| old.type_ != SUCCEEDED);
    conditions.push(RunCondition { last_transition_time: Some(Time(now)), ..condition });
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
}
