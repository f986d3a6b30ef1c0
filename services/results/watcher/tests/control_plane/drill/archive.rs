//! What is archived, read where it lies: in the database.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use testkit::eventually;
use tokio::time::Instant;

use super::world::World;

/// How long nothing may be written: more than the pause between two states of a run that goes on.
const QUIET: Duration = Duration::from_secs(4);
const SETTLE: Duration = Duration::from_mins(2);

/// Has the database note each write, in the transaction that makes it. Gives way to the building of indexes, which waits for us in
/// turn: to be tried until it succeeds, as a whole or not at all.
pub(super) const NOTES: &str = "
SET LOCAL lock_timeout = '300ms';
CREATE TABLE notes (
    number bigserial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), of text, operation text, name text,
    version numeric, is_final boolean, size bigint
);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE kept jsonb;
BEGIN
    IF TG_OP = 'DELETE' THEN kept := to_jsonb(OLD); ELSE kept := to_jsonb(NEW); END IF;
    INSERT INTO notes (of, operation, name, version, is_final, size) VALUES (
        TG_TABLE_NAME, TG_OP, kept->>'name', (kept #>> '{data,metadata,resourceVersion}')::numeric,
        kept #>> '{data,status,completionTime}' IS NOT NULL, (kept #>> '{data,status,size}')::bigint
    );
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON results FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON records FOR EACH ROW EXECUTE FUNCTION note();
";

const ALL: &str = "SELECT json_build_object(
    'results', (SELECT coalesce(json_agg(r), '[]') FROM results r),
    'records', (SELECT coalesce(json_agg(r), '[]') FROM records r),
    'notes', (SELECT coalesce(json_agg(n ORDER BY number), '[]') FROM notes n)
)";

#[derive(Deserialize)]
pub(super) struct Archive {
    pub(super) results: Vec<ResultRow>,
    pub(super) records: Vec<RecordRow>,
    pub(super) notes: Vec<Note>,
}

#[derive(Deserialize)]
pub(super) struct ResultRow {
    pub(super) parent: String,
    pub(super) name: String,
    #[serde(rename = "recordsummary_record")]
    pub(super) about: Option<String>,
    #[serde(rename = "recordsummary_status")]
    pub(super) status: Option<i32>,
    #[serde(rename = "recordsummary_end_time")]
    pub(super) ended: Option<Timestamp>,
}

#[derive(Deserialize)]
pub(super) struct RecordRow {
    pub(super) parent: String,
    #[serde(rename = "result_name")]
    pub(super) result: String,
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) data: Value,
}

/// One write.
#[derive(Deserialize)]
pub(super) struct Note {
    pub(super) at: Timestamp,
    /// The table.
    pub(super) of: String,
    pub(super) operation: String,
    /// Of the row: for a run its uid.
    pub(super) name: String,
    /// Of the run, as it was archived.
    pub(super) version: Option<u64>,
    pub(super) is_final: bool,
    /// Of a log, once it is stored.
    pub(super) size: Option<u64>,
}

impl Archive {
    /// All of it, once nothing more is written.
    pub(super) async fn quiet(world: &World) -> anyhow::Result<Self> {
        let mut last = (String::new(), Instant::now());
        eventually(SETTLE, "the archive to be quiet", async || {
            let count = world.query("SELECT count(*) FROM notes").await?;
            if count != last.0 {
                last = (count, Instant::now());
            }
            ensure!(last.1.elapsed() >= QUIET, "there were {} writes", last.0.trim());
            Ok(())
        })
        .await?;
        serde_json::from_str(&world.query(ALL).await?).context("read the archive")
    }
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (results, records, notes) = (self.results.len(), self.records.len(), self.notes.len());
        write!(f, "{results} Results and {records} Records by {notes} writes")
    }
}
