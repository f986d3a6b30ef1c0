//! One pass over the archive.
//!
//! It walks over all Results in the order of their key, some hundred at a time, and so needs neither a long statement nor
//! an index of its own. A Result goes when every run in it has outlived its own policy, its logs first.

use std::time::Duration;

use fleet::Clock;
use jiff::{SignedDuration, Timestamp};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments as _, AssertSqlSafe, Row as _};
use tokio::time::{Instant, sleep};

use super::policy::{Selector, Settings};
use crate::logs::LogStore;
use crate::store::{self, Store, Time};

/// Results that are looked at by one statement.
const WINDOW: i64 = 500;

/// After work of some length the agent rests as long, at most this: the database is there for others.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// Runs, as they are archived.
const PIPELINE_RUNS: [&str; 2] = ["tekton.dev/v1.PipelineRun", "tekton.dev/v1beta1.PipelineRun"];

/// These count if no PipelineRun owns them.
const PARTS: [&str; 3] =
    ["tekton.dev/v1.TaskRun", "tekton.dev/v1beta1.TaskRun", "tekton.dev/v1beta1.CustomRun"];

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Results looked at.
    pub seen: u64,
    pub deleted: u64,
    /// Expired, but their logs could not be deleted: they wait for the next pass.
    pub failed: u64,
}

/// A Result whose runs have all expired.
#[derive(Clone, Debug)]
struct Expired {
    parent: String,
    uid: String,
    name: String,
}

/// Deletes all that has expired at `clock`'s time when the pass begins. `logs` is absent where none are stored.
pub async fn sweep(
    store: &Store,
    logs: Option<&LogStore>,
    settings: &Settings,
    clock: &Clock,
) -> Result<Swept, store::Error> {
    let now = clock.now();
    let mut swept = Swept::default();
    let mut last = (String::new(), String::new());
    loop {
        let began = Instant::now();
        let (arguments, text) = window(settings, now, &last)?;
        let rows: Vec<PgRow> = sqlx::query_with(AssertSqlSafe(text), arguments)
            .persistent(false)
            .fetch_all(store.pool())
            .await?;
        for row in &rows {
            let result = Expired {
                parent: row.try_get("parent")?,
                uid: row.try_get("id")?,
                name: row.try_get("name")?,
            };
            last = (result.parent.clone(), result.uid.clone());
            swept.seen += 1;
            if !row.try_get::<bool, _>("is_expired")? {
                continue;
            }
            match delete(store, logs, &result, now).await? {
                Outcome::Deleted => swept.deleted += 1,
                Outcome::Kept => {}
                Outcome::Failed => swept.failed += 1,
            }
        }
        if i64::try_from(rows.len()).unwrap_or(i64::MAX) < WINDOW {
            return Ok(swept);
        }
        sleep(began.elapsed().min(LONGEST_REST)).await;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Deleted,
    /// Gone already, or somebody works on it.
    Kept,
    Failed,
}

/// The row stays locked while its logs go: a run that is to be archived in it just now waits, and then makes a new one.
async fn delete(
    store: &Store,
    logs: Option<&LogStore>,
    result: &Expired,
    seen_at: Timestamp,
) -> Result<Outcome, store::Error> {
    let Expired { parent, uid, name } = result;
    let mut transaction = store.pool().begin().await?;
    let is_still_there: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM results WHERE parent = $1 AND id = $2 FOR UPDATE SKIP LOCKED) AND NOT EXISTS \
         (SELECT 1 FROM records WHERE parent = $1 AND result_id = $2 AND updated_time > $3)",
    )
    .bind(parent)
    .bind(uid)
    .bind(Time(seen_at))
    .fetch_one(&mut *transaction)
    .await?;
    if !is_still_there {
        return Ok(Outcome::Kept);
    }
    if let Some(logs) = logs
        && let Err(error) = logs.delete_result(parent, uid).await
    {
        tracing::warn!(
            namespace = parent,
            name,
            error = &error as &dyn std::error::Error,
            "The logs of an expired Result cannot be deleted; it stays until the next pass"
        );
        return Ok(Outcome::Failed);
    }
    sqlx::query("DELETE FROM results WHERE parent = $1 AND id = $2")
        .bind(parent)
        .bind(uid)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    tracing::debug!(namespace = parent, name, "Deleted an expired Result");
    Ok(Outcome::Deleted)
}

