//! A batch of requests, as far as it has come. Pure: what to open next, what an object that was seen means, what is over.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use fleet::names;
use fleet_api::ConditionState as _;
use internal_services_api::InternalRequestStatus;
use internal_services_api::conditions::Succeeded;
use tokio::time::Instant;

use super::Request;

/// Names become label values elsewhere.
const NAME_LIMIT: usize = 63;

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Succeeded,
    /// It was tried, or could not even be made.
    Failed(String),
    /// It will not be done.
    Rejected(String),
    TimedOut(String),
}

impl State {
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Failed(_) => "Failed",
            Self::Rejected(_) => "Rejected",
            Self::TimedOut(_) => "TimedOut",
        }
    }

    pub fn message(&self) -> &str {
        match self {
            Self::Succeeded => "",
            Self::Failed(message) | Self::Rejected(message) | Self::TimedOut(message) => message,
        }
    }

    /// What a status says. `None` while it is worked on, or if it says nothing that is known.
    pub(super) fn of(status: Option<&InternalRequestStatus>) -> Option<Self> {
        let condition = status?.conditions.iter().find(|condition| condition.type_ == Succeeded::TYPE)?;
        let message = condition.message.clone();
        match (condition.status.as_str(), condition.reason.as_str()) {
            ("True", _) => Some(Self::Succeeded),
            ("False", "Failed") => Some(Self::Failed(message)),
            ("False", "Rejected") => Some(Self::Rejected(message)),
            _ => None,
        }
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Name of the InternalRequest. Of one that was not made, the name that it would have had.
    pub name: String,
    pub request: Request,
    pub state: State,
    /// What the pipeline gave back, by name.
    pub results: BTreeMap<String, String>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, request, state, .. } = self;
        write!(f, "InternalRequest {name} ({}) {}", request.request, state.reason())?;
        if state.message().is_empty() { Ok(()) } else { write!(f, ": {}", state.message()) }
    }
}

/// Name of the n-th try of a request by a TaskRun.
pub(super) fn name(task_run: &str, request: &Request, attempt: usize) -> String {
    let attempt = attempt.to_string();
    let params = request.params.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    let account = request.service_account.as_deref().unwrap_or_default();
    let timeout = request.timeout.as_deref().unwrap_or_default();
    let fields: Vec<&str> =
        [task_run, &request.request, &attempt, account, timeout].into_iter().chain(params).collect();
    names::fit(NAME_LIMIT, &request.request, &format!("-{}", names::hash(10, &fields)))
}

/// Requests, in the order in which they were asked for.
#[derive(Debug)]
pub(super) struct Batch {
    entries: Vec<Entry>,
    open: usize,
    timeout: Duration,
}

#[derive(Debug)]
struct Entry {
    request: Request,
    progress: Progress,
}

#[derive(Debug)]
enum Progress {
    Waiting,
    Open { name: String, until: Instant },
    Over(Outcome),
}

impl Batch {
    /// What is asked for twice is done once.
    pub(super) fn new(requests: Vec<Request>, open: usize, timeout: Duration) -> Self {
        let mut seen = BTreeSet::new();
        let entries = requests
            .into_iter()
            .filter(|request| seen.insert(request.clone()))
            .map(|request| Entry { request, progress: Progress::Waiting })
            .collect();
        Self { entries, open: open.max(1), timeout }
    }

    /// A request that somebody made before.
    pub(super) fn found(&mut self, request: Request, name: String, now: Instant) {
        self.entries.push(Entry { request, progress: Progress::Open { name, until: now + self.timeout } });
    }

    /// The next request to make, if another may be open.
    pub(super) fn next(&self) -> Option<(usize, &Request)> {
        let open =
            self.entries.iter().filter(|entry| matches!(entry.progress, Progress::Open { .. })).count();
        let waiting =
            self.entries.iter().enumerate().find(|(_, entry)| matches!(entry.progress, Progress::Waiting));
        waiting.filter(|_| open < self.open).map(|(at, entry)| (at, &entry.request))
    }

    /// A request was made, or found.
    pub(super) fn opened(&mut self, at: usize, name: String, now: Instant) {
        if let Some(entry) = self.entries.get_mut(at) {
            entry.progress = Progress::Open { name, until: now + self.timeout };
        }
    }

