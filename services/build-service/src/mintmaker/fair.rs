//! Whose turn it is: hosts take turns, and so do the owners of repositories within a host, so that one with a thousand does not
//! keep another waiting that has one.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::branch::Place;

/// Runs at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) all: usize,
    pub(super) of_host: usize,
    pub(super) of_owner: usize,
}

/// Which of those that wait may begin, by their indexes: those of whom the fewest are active, up to the limits. Of one owner
/// the first go first.
pub(super) fn choose(waiting: &[Place], active: &[Place], limits: Limits) -> Vec<usize> {
    let mut of_host: HashMap<&str, usize> = HashMap::new();
    let mut of_owner: HashMap<&Place, usize> = HashMap::new();
    for place in active {
        *of_host.entry(&place.host).or_default() += 1;
        *of_owner.entry(place).or_default() += 1;
    }
    let mut hosts: BTreeMap<&str, BTreeMap<&Place, VecDeque<usize>>> = BTreeMap::new();
    for (index, place) in waiting.iter().enumerate() {
        hosts.entry(&place.host).or_default().entry(place).or_default().push_back(index);
    }
    let mut chosen = Vec::new();
    while active.len() + chosen.len() < limits.all {
        let count = |host: &str| of_host.get(host).copied().unwrap_or_default();
        let open = hosts.keys().copied().filter(|host| count(host) < limits.of_host);
        let Some(host) = open.min_by_key(|host| count(host)) else { break };
        let owners = hosts.get_mut(host);
        let next = owners.and_then(|owners| {
            let count = |place: &Place| of_owner.get(place).copied().unwrap_or_default();
            let open = owners.keys().copied().filter(|place| count(place) < limits.of_owner);
            let place = open.min_by_key(|place| count(place))?;
            let queue = owners.get_mut(place)?;
            let index = queue.pop_front()?;
            if queue.is_empty() {
                owners.remove(place);
            }
            Some((place, index))
        });
        if let Some((place, index)) = next {
            *of_host.entry(host).or_default() += 1;
            *of_owner.entry(place).or_default() += 1;
            chosen.push(index);
        }
        if next.is_none() || hosts.get(host).is_some_and(BTreeMap::is_empty) {
            hosts.remove(host);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { all: 100, of_host: 100, of_owner: 100 };

    /// `host/owner` of each.
    fn places(texts: &[&str]) -> Vec<Place> {
        let place = |text: &&str| {
            let (host, owner) = text.split_once('/').unwrap();
            Place { host: host.to_owned(), owner: owner.to_owned() }
        };
        texts.iter().map(place).collect()
    }

    fn chosen(waiting: &[&str], active: &[&str], limits: Limits) -> String {
        let indexes = choose(&places(waiting), &places(active), limits);
        indexes.iter().map(|index| waiting[*index]).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn hosts_take_turns() {
        let waiting = ["a/x", "a/x", "a/x", "b/y"];
        assert_eq!(chosen(&waiting, &[], Limits { all: 2, ..LIMITS }), "a/x b/y");
        assert_eq!(chosen(&waiting, &[], LIMITS), "a/x b/y a/x a/x");
    }

    #[test]
    fn owners_take_turns_within_a_host() {
        assert_eq!(chosen(&["a/x", "a/x", "a/x", "a/y"], &[], Limits { all: 3, ..LIMITS }), "a/x a/y a/x");
    }

    #[test]
    fn what_is_active_counts() {
        assert_eq!(chosen(&["a/x", "b/y"], &["a/x"], Limits { all: 2, ..LIMITS }), "b/y");
        assert_eq!(chosen(&["a/x", "a/y"], &["a/x"], Limits { all: 2, ..LIMITS }), "a/y");
    }

    #[test]
    fn each_limit_holds_and_those_of_one_do_not_hold_up_another() {
        let waiting = ["a/x", "a/x", "a/y", "b/z"];
        assert_eq!(chosen(&waiting, &[], Limits { of_owner: 1, ..LIMITS }), "a/x b/z a/y");
        assert_eq!(chosen(&waiting, &[], Limits { of_host: 1, ..LIMITS }), "a/x b/z");
        assert_eq!(chosen(&waiting, &["c/c"], Limits { all: 1, ..LIMITS }), "");
    }

    proptest! {
        #[test]
        fn chooses_each_once_and_as_many_as_may(
            waiting in proptest::collection::vec((0_u8..4, 0_u8..4), 0..60),
            active in proptest::collection::vec((0_u8..4, 0_u8..4), 0..20),
            all in 0_usize..50, of_host in 1_usize..20, of_owner in 1_usize..10,
        ) {
            let of = |pairs: Vec<(u8, u8)>| -> Vec<Place> {
                let place = |(host, owner): (u8, u8)| Place { host: host.to_string(), owner: owner.to_string() };
                pairs.into_iter().map(place).collect()
            };
            let (waiting, active) = (of(waiting), of(active));
            let found = choose(&waiting, &active, Limits { all, of_host, of_owner });
            let mut unique = found.clone();
            unique.sort_unstable();
            unique.dedup();
            prop_assert_eq!(unique.len(), found.len());
            let begun: Vec<&Place> = active.iter().chain(found.iter().map(|index| &waiting[*index])).collect();
            let of_host_now = |host: &str| begun.iter().filter(|place| place.host == host).count();
            let of_owner_now = |one: &Place| begun.iter().filter(|place| **place == one).count();
            for (index, place) in waiting.iter().enumerate() {
                if found.contains(&index) {
                    prop_assert!(of_host_now(&place.host) <= of_host && of_owner_now(place) <= of_owner);
                    prop_assert!(begun.len() <= all);
                } else {
                    let is_held = begun.len() >= all
                        || of_host_now(&place.host) >= of_host
                        || of_owner_now(place) >= of_owner;
                    prop_assert!(is_held, "{:?} could have begun", place);
                }
            }
        }
    }
}
