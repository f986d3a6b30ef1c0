//! Decides what becomes of the builds of one Component, without calling anybody.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use application_service_api::Component;
use build_service_api::build_run::results;
use build_service_api::{annotations, finalizers};
use fleet::{MetadataPatch, Presence, Wake, Write};
use fleet_api::keys;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use pipelines_as_code_api::annotations::written::EVENT_TYPE;
use pipelines_as_code_api::labels as pac_labels;
use pipelines_engine_api::PipelineRun;
use pipelines_engine_api::param::ParamValue;
use pipelines_engine_api::pipeline_run::PENDING;
use pipelines_engine_api::status::succeeded;

use super::group::Group;

/// So long after their creation many write the metadata of a run: a finalizer would only meet conflicts.
const CONTENDED: SignedDuration = SignedDuration::from_secs(10);

/// How long after the end of a build another one may end, of which then only the newer is proposed.
const TOGETHER: SignedDuration = SignedDuration::from_secs(3);

/// How long a run of the updater is waited for. It goes on beyond that, by itself.
const PATIENCE: SignedDuration = SignedDuration::from_secs(300);

/// Builds that ended so long ago, and that were not held by us, are history.
const HISTORY: SignedDuration = SignedDuration::from_hours(24);

/// All that the decision may look at.
pub(super) struct Observed<'a> {
    pub(super) now: Timestamp,
    /// Absent if there is none, or it is being deleted.
    pub(super) component: Option<&'a Component>,
    pub(super) components: Presence,
    pub(super) builds: Vec<Arc<PipelineRun>>,
    /// Runs of the updater for builds of this Component.
    pub(super) nudges: Vec<Arc<PipelineRun>>,
    /// Where its image is proposed.
    pub(super) groups: &'a [Group],
    /// Causes of runs that cannot be started.
    pub(super) skipped: &'a HashSet<String>,
    /// When a build may be tried again, by uid.
    pub(super) not_before: &'a HashMap<String, Timestamp>,
    /// How long to wait after a first failure.
    pub(super) retry_after: SignedDuration,
}

/// What to do, in this order.
#[derive(Debug, Default)]
pub(super) struct Next {
    /// Tokens of runs of the updater that are over.
    pub(super) over: Vec<Arc<PipelineRun>>,
    pub(super) writes: Vec<Write>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) failures: Vec<Failed>,
    pub(super) wake: Wake,
}

/// Runs of the updater to be started for a build.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) build: Arc<PipelineRun>,
    pub(super) image: Image,
    /// From 1.
    pub(super) number: u32,
    /// Indexes of the groups.
    pub(super) groups: Vec<usize>,
}

/// A build whose image could not be proposed.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) build: Arc<PipelineRun>,
    /// How often, this time included.
    pub(super) times: u32,
    pub(super) reason: String,
    /// When it may be tried again, if it is.
    pub(super) since: Timestamp,
}

/// What a build made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// Registry and repository.
    pub(super) repository: String,
    pub(super) tag: String,
    pub(super) digest: String,
}

/// Name, for annotations: what a run of the updater is for.
pub(super) fn cause(build: &PipelineRun, group: &Group, number: u32) -> String {
    format!("{} {number} {}", build.uid().unwrap_or_default(), group.key)
}

pub(super) fn decide(seen: &Observed<'_>) -> Next {
    let mut next = Next::default();
    if seen.components == Presence::Unknown {
        return next;
    }
    next.over =
        seen.nudges.iter().filter(|run| ended(run).is_some() && !is_processed(run)).cloned().collect();
    let mut wanted = HashSet::new();
    let mut pushes: Vec<&Arc<PipelineRun>> =
        seen.builds.iter().filter(|build| is_push(build) && !is_restored(build)).collect();
    pushes.sort_by_key(|build| std::cmp::Reverse((created(build), build.name_any())));
    let nudges = seen.component.is_some_and(|component| !component.spec.build_nudges_ref.is_empty());
    // From the newest: what was built before it has nothing to say.
    let mut newer = Newer::None;
    for build in pushes {
        let step = if nudges { step(seen, build, newer) } else { leave(seen, build) };
        newer = newer.max(Newer::than(build));
        match step {
            Step::Nothing => {}
            Step::Hold => {
                next.writes.extend(MetadataPatch::of(&**build).finalizer(finalizers::NUDGE).into_write());
            }
            Step::Done => next.writes.extend(finish(build)),
            Step::Later(at) => next.wake = next.wake.or(Wake::At(at), seen.now),
            Step::Wait(at) => {
                wanted.extend(causes(seen, build));
                next.wake = next.wake.or(Wake::At(at), seen.now);
            }
            Step::Attempt(attempt) => {
                wanted.extend(causes(seen, build));
                next.attempts.push(attempt);
            }
            Step::Failed(failed) => next.failures.push(failed),
        }
    }
    // Those that wait to be let go for a build that nobody waits for any more.
    let stray = seen.nudges.iter().filter(|run| {
        is_pending(run)
            && run.metadata.deletion_timestamp.is_none()
            && keys::CAUSE.of(&run.metadata.annotations).is_none_or(|cause| !wanted.contains(cause))
    });
    next.writes.extend(stray.map(|run| Write::delete(&**run)));
    next
}

