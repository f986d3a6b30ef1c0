use jiff::Timestamp;
use serde_json::Value;

/// A row of table `results` or `records`. What is `None` is null in the database, or of the other table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Row<'a> {
    /// Namespace.
    pub parent: Option<&'a str>,
    /// Column `id`.
    pub uid: Option<&'a str>,
    /// Last part of the Record's name.
    pub name: Option<&'a str>,
    /// Last part of the name of the Record's Result.
    pub result_name: Option<&'a str>,
    /// Column `type` of a Record.
    pub data_type: Option<&'a str>,
    /// Document of a Record.
    pub data: Option<&'a Value>,
    /// Object of texts.
    pub annotations: Option<&'a Value>,
    /// Name of the Record that a Result is about.
    pub summary_record: Option<&'a str>,
    /// Type of the Record that a Result is about.
    pub summary_type: Option<&'a str>,
    /// In whole microseconds, as are all times of a row.
    pub summary_start_time: Option<Timestamp>,
    /// When the run ended.
    pub summary_end_time: Option<Timestamp>,
    /// Number of the status.
    pub summary_status: Option<i32>,
    /// Object of texts.
    pub summary_annotations: Option<&'a Value>,
    /// Column `created_time`.
    pub create_time: Option<Timestamp>,
    /// Column `updated_time`.
    pub update_time: Option<Timestamp>,
}
