//! An API server in memory, for tests of `decide` functions: what a decision writes is what the next one observes.
//!
//! It knows what decisions depend on: uids, versions, generations, finalizers, field ownership of status, and refusals of
//! stale writes. What needs schemas, admission or garbage collection is tested against the real one.

use std::collections::{BTreeMap, BTreeSet};

use fleet::Write;
use fleet::write::{Create, Delete, Patch, StatusApply, Target};
use kube::Resource;
use kube::core::ApiResource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// How many rounds of decisions a test world may need to settle; a controller that needs more runs in circles.
const MAX_ROUNDS: usize = 50;

/// Group, kind, namespace, name.
type Key = (String, String, String, String);

/// Objects by kind and name. Two worlds are equal if their objects are, whatever number of writes led there.
#[derive(Clone, Debug, Default)]
pub struct World {
    objects: BTreeMap<Key, Value>,
    /// Status fields, and `list/type` for conditions, that each manager has applied.
    owned: BTreeMap<(Key, &'static str), BTreeSet<String>>,
    /// How often an object of each name was made: part of its uid.
    incarnations: BTreeMap<Key, usize>,
    version: u64,
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        let without_versions = |world: &Self| {
            let mut objects = world.objects.clone();
            for object in objects.values_mut() {
                object["metadata"]["resourceVersion"] = Value::Null;
            }
            objects
        };
        without_versions(self) == without_versions(other)
    }
}

impl World {
    /// Makes an object, as a user or another service would. Gives it uid, version and generation.
    pub fn insert<K: Resource<DynamicType = ()> + Serialize>(&mut self, object: &K) {
        let Write::Create(create) = Write::create(object) else { return };
        self.create(&create.resource, create.object);
    }

    pub fn get<K: Resource<DynamicType = ()> + DeserializeOwned>(
        &self,
        namespace: &str,
        name: &str,
    ) -> Option<K> {
        self.objects.get(&key_of::<K>(namespace, name)).map(parse)
    }

    /// All objects of a kind in a namespace, by name.
    pub fn list<K: Resource<DynamicType = ()> + DeserializeOwned>(&self, namespace: &str) -> Vec<K> {
        let (group, kind, ..) = key_of::<K>("", "");
        self.objects
            .iter()
            .filter(|(key, _)| key.0 == group && key.1 == kind && key.2 == namespace)
            .map(|(_, object)| parse(object))
            .collect()
    }

    /// Changes an object, as a user would: a changed spec is a new generation.
    ///
    /// # Panics
    /// When there is no such object.
    pub fn edit<K>(&mut self, namespace: &str, name: &str, change: impl FnOnce(&mut K))
    where
        K: Resource<DynamicType = ()> + Serialize + DeserializeOwned,
    {
        let mut object: K = self.get(namespace, name).expect("the object that is edited exists");
        change(&mut object);
        let after = serde_json::to_value(&object).expect("API types serialize to JSON");
        self.replace(&key_of::<K>(namespace, name), after);
    }

    /// Deletes an object, as a user would: one with finalizers stays until they are gone.
    pub fn remove<K: Resource<DynamicType = ()>>(&mut self, namespace: &str, name: &str) {
        self.delete(&key_of::<K>(namespace, name));
    }

    /// Carries out writes as the kit's writer does: in order, and the first that is refused stops the rest.
    pub fn apply(&mut self, writes: &[Write]) {
        for write in writes {
            let is_done = match write {
                Write::Create(create) => self.create_or_adopt(create),
                Write::Patch(patch) => self.patch(patch),
                Write::Status(apply) => self.apply_status(apply),
                Write::Delete(Delete { target }) => self.delete_exactly(target),
                // What users are told is no state.
                Write::Event(_) => true,
            };
            if !is_done {
                return;
            }
        }
    }

    /// Decides and applies until nothing is left to write.
    ///
    /// # Panics
    /// When that never comes to an end.
    pub fn settle(&mut self, mut decide: impl FnMut(&Self) -> Vec<Write>) {
        let mut last = Vec::new();
        for _ in 0..MAX_ROUNDS {
            let mut writes = decide(self);
            writes.retain(|write| !matches!(write, Write::Event(_)));
            if writes.is_empty() {
                return;
            }
            self.apply(&writes);
            last = writes;
        }
        assert!(last.is_empty(), "still writing after {MAX_ROUNDS} rounds: {last:#?}");
    }

    fn create(&mut self, resource: &ApiResource, mut object: Value) -> Key {
        let key = key_in(resource, &object);
        let incarnation = self.incarnations.entry(key.clone()).or_default();
        *incarnation += 1;
        let uid = format!("{}/{}/{}/{incarnation}", key.1, key.2, key.3);
        self.owned.retain(|(owner, _), _| *owner != key);
        self.version += 1;
        object["metadata"]["uid"] = json!(uid);
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        object["metadata"]["generation"] = json!(1);
        self.objects.insert(key.clone(), object);
        key
    }

