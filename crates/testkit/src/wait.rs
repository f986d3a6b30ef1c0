//! Waiting for what a test expects, with a failure that shows what was there instead.
//!
//! Every wait has a deadline that is generous (machines are busy) and ends as soon as the state is reached.

use std::fmt::{self, Debug, Display, Formatter, Write as _};
use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use anyhow::anyhow;
use fleet_api::Truth;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, ListParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

/// What suits nearly all tests: far more than anything takes, on a machine that does much else, and bearable when something hangs.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// Waits until the object exists and `condition` holds; returns it as it then was.
///
/// `what` completes "waited for …". On failure the error's text has the object as YAML, its conditions and its Events.
pub async fn wait_for<K>(
    api: &Api<K>,
    name: &str,
    what: &str,
    deadline: Duration,
    condition: impl Fn(&K) -> bool,
) -> anyhow::Result<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Serialize + Send + 'static,
{
    let look = |object| match object {
        Some(object) if condition(&object) => Break(object),
        Some(object) => Continue(Last::Object(object)),
        None => Continue(Last::Absent),
    };
    match follow(api, name, deadline, look).await {
        Break(object) => Ok(object),
        Continue(last) => Err(failure(api, name, what, deadline, last).await),
    }
}

/// Waits until the object does not exist. One that was made again under the same name counts as existing.
pub async fn wait_gone<K>(api: &Api<K>, name: &str, deadline: Duration) -> anyhow::Result<()>
where
    K: Resource + Clone + Debug + DeserializeOwned + Serialize + Send + 'static,
{
    let look = |object: Option<K>| object.map_or(Break(()), |object| Continue(Last::Object(object)));
    match follow(api, name, deadline, look).await {
        Break(()) => Ok(()),
        Continue(last) => Err(failure(api, name, "the deletion", deadline, last).await),
    }
}

/// Tries until `attempt` succeeds, for what no object's watch tells. Fails with the last attempt's error.
pub async fn eventually<T>(
    deadline: Duration,
    what: &str,
    mut attempt: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    const PAUSE: Duration = Duration::from_millis(50);
    let until = Instant::now() + deadline;
    let mut last = anyhow!("the first attempt has not ended");
    loop {
        match timeout_at(until, attempt()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => last = error,
            // The attempt hangs: what the one before said is the better hint.
            Err(_) => {}
        }
        if Instant::now() + PAUSE > until {
            return Err(last.context(format!("waited {deadline:?} in vain for {what}")));
        }
        sleep(PAUSE).await;
    }
}

/// A predicate for [`wait_for`]: the object has this condition with this status, observed at its generation if the
/// condition says at which.
pub fn has_condition<K: Resource + Serialize>(type_: &str, truth: Truth) -> impl Fn(&K) -> bool {
    move |object| {
        conditions(object).iter().any(|condition| {
            condition.type_ == type_
                && condition.status == truth.as_str()
                && condition.observed_generation.is_none_or(|seen| Some(seen) == object.meta().generation)
        })
    }
}

/// What most kinds' conditions have in common; each has its own type for it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenCondition {
    #[serde(rename = "type")]
    pub type_: String,
    pub status: String,
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub message: String,
    pub observed_generation: Option<i64>,
}

