//! A filter, understood: values with types, and conditions with three values.

use jiff::Timestamp;

use crate::pattern::Pattern;

/// Of the tables: names as in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextColumn {
    Parent,
    Uid,
    Name,
    ResultName,
    DataType,
    SummaryRecord,
    SummaryType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeColumn {
    Created,
    Updated,
    SummaryStart,
    SummaryEnd,
}

/// Maps of texts to texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapColumn {
    Annotations,
    SummaryAnnotations,
}

/// Neither true nor false where a value that it needs is absent.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    Constant(bool),
    /// A truth value of JSON, or a text of one.
    Json(Json),
    Not(Box<Test>),
    Both(Box<Test>, Box<Test>),
    Either(Box<Test>, Box<Test>),
    Texts(Comparison, Text, Text),
    Wholes(Comparison, Whole, Whole),
    Numbers(Comparison, Number, Number),
    Times(Comparison, Time, Time),
    Tests(Comparison, Box<Test>, Box<Test>),
    OneOf(OneOf),
    HasKey(MapColumn, Text),
    /// The value is an object with such a key, or a list with such a text.
    Holds(Json, Text),
    Part(Part, Text, Text),
    Matches(Text, Pattern),
}

/// A value, and those that it may be.
#[derive(Clone, Debug)]
pub(crate) enum OneOf {
    Texts(Text, Vec<Text>),
    Numbers(Number, Vec<Number>),
    Times(Time, Vec<Time>),
    Tests(Box<Test>, Vec<Test>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    Different,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Where the second text is in the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Inside,
    Start,
    End,
}

#[derive(Clone, Debug)]
pub(crate) enum Text {
    Constant(String),
    Column(TextColumn),
    Entry(MapColumn, String),
    Json(Json),
    Joined(Box<Text>, Box<Text>),
}

/// A whole number. All are so small that they are the same as a [`Number`].
#[derive(Clone, Debug)]
pub(crate) enum Whole {
    Constant(i64),
    SummaryStatus,
    Json(Json),
    Date(DatePart, Box<Time>),
    Calculated(Operation, Box<Whole>, Box<Whole>),
}

/// A number with a fraction, of double precision.
#[derive(Clone, Debug)]
pub(crate) enum Number {
    Constant(f64),
    Whole(Whole),
    Json(Json),
    Calculated(Operation, Box<Number>, Box<Number>),
}

/// Nothing divided by zero has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    /// Of whole numbers only.
    Remainder,
}

/// A point in time, in whole microseconds.
#[derive(Clone, Debug)]
pub(crate) enum Time {
    Constant(Timestamp),
    Column(TimeColumn),
    Json(Json),
}

/// In UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DatePart {
    /// Of the month, from 1.
    Date,
    /// Of the month, from 0.
    DayOfMonth,
    /// From Sunday, which is 0.
    DayOfWeek,
    /// From 0.
    DayOfYear,
    FullYear,
}

/// A place in the data of a Record, from the outside in.
#[derive(Clone, Debug)]
pub(crate) struct Json(pub(crate) Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Of an object.
    Key(String),
    /// Of a list.
    Index(i32),
}
