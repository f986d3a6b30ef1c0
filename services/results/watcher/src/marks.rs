//! What is written on a run: names and finalizer in one patch, marks in another, nothing else.

use fleet::Write;
use fleet::write::MetadataPatch;

use crate::keys::{self, TRUE};
use crate::memory::LogOutcome;
use crate::names::Place;
use crate::run::{Kind, Run};

/// The run stays until it is archived, and says where. `None` if it is like that already.
pub(crate) fn hold<K: Kind>(run: &Run<K>, place: &Place, with_finalizer: bool) -> Option<Write> {
    let mut patch = MetadataPatch::of(run)
        .annotation(keys::RESULT, Some(&place.result))
        .annotation(keys::RECORD, Some(&place.record));
    if with_finalizer {
        patch = patch.finalizer(K::FINALIZER);
    }
    if !run.is_done() {
        // Taken over from a PipelineRun or made by hand; it would have less archived than there is.
        for mark in [keys::STORED, keys::ARCHIVED, keys::LOG, keys::LOG_MISSING] {
            patch = patch.annotation(mark, None);
        }
    }
    patch.into_write()
}

/// It has ended, and is archived with its log.
pub(crate) fn stored<K: Kind>(run: &Run<K>, place: &Place, log: Option<&LogOutcome>) -> Option<Write> {
    let digest = run.digest().to_string();
    let mut patch = MetadataPatch::of(run)
        .annotation(keys::RESULT, Some(&place.result))
        .annotation(keys::RECORD, Some(&place.record))
        .annotation(keys::ARCHIVED, Some(&digest))
        .annotation(keys::STORED, Some(TRUE));
    if let Some(log) = log {
        patch = patch
            .annotation(keys::LOG, log.name.as_deref())
            .annotation(keys::LOG_MISSING, log.missing.as_deref());
    }
    if !place.is_top_level {
        patch = patch.annotation(keys::CHILD_READY, Some(TRUE));
    }
    patch.into_write()
}

/// The run may go.
pub(crate) fn release<K: Kind>(run: &Run<K>) -> Option<Write> {
    MetadataPatch::of(run).without_finalizer(K::FINALIZER).into_write()
}

/// Whether all that [`stored`] would write about the end is there.
pub(crate) fn is_stored<K: Kind>(run: &Run<K>, place: &Place, with_logs: bool) -> bool {
    let has_log = [keys::LOG, keys::LOG_MISSING].iter().any(|key| run.annotation(*key).is_some());
    let is_ready = place.is_top_level || run.annotation(keys::CHILD_READY) == Some(TRUE);
    run.says_stored() && is_ready && (has_log || !with_logs)
}
