//! From settings to a pool of connections.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::time::Instant;

use super::error::Error;
use super::options::Options;
use super::{Store, migrate, page_token};

/// How long a probe waits for the database.
pub(super) const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

/// Between two tries to connect when starting.
const RETRY: Duration = Duration::from_secs(10);

/// How long a call waits for a free connection, and for the database to accept one.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

impl Store {
    /// Connects, trying for `connect_for`, and makes the tables if `auto_migrate` is set. Missing indexes are then built
    /// in the background: in a large old database that takes hours, during which the archive is served.
    ///
    /// Fails at once if settings are wrong, the password is refused, or tables are missing that may not be made.
    pub async fn connect(options: &Options) -> Result<Self, Error> {
        let connect = options.to_sqlx()?;
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections.max(1))
            .min_connections(0)
            .idle_timeout(Some(if options.idle_connections >= options.max_connections {
                Duration::from_hours(1)
            } else {
                Duration::from_secs(30)
            }))
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(connect.clone());
        await_database(&pool, options.connect_for).await?;
        if options.auto_migrate {
            migrate::tables(&connect).await?;
            tokio::spawn(migrate::keep_building_indexes(connect.clone()));
        } else {
            migrate::check(&pool).await?;
        }
        let page_key = Arc::new(page_token::Key::load(&pool).await?);
        Ok(Self { pool, options: Arc::new(connect), page_key })
    }
}

async fn await_database(pool: &PgPool, patience: Duration) -> Result<(), Error> {
    let until = Instant::now() + patience;
    loop {
        let Err(error) = pool.acquire().await else { return Ok(()) };
        // A refused password (28…) or a database that does not exist (3D000) does not get better by waiting; the
        // latter is made by an operator, though, maybe in this minute.
        let is_refused = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .is_some_and(|code| code.starts_with("28"));
        if is_refused || Instant::now() + RETRY > until {
            return Err(Error::from(error));
        }
        tracing::warn!(error = %error, "The database cannot be reached; trying again");
        tokio::time::sleep(RETRY).await;
    }
}
