//! One Record at a time.

use bytes::Bytes;
use uuid::Uuid;

use super::Store;
use super::column::JsonText;
use super::document::{check_json, check_type};
use super::error::Error;
use super::row::{RecordRow, record_columns};

/// A Record that a client wants made. Its names are valid segments.
#[derive(Clone, Debug)]
pub struct NewRecord {
    pub parent: String,
    /// Name of the Result: a segment.
    pub result: String,
    pub name: String,
    /// Type of the data.
    pub kind: String,
    /// One JSON document.
    pub data: Bytes,
}

/// What an update changes. `None` keeps what is stored.
#[derive(Clone, Debug, Default)]
pub struct RecordUpdate {
    pub kind: Option<String>,
    pub data: Option<Bytes>,
}

/// Types of the documents that say where a run's log lies.
pub(super) const LOG_TYPES: [&str; 2] =
    ["results.tekton.dev/v1alpha2.Log", "results.tekton.dev/v1alpha3.Log"];

/// One statement finds the Result and makes the Record in it; no row means that there is no such Result.
const INSERT: &str = concat!(
    "INSERT INTO records (parent, result_id, result_name, name, id, type, data, created_time, updated_time, etag) \
     SELECT parent, id, name, $3, $4, $5, $6, t, t, $4 || '-' || (extract(epoch FROM t) * 1000000)::int8 || '000' \
     FROM results, (SELECT statement_timestamp() AS t) AS clock WHERE parent = $1 AND name = $2 RETURNING ",
    record_columns!()
);

/// See the update of a Result for etag and time.
const UPDATE: &str = concat!(
    "UPDATE records SET type = coalesce($4, type), data = coalesce($5, data), \
     updated_time = greatest(statement_timestamp(), updated_time + interval '1 microsecond'), \
     etag = id || '-' || (extract(epoch FROM greatest(statement_timestamp(), \
     updated_time + interval '1 microsecond')) * 1000000)::int8 || '000' \
     WHERE parent = $1 AND result_name = $2 AND name = $3 AND ($6 = '' OR etag = $6) RETURNING ",
    record_columns!()
);

const SELECT: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM records WHERE parent = $1 AND result_name = $2 AND name = $3"
);

/// Within one Result only: another tenant may have given its Record any name it likes.
const SELECT_LOG: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM records WHERE parent = $1 AND result_name = $2 AND type = ANY($4) \
     AND (name = $3 OR data #>> '{spec,resource,uid}' = $3) ORDER BY (name = $3) DESC, updated_time DESC, id LIMIT 1"
);

impl Store {
    /// Fails with `NotFound` if there is no such Result, with `AlreadyExists` if it has a Record of that name.
    pub async fn create_record(&self, new: NewRecord) -> Result<RecordRow, Error> {
        check_type("record.data.type", &new.kind)?;
        check_json("record.data.value", &new.data)?;
        sqlx::query_as(INSERT)
            .bind(&new.parent)
            .bind(&new.result)
            .bind(&new.name)
            .bind(Uuid::new_v4().to_string())
            .bind(&new.kind)
            .bind(JsonText(new.data))
            .fetch_optional(self.pool())
            .await
            .map_err(|error| {
                Error::of_write(error, "record.data.value", || what(&new.parent, &new.result, &new.name))
            })?
            .ok_or_else(|| Error::NotFound { what: format!("{}/results/{}", new.parent, new.result) })
    }

    /// An empty `etag` stands for any.
    pub async fn update_record(
        &self,
        parent: &str,
        result: &str,
        name: &str,
        update: RecordUpdate,
        etag: &str,
    ) -> Result<RecordRow, Error> {
        update.kind.as_deref().map_or(Ok(()), |kind| check_type("record.data.type", kind))?;
        update.data.as_deref().map_or(Ok(()), |data| check_json("record.data.value", data))?;
        let updated = sqlx::query_as(UPDATE)
            .bind(parent)
            .bind(result)
            .bind(name)
            .bind(update.kind)
            .bind(update.data.map(JsonText))
            .bind(etag)
            .fetch_optional(self.pool())
            .await
            .map_err(|error| Error::of_write(error, "record.data.value", || what(parent, result, name)))?;
        match updated {
            Some(row) => Ok(row),
            None if etag.is_empty() => Err(Error::NotFound { what: what(parent, result, name) }),
            None => self
                .get_record(parent, result, name)
                .await
                .and(Err(Error::EtagMismatch { what: what(parent, result, name) })),
        }
    }

    pub async fn get_record(&self, parent: &str, result: &str, name: &str) -> Result<RecordRow, Error> {
        sqlx::query_as(SELECT)
            .bind(parent)
            .bind(result)
            .bind(name)
            .fetch_optional(self.pool())
            .await?
            .ok_or_else(|| Error::NotFound { what: what(parent, result, name) })
    }

    pub async fn delete_record(&self, parent: &str, result: &str, name: &str) -> Result<(), Error> {
        let done = sqlx::query("DELETE FROM records WHERE parent = $1 AND result_name = $2 AND name = $3")
            .bind(parent)
            .bind(result)
            .bind(name)
            .execute(self.pool())
            .await?;
        if done.rows_affected() == 0 {
            return Err(Error::NotFound { what: what(parent, result, name) });
        }
        Ok(())
    }

    /// The log's Record in one Result: by its own name, else by the UID of the run that the log is of.
    pub async fn find_log(&self, parent: &str, result: &str, name: &str) -> Result<RecordRow, Error> {
        sqlx::query_as(SELECT_LOG)
            .bind(parent)
            .bind(result)
            .bind(name)
            .bind(&LOG_TYPES[..])
            .fetch_optional(self.pool())
            .await?
            .ok_or_else(|| Error::NotFound { what: format!("{parent}/results/{result}/logs/{name}") })
    }
}

/// The name that clients know.
fn what(parent: &str, result: &str, name: &str) -> String {
    format!("{parent}/results/{result}/records/{name}")
}
