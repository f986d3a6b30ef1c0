//! What is known of an object that another one names.

use std::sync::Arc;

use fleet::store::Change;
use fleet::{ObjectKey, Presence, Store, Stored};

/// Whether there is an object.
#[derive(Clone, Debug)]
pub(crate) enum Known<K> {
    There(Arc<K>),
    /// Neither it nor, perhaps, its kind.
    Missing,
    /// It may be there: its kind has not been listed yet.
    Unknown,
}

impl<K: Stored> Known<K> {
    pub(crate) fn of(store: &Store<K>, key: &ObjectKey) -> Self {
        match (store.get(key), store.presence()) {
            (Some(object), _) => Self::There(object),
            (None, Presence::Unknown) => Self::Unknown,
            (None, Presence::Absent | Presence::Listed) => Self::Missing,
        }
    }
}

/// Whether an object neither came, nor went, nor began to go.
pub(crate) fn is_there_as_before<K: Stored>(change: &Change<K>) -> bool {
    let state = |object: &Arc<K>| {
        let metadata = object.meta();
        (metadata.uid.clone(), metadata.deletion_timestamp.is_some())
    };
    change.old.as_ref().map(state) == change.new.as_ref().map(state)
}
