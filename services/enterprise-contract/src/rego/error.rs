//! What can go wrong with a policy: when it is loaded, and when it is evaluated.

use std::fmt;

/// Where something stands in a module: its path and the line, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    pub file: String,
    pub line: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Why a policy cannot be used at all. Every variant names the place to look at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// It is no Rego, or the names in it do not add up (unsafe variable, recursion).
    #[error("{at}: {message}")]
    Rego { at: Location, message: String },
    /// The same, where the interpreter does not say where.
    #[error("{0}")]
    Unplaced(String),
    #[error("{at}: the METADATA comment is not the YAML of an annotation: {message}")]
    Annotation { at: Location, message: String },
    #[error("{at}: a policy must not call {name}: it could reach the network or the process")]
    Forbidden { at: Location, name: String },
    #[error("{at}: undefined function {name}")]
    UnknownFunction { at: Location, name: String },
    #[error("{at}: unsupported value: {rule} has to yield strings or objects with a \"msg\"")]
    UnsupportedValue { at: Location, rule: String },
    #[error("{at}: the code {code} is taken by the rule at {first}; give one of them another short_name")]
    DuplicateCode { at: Location, code: String, first: Location },
    #[error("{file} is loaded twice")]
    DuplicateFile { file: String },
}

impl LoadError {
    pub(super) fn from_engine(error: &anyhow::Error) -> Self {
        match placed(&error.to_string()) {
            (Some(at), message) => Self::Rego { at, message },
            (None, message) => Self::Unplaced(message),
        }
    }
}

/// Why an evaluation gave no answer. Never to be read as "no violations".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// A conflict, a limit, a wrong call: whatever the interpreter stopped at.
    #[error("{at}: {message}")]
    Rego { at: Location, message: String },
    #[error("{0}")]
    Unplaced(String),
    #[error("{rule} yields {found}; it has to be a set of strings or of objects with a \"msg\"")]
    Value { rule: String, found: String },
    #[error("{what} cannot be given to the policy: {message}")]
    Document { what: &'static str, message: String },
}

impl EvalError {
    pub(super) fn from_engine(error: &anyhow::Error) -> Self {
        match placed(&error.to_string()) {
            (Some(at), message) => Self::Rego { at, message },
            (None, message) => Self::Unplaced(message),
        }
    }
}

/// Takes apart what the interpreter prints: `--> FILE:LINE:COLUMN`, an excerpt, `error: MESSAGE`. It gives errors only as text.
/// The column is dropped: it counts in the rewritten text.
fn placed(text: &str) -> (Option<Location>, String) {
    let at = text.lines().find_map(|line| {
        let (rest, _column) = line.strip_prefix("--> ")?.rsplit_once(':')?;
        let (file, line) = rest.rsplit_once(':')?;
        Some(Location { file: file.to_owned(), line: line.parse().ok()? })
    });
    let message = match (&at, text.rsplit_once("error: ")) {
        (Some(_), Some((_, message))) => message.trim(),
        _ => text.trim(),
    };
    (at, message.to_owned())
}
