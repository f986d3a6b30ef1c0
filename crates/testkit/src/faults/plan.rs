//! Which requests meet which fault, and when.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use http::Uri;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::request::is_set;
use crate::ledger::Call;

/// What goes wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed; the API server never hears of the request.
    Drop,
    /// The request is held back before it is forwarded.
    Delay(Duration),
    /// A `Status` with this code instead of forwarding.
    Answer(u16),
    /// 429 with `Retry-After`, in seconds.
    TooManyRequests { retry_after: u64 },
    /// The request is carried out, and the connection closed instead of an answer.
    LoseReply,
    /// A list is answered as it was answered first, from then on out of date: as by a cache that lags behind.
    FrozenList,
    /// The watch begins as it should.
    Watch(WatchFault),
}

/// What goes wrong with the events of a watch. Bookmarks are not counted, doubled or moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchFault {
    /// After so many events the next one is lost, and with it the connection.
    Cut { after: usize },
    /// After so many events the next one is lost and the version declared too old (410 `Expired`).
    Expire { after: usize },
    /// After so many events nothing comes any more, and the connection ends only after that time.
    Stall { after: usize, lasting: Duration },
    /// Every event comes twice.
    Duplicate,
    /// Neighbouring events change places where they are about different objects.
    Reorder,
}

/// A choice of requests.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    verbs: &'static [&'static str],
    resource: Option<&'static str>,
    streams_list: Option<bool>,
}

impl Requests {
    pub fn all() -> Self {
        Self::default()
    }

    /// Everything that is to change what is stored.
    pub fn writes() -> Self {
        Self::verbs(&["create", "update", "patch", "delete", "deletecollection"])
    }

    /// Writes to an object that exists and stays: those that a concurrent one can conflict with.
    pub fn changes() -> Self {
        Self::verbs(&["update", "patch"])
    }

    /// Lists that are not watches.
    pub fn lists() -> Self {
        Self::verbs(&["list"])
    }

    pub fn watches() -> Self {
        Self::verbs(&["watch"])
    }

    /// Watches that begin with all that is there.
    pub fn streaming_lists() -> Self {
        Self { streams_list: Some(true), ..Self::watches() }
    }

    /// Watches that go on from a version.
    pub fn resumed_watches() -> Self {
        Self { streams_list: Some(false), ..Self::watches() }
    }

    /// As RBAC spells them.
    pub fn verbs(verbs: &'static [&'static str]) -> Self {
        Self { verbs, ..Self::default() }
    }

    /// Of these only those about a resource (plural, without group) or its subresources.
    #[must_use]
    pub fn of(self, resource: &'static str) -> Self {
        Self { resource: Some(resource), ..self }
    }

    /// Each of them.
    pub fn always(self, fault: Fault) -> Rule {
        self.rule(When::Always, fault)
    }

    /// The `n`th, counted from 1.
    pub fn nth(self, n: usize, fault: Fault) -> Rule {
        self.rule(When::Nth(n), fault)
    }

    /// The first `n`.
    pub fn first(self, n: usize, fault: Fault) -> Rule {
        self.rule(When::First(n), fault)
    }

    /// The first to each path with each verb, so that everything has to be tried twice.
    pub fn first_of_each(self, fault: Fault) -> Rule {
        self.rule(When::FirstOfEach(HashSet::new()), fault)
    }

    /// So many of a hundred.
    pub fn percent(self, percent: u8, fault: Fault) -> Rule {
        self.rule(When::Percent(percent), fault)
    }

    /// Those that come from the `n`th on, counted from 1, until so long after it.
    pub fn from_nth(self, n: usize, lasting: Duration, fault: Fault) -> Rule {
        self.rule(When::FromNth { n, lasting, since: None }, fault)
    }

    fn rule(self, when: When, fault: Fault) -> Rule {
        Rule { requests: self, when, fault, met: 0 }
    }

    fn include(&self, call: &Call) -> bool {
        let resource = call.target.as_ref().map(|target| target.resource.as_str());
        let streams_list = || call.uri.parse().is_ok_and(|uri: Uri| is_set(&uri, "sendInitialEvents"));
        (self.verbs.is_empty() || self.verbs.contains(&call.verb.as_str()))
            && (self.resource.is_none() || self.resource == resource)
            && self.streams_list.is_none_or(|wanted| wanted == streams_list())
    }
}

/// A fault for some requests.
#[derive(Clone, Debug)]
pub struct Rule {
    requests: Requests,
    when: When,
    fault: Fault,
    /// How many of its requests have come.
    met: usize,
}

#[derive(Clone, Debug)]
enum When {
    Always,
    Nth(usize),
    First(usize),
    /// Verbs and paths that have been seen.
    FirstOfEach(HashSet<(String, String)>),
    Percent(u8),
    FromNth {
        n: usize,
        lasting: Duration,
        since: Option<Instant>,
    },
}

