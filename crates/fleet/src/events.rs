//! What users are told about their objects beside conditions: `events.k8s.io/v1` Events, told once and then counted.
//!
//! ```text
//! Write::Event ─▶ Memory ─first──▶ create          the same again ─▶ counted; the API server hears of every power of two
//!                    └──too many of this object──▶ dropped
//! ```
//! Events are a courtesy: one that cannot be published is logged and forgotten, and no work fails by it. Counting needs the
//! verb `patch` beside `create`.

mod memory;

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event as ApiEvent;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use parking_lot::Mutex;
use prometheus::{IntCounterVec, Opts, Registry};
use serde_json::json;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::names;
use crate::redact::redact;
use crate::write::{Target, Transition, Write};
use fleet_api::Truth;
use memory::{Memory, Step};

/// Limit of the note of an Event in the API, in bytes.
const MAX_NOTE: usize = 1024;

/// Limit of `reportingInstance` in the API, in bytes.
const MAX_INSTANCE: usize = 128;

/// Where Events about cluster-scoped objects lie.
const DEFAULT_NAMESPACE: &str = "default";

/// How long a worker waits for an Event.
const PATIENCE: Duration = Duration::from_secs(5);

/// How an Event is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum EventType {
    Normal,
    /// Somebody may have to do something.
    Warning,
}

/// Something to tell about an object, as one of a decision's writes.
///
/// ```
/// # use fleet::{Decision, Event};
/// # fn decide(run: &k8s_openapi::api::core::v1::Pod, account: &k8s_openapi::api::core::v1::ServiceAccount) -> Decision {
/// let mut decision = Decision::default();
/// decision.push(Event::warning(run, "AccountMissing", "Start", "no ServiceAccount builds").about(account));
/// # decision
/// # }
/// ```
/// The same again (object, reason, action, note and related object) within the hour for which the API server keeps an Event
/// becomes a count of that Event. Keep what changes from one time to the next, as a duration, out of the note.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Event {
    pub regarding: Target,
    pub related: Option<Target>,
    pub type_: EventType,
    /// Why, as a word in CamelCase: `QuotaExceeded`.
    pub reason: &'static str,
    /// What was done or tried, as a word in CamelCase: `CreateRun`.
    pub action: &'static str,
    /// For people. Credentials in URLs are taken out and what is longer than 1024 bytes is cut.
    pub note: String,
}

impl Event {
    pub fn normal<K: Resource<DynamicType = ()>>(
        object: &K,
        reason: &'static str,
        action: &'static str,
        note: impl Into<String>,
    ) -> Self {
        Self::new(object, EventType::Normal, reason, action, note.into())
    }

    pub fn warning<K: Resource<DynamicType = ()>>(
        object: &K,
        reason: &'static str,
        action: &'static str,
        note: impl Into<String>,
    ) -> Self {
        Self::new(object, EventType::Warning, reason, action, note.into())
    }

    /// Names the other object that it is about, as one that was made.
    pub fn about<K: Resource<DynamicType = ()>>(mut self, related: &K) -> Self {
        self.related = Some(Target::of(related));
        self
    }

    fn new<K: Resource<DynamicType = ()>>(
        object: &K,
        type_: EventType,
        reason: &'static str,
        action: &'static str,
        note: String,
    ) -> Self {
        Self { regarding: Target::of(object), related: None, type_, reason, action, note }
    }

    /// The same for everything that is counted together.
    fn id(&self) -> String {
        let related = self.related.as_ref().map_or("", |related| &related.uid);
        let fields: [&str; 6] =
            [&self.regarding.uid, self.type_.into(), self.reason, self.action, &self.note, related];
        names::hash(16, &fields)
    }
}

impl From<Event> for Write {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}

/// For [`Decision::push`](crate::Decision::push).
impl From<Event> for Option<Write> {
    fn from(event: Event) -> Self {
        Some(event.into())
    }
}

/// Publishes Events, in the name of one replica of one service. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Publisher {
    client: Client,
    service: &'static str,
    instance: String,
    clock: Clock,
    memory: Arc<Mutex<Memory>>,
    told: IntCounterVec,
}

impl Publisher {
    pub(crate) fn new(client: Client, service: &'static str, mut identity: String) -> Self {
        identity.truncate(identity.floor_char_boundary(MAX_INSTANCE));
        let told = IntCounterVec::new(
            Opts::new("fleet_events_total", "Events, by what became of them."),
            &["outcome"],
        )
        .expect("name and label are valid");
        Self { client, service, instance: identity, clock: Clock::system(), memory: Arc::default(), told }
    }

    /// One that publishes in another cluster.
    pub(crate) fn elsewhere(&self, client: Client) -> Self {
        Self { client, ..self.clone() }
    }

