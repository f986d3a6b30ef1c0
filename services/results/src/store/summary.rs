//! Numbers over many Records: how many runs succeeded, how long they took (results.md, section 2.8).

use results_filter::Target;
use serde_json::{Map, Value};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::Store;
use super::error::Error;
use super::list::compile;
use super::order::{Direction, split};
use super::query::{Enough, Statement};

/// More groups than this are refused: nobody reads them, and they have to fit into one answer.
const MAX_GROUPS: usize = 10_000;

/// What a client asks for, as it sent it. All but the parent may be empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summarise<'a> {
    /// Namespace, or `-` for any.
    pub parent: &'a str,
    /// Name of a Result, or `-` for any.
    pub result: &'a str,
    /// Fields, separated by commas.
    pub summary: &'a str,
    pub filter: &'a str,
    pub group_by: &'a str,
    pub order_by: &'a str,
}

/// How the database's number becomes JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Number,
    /// The database gives microseconds.
    Duration,
}

struct Field {
    name: &'static str,
    sql: &'static str,
    shape: Shape,
}

/// `reason`, `started` and `took` (seconds) are columns of [`RUNS`].
static FIELDS: [Field; 11] = [
    number("total", "count(*)"),
    number("succeeded", "count(*) FILTER (WHERE reason IN ('Succeeded', 'Completed'))"),
    number("failed", "count(*) FILTER (WHERE reason = 'Failed')"),
    number("cancelled", "count(*) FILTER (WHERE reason IN ('Cancelled', 'TaskRunCancelled'))"),
    number("running", "count(*) FILTER (WHERE reason = 'Running')"),
    number(
        "others",
        "count(*) FILTER (WHERE reason NOT IN \
         ('Succeeded', 'Completed', 'Failed', 'Cancelled', 'TaskRunCancelled', 'Running'))",
    ),
    duration("avg_duration", "round(avg(took) * 1000000)::int8"),
    duration("min_duration", "round(min(took) * 1000000)::int8"),
    duration("max_duration", "round(max(took) * 1000000)::int8"),
    duration("total_duration", "round(sum(took) * 1000000)::int8"),
    number("last_runtime", "floor(extract(epoch FROM max(started)))::int8"),
];

const fn number(name: &'static str, sql: &'static str) -> Field {
    Field { name, sql, shape: Shape::Number }
}

const fn duration(name: &'static str, sql: &'static str) -> Field {
    Field { name, sql, shape: Shape::Duration }
}

/// A time in a document, or null: what is no RFC 3339 date that exists must not fail the query for all others. In the place
/// of `{}` stands an expression of text.
const TIME: &str = r"CASE WHEN {} ~ '^(?!0000)\d{4}-((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|1\d|2[0-8]))T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-](0\d|1[0-4]):[0-5]\d)$' OR {} ~ '^(\d\d(0[48]|[2468][048]|[13579][26])|([02468][48]|[13579][26]|[2468]0)00)-02-29T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-](0\d|1[0-4]):[0-5]\d)$' THEN ({})::timestamptz END";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    /// Seconds since 1970 of the beginning of a span of time, in which the time at `path` lies.
    Time {
        unit: &'static str,
        path: &'static str,
    },
    Text {
        sql: &'static str,
    },
}

const UNITS: [&str; 6] = ["year", "month", "week", "day", "hour", "minute"];

const CREATED: &str = "data -> 'metadata' ->> 'creationTimestamp'";
const STARTED: &str = "data -> 'status' ->> 'startTime'";
const COMPLETED: &str = "data -> 'status' ->> 'completionTime'";

