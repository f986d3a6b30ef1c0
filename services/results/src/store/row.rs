//! What is read from the tables.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow, Row};

use super::column::{JsonText, Time};

/// A row of `results`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultRow {
    /// Namespace of the runs.
    pub parent: String,
    /// Last segment of the name.
    pub name: String,
    /// Given by us; column `id`.
    pub uid: String,
    pub annotations: BTreeMap<String, String>,
    pub create_time: Timestamp,
    pub update_time: Timestamp,
    /// `<uid>-<nanoseconds of the last change>`.
    pub etag: String,
    pub summary: Option<Summary>,
}

/// What a Result says of its most important Record, so that a list needs no Records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Full name of the Record.
    pub record: String,
    /// Type of that Record's data, as `tekton.dev/v1.PipelineRun`.
    pub kind: String,
    pub start_time: Option<Timestamp>,
    pub end_time: Option<Timestamp>,
    /// Number of the enumeration `RecordSummary.Status`.
    pub status: i32,
    pub annotations: BTreeMap<String, String>,
}

/// A row of `records`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordRow {
    pub parent: String,
    /// Name of the Result that it is in: a segment.
    pub result: String,
    pub result_uid: String,
    /// Last segment of the name.
    pub name: String,
    /// Given by us; column `id`.
    pub uid: String,
    /// Type of the data.
    pub kind: String,
    /// One JSON document. Empty where an old row has none.
    pub data: Bytes,
    pub create_time: Timestamp,
    pub update_time: Timestamp,
    pub etag: String,
}

/// Columns of [`ResultRow`], in a `SELECT` or `RETURNING`. The casts are for databases whose columns another program made.
macro_rules! result_columns {
    () => {
        "parent::text, name::text, id::text, annotations, created_time, updated_time, etag::text, \
         recordsummary_record::text, recordsummary_type::text, recordsummary_start_time, recordsummary_end_time, \
         recordsummary_status::int4, recordsummary_annotations"
    };
}

/// Columns of [`RecordRow`].
macro_rules! record_columns {
    () => {
        "parent::text, result_name::text, result_id::text, name::text, id::text, type::text, data, created_time, \
         updated_time, etag::text"
    };
}

pub(super) use {record_columns, result_columns};

/// Text of a column that may be null in a database that another program made.
fn text(row: &PgRow, column: &str) -> sqlx::Result<String> {
    Ok(row.try_get::<Option<String>, _>(column)?.unwrap_or_default())
}

fn time(row: &PgRow, column: &str) -> sqlx::Result<Option<Timestamp>> {
    Ok(row.try_get::<Option<Time>, _>(column)?.map(|time| time.0))
}

/// A JSON object of texts; null, and values that are no text, are left out.
fn annotations(row: &PgRow, column: &str) -> sqlx::Result<BTreeMap<String, String>> {
    let json: Option<Json<serde_json::Value>> = row.try_get(column)?;
    let Some(Json(serde_json::Value::Object(map))) = json else { return Ok(BTreeMap::new()) };
    Ok(map
        .into_iter()
        .filter_map(|(key, value)| match value {
            serde_json::Value::String(text) => Some((key, text)),
            _ => None,
        })
        .collect())
}

impl FromRow<'_, PgRow> for ResultRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let record = text(row, "recordsummary_record")?;
        let kind = text(row, "recordsummary_type")?;
        let summary = if record.is_empty() && kind.is_empty() {
            None
        } else {
            Some(Summary {
                record,
                kind,
                start_time: time(row, "recordsummary_start_time")?,
                end_time: time(row, "recordsummary_end_time")?,
                status: row.try_get::<Option<i32>, _>("recordsummary_status")?.unwrap_or_default(),
                annotations: annotations(row, "recordsummary_annotations")?,
            })
        };
        Ok(Self {
            parent: text(row, "parent")?,
            name: text(row, "name")?,
            uid: text(row, "id")?,
            annotations: annotations(row, "annotations")?,
            create_time: time(row, "created_time")?.unwrap_or_default(),
            update_time: time(row, "updated_time")?.unwrap_or_default(),
            etag: text(row, "etag")?,
            summary,
        })
    }
}

impl FromRow<'_, PgRow> for RecordRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            parent: text(row, "parent")?,
            result: text(row, "result_name")?,
            result_uid: text(row, "result_id")?,
            name: text(row, "name")?,
            uid: text(row, "id")?,
            kind: text(row, "type")?,
            data: row.try_get::<Option<JsonText>, _>("data")?.map(|data| data.0).unwrap_or_default(),
            create_time: time(row, "created_time")?.unwrap_or_default(),
            update_time: time(row, "updated_time")?.unwrap_or_default(),
            etag: text(row, "etag")?,
        })
    }
}
