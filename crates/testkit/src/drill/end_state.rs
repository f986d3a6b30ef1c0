//! What a run leaves behind, in a form in which two runs can be compared.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};

use super::{PREFIX, Tenant};
use crate::faults::collection;
use crate::ledger::Call;

/// What differs between any two runs.
const VOLATILE: [&str; 5] = ["uid", "resourceVersion", "creationTimestamp", "managedFields", "selfLink"];
/// What a node gives to each pod and container anew, wherever it stands in an object.
const OF_A_NODE: [&str; 3] = ["containerID", "podIP", "podIPs"];
/// Kinds that are no part of the result: Events tell of the way.
const TRANSIENT: [&str; 1] = ["events"];

/// What stands for names that the service gave.
const MADE: &str = "(made by the service)";

/// Length of the hash at the end of a name that is derived from another one.
const DERIVED: usize = 10;

/// All objects of the kinds that the service asked for, in the tenant's namespace; and which objects, whatever is in
/// them, the service keeps in its own.
#[derive(Debug)]
pub(super) struct EndState {
    /// Pretty JSON of each, sorted; one that is there twice is here twice.
    objects: Vec<String>,
    home: BTreeSet<String>,
}

impl EndState {
    /// Reads the state after these calls of the service.
    pub(super) async fn read<'a>(
        tenant: &Tenant,
        home: &str,
        calls: impl Iterator<Item = &'a Call>,
    ) -> anyhow::Result<Self> {
        let tenant_name: &str = tenant;
        let mut collections = BTreeSet::new();
        let (mut made, mut there, mut others) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for call in calls {
            let Some(target) = &call.target else { continue };
            let Some(namespace) = &target.namespace else { continue };
            if TRANSIENT.contains(&target.resource.as_str()) {
                continue;
            }
            // A call of another run was about that run's namespaces.
            let Some(path) = collection(call) else { continue };
            let is_home = !is_tenant(namespace);
            let here = if is_home { home } else { tenant_name };
            collections.insert((is_home, path.replacen(namespace.as_str(), here, 1)));
            if is_home {
                continue;
            }
            // What a killed process has made is there when the next one makes it, which then reads it.
            let is_found = there.contains(&target.resource)
                && !others.contains(&(target.resource.clone(), target.name.clone()));
            match call.verb.as_str() {
                "create" if call.code == 409 => _ = there.insert(target.resource.clone()),
                "create" | "get" if call.is_ok() && (call.verb == "create" || is_found) => {
                    made.extend(target.name.clone());
                    there.remove(&target.resource);
                }
                // Read before anything like it was made: somebody else's.
                "get" if call.is_ok() => _ = others.insert((target.resource.clone(), target.name.clone())),
                _ => {}
            }
        }
        let admin = tenant.admin();
        let mut state = Self { objects: Vec::new(), home: BTreeSet::new() };
        let mut objects = Vec::new();
        for (is_home, path) in collections {
            for object in list(&admin, &path).await? {
                if is_home {
                    state.home.insert(format!("{} {}", plural(&path), name(&object)));
                } else {
                    objects.push((plural(&path).to_owned(), object));
                }
            }
        }
        let unseen = objects.iter().map(|(_, object)| name(object)).filter(|name| is_derived(name, &made));
        let made = made.iter().map(String::as_str).chain(unseen).map(str::to_owned).collect();
        let words = Words::new(tenant_name, &made, &objects);
        state.objects = objects.into_iter().map(|(plural, object)| words.normal(&plural, object)).collect();
        state.objects.sort();
        Ok(state)
    }

    /// Fails with what `other` lacks and has too much.
    pub(super) fn compare(&self, other: &Self) -> anyhow::Result<()> {
        let missing = without(&self.objects, &other.objects);
        let additional = without(&other.objects, &self.objects);
        ensure!(
            missing.is_empty() && additional.is_empty(),
            "it ends elsewhere than the calm run.\n--- only in the calm run\n{}\n--- only here\n{}",
            missing.join("\n"),
            additional.join("\n")
        );
        ensure!(
            self.home == other.home,
            "it keeps other objects in its own namespace: {:?}; in the calm run: {:?}",
            other.home,
            self.home
        );
        Ok(())
    }
}

/// Whether a namespace is the tenant's of some repetition.
fn is_tenant(namespace: &str) -> bool {
    namespace.strip_prefix(PREFIX).is_some_and(|rest| rest.starts_with('-'))
}

/// Whether a name is another one that the service gave, and a hash. A process that is killed at one write may have another under way:
/// what that makes is there, though nobody saw the answer.
fn is_derived(name: &str, made: &BTreeSet<String>) -> bool {
    let is_hash = |text: &str| {
        text.len() == DERIVED && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
    };
    made.iter().any(|made| {
        name.strip_prefix(made.as_str()).and_then(|rest| rest.strip_prefix('-')).is_some_and(is_hash)
    })
}

/// The elements of `all` that are left when each of `taken` takes one away.
fn without(all: &[String], taken: &[String]) -> Vec<String> {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for element in taken {
        *count.entry(element).or_default() += 1;
    }
    let is_left = |element: &&String| match count.get_mut(element.as_str()) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        _ => true,
    };
    all.iter().filter(is_left).cloned().collect()
}