/// What is known of the builds that were begun after one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Newer {
    None,
    /// One has made an image.
    Built,
    /// That image was proposed, too.
    Proposed,
}

impl Newer {
    fn than(build: &PipelineRun) -> Self {
        match ended(build) {
            Some(true) if is_processed(build) => Self::Proposed,
            Some(true) if image(build).is_some() => Self::Built,
            _ => Self::None,
        }
    }
}

enum Step {
    Nothing,
    /// Keep it until its image is proposed.
    Hold,
    /// There is nothing (more) to do about it.
    Done,
    Later(Timestamp),
    /// For its runs of the updater.
    Wait(Timestamp),
    Attempt(Attempt),
    Failed(Failed),
}

/// A build of a Component that nudges nobody. It is marked, so that it is not proposed to whomever it nudges one day.
fn leave(seen: &Observed<'_>, build: &PipelineRun) -> Step {
    let is_recent = completed(build).is_some_and(|at| seen.now.duration_since(at) < HISTORY);
    let is_held = is_held(build);
    let must_be_marked =
        ended(build) == Some(true) && is_recent && seen.component.is_some() && !is_processed(build);
    if is_held || must_be_marked { Step::Done } else { Step::Nothing }
}

fn step(seen: &Observed<'_>, build: &Arc<PipelineRun>, newer: Newer) -> Step {
    if is_processed(build) {
        return if is_held(build) { Step::Done } else { Step::Nothing };
    }
    let is_going = build.metadata.deletion_timestamp.is_some();
    match ended(build) {
        None if is_going => return if is_held(build) { Step::Done } else { Step::Nothing },
        // It will be over later than a newer one, and must not take back what that has proposed.
        None if newer == Newer::Proposed => return Step::Done,
        None if is_held(build) => return Step::Nothing,
        None => {
            let calm = created(build) + CONTENDED;
            return if seen.now < calm { Step::Later(calm) } else { Step::Hold };
        }
        // Not held by us any more: it goes, and nobody waits for what we would write.
        Some(_) if is_going && !is_held(build) => return Step::Nothing,
        Some(false) => return Step::Done,
        Some(true) => {}
    }
    let done_at = completed(build).unwrap_or(seen.now);
    if !is_held(build) && seen.now.duration_since(done_at) >= HISTORY {
        return Step::Nothing;
    }
    let (Some(image), Some(failures)) = (image(build), failures(build)) else { return Step::Done };
    if newer > Newer::None || seen.groups.is_empty() || failures >= annotations::NUDGE_ATTEMPTS {
        return Step::Done;
    }
    let together = done_at + TOGETHER;
    if seen.now < together {
        return Step::Wait(together);
    }
    let not_before = build.uid().and_then(|uid| seen.not_before.get(&uid)).copied();
    let not_before = not_before.max(last_failure(seen, build, failures));
    if let Some(at) = not_before.filter(|at| *at > seen.now) {
        return Step::Wait(at);
    }
    progress(seen, build, image, failures + 1)
}

/// Until when is waited because the runs of the attempt before failed.
fn last_failure(seen: &Observed<'_>, build: &PipelineRun, failures: u32) -> Option<Timestamp> {
    let causes: Vec<String> = seen.groups.iter().map(|group| cause(build, group, failures)).collect();
    let of_attempt = seen.nudges.iter().filter(|run| {
        ended(run) == Some(false)
            && keys::CAUSE
                .of(&run.metadata.annotations)
                .is_some_and(|cause| causes.iter().any(|one| one == cause))
    });
    of_attempt.filter_map(|run| completed(run)).max().map(|at| at + pause(seen.retry_after, failures))
}

