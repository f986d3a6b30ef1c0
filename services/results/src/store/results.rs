//! One Result at a time.

use std::collections::BTreeMap;

use sqlx::types::Json;
use uuid::Uuid;

use super::Store;
use super::column::Time;
use super::document::{check_annotations, check_summary};
use super::error::Error;
use super::row::{ResultRow, Summary, result_columns};

/// A Result that a client wants made. Its names are valid segments.
#[derive(Clone, Debug, Default)]
pub struct NewResult {
    pub parent: String,
    pub name: String,
    pub annotations: BTreeMap<String, String>,
    pub summary: Option<Summary>,
}

/// The time of a statement, and the etag that holds it, come from the database: replicas need not agree on the time. No row
/// means that the name is taken, which tasks that start together find often, and which is nothing for the database's log.
const INSERT: &str = concat!(
    "INSERT INTO results (parent, name, id, annotations, recordsummary_record, recordsummary_type, \
     recordsummary_start_time, recordsummary_end_time, recordsummary_status, recordsummary_annotations, \
     created_time, updated_time, etag) \
     SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, t, t, $3 || '-' || (extract(epoch FROM t) * 1000000)::int8 || '000' \
     FROM (SELECT statement_timestamp() AS t) AS clock ON CONFLICT (parent, name) DO NOTHING RETURNING ",
    result_columns!()
);

/// The etag is compared in the statement itself: of concurrent updates, those that waited for the row see its new etag.
/// The time goes forward even when the clock does not, so that no two states of a row share an etag.
const UPDATE: &str = concat!(
    "UPDATE results SET annotations = $3, recordsummary_record = $4, recordsummary_type = $5, \
     recordsummary_start_time = $6, recordsummary_end_time = $7, recordsummary_status = $8, \
     recordsummary_annotations = $9, \
     updated_time = greatest(statement_timestamp(), updated_time + interval '1 microsecond'), \
     etag = id || '-' || (extract(epoch FROM greatest(statement_timestamp(), \
     updated_time + interval '1 microsecond')) * 1000000)::int8 || '000' \
     WHERE parent = $1 AND name = $2 AND ($10 = '' OR etag = $10) RETURNING ",
    result_columns!()
);

const SELECT: &str = concat!("SELECT ", result_columns!(), " FROM results WHERE parent = $1 AND name = $2");

impl Store {
    /// Fails with `AlreadyExists` if the parent has a Result of that name.
    pub async fn create_result(&self, new: NewResult) -> Result<ResultRow, Error> {
        check_annotations("result.annotations", &new.annotations)?;
        new.summary.as_ref().map_or(Ok(()), check_summary)?;
        let summary = SummaryColumns::of(new.summary.as_ref());
        sqlx::query_as(INSERT)
            .bind(&new.parent)
            .bind(&new.name)
            .bind(Uuid::new_v4().to_string())
            .bind(Json(&new.annotations))
            .bind(summary.record)
            .bind(summary.kind)
            .bind(summary.start_time)
            .bind(summary.end_time)
            .bind(summary.status)
            .bind(summary.annotations)
            .fetch_optional(self.pool())
            .await
            .map_err(|error| Error::of_write(error, "result", || what(&new.parent, &new.name)))?
            .ok_or_else(|| Error::AlreadyExists { what: what(&new.parent, &new.name) })
    }

    /// Puts annotations and summary in place of those that are there, empty ones too. An empty `etag` stands for any.
    pub async fn update_result(
        &self,
        parent: &str,
        name: &str,
        annotations: &BTreeMap<String, String>,
        summary: Option<&Summary>,
        etag: &str,
    ) -> Result<ResultRow, Error> {
        check_annotations("result.annotations", annotations)?;
        summary.map_or(Ok(()), check_summary)?;
        let summary = SummaryColumns::of(summary);
        let updated = sqlx::query_as(UPDATE)
            .bind(parent)
            .bind(name)
            .bind(Json(annotations))
            .bind(summary.record)
            .bind(summary.kind)
            .bind(summary.start_time)
            .bind(summary.end_time)
            .bind(summary.status)
            .bind(summary.annotations)
            .bind(etag)
            .fetch_optional(self.pool())
            .await
            .map_err(|error| Error::of_write(error, "result", || what(parent, name)))?;
        match updated {
            Some(row) => Ok(row),
            None if etag.is_empty() => Err(Error::NotFound { what: what(parent, name) }),
            // Either it is gone, or it has another etag.
            None => {
                self.get_result(parent, name).await.and(Err(Error::EtagMismatch { what: what(parent, name) }))
            }
        }
    }

    pub async fn get_result(&self, parent: &str, name: &str) -> Result<ResultRow, Error> {
        sqlx::query_as(SELECT)
            .bind(parent)
            .bind(name)
            .fetch_optional(self.pool())
            .await?
            .ok_or_else(|| Error::NotFound { what: what(parent, name) })
    }

    /// Its Records go with it. Its stored logs are the caller's to delete, before.
    pub async fn delete_result(&self, parent: &str, name: &str) -> Result<(), Error> {
        let done = sqlx::query("DELETE FROM results WHERE parent = $1 AND name = $2")
            .bind(parent)
            .bind(name)
            .execute(self.pool())
            .await?;
        if done.rows_affected() == 0 {
            return Err(Error::NotFound { what: what(parent, name) });
        }
        Ok(())
    }
}

/// The name that clients know.
fn what(parent: &str, name: &str) -> String {
    format!("{parent}/results/{name}")
}

/// Without a summary all are null.
#[derive(Default)]
struct SummaryColumns<'a> {
    record: Option<&'a str>,
    kind: Option<&'a str>,
    start_time: Option<Time>,
    end_time: Option<Time>,
    status: Option<i32>,
    annotations: Option<Json<&'a BTreeMap<String, String>>>,
}

impl<'a> SummaryColumns<'a> {
    fn of(summary: Option<&'a Summary>) -> Self {
        let Some(summary) = summary else { return Self::default() };
        Self {
            record: Some(&summary.record),
            kind: Some(&summary.kind),
            start_time: summary.start_time.map(Time),
            end_time: summary.end_time.map(Time),
            status: Some(summary.status),
            annotations: Some(Json(&summary.annotations)),
        }
    }
}