impl Display for SeenCondition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}={} ({})", self.type_, self.status, self.reason)?;
        if let Some(generation) = self.observed_generation {
            write!(f, " at generation {generation}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// The conditions in an object's status, of whatever type it is. What is no condition is left out.
pub fn conditions(object: &impl Serialize) -> Vec<SeenCondition> {
    let Ok(mut object) = serde_json::to_value(object) else { return Vec::new() };
    match object.pointer_mut("/status/conditions").map(Value::take) {
        Some(Value::Array(list)) => {
            list.into_iter().filter_map(|condition| serde_json::from_value(condition).ok()).collect()
        }
        _ => Vec::new(),
    }
}

/// The last that was seen before the deadline.
enum Last<K> {
    Nothing,
    Absent,
    Object(K),
    Error(watcher::Error),
}

/// Follows one object, `None` while it is absent, until `look` breaks or the deadline passes.
async fn follow<K, T>(
    api: &Api<K>,
    name: &str,
    deadline: Duration,
    look: impl Fn(Option<K>) -> ControlFlow<T, Last<K>>,
) -> ControlFlow<T, Last<K>>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let until = Instant::now() + deadline;
    let mut states = std::pin::pin!(watcher::watch_object(api.clone(), name).default_backoff());
    let mut last = Last::Nothing;
    while let Ok(Some(state)) = timeout_at(until, states.next()).await {
        last = match state {
            Ok(object) => look(object)?,
            // Missing rights and CRDs may yet come.
            Err(error) => Last::Error(error),
        };
    }
    Continue(last)
}

async fn failure<K>(api: &Api<K>, name: &str, what: &str, deadline: Duration, last: Last<K>) -> anyhow::Error
where
    K: Resource + Clone + Serialize,
{
    let path = api.resource_url();
    let mut text = format!("waited {deadline:?} in vain for {what} of {path}/{name}\n");
    let mut namespace = api.namespace().map(ToOwned::to_owned);
    let mut uid = None;
    match last {
        Last::Nothing => text.push_str("the API server did not answer the watch\n"),
        Last::Absent => text.push_str("the object does not exist\n"),
        Last::Error(error) => {
            _ = writeln!(text, "the object cannot be watched: {:#}", anyhow!(error));
        }
        Last::Object(object) => {
            namespace.clone_from(&object.meta().namespace);
            uid.clone_from(&object.meta().uid);
            text.push_str(&describe(&object));
        }
    }
    text.push_str(&events(api.clone().into_client(), namespace.as_deref(), name, uid.as_deref()).await);
    anyhow!(text)
}

/// The object as YAML, without what nobody reads, and its conditions in short.
pub(crate) fn describe(object: &(impl Resource + Clone + Serialize)) -> String {
    let mut shown = object.clone();
    shown.meta_mut().managed_fields = None;
    let yaml = serde_saphyr::to_string(&shown).unwrap_or_else(|error| format!("(not YAML: {error})\n"));
    let mut text = format!("--- object\n{}\n", yaml.trim_end());
    for condition in conditions(object) {
        _ = writeln!(text, "condition {condition}");
    }
    text
}

/// The object's Events, oldest first.
async fn events(client: Client, namespace: Option<&str>, name: &str, uid: Option<&str>) -> String {
    // Events about cluster-wide objects are kept in this namespace.
    let api = Api::<Event>::namespaced(client, namespace.unwrap_or("default"));
    let about = ListParams::default().fields(&format!("involvedObject.name={name}"));
    let mut events = match api.list(&about).await {
        Ok(list) => list.items,
        Err(error) => return format!("--- its events cannot be read: {error}\n"),
    };
    events.retain(|event| uid.is_none() || event.involved_object.uid.as_deref() == uid);
    if events.is_empty() {
        return "--- no events\n".to_owned();
    }
    let time = |event: &Event| {
        let micro = event.series.as_ref().and_then(|series| series.last_observed_time.clone());
        micro
            .or_else(|| event.event_time.clone())
            .map(|time| time.0)
            .or_else(|| event.last_timestamp.as_ref().map(|time| time.0))
    };
    events.sort_by_key(|event| time(event));
    let mut text = "--- events\n".to_owned();
    for event in &events {
        let time = time(event).map_or_else(|| "(no time)".to_owned(), |time| time.to_string());
        let word = |word: &Option<String>| word.clone().unwrap_or_default();
        _ = writeln!(text, "{time} {} {}: {}", word(&event.type_), word(&event.reason), word(&event.message));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test(start_paused = true)]
    async fn eventually_returns_the_first_success() {
        let mut attempts = 0;
        let third = eventually(DEADLINE, "the third attempt", async || {
            attempts += 1;
            anyhow::ensure!(attempts == 3, "attempt {attempts}");
            Ok(attempts)
        });
        assert_eq!(third.await.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn eventually_tells_what_it_waited_for_and_the_last_error() {
        let never = eventually(DEADLINE, "the tide", async || -> anyhow::Result<()> { Err(anyhow!("ebb")) });
        assert_eq!(format!("{:#}", never.await.unwrap_err()), "waited 60s in vain for the tide: ebb");
    }

    #[tokio::test(start_paused = true)]
    async fn eventually_gives_up_on_an_attempt_that_hangs() {
        let never = eventually(DEADLINE, "an answer", std::future::pending::<anyhow::Result<()>>);
        assert!(never.await.is_err());
    }

    #[test]
    fn reads_conditions_of_any_object() {
        let ready = json!({"type": "Ready", "status": "True", "reason": "R", "message": "m", "observedGeneration": 2});
        let bare = json!({"type": "Bare", "status": "Unknown"});
        let object = json!({"status": {"conditions": [{"oops": 1}, ready, bare]}});
        let found: Vec<_> = conditions(&object).into_iter().map(|condition| condition.to_string()).collect();
        assert_eq!(found, ["Ready=True (R) at generation 2: m", "Bare=Unknown (): "]);
        assert_eq!(conditions(&json!({"status": {"conditions": "none"}})), []);
        assert_eq!(conditions(&json!({})), []);
    }
}
