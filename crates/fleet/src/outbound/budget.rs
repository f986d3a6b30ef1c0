//! What each host is given: calls at once, retries, and, when it fails again and again, rest. One host cannot use up
//! the workers that others wait for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::error::Error;
use super::request::Server;

/// Hosts that are remembered. Tenants choose hosts.
const HOSTS: usize = 1024;
/// Credentials per host whose limits are remembered.
const HOLDS: usize = 256;
/// Failures in a row after which a host is left alone.
const FAILURES: u32 = 5;
const SHORTEST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_mins(1);
/// Retries that a host is given at first and at most.
const RETRIES: f32 = 10.0;
/// Retries that a host earns by a call that succeeds.
const EARNED: f32 = 0.2;

/// Limits of one host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Calls at once.
    pub(super) calls: usize,
    /// How long a call waits for its turn: shorter than a reconcile's patience.
    pub(super) wait: Duration,
    /// After which the next call tries a host that rests, if the one before has not ended yet.
    pub(super) probe: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { calls: 4, wait: Duration::from_secs(2), probe: Duration::from_secs(10) }
    }
}

/// All hosts.
pub(super) struct Budgets {
    limits: Limits,
    hosts: Mutex<HashMap<Server, Arc<Host>>>,
}

impl Budgets {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, hosts: Mutex::default() }
    }

    pub(super) fn of(&self, server: &Server) -> Arc<Host> {
        let mut hosts = self.hosts.lock();
        if let Some(host) = hosts.get(server) {
            return Arc::clone(host);
        }
        if hosts.len() >= HOSTS {
            // First what holds no memory of trouble, then all that nobody is using.
            hosts.retain(|_, host| host.is_used() || host.is_troubled());
            if hosts.len() >= HOSTS {
                hosts.retain(|_, host| host.is_used());
            }
        }
        let host = Arc::new(Host {
            name: server.shown(),
            turns: Arc::new(Semaphore::new(self.limits.calls)),
            limits: self.limits,
            state: Mutex::new(State {
                failures: 0,
                last_failure: String::new(),
                rest_until: None,
                retries: RETRIES,
                holds: HashMap::new(),
            }),
        });
        hosts.insert(server.clone(), Arc::clone(&host));
        host
    }
}

/// One host.
pub(super) struct Host {
    name: String,
    turns: Arc<Semaphore>,
    limits: Limits,
    state: Mutex<State>,
}

struct State {
    /// In a row.
    failures: u32,
    /// How the last call failed: those that are not made have nothing else to say.
    last_failure: String,
    rest_until: Option<Instant>,
    retries: f32,
    /// By credential: one tenant's used-up allowance is not the others'.
    holds: HashMap<Option<u64>, (Instant, Timestamp)>,
}

/// The right to make one call, as long as it lives.
pub(super) struct Turn {
    host: Arc<Host>,
    _permit: OwnedSemaphorePermit,
}

impl Host {
    fn is_used(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1
    }

    fn is_troubled(&self) -> bool {
        let state = self.state.lock();
        state.failures > 0 || !state.holds.is_empty()
    }

    /// Waits a moment for a turn. Fails at once when there is no sense in calling.
    pub(super) async fn turn(self: &Arc<Self>, credential: Option<u64>) -> Result<Turn, Error> {
        self.is_open(credential)?;
        let permit = timeout(self.limits.wait, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else { return Err(Error::Busy { host: self.name.clone() }) };
        // The ones before may have found out meanwhile that it is dead.
        self.is_open(credential)?;
        self.try_again_alone();
        Ok(Turn { host: Arc::clone(self), _permit: permit })
    }

    fn is_open(&self, credential: Option<u64>) -> Result<(), Error> {
        let (state, now) = (self.state.lock(), Instant::now());
        if let Some((end, until)) = state.holds.get(&credential)
            && now < *end
        {
            return Err(Error::RateLimited { host: self.name.clone(), until: *until });
        }
        if state.rest_until.is_some_and(|end| now < end) {
            return Err(Error::Unavailable {
                host: self.name.clone(),
                failures: state.failures,
                last: state.last_failure.clone(),
            });
        }
        Ok(())
    }

    /// After its rest a host gets one call, and the others wait for how that ends.
    fn try_again_alone(&self) {
        let mut state = self.state.lock();
        if state.rest_until.is_some() {
            state.rest_until = Some(Instant::now() + self.limits.probe);
        }
    }

    /// Keeps `credential` from this host until then.
    pub(super) fn hold(&self, credential: Option<u64>, after: Duration, until: Timestamp) {
        let (mut state, now) = (self.state.lock(), Instant::now());
        state.holds.retain(|_, (end, _)| now < *end);
        if state.holds.len() < HOLDS {
            state.holds.insert(credential, (now + after, until));
        }
    }

    /// Takes one of the retries that this host has left.
    pub(super) fn may_retry(&self) -> bool {
        let mut state = self.state.lock();
        let has_one = state.retries >= 1.0;
        if has_one {
            state.retries -= 1.0;
        }
        has_one
    }
}

impl Turn {
    /// The host answered.
    pub(super) fn succeeded(&self) {
        let mut state = self.host.state.lock();
        state.failures = 0;
        state.rest_until = None;
        state.retries = (state.retries + EARNED).min(RETRIES);
    }

