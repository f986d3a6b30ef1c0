//! How a request goes on.

use std::time::Duration;

use data_encoding::BASE64;
use jiff::{SignedDuration, Timestamp};
use pipelines_engine_api::reasons::ResolutionReason;
use pipelines_engine_api::status::succeeded;
use pipelines_engine_api::{GoDuration, ResolutionRequest, ResolutionRequestStatus};

use super::answer::Answer;
use crate::condition::{self, Verdict};

/// A resolver that answers within this time spares the write that says that it works.
const GRACE: SignedDuration = SignedDuration::from_secs(1);

const WAITING: &str = "waiting for resolver";

/// What is to be done about a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decided {
    /// As it should be. Absent if it is.
    pub status: Option<ResolutionRequestStatus>,
    /// When to look again.
    pub wake: Option<Timestamp>,
}

/// Whether a resolver has nothing to do here (any more).
pub(super) fn is_over(request: &ResolutionRequest, now: Timestamp, limit: Duration) -> bool {
    request.metadata.deletion_timestamp.is_some()
        || request
            .status
            .as_ref()
            .is_some_and(|status| condition::is_final(&status.conditions) || !status.data.is_empty())
        || deadline(request, limit).is_some_and(|deadline| now >= deadline)
}

/// What every request goes through, whoever answers it: it is in progress until there is data, or its time is over.
pub fn lived(request: &ResolutionRequest, resolver: &str, now: Timestamp, limit: Duration) -> Decided {
    let mut status = request.status.clone().unwrap_or_default();
    if request.metadata.deletion_timestamp.is_some() || condition::is_final(&status.conditions) {
        return Decided::default();
    }
    let deadline = deadline(request, limit);
    let mut wake = None;
    let (verdict, reason, message) = if !status.data.is_empty() {
        (Verdict::True, ResolutionReason::ResolutionSuccessful, String::new())
    } else if deadline.is_some_and(|deadline| now >= deadline) {
        (Verdict::False, ResolutionReason::ResolutionTimedOut, timed_out(&status, resolver, limit))
    } else {
        let grace_ends = created(request).and_then(|created| created.checked_add(GRACE).ok());
        // It says that it is in progress, and maybe what keeps it.
        if succeeded(&status.conditions).is_some() {
            return Decided { status: None, wake: deadline };
        }
        if let Some(at) = grace_ends.filter(|at| now < *at) {
            return Decided { status: None, wake: Some(at) };
        }
        wake = deadline;
        (Verdict::Unknown, ResolutionReason::ResolutionInProgress, WAITING.to_owned())
    };
    condition::set(&mut status.conditions, verdict, <&str>::from(reason), message, now);
    Decided { status: Some(status), wake }
}

/// What a resolver's answer means for a request that waits for it.
pub fn answered(
    request: &ResolutionRequest,
    answer: &Answer,
    now: Timestamp,
) -> Option<ResolutionRequestStatus> {
    let old = request.status.clone().unwrap_or_default();
    let mut status = old.clone();
    let (verdict, reason, message) = match answer {
        Answer::Found(resource) => {
            status.data = BASE64.encode(&resource.data);
            status.annotations.clone_from(&resource.annotations);
            status.ref_source = Some(resource.source.clone());
            status.source = Some(resource.source.clone());
            (Verdict::True, ResolutionReason::ResolutionSuccessful, String::new())
        }
        Answer::Failed(why) => (Verdict::False, ResolutionReason::ResolutionFailed, why.clone()),
        Answer::NotNow(why) => {
            (Verdict::Unknown, ResolutionReason::ResolutionInProgress, format!("{WAITING}: {why}"))
        }
    };
    condition::set(&mut status.conditions, verdict, <&str>::from(reason), message, now);
    Some(status).filter(|status| *status != old)
}

/// With what kept the resolver, or else that it said nothing.
fn timed_out(status: &ResolutionRequestStatus, resolver: &str, limit: Duration) -> String {
    let said = succeeded(&status.conditions)
        .and_then(|condition| condition.message.strip_prefix(WAITING))
        .and_then(|message| message.strip_prefix(": "));
    let why = said.map_or_else(
        || format!("no resolver of type {resolver:?} has answered; is there one?"),
        str::to_owned,
    );
    format!("resolution took longer than global timeout of {}: {why}", GoDuration::from(limit))
}

