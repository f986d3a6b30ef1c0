//! Statements whose text depends on the request, and how they end when nobody waits for them.

use std::fmt::{Display, Write as _};
use std::sync::Arc;

use futures::TryStreamExt as _;
use results_filter::{Bind, Filter};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgRow};
use sqlx::{Arguments as _, AssertSqlSafe, ConnectOptions as _, Connection as _, Encode, Postgres, Type};

use super::column::{JsonText, Time};
use super::error::Error;
use super::{ANY, Store};

/// The text of a statement with its parameters. What a client sent goes through [`bind`](Self::bind), nothing else does.
#[derive(Default)]
pub(super) struct Statement {
    text: String,
    arguments: PgArguments,
}

impl Statement {
    pub(super) fn push(&mut self, text: impl Display) -> &mut Self {
        // Writing to a String does not fail.
        let _ = write!(self.text, "{text}");
        self
    }

    pub(super) fn bind<'q, T>(&mut self, value: T) -> Result<&mut Self, Error>
    where
        T: Encode<'q, Postgres> + Type<Postgres>,
    {
        self.arguments.add(value).map_err(|error| Error::Internal(sqlx::Error::Encode(error)))?;
        let number = self.arguments.len();
        Ok(self.push(format_args!("${number}")))
    }

    /// ` WHERE …`: the rows of one parent, or of all, that the filter matches.
    pub(super) fn scope(
        &mut self,
        parent: &str,
        result: Option<&str>,
        filter: &Filter,
    ) -> Result<&mut Self, Error> {
        let sql = filter.sql(self.arguments.len() + 1);
        self.push(" WHERE ").push(&sql.text);
        for bind in sql.binds {
            match bind {
                Bind::Text(value) => self.arguments.add(value),
                Bind::Number(value) => self.arguments.add(value),
                Bind::Integer(value) => self.arguments.add(value),
                Bind::Bool(value) => self.arguments.add(value),
                Bind::Time(value) => self.arguments.add(Time(value)),
                Bind::Json(value) => self.arguments.add(JsonText(value.to_string().into())),
            }
            .map_err(|error| Error::Internal(sqlx::Error::Encode(error)))?;
        }
        if parent != ANY {
            self.push(" AND parent = ").bind(parent)?;
        }
        if let Some(result) = result.filter(|result| *result != ANY) {
            self.push(" AND result_name = ").bind(result)?;
        }
        Ok(self)
    }

    /// Runs it. `keep` takes the rows one by one until it says that they are enough.
    ///
    /// A caller that leaves, its client being gone, stops the statement in the database as well.
    pub(super) async fn run(
        self,
        store: &Store,
        mut keep: impl FnMut(&PgRow) -> sqlx::Result<Enough>,
    ) -> Result<(), Error> {
        let mut connection = store.pool().acquire().await?;
        let process: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *connection).await?;
        let mut running = Running { connection: Some(connection), process, options: store.options.clone() };
        let Some(connection) = running.connection.as_mut() else { return Ok(()) };
        // Not kept prepared: filters differ, and the plan should look at their values.
        let query = sqlx::query_with(AssertSqlSafe(self.text), self.arguments).persistent(false);
        {
            let mut rows = query.fetch(&mut **connection);
            while let Some(row) = rows.try_next().await.map_err(Error::of_filter)? {
                // Its last row mostly, so that there is nothing to stop and the connection serves the next one.
                if keep(&row)? == Enough::Yes && rows.try_next().await.map_err(Error::of_filter)?.is_some() {
                    return Ok(());
                }
            }
        }
        running.connection = None;
        Ok(())
    }
}

/// Whether further rows are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Enough {
    Yes,
    No,
}

/// A statement under way. Dropped with its connection, it stops the statement.
struct Running {
    connection: Option<PoolConnection<Postgres>>,
    /// Process of the database that works for this connection.
    process: i32,
    options: Arc<PgConnectOptions>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let (Some(connection), Ok(runtime)) = (self.connection.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        // Taken out of the pool, so that what is stopped is surely this statement and not the next one of somebody else.
        let connection = connection.detach();
        let (process, options) = (self.process, self.options.clone());
        runtime.spawn(async move {
            if let Ok(mut other) = options.connect().await {
                let stopped =
                    sqlx::query("SELECT pg_cancel_backend($1)").bind(process).execute(&mut other).await;
                if let Err(error) = stopped {
                    tracing::debug!(error = %error, "A statement could not be stopped; it ends by its timeout");
                }
                let _ = other.close().await;
            }
            // Only now: while it was open, its process could be nobody else's.
            drop(connection);
        });
    }
}
