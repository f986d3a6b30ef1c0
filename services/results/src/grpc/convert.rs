//! Between rows of the database and messages.

use bytes::Bytes;
use fleet::controller::chain;
use jiff::Timestamp;
use results_api::log::Log;
use results_api::names::RecordName;
use results_api::v1alpha2::{Any, Record, RecordSummary, Result as ResultMessage};
use results_api::{timestamp, types};
use tonic::Status;

use super::results::parsed;
use crate::store::{self, RecordRow, ResultRow, Summary};

pub(super) fn result_message(row: ResultRow) -> ResultMessage {
    let (created, updated) = (Some(row.create_time.into()), Some(row.update_time.into()));
    ResultMessage {
        name: format!("{}/results/{}", row.parent, row.name),
        id: row.uid.clone(),
        uid: row.uid,
        created_time: created,
        create_time: created,
        updated_time: updated,
        update_time: updated,
        annotations: row.annotations,
        etag: row.etag,
        summary: row.summary.map(|summary| RecordSummary {
            record: summary.record,
            r#type: summary.kind,
            start_time: summary.start_time.map(Into::into),
            end_time: summary.end_time.map(Into::into),
            status: summary.status,
            annotations: summary.annotations,
        }),
    }
}

pub(crate) fn record_message(row: RecordRow) -> Record {
    let (created, updated) = (Some(row.create_time.into()), Some(row.update_time.into()));
    Record {
        name: format!("{}/results/{}/records/{}", row.parent, row.result, row.name),
        id: row.uid.clone(),
        uid: row.uid,
        created_time: created,
        create_time: created,
        updated_time: updated,
        update_time: updated,
        data: Some(Any { r#type: row.kind, value: row.data }),
        etag: row.etag,
    }
}

/// A summary that a client sent. An empty one is none.
pub(super) fn summary(message: Option<RecordSummary>) -> Result<Option<Summary>, Status> {
    let Some(message) = message.filter(|summary| *summary != RecordSummary::default()) else {
        return Ok(None);
    };
    let _: RecordName = parsed("result.summary.record", &message.record)?;
    Ok(Some(Summary {
        start_time: time("result.summary.start_time", message.start_time)?,
        end_time: time("result.summary.end_time", message.end_time)?,
        record: message.record,
        kind: message.r#type,
        status: message.status,
        annotations: message.annotations,
    }))
}

fn time(field: &str, time: Option<timestamp::Timestamp>) -> Result<Option<Timestamp>, Status> {
    time.map(Timestamp::try_from)
        .transpose()
        .map_err(|error| Status::invalid_argument(format!("{field}: {error}")))
}

/// Data of a Record of type `kind`, as it is stored. A Log has to be one; where it does not say what keeps it,
/// `logs_type` does.
pub(super) fn document(kind: &str, data: Bytes, logs_type: &str) -> Result<Bytes, Status> {
    if !types::is_log(kind) {
        return Ok(data);
    }
    let invalid = |error: &dyn std::fmt::Display| {
        Status::invalid_argument(format!("record.data.value: this is no {kind}: {error}"))
    };
    let mut log = Log::from_json(&data).map_err(|error| invalid(&error))?;
    if !log.spec.storage.is_empty() {
        return Ok(data);
    }
    logs_type.clone_into(&mut log.spec.storage);
    Ok(log.to_json().into())
}

/// What a client is told of the store's error. What stands behind is for our log.
#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
pub(crate) fn store_status(error: store::Error) -> Status {
    use store::Error;
    let text = error.to_string();
    match error {
        Error::NotFound { .. } => Status::not_found(text),
        Error::AlreadyExists { .. } => Status::already_exists(text),
        Error::EtagMismatch { .. } => Status::failed_precondition(text),
        Error::Invalid { .. } => Status::invalid_argument(text),
        Error::Unavailable(_) => {
            tracing::warn!(error = chain(&error), "The database cannot be reached");
            Status::unavailable(text)
        }
        Error::Deadline(_) => {
            tracing::warn!(error = chain(&error), "The database took too long");
            Status::deadline_exceeded(text)
        }
        Error::Setup(_) | Error::Internal(_) => {
            tracing::error!(error = chain(&error), "The database failed");
            Status::internal("the database failed; its error is in the service's log")
        }
    }
}