    fn create_or_adopt(&mut self, create: &Create) -> bool {
        let names = std::iter::once(&create.key.name).chain(&create.alternative);
        for name in names {
            let mut object = create.object.clone();
            object["metadata"]["name"] = json!(name);
            match self.objects.get(&key_in(&create.resource, &object)) {
                None => {
                    self.create(&create.resource, object);
                    return true;
                }
                Some(found) if is_same_purpose(&object, found) => return true,
                Some(_) => {}
            }
        }
        false
    }

    fn patch(&mut self, patch: &Patch) -> bool {
        let key = key_to(&patch.target);
        let Some(object) = self.objects.get(&key) else { return false };
        let asked = &patch.body["metadata"];
        let is_stale = |field: &str| !asked[field].is_null() && asked[field] != object["metadata"][field];
        if is_stale("uid") || is_stale("resourceVersion") {
            return false;
        }
        let mut after = object.clone();
        merge(&mut after, &patch.body);
        self.replace(&key, after);
        true
    }

    fn apply_status(&mut self, apply: &StatusApply) -> bool {
        let key = key_to(&apply.target);
        let Some(object) = self.objects.get(&key) else { return false };
        if object["metadata"]["uid"] != json!(apply.target.uid) {
            return false;
        }
        if apply
            .version
            .as_ref()
            .is_some_and(|version| object["metadata"]["resourceVersion"] != json!(version))
        {
            return false;
        }
        let mut after = object.clone();
        let mut status = after["status"].as_object().cloned().unwrap_or_default();
        let mut now_owned = BTreeSet::new();
        for (field, value) in &apply.fields {
            merge_applied(&mut status, field, value, &mut now_owned);
        }
        let manager = (key.clone(), apply.manager.as_str());
        for path in self.owned.remove(&manager).unwrap_or_default().difference(&now_owned) {
            remove_applied(&mut status, path);
        }
        for field in &apply.cleared {
            status.remove(*field);
        }
        self.owned.insert(manager, now_owned);
        after["status"] = status.into();
        self.replace(&key, after);
        true
    }

    fn delete_exactly(&mut self, target: &Target) -> bool {
        let key = key_to(target);
        if self.objects.get(&key).is_some_and(|object| object["metadata"]["uid"] == json!(target.uid)) {
            self.delete(&key);
        }
        true
    }

    fn delete(&mut self, key: &Key) {
        let Some(object) = self.objects.get(key) else { return };
        let mut after = object.clone();
        after["metadata"]["deletionTimestamp"] = json!("2024-03-01T12:30:00Z");
        self.replace(key, after);
    }

    /// Stores what an object has become, or drops it when nothing keeps it any more.
    fn replace(&mut self, key: &Key, mut after: Value) {
        let Some(before) = self.objects.get(key) else { return };
        let is_gone = !after["metadata"]["deletionTimestamp"].is_null()
            && after["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty);
        if is_gone {
            self.objects.remove(key);
            return;
        }
        self.version += 1;
        after["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if before["spec"] != after["spec"] {
            let generation = before["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
            after["metadata"]["generation"] = json!(generation);
        }
        self.objects.insert(key.clone(), after);
    }
}

/// Conditions, and other lists of objects with a `type`, are merged by it; anything else is replaced.
fn merge_applied(status: &mut Map<String, Value>, field: &str, value: &Value, owned: &mut BTreeSet<String>) {
    let entries = value.as_array().filter(|list| list.iter().all(|entry| entry["type"].is_string()));
    let Some(entries) = entries else {
        owned.insert(field.to_owned());
        status.insert(field.to_owned(), value.clone());
        return;
    };
    let list = status.entry(field.to_owned()).or_insert_with(|| json!([]));
    let Value::Array(list) = list else { return };
    for entry in entries {
        owned.insert(format!("{field}/{}", entry["type"].as_str().unwrap_or_default()));
        match list.iter_mut().find(|other| other["type"] == entry["type"]) {
            Some(other) => *other = entry.clone(),
            None => list.push(entry.clone()),
        }
    }
}

fn remove_applied(status: &mut Map<String, Value>, path: &str) {
    match path.split_once('/') {
        None => {
            status.remove(path);
        }
        Some((field, type_)) => {
            if let Some(Value::Array(list)) = status.get_mut(field) {
                list.retain(|entry| entry["type"] != type_);
            }
        }
    }
}

/// RFC 7386.
fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            if let Value::Object(into) = into {
                into.remove(key);
            }
        } else {
            merge(&mut into[key.as_str()], value);
        }
    }
}

