//! Pages of Results, Records and logs.
//!
//! A page begins after the last row of the page before it, by (column, UID). So rows that appear or vanish elsewhere
//! meanwhile make nothing come twice or be skipped. Rows whose column is null come after all others, in both directions:
//! they are a second statement, since no index could give both parts in one order.

use results_filter::{Filter, Target};
use sqlx::FromRow as _;
use sqlx::postgres::PgRow;

use super::Store;
use super::column::Time;
use super::error::Error;
use super::order::{Field, Order, RECORD_FIELDS, RESULT_FIELDS};
use super::page_token::{self, Position, Scope};
use super::query::{Enough, Statement};
use super::records::LOG_TYPES;
use super::row::{RecordRow, ResultRow, record_columns, result_columns};

/// Rows of a page where the client does not say.
const DEFAULT_SIZE: usize = 50;

const MIN_SIZE: i32 = 5;
const MAX_SIZE: i32 = 10_000;

/// A page ends early when its data has grown to this many bytes: ten thousand runs would not fit into memory.
const MAX_BYTES: usize = 32 << 20;

/// What a client asks a list for, as it sent it.
#[derive(Clone, Copy, Debug, Default)]
pub struct List<'a> {
    /// Namespace, or [`ANY`].
    pub parent: &'a str,
    /// Name of a Result, or [`ANY`]. Results themselves are listed without.
    pub result: &'a str,
    pub filter: &'a str,
    /// 0 for the default.
    pub page_size: i32,
    /// Empty for the first page.
    pub page_token: &'a str,
    pub order_by: &'a str,
}

/// Some rows, and the token of those after them, which is empty at the end.
#[derive(Clone, Debug, Default)]
pub struct Page<T> {
    pub rows: Vec<T>,
    pub next_page_token: String,
}

/// One of the three lists.
struct Route {
    name: &'static str,
    select: &'static str,
    target: Target,
    fields: &'static [Field],
    has_results: bool,
    types: Option<&'static [&'static str]>,
}

const RESULTS: Route = Route {
    name: "results",
    select: concat!("SELECT ", result_columns!(), " FROM results"),
    target: Target::Results,
    fields: RESULT_FIELDS,
    has_results: false,
    types: None,
};

const RECORDS: Route = Route {
    name: "records",
    select: concat!("SELECT ", record_columns!(), " FROM records"),
    target: Target::Records,
    fields: RECORD_FIELDS,
    has_results: true,
    types: None,
};

const LOGS: Route = Route { name: "logs", types: Some(&LOG_TYPES), ..RECORDS };

/// What paging needs to know of a row.
trait Listed: Sized {
    fn read(row: &PgRow) -> sqlx::Result<Self>;
    fn position(&self, order: Option<Order>) -> Position;
    /// About what it takes in memory.
    fn size(&self) -> usize;
}

impl Listed for ResultRow {
    fn read(row: &PgRow) -> sqlx::Result<Self> {
        Self::from_row(row)
    }

    fn position(&self, order: Option<Order>) -> Position {
        let summary = self.summary.as_ref();
        let value = order.and_then(|order| match order.field.column {
            "created_time" => Some(self.create_time),
            "updated_time" => Some(self.update_time),
            "recordsummary_start_time" => summary?.start_time,
            _ => summary?.end_time,
        });
        Position { uid: self.uid.clone(), value }
    }

    fn size(&self) -> usize {
        let texts =
            self.annotations.iter().chain(self.summary.iter().flat_map(|summary| &summary.annotations));
        512 + texts.map(|(key, value)| key.len() + value.len()).sum::<usize>()
    }
}

impl Listed for RecordRow {
    fn read(row: &PgRow) -> sqlx::Result<Self> {
        Self::from_row(row)
    }

    fn position(&self, order: Option<Order>) -> Position {
        let value = order.map(|order| match order.field.column {
            "created_time" => self.create_time,
            _ => self.update_time,
        });
        Position { uid: self.uid.clone(), value }
    }

    fn size(&self) -> usize {
        512 + self.data.len()
    }
}

impl Store {
    pub async fn list_results(&self, list: &List<'_>) -> Result<Page<ResultRow>, Error> {
        self.list(&RESULTS, list).await
    }

    pub async fn list_records(&self, list: &List<'_>) -> Result<Page<RecordRow>, Error> {
        self.list(&RECORDS, list).await
    }

    /// The Records of stored logs.
    pub async fn list_logs(&self, list: &List<'_>) -> Result<Page<RecordRow>, Error> {
        self.list(&LOGS, list).await
    }

