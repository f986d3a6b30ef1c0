//! Who waits for what, in memory. No I/O, no clock: time is given.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Names a delivery's file. Ascending in the order of acceptance.
pub(crate) type Id = u64;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of all deliveries together.
    pub bytes: u64,
    /// Number of deliveries.
    pub count: usize,
    /// A delivery that nobody has taken for so long is given up.
    pub age: Duration,
    /// Tries per consumer, after which a delivery is given up for it.
    pub attempts: u32,
    pub backoff: Backoff,
}

impl Default for Limits {
    /// 1 GiB, 10,000 deliveries, a day, 12 tries within some 20 minutes.
    fn default() -> Self {
        Self {
            bytes: 1024 * 1024 * 1024,
            count: 10_000,
            age: Duration::from_hours(24),
            attempts: 12,
            backoff: Backoff::default(),
        }
    }
}

/// Pauses between tries: doubled each time, and random between half and all of it, so that many do not return together.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    pub first: Duration,
    pub longest: Duration,
}

impl Default for Backoff {
    /// 1 s, growing to 5 min (security.md 8.8).
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_mins(5) }
    }
}

impl Backoff {
    /// Before try number `attempt`, of which the first retry is 1.
    pub fn pause(&self, attempt: u32) -> Duration {
        let full = self.first.saturating_mul(1 << attempt.saturating_sub(1).min(20)).min(self.longest);
        full.mul_f64(rand::random_range(0.5..=1.0))
    }
}

/// One delivery.
pub(crate) struct Entry {
    pub(crate) key: Arc<str>,
    pub(crate) received: Timestamp,
    pub(crate) size: u64,
    /// Who has not taken it yet.
    waiting: Vec<Waiting>,
}

struct Waiting {
    consumer: Arc<str>,
    attempts: u32,
    due: Due,
}

/// When a consumer is given a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    At(Instant),
    /// Somebody is at it.
    Leased,
}

#[derive(Default)]
struct Consumer {
    /// What waits for its time, soonest first, and of those the oldest.
    due: BTreeSet<(Instant, Id)>,
    /// Those in `due` and those that are leased.
    count: usize,
    changed: Arc<Notify>,
}

/// What [`Queue::next`] found.
pub(crate) enum Next {
    /// Leased now, with the number of tries so far.
    Found { id: Id, attempts: u32 },
    /// Nothing before this moment, if there is one.
    Wait(Option<Instant>),
}

/// What is left of a delivery after a consumer is through with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Others wait for it.
    Others,
    /// Nobody: its file can go.
    Nobody,
}

/// Why nothing more is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    Bytes,
    Count,
}

#[derive(Default)]
pub(crate) struct Queue {
    entries: BTreeMap<Id, Entry>,
    keys: HashMap<Arc<str>, Vec<Id>>,
    consumers: HashMap<Arc<str>, Consumer>,
    last: Id,
    /// Of entries, and of those that are being written.
    bytes: u64,
    writing: usize,
}

impl Queue {
    /// A name and room for a delivery that is about to be written. To be followed by `insert` or `give_back`.
    pub(crate) fn reserve(&mut self, size: u64, limits: &Limits) -> Result<Id, Full> {
        if self.entries.len() + self.writing >= limits.count {
            return Err(Full::Count);
        }
        if self.bytes.saturating_add(size) > limits.bytes {
            return Err(Full::Bytes);
        }
        self.bytes += size;
        self.writing += 1;
        self.last += 1;
        Ok(self.last)
    }

    pub(crate) fn give_back(&mut self, size: u64) {
        self.bytes -= size;
        self.writing -= 1;
    }

    /// Adds what was reserved and written.
    pub(crate) fn insert<'a>(
        &mut self,
        id: Id,
        entry: (Arc<str>, Timestamp, u64),
        waiting: impl IntoIterator<Item = (&'a str, u32, Due)>,
    ) {
        let (key, received, size) = entry;
        let waiting: Vec<Waiting> = waiting
            .into_iter()
            .map(|(name, attempts, due)| {
                let name = self.name_of(name);
                let consumer = self.consumers.entry(name.clone()).or_default();
                consumer.count += 1;
                if let Due::At(at) = due {
                    consumer.due.insert((at, id));
                    consumer.changed.notify_waiters();
                }
                Waiting { consumer: name, attempts, due }
            })
            .collect();
        self.keys.entry(key.clone()).or_default().push(id);
        self.entries.insert(id, Entry { key, received, size, waiting });
        self.writing -= 1;
    }

    /// Adds what an earlier process left, which no limit refuses any more.
    pub(crate) fn restore<'a>(
        &mut self,
        id: Id,
        entry: (Arc<str>, Timestamp, u64),
        waiting: impl IntoIterator<Item = (&'a str, u32, Due)>,
    ) {
        self.last = self.last.max(id);
        self.bytes += entry.2;
        self.writing += 1;
        self.insert(id, entry, waiting);
    }

    /// One allocation per consumer, not per delivery.
    fn name_of(&self, name: &str) -> Arc<str> {
        self.consumers.get_key_value(name).map_or_else(|| Arc::from(name), |(name, _)| name.clone())
    }

    /// Whether a delivery of this key already waits for the consumer.
    pub(crate) fn waits(&self, key: &str, consumer: &str) -> bool {
        self.find(key, consumer).is_some()
    }

