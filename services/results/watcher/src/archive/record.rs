//! The Record of a run.

use results_api::v1alpha2::{Any, CreateRecordRequest, GetRecordRequest, Record, UpdateRecordRequest};
use tonic::Code;

use super::{Archive, CONFLICTS, Error};
use crate::remote;
use crate::run::{Kind, Run};

impl<K: Kind> Archive<'_, K> {
    /// Has the Record say what the run is, and answers its etag.
    pub(super) async fn keep(&self) -> Result<String, Error> {
        if let Some(etag) = self.memory().etag
            && self.run.rest.is_some()
        {
            match self.update(self.text(None).await?, etag).await {
                // Somebody else was there, or has deleted it.
                Err(error) if matches!(error.code(), Code::FailedPrecondition | Code::NotFound) => {}
                updated => return Ok(updated?),
            }
        } else if self.run.rest.is_some()
            && !self.run.says_stored()
            && let Some(etag) = self.create().await?
        {
            return Ok(etag);
        }
        self.compare().await
    }

    /// For what the archive has, whoever wrote it.
    async fn compare(&self) -> Result<String, Error> {
        let mut conflicts = 0;
        loop {
            let Some(record) = self.get().await? else {
                match self.create().await? {
                    Some(etag) => return Ok(etag),
                    None => continue,
                }
            };
            let value = record.data.as_ref().map(|data| data.value.as_ref()).unwrap_or_default();
            let archived: Option<Run<K>> = serde_json::from_slice(value).ok();
            let archived = archived.filter(|archived| archived.uid_text() == self.run.uid_text());
            let is_newer = archived.as_ref().is_some_and(|archived| archived.version() > self.run.version());
            if is_newer || archived.as_ref().is_some_and(|archived| archived.digest() == self.run.digest()) {
                return Ok(record.etag);
            }
            match self.update(self.text(archived.as_ref()).await?, record.etag).await {
                Err(error) if error.code() == Code::FailedPrecondition && conflicts < CONFLICTS => {
                    conflicts += 1;
                }
                updated => return Ok(updated?),
            }
        }
    }

    /// `None` if it is there already.
    async fn create(&self) -> Result<Option<String>, Error> {
        let record = self.record(self.text(None).await?);
        let request = CreateRecordRequest { parent: self.place.result.clone(), record: Some(record) };
        match self.remote.results().create_record(request).await {
            Ok(record) => Ok(Some(record.into_inner().etag)),
            Err(status) if status.code() == Code::AlreadyExists => Ok(None),
            Err(status) => Err(self.failed("create", status).into()),
        }
    }

    async fn get(&self) -> Result<Option<Record>, Error> {
        let request = GetRecordRequest { name: self.place.record.clone() };
        match self.remote.results().get_record(request).await {
            Ok(record) => Ok(Some(record.into_inner())),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(self.failed("read", status).into()),
        }
    }

    async fn update(&self, text: Vec<u8>, etag: String) -> Result<String, remote::Error> {
        let request = UpdateRecordRequest { record: Some(self.record(text)), update_mask: None, etag };
        let updated = self.remote.results().update_record(request).await;
        updated.map(|record| record.into_inner().etag).map_err(|status| self.failed("update", status))
    }

    fn record(&self, text: Vec<u8>) -> Record {
        let data = Any { r#type: Run::<K>::record_type(), value: text.into() };
        Record { name: self.place.record.clone(), data: Some(data), ..Record::default() }
    }

    fn failed(&self, verb: &str, status: tonic::Status) -> remote::Error {
        remote::Error::of(format!("{verb} Record {}", self.place.record), status)
    }
}
