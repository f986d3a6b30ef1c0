//! The status fields that one controller owns, and its conditions.

use std::collections::BTreeMap;

use fleet_api::{Condition, ConditionState, Truth};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{FieldManager, StatusApply, Target, Write};

/// Where most kinds keep their conditions.
const CONDITIONS: &str = "conditions";

/// Limit of a condition's message in the API, in bytes.
const MAX_MESSAGE: usize = 32_768;

/// A condition whose status changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    pub type_: &'static str,
    pub truth: Truth,
    pub reason: &'static str,
    pub message: String,
    pub at: Timestamp,
}

/// Builds the status of an object as one controller wants it: every field that it owns, each time.
///
/// Server-side apply removes what its manager wrote before and now leaves out, so name every field and every
/// condition in each patch; [`keep`](Self::keep) carries over a condition that this pass says nothing about.
#[derive(Debug)]
#[must_use]
pub struct StatusPatch {
    target: Target,
    manager: FieldManager,
    generation: Option<i64>,
    now: Timestamp,
    current: Map<String, Value>,
    fields: Map<String, Value>,
    cleared: Vec<&'static str>,
    conditions: BTreeMap<&'static str, Vec<Condition>>,
    transitions: Vec<Transition>,
    is_changed: bool,
    read: Option<String>,
    version: Option<String>,
}

impl StatusPatch {
    /// # Panics
    /// When `object` does not serialize to JSON, which no API type does.
    pub fn of<K: Resource<DynamicType = ()> + Serialize>(
        object: &K,
        manager: FieldManager,
        now: Timestamp,
    ) -> Self {
        let mut json = serde_json::to_value(object).expect("API types serialize to JSON");
        let current = match json["status"].take() {
            Value::Object(status) => status,
            _ => Map::new(),
        };
        Self {
            target: Target::of(object),
            manager,
            generation: object.meta().generation,
            now,
            current,
            fields: Map::new(),
            cleared: Vec::new(),
            conditions: BTreeMap::new(),
            transitions: Vec::new(),
            is_changed: false,
            read: object.meta().resource_version.clone(),
            version: None,
        }
    }

    /// Has the write refused if anybody wrote to the object since it was read: for a manager that several controllers share.
    pub fn if_unchanged(mut self) -> Self {
        self.version.clone_from(&self.read);
        self
    }

    /// Sets a field. A value that serializes to null removes it.
    ///
    /// # Panics
    /// When `value` does not serialize to JSON.
    pub fn field(mut self, name: &'static str, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).expect("status fields serialize to JSON");
        let current = self.current.get(name).unwrap_or(&Value::Null);
        self.is_changed |= *current != value;
        if value.is_null() {
            if !current.is_null() {
                self.cleared.push(name);
            }
        } else {
            self.fields.insert(name.to_owned(), value);
        }
        self
    }

    /// Sets a condition in `status.conditions`.
    pub fn condition<C: ConditionState>(self, state: &C) -> Self {
        self.condition_in(CONDITIONS, state)
    }

    /// Leaves a condition of `status.conditions` as it is, if it is there.
    pub fn keep<C: ConditionState>(mut self) -> Self {
        if let Some(condition) = self.current_condition(CONDITIONS, C::TYPE) {
            self.conditions.entry(CONDITIONS).or_default().push(condition);
        }
        self
    }

    /// Removes a condition of `status.conditions`.
    pub fn without<C: ConditionState>(mut self) -> Self {
        if self.current_condition(CONDITIONS, C::TYPE).is_some() {
            self.conditions.entry(CONDITIONS).or_default();
            self.is_changed = true;
        }
        self
    }

    /// Sets a condition in another list of the status, as a SnapshotEnvironmentBinding has several.
    pub fn condition_in<C: ConditionState>(mut self, list: &'static str, state: &C) -> Self {
        let full = state.message();
        let message = cut(&full);
        let before = self.current_condition(list, C::TYPE);
        let same_status = before.as_ref().filter(|condition| condition.status == state.truth().as_str());
        let condition = Condition {
            type_: C::TYPE.to_owned(),
            status: state.truth().as_str().to_owned(),
            reason: state.reason().to_owned(),
            message: message.to_owned(),
            observed_generation: self.generation,
            last_transition_time: same_status
                .map_or(Time(self.now), |condition| condition.last_transition_time.clone()),
        };
        if same_status.is_none() {
            self.transitions.push(Transition {
                type_: C::TYPE,
                truth: state.truth(),
                reason: state.reason(),
                message: condition.message.clone(),
                at: self.now,
            });
        }
        self.is_changed |= before.as_ref() != Some(&condition);
        self.conditions.entry(list).or_default().push(condition);
        self
    }

    /// The write, or `None` when the status says all this already.
    pub fn into_write(mut self) -> Option<Write> {
        if !self.is_changed {
            return None;
        }
        for (list, conditions) in self.conditions {
            self.fields.insert(list.to_owned(), json!(conditions));
        }
        Some(Write::Status(StatusApply {
            target: self.target,
            manager: self.manager,
            fields: self.fields,
            cleared: self.cleared,
            transitions: self.transitions,
            version: self.version,
        }))
    }

