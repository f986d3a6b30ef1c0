//! What is being done, for whoever has to say where time ran out.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// What is done with each image now.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<BTreeMap<String, &'static str>>);

impl Progress {
    pub(super) fn begin(&self, image: &str, stage: &'static str) {
        tracing::debug!(image, stage, "Judging");
        self.0.lock().insert(image.to_owned(), stage);
    }

    pub(super) fn end(&self, image: &str) {
        self.0.lock().remove(image);
    }

    /// `stage (image)` of each.
    pub(super) fn now(&self) -> Vec<String> {
        self.0.lock().iter().map(|(image, stage)| format!("{stage} ({image})")).collect()
    }
}