    /// A request cannot be made.
    pub(super) fn refused(&mut self, at: usize, name: String, why: String) {
        if let Some(entry) = self.entries.get_mut(at) {
            entry.end(name, State::Failed(why), BTreeMap::new());
        }
    }

    /// An object of the API server. Others than those of the batch are passed over.
    pub(super) fn seen(&mut self, name: &str, status: Option<&InternalRequestStatus>) {
        let Some(state) = State::of(status) else { return };
        let results = status.map(|status| status.results.clone()).unwrap_or_default();
        if let Some(entry) = self.open_entry(name) {
            entry.end(name.to_owned(), state, results);
        }
    }

    /// An object is gone before it was done.
    pub(super) fn gone(&mut self, name: &str) {
        if let Some(entry) = self.open_entry(name) {
            let why = "it was deleted while it was waited for".to_owned();
            entry.end(name.to_owned(), State::Failed(why), BTreeMap::new());
        }
    }

    /// Ends what has waited for too long.
    pub(super) fn expire(&mut self, now: Instant) {
        let timeout = self.timeout.as_secs();
        for entry in &mut self.entries {
            if let Progress::Open { name, until } = &entry.progress
                && *until <= now
            {
                let name = name.clone();
                let why = format!(
                    "no answer in {timeout} s: does internal-services run, and may this namespace use it?"
                );
                entry.end(name, State::TimedOut(why), BTreeMap::new());
            }
        }
    }

    /// When [`expire`](Self::expire) has to be called next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let deadlines = self.entries.iter().filter_map(|entry| match &entry.progress {
            Progress::Open { until, .. } => Some(*until),
            _ => None,
        });
        deadlines.min()
    }

    /// All outcomes, once there is one of each request.
    pub(super) fn outcomes(&self) -> Option<Vec<Outcome>> {
        let outcome = |entry: &Entry| match &entry.progress {
            Progress::Over(outcome) => Some(outcome.clone()),
            _ => None,
        };
        self.entries.iter().map(outcome).collect()
    }

    pub(super) fn open_names(&self) -> BTreeSet<String> {
        let name = |entry: &Entry| match &entry.progress {
            Progress::Open { name, .. } => Some(name.clone()),
            _ => None,
        };
        self.entries.iter().filter_map(name).collect()
    }

    fn open_entry(&mut self, wanted: &str) -> Option<&mut Entry> {
        self.entries
            .iter_mut()
            .find(|entry| matches!(&entry.progress, Progress::Open { name, .. } if name == wanted))
    }
}

impl Entry {
    fn end(&mut self, name: String, state: State, results: BTreeMap<String, String>) {
        self.progress = Progress::Over(Outcome { name, request: self.request.clone(), state, results });
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn request(name: &str) -> Request {
        Request { request: name.to_owned(), ..Request::default() }
    }

    fn status(truth: &str, reason: &str) -> InternalRequestStatus {
        serde_json::from_value(json!({
            "conditions": [{
                "type": "Succeeded", "status": truth, "reason": reason, "message": "m",
                "lastTransitionTime": "2024-01-01T00:00:00Z",
            }],
            "results": {"genericResult": "r"},
        }))
        .unwrap()
    }

    /// A batch of these with all opened that may be, each under its request's name.
    fn batch(names: &[&str], open: usize) -> Batch {
        let mut batch =
            Batch::new(names.iter().map(|name| request(name)).collect(), open, Duration::from_secs(5));
        fill(&mut batch);
        batch
    }

    fn fill(batch: &mut Batch) -> Vec<String> {
        let mut opened = Vec::new();
        while let Some((at, request)) = batch.next() {
            let name = request.request.clone();
            opened.push(name.clone());
            batch.opened(at, name, Instant::now());
        }
        opened
    }

    fn states(batch: &Batch) -> Vec<&'static str> {
        batch.outcomes().unwrap().iter().map(|outcome| outcome.state.reason()).collect()
    }

