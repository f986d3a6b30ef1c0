//! The status of a policy.

use std::sync::Arc;

use enterprise_contract_api::EnterpriseContractPolicy;
use enterprise_contract_api::conditions::Ready;
use enterprise_contract_api::policy::ResolvedSource;
use fleet::{Decision, FieldManager, StatusPatch};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::Finding;
use super::due::{Intervals, wake};
use super::resolve::{Origin, Resolution};

const MANAGER: FieldManager = FieldManager::new("enterprise-contract/policy");

/// Bytes of what a condition says of a cause: a compiler may say much.
const CAUSE: usize = 2000;

/// All that the decision looks at.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    pub(super) now: Timestamp,
    pub(super) policy: Arc<EnterpriseContractPolicy>,
    pub(super) finding: Finding,
    pub(super) intervals: Intervals,
}

/// Writes down what was found. What could not be reached this time keeps what it led to before.
pub(super) fn decide(seen: &Observed) -> Decision {
    let Observed { now, policy, finding, intervals } = seen;
    let before = policy.status.as_ref().map(|status| status.resolved_sources.as_slice()).unwrap_or_default();
    let resolved = match &finding.sources {
        Resolution::Read { urls, .. } => urls.iter().map(|url| resolved(url, before, *now)).collect(),
        Resolution::Unreachable { .. } => before.to_vec(),
        Resolution::Invalid(_) => Vec::new(),
    };
    let status = StatusPatch::of(&**policy, MANAGER, *now)
        .field("observedGeneration", policy.metadata.generation)
        .field("resolvedSources", (!resolved.is_empty()).then_some(resolved))
        .condition(&state(finding));
    let mut decision = Decision { wake: wake(policy, finding, *intervals), ..Decision::default() };
    decision.push(status.into_write());
    decision
}

/// The first thing that stands in the way.
fn state(finding: &Finding) -> Ready {
    match (&finding.sources, &finding.key) {
        (Resolution::Invalid(cause), _) => Ready::InvalidSpec { cause: cut(cause) },
        (Resolution::Unreachable { url, why, .. }, _) => {
            Ready::SourceUnreachable { url: url.clone(), cause: cut(why) }
        }
        (Resolution::Read { .. }, Err(cause)) => Ready::KeyUnreadable { cause: cut(cause) },
        (Resolution::Read { rules: 0, .. }, Ok(())) => Ready::NoRules,
        (Resolution::Read { rules, .. }, Ok(())) => Ready::Valid { rules: *rules },
    }
}

/// The time is when this revision was first seen, so that what stays is not written again.
fn resolved(origin: &Origin, before: &[ResolvedSource], now: Timestamp) -> ResolvedSource {
    let Origin { url, revision, rules } = origin;
    let rule_count = rules.and_then(|rules| i64::try_from(rules).ok());
    let known = before
        .iter()
        .find(|known| (&known.url, &known.revision, known.rule_count) == (url, revision, rule_count));
    let time = known.and_then(|known| known.time.clone()).unwrap_or(Time(now));
    ResolvedSource { url: url.clone(), revision: revision.clone(), rule_count, time: Some(time) }
}

fn cut(text: &str) -> String {
    let end = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= CAUSE).last().unwrap_or_default();
    if text.len() <= CAUSE { text.to_owned() } else { format!("{}…", &text[..end]) }
}

#[cfg(test)]
mod tests;
