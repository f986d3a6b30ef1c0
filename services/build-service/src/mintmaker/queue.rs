//! Goes through the branches of all checks, a few at a time.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use build_service_api::annotations::mintmaker::PROCESSED;
use build_service_api::dependency_update_check::CheckError;
use build_service_api::{DependencyUpdateCheck, DependencyUpdateCheckStatus};
use fleet::{Fleet, MetadataPatch, ObjectKey, Presence, Runner, StatusPatch, Wake, Write};
use fleet_api::keys;
use futures::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use parking_lot::Mutex;

use super::branch::{self, Branch, Place};
use super::fair::{self, Limits};
use super::progress::{self, Outcome};
use super::start::{self, Batch};
use super::{Context, run};
use crate::failure::Failure;
use crate::renovate::Error;

const MANAGER: fleet::FieldManager = fleet::FieldManager::new("mintmaker/queue");

/// Branches that are begun at once.
const AT_ONCE: usize = 8;
/// Branches that are taken at a time, so that what became of them is noted soon.
const TAKEN: usize = 32;
/// How often a branch is tried whose forge cannot be reached.
const TRIES: u32 = 5;
/// After the first time; twice as long after each further one.
const PAUSE: SignedDuration = SignedDuration::from_secs(15);

/// What need not survive a restart.
#[derive(Default)]
struct Memory {
    /// The branches of a check as they were when it was first looked at, by its uid.
    branches: HashMap<String, Arc<Vec<Branch>>>,
    /// Failures that may pass, by check and branch.
    tries: HashMap<(String, String), Try>,
}

#[derive(Clone, Copy)]
struct Try {
    count: u32,
    next: Timestamp,
}

/// The controller, with one key for all checks, as they share limits.
pub(super) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    let stores = context.stores.clone();
    let queue = ObjectKey::new(context.namespace.as_str(), "queue");
    let one = move || vec![queue.clone()];
    let (by_check, by_run, by_note) = (one.clone(), one.clone(), one.clone());
    let by_components = one.clone();
    let memory = Arc::new(Mutex::new(Memory::default()));
    fleet
        .controller("queue")
        .reads_changes(&stores.checks, move |_| by_check())
        .reads_changes_after(&stores.runs, std::time::Duration::from_secs(1), move |_| by_run())
        .reads_changes(&stores.notes, move |_| by_note())
        .consults(&stores.components)
        .reads_presence(&stores.components, by_components)
        .reads_presence(&stores.runs, one)
        .reconcile(move |_| reconcile(Arc::clone(&context), Arc::clone(&memory)))
}

/// What is to be done about a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is over, or is nothing of ours.
    None,
    Begin,
    /// There is something to go on with.
    GoOn,
}

fn stage(check: &DependencyUpdateCheck, progress: Option<&ConfigMap>) -> Stage {
    let status = check.status.as_ref();
    let is_processed = PROCESSED.of(&check.metadata.annotations) == Some("true");
    let is_over = check.metadata.deletion_timestamp.is_some()
        || keys::VELERO_RESTORE.of(&check.metadata.labels).is_some()
        || status.is_some_and(|status| status.completion_time.is_some());
    match progress {
        _ if is_over => Stage::None,
        Some(_) => Stage::GoOn,
        // Somebody else took it up: the original, which has no progress.
        None if is_processed => Stage::None,
        None => Stage::Begin,
    }
}

/// A branch of a check that waits.
struct Waiting {
    check: Arc<DependencyUpdateCheck>,
    branch: Branch,
}

async fn reconcile(context: Arc<Context>, memory: Arc<Mutex<Memory>>) -> Result<Wake, Error> {
    let stores = &context.stores;
    // Without runs nothing can be begun; with Components unknown a check would seem to be about nothing.
    if stores.runs.presence() != Presence::Listed || stores.components.presence() == Presence::Unknown {
        return Ok(Wake::OnChange);
    }
    let now = context.clock.now();
    let checks = take_up(&context).await?;
    forget(&memory, &checks);
    let mut waiting = Vec::new();
    let mut wake = Wake::OnChange;
    for check in &checks {
        for branch in left(&context, &memory, check) {
            match memory.lock().tries.get(&(uid(check), branch.id.clone())) {
                Some(tried) if tried.next > now => wake = wake.or(Wake::At(tried.next), now),
                _ => waiting.push(Waiting { check: Arc::clone(check), branch }),
            }
        }
    }
    let chosen = choose(&context, &waiting);
    if !chosen.is_empty() {
        let batch = Batch::new(&context).await?;
        let begun = chosen.iter().map(|index| {
            let Waiting { check, branch } = &waiting[*index];
            let (check, branch) = (Arc::clone(check), branch.clone());
            let (context, batch) = (&context, &batch);
            async move {
                let outcome = Box::pin(start::start(context, batch, &check, &branch)).await;
                (check, branch, outcome)
            }
        });
        let begun: Vec<_> = stream::iter(begun.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).collect().await;
        wake = wake.or(settle(&context, &memory, begun).await?, now);
    }
    for check in &checks {
        let is_over = left(&context, &memory, check).is_empty();
        tell(&context, check, &memory, is_over, Vec::new()).await?;
    }
    Ok(wake)
}