    #[rstest]
    #[case::running("False", "Running", None)]
    #[case::succeeded("True", "Succeeded", Some("Succeeded"))]
    #[case::failed("False", "Failed", Some("Failed"))]
    #[case::rejected("False", "Rejected", Some("Rejected"))]
    #[case::unknown("Unknown", "Running", None)]
    #[case::of_a_newer_service("False", "Paused", None)]
    fn a_request_is_over_with_these_reasons(
        #[case] truth: &str,
        #[case] reason: &str,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(State::of(Some(&status(truth, reason))).map(|state| state.reason()), expected);
    }

    #[test]
    fn no_more_are_open_than_may_be() {
        let mut batch = batch(&["a", "b", "c", "d"], 2);
        assert_eq!(fill(&mut batch), Vec::<String>::new());
        batch.seen("b", Some(&status("False", "Running")));
        assert_eq!(fill(&mut batch), Vec::<String>::new());
        batch.seen("b", Some(&status("True", "Succeeded")));
        assert_eq!(fill(&mut batch), ["c"]);
        batch.seen("a", Some(&status("False", "Rejected")));
        assert_eq!(fill(&mut batch), ["d"]);
        assert_eq!(batch.outcomes(), None);
        batch.gone("c");
        batch.seen("d", Some(&status("False", "Failed")));
        assert_eq!(states(&batch), ["Rejected", "Succeeded", "Failed", "Failed"]);
        assert_eq!(batch.outcomes().unwrap()[1].results["genericResult"], "r");
    }

    #[test]
    fn what_is_over_stays_as_it_was() {
        let mut batch = batch(&["a"], 1);
        batch.seen("a", Some(&status("True", "Succeeded")));
        batch.seen("a", Some(&status("False", "Failed")));
        batch.gone("a");
        batch.expire(Instant::now() + Duration::from_hours(1));
        assert_eq!(states(&batch), ["Succeeded"]);
    }

    #[test]
    fn others_requests_are_passed_over() {
        let mut batch = batch(&["a"], 1);
        batch.seen("b", Some(&status("True", "Succeeded")));
        batch.gone("b");
        assert_eq!(batch.outcomes(), None);
        assert_eq!(batch.open_names(), BTreeSet::from(["a".to_owned()]));
        batch.gone("a");
        assert!(batch.open_names().is_empty());
        assert!(batch.outcomes().unwrap()[0].state.message().contains("deleted"));
    }

    #[test]
    fn each_request_has_its_own_time() {
        let start = Instant::now();
        let mut batch = Batch::new(vec![request("a"), request("b")], 1, Duration::from_secs(5));
        batch.opened(0, "a".to_owned(), start);
        assert_eq!(batch.deadline(), Some(start + Duration::from_secs(5)));
        batch.expire(start + Duration::from_secs(4));
        assert!(batch.next().is_none());
        batch.expire(start + Duration::from_secs(5));
        assert_eq!(batch.next().map(|(at, _)| at), Some(1), "the next has its turn");
        batch.opened(1, "b".to_owned(), start + Duration::from_secs(5));
        assert_eq!(batch.deadline(), Some(start + Duration::from_secs(10)));
        batch.seen("b", Some(&status("True", "Succeeded")));
        assert_eq!(states(&batch), ["TimedOut", "Succeeded"]);
        assert_eq!(batch.deadline(), None);
    }

    #[test]
    fn what_is_asked_for_twice_is_done_once() {
        assert_eq!(batch(&["a", "a", "b"], 4).entries.len(), 2);
        assert_eq!(Batch::new(Vec::new(), 4, Duration::from_secs(5)).outcomes(), Some(Vec::new()));
    }

    #[test]
    fn names_tell_requests_apart_and_fit() {
        let with = |params: &[(&str, &str)]| Request {
            params: params.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
            ..request(&"long-".repeat(20))
        };
        let all = [
            name("run", &with(&[]), 0),
            name("run", &with(&[]), 1),
            name("other", &with(&[]), 0),
            name("run", &with(&[("a", "bc")]), 0),
            name("run", &with(&[("ab", "c")]), 0),
            name("run", &Request { service_account: Some("a".into()), ..with(&[]) }, 0),
        ];
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        assert!(all.iter().all(|name| name.len() <= 63), "{all:?}");
        assert_eq!(name("run", &request("sign"), 0), name("run", &request("sign"), 0));
        assert!(name("run", &request("sign"), 0).starts_with("sign-"));
    }
}
