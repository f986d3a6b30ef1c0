//! Filters of lists (spec results 2.6): CEL of tenants, as SQL over one table, and as a predicate in memory.
//!
//! ```text
//! text ─▶ limits, syntax ─▶ check: names, types, constants ─▶ Test ─┬─▶ sql:    text with $n, and binds
//!         (parse)           (a filter, or where it is wrong)        └─▶ memory: true, false, neither
//! ```
//! Nothing that a tenant wrote is ever part of the SQL: texts, keys, numbers and patterns are binds, and the statement is put
//! together from words of this crate. What would only fail in the database, fails here: patterns are read and written anew in
//! the database's syntax, numbers are bounded so that no calculation overflows, and values of JSON are cast only where the
//! cast cannot fail.
//!
//! Logic has three values, in both: what refers to an absent key is neither true nor false, and so is its negation.

mod bounds;
mod check;
mod json;
mod memory;
mod parse;
mod pattern;
mod row;
mod sql;
mod test;
#[cfg(test)]
mod tests;
mod time;

use crate::test::Test;

pub use row::Row;
pub use sql::{Bind, Sql};

/// What a filter chooses from: it decides which variables there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Table `results`: `parent`, `uid`, `annotations`, `summary`, `create_time`, `update_time`.
    Results,
    /// Table `records`: `parent`, `result_name`, `name`, `data_type`, `data`.
    Records,
}

/// Why a text is no filter. For the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} at line {line}, column {column}")]
pub struct Error {
    /// What is wrong, and what to write instead.
    pub message: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

/// A filter without faults: neither of its two uses can fail.
#[derive(Clone, Debug)]
pub struct Filter(Test);

/// Reads a filter. Blank text is one that everything matches.
pub fn compile(text: &str, target: Target) -> Result<Filter, Error> {
    if text.trim().is_empty() {
        return Ok(Filter(Test::Constant(true)));
    }
    parse::parse(text, |expression, source| check::check(expression, source, target)).map(Filter)
}

impl Filter {
    /// A condition in brackets whose first placeholder is `$first_placeholder`. It uses bare names of columns, so it has to be
    /// used where there is one table.
    pub fn sql(&self, first_placeholder: usize) -> Sql {
        sql::write(&self.0, first_placeholder)
    }

    /// Whether a row matches; `None` if that cannot be said, as what is compared is not there.
    pub fn matches(&self, row: &Row<'_>) -> Option<bool> {
        memory::test(&self.0, row)
    }
}
