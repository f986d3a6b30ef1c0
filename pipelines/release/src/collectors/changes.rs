//! `snapshot-changes`: what a release changes, in terms of components and commits.

use std::collections::BTreeMap;

use application_service_api::SnapshotSpec;
use application_service_api::snapshot::SnapshotComponent;
use serde_json::{Value, json};

/// What came, went and changed from one Snapshot to another.
///
/// `changed` has for each component its `name`, the `url` of its repository, and `from` and `to`: commits, or images of one that was
/// built of the same commit again. Few words for each: what a tenant's collectors find has to fit into a result of their run.
pub(super) fn changes(before: Option<(&str, &SnapshotSpec)>, after: (&str, &SnapshotSpec)) -> Value {
    let (after_name, after) = after;
    let old = before.map(|(_, spec)| by_name(spec)).unwrap_or_default();
    let new = by_name(after);
    let missing = |from: &BTreeMap<&str, _>, of: &BTreeMap<&str, _>| -> Vec<String> {
        of.keys().filter(|name| !from.contains_key(*name)).map(|name| (*name).to_owned()).collect()
    };
    let both = old.iter().filter_map(|(name, old)| Some((*name, *old, *new.get(name)?)));
    let (changed, unchanged): (Vec<_>, Vec<_>) = both.partition(|(_, old, new)| is_changed(old, new));
    json!({
        "from": before.map(|(name, _)| name),
        "to": after_name,
        "added": missing(&old, &new),
        "removed": missing(&new, &old),
        "changed": changed.into_iter().map(|(name, old, new)| changed_one(name, old, new)).collect::<Vec<_>>(),
        "unchanged": unchanged.len(),
    })
}

fn by_name(spec: &SnapshotSpec) -> BTreeMap<&str, &SnapshotComponent> {
    spec.components.iter().map(|component| (component.name.as_str(), component)).collect()
}

/// Repository and commit that an image was built of.
fn source(component: &SnapshotComponent) -> Option<(&str, &str)> {
    let git = component.source.as_ref()?.git.as_ref()?;
    Some((git.url.as_str(), git.revision.as_deref()?))
}

fn is_changed(old: &SnapshotComponent, new: &SnapshotComponent) -> bool {
    old.container_image != new.container_image || source(old) != source(new)
}

fn changed_one(name: &str, old: &SnapshotComponent, new: &SnapshotComponent) -> Value {
    match (source(old), source(new)) {
        (Some((old_url, from)), Some((url, to))) if old_url == url && from != to => {
            json!({"name": name, "url": url, "from": from, "to": to})
        }
        (_, new_source) => json!({
            "name": name, "url": new_source.map(|(url, _)| url), "from": old.container_image, "to": new.container_image,
        }),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn spec(components: &[(&str, &str)]) -> SnapshotSpec {
        let components: Vec<Value> = components
            .iter()
            .map(|(name, revision)| {
                json!({
                    "name": name, "containerImage": format!("r/{name}@{revision}"),
                    "source": {"git": {"url": format!("https://git.example/{name}"), "revision": revision}},
                })
            })
            .collect();
        serde_json::from_value(json!({"application": "shop", "components": components})).unwrap()
    }

    #[test]
    fn components_come_go_and_change() {
        let before = spec(&[("api", "1"), ("old", "1"), ("web", "1")]);
        let after = spec(&[("web", "1"), ("api", "2"), ("new", "1")]);
        let expected = json!({
            "from": "s1", "to": "s2", "added": ["new"], "removed": ["old"], "unchanged": 1,
            "changed": [{"name": "api", "url": "https://git.example/api", "from": "1", "to": "2"}],
        });
        assert_eq!(changes(Some(("s1", &before)), ("s2", &after)), expected);
    }

    #[test]
    fn in_a_first_release_all_components_come() {
        let expected =
            json!({"from": null, "to": "s", "added": ["api"], "removed": [], "changed": [], "unchanged": 0});
        assert_eq!(changes(None, ("s", &spec(&[("api", "1")]))), expected);
    }

    #[rstest]
    #[case::built_again(json!({"git": {"url": "https://g/a", "revision": "1"}}), json!("https://g/a"))]
    #[case::moved(json!({"git": {"url": "https://g/b", "revision": "2"}}), json!("https://g/b"))]
    #[case::by_hand(json!(null), json!(null))]
    fn where_commits_do_not_tell_images_do(#[case] source: Value, #[case] url: Value) {
        let spec = |image: &str, source: Value| -> SnapshotSpec {
            let component = json!({"name": "api", "containerImage": image, "source": source});
            serde_json::from_value(json!({ "components": [component] })).unwrap()
        };
        let before = spec("r/api@1", json!({"git": {"url": "https://g/a", "revision": "1"}}));
        let found = changes(Some(("s1", &before)), ("s2", &spec("r/api@2", source)));
        assert_eq!(
            found["changed"],
            json!([{"name": "api", "url": url, "from": "r/api@1", "to": "r/api@2"}])
        );
    }
}
