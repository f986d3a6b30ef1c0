//! Events on a Repository (spec section 7): what its owner should see of a delivery that does not come as far as to a run.

use fleet::{Event, Writer};
use pipelines_as_code_api::Repository;
use pipelines_as_code_api::events::EventReason;

/// What was tried, in all of our Events.
const ACTION: &str = "TakeDelivery";

/// Tells owners of Repositories. The same again is counted, and too much about one Repository is dropped: whoever sends nonsense
/// does not fill the cluster. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Events(Writer);

impl Events {
    /// `writer` has to write on every replica.
    pub(crate) fn new(writer: Writer) -> Self {
        Self(writer)
    }

    pub(crate) async fn warn(&self, repository: &Repository, reason: EventReason, note: &str) {
        self.tell(Event::warning(repository, reason.into(), ACTION, note)).await;
    }

    async fn tell(&self, event: Event) {
        // Fails only where this replica does not lead, which this writer never asks.
        let _ = Box::pin(self.0.apply(&[event.into()])).await;
    }
}
