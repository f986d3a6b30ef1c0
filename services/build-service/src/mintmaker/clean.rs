//! Which commit of a branch was looked through without trouble, and when: what has not changed since is left out for a while.
//! Sixteen ConfigMaps hold it, by the first digit of the branch's hash, so that none gets too large.

use fleet::write::PatchKind;
use fleet::{ObjectKey, Store, Write};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;
use serde_json::{Map, Value, json};

use super::progress::PURPOSE;

/// [`PURPOSE`] of these ConfigMaps.
const CLEAN: &str = "clean-runs";

/// What is so old is forgotten.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// `<commit> <Unix time>`
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry<'a> {
    commit: &'a str,
    at: Timestamp,
}

impl<'a> Entry<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (commit, at) = text.split_once(' ')?;
        Some(Self { commit, at: Timestamp::from_second(at.parse().ok()?).ok()? })
    }
}

/// Where it is noted for a branch.
pub(super) fn key(namespace: &str, hash: &str) -> ObjectKey {
    let digit = hash.chars().next().unwrap_or('0');
    ObjectKey::new(namespace, format!("mintmaker-{CLEAN}-{digit}"))
}

/// Whether the branch was looked through at this commit less than `age` ago.
pub(super) fn is_unchanged(
    store: &Store<ConfigMap>,
    namespace: &str,
    hash: &str,
    commit: &str,
    age: SignedDuration,
    now: Timestamp,
) -> bool {
    let map = store.get(&key(namespace, hash));
    let text = map.as_ref().and_then(|map| map.data.as_ref()?.get(hash));
    let entry = text.and_then(|text| Entry::parse(text));
    entry.is_some_and(|entry| entry.commit == commit && now.duration_since(entry.at) < age)
}

/// The ConfigMap for a branch, before anything is noted there.
pub(super) fn begin(key: &ObjectKey) -> Write {
    Write::create(&ConfigMap {
        metadata: ObjectMeta {
            name: Some(key.name.clone()),
            namespace: Some(key.namespace.clone()),
            labels: Some([(PURPOSE.into(), CLEAN.to_owned())].into()),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    })
}

/// Notes that a branch was looked through at this commit, and forgets what is old. `None` if it says so already.
pub(super) fn note(map: &ConfigMap, hash: &str, commit: &str, at: Timestamp) -> Option<Write> {
    let text = format!("{commit} {}", at.as_second());
    let current = map.data.as_ref();
    if current.and_then(|data| data.get(hash)) == Some(&text) {
        return None;
    }
    let is_old = |text: &String| Entry::parse(text).is_none_or(|entry| at.duration_since(entry.at) > KEPT);
    let old = current.into_iter().flatten().filter(|(_, text)| is_old(text));
    let mut data: Map<String, Value> = old.map(|(hash, _)| (hash.clone(), Value::Null)).collect();
    data.insert(hash.to_owned(), json!(text));
    Some(Write::patch(map, PatchKind::Merge, json!({ "data": data })))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const COMMIT: &str = "8cc5aef17d528ca5ab893dd430004fec8bf9beaa";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn map(data: &[(&str, &str)]) -> ConfigMap {
        serde_json::from_value(json!({
            "metadata": {"name": "mintmaker-clean-runs-a", "namespace": "mintmaker", "uid": "u", "resourceVersion": "1"},
            "data": data.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect::<Map<_, _>>(),
        }))
        .unwrap()
    }

    #[rstest]
    #[case::same_commit(COMMIT, 1_000_500, true)]
    #[case::another_commit("other", 1_000_500, false)]
    #[case::too_long_ago(COMMIT, 1_000_000 + 3601, false)]
    fn unchanged(#[case] commit: &str, #[case] now: i64, #[case] expected: bool) {
        let store: Store<ConfigMap> = Store::new(|_| {}, Vec::new());
        store.apply(map(&[("abc", &format!("{COMMIT} 1000000"))]));
        let hour = SignedDuration::from_hours(1);
        assert_eq!(is_unchanged(&store, "mintmaker", "abc", commit, hour, at(now)), expected);
        assert!(
            !is_unchanged(&store, "mintmaker", "aaa", commit, hour, at(now)),
            "of another branch nothing is known"
        );
        assert!(!is_unchanged(&store, "mintmaker", "abc", commit, SignedDuration::ZERO, at(now)));
    }

    #[test]
    fn notes_once_and_forgets_what_is_old() {
        let map = map(&[("abc", &format!("{COMMIT} 1000000")), ("old", "x 1"), ("bad", "?")]);
        assert_eq!(note(&map, "abc", COMMIT, at(1_000_000)), None);
        let Some(Write::Patch(patch)) = note(&map, "aff", COMMIT, at(1_000_000)) else { panic!("no patch") };
        assert_eq!(patch.body["data"], json!({"aff": format!("{COMMIT} 1000000"), "old": null, "bad": null}));
    }
}
