//! What the collector remembers of a Snapshot: a few words of its metadata, so that a tenant with thousands takes little memory.

use fleet_api::keys;
use integration_service_api::{annotations, labels};
use jiff::{Span, SpanRelativeTo, Timestamp};
use kube::ResourceExt;

use crate::origin::Origin;
use crate::pull_request::PullRequest;
use fleet::is_inert;

/// One Snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) created: Timestamp,
    /// When its build ended, as it says. Tells apart what was created in the same second.
    pub(super) built: String,
    pub(super) is_push: bool,
    pub(super) component: Option<String>,
    /// The pull request that it was built for; of a push, the one that was merged.
    pub(super) pull_request: Option<PullRequest>,
    /// Hash of its images, if it says.
    pub(super) content: Option<String>,
    /// It is not ours to delete.
    pub(super) is_untouchable: bool,
}

impl Entry {
    /// `None` for what is being deleted.
    pub(super) fn of(snapshot: &impl ResourceExt, now: Timestamp) -> Option<Self> {
        let metadata = snapshot.meta();
        if metadata.deletion_timestamp.is_some() {
            return None;
        }
        let kind = labels::TYPE.of(&metadata.labels);
        Some(Self {
            name: snapshot.name_any(),
            created: metadata.creation_timestamp.as_ref().map_or(now, |time| time.0),
            built: labels::PIPELINE_RUN_FINISH_TIME.of(&metadata.labels).unwrap_or_default().to_owned(),
            is_push: Origin::of(snapshot).is_push() && kind != Some(labels::snapshot_type::GROUP),
            component: keys::COMPONENT.of(&metadata.labels).map(ToOwned::to_owned),
            pull_request: PullRequest::of(snapshot),
            content: labels::CONTENT_HASH.of(&metadata.labels).map(ToOwned::to_owned),
            is_untouchable: is_kept(snapshot, now) || is_inert(metadata),
        })
    }

    /// Newer ones are greater.
    pub(super) fn age_order(&self) -> (Timestamp, &str, &str) {
        (self.created, &self.built, &self.name)
    }
}

/// Whether a user said so: `true`, or a duration since its creation that is not over, as `720h` or `30d`. Another word than that was meant
/// to keep it, too.
fn is_kept(snapshot: &impl ResourceExt, now: Timestamp) -> bool {
    let Some(value) = annotations::KEEP_SNAPSHOT.of(&snapshot.meta().annotations) else { return false };
    if matches!(value, "" | "false") {
        return false;
    }
    let created = snapshot.meta().creation_timestamp.as_ref().map(|time| time.0);
    let lasts =
        value.parse::<Span>().and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours())).ok();
    match created.zip(lasts) {
        Some((created, lasts)) => now.duration_since(created) < lasts,
        None => true,
    }
}

#[cfg(test)]
mod tests;