/// Those that are going on, oldest first; new ones are taken up.
async fn take_up(context: &Context) -> Result<Vec<Arc<DependencyUpdateCheck>>, Failure> {
    let stores = &context.stores;
    let mut checks: Vec<_> = stores.checks.keys().iter().filter_map(|key| stores.checks.get(key)).collect();
    checks.retain(|check| stage(check, stores.notes.get(&progress::key(check)).as_deref()) != Stage::None);
    checks.sort_by_key(|check| (check.creation_timestamp().map(|time| time.0), check.name_any()));
    for check in &checks {
        let mut writes = Vec::new();
        if stage(check, stores.notes.get(&progress::key(check)).as_deref()) == Stage::Begin {
            writes.push(progress::begin(check));
        }
        // After its progress, which says that it is ours.
        writes.extend(MetadataPatch::of(&**check).annotation(PROCESSED, Some("true")).into_write());
        context.writer.apply(&writes).await?;
    }
    Ok(checks)
}

fn uid(check: &DependencyUpdateCheck) -> String {
    check.uid().unwrap_or_default()
}

/// Drops what is known of checks that are over.
fn forget(memory: &Mutex<Memory>, checks: &[Arc<DependencyUpdateCheck>]) {
    let mut memory = memory.lock();
    let is_open = |uid: &String| checks.iter().any(|check| check.metadata.uid.as_ref() == Some(uid));
    memory.branches.retain(|uid, _| is_open(uid));
    memory.tries.retain(|(uid, _), _| is_open(uid));
}

/// The branches of a check that nothing became of yet.
fn left(context: &Context, memory: &Mutex<Memory>, check: &DependencyUpdateCheck) -> Vec<Branch> {
    let known = memory.lock().branches.get(&uid(check)).cloned();
    let branches = known.unwrap_or_else(|| {
        let components = &context.stores.components;
        let components: Vec<_> = components.keys().iter().filter_map(|key| components.get(key)).collect();
        let found = Arc::new(branch::branches(&check.spec, &components));
        memory.lock().branches.insert(uid(check), Arc::clone(&found));
        found
    });
    let progress = context.stores.notes.get(&progress::key(check));
    let is_left =
        |branch: &&Branch| progress.as_ref().is_none_or(|progress| !progress::has(progress, &branch.id));
    branches.iter().filter(is_left).cloned().collect()
}

fn choose(context: &Context, waiting: &[Waiting]) -> Vec<usize> {
    let args = &context.args;
    let limits = Limits {
        all: args.max_runs.into(),
        of_host: args.max_runs_per_host.into(),
        of_owner: args.max_runs_per_owner.into(),
    };
    // A run that is made and not let go yet is of a branch that waits.
    let active = context.stores.active();
    let active: Vec<Place> = active.iter().map(|run| run::place(run)).collect();
    let places: Vec<Place> = waiting.iter().map(|waiting| waiting.branch.place()).collect();
    let mut chosen = fair::choose(&places, &active, limits);
    // One branch of a repository at a time: only the forge knows which of them are the same.
    let mut taken = HashSet::new();
    chosen.retain(|index| match &waiting[*index].branch.source {
        Ok(source) => taken.insert(source.name()),
        Err(_) => true,
    });
    chosen.truncate(TAKEN);
    chosen
}

/// What became of branches of one check.
struct Settled {
    check: Arc<DependencyUpdateCheck>,
    outcomes: Vec<(String, Outcome)>,
    errors: Vec<CheckError>,
}

type Begun = (Arc<DependencyUpdateCheck>, Branch, Result<Outcome, Failure>);

/// Notes what became of branches.
async fn settle(context: &Context, memory: &Mutex<Memory>, begun: Vec<Begun>) -> Result<Wake, Failure> {
    let now = context.clock.now();
    let mut wake = Wake::OnChange;
    let mut by_check: HashMap<String, Settled> = HashMap::new();
    for (check, branch, outcome) in begun {
        let outcome = match outcome {
            Ok(outcome) => Ok(outcome),
            Err(Failure::Transient { detail, retry_after }) => {
                match again(memory, &check, &branch, retry_after, now) {
                    Some(next) => {
                        tracing::info!(branch = branch.id, reason = detail, "Tried again later");
                        wake = wake.or(Wake::At(next), now);
                        continue;
                    }
                    None => Err(detail),
                }
            }
            Err(failure @ Failure::Permanent { .. }) => Err(failure.to_string()),
        };
        context.metrics.count(outcome.is_ok());
        let settled = by_check.entry(uid(&check)).or_insert_with(|| Settled {
            check,
            outcomes: Vec::new(),
            errors: Vec::new(),
        });
        let outcome = outcome.unwrap_or_else(|message| {
            settled.errors.extend(branch.components.iter().map(|component| CheckError {
                namespace: component.namespace().unwrap_or_default(),
                component: component.name_any(),
                message: fleet::redact(&message),
            }));
            Outcome::Failed
        });
        settled.outcomes.push((branch.id, outcome));
    }
    for Settled { check, outcomes, errors } in by_check.into_values() {
        let progress = context.stores.notes.get(&progress::key(&check));
        let write = progress.and_then(|progress| progress::record(&progress, &outcomes));
        context.writer.apply(&Vec::from_iter(write)).await?;
        if !errors.is_empty() {
            tell(context, &check, memory, false, errors).await?;
        }
    }
    Ok(wake)
}