/// How far the runs of the updater for a build have come.
fn progress(seen: &Observed<'_>, build: &Arc<PipelineRun>, image: Image, number: u32) -> Step {
    let mut missing = Vec::new();
    let mut wait: Option<Timestamp> = None;
    let mut failed: Option<&PipelineRun> = None;
    for (index, group) in seen.groups.iter().enumerate() {
        let run_of = |number| {
            let cause = cause(build, group, number);
            seen.nudges.iter().find(|run| keys::CAUSE.of(&run.metadata.annotations) == Some(&cause))
        };
        if seen.skipped.contains(&cause(build, group, number)) {
            continue;
        }
        let runs: Vec<&Arc<PipelineRun>> = (1..=number).filter_map(run_of).collect();
        if runs.iter().any(|run| ended(run) == Some(true)) {
            continue;
        }
        // Also one of an attempt before, which another repository has failed.
        let going = runs.iter().find(|run| ended(run).is_none() && !is_pending(run));
        match (going, run_of(number)) {
            (Some(run), _) => {
                let until = created(run) + PATIENCE;
                if seen.now < until {
                    wait = Some(wait.map_or(until, |wait| wait.min(until)));
                }
            }
            (None, Some(run)) if ended(run) == Some(false) => failed = Some(run),
            (None, _) => missing.push(index),
        }
    }
    if !missing.is_empty() {
        return Step::Attempt(Attempt { build: Arc::clone(build), image, number, groups: missing });
    }
    // One that failed counts when the others are over, so that an attempt is one for all.
    match (wait, failed) {
        (Some(until), _) => Step::Wait(until),
        (None, Some(run)) => Step::Failed(Failed {
            build: Arc::clone(build),
            times: number,
            reason: format!("run {} failed", run.name_any()),
            since: completed(run).unwrap_or(seen.now),
        }),
        (None, None) => Step::Done,
    }
}

/// Causes of all runs that may be started for a build now.
fn causes(seen: &Observed<'_>, build: &PipelineRun) -> Vec<String> {
    let numbers = 1..=annotations::NUDGE_ATTEMPTS;
    numbers.flat_map(|number| seen.groups.iter().map(move |group| cause(build, group, number))).collect()
}

/// Says that nothing more is to do about a build, and lets it go.
pub(super) fn finish(build: &PipelineRun) -> Option<Write> {
    MetadataPatch::of(build)
        .without_finalizer(finalizers::NUDGE)
        .annotation(annotations::NUDGE_PROCESSED, Some("true"))
        .into_write()
}

/// How long to wait after so many failures.
pub(super) fn pause(first: SignedDuration, times: u32) -> SignedDuration {
    first.checked_mul(i32::try_from(times).unwrap_or(i32::MAX)).unwrap_or(SignedDuration::MAX)
}

pub(super) fn is_processed(run: &PipelineRun) -> bool {
    annotations::NUDGE_PROCESSED.of(&run.metadata.annotations) == Some("true")
}

/// Whether it was made and not let go yet.
pub(super) fn is_pending(run: &PipelineRun) -> bool {
    run.spec.status == PENDING && ended(run).is_none()
}

fn is_held(build: &PipelineRun) -> bool {
    finalizers::NUDGE.is_in(build.metadata.finalizers.as_ref())
}

fn is_push(build: &PipelineRun) -> bool {
    let metadata = &build.metadata;
    let event = EVENT_TYPE.of(&metadata.annotations).or_else(|| pac_labels::EVENT_TYPE.of(&metadata.labels));
    event.is_some_and(|event| ["push", "incoming"].iter().any(|push| event.eq_ignore_ascii_case(push)))
}

/// Whether it comes from a backup (contracts.md, decision 27).
fn is_restored(build: &PipelineRun) -> bool {
    let recorded = keys::RECORDED_UID.of(&build.metadata.annotations);
    keys::VELERO_RESTORE.of(&build.metadata.labels).is_some()
        || recorded.is_some_and(|uid| Some(uid) != build.metadata.uid.as_deref())
}

/// Whether it has ended, and well.
pub(crate) fn ended(run: &PipelineRun) -> Option<bool> {
    let status = run.status.as_ref()?;
    match succeeded(&status.conditions)?.status.as_str() {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

fn created(run: &PipelineRun) -> Timestamp {
    run.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

pub(super) fn completed(run: &PipelineRun) -> Option<Timestamp> {
    run.status.as_ref()?.completion_time.as_ref().map(|time| time.0)
}

/// `None` if it is no number.
fn failures(build: &PipelineRun) -> Option<u32> {
    annotations::NUDGE_FAILURES.of(&build.metadata.annotations).map_or(Some(0), |text| text.parse().ok())
}

fn image(build: &PipelineRun) -> Option<Image> {
    let results = &build.status.as_ref()?.results;
    let value = |name: &str| {
        results.iter().find(|result| result.name == name).and_then(|result| match &result.value {
            ParamValue::String(text) => Some(text.trim()).filter(|text| !text.is_empty()),
            _ => None,
        })
    };
    let (url, digest) = (value(results::IMAGE_URL)?, value(results::IMAGE_DIGEST)?);
    let repository = crate::image::repository_of(url);
    let tagged = url.split_once('@').map_or(url, |(name, _)| name);
    let tag = tagged.strip_prefix(repository)?.strip_prefix(':')?;
    let whole = format!("{repository}:{tag}@{digest}");
    whole.parse::<registry::Reference>().ok()?;
    Some(Image { repository: repository.to_owned(), tag: tag.to_owned(), digest: digest.to_owned() })
}

#[cfg(test)]
mod tests;
