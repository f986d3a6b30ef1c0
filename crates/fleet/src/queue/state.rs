//! The queue as a plain data structure: no waiting, no clock.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use rand::Rng as _;

use super::{Limits, Outcome};
use crate::key::ObjectKey;

pub(super) struct State {
    limits: Limits,
    /// Namespaces that have waiting keys, in the order of their turns.
    turns: VecDeque<String>,
    namespaces: HashMap<String, Namespace>,
    /// Since when each waiting key waits.
    waiting: HashMap<ObjectKey, Instant>,
    running: HashSet<ObjectKey>,
    /// Came again while running.
    dirty: HashSet<ObjectKey>,
    delayed: BTreeSet<(Instant, ObjectKey)>,
    due: HashMap<ObjectKey, Instant>,
    failures: HashMap<ObjectKey, u32>,
}

#[derive(Default)]
struct Namespace {
    keys: VecDeque<ObjectKey>,
    running: usize,
}

impl State {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            turns: VecDeque::new(),
            namespaces: HashMap::new(),
            waiting: HashMap::new(),
            running: HashSet::new(),
            dirty: HashSet::new(),
            delayed: BTreeSet::new(),
            due: HashMap::new(),
            failures: HashMap::new(),
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn add(&mut self, key: ObjectKey, now: Instant) {
        self.cancel_delay(&key);
        if self.running.contains(&key) {
            self.dirty.insert(key);
            return;
        }
        if self.waiting.contains_key(&key) {
            return;
        }
        self.waiting.insert(key.clone(), now);
        let namespace = self.namespaces.entry(key.namespace.clone()).or_default();
        if namespace.keys.is_empty() {
            self.turns.push_back(key.namespace.clone());
        }
        namespace.keys.push_back(key);
    }

    pub(super) fn add_at(&mut self, key: ObjectKey, at: Instant) {
        if self.waiting.contains_key(&key) || self.due.get(&key).is_some_and(|due| *due <= at) {
            return;
        }
        self.cancel_delay(&key);
        self.due.insert(key.clone(), at);
        self.delayed.insert((at, key));
    }

    /// The next key and since when it waited: namespaces take turns, each within its limit.
    pub(super) fn take(&mut self, now: Instant) -> Option<(ObjectKey, Instant)> {
        self.promote_due(now);
        for _ in 0..self.turns.len() {
            let name = self.turns.pop_front()?;
            let Some(namespace) = self.namespaces.get_mut(&name) else { continue };
            if namespace.running >= self.limits.per_namespace {
                self.turns.push_back(name);
                continue;
            }
            let Some(key) = namespace.keys.pop_front() else { continue };
            namespace.running += 1;
            if !namespace.keys.is_empty() {
                self.turns.push_back(name);
            }
            let since = self.waiting.remove(&key).unwrap_or(now);
            self.running.insert(key.clone());
            return Some((key, since));
        }
        None
    }

    pub(super) fn finish(&mut self, key: &ObjectKey, outcome: Outcome, now: Instant) {
        self.running.remove(key);
        if let Some(namespace) = self.namespaces.get_mut(&key.namespace) {
            namespace.running = namespace.running.saturating_sub(1);
            if namespace.running == 0 && namespace.keys.is_empty() {
                self.namespaces.remove(&key.namespace);
            }
        }
        let delay = match outcome {
            Outcome::Retry => Some(self.back_off(key)),
            Outcome::Again(delay) => Some(delay),
            Outcome::Done => None,
        };
        if outcome != Outcome::Retry {
            self.failures.remove(key);
        }
        if self.dirty.remove(key) {
            self.add(key.clone(), now);
        } else if let Some(delay) = delay {
            self.add_at(key.clone(), now + delay);
        }
    }

