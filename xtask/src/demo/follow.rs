//! Shows the conditions of objects as they change.
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures::{StreamExt as _, stream};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject},
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::Value;

use super::Fact;
use crate::{
    deploy::{Object, counted},
    ui,
};

/// How long all of them together may take.
const LIMIT: Duration = Duration::from_mins(1);

/// A condition of an object, as far as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    kind: String,
    status: String,
    reason: String,
    message: String,
    /// Generation of the object that it speaks of; none if it does not say.
    generation: Option<i64>,
}

impl Shown {
    /// Whether it says how something ended, well or not: what still goes on has another reason.
    fn is_final(&self, kind: &str) -> bool {
        self.kind == kind && (self.status == "True" || self.reason == "Failed")
    }

    fn holds(&self, kind: &str, generation: Option<i64>) -> bool {
        self.kind == kind
            && self.status == "True"
            && (self.generation.is_none() || self.generation == generation)
    }
}

/// Follows these objects of one namespace until each has the condition `kind` with status True. Every change of a
/// condition is printed. Returns the live objects in the same order, and a fact about each.
pub async fn until(
    client: &Client,
    objects: &[&Object],
    kind: &str,
    asked: Instant,
) -> anyhow::Result<(Vec<DynamicObject>, Vec<Fact>)> {
    until_within(client, objects, kind, asked, LIMIT).await
}

/// As [`until`], with a limit of its own to how long all of them together may take.
pub async fn until_within(
    client: &Client,
    objects: &[&Object],
    kind: &str,
    asked: Instant,
    limit: Duration,
) -> anyhow::Result<(Vec<DynamicObject>, Vec<Fact>)> {
    follow(client, objects, kind, asked, limit, |shown, generation| shown.holds(kind, generation)).await
}

/// Follows one object until its condition `kind` is True, or False with the reason `Failed`. Returns it as it is then, and how it
/// ended.
pub async fn until_ended(
    client: &Client,
    object: &Object,
    kind: &str,
    asked: Instant,
    limit: Duration,
) -> anyhow::Result<(DynamicObject, bool)> {
    let (live, _) = follow(client, &[object], kind, asked, limit, |shown, _| shown.is_final(kind)).await?;
    let live = live.into_iter().next().context("the object was followed")?;
    let is_good = conditions(&live.data).iter().any(|shown| shown.kind == kind && shown.status == "True");
    Ok((live, is_good))
}

async fn follow(
    client: &Client,
    objects: &[&Object],
    kind: &str,
    asked: Instant,
    limit: Duration,
    is_done: impl Fn(&Shown, Option<i64>) -> bool,
) -> anyhow::Result<(Vec<DynamicObject>, Vec<Fact>)> {
    ui::note(&format!("waiting until {} are {kind}:", counted(objects.len(), "object")));
    let streams = objects.iter().enumerate().map(|(index, object)| {
        let api: Api<DynamicObject> = Api::namespaced_with(
            client.clone(),
            object.namespace().unwrap_or_default(),
            &ApiResource::from_gvk(&object.gvk()),
        );
        let only = watcher::Config::default().fields(&format!("metadata.name={}", object.name()));
        let changes = watcher(api, only).default_backoff().applied_objects();
        changes.map(move |change| (index, change)).boxed()
    });
    let mut changes = stream::select_all(streams);
    let mut found: Vec<Option<(DynamicObject, Fact)>> = vec![None; objects.len()];
    let mut shown = vec![Vec::new(); objects.len()];
    let deadline = tokio::time::Instant::from_std(asked + limit);
    while found.iter().any(Option::is_none) {
        let Ok(change) = tokio::time::timeout_at(deadline, changes.next()).await else {
            bail!("after {} s: {}", limit.as_secs(), still_missing(objects, &shown, kind));
        };
        let (index, change) = change.context("the watch ended")?;
        // The watcher tries again; what lasts is caught by the deadline.
        let Ok(live) = change else { continue };
        let conditions = conditions(&live.data);
        for condition in conditions.iter().filter(|condition| !shown[index].contains(*condition)) {
            let Shown { kind, status, reason, message, .. } = condition;
            let name = format!("{} {}", objects[index].kind(), live.name_any());
            ui::note(&format!(
                "{:6.2} s  {name}: {kind}={status} ({reason}) {message}",
                asked.elapsed().as_secs_f64()
            ));
        }
        let is_there = conditions.iter().any(|condition| is_done(condition, live.metadata.generation));
        if is_there && found[index].is_none() {
            let object = format!("{} {}", objects[index].kind(), live.name_any());
            let fact = Fact { object, state: format!("{kind}=True"), after: asked.elapsed() };
            found[index] = Some((live, fact));
        }
        shown[index] = conditions;
    }
    Ok(found.into_iter().flatten().unzip())
}

fn conditions(data: &Value) -> Vec<Shown> {
    let text = |condition: &Value, field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    let conditions = data.pointer("/status/conditions").and_then(Value::as_array);
    conditions
        .into_iter()
        .flatten()
        .map(|condition| Shown {
            kind: text(condition, "type"),
            status: text(condition, "status"),
            reason: text(condition, "reason"),
            message: text(condition, "message"),
            generation: condition["observedGeneration"].as_i64(),
        })
        .collect()
}

/// What each unfinished object says of itself.
fn still_missing(objects: &[&Object], shown: &[Vec<Shown>], kind: &str) -> String {
    let mut lines = Vec::new();
    for (object, conditions) in objects.iter().zip(shown) {
        let state = match conditions.iter().find(|condition| condition.kind == kind) {
            Some(condition) if condition.status == "True" => continue,
            Some(condition) => {
                format!("{kind}={} ({}) {}", condition.status, condition.reason, condition.message)
            }
            None => format!("no condition {kind} yet: is its service running?"),
        };
        lines.push(format!("{object}: {state}"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn has_ended_when_it_is_true_or_has_failed() {
        let is_final = |status: &str, reason: &str| {
            let data =
                json!({"status": {"conditions": [{"type": "Released", "status": status, "reason": reason}]}});
            conditions(&data).iter().any(|shown| shown.is_final("Released"))
        };
        assert!(is_final("True", "Succeeded") && is_final("False", "Failed"));
        assert!(!is_final("False", "Progressing"));
    }

    #[test]
    fn says_what_is_missing_and_of_whom() {
        let object = |name: &str| {
            Object::parse(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}})).unwrap()
        };
        let (a, b, c) = (object("a"), object("b"), object("c"));
        let condition = |status: &str| {
            conditions(&json!({"status": {"conditions": [
                {"type": "Created", "status": status, "reason": "Error", "message": "no such Application"},
            ]}}))
        };
        let text =
            still_missing(&[&a, &b, &c], &[condition("True"), condition("False"), Vec::new()], "Created");
        assert_eq!(
            text,
            "Pod b: Created=False (Error) no such Application\nPod c: no condition Created yet: is its service running?"
        );
    }
}
