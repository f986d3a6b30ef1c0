use super::*;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::core::Selector;
use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::json;

const BY_VALUE: Index = Index("value");

fn store() -> Store<ConfigMap> {
    Store::new(
        |_| {},
        vec![(
            BY_VALUE,
            Arc::new(|object: &ConfigMap| {
                let values = object.data.iter().flatten().map(|(_, value)| value.clone());
                values.map(|value| ObjectKey::of(object).sibling(value)).collect()
            }),
        )],
    )
}

fn synced() -> Store<ConfigMap> {
    let store = store();
    store.mark_synced();
    store
}

fn object(name: &str, version: u64, value: &str) -> ConfigMap {
    serde_json::from_value(json!({
        "metadata": {"namespace": "n", "name": name, "resourceVersion": version.to_string()},
        "data": {"v": value},
    }))
    .unwrap()
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("n", name)
}

fn value(store: &Store<ConfigMap>, name: &str) -> Option<String> {
    store.get(&key(name)).map(|object| object.data.as_ref().unwrap()["v"].clone())
}

fn names(store: &Store<ConfigMap>, value: &str) -> Vec<String> {
    store.indexed(BY_VALUE, &key(value)).iter().map(|object| object.name_any()).collect()
}

/// Key and whether it is there, for each notification.
fn record(store: &Store<ConfigMap>) -> Arc<Mutex<Vec<(String, bool)>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    store.subscribe(move |change| sink.lock().push((change.key.name.clone(), change.new.is_some())));
    seen
}

/// dependencies.md section 3, trap 1: with kube's shared streams, an object created and deleted before the subscriber
/// looks stops every later event.
#[test]
fn an_object_that_vanishes_at_once_stops_nobody() {
    let store = store();
    let seen = record(&store);
    store.apply(object("gone", 1, "a"));
    store.delete(&object("gone", 2, "a"));
    for i in 0..10 {
        store.apply(object(&format!("x{i}"), 3 + i, "a"));
    }
    let seen = seen.lock();
    assert_eq!(seen[..2], [("gone".to_owned(), true), ("gone".to_owned(), false)]);
    assert_eq!(seen.len(), 12);
}

#[test]
fn follows_the_index_when_a_value_changes() {
    let store = store();
    store.apply(object("a", 1, "red"));
    store.apply(object("b", 2, "red"));
    assert_eq!(names(&store, "red"), ["a", "b"]);
    store.apply(object("a", 3, "blue"));
    assert_eq!((names(&store, "red"), names(&store, "blue")), (vec!["b".into()], vec!["a".into()]));
    store.delete(&object("b", 4, "red"));
    assert!(names(&store, "red").is_empty());
}

#[test]
fn a_change_of_nothing_but_the_version_notifies_nobody_and_is_kept() {
    let store = store();
    store.apply(object("a", 1, "x"));
    let seen = record(&store);
    store.apply(object("a", 2, "x"));
    assert!(seen.lock().is_empty());
    assert_eq!(store.get(&key("a")).unwrap().resource_version().unwrap(), "2");
}

#[test]
fn our_own_write_is_read_before_the_watch_reports_it() {
    let store = synced();
    store.apply(object("a", 1, "old"));
    store.written(object("a", 5, "new"));
    assert_eq!(value(&store, "a").unwrap(), "new");
    store.apply(object("a", 3, "older"));
    assert_eq!(value(&store, "a").unwrap(), "new", "an event from before our write is stale");
}

#[test]
fn a_late_answer_to_a_write_does_not_revive_a_deleted_object() {
    let store = synced();
    store.apply(object("a", 1, "x"));
    store.delete(&object("a", 7, "x"));
    store.written(object("a", 5, "y"));
    assert_eq!(value(&store, "a"), None);
    store.apply(object("a", 9, "again"));
    assert_eq!(value(&store, "a").unwrap(), "again", "a new object of the same name is another one");
}

#[test]
fn removing_the_last_finalizer_is_a_deletion() {
    let store = synced();
    store.apply(object("a", 1, "x"));
    let mut gone = object("a", 2, "x");
    gone.metadata.deletion_timestamp = Some(serde_json::from_value(json!("2024-01-01T00:00:00Z")).unwrap());
    store.written(gone);
    assert_eq!(value(&store, "a"), None);
}

#[test]
fn a_list_removes_what_it_lacks_but_not_what_we_made_meanwhile() {
    let store = synced();
    store.apply(object("stays", 1, "x"));
    store.apply(object("went", 2, "x"));
    let list = store.begin_list();
    store.list(object("stays", 1, "x"), list);
    store.written(object("ours", 9, "x"));
    let seen = record(&store);
    store.finish_list(&Scope::All, list, 5);
    assert_eq!(*seen.lock(), [("went".to_owned(), false)]);
    assert_eq!(store.len(), 2);
}

/// A list answered from a cache that lags behind says nothing about what came later; what it knows of is judged by it.
#[test]
fn a_list_older_than_the_store_drops_nothing_newer() {
    let store = synced();
    store.apply(object("older", 3, "x"));
    store.apply(object("came-later", 7, "x"));
    store.apply(object("changed-later", 8, "new"));
    let seen = record(&store);
    let list = store.begin_list();
    store.list(object("changed-later", 2, "old"), list);
    store.finish_list(&Scope::All, list, 5);
    assert_eq!(*seen.lock(), [("older".to_owned(), false)]);
    assert_eq!(value(&store, "changed-later").unwrap(), "new");
    // The next list is newer than all of them.
    let list = store.begin_list();
    store.list(object("changed-later", 8, "new"), list);
    store.finish_list(&Scope::All, list, 9);
    assert_eq!(store.keys(), [key("changed-later")]);
}