fn created(request: &ResolutionRequest) -> Option<Timestamp> {
    request.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

/// `None` for ever.
fn deadline(request: &ResolutionRequest, limit: Duration) -> Option<Timestamp> {
    let limit = SignedDuration::try_from(limit).ok().filter(|limit| !limit.is_zero())?;
    created(request)?.checked_add(limit).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use pipelines_engine_api::{RefSource, RunCondition};
    use rstest::rstest;

    use super::*;
    use crate::resolution::answer::Resource;

    const LIMIT: Duration = Duration::from_mins(1);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Created at 0.
    fn request(conditions: &[(&str, &str, &str)], data: &str) -> ResolutionRequest {
        let conditions = conditions.iter().map(|(status, reason, message)| RunCondition {
            type_: "Succeeded".to_owned(),
            status: (*status).to_owned(),
            reason: (*reason).to_owned(),
            message: (*message).to_owned(),
            ..RunCondition::default()
        });
        let mut request = ResolutionRequest::default();
        request.metadata.creation_timestamp = Some(Time(at(0)));
        request.status = Some(ResolutionRequestStatus {
            conditions: conditions.collect(),
            data: data.to_owned(),
            ..ResolutionRequestStatus::default()
        });
        request
    }

    const WORKING: (&str, &str, &str) = ("Unknown", "ResolutionInProgress", "waiting for resolver");

    /// Status and reason that are written, and when to look again.
    #[rstest]
    #[case::a_new_one_is_left_to_its_resolver(&[], "", 0, None, Some(1))]
    #[case::it_takes_a_while(&[], "", 2, Some(("Unknown", "ResolutionInProgress")), Some(60))]
    #[case::nothing_new(&[WORKING], "", 2, None, Some(60))]
    #[case::data_of_a_foreign_resolver(&[WORKING], "a2luZA==", 2, Some(("True", "ResolutionSuccessful")), None)]
    #[case::data_in_the_last_moment(&[WORKING], "a2luZA==", 60, Some(("True", "ResolutionSuccessful")), None)]
    #[case::too_late(&[WORKING], "", 60, Some(("False", "ResolutionTimedOut")), None)]
    #[case::too_late_from_the_start(&[], "", 600, Some(("False", "ResolutionTimedOut")), None)]
    #[case::failed(&[("False", "ResolutionFailed", "x")], "", 600, None, None)]
    #[case::done(&[("True", "ResolutionSuccessful", "")], "a2luZA==", 600, None, None)]
    fn lives(
        #[case] conditions: &[(&str, &str, &str)],
        #[case] data: &str,
        #[case] now: i64,
        #[case] expected: Option<(&str, &str)>,
        #[case] wake: Option<i64>,
    ) {
        let decided = lived(&request(conditions, data), "git", at(now), LIMIT);
        let condition = decided.status.as_ref().and_then(|status| succeeded(&status.conditions));
        let shown = condition.map(|condition| (condition.status.as_str(), condition.reason.as_str()));
        assert_eq!((shown, decided.wake), (expected, wake.map(at)));
    }

    #[rstest]
    #[case::nobody(WORKING, "no resolver of type \"hub\" has answered; is there one?")]
    #[case::somebody(("Unknown", "ResolutionInProgress", "waiting for resolver: git.test: busy"), "git.test: busy")]
    fn says_what_took_so_long(#[case] condition: (&str, &str, &str), #[case] why: &str) {
        let decided = lived(&request(&[condition], ""), "hub", at(60), LIMIT);
        let message = &succeeded(&decided.status.unwrap().conditions).unwrap().message.clone();
        assert_eq!(*message, format!("resolution took longer than global timeout of 1m0s: {why}"));
    }

    #[test]
    fn an_answer_is_written_once() {
        let resource = Resource {
            data: b"kind: Task".to_vec(),
            annotations: [("a".to_owned(), "b".to_owned())].into(),
            source: RefSource { uri: "git+https://git.test/x".to_owned(), ..RefSource::default() },
        };
        let found = Answer::Found(Arc::new(resource.clone()));
        let mut waiting = request(&[WORKING], "");
        let status = answered(&waiting, &found, at(3)).unwrap();
        assert_eq!(status.data, "a2luZDogVGFzaw==");
        assert_eq!(
            (&status.ref_source, &status.source),
            (&Some(resource.source.clone()), &Some(resource.source))
        );
        assert_eq!(status.conditions[0].status, "True");
        waiting.status = Some(status);
        assert!(is_over(&waiting, at(4), LIMIT));
        assert_eq!(answered(&waiting, &found, at(4)), None);

        let mut waiting = request(&[WORKING], "");
        let trouble = Answer::NotNow("git.test: busy".to_owned());
        let status = answered(&waiting, &trouble, at(3)).unwrap();
        assert_eq!(status.conditions[0].message, "waiting for resolver: git.test: busy");
        waiting.status = Some(status);
        assert_eq!(answered(&waiting, &trouble, at(4)), None, "the same trouble is not news");
        assert!(!is_over(&waiting, at(4), LIMIT) && is_over(&waiting, at(60), LIMIT));
        let status = answered(&waiting, &Answer::Failed("no such file".to_owned()), at(5)).unwrap();
        assert_eq!((status.conditions[0].reason.as_str(), status.data.as_str()), ("ResolutionFailed", ""));
    }
}
