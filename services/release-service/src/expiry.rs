//! Deletes Releases when their time has come (spec, section 4.7).
//!
//! ```text
//! Release of the store ─▶ due: never, at a time, now ─▶ one after the other ─▶ deleted; its finalizer does the rest
//! ```
//! Nothing is listed: each Release has a timer of its own.

mod pace;
mod steady;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fleet::{Fleet, ObjectKey, Runner, Wake, Write, WriteError, is_inert};
use jiff::Timestamp;
use parking_lot::Mutex;
use release_service_api::Release;
use release_service_api::conditions::Released;

use self::pace::Pace;
use self::steady::Steady;
use crate::args::Expiration;
use crate::conditions::{find, is_finished};
use crate::service::Context;

/// When a clock that jumped is looked at again.
const LOOK_AGAIN: Duration = Duration::from_mins(5);

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let shared = Arc::new(Shared {
        context: Arc::clone(context),
        pace: Pace::per_second(context.args.expiration_rate),
        steady: Mutex::new(Steady::new(context.clock.now(), Instant::now())),
    });
    fleet
        .controller("release-expiry")
        .of(&context.stores.releases)
        .reconcile(move |key| reconcile(key, Arc::clone(&shared)))
}

struct Shared {
    context: Arc<Context>,
    pace: Pace,
    steady: Mutex<Steady>,
}

async fn reconcile(key: ObjectKey, shared: Arc<Shared>) -> Result<Wake, WriteError> {
    let context = &shared.context;
    if context.args.expiration == Expiration::Off {
        return Ok(Wake::OnChange);
    }
    let now = || context.clock.now();
    match due(context.stores.releases.get(&key).as_deref(), now()) {
        Due::Never => return Ok(Wake::OnChange),
        Due::At(at) => return Ok(Wake::At(at)),
        Due::Now if !shared.steady.lock().is_steady(now(), Instant::now()) => {
            tracing::warn!(
                "The clock has jumped: no Release is deleted until it has been steady for an hour"
            );
            return Ok(Wake::After(LOOK_AGAIN));
        }
        Due::Now => {}
    }
    shared.pace.turn().await;
    // It may have changed while others had their turn.
    let release = context.stores.releases.get(&key);
    if due(release.as_deref(), now()) == Due::Now
        && let Some(release) = release
    {
        context.writer.apply(&[Write::delete(&*release)]).await?;
    }
    Ok(Wake::OnChange)
}

/// When a Release is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// It is not over, does not say when, is going already, or came out of a backup.
    Never,
    At(Timestamp),
    Now,
}

fn due(release: Option<&Release>, now: Timestamp) -> Due {
    let Some(release) = release else { return Due::Never };
    let Some(status) = release.status.as_ref().filter(|_| !is_inert(&release.metadata)) else {
        return Due::Never;
    };
    let is_over = find::<Released>(&status.conditions).is_some_and(is_finished);
    match &status.expiration_time {
        Some(time) if is_over && release.metadata.deletion_timestamp.is_none() => {
            if time.0 <= now {
                Due::Now
            } else {
                Due::At(time.0)
            }
        }
        _ => Due::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    const PAST: &str = "2024-03-01T12:00:00Z";
    const FUTURE: &str = "2024-03-01T12:00:01Z";

    fn release(metadata: &Value, released: Option<(&str, &str)>, expires: Option<&str>) -> Release {
        let conditions = released.map(|(status, reason)| {
            json!([{"type": "Released", "status": status, "reason": reason, "message": "", "lastTransitionTime": PAST}])
        });
        let mut release = json!({
            "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "Release",
            "metadata": {"name": "r", "namespace": "t", "uid": "u"},
            "spec": {"snapshot": "s", "releasePlan": "p"},
            "status": {"conditions": conditions.unwrap_or(json!([])), "expirationTime": expires},
        });
        json_patch::merge(&mut release["metadata"], metadata);
        serde_json::from_value(release).unwrap()
    }

    #[rstest]
    #[case::past_and_succeeded(&json!({}), Some(("True", "Succeeded")), Some(PAST), Due::Now)]
    #[case::past_and_failed(&json!({}), Some(("False", "Failed")), Some(PAST), Due::Now)]
    #[case::later(&json!({}), Some(("True", "Succeeded")), Some(FUTURE), Due::At(FUTURE.parse().unwrap()))]
    #[case::says_no_time(&json!({}), Some(("True", "Succeeded")), None, Due::Never)]
    #[case::still_runs(&json!({}), Some(("False", "Progressing")), Some(PAST), Due::Never)]
    #[case::not_begun(&json!({}), None, Some(PAST), Due::Never)]
    #[case::is_going(&json!({"deletionTimestamp": PAST}), Some(("True", "Succeeded")), Some(PAST), Due::Never)]
    #[case::restored(&json!({"labels": {"velero.io/restore-name": "b"}}), Some(("True", "Succeeded")), Some(PAST), Due::Never)]
    fn says_when(
        #[case] metadata: &Value,
        #[case] released: Option<(&str, &str)>,
        #[case] expires: Option<&str>,
        #[case] expected: Due,
    ) {
        let release = release(metadata, released, expires);
        assert_eq!(due(Some(&release), PAST.parse().unwrap()), expected);
    }

    #[test]
    fn one_that_is_gone_needs_nothing() {
        assert_eq!(due(None, PAST.parse().unwrap()), Due::Never);
    }
}
