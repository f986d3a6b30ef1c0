//! The Snapshot of a build: the candidate list with what was built.

use std::collections::BTreeMap;

use application_service_api::Application;
use application_service_api::snapshot::{SnapshotComponent, SnapshotSource};
use application_service_api::source::GitSource;
use build_service_api::build_run::results;
use fleet::{Event, Write};
use integration_service_api::annotations::{self, RESULT_PREFIX};
use integration_service_api::labels;
use pipelines_engine_api::PipelineRun;

use super::decide::Observed;
use super::outcome::Reason;
use super::pr_group::PrGroup;
use super::run;
use crate::content::{
    Candidates, InvalidImage, NewSnapshot, Prefixes, Purpose, Unfit, candidates, copied, image_of,
};
use crate::origin::Origin;
use crate::record;

/// Longest name of a key, without its prefix.
const LONGEST_NAME: usize = 63;

/// Most bytes of all results of a build that are kept in annotations: an object may have 256 KiB of those in all.
const MOST_RESULTS: usize = 64 * 1024;

/// Why no Snapshot can be made of a build. Nothing but another build mends it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("the build has no result {0}; is the task that writes it still in the build pipeline?")]
    MissingResult(&'static str),
    #[error(
        "InvalidImageDigest: {url} (result {url_result}) at {digest} (result {digest_result}) is no image by digest",
        url_result = results::IMAGE_URL,
        digest_result = results::IMAGE_DIGEST
    )]
    InvalidImage { url: String, digest: String, source: InvalidImage },
}

impl Fault {
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::MissingResult(_) => Reason::MissingResult,
            Self::InvalidImage { .. } => Reason::InvalidImage,
        }
    }
}

/// What was built.
fn built(run: &PipelineRun, component: &str) -> Result<SnapshotComponent, Fault> {
    let result = |wanted: &'static str| {
        let value = run::results(run).find(|(name, value)| *name == wanted && !value.is_empty());
        value.map(|(_, value)| value).ok_or(Fault::MissingResult(wanted))
    };
    let (url, digest) = (result(results::IMAGE_URL)?, result(results::IMAGE_DIGEST)?);
    let (git_url, commit) = (result(results::GIT_URL)?, result(results::GIT_COMMIT)?);
    let container_image = image_of(url, digest).map_err(|source| Fault::InvalidImage {
        url: url.to_owned(),
        digest: digest.to_owned(),
        source,
    })?;
    let git =
        GitSource { url: git_url.to_owned(), revision: Some(commit.to_owned()), ..GitSource::default() };
    let source = Some(SnapshotSource { git: Some(git) });
    Ok(SnapshotComponent { name: component.to_owned(), version: None, container_image, source })
}

/// The Snapshot, all its scenarios waiting, and what is to be told of Components that it lacks.
pub(super) fn create(
    seen: &Observed,
    component: &str,
    application: &Application,
) -> Result<Vec<Write>, Fault> {
    let run = &*seen.run;
    let mut list = candidates(&seen.components);
    list.with(built(run, component)?);
    let events = left_out(run, &list);
    let (mut labels, mut annotations) = copied(&run.metadata, Prefixes::OfBuild);
    annotations.extend(results_as_annotations(run));
    if let Some(start) = run.status.as_ref().and_then(|status| status.start_time.as_ref()) {
        annotations.insert(annotations::BUILD_START.into(), start.0.as_second().to_string());
    }
    if let Some(group) = PrGroup::of(&Origin::of(run)) {
        annotations.insert(annotations::PR_GROUP.into(), group.name);
        labels.insert(labels::PR_GROUP_SHA.into(), group.hash);
    }
    let new = NewSnapshot {
        application,
        purpose: seen.purpose(component),
        components: list.entries,
        labels,
        annotations,
        trace: seen.trace,
    };
    let mut snapshot = new.build();
    let [_, alternative] = new.names();
    if seen.is_name_taken() {
        snapshot.metadata.name = Some(alternative);
    }
    let scenarios = record::scenarios_for(&snapshot, &seen.scenarios);
    let pending = record::initial(&scenarios, seen.now);
    snapshot.metadata.annotations.get_or_insert_default().insert(annotations::STATUS.into(), pending);
    Ok([vec![Write::create(&snapshot)], events].concat())
}

/// Tells of Components whose image is none. That one was never built needs no word.
fn left_out(run: &PipelineRun, list: &Candidates) -> Vec<Write> {
    let invalid = list.skipped.iter().filter(|skipped| skipped.why == Unfit::Invalid);
    let tell = |note: String| Event::warning(run, "InvalidCandidate", "CreateSnapshot", note).into();
    invalid
        .map(|skipped| {
            tell(format!(
                "Component {} is not in the Snapshot: its image {} is not of the form repository@sha256:<64 hexadecimal \
                 digits>; build it anew, or mend its spec.containerImage",
                skipped.component, skipped.image
            ))
        })
        .collect()
}

/// The results of a build as annotations of its Snapshot (specification, annex L10), as many as there is room for. Those whose name
/// makes no key are left out.
fn results_as_annotations(run: &PipelineRun) -> BTreeMap<String, String> {
    let mut room = MOST_RESULTS;
    let mut kept = BTreeMap::new();
    for (name, value) in run::results(run) {
        let Some(key) = key_of_result(name) else { continue };
        let Some(left) = room.checked_sub(key.len() + value.len()) else { break };
        room = left;
        kept.insert(key, value.to_owned());
    }
    kept
}

fn key_of_result(name: &str) -> Option<String> {
    let key = format!("{RESULT_PREFIX}{}", name.to_ascii_lowercase().replace('_', "-"));
    let (_, own) = key.split_once('/')?;
    let is_key = own.len() <= LONGEST_NAME
        && own.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        && own.ends_with(|last: char| last.is_ascii_alphanumeric());
    is_key.then_some(key)
}

/// What a Snapshot of a build is made for.
impl Observed {
    pub(super) fn purpose<'a>(&'a self, component: &'a str) -> Purpose<'a> {
        let finished = run::completed_at(&self.run).unwrap_or(self.now);
        Purpose::Build { component, run: &self.run, finished }
    }
}