/// The statement that looks at the Results after `last`, and its parameters. All values of the settings are among those.
fn window(
    settings: &Settings,
    now: Timestamp,
    last: &(String, String),
) -> Result<(PgArguments, String), store::Error> {
    let mut bound = Bound::default();
    let (parent, uid) = (bound.text(&last.0)?, bound.text(&last.1)?);
    let youngest = bound.time(before(now, settings.shortest()))?;
    let pipeline_runs = bound.texts(PIPELINE_RUNS.map(str::to_owned).to_vec())?;
    let parts = bound.texts(PARTS.map(str::to_owned).to_vec())?;
    let mut limit = String::from("CASE");
    for policy in &settings.policies {
        let condition = bound.condition(&policy.selector)?;
        let until = bound.time(before(now, policy.retention))?;
        limit.extend([" WHEN ", &condition, " THEN ", &until]);
    }
    let until = bound.time(before(now, settings.default))?;
    // `CASE ELSE x END` is no SQL.
    limit.extend([" WHEN true THEN ", &until, " END"]);
    let text = format!(
        "SELECT r.parent::text, r.id::text, r.name::text, coalesce(runs.are_expired, false) AS is_expired \
         FROM (SELECT parent, id, name, created_time FROM results WHERE (parent, id) > ({parent}, {uid}) \
         ORDER BY parent, id LIMIT {WINDOW}) AS r \
         LEFT JOIN LATERAL (SELECT bool_and(coalesce(updated_time < {limit}, false)) AS are_expired FROM records \
         WHERE coalesce(r.created_time < {youngest}, true) \
         AND records.parent = r.parent AND records.result_id = r.id \
         AND (type = ANY({pipeline_runs}) OR (type = ANY({parts}) AND NOT coalesce( \
         data -> 'metadata' -> 'ownerReferences' @> '[{{\"kind\": \"PipelineRun\"}}]', false)))) AS runs ON true \
         ORDER BY r.parent, r.id"
    );
    Ok((bound.arguments, text))
}

/// The latest time that is `retention` ago.
fn before(now: Timestamp, retention: SignedDuration) -> Timestamp {
    now.checked_sub(retention).unwrap_or(Timestamp::MIN)
}

/// Parameters while they are collected. Each call gives the placeholder.
#[derive(Default)]
struct Bound {
    arguments: PgArguments,
}

impl Bound {
    fn add<'q, T>(&mut self, value: T, cast: &str) -> Result<String, store::Error>
    where
        T: sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        self.arguments.add(value).map_err(|error| store::Error::Internal(sqlx::Error::Encode(error)))?;
        Ok(format!("${}::{cast}", self.arguments.len()))
    }

    fn text(&mut self, value: &str) -> Result<String, store::Error> {
        self.add(value.to_owned(), "text")
    }

    fn texts(&mut self, values: Vec<String>) -> Result<String, store::Error> {
        self.add(values, "text[]")
    }

    fn time(&mut self, value: Timestamp) -> Result<String, store::Error> {
        self.add(Time(value), "timestamptz")
    }

    /// Whether a run matches. Its data may be anything: what is absent does not match.
    fn condition(&mut self, selector: &Selector) -> Result<String, store::Error> {
        let mut all = vec!["true".to_owned()];
        if !selector.match_namespaces.is_empty() {
            all.push(format!("records.parent = ANY({})", self.texts(selector.match_namespaces.clone())?));
        }
        for (map, wanted) in
            [("labels", &selector.match_labels), ("annotations", &selector.match_annotations)]
        {
            for (key, values) in wanted {
                let (key, values) = (self.text(key)?, self.texts(values.clone())?);
                all.push(format!("(data -> 'metadata' -> '{map}' ->> {key}) = ANY({values})"));
            }
        }
        if !selector.match_statuses.is_empty() {
            let values = self.texts(selector.match_statuses.clone())?;
            all.push(format!("(data -> 'status' -> 'conditions' -> 0 ->> 'reason') = ANY({values})"));
        }
        Ok(format!("({})", all.join(" AND ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bound() {
        let hostile = "'; DROP TABLE results; --".to_owned();
        let selector = Selector {
            match_namespaces: vec![hostile.clone()],
            match_labels: [(hostile.clone(), vec![hostile.clone()])].into(),
            match_annotations: [(hostile.clone(), vec![hostile.clone()])].into(),
            match_statuses: vec![hostile],
        };
        let condition = Bound::default().condition(&selector).unwrap();
        assert!(!condition.contains("DROP"), "{condition}");
        assert_eq!(condition.matches('$').count(), 6);
    }
}
