//! Components of a Snapshot and of a mapping, joined by name.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Map, Value};

/// By name.
pub(super) type Components = BTreeMap<String, Map<String, Value>>;

/// More than a Snapshot can have.
const MAX_COMPONENTS: usize = 2000;

/// Reads a list of components. A name that stands twice would be released twice, each time differently.
pub(super) fn components(list: &Value, what: &str) -> anyhow::Result<Components> {
    let list = match list {
        Value::Null => &Vec::new(),
        Value::Array(list) => list,
        _ => bail!("{what}: expected a list of objects with a name"),
    };
    ensure!(list.len() <= MAX_COMPONENTS, "{what}: {} entries, more than {MAX_COMPONENTS}", list.len());
    let mut components = Components::new();
    for (at, component) in list.iter().enumerate() {
        let object = component.as_object().with_context(|| format!("{what}[{at}]: expected an object"))?;
        let name = object.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let name = name.with_context(|| format!("{what}[{at}].name: expected the name of a Component"))?;
        if components.insert(name.to_owned(), object.clone()).is_some() {
            bail!("{what}: {name:?} stands there twice; leave one of them");
        }
    }
    Ok(components)
}

/// The components that are in both, with what the mapping says in place of what the Snapshot says.
pub(super) fn join(snapshot: &Components, mapping: &Components) -> Components {
    let both = snapshot.iter().filter_map(|(name, component)| Some((name, component, mapping.get(name)?)));
    both.map(|(name, component, over)| {
        let mut merged = Value::Object(component.clone());
        merge(&mut merged, &Value::Object(over.clone()));
        let merged = if let Value::Object(merged) = merged { merged } else { Map::new() };
        (name.clone(), merged)
    })
    .collect()
}

/// Objects are merged, all else is replaced, lists too.
fn merge(value: &mut Value, over: &Value) {
    match (value, over) {
        (Value::Object(value), Value::Object(over)) => {
            for (key, over) in over {
                merge(value.entry(key).or_insert(Value::Null), over);
            }
        }
        (value, over) => value.clone_from(over),
    }
}

/// Fails unless all that is released, and where to, is the Snapshot's or the admission's word: credentials of a release team must
/// not push where a tenant points, nor what the tenant puts in place of the Snapshot's image.
pub(super) fn check_destinations(
    mapped: &Components,
    snapshot: &Components,
    admission: &Components,
) -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for (name, component) in mapped {
        let own = admission.get(name);
        for field in ["repository", "repositories", "publicRepository", "containerImage"] {
            let Some(value) = component.get(field) else { continue };
            let is_of =
                |other: Option<&Map<String, Value>>| other.and_then(|other| other.get(field)) == Some(value);
            let is_snapshots = field == "containerImage" && is_of(snapshot.get(name));
            if !is_of(own) && !is_snapshots {
                faults.push(format!(
                    "data.mapping: {field} of component {name:?} is not what the ReleasePlanAdmission says; only that may set it"
                ));
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { bail!("{}", faults.join("\n")) }
}
