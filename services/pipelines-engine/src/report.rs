//! Events about runs (runtime specification, section 5).

use fleet::{Event, Write};
use kube::Resource;
use pipelines_engine_api::RunCondition;
use pipelines_engine_api::reasons::{PipelineRunReason, TaskRunReason};
use pipelines_engine_api::status::succeeded;

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
            if let Some(reason) =
                word(&condition.reason).filter(|reason| !["Started", "Pending"].contains(reason))
            {
                events.push(Event::normal(run, reason, "Run", message));
            }
        }
    }
    events.into_iter().map(Write::Event).collect()
}

/// A reason as a word of the closed set.
fn word(reason: &str) -> Option<&'static str> {
    let of_pipeline = reason.parse::<PipelineRunReason>().ok().map(<&'static str>::from);
    of_pipeline.or_else(|| reason.parse::<TaskRunReason>().ok().map(<&'static str>::from))
}
