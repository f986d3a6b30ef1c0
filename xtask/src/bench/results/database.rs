//! PostgreSQL by its own programs: statements by psql, and pgbench for comparison.
use std::{fs, time::Duration};

use anyhow::Context as _;
use testkit::{
    eventually,
    postgres::{Database, Postgres},
};

use super::runs;

/// The last index that the API builds.
const LAST_INDEX: &str = "records_by_labels";
const PATIENCE: Duration = Duration::from_mins(2);
const COUNTED_AFTER: Duration = Duration::from_secs(2);
/// As [`crate::bench::results`]'s ingest does it: the Result by its name, a row in it. Its `:` are variables of pgbench.
const INSERT: &str = "\\set result random(0, :results - 1)\n\
    INSERT INTO records (parent, result_id, result_name, name, id, type, data, created_time, updated_time, etag) \
    SELECT parent, id, name, gen_random_uuid(), gen_random_uuid(), :kind, CAST(:data AS jsonb), t, t, 'pgbench' \
    FROM results, (SELECT statement_timestamp() AS t) AS clock \
    WHERE parent = :parent AND name = 'result-' || CAST(:result AS text);\n";

/// Runs statements, one transaction each; answers what they print.
pub(super) async fn query(postgres: &Postgres, database: &Database, text: &str) -> anyhow::Result<String> {
    let file = tempfile::NamedTempFile::new().context("create a file for statements")?;
    fs::write(file.path(), text)?;
    let file = format!("--file={}", file.path().display());
    let name = format!("--dbname={}", database.name());
    let words =
        ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1", &name, &file];
    postgres.run("psql", &words).await
}

pub(super) async fn execute(postgres: &Postgres, database: &Database, text: &str) -> anyhow::Result<()> {
    query(postgres, database, text).await.map(drop)
}

/// Waits until the API has built the indexes, which it does while it serves.
pub(super) async fn indexed(postgres: &Postgres, database: &Database) -> anyhow::Result<()> {
    let text = format!("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{LAST_INDEX}');\n");
    eventually(PATIENCE, "the indexes", async || {
        let answer = query(postgres, database, &text).await?;
        anyhow::ensure!(answer.trim() == "t", "{LAST_INDEX} is not built");
        Ok(())
    })
    .await
}

/// How many connections there have been so far, those of psql among them.
pub(super) async fn connections(postgres: &Postgres, database: &Database) -> anyhow::Result<usize> {
    // The database counts when a connection ends, or a second after it was idle.
    tokio::time::sleep(COUNTED_AFTER).await;
    let text = "SELECT sessions FROM pg_stat_database WHERE datname = current_database();\n";
    query(postgres, database, text).await?.trim().parse().context("the database counts its connections")
}

/// Rows per second that as many connections insert by pgbench, with prepared statements.
pub(super) async fn pgbench(
    postgres: &Postgres,
    database: &Database,
    namespace: &str,
    results: usize,
    connections: usize,
    time: Duration,
) -> anyhow::Result<f64> {
    let script = tempfile::NamedTempFile::new().context("create a file for pgbench")?;
    fs::write(script.path(), INSERT)?;
    let words = [
        "--no-vacuum".to_owned(),
        "--protocol=prepared".to_owned(),
        format!("--client={connections}"),
        "--jobs=2".to_owned(),
        format!("--time={}", time.as_secs().max(1)),
        format!("--file={}", script.path().display()),
        format!("--define=results={results}"),
        format!("--define=parent={namespace}"),
        format!("--define=kind={}", runs::TASK_RUN),
        format!("--define=data={}", runs::document(namespace)),
        database.name().to_owned(),
    ];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let told = postgres
        .run("pgbench", &words)
        .await
        .context("pgbench, which comes with the Debian package postgresql")?;
    rate(&told).with_context(|| format!("pgbench says no rate:\n{told}"))
}

/// Of a line like `tps = 1234.5 (without initial connection time)`.
fn rate(told: &str) -> Option<f64> {
    told.lines().find_map(|line| line.strip_prefix("tps = "))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_rate() {
        let told = "latency average = 1.2 ms\ntps = 6543.210000 (without initial connection time)\n";
        assert_eq!(rate(told).map(f64::round), Some(6543.0));
        assert_eq!(rate("pgbench: error"), None);
    }
}