    async fn list<T: Listed>(&self, route: &Route, list: &List<'_>) -> Result<Page<T>, Error> {
        let size = page_size(list.page_size)?;
        let order = Order::parse(list.order_by, route.fields)?;
        let filter = compile(list.filter, route.target)?;
        let parent = if route.has_results {
            format!("{}/results/{}", list.parent, list.result)
        } else {
            list.parent.to_owned()
        };
        let scope = Scope { route: route.name, parent: &parent, filter: list.filter, order };
        let after = page_token::read(&self.page_key, scope, list.page_token)?;
        let mut taken = Taken::<T> { rows: Vec::new(), wanted: size, bytes: 0, has_more: false };
        for part in parts(order, after.as_ref()) {
            let statement = statement(route, list, &filter, part, taken.missing())?;
            statement.run(self, |row| taken.take(row)).await?;
            if taken.has_more {
                break;
            }
        }
        let next_page_token = match taken.rows.last() {
            Some(row) if taken.has_more => page_token::write(&self.page_key, scope, row.position(order)),
            _ => String::new(),
        };
        Ok(Page { rows: taken.rows, next_page_token })
    }
}

/// A page while it fills.
struct Taken<T> {
    rows: Vec<T>,
    wanted: usize,
    bytes: usize,
    has_more: bool,
}

impl<T: Listed> Taken<T> {
    /// So many rows may still come: one more than the page holds says that there is a next one.
    fn missing(&self) -> usize {
        self.wanted + 1 - self.rows.len()
    }

    fn take(&mut self, row: &PgRow) -> sqlx::Result<Enough> {
        if self.rows.len() == self.wanted || self.bytes > MAX_BYTES {
            self.has_more = true;
            return Ok(Enough::Yes);
        }
        let row = T::read(row)?;
        self.bytes += row.size();
        self.rows.push(row);
        Ok(Enough::No)
    }
}

/// Statements that give a page, one after the other.
#[derive(Clone, Copy, Debug)]
enum Part<'a> {
    ByUid {
        after: Option<&'a str>,
    },
    Ordered {
        order: Order,
        after: Option<(Time, &'a str)>,
    },
    /// Rows without a value.
    Rest {
        order: Order,
        after: Option<&'a str>,
    },
}

fn parts(order: Option<Order>, after: Option<&Position>) -> Vec<Part<'_>> {
    let uid = after.map(|position| position.uid.as_str());
    let Some(order) = order else { return vec![Part::ByUid { after: uid }] };
    match after {
        None => vec![Part::Ordered { order, after: None }, Part::Rest { order, after: None }],
        Some(Position { uid, value: Some(value) }) => vec![
            Part::Ordered { order, after: Some((Time(*value), uid.as_str())) },
            Part::Rest { order, after: None },
        ],
        Some(Position { value: None, .. }) => vec![Part::Rest { order, after: uid }],
    }
}

fn statement(
    route: &Route,
    list: &List<'_>,
    filter: &Filter,
    part: Part<'_>,
    limit: usize,
) -> Result<Statement, Error> {
    let mut statement = Statement::default();
    statement.push(route.select);
    statement.scope(list.parent, route.has_results.then_some(list.result), filter)?;
    if let Some(types) = route.types {
        statement.push(" AND type = ANY(").bind(types)?.push(")");
    }
    match part {
        Part::ByUid { after } => {
            if let Some(uid) = after {
                statement.push(" AND id > ").bind(uid)?;
            }
            statement.push(" ORDER BY id");
        }
        Part::Ordered { order: Order { field: Field { column, .. }, direction }, after } => {
            statement.push(format_args!(" AND {column} IS NOT NULL"));
            if let Some((value, uid)) = after {
                statement
                    .push(format_args!(" AND ({column}, id) {} (", direction.after()))
                    .bind(value)?
                    .push(", ")
                    .bind(uid)?
                    .push(")");
            }
            let way = direction.sql();
            statement.push(format_args!(" ORDER BY {column} {way}, id {way}"));
        }
        Part::Rest { order: Order { field: Field { column, .. }, direction }, after } => {
            statement.push(format_args!(" AND {column} IS NULL"));
            if let Some(uid) = after {
                statement.push(format_args!(" AND id {} ", direction.after())).bind(uid)?;
            }
            statement.push(format_args!(" ORDER BY id {}", direction.sql()));
        }
    }
    // A number of ours.
    statement.push(format_args!(" LIMIT {limit}"));
    Ok(statement)
}

fn page_size(asked: i32) -> Result<usize, Error> {
    match asked {
        0 => Ok(DEFAULT_SIZE),
        MIN_SIZE..=MAX_SIZE => Ok(usize::try_from(asked).unwrap_or(DEFAULT_SIZE)),
        _ => Err(Error::invalid(
            "page_size",
            format!("is {asked}; give 0 for {DEFAULT_SIZE}, or a number from {MIN_SIZE} to {MAX_SIZE}"),
        )),
    }
}

pub(super) fn compile(text: &str, target: Target) -> Result<Filter, Error> {
    results_filter::compile(text, target).map_err(|error| Error::invalid("filter", error.to_string()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::default(0, Some(50))]
    #[case::smallest(5, Some(5))]
    #[case::largest(10_000, Some(10_000))]
    #[case::too_small(4, None)]
    #[case::too_large(10_001, None)]
    #[case::negative(-1, None)]
    fn sizes(#[case] asked: i32, #[case] expected: Option<usize>) {
        assert_eq!(page_size(asked).ok(), expected);
    }
}
