//! How far a request has come, by its one condition.

use fleet_api::{Condition, ConditionState as _};
use internal_services_api::InternalRequest;
use internal_services_api::conditions::Succeeded;
use jiff::Timestamp;

const RUNNING: &str = "Running";

fn condition(request: &InternalRequest) -> Option<&Condition> {
    let conditions = &request.status.as_ref()?.conditions;
    conditions.iter().find(|condition| condition.type_ == Succeeded::TYPE)
}

/// Whether nothing will become of it any more.
pub(crate) fn is_completed(request: &InternalRequest) -> bool {
    condition(request).is_some_and(|condition| condition.status == "True" || condition.reason != RUNNING)
}

/// Whether its run is known to have begun, and not yet to have ended.
pub(crate) fn is_running(request: &InternalRequest) -> bool {
    condition(request).is_some_and(|condition| condition.status != "True" && condition.reason == RUNNING)
}

/// When it ended. Rejections of the original have no time of their own.
pub(super) fn ended_at(request: &InternalRequest) -> Option<Timestamp> {
    let status = request.status.as_ref()?;
    let condition = condition(request)?;
    Some(status.completion_time.as_ref().unwrap_or(&condition.last_transition_time).0)
}

/// What is said about it while it runs.
pub(super) fn progress(request: &InternalRequest) -> &str {
    condition(request).map_or("", |condition| &condition.message)
}

/// Namespace and name of its run, as its status has them.
pub(super) fn recorded(request: &InternalRequest) -> Option<&str> {
    request.status.as_ref()?.pipeline_run.as_deref()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::new(None, (false, false))]
    #[case::running(Some(("False", "Running")), (false, true))]
    #[case::succeeded(Some(("True", "Succeeded")), (true, false))]
    #[case::failed(Some(("False", "Failed")), (true, false))]
    #[case::rejected(Some(("False", "Rejected")), (true, false))]
    #[case::of_a_later_version(Some(("False", "Paused")), (true, false))]
    fn tells(#[case] condition: Option<(&str, &str)>, #[case] expected: (bool, bool)) {
        let conditions: Vec<_> = condition
            .into_iter()
            .map(|(status, reason)| {
                json!({"type": "Succeeded", "status": status, "reason": reason, "message": "",
                    "lastTransitionTime": "2024-03-01T12:00:00Z"})
            })
            .collect();
        let request: InternalRequest = serde_json::from_value(
            json!({"metadata": {"name": "r"}, "spec": {}, "status": {"conditions": conditions}}),
        )
        .unwrap();
        assert_eq!((is_completed(&request), is_running(&request)), expected);
        assert_eq!(ended_at(&request).is_some(), condition.is_some());
    }
}
