//! What this process remembers of runs between two looks at them. A restart forgets it and loses nothing but calls.

use std::collections::{BTreeMap, HashMap};

use fleet::ObjectKey;
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::document::Digest;

/// By the run's place; what another run of the same name has left does not count.
#[derive(Default)]
pub(crate) struct Memories(Mutex<HashMap<ObjectKey, Memory>>);

/// Of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Memory {
    uid: String,
    /// The state that the archive has, as it said itself.
    pub(crate) archived: Option<Digest>,
    pub(crate) archived_at: Option<Timestamp>,
    /// The last try to archive has failed.
    pub(crate) failed: bool,
    /// Version of the Record.
    pub(crate) etag: Option<String>,
    /// The Result, as far as it is known.
    pub(crate) result: Option<ResultSeen>,
    /// The log is settled.
    pub(crate) log: Option<LogOutcome>,
    /// Since when it was tried to store the log.
    pub(crate) log_since: Option<Timestamp>,
}

/// A Result, as the API answered it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ResultSeen {
    pub(crate) uid: String,
    pub(crate) etag: String,
    pub(crate) annotations: BTreeMap<String, String>,
    /// Encoded: it is only compared.
    pub(crate) summary: Option<Vec<u8>>,
    /// Record that the summary is about.
    pub(crate) about: String,
}

/// How it ended with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogOutcome {
    /// Name of the Log, if there is one.
    pub(crate) name: Option<String>,
    /// Why it is not there, or not all of it.
    pub(crate) missing: Option<String>,
}

impl Memories {
    pub(crate) fn of(&self, key: &ObjectKey, uid: &str) -> Memory {
        self.0.lock().get(key).filter(|memory| memory.uid == uid).cloned().unwrap_or_default()
    }

    pub(crate) fn change(&self, key: &ObjectKey, uid: &str, change: impl FnOnce(&mut Memory)) {
        let mut memories = self.0.lock();
        let memory = memories.entry(key.clone()).or_default();
        if memory.uid != uid {
            *memory = Memory { uid: uid.to_owned(), ..Memory::default() };
        }
        change(memory);
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
        let (memories, key) = (Memories::default(), ObjectKey::new("n", "r"));
        memories.change(&key, "one", |memory| memory.failed = true);
        assert!(memories.of(&key, "one").failed && !memories.of(&key, "two").failed);
        memories.change(&key, "two", |memory| memory.etag = Some("e".into()));
        assert!(!memories.of(&key, "two").failed);
        memories.forget(&key);
        assert_eq!(memories.of(&key, "two").etag, None);
    }
}
