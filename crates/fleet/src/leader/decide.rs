//! What to do about a Lease: no I/O, no clock.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use tokio::time::Instant;

/// The part of a Lease that changes when somebody takes or renews it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Never empty: a Lease that was released names nobody.
    pub(super) holder: Option<String>,
    pub(super) duration: Option<Duration>,
    pub(super) acquired: Option<Timestamp>,
    pub(super) renewed: Option<Timestamp>,
    pub(super) transitions: i32,
}

impl From<&LeaseSpec> for Record {
    fn from(spec: &LeaseSpec) -> Self {
        Self {
            holder: spec.holder_identity.clone().filter(|holder| !holder.is_empty()),
            duration: spec
                .lease_duration_seconds
                .and_then(|seconds| u64::try_from(seconds).ok())
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
            acquired: spec.acquire_time.as_ref().map(|time| time.0),
            renewed: spec.renew_time.as_ref().map(|time| time.0),
            transitions: spec.lease_transitions.unwrap_or_default(),
        }
    }
}

/// A Lease as it was last read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) record: Record,
    pub(super) resource_version: String,
    /// When this record was first seen here. A change beside the record (a label) does not count.
    pub(super) since: Instant,
}

impl Seen {
    /// `before` with what was read now.
    pub(super) fn update(
        before: Option<&Self>,
        record: Record,
        resource_version: String,
        now: Instant,
    ) -> Self {
        let since = before.filter(|before| before.record == record).map_or(now, |before| before.since);
        Self { record, resource_version, since }
    }

    pub(super) fn is_held_by(&self, identity: &str) -> bool {
        self.record.holder.as_deref() == Some(identity)
    }
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There is none yet.
    Create,
    /// It is ours.
    Renew,
    /// It is free or has expired.
    Take,
    /// It is somebody else's, at least until then.
    Wait { holder: String, until: Instant },
}

/// `duration` stands in where the Lease does not say how long it lasts.
pub(super) fn decide(seen: Option<&Seen>, identity: &str, duration: Duration, now: Instant) -> Step {
    let Some(seen) = seen else { return Step::Create };
    match &seen.record.holder {
        None => Step::Take,
        Some(holder) if holder == identity => Step::Renew,
        Some(holder) => {
            let until = seen.since + seen.record.duration.unwrap_or(duration);
            if now >= until { Step::Take } else { Step::Wait { holder: holder.clone(), until } }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const OURS: Duration = Duration::from_secs(15);

    fn record(holder: &str, renewed: &str) -> Record {
        Record::from(&LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(40),
            renew_time: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime(
                renewed.parse().unwrap(),
            )),
            ..LeaseSpec::default()
        })
    }

    fn record_without_duration() -> Record {
        Record { duration: None, ..record("b", "2024-01-01T00:00:00Z") }
    }

    #[derive(Debug, PartialEq)]
    enum Expected {
        Create,
        Renew,
        Take,
        Wait { seconds: u64 },
    }

    #[rstest]
    #[case::nothing_there(None, 0, Expected::Create)]
    #[case::released(Some(record("", "2024-01-01T00:00:00Z")), 0, Expected::Take)]
    #[case::never_held(Some(Record::default()), 0, Expected::Take)]
    #[case::ours(Some(record("a", "2024-01-01T00:00:00Z")), 0, Expected::Renew)]
    #[case::ours_and_unseen_for_long(Some(record("a", "2024-01-01T00:00:00Z")), 1000, Expected::Renew)]
    #[case::others_just_seen_however_old_its_time(
        Some(record("b", "1999-01-01T00:00:00Z")), 0, Expected::Wait { seconds: 40 })]
    #[case::others_half_way(Some(record("b", "2024-01-01T00:00:00Z")), 25, Expected::Wait { seconds: 15 })]
    #[case::others_expired_however_young_its_time(
        Some(record("b", "2999-01-01T00:00:00Z")),
        40,
        Expected::Take
    )]
    #[case::says_no_duration(Some(record_without_duration()), 14, Expected::Wait { seconds: 1 })]
    #[case::says_no_duration_and_expired(Some(record_without_duration()), 15, Expected::Take)]
    fn decides(#[case] record: Option<Record>, #[case] seconds_unchanged: u64, #[case] expected: Expected) {
        let first = Instant::now();
        let now = first + Duration::from_secs(seconds_unchanged);
        let seen = record.map(|record| Seen::update(None, record, "1".to_owned(), first));
        let step = match decide(seen.as_ref(), "a", OURS, now) {
            Step::Create => Expected::Create,
            Step::Renew => Expected::Renew,
            Step::Take => Expected::Take,
            Step::Wait { holder, until } => {
                assert_eq!(holder, "b");
                Expected::Wait { seconds: (until - now).as_secs() }
            }
        };
        assert_eq!(step, expected);
    }

    #[rstest]
    #[case::renewed(record("b", "2024-01-01T00:00:01Z"), true)]
    #[case::taken_by_another(record("c", "2024-01-01T00:00:00Z"), true)]
    #[case::only_labelled(record("b", "2024-01-01T00:00:00Z"), false)]
    fn counts_anew(#[case] after: Record, #[case] anew: bool) {
        let first = Instant::now();
        let now = first + Duration::from_secs(7);
        let before = Seen::update(None, record("b", "2024-01-01T00:00:00Z"), "1".to_owned(), first);
        let seen = Seen::update(Some(&before), after, "2".to_owned(), now);
        assert_eq!(seen.since, if anew { now } else { first });
        assert_eq!(seen.resource_version, "2");
    }

    #[test]
    fn ignores_senseless_durations() {
        for seconds in [0, -1, i32::MIN] {
            let spec = LeaseSpec { lease_duration_seconds: Some(seconds), ..LeaseSpec::default() };
            assert_eq!(Record::from(&spec).duration, None);
        }
    }
}
