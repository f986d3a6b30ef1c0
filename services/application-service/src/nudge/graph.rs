//! The graph of nudges: an edge from each Component to those that its builds update.

use std::collections::{HashMap, HashSet};

/// A way from `start`, whose own edges are `first`, back to itself: `[start, …, start]`. `edges` gives those of any other
/// Component, none for one that does not exist. Each Component is visited once, however many ways lead to it.
pub fn cycle(start: &str, first: &[String], edges: impl Fn(&str) -> Vec<String>) -> Option<Vec<String>> {
    let mut reached_from: HashMap<String, String> = HashMap::new();
    let mut visited: HashSet<String> = HashSet::new();
    let mut open = vec![(start.to_owned(), first.to_vec())];
    while let Some((from, targets)) = open.pop() {
        for target in targets {
            if target == start {
                return Some(path(start, from, &reached_from));
            }
            if visited.insert(target.clone()) {
                reached_from.insert(target.clone(), from.clone());
                let next = edges(&target);
                open.push((target, next));
            }
        }
    }
    None
}

fn path(start: &str, last: String, reached_from: &HashMap<String, String>) -> Vec<String> {
    let mut path = vec![start.to_owned()];
    let mut at = last;
    while at != start {
        let before = reached_from.get(&at).map_or(start, String::as_str).to_owned();
        path.push(at);
        at = before;
    }
    path.push(start.to_owned());
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn find(start: &str, edges: &[(&str, &[&str])]) -> Option<String> {
        let edges: HashMap<_, Vec<String>> = edges
            .iter()
            .map(|(from, to)| ((*from).to_owned(), to.iter().map(|name| (*name).to_owned()).collect()))
            .collect();
        let of = |name: &str| edges.get(name).cloned().unwrap_or_default();
        cycle(start, &of(start), of).map(|path| path.join(" -> "))
    }

    #[rstest]
    #[case::no_edges(&[], None)]
    #[case::chain(&[("a", &["b"][..]), ("b", &["c"])], None)]
    #[case::unknown_target(&[("a", &["nobody"][..])], None)]
    #[case::itself(&[("a", &["a"][..])], Some("a -> a"))]
    #[case::direct(&[("a", &["b"][..]), ("b", &["a"])], Some("a -> b -> a"))]
    #[case::indirect(&[("a", &["b"][..]), ("b", &["c"]), ("c", &["a"])], Some("a -> b -> c -> a"))]
    #[case::cycle_elsewhere(&[("a", &["b"][..]), ("b", &["c"]), ("c", &["b"])], None)]
    #[case::diamond(&[("a", &["b", "c"][..]), ("b", &["d"]), ("c", &["d"])], None)]
    fn finds_the_way_back(#[case] edges: &[(&str, &[&str])], #[case] expected: Option<&str>) {
        assert_eq!(find("a", edges).as_deref(), expected);
    }

    /// Scenario 14: without a visited set this takes 2^20 steps for each layer.
    #[test]
    fn visits_each_component_of_a_deep_diamond_once() {
        let visits = std::cell::Cell::new(0);
        let edges = |name: &str| {
            visits.set(visits.get() + 1);
            let layer: usize = name[1..].parse().unwrap();
            if layer == 20 { vec![] } else { vec![format!("l{}", layer + 1), format!("r{}", layer + 1)] }
        };
        let first = ["l1".to_owned(), "r1".to_owned()];
        assert_eq!(cycle("top", &first, edges), None);
        assert_eq!(visits.get(), 40);
    }

    proptest! {
        /// A path that is reported is one: each step is an edge, and it begins and ends at the start.
        #[test]
        fn reports_real_paths(edges in prop::collection::vec((0_u8..6, 0_u8..6), 0..20)) {
            let of = |name: &str| -> Vec<String> {
                let from: u8 = name.parse().unwrap();
                edges.iter().filter(|(f, _)| *f == from).map(|(_, to)| to.to_string()).collect()
            };
            if let Some(path) = cycle("0", &of("0"), of) {
                prop_assert_eq!(path.first().map(String::as_str), Some("0"));
                prop_assert_eq!(path.last().map(String::as_str), Some("0"));
                for step in path.windows(2) {
                    prop_assert!(of(&step[0]).contains(&step[1]), "{:?}", path);
                }
            }
        }
    }
}