    fn find(&self, key: &str, consumer: &str) -> Option<(Id, Due)> {
        self.keys.get(key)?.iter().find_map(|id| {
            let waiting =
                self.entries.get(id)?.waiting.iter().find(|waiting| &*waiting.consumer == consumer)?;
            Some((*id, waiting.due))
        })
    }

    /// Leases a delivery of this key that waits for the consumer and that nobody is at.
    pub(crate) fn take(&mut self, key: &str, consumer: &str) -> Option<Id> {
        let (id, Due::At(_)) = self.find(key, consumer)? else { return None };
        self.lease(id, consumer)?;
        Some(id)
    }

    /// Told whenever something new waits for the consumer.
    pub(crate) fn changes(&mut self, name: &str) -> Arc<Notify> {
        let name = self.name_of(name);
        self.consumers.entry(name).or_default().changed.clone()
    }

    /// Leases what is due for the consumer, the longest first.
    pub(crate) fn next(&mut self, name: &str, now: Instant) -> Next {
        let first = self.consumers.get(name).and_then(|consumer| consumer.due.first().copied());
        match first {
            Some((at, id)) if at <= now => {
                self.lease(id, name).map_or(Next::Wait(None), |attempts| Next::Found { id, attempts })
            }
            first => Next::Wait(first.map(|(at, _)| at)),
        }
    }

    fn lease(&mut self, id: Id, name: &str) -> Option<u32> {
        let waiting =
            self.entries.get_mut(&id)?.waiting.iter_mut().find(|waiting| &*waiting.consumer == name)?;
        if let Due::At(at) = std::mem::replace(&mut waiting.due, Due::Leased) {
            self.consumers.get_mut(name)?.due.remove(&(at, id));
        }
        Some(waiting.attempts)
    }

    /// Ends a lease: the delivery waits again. With `failed` this counts as a try.
    pub(crate) fn back(&mut self, id: Id, name: &str, at: Instant, failed: bool) -> Option<u32> {
        let waiting =
            self.entries.get_mut(&id)?.waiting.iter_mut().find(|waiting| &*waiting.consumer == name)?;
        waiting.attempts += u32::from(failed);
        waiting.due = Due::At(at);
        let attempts = waiting.attempts;
        let consumer = self.consumers.get_mut(name)?;
        consumer.due.insert((at, id));
        consumer.changed.notify_waiters();
        Some(attempts)
    }

    /// The consumer is through with it, in whatever way.
    pub(crate) fn settle(&mut self, id: Id, name: &str) -> Option<Left> {
        let entry = self.entries.get_mut(&id)?;
        let index = entry.waiting.iter().position(|waiting| &*waiting.consumer == name)?;
        let Waiting { due, .. } = entry.waiting.swap_remove(index);
        if let Some(consumer) = self.consumers.get_mut(name) {
            consumer.count -= 1;
            if let Due::At(at) = due {
                consumer.due.remove(&(at, id));
            }
        }
        if !entry.waiting.is_empty() {
            return Some(Left::Others);
        }
        let entry = self.entries.remove(&id)?;
        self.bytes -= entry.size;
        if let Some(ids) = self.keys.get_mut(&entry.key) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.keys.remove(&entry.key);
            }
        }
        Some(Left::Nobody)
    }

    pub(crate) fn entry(&self, id: Id) -> Option<&Entry> {
        self.entries.get(&id)
    }

    pub(crate) fn attempts(&self, id: Id, name: &str) -> Option<u32> {
        let waiting = &self.entries.get(&id)?.waiting;
        waiting.iter().find(|waiting| &*waiting.consumer == name).map(|waiting| waiting.attempts)
    }

    /// Deliveries that were received before this moment, with those who wait and are not at them.
    pub(crate) fn older_than(&self, age: Duration, now: Timestamp) -> Vec<(Id, Arc<str>)> {
        let Ok(age) = SignedDuration::try_from(age) else { return Vec::new() };
        // In order of acceptance, but for a clock that was set back: then they are found later.
        let old = self.entries.iter().take_while(|(_, entry)| now.duration_since(entry.received) > age);
        old.flat_map(|(id, entry)| {
            let idle = entry.waiting.iter().filter(|waiting| waiting.due != Due::Leased);
            idle.map(|waiting| (*id, waiting.consumer.clone()))
        })
        .collect()
    }

    /// All that waits for a consumer and that nobody is at.
    pub(crate) fn waiting_for(&self, name: &str) -> Vec<Id> {
        self.consumers
            .get(name)
            .map(|consumer| consumer.due.iter().map(|(_, id)| *id).collect())
            .unwrap_or_default()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.entries.values().next().map(|entry| entry.received)
    }

    pub(crate) fn count(&self, consumer: &str) -> usize {
        self.consumers.get(consumer).map_or(0, |consumer| consumer.count)
    }

    pub(crate) fn counts(&self) -> Vec<(String, usize)> {
        self.consumers.iter().map(|(name, consumer)| (name.to_string(), consumer.count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_mins(5) };
        for (attempt, longest) in [(1, 1), (2, 2), (5, 16), (9, 256), (10, 300), (4_000_000, 300)] {
            let pause = backoff.pause(attempt);
            let longest = Duration::from_secs(longest);
            assert!(pause >= longest / 2 && pause <= longest, "{attempt}: {pause:?}");
        }
    }
}