/// A store with a selector takes what we write by the same rule as its watch.
#[test]
fn an_answer_to_a_write_comes_in_only_if_the_watch_would_report_it() {
    let watch = Watch { labels: Selector::from_iter([("mine", "yes")]), ..Watch::default() };
    let scopes = vec![Scope::Namespace("n".into())];
    let store: Store<ConfigMap> = Store::of_watch(scopes, watch, |_| {}, Vec::new());
    store.mark_synced();
    let labelled = |name: &str, version, value: &str| {
        let mut object = object(name, version, "x");
        object.metadata.labels = Some([("mine".to_owned(), value.to_owned())].into());
        object
    };
    store.written(labelled("mine", 1, "yes"));
    store.written(labelled("theirs", 2, "no"));
    store.written(object("bare", 3, "x"));
    let mut elsewhere = labelled("elsewhere", 4, "yes");
    elsewhere.metadata.namespace = Some("other".into());
    store.written(elsewhere);
    assert_eq!(store.keys(), [key("mine")]);
    store.written(labelled("mine", 5, "no"));
    assert!(store.is_empty(), "given away by our own write");
}

/// Only the API server knows which objects match a field selector.
#[test]
fn with_a_field_selector_a_new_object_comes_with_the_watch() {
    let watch = Watch { fields: "data.v=x".into(), ..Watch::default() };
    let store: Store<ConfigMap> = Store::of_watch(vec![Scope::All], watch, |_| {}, Vec::new());
    store.mark_synced();
    store.written(object("a", 1, "x"));
    assert!(store.is_empty());
    store.apply(object("a", 1, "x"));
    store.written(object("a", 2, "y"));
    assert_eq!(value(&store, "a").unwrap(), "y");
}

#[test]
fn a_list_of_one_namespace_says_nothing_about_another() {
    let store = synced();
    store.apply(object("a", 1, "x"));
    let list = store.begin_list();
    store.finish_list(&Scope::Namespace("other".into()), list, 9);
    assert_eq!(store.len(), 1);
}

#[test]
fn an_absent_kind_is_not_an_empty_one() {
    let store = store();
    let presences = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&presences);
    store.subscribe_presence(move |presence| sink.lock().push(presence));
    assert_eq!((store.presence(), store.is_synced()), (Presence::Unknown, false));
    store.set_absent();
    store.set_absent();
    assert_eq!((store.presence(), store.is_synced()), (Presence::Absent, true));

    // It appears: nothing is known again, but what waited for the store need not wait a second time.
    let list = store.begin_list();
    assert_eq!((store.presence(), store.is_synced()), (Presence::Unknown, true));
    store.list(object("a", 1, "x"), list);
    store.finish_list(&Scope::All, list, 1);
    store.mark_synced();
    assert_eq!(store.presence(), Presence::Listed);

    let seen = record(&store);
    store.set_absent();
    assert_eq!(*seen.lock(), [("a".to_owned(), false)]);
    assert!(names(&store, "x").is_empty());
    assert_eq!(*presences.lock(), [Presence::Absent, Presence::Listed, Presence::Absent]);
}

#[test]
fn without_versions_the_last_to_arrive_wins() {
    let store = synced();
    let unversioned = |value| {
        let mut object = object("a", 1, value);
        object.metadata.resource_version = None;
        object
    };
    store.apply(unversioned("x"));
    store.apply(unversioned("y"));
    assert_eq!(value(&store, "a").unwrap(), "y");
}

#[test]
fn holds_no_managed_fields() {
    let store = store();
    let mut object = object("a", 1, "x");
    object.metadata.managed_fields = Some(vec![Default::default()]);
    store.apply(object);
    assert_eq!(store.get(&key("a")).unwrap().metadata.managed_fields, None);
}

proptest! {
    /// Whatever order events arrive in, the store ends with the newest of each, and its index agrees with it.
    #[test]
    fn ends_with_the_newest(mut events in prop::collection::vec((0_u8..4, 0_u8..3, any::<bool>()), 1..60)) {
        let store = synced();
        let mut newest = HashMap::new();
        // Each event gets its own version, then half of them swap places.
        let mut numbered: Vec<_> = events.drain(..).zip(1_u64..).collect();
        for pair in numbered.chunks_mut(2) { pair.reverse(); }
        for ((name, value, is_delete), version) in numbered {
            let object = object(&format!("o{name}"), version, &format!("v{value}"));
            if is_delete { store.delete(&object) } else { store.apply(object) }
            let latest = newest.entry(name).or_insert((version, is_delete, value));
            if version > latest.0 { *latest = (version, is_delete, value); }
        }
        for (name, (_, is_delete, expected)) in newest {
            let found = value(&store, &format!("o{name}"));
            prop_assert_eq!(&found, &(!is_delete).then(|| format!("v{expected}")));
            if let Some(value) = found {
                let found = names(&store, &value);
                let expected = format!("o{name}");
                prop_assert!(found.contains(&expected), "{:?}", found);
            }
        }
    }
}