    /// When the first delayed key is due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.delayed.first().map(|(at, _)| *at)
    }

    fn promote_due(&mut self, now: Instant) {
        while self.delayed.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((at, key)) = self.delayed.pop_first() {
                self.due.remove(&key);
                self.add(key, at);
            }
        }
    }

    fn cancel_delay(&mut self, key: &ObjectKey) {
        if let Some(at) = self.due.remove(key) {
            self.delayed.remove(&(at, key.clone()));
        }
    }

    /// Doubles with each failure in a row; jittered by a quarter so that what failed together does not return together.
    fn back_off(&mut self, key: &ObjectKey) -> Duration {
        let failures = self.failures.entry(key.clone()).or_insert(0);
        *failures += 1;
        let doublings = (*failures - 1).min(20);
        let delay = self.limits.first_delay.saturating_mul(1 << doublings).min(self.limits.last_delay);
        delay.mul_f64(rand::rng().random_range(0.75..1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits(per_namespace: usize) -> Limits {
        Limits { per_namespace, first_delay: Duration::from_secs(1), last_delay: Duration::from_mins(5) }
    }

    fn key(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey::new(namespace, name)
    }

    fn drain(state: &mut State, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| state.take(now).map(|(key, _)| key.to_string())).collect()
    }

    #[test]
    fn namespaces_take_turns() {
        let (mut state, now) = (State::new(limits(100)), Instant::now());
        for i in 0..3 {
            state.add(key("big", &i.to_string()), now);
        }
        state.add(key("small", "0"), now);
        assert_eq!(drain(&mut state, now), ["big/0", "small/0", "big/1", "big/2"]);
    }

    #[test]
    fn one_tenant_with_ten_thousand_keys_does_not_delay_another() {
        let (mut state, now) = (State::new(limits(3)), Instant::now());
        for i in 0..10_000 {
            state.add(key("big", &i.to_string()), now);
        }
        state.take(now);
        state.take(now);
        state.add(key("small", "0"), now);
        let soon: Vec<_> = (0..2).filter_map(|_| state.take(now)).map(|(key, _)| key.namespace).collect();
        assert!(soon.contains(&"small".to_owned()), "{soon:?}");
    }

    #[test]
    fn a_namespace_at_its_limit_leaves_workers_to_others() {
        let (mut state, now) = (State::new(limits(2)), Instant::now());
        for i in 0..5 {
            state.add(key("big", &i.to_string()), now);
        }
        assert_eq!(drain(&mut state, now), ["big/0", "big/1"]);
        state.add(key("small", "0"), now);
        assert_eq!(drain(&mut state, now), ["small/0"]);
        state.finish(&key("big", "0"), Outcome::Done, now);
        assert_eq!(drain(&mut state, now), ["big/2"]);
    }

    #[test]
    fn a_key_waits_once_and_never_runs_twice_at_a_time() {
        let (mut state, now) = (State::new(limits(9)), Instant::now());
        state.add(key("n", "a"), now);
        state.add(key("n", "a"), now);
        assert_eq!(drain(&mut state, now), ["n/a"]);
        state.add(key("n", "a"), now);
        assert_eq!(drain(&mut state, now), Vec::<String>::new(), "still running");
        state.finish(&key("n", "a"), Outcome::Done, now);
        assert_eq!(drain(&mut state, now), ["n/a"], "what came while it ran is not lost");
        state.finish(&key("n", "a"), Outcome::Done, now);
        assert_eq!(drain(&mut state, now), Vec::<String>::new());
    }

    #[test]
    fn backs_off_and_begins_anew_after_a_success() {
        let (mut state, now) = (State::new(limits(9)), Instant::now());
        let fail = |state: &mut State, now| {
            state.add(key("n", "a"), now);
            state.take(now).unwrap();
            state.finish(&key("n", "a"), Outcome::Retry, now);
            state.next_deadline().unwrap() - now
        };
        let delays: Vec<_> = (0..12).map(|_| fail(&mut state, now)).collect();
        assert!(delays[0] <= Duration::from_secs(1), "{delays:?}");
        assert!(delays[3] > delays[0] * 4, "{delays:?}");
        assert!(delays.iter().all(|delay| *delay <= Duration::from_mins(5)), "{delays:?}");
        state.add(key("n", "a"), now);
        state.take(now).unwrap();
        state.finish(&key("n", "a"), Outcome::Done, now);
        assert!(fail(&mut state, now) <= Duration::from_secs(1));
    }

    #[test]
    fn the_earlier_of_two_wakes_stays() {
        let (mut state, now) = (State::new(limits(9)), Instant::now());
        let in_secs = |s| now + Duration::from_secs(s);
        state.add_at(key("n", "a"), in_secs(10));
        state.add_at(key("n", "a"), in_secs(60));
        assert_eq!(state.next_deadline(), Some(in_secs(10)));
        state.add_at(key("n", "a"), in_secs(5));
        assert_eq!(state.next_deadline(), Some(in_secs(5)));
        assert!(state.take(in_secs(4)).is_none());
        assert_eq!(drain(&mut state, in_secs(5)), ["n/a"]);
        assert_eq!(state.next_deadline(), None);
    }

    #[test]
    fn a_change_comes_before_a_wake() {
        let (mut state, now) = (State::new(limits(9)), Instant::now());
        state.add_at(key("n", "a"), now + Duration::from_mins(1));
        state.add(key("n", "a"), now);
        assert_eq!(drain(&mut state, now), ["n/a"]);
        assert_eq!(state.next_deadline(), None, "reconciling sets its own next wake");
    }

    proptest! {
        /// Each added key is handed out after its last add, and never to two workers at once.
        #[test]
        fn loses_nothing(steps in prop::collection::vec((0_u8..3, 0_u8..4, 0_u8..3), 1..200)) {
            let now = Instant::now();
            let mut state = State::new(limits(2));
            let mut running = Vec::new();
            let mut owed: HashSet<ObjectKey> = HashSet::new();
            for (step, namespace, name) in steps {
                let named = key(&format!("n{namespace}"), &format!("k{name}"));
                match step {
                    0 => { owed.insert(named.clone()); state.add(named, now); }
                    1 => if let Some((taken, _)) = state.take(now) {
                        prop_assert!(!running.contains(&taken), "{taken} runs twice");
                        owed.remove(&taken);
                        running.push(taken);
                    },
                    _ => if let Some(done) = running.pop() { state.finish(&done, Outcome::Done, now); },
                }
            }
            while let Some(done) = running.pop() { state.finish(&done, Outcome::Done, now); }
            while let Some((taken, _)) = state.take(now) {
                owed.remove(&taken);
                state.finish(&taken, Outcome::Done, now);
            }
            prop_assert!(owed.is_empty(), "never handed out: {owed:?}");
            prop_assert!(state.namespaces.is_empty());
        }
    }
}
