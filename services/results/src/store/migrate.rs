//! Brings the tables up to date before serving, and the indexes while serving.
//!
//! The driver's own migrations are not used: a replica that waits there for another one's lock holds a snapshot open, for
//! which `CREATE INDEX CONCURRENTLY` of the other waits in turn. Here waiting is asking again.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool, Row};

use super::error::Error;

/// In order. A file that was released never changes; the next change is the next file. Every statement can be run on
/// tables that Tekton Results made.
const MIGRATIONS: [(i32, &str); 2] = [
    (1, include_str!("../../migrations/0001_tables.sql")),
    (2, include_str!("../../migrations/0002_keys.sql")),
];

const INDEXES: &str = include_str!("../../migrations/indexes.sql");

/// Number of the advisory lock under which one replica at a time changes the schema.
const LOCK: i64 = 0x5245_5355_4c54_5301;

/// The same for indexes, which may take hours: a replica that starts meanwhile still checks its tables at once.
const INDEX_LOCK: i64 = 0x5245_5355_4c54_5302;

/// How often to ask for a lock that another replica holds.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// How long to wait after the building of an index failed.
const AFTER_FAILURE: Duration = Duration::from_mins(5);

/// Makes what is missing. Safe to run by several replicas at once, and again.
pub(super) async fn tables(options: &PgConnectOptions) -> Result<(), Error> {
    let mut connection = unhurried(options).await?;
    lock(&mut connection, LOCK).await?;
    let done = apply(&mut connection).await;
    // Ends the lock too.
    let _ = connection.close().await;
    done
}

async fn apply(connection: &mut PgConnection) -> Result<(), Error> {
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS results_migrations \
         (version integer PRIMARY KEY, applied_time timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP)",
    )
    .execute(&mut *connection)
    .await?;
    let newest: i32 = sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM results_migrations")
        .fetch_one(&mut *connection)
        .await?;
    for (version, text) in MIGRATIONS.into_iter().filter(|(version, _)| *version > newest) {
        let mut transaction = connection.begin().await?;
        // Better to fail and be started again than to hold up the queries that wait behind this lock.
        sqlx::raw_sql("SET LOCAL lock_timeout = '30s'").execute(&mut *transaction).await?;
        sqlx::raw_sql(text).execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO results_migrations (version) VALUES ($1)")
            .bind(version)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        tracing::info!(version, "Migrated the database");
    }
    Ok(())
}

/// What an archive that may not migrate needs to find.
pub(super) async fn check(pool: &PgPool) -> Result<(), Error> {
    for table in ["results", "records", "results_keys"] {
        let is_there: bool =
            sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(table).fetch_one(pool).await?;
        if !is_there {
            return Err(Error::Setup(format!(
                "the database has no table {table}; set DB_ENABLE_AUTO_MIGRATION=true, or apply the files of \
                 services/results/migrations in order"
            )));
        }
    }
    Ok(())
}

/// Builds the indexes that are missing, trying again until all are there.
pub(super) async fn keep_building_indexes(options: PgConnectOptions) {
    loop {
        match build_indexes(&options).await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "Indexes are missing; trying again later"
                );
            }
        }
        tokio::time::sleep(AFTER_FAILURE).await;
    }
}

async fn build_indexes(options: &PgConnectOptions) -> Result<(), Error> {
    let mut connection = unhurried(options).await?;
    lock(&mut connection, INDEX_LOCK).await?;
    for (name, statement) in indexes() {
        match index(&mut connection, name).await? {
            Some(true) => continue,
            // Its building was interrupted: it costs as much as a good one and is used by nobody.
            Some(false) => {
                let drop = format!("DROP INDEX CONCURRENTLY IF EXISTS {name}");
                sqlx::raw_sql(sqlx::AssertSqlSafe(drop)).execute(&mut connection).await?;
            }
            None => {}
        }
        sqlx::raw_sql(statement).execute(&mut connection).await?;
        tracing::info!(index = name, "Built an index");
    }
    let _ = connection.close().await;
    Ok(())
}

/// Whether an index exists, and whether it is complete.
async fn index(connection: &mut PgConnection, name: &str) -> Result<Option<bool>, Error> {
    let row = sqlx::query("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    row.map(|row| row.try_get(0)).transpose().map_err(Error::from)
}

/// Name and statement of each line.
fn indexes() -> impl Iterator<Item = (&'static str, &'static str)> {
    INDEXES.lines().filter_map(|line| {
        let name = line.strip_prefix("CREATE INDEX CONCURRENTLY IF NOT EXISTS ")?;
        Some((name.split(' ').next()?, line))
    })
}

/// A connection whose statements may take any time.
async fn unhurried(options: &PgConnectOptions) -> Result<PgConnection, Error> {
    let mut connection = options.connect().await?;
    sqlx::raw_sql("SET statement_timeout = 0; SET client_min_messages = warning")
        .execute(&mut connection)
        .await?;
    Ok(connection)
}

async fn lock(connection: &mut PgConnection, number: i64) -> Result<(), Error> {
    loop {
        let is_ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(number)
            .fetch_one(&mut *connection)
            .await?;
        if is_ours {
            return Ok(());
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_of_the_file_is_an_index() {
        let lines = INDEXES.lines().filter(|line| !line.starts_with("--")).count();
        assert_eq!(indexes().count(), lines);
        assert!(indexes().all(|(name, statement)| statement.contains(&format!(" {name} ON "))));
    }

    #[test]
    fn versions_rise() {
        assert!(MIGRATIONS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
