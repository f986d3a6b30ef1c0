//! One member cluster: where it is, and whether it makes sense to call it just now.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use url::Url;

/// Failures in a row after which a back end is left alone for a moment.
const FAILURES: u32 = 3;
const SHORTEST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);
/// After which the next try is made, if the first one after a rest has not ended.
const PROBE: Duration = Duration::from_secs(20);
/// Tries at once. One that is slow must not take all connections and memory.
const CALLS: usize = 256;

/// Scheme, host and port. Compared and shown as one text; the name of a spool's consumer.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    scheme: Scheme,
    authority: Authority,
}

/// Not the address of a back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadOrigin {
    #[error("it is no address; expected https://host[:port]")]
    NoUrl,
    #[error("only https:// and http:// are possible")]
    Scheme,
    #[error("it must not contain a user name or password")]
    Userinfo,
}

impl Origin {
    /// Everything behind the host is dropped.
    pub(crate) fn parse(text: &str) -> Result<Self, BadOrigin> {
        let url = Url::parse(text.trim()).map_err(|_| BadOrigin::NoUrl)?;
        let scheme = match url.scheme() {
            "https" => Scheme::HTTPS,
            "http" => Scheme::HTTP,
            _ => return Err(BadOrigin::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadOrigin::Userinfo);
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(BadOrigin::NoUrl)?;
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        Ok(Self { scheme, authority: authority.parse().map_err(|_| BadOrigin::NoUrl)? })
    }

    /// With port, if it is not the scheme's own: the label `host` of metrics.
    pub(crate) fn host(&self) -> &str {
        self.authority.as_str()
    }

    /// Without port.
    pub(crate) fn name(&self) -> &str {
        self.authority.host()
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.scheme == Scheme::HTTP
    }

    /// The address of something on this back end.
    pub(crate) fn at(&self, path: PathAndQuery) -> Result<Uri, http::Error> {
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Those that can be read; of the others the log tells.
pub(crate) fn parse_all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Origin> {
    let parse = |text: &str| {
        let parsed = Origin::parse(text);
        if let Err(reason) = &parsed {
            tracing::error!(backend = fleet::redact(text), %reason, "A back end is passed over");
        }
        parsed.ok()
    };
    texts.into_iter().map(str::trim).filter(|text| !text.is_empty()).filter_map(parse).collect()
}

/// A member cluster.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) origin: Origin,
    /// As text: what logs and the spool call it.
    pub(crate) name: String,
    /// Whether its address may be none on the internet: an operator has named it.
    pub(crate) is_trusted: bool,
    health: Mutex<Health>,
    changed: Notify,
    calls: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Health {
    /// In a row.
    failures: u32,
    /// In a row; each is longer than the one before.
    rests: u32,
    rest: Option<Rest>,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Instant,
    /// It is over, and one try is under way whose end the others wait for.
    is_probed: bool,
}

/// The right to one try at a back end.
#[derive(Debug)]
pub(crate) struct Call(#[expect(dead_code, reason = "its end makes room for another")] OwnedSemaphorePermit);

impl Backend {
    pub(crate) fn new(origin: Origin, is_trusted: bool) -> Self {
        let name = origin.to_string();
        let calls = Arc::new(Semaphore::new(CALLS));
        Self { origin, name, is_trusted, health: Mutex::default(), changed: Notify::new(), calls }
    }

    /// `None` while it is left alone, or has enough to do.
    pub(crate) fn call(&self) -> Option<Call> {
        let permit = self.calls.clone().try_acquire_owned().ok()?;
        let (mut health, now) = (self.health.lock(), Instant::now());
        match health.rest {
            Some(rest) if now < rest.until => return None,
            // After its rest it gets one try, and the others wait for how that ends.
            Some(_) => health.rest = Some(Rest { until: now + PROBE, is_probed: true }),
            None => {}
        }
        Some(Call(permit))
    }

    /// Waits until there is sense in a try.
    pub(crate) async fn rested(&self) {
        loop {
            let changed = self.changed.notified();
            let rest = self.health.lock().rest;
            match rest {
                Some(rest) if Instant::now() < rest.until => tokio::select! {
                    () = sleep_until(rest.until) => {}
                    () = changed => {}
                },
                _ => return,
            }
        }
    }

    /// It answered, well or badly.
    pub(crate) fn answered(&self) {
        let was_resting = {
            let mut health = self.health.lock();
            health.failures = 0;
            health.rests = 0;
            health.rest.take().is_some()
        };
        if was_resting {
            self.changed.notify_waiters();
            tracing::info!(backend = self.name, "A back end answers again");
        }
    }

    /// It did not answer.
    pub(crate) fn failed(&self) {
        let now = Instant::now();
        let mut health = self.health.lock();
        health.failures = health.failures.saturating_add(1);
        // Those that were under way when it died say nothing new.
        let is_known = health.rest.is_some_and(|rest| now < rest.until && !rest.is_probed);
        if health.failures < FAILURES || is_known {
            return;
        }
        let rest = SHORTEST_REST.saturating_mul(1 << health.rests.min(8)).min(LONGEST_REST);
        health.rests = health.rests.saturating_add(1);
        health.rest =
            Some(Rest { until: now + rest.mul_f64(rand::random_range(0.8..=1.0)), is_probed: false });
        self.changed.notify_waiters();
        if health.rests == 1 {
            tracing::warn!(
                backend = self.name,
                failures = health.failures,
                "A back end does not answer; it is left alone for moments"
            );
        }
    }

    /// It wants to be left alone for so long.
    pub(crate) fn hold(&self, pause: Duration) {
        let until = Instant::now() + pause.min(LONGEST_REST);
        let mut health = self.health.lock();
        if health.rest.is_none_or(|rest| rest.until < until) {
            health.rest = Some(Rest { until, is_probed: false });
        }
    }

    pub(crate) fn is_resting(&self) -> bool {
        self.health.lock().rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tokio::time::{advance, timeout};

    use super::*;

    #[rstest]
    #[case::whole("https://pac.test", "https://pac.test")]
    #[case::port("http://127.0.0.1:8080/hook?x=1#y", "http://127.0.0.1:8080")]
    #[case::default_port("https://PAC.test:443/", "https://pac.test")]
    #[case::six("https://[::1]:8443", "https://[::1]:8443")]
    fn keeps_scheme_and_host(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(Origin::parse(text).unwrap().to_string(), expected);
    }

    #[rstest]
    #[case::empty("", BadOrigin::NoUrl)]
    #[case::name("pac.test", BadOrigin::NoUrl)]
    #[case::no_host("https://", BadOrigin::NoUrl)]
    #[case::file("file:///etc/passwd", BadOrigin::Scheme)]
    #[case::userinfo("https://u:p@pac.test", BadOrigin::Userinfo)]
    fn refuses(#[case] text: &str, #[case] expected: BadOrigin) {
        assert_eq!(Origin::parse(text).unwrap_err(), expected);
    }

    fn backend() -> Backend {
        Backend::new(Origin::parse("https://pac.test").unwrap(), true)
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_dead_is_left_alone_and_then_tried_by_one() {
        let backend = backend();
        for _ in 0..FAILURES {
            assert!(backend.call().is_some());
            backend.failed();
        }
        assert!(backend.call().is_none());
        advance(SHORTEST_REST).await;
        assert!(backend.call().is_some());
        assert!(backend.call().is_none(), "one at a time");
        (0..100).for_each(|_| backend.failed());
        advance(SHORTEST_REST).await;
        assert!(backend.call().is_none(), "the rest grows");
        advance(SHORTEST_REST).await;
        backend.rested().await;
        assert!(backend.call().is_some());
        let waiting = backend.rested();
        backend.answered();
        timeout(Duration::from_millis(1), waiting).await.expect("those who wait are told at once");
        let all: Vec<_> = (0..10).map(|_| backend.call()).collect();
        assert!(all.iter().all(Option::is_some), "all is well again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_lost_does_not_close_it_for_ever() {
        let backend = backend();
        (0..FAILURES).for_each(|_| backend.failed());
        advance(SHORTEST_REST).await;
        drop(backend.call().unwrap());
        advance(PROBE).await;
        assert!(backend.call().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_slow_does_not_take_everything() {
        let backend = backend();
        let calls: Vec<_> = (0..CALLS).map(|_| backend.call().unwrap()).collect();
        assert!(backend.call().is_none());
        drop(calls);
        assert!(backend.call().is_some());
    }
}