    pub(crate) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.told.clone()))
    }

    /// Tells it, counts it, or drops it.
    pub(crate) async fn publish(&self, event: &Event) {
        let id = event.id();
        let step = self.memory.lock().tell(&id, &event.regarding.uid, Instant::now());
        let outcome = match step {
            Step::Drop => "dropped",
            Step::Remember => "remembered",
            Step::Create => {
                let name = event_name(&event.regarding, &id);
                self.attempt(event, self.create_or_count(event, &name, &id)).await
            }
            Step::Count(count) => {
                let name = event_name(&event.regarding, &id);
                self.attempt(event, self.count_or_create(event, &name, count)).await
            }
        };
        if outcome == FAILED {
            self.memory.lock().forget(&id);
        }
        self.told.with_label_values(&[outcome]).inc();
    }

    /// One Event per transition of a condition. Its name says which, so that repeating it is harmless.
    pub(crate) async fn publish_transition(&self, target: &Target, transition: &Transition) {
        let may_tell = self.memory.lock().spend(&target.uid, Instant::now());
        let outcome = if may_tell {
            let event = of_transition(target, transition);
            let name = event_name(target, &transition_id(target, transition));
            let body = self.body(&event, &name, MicroTime(transition.at), event.reason_of(transition));
            let created = async {
                match self.api(target).create(&PostParams::default(), &body).await {
                    Err(kube::Error::Api(status)) if status.is_already_exists() => Ok("published"),
                    result => result.map(|_| "published"),
                }
            };
            self.attempt(&event, created).await
        } else {
            "dropped"
        };
        self.told.with_label_values(&[outcome]).inc();
    }

    async fn attempt(
        &self,
        event: &Event,
        request: impl Future<Output = Result<&'static str, kube::Error>>,
    ) -> &'static str {
        let error = match timeout(PATIENCE, request).await {
            Ok(Ok(outcome)) => return outcome,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {PATIENCE:?}"),
        };
        tracing::debug!(
            name = event.regarding.key.name,
            reason = event.reason,
            error,
            "Event was not published"
        );
        FAILED
    }

    async fn create_or_count(
        &self,
        event: &Event,
        name: &str,
        id: &str,
    ) -> Result<&'static str, kube::Error> {
        let body = self.body(event, name, self.now(), event.reason.to_owned());
        let api = self.api(&event.regarding);
        match api.create(&PostParams::default(), &body).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                // Told before this process began. A patch that changes nothing reads it, without a further right.
                let found = api.patch(name, &PatchParams::default(), &Patch::Merge(json!({}))).await?;
                let before = found.series.map_or(1, |series| series.count.max(1));
                let count = u32::try_from(before).unwrap_or(1).saturating_add(1);
                self.memory.lock().resume(id, count);
                self.count_or_create(event, name, count).await
            }
            result => result.map(|_| "published"),
        }
    }

    async fn count_or_create(
        &self,
        event: &Event,
        name: &str,
        count: u32,
    ) -> Result<&'static str, kube::Error> {
        let api = self.api(&event.regarding);
        let series = json!({"series": {"count": count, "lastObservedTime": self.now()}});
        match api.patch(name, &PatchParams::default(), &Patch::Merge(series)).await {
            // The API server keeps an Event for an hour after its last change.
            Err(kube::Error::Api(status)) if status.is_not_found() => {
                let body = self.body(event, name, self.now(), event.reason.to_owned());
                api.create(&PostParams::default(), &body).await.map(|_| "published")
            }
            result => result.map(|_| "counted"),
        }
    }

    fn body(&self, event: &Event, name: &str, at: MicroTime, reason: String) -> ApiEvent {
        ApiEvent {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(namespace_of(&event.regarding).to_owned()),
                ..ObjectMeta::default()
            },
            type_: Some(<&str>::from(event.type_).to_owned()),
            reason: Some(reason),
            action: Some(event.action.to_owned()),
            note: Some(cut(&redact(&event.note), MAX_NOTE).to_owned()),
            event_time: Some(at),
            reporting_controller: Some(self.service.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            regarding: Some(reference(&event.regarding)),
            related: event.related.as_ref().map(reference),
            ..ApiEvent::default()
        }
    }

    fn now(&self) -> MicroTime {
        MicroTime(self.clock.now())
    }

    fn api(&self, target: &Target) -> Api<ApiEvent> {
        Api::namespaced(self.client.clone(), namespace_of(target))
    }
}

const FAILED: &str = "failed";

impl Event {
    /// A transition's reason is made of two words.
    fn reason_of(&self, transition: &Transition) -> String {
        format!("{}{}", transition.type_, self.reason)
    }
}

fn of_transition(target: &Target, transition: &Transition) -> Event {
    Event {
        regarding: target.clone(),
        related: None,
        type_: if transition.truth == Truth::False { EventType::Warning } else { EventType::Normal },
        reason: transition.reason,
        action: "Reconcile",
        note: transition.message.clone(),
    }
}

fn transition_id(target: &Target, transition: &Transition) -> String {
    let at = transition.at.to_string();
    names::hash(10, &[&target.uid, transition.type_, transition.truth.as_str(), transition.reason, &at])
}

fn event_name(target: &Target, id: &str) -> String {
    names::fit(253, &target.key.name, &format!(".{id}"))
}

