use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { pushes: 4, pull_requests: 2, pushes_per_component: 0 };

/// Of a push, made at that minute; named after it.
fn push(minute: u32) -> Entry {
    Entry {
        name: format!("s{minute:03}"),
        created: Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute.into()),
        built: String::new(),
        is_push: true,
        component: Some("web".to_owned()),
        pull_request: None,
        content: None,
        is_untouchable: false,
    }
}

fn pull_request(minute: u32, number: u32) -> Entry {
    Entry { is_push: false, pull_request: Some(PullRequest::numbered(number)), ..push(minute) }
}

fn surplus(entries: Vec<Entry>, needed: &Needed, limits: Limits) -> Vec<String> {
    choose(entries, needed, limits).into_iter().map(|entry| entry.name).collect()
}

fn bound(names: &[&str]) -> Needed {
    Needed { bound: names.iter().map(|name| (*name).to_owned()).collect(), ..Needed::default() }
}

#[test]
fn the_newest_of_each_class_stay() {
    let entries = (1..=6).map(push).chain((11..=14).map(|minute| pull_request(minute, minute)));
    assert_eq!(surplus(entries.collect(), &Needed::default(), LIMITS), ["s012", "s011", "s002", "s001"]);
}

#[test]
fn what_was_made_in_the_same_second_goes_by_when_it_was_built() {
    let built = |name: &str, at: &str| Entry { name: name.to_owned(), built: at.to_owned(), ..push(1) };
    let entries = vec![built("a", "1700000002"), built("b", "1700000001")];
    assert_eq!(surplus(entries, &Needed::default(), Limits { pushes: 1, ..LIMITS }), ["b"]);
}

#[test]
fn what_is_bound_stays_and_counts() {
    let entries = (1..=6).map(push).collect();
    assert_eq!(surplus(entries, &bound(&["s001", "s006"]), LIMITS), ["s003", "s002"]);
}

#[test]
fn what_is_needed_stays_even_if_it_is_too_much() {
    let entries = (1..=3).map(push).collect();
    let limits = Limits { pushes: 1, ..LIMITS };
    assert_eq!(surplus(entries, &bound(&["s001", "s002"]), limits), ["s003"]);
}

#[test]
fn what_is_untouchable_stays_and_counts() {
    let mut entries: Vec<Entry> = (1..=5).map(push).collect();
    entries[0].is_untouchable = true;
    assert_eq!(surplus(entries, &Needed::default(), LIMITS), ["s002"]);
}

#[test]
fn each_component_keeps_some_pushes() {
    let mut entries: Vec<Entry> = (1..=6).map(push).collect();
    for entry in &mut entries[..3] {
        entry.component = Some("quiet".to_owned());
    }
    let limits = Limits { pushes: 0, pushes_per_component: 2, ..LIMITS };
    assert_eq!(surplus(entries, &Needed::default(), limits), ["s004", "s001"]);
}

#[test]
fn a_component_keeps_no_pull_request_beyond_the_limit() {
    let entries = (1..=3).map(|minute| pull_request(minute, minute)).collect();
    let limits = Limits { pushes_per_component: 3, ..LIMITS };
    assert_eq!(surplus(entries, &Needed::default(), limits), ["s001"]);
}

#[test]
fn the_newest_with_what_a_candidate_list_holds_stays() {
    let mut entries: Vec<Entry> = (1..=6).map(push).collect();
    for entry in &mut entries[..2] {
        entry.content = Some("hash".to_owned());
    }
    let needed = Needed { candidates: BTreeSet::from(["hash".to_owned()]), ..Needed::default() };
    assert_eq!(surplus(entries, &needed, LIMITS), ["s003", "s001"]);
}

#[test]
fn of_pull_requests_those_with_a_newer_snapshot_go_first() {
    let entries = vec![pull_request(1, 7), pull_request(2, 8), pull_request(3, 9), pull_request(4, 9)];
    assert_eq!(surplus(entries, &Needed::default(), LIMITS), ["s003", "s001"]);
}

#[test]
fn of_pull_requests_those_of_other_components_are_not_older() {
    let mut entries = vec![pull_request(1, 7), pull_request(2, 9), pull_request(3, 9)];
    entries[2].component = Some("other".to_owned());
    assert_eq!(surplus(entries, &Needed::default(), LIMITS), ["s001"]);
}

#[test]
fn of_pull_requests_those_that_were_merged_go_first() {
    let merged = Entry { pull_request: Some(PullRequest::numbered(9)), ..push(5) };
    let entries = vec![pull_request(1, 7), pull_request(2, 8), pull_request(3, 9), merged];
    assert_eq!(surplus(entries, &Needed::default(), LIMITS), ["s003"]);
}

prop_compose! {
    fn any_entry()(minute in 0..40_u32, is_push: bool, number in 0..4_u32, component in 0..3_u8, is_untouchable in prop::bool::weighted(0.1)) -> Entry {
        let mut entry = pull_request(minute, number);
        (entry.is_push, entry.is_untouchable) = (is_push, is_untouchable);
        entry.component = Some(component.to_string());
        entry
    }
}

proptest! {
    /// Whatever there is: what is needed stays, as much as is allowed stays, and a second look finds nothing more.
    #[test]
    fn settles(entries in prop::collection::vec(any_entry(), 0..40), pushes in 0..10_usize, pull_requests in 0..10_usize, per_component in 0..3_usize) {
        let mut entries = entries;
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        entries.dedup_by(|one, other| one.name == other.name);
        let limits = Limits { pushes, pull_requests, pushes_per_component: per_component };
        let needed = bound(&["s001", "s002"]);
        let gone: BTreeSet<String> = surplus(entries.clone(), &needed, limits).into_iter().collect();
        prop_assert!(entries.iter().all(|entry| !gone.contains(&entry.name) || !(entry.is_untouchable || needed.bound.contains(&entry.name))));
        let left: Vec<Entry> = entries.iter().filter(|entry| !gone.contains(&entry.name)).cloned().collect();
        for (is_push, limit) in [(true, pushes), (false, pull_requests)] {
            let count = |all: &[Entry]| all.iter().filter(|entry| entry.is_push == is_push).count();
            prop_assert!(count(&left) >= limit.min(count(&entries)));
        }
        prop_assert_eq!(choose(left, &needed, limits), vec![]);
    }
}
