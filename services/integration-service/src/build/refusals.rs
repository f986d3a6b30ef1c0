//! What the API server answers to the creation of a Snapshot when it does not want it.

use std::collections::HashMap;

use fleet::WriteError;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use parking_lot::Mutex;
use pipelines_engine_api::PipelineRun;

/// The longest pause between two attempts.
pub(super) const LONGEST_PAUSE: SignedDuration = SignedDuration::from_secs(60);

/// A no of the API server, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The namespace has as many Snapshots as it may have. One may go.
    Quota(String),
    /// It would say the same again.
    Permanent(String),
}

/// What is no such answer, as that the API server is busy, stays an error: the kit tries again.
impl TryFrom<WriteError> for Refusal {
    type Error = WriteError;

    fn try_from(error: WriteError) -> Result<Self, WriteError> {
        match &error {
            WriteError::Refused { source: kube::Error::Api(status), .. } if error.is_permanent() => {
                Ok(Self::Permanent(status.message.clone()))
            }
            WriteError::Refused { source: kube::Error::Api(status), .. } if status.code == 403 => {
                Ok(Self::Quota(status.message.clone()))
            }
            _ => Err(error),
        }
    }
}

/// When a Snapshot was last refused, by uid of the build's run. It only sets the pace: forgotten, it costs one request.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashMap<String, Timestamp>>);

impl Refusals {
    pub(super) fn note(&self, run: &PipelineRun, now: Timestamp) {
        let mut last = self.0.lock();
        last.retain(|_, at| now.duration_since(*at) <= LONGEST_PAUSE);
        last.insert(run.uid().unwrap_or_default(), now);
    }

    pub(super) fn last(&self, run: &PipelineRun) -> Option<Timestamp> {
        self.0.lock().get(run.metadata.uid.as_deref()?).copied()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn answer(code: u16, message: &str) -> WriteError {
        let status = kube::core::Status::failure(message, "").with_code(code);
        WriteError::Refused { write: "create".into(), source: kube::Error::Api(status.boxed()) }
    }

    #[rstest]
    #[case::quota(403, "exceeded quota: q", Some(Refusal::Quota("exceeded quota: q".into())))]
    #[case::forbidden(403, "no rule", Some(Refusal::Permanent("no rule".into())))]
    #[case::invalid(422, "bad", Some(Refusal::Permanent("bad".into())))]
    #[case::webhook(400, "denied", Some(Refusal::Permanent("denied".into())))]
    #[case::busy(429, "later", None)]
    #[case::conflict(409, "again", None)]
    #[case::broken(500, "oops", None)]
    fn tells_what_stays_from_what_passes(
        #[case] code: u16,
        #[case] message: &str,
        #[case] expected: Option<Refusal>,
    ) {
        assert_eq!(Refusal::try_from(answer(code, message)).ok(), expected);
    }

    #[test]
    fn old_refusals_are_forgotten() {
        let run = |uid: &str| PipelineRun {
            metadata: kube::api::ObjectMeta { uid: Some(uid.into()), ..Default::default() },
            ..PipelineRun::default()
        };
        let refusals = Refusals::default();
        refusals.note(&run("a"), Timestamp::UNIX_EPOCH);
        let later = Timestamp::UNIX_EPOCH + LONGEST_PAUSE + SignedDuration::from_secs(1);
        refusals.note(&run("b"), later);
        assert_eq!((refusals.last(&run("a")), refusals.last(&run("b"))), (None, Some(later)));
    }
}