async fn list(client: &Client, path: &str) -> anyhow::Result<Vec<Value>> {
    let request = http::Request::get(path).body(Vec::new())?;
    let mut list: Value = client.request(request).await.with_context(|| format!("list {path}"))?;
    match list["items"].take() {
        Value::Array(items) => Ok(items),
        _ => Ok(Vec::new()),
    }
}

fn plural(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// The words that stand for others in this run.
struct Words<'a> {
    tenant: &'a str,
    /// Names that the service gave, which may be derived from uids.
    made: &'a BTreeSet<String>,
    /// What each uid belongs to.
    owners: BTreeMap<String, String>,
}

impl<'a> Words<'a> {
    fn new(tenant: &'a str, made: &'a BTreeSet<String>, objects: &[(String, Value)]) -> Self {
        let mut words = Self { tenant, made, owners: BTreeMap::new() };
        for (plural, object) in objects {
            if let Some(uid) = object["metadata"]["uid"].as_str() {
                let owner = format!("(uid of {plural} {})", words.text(name(object)));
                words.owners.insert(uid.to_owned(), owner);
            }
        }
        words
    }

    fn normal(&self, plural: &str, mut object: Value) -> String {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.retain(|key, _| !VOLATILE.contains(&key.as_str()));
            for owner in
                metadata.get_mut("ownerReferences").and_then(Value::as_array_mut).into_iter().flatten()
            {
                // The garbage collector would take the object.
                if let Some(uid) = owner["uid"].as_str()
                    && !self.owners.contains_key(uid)
                {
                    owner["uid"] = "(uid of nothing here)".into();
                }
            }
        }
        object["resource"] = json!(plural);
        self.rewrite(&mut object);
        format!("{object:#}")
    }

    fn rewrite(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(list) => list.iter_mut().for_each(|value| self.rewrite(value)),
            Value::Object(map) => {
                map.retain(|key, _| !OF_A_NODE.contains(&key.as_str()));
                map.values_mut().for_each(|value| self.rewrite(value));
            }
            _ => {}
        }
    }

    fn text(&self, text: &str) -> String {
        if self.made.contains(text) {
            return MADE.to_owned();
        }
        if text.parse::<Timestamp>().is_ok() {
            return "(time)".to_owned();
        }
        let mut text = text.replace(self.tenant, "(tenant)");
        for (uid, owner) in &self.owners {
            if text.contains(uid) {
                text = text.replace(uid, owner);
            }
        }
        // Within other text only what no word of a language is: a name with a hash at its end.
        for name in self.made.iter().rev().filter(|name| name.contains('-')) {
            if text.contains(name) {
                text = text.replace(name, MADE);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thing with a child that the service made, in a run with these names.
    fn run(tenant: &str, uid: &str, child: &str, children: usize) -> EndState {
        let thing = json!({
            "metadata": {"name": "thing", "namespace": tenant, "uid": uid, "resourceVersion": "7"},
            "status": {
                "child": child, "at": "2024-01-01T00:00:00Z", "text": format!("{uid} in {tenant}"),
                "podIP": format!("198.18.0.{}", uid.len()), "steps": [{"terminated": {"containerID": uid.repeat(2)}}],
            },
        });
        let child = json!({
            "metadata": {"name": child, "uid": format!("{uid}-child"), "ownerReferences": [{"uid": uid}]},
        });
        let made = BTreeSet::from([name(&child).to_owned()]);
        let mut objects = vec![("things".to_owned(), thing)];
        objects.extend(vec![("children".to_owned(), child); children]);
        let words = Words::new(tenant, &made, &objects);
        let mut objects: Vec<_> =
            objects.iter().map(|(plural, object)| words.normal(plural, object.clone())).collect();
        objects.sort();
        EndState { objects, home: BTreeSet::new() }
    }

    #[test]
    fn runs_that_differ_in_names_times_and_nodes_only_are_the_same() {
        run("drill-a", "1111", "thing-x7f", 1).compare(&run("drill-b", "22222", "thing-q3z", 1)).unwrap();
    }

    #[test]
    fn a_name_is_derived_by_a_hash() {
        let made = BTreeSet::from(["shop-3meazyz65l".to_owned()]);
        assert!(is_derived("shop-3meazyz65l-khmzstytac", &made));
        for other in
            ["shop-3meazyz65l", "shop-3meazyz65l-child", "shop-khmzstytac", "shop-3meazyz65l-khmzstyta1"]
        {
            assert!(!is_derived(other, &made), "{other}");
        }
    }

    #[test]
    fn a_second_child_is_one_too_many_and_none_is_one_too_few() {
        let calm = run("drill-a", "1111", "thing-x7f", 1);
        let error = calm.compare(&run("drill-b", "2222", "thing-q3z", 2)).unwrap_err().to_string();
        assert!(error.split("--- only here").nth(1).is_some_and(|here| here.contains("children")), "{error}");
        let error = calm.compare(&run("drill-b", "2222", "thing-q3z", 0)).unwrap_err().to_string();
        assert!(error.split("--- only here").next().is_some_and(|calm| calm.contains("children")), "{error}");
    }

    #[test]
    fn an_owner_that_is_gone_is_seen() {
        let made = BTreeSet::new();
        let orphan = json!({"metadata": {"name": "child", "ownerReferences": [{"uid": "gone"}]}});
        let words = Words::new("drill-a", &made, &[]);
        assert!(words.normal("children", orphan).contains("(uid of nothing here)"));
    }
}
