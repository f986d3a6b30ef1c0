//! Sends what waits in the spool, back end by back end.

use std::sync::Arc;

use spool::Spool;
use tokio::sync::Semaphore;

use crate::backend::Backend;
use crate::delivery::Delivery;
use crate::forward::{Attempt, Forwarder};
use crate::spray::report;

/// Repeated at once to one back end: one that returns should not be run over.
const AT_ONCE: usize = 4;

/// Sends what waits for this back end, whenever it makes sense. Never ends; what is under way when it is dropped is
/// sent again later.
pub(crate) async fn drain(backend: Arc<Backend>, spool: Spool, forwarder: Forwarder) {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut under_way = tokio::task::JoinSet::new();
    loop {
        while under_way.try_join_next().is_some() {}
        let Ok(turn) = turns.clone().acquire_owned().await else { return };
        backend.rested().await;
        let lease = spool.next(&backend.name).await;
        let (backend, forwarder) = (backend.clone(), forwarder.clone());
        under_way.spawn(async move {
            let attempt = match lease.delivery().await {
                Ok(stored) => match Delivery::from_spool(stored) {
                    Some(delivery) => forwarder.attempt(&backend, &delivery).await,
                    None => {
                        return lease
                            .bury("unreadable", "another version of sprayproxy has spooled it")
                            .await;
                    }
                },
                Err(error) => {
                    return lease
                        .bury("unreadable", format!("it cannot be read from the spool: {error}"))
                        .await;
                }
            };
            if attempt == Attempt::Taken {
                tracing::info!(
                    backend = backend.name,
                    attempts = lease.attempts,
                    "A spooled delivery was taken"
                );
            }
            report(lease, &attempt, &backend).await;
            drop(turn);
        });
    }
}
