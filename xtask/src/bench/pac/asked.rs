//! What the service asked of the API server and of the forge, by their own accounts.
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use testkit::{
    forge::Call,
    ledger::{self, Calls, Ledger, Mark},
};
use tokio::time::Instant;

use super::setup::Setup;
use crate::bench::units::count;

/// Counts from a moment on.
pub(super) struct Meter<'a> {
    setup: &'a Setup<'a>,
    ledger: Ledger,
    mark: Mark,
}

/// What was asked between two moments.
pub(super) struct Asked {
    /// All but the service's word that it still leads.
    pub(super) calls: Calls,
    pub(super) forge: Vec<Call>,
    /// Of everybody else.
    others: Calls,
}

impl<'a> Meter<'a> {
    pub(super) async fn begin(setup: &'a Setup<'a>) -> anyhow::Result<Self> {
        let ledger = setup.plane.ledger()?;
        let mark = ledger.mark().await?;
        setup.github.traffic().forget();
        Ok(Self { setup, ledger, mark })
    }

    pub(super) async fn end(self) -> anyhow::Result<Asked> {
        let forge = self.setup.github.traffic().calls();
        let user = self.setup.user()?;
        let all = self.ledger.since(&self.mark).await?.except("leases");
        let others = all.filter(|call| call.user != user);
        Ok(Asked { calls: all.by(&user), forge, others })
    }
}

impl Asked {
    pub(super) fn writes(&self) -> Tally {
        Tally::of(self.calls.iter().filter(|call| call.is_write()).map(shown))
    }

    pub(super) fn reads(&self) -> Tally {
        Tally::of(self.calls.iter().filter(|call| call.is_read()).map(shown))
    }

    pub(super) fn forge(&self) -> Tally {
        Tally::of(self.forge.iter().map(|call| call.route.clone()))
    }

    /// When the API server was asked to create these runs.
    pub(super) fn created(&self) -> BTreeMap<Run, Instant> {
        last(&self.calls, |call| call.verb == "create")
    }

    /// From the last word of the engine on a run to the service's last.
    pub(super) fn reports(&self) -> Vec<Duration> {
        let ended = last(&self.others, |call| call.verb == "patch");
        let reported = last(&self.calls, |call| call.verb == "patch");
        ended
            .iter()
            .filter_map(|(run, ended)| Some(reported.get(run)?.saturating_duration_since(*ended)))
            .collect()
    }
}

/// Namespace and name.
type Run = (String, String);

/// When the API server was last asked for this of each run; times of this process.
fn last(calls: &Calls, is_meant: impl Fn(&ledger::Call) -> bool) -> BTreeMap<Run, Instant> {
    let (now, wall) = (Instant::now(), SystemTime::now());
    let of_runs = calls.about("pipelineruns").filter(|call| is_meant(call) && call.is_ok());
    of_runs
        .iter()
        .filter_map(|call| {
            let target = call.target.as_ref()?;
            let ago = wall.duration_since(SystemTime::from(call.at)).ok()?;
            Some(((target.namespace.clone()?, target.name.clone()?), now.checked_sub(ago)?))
        })
        .collect()
}

/// `create pipelineruns`
fn shown(call: &ledger::Call) -> String {
    let resource = call.target.as_ref().map_or_else(String::new, ledger::Target::rbac_resource);
    format!("{} {resource}", call.verb)
}

/// How often each was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tally(BTreeMap<String, f64>);

impl Tally {
    fn of(names: impl Iterator<Item = String>) -> Self {
        let mut tally = Self::default();
        for name in names {
            *tally.0.entry(name).or_default() += 1.0;
        }
        tally
    }

    /// What each of so many things took.
    pub(super) fn per(mut self, number: usize) -> Self {
        for count_of_one in self.0.values_mut() {
            *count_of_one /= count(number).max(1.0);
        }
        self
    }

    /// What is more than in another.
    pub(super) fn beyond(mut self, other: &Self) -> Self {
        for (name, less) in &other.0 {
            *self.0.entry(name.clone()).or_default() -= less;
        }
        self
    }
}

impl std::fmt::Display for Tally {
    /// `2.0: create pipelineruns 1.0, create secrets 1.0`, without what is hardly there.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1}", self.0.values().sum::<f64>().abs())?;
        let parts: Vec<_> = self
            .0
            .iter()
            .filter(|(_, number)| number.abs() >= 0.05)
            .map(|(name, number)| format!("{name} {number:.1}"))
            .collect();
        if parts.is_empty() { Ok(()) } else { write!(f, ": {}", parts.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_each_took() {
        let names = ["a", "b", "a", "a"].map(str::to_owned);
        let tally = Tally::of(names.into_iter());
        assert_eq!(tally.clone().per(2).to_string(), "2.0: a 1.5, b 0.5");
        let other = Tally::of(["b".to_owned()].into_iter());
        assert_eq!(tally.beyond(&other).per(3).to_string(), "1.0: a 1.0");
        assert_eq!(Tally::default().to_string(), "0.0");
    }
}