    fn current_condition(&self, list: &str, type_: &str) -> Option<Condition> {
        let found =
            self.current.get(list)?.as_array()?.iter().find(|condition| condition["type"] == type_)?;
        serde_json::from_value(found.clone()).ok()
    }
}

fn cut(message: &str) -> &str {
    let mut end = message.len().min(MAX_MESSAGE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    use k8s_openapi::api::apps::v1::Deployment;
    use rstest::rstest;

    const MANAGER: FieldManager = FieldManager::new("test/status");

    struct Ready(bool, &'static str);

    impl ConditionState for Ready {
        const TYPE: &'static str = "Ready";
        fn truth(&self) -> Truth {
            if self.0 { Truth::True } else { Truth::False }
        }
        fn reason(&self) -> &'static str {
            if self.0 { "OK" } else { "Error" }
        }
        fn message(&self) -> Cow<'_, str> {
            self.1.into()
        }
    }

    /// A Deployment, because its status has both fields and conditions.
    fn object(status: &Value) -> Deployment {
        let metadata =
            json!({"name": "a", "namespace": "n", "uid": "u", "generation": 2, "resourceVersion": "7"});
        serde_json::from_value(json!({ "metadata": metadata, "status": status })).unwrap()
    }

    fn ready(status: &str, message: &str, generation: i64, time: &str) -> Value {
        let reason = if status == "True" { "OK" } else { "Error" };
        json!({"type": "Ready", "status": status, "reason": reason, "message": message,
            "observedGeneration": generation, "lastTransitionTime": time})
    }

    fn now() -> Timestamp {
        "2024-06-01T00:00:00Z".parse().unwrap()
    }

    fn apply(write: Option<Write>) -> StatusApply {
        match write.unwrap() {
            Write::Status(apply) => apply,
            other => panic!("{other:?}"),
        }
    }

    /// Conditions of a Deployment are another type than ours: patch its JSON instead.
    fn patch(status: &Value) -> StatusPatch {
        let mut patch = StatusPatch::of(&object(&json!({})), MANAGER, now());
        patch.current = status.as_object().unwrap().clone();
        patch
    }

    #[test]
    fn a_new_condition_is_a_transition() {
        let apply = apply(patch(&json!({})).condition(&Ready(true, "fine")).into_write());
        assert_eq!(apply.fields["conditions"], json!([ready("True", "fine", 2, "2024-06-01T00:00:00Z")]));
        assert_eq!(apply.transitions.len(), 1);
        assert_eq!((apply.target.uid.as_str(), apply.version), ("u", None));
    }

    #[test]
    fn a_shared_manager_writes_only_to_what_it_has_read() {
        let patch = patch(&json!({})).condition(&Ready(true, "fine")).if_unchanged();
        assert_eq!(apply(patch.into_write()).version.as_deref(), Some("7"));
    }

    #[test]
    fn nothing_changed_is_no_write() {
        let status = json!({"replicas": 3, "conditions": [ready("True", "fine", 2, "2024-01-01T00:00:00Z")]});
        let write = patch(&status).field("replicas", 3).condition(&Ready(true, "fine")).into_write();
        assert_eq!(write, None);
    }

    #[rstest]
    #[case::message(Ready(true, "better"), 2)]
    #[case::generation(Ready(true, "fine"), 1)]
    fn keeps_the_transition_time_while_the_status_stays(#[case] state: Ready, #[case] generation: i64) {
        let status = json!({"conditions": [ready("True", "fine", generation, "2024-01-01T00:00:00Z")]});
        let apply = apply(patch(&status).condition(&state).into_write());
        assert_eq!(apply.fields["conditions"][0]["lastTransitionTime"], "2024-01-01T00:00:00Z");
        assert_eq!(apply.fields["conditions"][0]["observedGeneration"], 2);
        assert!(apply.transitions.is_empty());
    }

    #[test]
    fn a_kept_condition_is_sent_again_as_it_was() {
        let before = ready("True", "fine", 1, "2024-01-01T00:00:00Z");
        let status = json!({"replicas": 1, "conditions": [before]});
        let apply = apply(patch(&status).field("replicas", 2).keep::<Ready>().into_write());
        assert_eq!(apply.fields, *json!({"replicas": 2, "conditions": [before]}).as_object().unwrap());
    }

    #[test]
    fn null_clears_a_field_that_is_there() {
        let apply = apply(patch(&json!({"replicas": 1})).field("replicas", None::<i32>).into_write());
        assert_eq!(apply.cleared, ["replicas"]);
        assert!(apply.fields.is_empty());
        assert_eq!(patch(&json!({})).field("replicas", None::<i32>).into_write(), None);
    }

    #[test]
    fn removing_a_condition_is_a_change_once() {
        let status = json!({"conditions": [ready("True", "fine", 2, "2024-01-01T00:00:00Z")]});
        let apply = apply(patch(&status).without::<Ready>().into_write());
        assert_eq!(apply.fields["conditions"], json!([]));
        assert_eq!(patch(&json!({})).without::<Ready>().into_write(), None);
    }

    #[test]
    fn cuts_a_message_at_a_character() {
        let long = "é".repeat(MAX_MESSAGE);
        assert!(cut(&long).len() <= MAX_MESSAGE);
        assert!(cut(&long).ends_with('é'));
        assert_eq!(cut("short"), "short");
    }
}
