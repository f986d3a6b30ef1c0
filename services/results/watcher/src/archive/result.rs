//! The Result that a run is in.

use std::collections::BTreeMap;

use prost::Message as _;
use results_api::v1alpha2::{
    CreateResultRequest, GetResultRequest, RecordSummary, Result as ApiResult, UpdateResultRequest,
};
use tonic::{Code, Status};

use super::{Archive, CONFLICTS, Error};
use crate::memory::ResultSeen;
use crate::remote;
use crate::run::{Kind, Run};
use crate::summary::{self, Said};

impl<K: Kind> Archive<'_, K> {
    /// The Result, made if need be.
    pub(crate) async fn result(&self, said: &Said) -> Result<ResultSeen, Error> {
        if let Some(result) = self.memory().result {
            return Ok(result);
        }
        let result = match self.read().await? {
            Some(result) => result,
            None => self.make(said).await?,
        };
        self.remember(|memory| memory.result = Some(result.clone()));
        Ok(result)
    }

    /// Has the Result tell about this run. One that tells about another run is left to it: of several runs in one Result, the first is
    /// what it is about.
    pub(super) async fn summarise(&self, said: &Said) -> Result<(), Error> {
        let wanted = self.summary(said);
        let known = self.memory().result;
        let mut result = match known {
            Some(result) => result,
            // The first that is heard of a run is mostly that it has begun.
            None => self.make(said).await?,
        };
        let mut conflicts = 0;
        while let Some((annotations, summary)) = change(&result, &self.place.record, &wanted, said) {
            match self.update_result(annotations, summary, &result.etag).await {
                Ok(updated) => result = updated,
                Err(error) if error.code() == Code::FailedPrecondition && conflicts < CONFLICTS => {
                    conflicts += 1;
                    result = self.reread(said).await?;
                }
                // Somebody has deleted it.
                Err(error) if error.code() == Code::NotFound && conflicts < CONFLICTS => {
                    conflicts += 1;
                    self.remember(|memory| memory.etag = None);
                    result = self.make(said).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.remember(|memory| memory.result = Some(result));
        Ok(())
    }

    async fn reread(&self, said: &Said) -> Result<ResultSeen, Error> {
        match self.read().await? {
            Some(result) => Ok(result),
            None => self.make(said).await,
        }
    }

    /// Makes the Result, or reads that of whoever was faster.
    async fn make(&self, said: &Said) -> Result<ResultSeen, Error> {
        let mut result = ApiResult { name: self.place.result.clone(), ..ApiResult::default() };
        if self.place.is_top_level {
            result.annotations.clone_from(&said.of_result);
            result.summary = Some(self.summary(said));
        }
        let request = CreateResultRequest { parent: self.place.parent.clone(), result: Some(result) };
        match self.remote.results().create_result(request).await {
            Ok(result) => Ok(seen(result.into_inner())),
            Err(status) if status.code() == Code::AlreadyExists => match self.read().await? {
                Some(result) => Ok(result),
                None => Err(self.result_failed("create", status).into()),
            },
            Err(status) => Err(self.result_failed("create", status).into()),
        }
    }

    async fn read(&self) -> Result<Option<ResultSeen>, Error> {
        let request = GetResultRequest { name: self.place.result.clone() };
        match self.remote.results().get_result(request).await {
            Ok(result) => Ok(Some(seen(result.into_inner()))),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(self.result_failed("read", status).into()),
        }
    }

    async fn update_result(
        &self,
        annotations: BTreeMap<String, String>,
        summary: RecordSummary,
        etag: &str,
    ) -> Result<ResultSeen, remote::Error> {
        let name = self.place.result.clone();
        let result =
            ApiResult { name: name.clone(), annotations, summary: Some(summary), ..ApiResult::default() };
        let request = UpdateResultRequest { name, result: Some(result), etag: etag.to_owned() };
        let updated = self.remote.results().update_result(request).await;
        updated.map(|result| seen(result.into_inner())).map_err(|status| self.result_failed("update", status))
    }

    fn summary(&self, said: &Said) -> RecordSummary {
        let facts = &self.run.facts;
        RecordSummary {
            record: self.place.record.clone(),
            r#type: Run::<K>::record_type(),
            start_time: facts.started.map(Into::into),
            end_time: facts.completed.map(Into::into),
            status: summary::status(facts) as i32,
            annotations: said.of_summary.clone(),
        }
    }

    fn result_failed(&self, verb: &str, status: Status) -> remote::Error {
        remote::Error::of(format!("{verb} Result {}", self.place.result), status)
    }
}

/// What is to be written on a Result; `None` if nothing is.
fn change(
    result: &ResultSeen,
    record: &str,
    wanted: &RecordSummary,
    said: &Said,
) -> Option<(BTreeMap<String, String>, RecordSummary)> {
    if !result.about.is_empty() && result.about != record {
        return None;
    }
    let mut annotations = result.annotations.clone();
    annotations.extend(said.of_result.clone());
    let is_same = annotations == result.annotations && result.summary == Some(wanted.encode_to_vec());
    (!is_same).then(|| (annotations, wanted.clone()))
}

fn seen(result: ApiResult) -> ResultSeen {
    ResultSeen {
        about: result.summary.as_ref().map(|summary| summary.record.clone()).unwrap_or_default(),
        summary: result.summary.map(|summary| summary.encode_to_vec()),
        uid: result.uid,
        etag: result.etag,
        annotations: result.annotations,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(about: &str) -> ResultSeen {
        let annotations = BTreeMap::from([("theirs".to_owned(), "x".to_owned())]);
        let summary = RecordSummary { record: about.to_owned(), ..RecordSummary::default() };
        let summary = Some(summary).filter(|summary| !summary.record.is_empty());
        seen(ApiResult { annotations, summary, ..ApiResult::default() })
    }

    #[test]
    fn what_others_wrote_on_a_result_stays() {
        let said = Said { of_result: BTreeMap::from([("ours".into(), "y".into())]), ..Said::default() };
        let wanted = RecordSummary { record: "r".into(), ..RecordSummary::default() };
        let (annotations, summary) = change(&result(""), "r", &wanted, &said).unwrap();
        assert_eq!(annotations.into_keys().collect::<Vec<_>>(), ["ours", "theirs"]);
        assert_eq!(summary, wanted);
    }

    #[test]
    fn a_result_about_another_run_is_left_alone() {
        let wanted = RecordSummary { record: "r".into(), status: 1, ..RecordSummary::default() };
        assert_eq!(change(&result("other"), "r", &wanted, &Said::default()), None);
        assert!(change(&result("r"), "r", &wanted, &Said::default()).is_some());
        let same = RecordSummary { status: 0, ..wanted };
        assert_eq!(change(&result("r"), "r", &same, &Said::default()), None);
    }
}
