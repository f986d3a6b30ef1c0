//! Events about runs (runtime specification, section 5).

use fleet::controller::chain;
use fleet::{Event, Write, WriteError};
use kube::Resource;
use pipelines_engine_api::RunCondition;
use pipelines_engine_api::reasons::{PipelineRunReason, TaskRunReason};
use pipelines_engine_api::status::succeeded;

/// Reasons of runs that go on, but not without somebody's help.
const HINDERED: [&str; 3] = ["ExceededNodeResources", "ExceededResourceQuota", "PullImageFailed"];

/// What a change of the condition is told as. A run that waits for its pod is not news.
pub fn events<K: Resource<DynamicType = ()>>(
    run: &K,
    old: &[RunCondition],
    new: &[RunCondition],
) -> Vec<Write> {
    let Some(condition) = succeeded(new) else { return Vec::new() };
    let before = succeeded(old);
    let mut events = Vec::new();
    if before.is_none() {
        events.push(Event::normal(run, "Started", "Start", ""));
    }
    let is_same = before
        .is_some_and(|before| (&before.status, &before.reason) == (&condition.status, &condition.reason));
    if is_same {
        return events.into_iter().map(Write::Event).collect();
    }
    let message = condition.message.clone();
    match condition.status.as_str() {
        "True" => events.push(Event::normal(run, "Succeeded", "Run", message)),
        "False" => events.push(Event::warning(run, "Failed", "Run", message)),
        _ => {
            let reason = word(&condition.reason).filter(|reason| !["Started", "Pending"].contains(reason));
            events.extend(reason.map(|reason| {
                if HINDERED.contains(&reason) {
                    Event::warning(run, reason, "Run", message)
                } else {
                    Event::normal(run, reason, "Run", message)
                }
            }));
        }
    }
    events.into_iter().map(Write::Event).collect()
}

/// A reason as a word of the closed set.
fn word(reason: &str) -> Option<&'static str> {
    let of_pipeline = reason.parse::<PipelineRunReason>().ok().map(<&'static str>::from);
    of_pipeline.or_else(|| reason.parse::<TaskRunReason>().ok().map(<&'static str>::from))
}

/// What to tell of work that failed without a word about it in status: it is tried again, but that may not help.
pub fn failed<K: Resource<DynamicType = ()>>(run: &K, error: &WriteError) -> Option<Write> {
    let is_refused = matches!(error, WriteError::Refused { source: kube::Error::Api(status), .. }
        if [400, 401, 403, 405, 413, 422].contains(&status.code));
    is_refused.then(|| Write::Event(Event::warning(run, "InternalError", "Reconcile", chain(error))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn conditions(status: &str, reason: &str, message: &str) -> Vec<RunCondition> {
        let condition =
            json!([{"type": "Succeeded", "status": status, "reason": reason, "message": message}]);
        serde_json::from_value(condition).unwrap()
    }

    fn told(old: &[RunCondition], new: &[RunCondition]) -> Vec<String> {
        let run = pipelines_engine_api::TaskRun::new("run", Default::default());
        let of = |write: Write| match write {
            Write::Event(event) => {
                format!("{:?} {} {}", event.type_, event.reason, event.note).trim().to_owned()
            }
            other => other.describe(),
        };
        events(&run, old, new).into_iter().map(of).collect()
    }

    #[rstest]
    #[case::begins(&[], ("Unknown", "Started", ""), &["Normal Started"])]
    #[case::begins_at_once(&[], ("Unknown", "Running", "m"), &["Normal Started", "Normal Running m"])]
    #[case::fails_at_once(&[], ("False", "TaskRunValidationFailed", "m"), &["Normal Started", "Warning Failed m"])]
    #[case::waits(&[("Unknown", "Started", "")], ("Unknown", "Pending", "m"), &[])]
    #[case::runs(&[("Unknown", "Pending", "")], ("Unknown", "Running", "m"), &["Normal Running m"])]
    #[case::hindered(&[("Unknown", "Pending", "")], ("Unknown", "ExceededNodeResources", "m"), &["Warning ExceededNodeResources m"])]
    #[case::again(&[("Unknown", "Running", "")], ("Unknown", "ToBeRetried", "m"), &["Normal ToBeRetried m"])]
    #[case::ends(&[("Unknown", "Running", "")], ("True", "Completed", "m"), &["Normal Succeeded m"])]
    #[case::fails(&[("Unknown", "Running", "")], ("False", "StepFailed", "m"), &["Warning Failed m"])]
    #[case::the_same(&[("Unknown", "Running", "a")], ("Unknown", "Running", "b"), &[])]
    #[case::over(&[("True", "Succeeded", "a")], ("True", "Succeeded", "a"), &[])]
    fn each_change_is_told_once(
        #[case] old: &[(&str, &str, &str)],
        #[case] new: (&str, &str, &str),
        #[case] expected: &[&str],
    ) {
        let old: Vec<_> =
            old.iter().flat_map(|(status, reason, message)| conditions(status, reason, message)).collect();
        assert_eq!(told(&old, &conditions(new.0, new.1, new.2)), expected);
    }
}
