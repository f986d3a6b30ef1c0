//! Takes a Release as far as it goes now, and says in its account what came of it.

use std::time::Duration;

use fleet::{ObjectKey, Wake};
use jiff::{SignedDuration, Timestamp};
use release_service_api::release::PhaseProcessing;
use release_service_api::{Phase, Release, ReleasePlan, ReleasePlanSpec};
use strum::IntoEnumIterator as _;

use super::account::Account;
use super::observe::{Seen, Slot, observe, refresh, slot};
use super::start::{Due, Started, start};
use super::track::{Tracked, collected, track};
use super::validate::{Verdict, validate};
use super::{Error, attempts, metadata, order};
use crate::service::Context;
use order::Step;

/// How soon a Release that is not over is looked at again, for what no event told.
const RESYNC: Wake = Wake::After(Duration::from_mins(10));

/// How soon it is said that it waits for its automation: usually that comes at once.
const SILENCE: SignedDuration = SignedDuration::from_secs(10);

/// How often it is said how far a run is.
pub(super) const PROGRESS: Duration = Duration::from_secs(30);

/// The longest that a Release is kept, in days: a hundred years.
const LONGEST: i64 = 36_500;

/// Whether there is more to do in this pass.
#[derive(PartialEq)]
enum Then {
    Next,
    Rest,
}

pub(super) async fn advance(
    context: &Context,
    seen: &mut Seen,
    account: &mut Account,
) -> Result<Wake, Error> {
    let may_start = match judge(context, seen, account).await? {
        Judged::Later(wake) => return Ok(wake),
        Judged::Now { may_start } => may_start,
    };
    if account.has_begun() {
        account.expires(expiration(&seen.release, seen.plan.as_deref(), seen.now));
    }
    loop {
        let then = match order::next(seen, account, may_start) {
            Step::Skip(phase) => {
                account.skip(phase);
                Then::Next
            }
            Step::Follow(phase) => follow(context, seen, account, phase).await?,
            Step::Start(phase) => {
                take_up(context, seen).await?;
                let slot = Slot { phase, attempt: 0 };
                let since = since(account, seen.now);
                make(context, seen, account, &Due { slot, since, mitigation: None, task_run_specs: None })
                    .await?
            }
            Step::Wait => Then::Rest,
            Step::End => {
                account.complete();
                return Ok(Wake::OnChange);
            }
        };
        if then == Then::Rest {
            return Ok(RESYNC);
        }
    }
}

enum Judged {
    Now { may_start: bool },
    Later(Wake),
}

/// Whether the Release may go on. One that is not, or not any more, to be released still has its runs followed.
async fn judge(context: &Context, seen: &mut Seen, account: &mut Account) -> Result<Judged, Error> {
    let is_finished = account.is_finished();
    if is_finished && (account.is_invalid() || order::next(seen, account, true) == Step::End) {
        return Ok(Judged::Now { may_start: false });
    }
    match verdict(context, seen).await? {
        Verdict::Valid { attribution, target } => {
            account.begin();
            account.valid(attribution, target);
            Ok(Judged::Now { may_start: true })
        }
        Verdict::Wait(time) if !is_finished => {
            let age = seen.release.metadata.creation_timestamp.as_ref();
            let age = age.map_or(SILENCE, |created| seen.now.duration_since(created.0));
            if age < SILENCE {
                let left = Duration::try_from(SILENCE - age).unwrap_or_default();
                return Ok(Judged::Later(Wake::After(left.min(time))));
            }
            account.begin();
            account.expires(expiration(&seen.release, seen.plan.as_deref(), seen.now));
            Ok(Judged::Later(Wake::After(time)))
        }
        Verdict::Wait(_) => Ok(Judged::Now { may_start: false }),
        Verdict::Invalid { cause } => {
            account.begin();
            account.invalid(&cause);
            Ok(Judged::Now { may_start: false })
        }
    }
}

/// A refusal is final, so that the stores are brought up to date before.
async fn verdict(context: &Context, seen: &mut Seen) -> Result<Verdict, Error> {
    match validate(seen) {
        Verdict::Invalid { .. } => {
            refresh(context, seen).await.map_err(Error::Read)?;
            *seen = observe(context, seen.release.clone()).await.map_err(Error::Read)?;
            Ok(validate(seen))
        }
        verdict => Ok(verdict),
    }
}

/// Before anything is made outside of the Release.
async fn take_up(context: &Context, seen: &mut Seen) -> Result<(), Error> {
    let Some(write) = metadata::taking_up(&seen.release, seen.snapshot.as_deref()) else { return Ok(()) };
    context.writer.apply(&[write]).await?;
    if let Some(release) = context.stores.releases.get(&ObjectKey::of(&*seen.release)) {
        seen.release = release;
    }
    Ok(())
}

/// Since when a phase that starts now has been due.
fn since(account: &Account, now: Timestamp) -> Timestamp {
    let ends = Phase::iter()
        .filter_map(|phase| account.processing(phase))
        .filter_map(|PhaseProcessing { completion_time, .. }| completion_time.as_ref());
    ends.chain(account.status().start_time.as_ref()).map(|time| time.0).max().unwrap_or(now)
}

