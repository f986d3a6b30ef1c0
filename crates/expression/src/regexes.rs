//! The function `matches`: as CEL has it, but each expression is compiled once, and none becomes large.

use std::collections::BTreeMap;
use std::sync::Arc;

use cel::ExecutionError;
use parking_lot::Mutex;
use regex::{Regex, RegexBuilder};

/// Memory of one compiled expression, in bytes. Compiling that much takes some milliseconds.
const MAX_REGEX: usize = 1 << 20;

/// How many are kept: an expression whose pattern is a value may have as many as there are values.
const MAX_KEPT: usize = 32;

pub(crate) fn compiled(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(MAX_REGEX).dfa_size_limit(MAX_REGEX).build()
}

/// Whether a pattern asks for more than there is, which can be told before anything is evaluated.
pub(crate) fn is_too_large(pattern: &str) -> bool {
    matches!(compiled(pattern), Err(regex::Error::CompiledTooBig(_)))
}

/// Those of one evaluation.
#[derive(Debug, Default)]
pub(crate) struct Regexes(Mutex<BTreeMap<String, Regex>>);

impl Regexes {
    pub(crate) fn is_match(&self, text: &str, pattern: &Arc<String>) -> Result<bool, ExecutionError> {
        let mut kept = self.0.lock();
        if let Some(regex) = kept.get(pattern.as_str()) {
            return Ok(regex.is_match(text));
        }
        let regex = compiled(pattern).map_err(|error| ExecutionError::function_error("matches", error))?;
        let is_match = regex.is_match(text);
        if kept.len() < MAX_KEPT {
            kept.insert(pattern.as_str().to_owned(), regex);
        }
        Ok(is_match)
    }
}
