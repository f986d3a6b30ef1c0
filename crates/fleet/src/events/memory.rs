//! What was told already, within bounds.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Events that are remembered, and objects whose budget is. Beyond it the longest unseen half is forgotten: a forgotten Event
/// is found again by its name.
const CAPACITY: usize = 4096;

/// New Events of one object at once, and how often there is one more: as client-go has it.
const BURST: u32 = 25;
const REFILL: Duration = Duration::from_mins(5);

/// What goes on is told at least so often; the API server forgets an Event after an hour.
const REFRESH: Duration = Duration::from_mins(30);

/// What to do about an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The first of its kind.
    Create,
    /// Tell the API server that it happened so often.
    Count(u32),
    /// It was told often enough.
    Remember,
    /// Too much was told about this object.
    Drop,
}

#[derive(Default)]
pub(super) struct Memory {
    series: HashMap<String, Series>,
    budgets: HashMap<String, Budget>,
}

struct Series {
    count: u32,
    told: Instant,
    seen: Instant,
}

/// Tokens of an object at a time.
struct Budget {
    tokens: u32,
    at: Instant,
}

impl Memory {
    /// Counts the Event `id` about the object `uid`.
    pub(super) fn tell(&mut self, id: &str, uid: &str, now: Instant) -> Step {
        if let Some(series) = self.series.get_mut(id) {
            series.count = series.count.saturating_add(1);
            series.seen = now;
            // Rarer and rarer, so that an error which is met every few minutes costs next to nothing.
            if series.count.is_power_of_two() || now.duration_since(series.told) >= REFRESH {
                series.told = now;
                return Step::Count(series.count);
            }
            return Step::Remember;
        }
        if !self.spend(uid, now) {
            return Step::Drop;
        }
        forget_older_half(&mut self.series, |series| series.seen);
        self.series.insert(id.to_owned(), Series { count: 1, told: now, seen: now });
        Step::Create
    }

    /// Whether one more new Event may be told about the object.
    pub(super) fn spend(&mut self, uid: &str, now: Instant) -> bool {
        if !self.budgets.contains_key(uid) {
            forget_older_half(&mut self.budgets, |budget| budget.at);
        }
        let budget = self.budgets.entry(uid.to_owned()).or_insert(Budget { tokens: BURST, at: now });
        let due = now.duration_since(budget.at).as_secs() / REFILL.as_secs();
        let refill = u32::try_from(due).unwrap_or(BURST).min(BURST);
        budget.tokens = (budget.tokens + refill).min(BURST);
        // What is left of a period counts on.
        budget.at = if budget.tokens == BURST { now } else { budget.at + REFILL * refill };
        let Some(left) = budget.tokens.checked_sub(1) else { return false };
        budget.tokens = left;
        true
    }

    /// It was told so often before this process began.
    pub(super) fn resume(&mut self, id: &str, count: u32) {
        if let Some(series) = self.series.get_mut(id) {
            series.count = count;
        }
    }

    /// It could not be told.
    pub(super) fn forget(&mut self, id: &str) {
        self.series.remove(id);
    }
}

fn forget_older_half<K: Eq + Hash, V>(entries: &mut HashMap<K, V>, seen: impl Fn(&V) -> Instant) {
    if entries.len() < CAPACITY {
        return;
    }
    let mut times: Vec<Instant> = entries.values().map(&seen).collect();
    let (_, median, _) = times.select_nth_unstable(CAPACITY / 2);
    let median = *median;
    entries.retain(|_, entry| seen(entry) > median);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_told_at_powers_of_two() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        let steps: Vec<_> = (0..9).map(|_| memory.tell("id", "u", now)).collect();
        let expected = [
            Step::Create,
            Step::Count(2),
            Step::Remember,
            Step::Count(4),
            Step::Remember,
            Step::Remember,
            Step::Remember,
            Step::Count(8),
            Step::Remember,
        ];
        assert_eq!(steps, expected);
        let writes = (0..100_000).filter(|_| memory.tell("id", "u", now) != Step::Remember).count();
        assert!(writes < 20, "{writes} for a hundred thousand");
    }

    #[test]
    fn what_goes_on_is_told_before_it_is_forgotten() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        for _ in 0..5 {
            memory.tell("id", "u", now);
        }
        assert_eq!(memory.tell("id", "u", now + REFRESH), Step::Count(6));
    }

    #[test]
    fn one_object_has_a_budget_of_new_events() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        let told = |memory: &mut Memory, from: usize, at| {
            (from..from + 100).filter(|i| memory.tell(&i.to_string(), "u", at) == Step::Create).count()
        };
        assert_eq!(told(&mut memory, 0, now), 25);
        assert_eq!(memory.tell("other", "v", now), Step::Create, "another object has its own");
        assert_eq!(told(&mut memory, 1000, now + REFILL * 3), 3);
        assert_eq!(told(&mut memory, 2000, now + REFILL * 3 + REFILL / 2), 0);
        assert_eq!(told(&mut memory, 3000, now + REFILL * 4), 1);
        assert_eq!(told(&mut memory, 4000, now + REFILL * 1000), 25);
    }

    #[test]
    fn memory_is_bounded_and_keeps_the_newer() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        for i in 0..CAPACITY * 3 {
            let at = now + Duration::from_millis(i as u64);
            memory.tell(&i.to_string(), &i.to_string(), at);
            assert!(memory.series.len() <= CAPACITY && memory.budgets.len() <= CAPACITY);
        }
        let last = (CAPACITY * 3 - 1).to_string();
        assert_eq!(memory.tell(&last, &last, now + Duration::from_mins(1)), Step::Count(2));
    }

    #[test]
    fn what_failed_is_told_anew_and_what_was_told_before_is_counted_on() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        memory.tell("id", "u", now);
        memory.forget("id");
        assert_eq!(memory.tell("id", "u", now), Step::Create);
        memory.resume("id", 7);
        assert_eq!(memory.tell("id", "u", now), Step::Count(8));
    }
}