/// Rules, of which the first that applies counts.
#[derive(Clone, Debug)]
pub struct Plan {
    rules: Vec<Rule>,
    random: StdRng,
}

impl Plan {
    pub fn new(seed: u64, rules: impl IntoIterator<Item = Rule>) -> Self {
        Self { rules: rules.into_iter().collect(), random: StdRng::seed_from_u64(seed) }
    }

    /// Nothing goes wrong.
    pub fn calm() -> Self {
        Self::new(0, [])
    }

    /// What this request meets.
    pub(super) fn meet(&mut self, call: &Call, now: Instant) -> Option<Fault> {
        let random = &mut self.random;
        // Each rule counts all its requests, also those that an earlier rule takes.
        let mut applying = self.rules.iter_mut().filter_map(|rule| {
            if !rule.requests.include(call) {
                return None;
            }
            rule.met += 1;
            let applies = match &mut rule.when {
                When::Always => true,
                When::Nth(n) => rule.met == *n,
                When::First(n) => rule.met <= *n,
                When::FirstOfEach(seen) => {
                    let path = call.uri.split('?').next().unwrap_or_default();
                    seen.insert((call.verb.clone(), path.to_owned()))
                }
                When::Percent(percent) => random.random_range(0..100) < *percent,
                When::FromNth { n, lasting, since } => {
                    rule.met >= *n && now.duration_since(*since.get_or_insert(now)) < *lasting
                }
            };
            applies.then(|| rule.fault.clone())
        });
        let first = applying.next();
        applying.for_each(drop);
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::request::call;
    use http::Method;

    fn get(plan: &mut Plan, uri: &'static str) -> Option<Fault> {
        plan.meet(&call(&Method::GET, &Uri::from_static(uri), "me"), Instant::now())
    }

    const SECRETS: &str = "/api/v1/namespaces/n/secrets";
    const PODS: &str = "/api/v1/namespaces/n/pods";

    #[test]
    fn counts_only_the_requests_of_a_rule() {
        let mut plan = Plan::new(0, [Requests::lists().of("secrets").nth(2, Fault::Drop)]);
        assert_eq!(get(&mut plan, SECRETS), None);
        assert_eq!(get(&mut plan, PODS), None);
        assert_eq!(get(&mut plan, SECRETS), Some(Fault::Drop));
        assert_eq!(get(&mut plan, SECRETS), None);
    }

    #[test]
    fn the_first_rule_that_applies_counts() {
        let rules = [Requests::all().first(1, Fault::Drop), Requests::all().first(2, Fault::LoseReply)];
        let mut plan = Plan::new(0, rules);
        let met: Vec<_> = (0..3).map(|_| get(&mut plan, PODS)).collect();
        assert_eq!(met, [Some(Fault::Drop), Some(Fault::LoseReply), None]);
    }

    #[test]
    fn the_first_of_each_is_told_by_verb_and_path() {
        let mut plan = Plan::new(0, [Requests::all().first_of_each(Fault::Drop)]);
        let mut is_hit = |uri| get(&mut plan, uri).is_some();
        let watch = "/api/v1/namespaces/n/pods?watch=true";
        let hits = [is_hit(PODS), is_hit(PODS), is_hit(SECRETS), is_hit(watch), is_hit(watch)];
        assert_eq!(hits, [true, false, true, true, false]);
    }

    #[test]
    fn tells_streaming_lists_from_resumed_watches() {
        let rules = [
            Requests::streaming_lists().always(Fault::Drop),
            Requests::resumed_watches().always(Fault::LoseReply),
        ];
        let mut plan = Plan::new(0, rules);
        assert_eq!(get(&mut plan, "/api/v1/pods?watch=true&sendInitialEvents=true"), Some(Fault::Drop));
        assert_eq!(get(&mut plan, "/api/v1/pods?watch=true&resourceVersion=7"), Some(Fault::LoseReply));
        assert_eq!(get(&mut plan, "/api/v1/pods"), None);
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let draw = |seed| {
            let mut plan = Plan::new(seed, [Requests::all().percent(50, Fault::Drop)]);
            (0..64).map(|_| get(&mut plan, PODS).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let hits = draw(1).into_iter().filter(|hit| *hit).count();
        assert!((16..48).contains(&hits), "{hits} of 64");
    }

    #[test]
    fn an_outage_ends() {
        let lasting = Duration::from_secs(5);
        let mut plan = Plan::new(0, [Requests::all().from_nth(2, lasting, Fault::Drop)]);
        let began = Instant::now();
        let mut at = |seconds| {
            let call = call(&Method::GET, &Uri::from_static(PODS), "me");
            plan.meet(&call, began + Duration::from_secs(seconds)).is_some()
        };
        assert_eq!([at(0), at(10), at(14), at(15), at(16)], [false, true, true, false, false]);
    }
}
