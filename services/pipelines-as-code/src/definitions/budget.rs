//! How much placeholders may become in all.

use serde_json::Value;

use crate::template::Filled;

/// Bytes of all values that are put in. A body of 25 MiB in a hundred places would be more than we may use.
const LIMIT: usize = 8 * 1024 * 1024;

/// Hands out values until they are too many.
pub(super) struct Budget<'a> {
    value_of: &'a mut dyn FnMut(&str) -> Option<Filled>,
    used: usize,
}

impl<'a> Budget<'a> {
    pub(super) fn new(value_of: &'a mut dyn FnMut(&str) -> Option<Filled>) -> Self {
        Self { value_of, used: 0 }
    }

    pub(super) fn value_of(&mut self, key: &str) -> Option<Filled> {
        if self.used > LIMIT {
            return None;
        }
        let filled = (self.value_of)(key)?;
        self.used += match &filled {
            Filled::Text(text) => text.len(),
            Filled::Json(value) => size(value),
        };
        Some(filled).filter(|_| self.used <= LIMIT)
    }

    /// What to say if they were too many.
    pub(super) fn exceeded(&self) -> Option<String> {
        (self.used > LIMIT).then(|| {
            format!("the values of all placeholders have more than {LIMIT} bytes; take only what is needed of body")
        })
    }
}

/// About as many bytes as its JSON has.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| size(item) + 1).sum(),
        Value::Object(fields) => fields.iter().map(|(name, field)| name.len() + size(field) + 4).sum(),
    }
}