fn is_same_purpose(wanted: &Value, found: &Value) -> bool {
    let (wanted, found) = (&wanted["metadata"], &found["metadata"]);
    let owner_uids = |metadata: &Value| -> BTreeSet<String> {
        let owners = metadata["ownerReferences"].as_array().into_iter().flatten();
        owners.filter_map(|owner| owner["uid"].as_str().map(str::to_owned)).collect()
    };
    let cause = "fleet.konflux-ci.dev/cause";
    owner_uids(wanted).is_subset(&owner_uids(found))
        && wanted["labels"]
            .as_object()
            .into_iter()
            .flatten()
            .all(|(key, value)| found["labels"][key.as_str()] == *value)
        && wanted["annotations"][cause] == found["annotations"][cause]
}

fn parse<K: DeserializeOwned>(object: &Value) -> K {
    serde_json::from_value(object.clone()).expect("objects of a world have the type that they were made with")
}

fn key_of<K: Resource<DynamicType = ()>>(namespace: &str, name: &str) -> Key {
    (K::group(&()).into_owned(), K::kind(&()).into_owned(), namespace.to_owned(), name.to_owned())
}

fn key_to(target: &Target) -> Key {
    let resource = &target.resource;
    (resource.group.clone(), resource.kind.clone(), target.key.namespace.clone(), target.key.name.clone())
}

fn key_in(resource: &ApiResource, object: &Value) -> Key {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (resource.group.clone(), resource.kind.clone(), text("namespace"), text("name"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleet::{FieldManager, MetadataPatch};
    use fleet_api::Finalizer;
    use k8s_openapi::api::core::v1::{ConfigMap, Pod};

    fn config_map(name: &str) -> ConfigMap {
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "n"}})).unwrap()
    }

    fn get(world: &World, name: &str) -> ConfigMap {
        world.get("n", name).unwrap()
    }

    #[test]
    fn refuses_a_stale_patch_and_stops_there() {
        let mut world = World::default();
        world.insert(&config_map("a"));
        let stale = get(&world, "a");
        world.edit::<ConfigMap>("n", "a", |map| map.immutable = Some(true));
        let writes = [Write::merge(&stale, json!({"data": {"k": "v"}})), Write::delete(&stale)];
        world.apply(&writes);
        assert_eq!(get(&world, "a").data, None);
    }

    #[test]
    fn a_finalizer_keeps_an_object_until_it_is_removed() {
        const OURS: Finalizer = Finalizer::new("example.com/ours");
        let mut world = World::default();
        world.insert(&config_map("a"));
        world.apply(&[MetadataPatch::of(&get(&world, "a")).finalizer(OURS).into_write().unwrap()]);
        world.remove::<ConfigMap>("n", "a");
        let going = get(&world, "a");
        assert!(going.metadata.deletion_timestamp.is_some());
        world.apply(&[MetadataPatch::of(&going).without_finalizer(OURS).into_write().unwrap()]);
        assert!(world.get::<ConfigMap>("n", "a").is_none());
    }

    #[test]
    fn applying_leaves_the_fields_and_conditions_of_others() {
        let mut world = World::default();
        let pod = json!({"metadata": {"name": "p", "namespace": "n"}});
        world.insert(&serde_json::from_value::<Pod>(pod).unwrap());
        let apply = |world: &World, manager, fields: Value| {
            let pod: Pod = world.get("n", "p").unwrap();
            Write::Status(StatusApply {
                target: Target::of(&pod),
                manager: FieldManager::new(manager),
                fields: fields.as_object().unwrap().clone(),
                cleared: vec![],
                transitions: vec![],
                version: None,
            })
        };
        let condition = |type_: &str| json!({"type": type_, "status": "True"});
        let first = apply(&world, "one", json!({"phase": "Running", "conditions": [condition("A")]}));
        world.apply(&[first]);
        let second = apply(&world, "two", json!({"message": "m", "conditions": [condition("B")]}));
        world.apply(&[second]);
        let third = apply(&world, "one", json!({"reason": "r"}));
        world.apply(&[third]);
        let pod: Pod = world.get("n", "p").unwrap();
        let status = serde_json::to_value(pod.status).unwrap();
        assert_eq!(status, json!({"reason": "r", "message": "m", "conditions": [condition("B")]}));
    }

    #[test]
    fn creating_twice_is_creating_once() {
        let mut world = World::default();
        let create = Write::create(&config_map("a"));
        world.apply(&[create.clone(), create]);
        assert_eq!(world.list::<ConfigMap>("n").len(), 1);
    }

    #[test]
    fn a_new_object_of_an_old_name_is_another_one() {
        let mut world = World::default();
        world.insert(&config_map("a"));
        let old = get(&world, "a");
        world.remove::<ConfigMap>("n", "a");
        world.insert(&config_map("a"));
        world.apply(&[Write::delete(&old)]);
        assert!(world.get::<ConfigMap>("n", "a").is_some());
    }
}