impl Group {
    fn parse(text: &str) -> Result<Self, Error> {
        let mut words = text.split(' ');
        let (word, of, rest) = (words.next().unwrap_or_default(), words.next(), words.next());
        let sql = match word {
            "namespace" => Some("coalesce(data -> 'metadata' ->> 'namespace', '')"),
            "pipeline" => Some(
                "concat(data -> 'metadata' ->> 'namespace', '/', \
                 data -> 'metadata' -> 'labels' ->> 'tekton.dev/pipeline')",
            ),
            "repository" => Some(
                "concat(data -> 'metadata' ->> 'namespace', '/', \
                 data -> 'metadata' -> 'annotations' ->> 'pipelinesascode.tekton.dev/repository')",
            ),
            _ => None,
        };
        if let (Some(sql), None) = (sql, of) {
            return Ok(Self::Text { sql });
        }
        let path = match of {
            None => Some(CREATED),
            Some("startTime") => Some(STARTED),
            Some("completionTime") => Some(COMPLETED),
            Some(_) => None,
        };
        let unit = UNITS.into_iter().find(|unit| *unit == word);
        match (unit, path, rest) {
            (Some(unit), Some(path), None) => Ok(Self::Time { unit, path }),
            _ => Err(Error::invalid(
                "group_by",
                format!(
                    "`{text}` is none of {}, each optionally followed by startTime or completionTime, and of \
                     namespace, pipeline, repository",
                    UNITS.join(", ")
                ),
            )),
        }
    }

    fn sql(self) -> String {
        match self {
            Self::Time { unit, path } => {
                format!("extract(epoch FROM date_trunc('{unit}', {}))::int8", time(path))
            }
            Self::Text { sql } => sql.to_owned(),
        }
    }

    fn read(self, row: &PgRow) -> sqlx::Result<Value> {
        Ok(match self {
            Self::Time { .. } => row.try_get::<Option<i64>, _>("group_value")?.into(),
            Self::Text { .. } => row.try_get::<Option<String>, _>("group_value")?.into(),
        })
    }
}

/// The request, understood.
struct Plan {
    fields: Vec<&'static Field>,
    group: Option<Group>,
    order: Option<(&'static Field, Direction)>,
}

impl Plan {
    fn parse(request: &Summarise<'_>) -> Result<Self, Error> {
        let mut fields: Vec<&'static Field> = Vec::new();
        let words = if request.summary.trim().is_empty() { "total" } else { request.summary };
        for word in words.split(',').map(str::trim) {
            let field = field("summary", word)?;
            if !fields.iter().any(|known| known.name == field.name) {
                fields.push(field);
            }
        }
        let group = match request.group_by.trim() {
            "" => None,
            text => Some(Group::parse(text)?),
        };
        let order = match request.order_by.trim() {
            "" => None,
            _ if group.is_none() => {
                return Err(Error::invalid(
                    "order_by",
                    "needs group_by: without groups there is one summary",
                ));
            }
            text => {
                let (word, direction) = split(text)?;
                Some((field("order_by", word)?, direction))
            }
        };
        Ok(Self { fields, group, order })
    }

    /// `SELECT …` over the runs that `statement` still has to be given the scope of.
    fn head(&self) -> String {
        let mut columns: Vec<String> =
            self.fields.iter().map(|field| format!("{} AS {}", field.sql, field.name)).collect();
        if self.group.is_some() {
            columns.push("group_value".to_owned());
        }
        let group = self.group.map(|group| format!(", {} AS group_value", group.sql())).unwrap_or_default();
        format!(
            "SELECT {} FROM (SELECT reason, started, extract(epoch FROM completed - started) AS took{} FROM (SELECT \
             coalesce(data -> 'status' -> 'conditions' -> 0 ->> 'reason', '') AS reason, {} AS started, \
             {} AS completed{group} FROM records",
            columns.join(", "),
            if self.group.is_some() { ", group_value" } else { "" },
            time(STARTED),
            time(COMPLETED),
        )
    }

    /// What follows the scope.
    fn tail(&self) -> String {
        let mut text = ") AS runs) AS timed".to_owned();
        if self.group.is_some() {
            text.push_str(" GROUP BY group_value ORDER BY ");
            if let Some((field, direction)) = self.order {
                text.extend([field.sql, " ", direction.sql(), " NULLS LAST, "]);
            }
            text.extend(["group_value LIMIT ", &(MAX_GROUPS + 1).to_string()]);
        }
        text
    }