    /// The host is dead, or as good as dead.
    pub(super) fn failed(&self, how: &impl ToString) {
        let mut state = self.host.state.lock();
        state.last_failure = how.to_string();
        state.failures = state.failures.saturating_add(1);
        if let Some(over) = state.failures.checked_sub(FAILURES) {
            let rest = SHORTEST_REST.saturating_mul(1 << over.min(6)).min(LONGEST_REST);
            state.rest_until = Some(Instant::now() + rest.mul_f64(rand::random_range(0.8..=1.0)));
            tracing::warn!(
                host = self.host.name,
                failures = state.failures,
                last = state.last_failure,
                "A host is left alone for a moment"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use tokio::time::advance;
    use url::Url;

    use super::*;

    fn server(name: &str) -> Server {
        Server::of(&Url::parse(&format!("https://{name}/")).unwrap()).unwrap()
    }

    fn host() -> Arc<Host> {
        Budgets::new(Limits::default()).of(&server("git.test"))
    }

    async fn fail(host: &Arc<Host>, times: u32) {
        for _ in 0..times {
            host.turn(None).await.unwrap().failed(&"silence");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn few_calls_at_once_and_nobody_waits_for_long() {
        let host = host();
        let taken = join_all((0..4).map(|_| host.turn(None))).await;
        assert!(taken.iter().all(Result::is_ok));
        let asked = Instant::now();
        assert!(matches!(host.turn(None).await, Err(Error::Busy { .. })));
        assert_eq!(asked.elapsed(), Limits::default().wait);
        drop(taken);
        assert!(host.turn(None).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_host_is_left_alone_and_then_tried_by_one() {
        let host = host();
        fail(&host, FAILURES).await;
        assert!(matches!(host.turn(None).await, Err(Error::Unavailable { failures: FAILURES, .. })));
        advance(SHORTEST_REST).await;
        let probe = host.turn(None).await.unwrap();
        assert!(matches!(host.turn(None).await, Err(Error::Unavailable { .. })), "one at a time");
        probe.failed(&"silence");
        drop(probe);
        advance(SHORTEST_REST).await;
        assert!(matches!(host.turn(None).await, Err(Error::Unavailable { .. })), "the rest grows");
        advance(SHORTEST_REST).await;
        host.turn(None).await.unwrap().succeeded();
        let all = join_all((0..4).map(|_| host.turn(None))).await;
        assert!(all.iter().all(Result::is_ok), "all is well again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_that_is_given_up_does_not_close_the_host_for_ever() {
        let host = host();
        fail(&host, FAILURES).await;
        advance(SHORTEST_REST).await;
        drop(host.turn(None).await.unwrap());
        advance(Limits::default().probe).await;
        assert!(host.turn(None).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_learn_that_the_host_is_dead() {
        let host = host();
        let taken = join_all((0..4).map(|_| host.turn(None))).await;
        let waiting = tokio::spawn({
            let host = host.clone();
            async move { host.turn(None).await.map(drop) }
        });
        tokio::task::yield_now().await;
        for _ in 0..FAILURES {
            taken[0].as_ref().unwrap().failed(&"silence");
        }
        drop(taken);
        assert!(matches!(waiting.await.unwrap(), Err(Error::Unavailable { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_is_of_one_credential() {
        let host = host();
        let until = "2024-03-01T12:00:30Z".parse().unwrap();
        host.hold(Some(1), Duration::from_secs(30), until);
        assert!(matches!(host.turn(Some(1)).await, Err(Error::RateLimited { until: at, .. }) if at == until));
        assert!(host.turn(Some(2)).await.is_ok());
        assert!(host.turn(None).await.is_ok());
        advance(Duration::from_secs(30)).await;
        assert!(host.turn(Some(1)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn retries_are_earned() {
        let host = host();
        let spent = (0..100).filter(|_| host.may_retry()).count();
        assert_eq!(spent, 10);
        for _ in 0..5 {
            host.turn(None).await.unwrap().succeeded();
        }
        assert_eq!((0..100).filter(|_| host.may_retry()).count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn remembers_a_bounded_number_of_hosts_and_troubled_ones_longest() {
        let budgets = Budgets::new(Limits::default());
        fail(&budgets.of(&server("dead.test")), FAILURES).await;
        for number in 0..3 * HOSTS {
            budgets.of(&server(&format!("h{number}.test")));
            assert!(budgets.hosts.lock().len() <= HOSTS);
        }
        assert!(budgets.of(&server("dead.test")).turn(None).await.is_err(), "still at rest");
    }
}
