//! How many work with one forge at once. Whoever finds no room comes again, so that a slow forge does not keep the workers
//! that others need.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::failure::Failure;

/// Somewhat fewer than the calls that the way out has to permit (`--outbound-calls-per-host`). GitHub takes a hundred at once.
pub(super) const AT_ONCE: usize = 96;

/// How long somebody waits in place.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long they stay away.
const AWAY: Duration = Duration::from_secs(5);

/// Hosts that are remembered. Tenants choose hosts.
const HOSTS: usize = 1024;

/// Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Mutex<HashMap<String, Arc<Semaphore>>>>);

/// The right to work with a forge, as long as it lives.
pub(super) type Turn = Arc<OwnedSemaphorePermit>;

impl Turns {
    pub(super) async fn take(&self, host: &str) -> Result<Turn, Failure> {
        let places = self.of(host);
        match timeout(PATIENCE, places.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Arc::new(permit)),
            _ => Err(Failure::Transient {
                detail: format!(
                    "{host}: {AT_ONCE} Components are being worked on there, this one has to wait"
                ),
                retry_after: Some(AWAY.mul_f64(rand::random_range(0.2..=1.0))),
            }),
        }
    }

    fn of(&self, host: &str) -> Arc<Semaphore> {
        let mut hosts = self.0.lock();
        if let Some(places) = hosts.get(host) {
            return Arc::clone(places);
        }
        if hosts.len() >= HOSTS {
            hosts.retain(|_, places| places.available_permits() < AT_ONCE);
        }
        let places = Arc::new(Semaphore::new(AT_ONCE));
        hosts.insert(host.to_owned(), Arc::clone(&places));
        places
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_busy_forge_keeps_nobody_for_long_and_none_from_other_forges() {
        let turns = Turns::default();
        let taken = join_all((0..AT_ONCE).map(|_| turns.take("slow.test"))).await;
        assert!(taken.iter().all(Result::is_ok));
        let asked = tokio::time::Instant::now();
        let refused = turns.take("slow.test").await;
        assert!(matches!(refused, Err(Failure::Transient { retry_after: Some(after), .. }) if after <= AWAY));
        assert!(asked.elapsed() <= PATIENCE);
        assert!(turns.take("other.test").await.is_ok());
        drop(taken);
        assert!(turns.take("slow.test").await.is_ok());
    }

    #[tokio::test]
    async fn remembers_a_bounded_number_of_hosts() {
        let turns = Turns::default();
        let kept = turns.take("kept.test").await.unwrap();
        for number in 0..3 * HOSTS {
            turns.take(&format!("h{number}.test")).await.unwrap();
            assert!(turns.0.lock().len() <= HOSTS + 1);
        }
        assert!(turns.0.lock().contains_key("kept.test"));
        drop(kept);
    }
}
