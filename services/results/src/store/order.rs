//! `order_by` of a list: one field and a direction.

use super::error::Error;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Ascending,
    Descending,
}

impl Direction {
    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::Ascending => "ASC",
            Self::Descending => "DESC",
        }
    }

    /// How a later row compares to an earlier one.
    pub(super) fn after(self) -> &'static str {
        match self {
            Self::Ascending => ">",
            Self::Descending => "<",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "" | "asc" | "ASC" => Some(Self::Ascending),
            "desc" | "DESC" => Some(Self::Descending),
            _ => None,
        }
    }
}

/// A field that rows can be ordered by, and its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// As clients write it.
    pub(super) name: &'static str,
    pub(super) column: &'static str,
}

const CREATE_TIME: Field = Field { name: "create_time", column: "created_time" };
const UPDATE_TIME: Field = Field { name: "update_time", column: "updated_time" };

pub(super) const RESULT_FIELDS: &[Field] = &[
    CREATE_TIME,
    UPDATE_TIME,
    Field { name: "summary.start_time", column: "recordsummary_start_time" },
    Field { name: "summary.end_time", column: "recordsummary_end_time" },
];

/// The deprecated names too: upstream's lists of logs take no others.
pub(super) const RECORD_FIELDS: &[Field] = &[
    CREATE_TIME,
    UPDATE_TIME,
    Field { name: "created_time", column: "created_time" },
    Field { name: "updated_time", column: "updated_time" },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) field: Field,
    pub(super) direction: Direction,
}

impl Order {
    /// `<field>[ <direction>]`; `None` for an empty text, which orders by UID.
    pub(super) fn parse(text: &str, fields: &[Field]) -> Result<Option<Self>, Error> {
        if text.is_empty() {
            return Ok(None);
        }
        let (name, direction) = split(text)?;
        let Some(field) = fields.iter().find(|field| field.name == name) else {
            let known: Vec<_> = fields.iter().map(|field| field.name).collect();
            return Err(Error::invalid(
                "order_by",
                format!("`{name}` is no field to order by; use one of {}", known.join(", ")),
            ));
        };
        Ok(Some(Self { field: *field, direction }))
    }
}

/// A word and a direction.
pub(super) fn split(text: &str) -> Result<(&str, Direction), Error> {
    let (word, direction) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    match Direction::parse(direction.trim_start()) {
        Some(direction) if !word.is_empty() => Ok((word, direction)),
        _ => Err(Error::invalid(
            "order_by",
            format!("`{text}` is not one field, optionally followed by asc or desc"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::ascending_by_default("create_time", "created_time", Direction::Ascending)]
    #[case::blank_at_the_end("update_time ", "updated_time", Direction::Ascending)]
    #[case::capital_letters("summary.start_time  DESC", "recordsummary_start_time", Direction::Descending)]
    #[case::small_letters("summary.end_time asc", "recordsummary_end_time", Direction::Ascending)]
    fn reads_fields(#[case] text: &str, #[case] column: &str, #[case] direction: Direction) {
        let order = Order::parse(text, RESULT_FIELDS).unwrap().unwrap();
        assert_eq!((order.field.column, order.direction), (column, direction));
    }

    #[rstest]
    #[case::unknown("name")]
    #[case::two("create_time, update_time")]
    #[case::mixed_case("create_time Desc")]
    #[case::leading_blank(" create_time")]
    #[case::statement("create_time; DROP TABLE results")]
    #[case::of_results_only("summary.start_time")]
    fn refuses_the_rest(#[case] text: &str) {
        let error = Order::parse(text, RECORD_FIELDS).unwrap_err();
        assert!(matches!(error, Error::Invalid { field: "order_by", .. }), "{error}");
    }

    #[test]
    fn nothing_means_by_uid() {
        assert_eq!(Order::parse("", RECORD_FIELDS).unwrap(), None);
    }
}
