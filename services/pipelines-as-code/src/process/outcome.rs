//! What becomes of a delivery.

use std::time::Duration;

/// What is to be done with a delivery that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Processed {
    /// It is over; what came of it is kept for whoever asks.
    Done(Vec<Outcome>),
    /// Something failed that may work later: it counts as a try. `made` are the runs that are there already, to be named by the
    /// next one.
    Retry { reason: String, after: Option<Duration>, made: Vec<String> },
    /// The cluster is not ready for it: it does not count as a try.
    Postpone(Duration),
}

/// What came of a delivery, for one Repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub result: Verdict,
    /// For people.
    pub text: String,
    /// Names of the runs that it is about.
    pub runs: Vec<String>,
}

/// The kinds of outcomes, as they are counted and searched by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::Display, strum::EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum Verdict {
    /// Runs were made, and something is left to do.
    Begun,
    /// Runs were made.
    Started,
    /// Runs were stopped.
    Cancelled,
    /// There was nothing to do.
    Skipped,
    /// Somebody has to approve first.
    Waiting,
    /// Something is wrong that a person has to mend.
    Failed,
    /// It was not signed as it should be, or not allowed.
    Refused,
}
