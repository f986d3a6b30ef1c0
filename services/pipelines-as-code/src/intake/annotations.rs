//! Requests in annotations of Repositories, put into the queue (contracts.md, decision 19).

use std::collections::BTreeMap;

use fleet::ObjectKey;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use pipelines_as_code_api::{IncomingOutcome, IncomingRequest};

use super::Queue;
use crate::incoming;
use crate::watch::incoming::{Intake, NotTaken, Outcomes};

/// Takes what is asked for by annotations, and tells the outcome of what is over already.
pub(crate) struct Annotations {
    pub(crate) queue: Queue,
    pub(crate) outcomes: Outcomes,
}

impl Intake for Annotations {
    fn put<'a>(
        &'a self,
        repository: &'a ObjectKey,
        request: &'a IncomingRequest,
    ) -> BoxFuture<'a, Result<(), NotTaken>> {
        async move {
            let record = self.queue.record();
            let delivery = incoming::of_annotation(repository, request, record.now());
            if record.has_started(&delivery.key()) {
                // Its run may be gone by now, and nobody else would know.
                let labels = BTreeMap::from([("delivery".to_owned(), delivery.id.clone())]);
                let found = record.search(repository, labels, 1).await.unwrap_or_default();
                let run = found.first().and_then(|outcome| outcome.labels.get("runs")).cloned();
                let outcome = IncomingOutcome { id: request.id.clone(), pipeline_run: run, message: None };
                self.outcomes.know(repository.clone(), outcome);
                return Ok(());
            }
            self.queue.put(&delivery).await.map_err(|error| NotTaken(error.to_string()))
        }
        .boxed()
    }
}
