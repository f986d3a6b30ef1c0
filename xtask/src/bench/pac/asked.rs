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
use crate::bench::tally::Tally;

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
        Tally::of_writes(&self.calls)
    }

    pub(super) fn reads(&self) -> Tally {
        Tally::of_reads(&self.calls)
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