    fn read(&self, row: &PgRow) -> sqlx::Result<Map<String, Value>> {
        let mut map = Map::new();
        for field in &self.fields {
            let number: Option<i64> = row.try_get(field.name)?;
            let value = match (field.shape, number) {
                (_, None) => Value::Null,
                (Shape::Number, Some(number)) => number.into(),
                (Shape::Duration, Some(micros)) => clock(micros).into(),
            };
            map.insert(field.name.to_owned(), value);
        }
        if let Some(group) = self.group {
            map.insert("group_value".to_owned(), group.read(row)?);
        }
        Ok(map)
    }
}

fn field(of: &'static str, word: &str) -> Result<&'static Field, Error> {
    FIELDS.iter().find(|field| field.name == word).ok_or_else(|| {
        let known: Vec<_> = FIELDS.iter().map(|field| field.name).collect();
        Error::invalid(of, format!("`{word}` is none of {}", known.join(", ")))
    })
}

fn time(path: &str) -> String {
    TIME.replace("{}", &format!("({path})"))
}

/// `HH:MM:SS[.f]`. Days are hours.
fn clock(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let mut text = format!("{sign}{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction != 0 {
        text.push_str(format!(".{fraction:06}").trim_end_matches('0'));
    }
    text
}

impl Store {
    /// One object, or one for each group with the key `group_value`. Counts and seconds are numbers, durations texts, all
    /// but counts null where no Record has the time in question.
    pub async fn summarise(&self, request: &Summarise<'_>) -> Result<Vec<Map<String, Value>>, Error> {
        let plan = Plan::parse(request)?;
        let filter = compile(request.filter, Target::Records)?;
        let mut statement = Statement::default();
        statement.push(plan.head());
        statement.scope(request.parent, Some(request.result), &filter)?;
        statement.push(plan.tail());
        let mut groups = Vec::new();
        statement
            .run(self, |row| {
                groups.push(plan.read(row)?);
                Ok(Enough::No)
            })
            .await?;
        if groups.len() > MAX_GROUPS {
            return Err(Error::invalid(
                "group_by",
                format!(
                    "gives more than {MAX_GROUPS} groups; choose a longer span of time or narrow the filter"
                ),
            ));
        }
        Ok(groups)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nothing(0, "00:00:00")]
    #[case::parts(3_723_500_000, "01:02:03.5")]
    #[case::days(90_061_000_001, "25:01:01.000001")]
    #[case::many_hours(1_000 * 3_600_000_000, "1000:00:00")]
    #[case::backwards(-1_500_000, "-00:00:01.5")]
    fn writes_durations(#[case] micros: i64, #[case] text: &str) {
        assert_eq!(clock(micros), text);
    }

    #[rstest]
    #[case::word("total,nonsense", "", "")]
    #[case::empty_word("total,,failed", "", "")]
    #[case::group("", "decade", "")]
    #[case::time_of_group("", "day endTime", "")]
    #[case::too_many_words("", "day startTime desc", "")]
    #[case::text_with_time("", "namespace startTime", "")]
    #[case::order("", "day", "nonsense desc")]
    #[case::direction("", "day", "total up")]
    #[case::order_without_group("", "", "total desc")]
    fn refuses_unknown_words(#[case] summary: &str, #[case] group_by: &str, #[case] order_by: &str) {
        let request = Summarise { summary, group_by, order_by, ..Summarise::default() };
        assert!(matches!(Plan::parse(&request), Err(Error::Invalid { .. })));
    }

    #[test]
    fn counts_by_default() {
        let plan = Plan::parse(&Summarise::default()).unwrap();
        assert_eq!(plan.fields.iter().map(|field| field.name).collect::<Vec<_>>(), ["total"]);
    }
}
