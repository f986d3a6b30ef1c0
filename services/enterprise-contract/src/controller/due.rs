//! What of a policy has to be looked at.

use std::time::Duration;

use enterprise_contract_api::EnterpriseContractPolicy;
use fleet::Wake;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;

use super::Finding;
use super::key;
use super::resolve::Resolution;

/// How soon sources are tried again that could not be reached.
const RETRY: Duration = Duration::from_mins(1);

/// How often is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Intervals {
    pub(super) sources: Duration,
    pub(super) key: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// The Secret with the key.
    Key,
    All,
}

/// What to look at now.
pub(super) fn due(
    policy: &EnterpriseContractPolicy,
    known: Option<&Finding>,
    now: Timestamp,
    intervals: Intervals,
) -> Due {
    let Some(known) = known else { return Due::All };
    if known.uid != policy.uid() || known.generation != policy.metadata.generation {
        return Due::All;
    }
    if sources_at(known, intervals).is_some_and(|at| at <= now) {
        return Due::All;
    }
    if key_at(policy, known, intervals).is_some_and(|at| at <= now) { Due::Key } else { Due::Nothing }
}

/// When to look again at the latest.
pub(super) fn wake(policy: &EnterpriseContractPolicy, known: &Finding, intervals: Intervals) -> Wake {
    let times = [sources_at(known, intervals), key_at(policy, known, intervals)];
    times.into_iter().flatten().min().map_or(Wake::OnChange, Wake::At)
}

/// A spec that is wrong by itself stays so until it changes.
fn sources_at(known: &Finding, intervals: Intervals) -> Option<Timestamp> {
    let after = match &known.sources {
        Resolution::Invalid(_) => return None,
        Resolution::Unreachable { is_transient: true, .. } => RETRY.min(intervals.sources),
        _ => intervals.sources,
    };
    later(known.sources_at, after)
}

/// A key that stands in the spec does not change by itself.
fn key_at(policy: &EnterpriseContractPolicy, known: &Finding, intervals: Intervals) -> Option<Timestamp> {
    let is_elsewhere = policy.spec.public_key.as_deref().is_some_and(key::is_in_cluster);
    is_elsewhere.then(|| later(known.key_at, intervals.key)).flatten()
}

fn later(at: Timestamp, after: Duration) -> Option<Timestamp> {
    SignedDuration::try_from(after).ok().and_then(|after| at.checked_add(after).ok())
}
