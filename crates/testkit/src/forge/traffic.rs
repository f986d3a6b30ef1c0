//! What a forge was asked for, and what is to go wrong.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;

/// Who asks, as the forge sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    Anonymous,
    /// By login.
    User(String),
    /// A GitHub App, by its JWT.
    App(u64),
    /// A GitHub App in an installation, by its token.
    Installation(u64),
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::User(login) => write!(f, "user {login}"),
            Self::App(id) => write!(f, "App {id}"),
            Self::Installation(id) => write!(f, "installation {id}"),
        }
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Call {
    /// As in the forge's documentation: `GET /repos/{owner}/{repo}/pulls`; below the API's address.
    pub route: String,
    /// With its query.
    pub path: String,
    pub caller: Caller,
    /// Of the answer; 0 while there is none, and for ever when the connection was cut instead.
    pub status: u16,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.route.split(' ').next().unwrap_or_default();
        write!(f, "{} {method} {} by {}", self.status, self.path, self.caller)
    }
}

/// What goes wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An answer of this status, with the body that the forge gives it, instead of the work.
    Answer(u16),
    /// GitHub's limit of requests in a short time (403 or 429 with `Retry-After`, in seconds); GitLab's 429.
    SecondaryLimit { status: u16, retry_after: u64 },
    /// No answer, ever.
    Hang,
    /// The answer comes so much later.
    Delay(Duration),
    /// The connection is cut before the work.
    Drop,
    /// The connection is cut after the work.
    LoseReply,
    /// Another answer altogether: of something in between, or of a forge that lies.
    Instead { status: u16, headers: Vec<(&'static str, String)>, body: Vec<u8> },
}

/// Counts requests and meets them with faults. Clones are the same.
///
/// Routes are named as in the forge's documentation, `GET /repos/{owner}/{repo}/pulls`. `*` is every route.
#[derive(Clone, Debug, Default)]
pub struct Traffic(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    routes: BTreeSet<String>,
    calls: Vec<Call>,
    faults: Vec<Planned>,
}

#[derive(Debug)]
struct Planned {
    route: String,
    left: usize,
    fault: Fault,
}

impl Traffic {
    /// The next `times` requests to a route meet a fault, after those planned before.
    pub fn fail(&self, route: &str, times: usize, fault: Fault) {
        let mut state = self.0.lock();
        state.check(route);
        state.faults.push(Planned { route: route.to_owned(), left: times, fault });
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        self.0.lock().faults.clear();
    }

    /// How many requests came to a route, also those that met a fault.
    pub fn count(&self, route: &str) -> usize {
        let state = self.0.lock();
        state.check(route);
        state.calls.iter().filter(|call| matches(route, &call.route)).count()
    }

    /// All requests in the order in which they came.
    pub fn calls(&self) -> Vec<Call> {
        self.0.lock().calls.clone()
    }

    /// Forgets the requests that came, so that a later part of a test counts its own.
    pub fn forget(&self) {
        self.0.lock().calls.clear();
    }

    pub(crate) fn add_route(&self, route: &str) {
        self.0.lock().routes.insert(route.to_owned());
    }

    /// Notes a request, and says which it is and what it meets.
    pub(crate) fn arrive(&self, route: &str, path: &str) -> (usize, Option<Fault>) {
        let mut state = self.0.lock();
        let call =
            Call { route: route.to_owned(), path: path.to_owned(), caller: Caller::Anonymous, status: 0 };
        state.calls.push(call);
        let planned =
            state.faults.iter_mut().find(|planned| planned.left > 0 && matches(&planned.route, route));
        let fault = planned.map(|planned| {
            planned.left -= 1;
            planned.fault.clone()
        });
        (state.calls.len() - 1, fault)
    }

    pub(crate) fn answered(&self, index: usize, caller: Caller, status: StatusCode) {
        // Forgotten meanwhile.
        let mut state = self.0.lock();
        let Some(call) = state.calls.get_mut(index) else { return };
        (call.caller, call.status) = (caller, status.as_u16());
    }
}

impl fmt::Display for Traffic {
    /// One line for each request, for messages of assertions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.lock().calls.iter().try_for_each(|call| writeln!(f, "{call}"))
    }
}

impl State {
    /// A misspelt route would be counted as never asked for.
    fn check(&self, route: &str) {
        assert!(
            route == "*" || self.routes.contains(route),
            "the forge has no route {route:?}; it has\n{:#?}",
            self.routes
        );
    }
}

fn matches(wanted: &str, route: &str) -> bool {
    wanted == "*" || wanted == route
}
