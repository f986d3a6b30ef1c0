//! A bad day between a service and its API server: a proxy that fails requests by plan.
//!
//! ```text
//! the service's own binary ──HTTP──▶ Proxy ──TLS, the ServiceAccount's token──▶ API server
//!                                      └─ Plan: which requests, when, what goes wrong
//! ```
//! ```
//! use testkit::faults::{Fault, Plan, Requests};
//!
//! let plan = Plan::new(7, [
//!     Requests::changes().of("components").first(3, Fault::Answer(409)),
//!     Requests::all().percent(20, Fault::Drop),
//! ]);
//! ```
//! What is left to chance is drawn from the plan's seed. Which request meets which draw still depends on the order in
//! which the service asks.

mod plan;
mod proxy;
mod request;
mod watch;

use std::time::Duration;

pub use plan::{Fault, Plan, Requests, Rule, WatchFault};
pub use proxy::{Moment, Proxy};
pub(crate) use request::collection;

/// Every fault of the proxy, one plan each, and one with many together. All leave enough through for work to end.
pub fn every() -> Vec<(&'static str, Plan)> {
    let seconds = Duration::from_secs;
    let plan = |rules: Vec<Rule>| Plan::new(1, rules);
    let watches = Requests::watches;
    // Lists by pages, each as old as the first, and watches that end so that there is more than one.
    let frozen_lists = [
        Requests::streaming_lists().always(Fault::Answer(422)),
        Requests::lists().always(Fault::FrozenList),
        watches().first(4, Fault::Watch(WatchFault::Expire { after: 2 })),
    ];
    let all_together = [
        Requests::all().percent(5, Fault::Drop),
        Requests::all().percent(5, Fault::Answer(500)),
        Requests::changes().percent(10, Fault::Answer(409)),
        Requests::writes().percent(10, Fault::LoseReply),
        watches().percent(30, Fault::Watch(WatchFault::Cut { after: 2 })),
        watches().always(Fault::Watch(WatchFault::Duplicate)),
        Requests::all().percent(10, Fault::Delay(Duration::from_millis(300))),
    ];
    vec![
        ("requests dropped on the way", plan(vec![Requests::all().percent(20, Fault::Drop)])),
        ("server away for five seconds", plan(vec![Requests::all().from_nth(12, seconds(5), Fault::Drop)])),
        ("slow answers", plan(vec![Requests::all().percent(50, Fault::Delay(Duration::from_millis(700)))])),
        ("409 to changes", plan(vec![Requests::changes().percent(20, Fault::Answer(409))])),
        (
            "429 with Retry-After",
            plan(vec![Requests::all().percent(30, Fault::TooManyRequests { retry_after: 1 })]),
        ),
        ("500", plan(vec![Requests::all().percent(20, Fault::Answer(500))])),
        ("everything fails at first", plan(vec![Requests::all().first_of_each(Fault::Answer(500))])),
        ("503", plan(vec![Requests::all().percent(30, Fault::Answer(503))])),
        ("replies lost after the commit", plan(vec![Requests::writes().percent(40, Fault::LoseReply)])),
        ("410 to watches", plan(vec![Requests::resumed_watches().always(Fault::Answer(410)), cuts()])),
        ("410 within watches", plan(vec![watches().first(6, Fault::Watch(WatchFault::Expire { after: 2 }))])),
        ("watches cut", plan(vec![cuts()])),
        (
            "watches stalled",
            plan(vec![watches().first(4, Fault::Watch(WatchFault::Stall { after: 3, lasting: seconds(3) }))]),
        ),
        ("events doubled", plan(vec![watches().always(Fault::Watch(WatchFault::Duplicate))])),
        (
            "events of different objects reordered",
            plan(vec![watches().always(Fault::Watch(WatchFault::Reorder))]),
        ),
        ("frozen lists", plan(frozen_lists.into())),
        ("many together", plan(all_together.into())),
    ]
}

/// Not always: a list that streams more than that would never be complete.
fn cuts() -> Rule {
    Requests::watches().first(6, Fault::Watch(WatchFault::Cut { after: 2 }))
}
