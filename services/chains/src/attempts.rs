//! What this process remembers of runs between two looks at them. A restart forgets it and loses nothing but time.

use std::collections::HashMap;
use std::sync::Arc;

use fleet::ObjectKey;
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::record::Record;

/// By the run's place; what another run of the same name has left does not count.
#[derive(Default)]
pub(crate) struct Attempts(Mutex<HashMap<ObjectKey, Attempt>>);

/// Of one run.
#[derive(Clone, Default)]
pub(crate) struct Attempt {
    uid: String,
    /// Failures in a row.
    pub(crate) failures: u32,
    /// Pause after the last one.
    pub(crate) not_before: Option<Timestamp>,
    /// All is signed and stored, and could not be written on the run yet.
    pub(crate) unrecorded: Option<Arc<Record>>,
}

impl Attempts {
    pub(crate) fn of(&self, key: &ObjectKey, uid: &str) -> Attempt {
        self.0.lock().get(key).filter(|attempt| attempt.uid == uid).cloned().unwrap_or_default()
    }

    /// Another try comes after a pause.
    pub(crate) fn failed(&self, key: &ObjectKey, uid: &str, not_before: Timestamp) {
        self.change(key, uid, |attempt| {
            attempt.failures = attempt.failures.saturating_add(1);
            attempt.not_before = Some(not_before);
        });
    }

    /// What is left to do is this write.
    pub(crate) fn unrecorded(&self, key: &ObjectKey, uid: &str, record: Arc<Record>) {
        self.change(key, uid, |attempt| {
            attempt.not_before = None;
            attempt.unrecorded = Some(record);
        });
    }

    fn change(&self, key: &ObjectKey, uid: &str, change: impl FnOnce(&mut Attempt)) {
        let mut attempt = self.of(key, uid);
        uid.clone_into(&mut attempt.uid);
        change(&mut attempt);
        self.0.lock().insert(key.clone(), attempt);
    }

    pub(crate) fn forget(&self, key: &ObjectKey) {
        self.0.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_run_of_the_same_name_begins_anew() {
        let (attempts, key) = (Attempts::default(), ObjectKey::new("n", "r"));
        for _ in 0..3 {
            attempts.failed(&key, "one", Timestamp::UNIX_EPOCH);
        }
        assert_eq!(attempts.of(&key, "one").failures, 3);
        assert_eq!(attempts.of(&key, "two").failures, 0);
        attempts.forget(&key);
        assert_eq!(attempts.of(&key, "one").failures, 0);
    }
}