fn namespace_of(target: &Target) -> &str {
    if target.key.namespace.is_empty() { DEFAULT_NAMESPACE } else { &target.key.namespace }
}

fn reference(target: &Target) -> ObjectReference {
    let Target { resource, key, uid } = target;
    ObjectReference {
        api_version: Some(resource.api_version.clone()),
        kind: Some(resource.kind.clone()),
        namespace: (!key.namespace.is_empty()).then(|| key.namespace.clone()),
        name: Some(key.name.clone()),
        uid: Some(uid.clone()),
        ..ObjectReference::default()
    }
}

/// At most `limit` bytes, whole characters.
fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::ObjectKey;
    use jiff::Timestamp;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::core::ApiResource;
    use rstest::rstest;

    fn map(name: &str, uid: &str) -> ConfigMap {
        serde_json::from_value(json!({"metadata": {"namespace": "n", "name": name, "uid": uid}})).unwrap()
    }

    fn publisher() -> Publisher {
        let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            Err::<http::Response<kube::client::Body>, _>(std::io::Error::other("nobody is there"))
        });
        Publisher::new(Client::new(service, "n"), "service", "p".repeat(200))
    }

    fn told(publisher: &Publisher, outcome: &str) -> u64 {
        publisher.told.with_label_values(&[outcome]).get()
    }

    #[rstest]
    #[case::itself(Event::warning(&map("a", "u"), "R", "Act", "note"), true)]
    #[case::another_object(Event::warning(&map("a", "v"), "R", "Act", "note"), false)]
    #[case::another_reason(Event::warning(&map("a", "u"), "S", "Act", "note"), false)]
    #[case::another_note(Event::warning(&map("a", "u"), "R", "Act", "other"), false)]
    #[case::another_type(Event::normal(&map("a", "u"), "R", "Act", "note"), false)]
    #[case::about_something(Event::warning(&map("a", "u"), "R", "Act", "note").about(&map("b", "w")), false)]
    fn counts_together_what_says_the_same(#[case] other: Event, #[case] is_same: bool) {
        let event = Event::warning(&map("a", "u"), "R", "Act", "note");
        assert_eq!(event.id() == other.id(), is_same);
    }

    #[tokio::test]
    async fn a_note_has_no_credentials_and_is_cut_at_a_character() {
        let note = format!("clone https://u:secret@git.example/x {}", "é".repeat(MAX_NOTE));
        let event = Event::normal(&map("a", "u"), "R", "Act", note).about(&map("b", "w"));
        let publisher = publisher();
        let body = publisher.body(&event, "a.x", publisher.now(), "R".into());
        let note = body.note.unwrap();
        assert!(note.starts_with("clone https://<TOKEN>@git.example/x é"), "{note}");
        assert!((MAX_NOTE - 1..=MAX_NOTE).contains(&note.len()), "{}", note.len());
        assert_eq!(body.reporting_instance.unwrap().len(), MAX_INSTANCE);
        assert_eq!(body.related.unwrap().name.as_deref(), Some("b"));
    }

    #[test]
    fn events_about_cluster_scoped_objects_lie_in_the_default_namespace() {
        let resource = ApiResource::erase::<ConfigMap>(&());
        let target = Target { resource, key: ObjectKey::new("", "node"), uid: "u".into() };
        assert_eq!(namespace_of(&target), "default");
        assert_eq!(reference(&target).namespace, None);
    }

    #[test]
    fn the_name_of_a_transition_says_which() {
        let target = Target::of(&map("a", "u"));
        let transition = |second: i64| Transition {
            type_: "Created",
            truth: Truth::False,
            reason: "Error",
            message: "m".into(),
            at: Timestamp::from_second(second).unwrap(),
        };
        let event = of_transition(&target, &transition(1));
        assert_eq!(event.type_, EventType::Warning);
        assert_eq!(event.reason_of(&transition(1)), "CreatedError");
        assert_eq!(transition_id(&target, &transition(1)), transition_id(&target, &transition(1)));
        assert_ne!(transition_id(&target, &transition(1)), transition_id(&target, &transition(2)));
    }

    #[tokio::test]
    async fn what_could_not_be_published_is_tried_again_next_time() {
        let publisher = publisher();
        let event = Event::warning(&map("a", "u"), "R", "Act", "note");
        publisher.publish(&event).await;
        publisher.publish(&event).await;
        assert_eq!((told(&publisher, FAILED), told(&publisher, "remembered")), (2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_does_not_answer_holds_nobody_up_for_long() {
        let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            std::future::pending::<Result<http::Response<kube::client::Body>, std::io::Error>>().await
        });
        let publisher = Publisher::new(Client::new(service, "n"), "service", "pod".to_owned());
        let began = tokio::time::Instant::now();
        publisher.publish(&Event::normal(&map("a", "u"), "R", "Act", "note")).await;
        assert!(began.elapsed() <= PATIENCE + Duration::from_millis(10), "{:?}", began.elapsed());
    }
}