/// When a branch is tried again. `None` if it was tried often enough.
fn again(
    memory: &Mutex<Memory>,
    check: &DependencyUpdateCheck,
    branch: &Branch,
    retry_after: Option<std::time::Duration>,
    now: Timestamp,
) -> Option<Timestamp> {
    let mut memory = memory.lock();
    let key = (uid(check), branch.id.clone());
    let count = memory.tries.get(&key).map_or(0, |tried| tried.count) + 1;
    if count >= TRIES {
        memory.tries.remove(&key);
        return None;
    }
    let pause = PAUSE * 2_i32.saturating_pow(count - 1);
    let asked = retry_after.and_then(|after| SignedDuration::try_from(after).ok());
    let next = now + asked.map_or(pause, |asked| asked.max(pause));
    memory.tries.insert(key, Try { count, next });
    Some(next)
}

/// Says in status how far a check has come.
async fn tell(
    context: &Context,
    check: &DependencyUpdateCheck,
    memory: &Mutex<Memory>,
    is_over: bool,
    errors: Vec<CheckError>,
) -> Result<(), Failure> {
    let key = ObjectKey::of(check);
    // As it is after the writes of before.
    let Some(check) = context.stores.checks.get(&key).filter(|now| now.metadata.uid == check.metadata.uid)
    else {
        return Ok(());
    };
    let progress = context.stores.notes.get(&progress::key(&check));
    let Some(progress) = progress else { return Ok(()) };
    let counts = progress::counts(&progress);
    let left = i64::try_from(left(context, memory, &check).len()).unwrap_or(i64::MAX);
    let status = check.status.clone().unwrap_or_default();
    let mut told = status.errors;
    told.extend(errors);
    told.truncate(DependencyUpdateCheckStatus::MAX_ERRORS);
    let now = context.clock.now();
    let write = StatusPatch::of(&*check, MANAGER, now)
        .field("found", counts.total() + left)
        .field("scheduled", counts.scheduled)
        .field("skipped", counts.left_out)
        .field("failed", counts.failed)
        .field("completionTime", is_over.then_some(Time(now)))
        .field("errors", (!told.is_empty()).then_some(told))
        .into_write();
    context.writer.apply(&Vec::from_iter::<Option<Write>>(write)).await?;
    if is_over {
        tracing::info!(
            name = key.name,
            scheduled = counts.scheduled,
            failed = counts.failed,
            "Check is over"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::new(json!({}), json!({}), false, Stage::Begin)]
    #[case::taken_up_by_the_original(json!({"annotations": {"mintmaker.appstudio.redhat.com/processed": "true"}}), json!({}), false, Stage::None)]
    #[case::goes_on(json!({"annotations": {"mintmaker.appstudio.redhat.com/processed": "true"}}), json!({}), true, Stage::GoOn)]
    #[case::crashed_at_its_beginning(json!({}), json!({}), true, Stage::GoOn)]
    #[case::over(json!({}), json!({"completionTime": "2024-03-01T12:00:00Z"}), true, Stage::None)]
    #[case::restored(json!({"labels": {"velero.io/restore-name": "r"}}), json!({}), false, Stage::None)]
    fn a_check(
        #[case] metadata: Value,
        #[case] status: Value,
        #[case] has_progress: bool,
        #[case] expected: Stage,
    ) {
        let check: DependencyUpdateCheck =
            serde_json::from_value(json!({"metadata": metadata, "spec": {}, "status": status})).unwrap();
        let progress = has_progress.then(ConfigMap::default);
        assert_eq!(stage(&check, progress.as_ref()), expected);
    }

    #[test]
    fn a_branch_is_not_tried_for_ever() {
        let memory = Mutex::new(Memory::default());
        let check = DependencyUpdateCheck::default();
        let branch =
            Branch { id: "a".to_owned(), components: Vec::new(), source: Err(Failure::transient("away")) };
        let now = Timestamp::UNIX_EPOCH;
        let pauses: Vec<_> = (0..5).map(|_| again(&memory, &check, &branch, None, now)).collect();
        let seconds: Vec<_> = pauses.iter().map(|at| at.map(Timestamp::as_second)).collect();
        assert_eq!(seconds, [Some(15), Some(30), Some(60), Some(120), None]);
        let asked = again(&memory, &check, &branch, Some(std::time::Duration::from_mins(10)), now);
        assert_eq!(asked.map(Timestamp::as_second), Some(600), "the forge knows better");
    }
}
