//! Results and Records in PostgreSQL (results.md, sections 2.3 to 2.9).
//!
//! ```text
//! handler ─▶ Store ─┬─ results, records   one statement each, etags inside the statement
//!                   ├─ list               filter ▸ SQL, keyset paging, authenticated page tokens
//!                   ├─ summary            numbers over many Records
//!                   └─ migrate            tables before serving, indexes while serving
//! ```
//! Nothing that a client sent is ever part of a statement's text: it is bound.

mod column;
mod connect;
mod document;
mod error;
mod list;
mod migrate;
mod options;
mod order;
mod page_token;
mod query;
mod records;
mod results;
mod row;
mod summary;

use std::sync::Arc;

use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;

pub use self::error::Error;
pub use self::list::{List, Page};
pub use self::options::{Options, Tls};
pub use self::records::{NewRecord, RecordUpdate};
pub use self::results::NewResult;
pub use self::row::{RecordRow, ResultRow, Summary};
pub use self::summary::Summarise;

pub(crate) use self::column::Time;

/// The word for "any" in the place of a parent or a Result.
pub const ANY: &str = "-";

/// The archive's database. A clone is the same pool of connections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
    /// For the few connections beside the pool: those that stop a statement nobody waits for.
    options: Arc<PgConnectOptions>,
    page_key: Arc<page_token::Key>,
}

impl Store {
    /// Whether the database answers now. Asked by the health endpoints.
    pub async fn is_up(&self) -> bool {
        let question = sqlx::query("SELECT 1").persistent(false).execute(&self.pool);
        matches!(tokio::time::timeout(connect::HEALTH_TIMEOUT, question).await, Ok(Ok(_)))
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }
}