/// Makes a run, if its time has not passed.
async fn make(context: &Context, seen: &mut Seen, account: &mut Account, due: &Due) -> Result<Then, Error> {
    let phase = due.slot.phase;
    match Box::pin(start(context, seen, due)).await? {
        Started::Made { run, bindings } => {
            account.run_made(phase, &run, bindings.clone(), &run.to_string());
            attempts::began(context, seen, account, due, &run, &bindings);
            let is_followed = slot(account.status(), phase) == due.slot;
            let made = context.stores.runs.get(&run).filter(|_| is_followed);
            Ok(match made {
                Some(made) => {
                    seen.runs.insert(due.slot, made);
                    Then::Next
                }
                // Its first event will tell of it.
                None => Then::Rest,
            })
        }
        Started::Refused { cause, bindings } => {
            account.not_started(phase, &cause, bindings);
            Ok(Then::Next)
        }
    }
}

/// Looks how the run of a phase does.
async fn follow(
    context: &Context,
    seen: &mut Seen,
    account: &mut Account,
    phase: Phase,
) -> Result<Then, Error> {
    let slot = slot(account.status(), phase);
    let run = seen.runs.get(&slot).cloned();
    if run.is_none() && !seen.gone.contains(&slot) {
        return Ok(Then::Rest);
    }
    let tracked = Box::pin(track(context, slot, run.as_deref(), seen.now)).await.map_err(Error::Read)?;
    match tracked {
        Tracked::Running { what } => {
            if is_told_of(account, phase, seen.now) {
                account.progressed(phase, &what);
            }
            Ok(Then::Rest)
        }
        Tracked::Succeeded { at } => {
            if attempts::ended(context, seen, account, slot, at, None) {
                account.mended();
            }
            if let (Phase::TenantCollectors, Some(run)) = (phase, run) {
                // Its account may not write to the Release.
                if let Some(found) = collected(context, &run).await.map_err(Error::Read)? {
                    account.collected(&found);
                }
            }
            account.succeeded(phase, at);
            Ok(Then::Next)
        }
        Tracked::Failed { at, cause, failure } => {
            attempts::ended(context, seen, account, slot, at, Some(&failure));
            if phase == Phase::Managed && !account.is_invalid() {
                let next = Box::pin(attempts::next(context, seen, account, &failure)).await;
                if let Some(due) = next.map_err(Error::Read)? {
                    return make(context, seen, account, &due).await;
                }
            }
            let is_only_phase = !order::has_phases(seen, account);
            account.failed(phase, at, &cause, is_only_phase);
            Ok(Then::Next)
        }
    }
}

/// Not at once: most of what could be said of a run that has just begun is over when it is read.
fn is_told_of(account: &Account, phase: Phase, now: Timestamp) -> bool {
    let start = account.processing(phase).and_then(|processing| processing.start_time.as_ref());
    start.is_some_and(|start| now.duration_since(start.0).unsigned_abs() >= PROGRESS)
}

/// When a Release may be deleted: as it says itself, else as its plan says.
fn expiration(release: &Release, plan: Option<&ReleasePlan>, now: Timestamp) -> Timestamp {
    let given = |days: Option<i64>| days.filter(|days| *days > 0);
    let days = given(release.spec.grace_period_days)
        .or_else(|| given(plan?.spec.release_grace_period_days))
        .unwrap_or(ReleasePlanSpec::GRACE_PERIOD_DAYS)
        .min(LONGEST);
    let created = release.metadata.creation_timestamp.as_ref().map_or(now, |created| created.0);
    created.checked_add(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::of_the_release(Some(3), Some(5), "2024-03-04T12:00:00Z")]
    #[case::of_the_plan(Some(0), Some(5), "2024-03-06T12:00:00Z")]
    #[case::not_said(None, Some(5), "2024-03-06T12:00:00Z")]
    #[case::nowhere(None, None, "2024-03-08T12:00:00Z")]
    #[case::never_at_once(Some(0), Some(0), "2024-03-08T12:00:00Z")]
    #[case::negative(Some(-1), None, "2024-03-08T12:00:00Z")]
    #[case::for_ever(Some(i64::MAX), None, "2124-02-06T12:00:00Z")]
    fn is_kept(#[case] own: Option<i64>, #[case] of_plan: Option<i64>, #[case] until: &str) {
        let release: Release = serde_json::from_value(json!({
            "metadata": {"name": "r", "creationTimestamp": "2024-03-01T12:00:00Z"},
            "spec": {"snapshot": "s", "releasePlan": "p", "gracePeriodDays": own},
        }))
        .unwrap();
        let plan: ReleasePlan = serde_json::from_value(
            json!({"metadata": {"name": "p"}, "spec": {"releaseGracePeriodDays": of_plan}}),
        )
        .unwrap();
        assert_eq!(expiration(&release, Some(&plan), Timestamp::MAX).to_string(), until);
    }

    #[test]
    fn a_phase_is_due_since_the_end_of_the_one_before() {
        let release: Release = serde_json::from_value(json!({
            "metadata": {"name": "r"}, "spec": {},
            "status": {
                "startTime": "2024-03-01T12:00:00Z",
                "tenantProcessing": {"startTime": "2024-03-01T12:00:01Z", "completionTime": "2024-03-01T13:00:00Z"},
            },
        }))
        .unwrap();
        let account = Account::of(&release, Timestamp::MAX);
        assert_eq!(since(&account, Timestamp::MAX).to_string(), "2024-03-01T13:00:00Z");
        let fresh = Account::of(&Release::default(), Timestamp::MAX);
        assert_eq!(since(&fresh, Timestamp::MAX), Timestamp::MAX);
    }
}
