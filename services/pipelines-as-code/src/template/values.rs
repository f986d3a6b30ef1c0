//! Values of placeholders: variables, parts of the payload, and CEL over it.

use std::collections::{BTreeMap, HashMap};

use forge::ChangedFiles;
use serde_json::{Value, json};

use super::Filled;
use super::path::Path;
use crate::cel::{Names, Seen};
use crate::event::Payload;

/// Begins the key of a placeholder that is CEL: `{{ cel: body.number > 3 ? "a" : "b" }}`.
const CEL: &str = "cel:";

/// Most bytes that placeholders of one event are filled with: an object of the API server holds less, and what somebody
/// pushes decides how often a payload of many megabytes is copied.
const MAX_BYTES: usize = 4 << 20;

/// Most different expressions that are evaluated for one event.
const MAX_EXPRESSIONS: usize = 200;

/// What placeholders stand for, for one event.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    variables: BTreeMap<String, String>,
    /// The variables, for expressions.
    pac: Value,
    payload: &'a Payload,
    seen: Seen<'a>,
    evaluated: HashMap<String, Option<Value>>,
    bytes_left: usize,
}

impl<'a> Values<'a> {
    /// `changed`: absent if nobody has asked for the files yet. See [`wants_files`].
    pub fn new(
        variables: BTreeMap<String, String>,
        payload: &'a Payload,
        changed: Option<&'a ChangedFiles>,
    ) -> Self {
        Self {
            pac: json!(variables),
            variables,
            payload,
            seen: Seen::new(payload, changed, Names::Both),
            evaluated: HashMap::new(),
            bytes_left: MAX_BYTES,
        }
    }

    /// What the placeholder with this key stands for. `None` if that is unknown, or an expression failed: it stays as it
    /// was written then.
    pub fn get(&mut self, key: &str) -> Option<Filled> {
        let filled = match self.variables.get(key) {
            Some(text) => Filled::Text(text.clone()),
            None => Filled::Json(self.of_payload(key)?),
        };
        let bytes = match &filled {
            Filled::Text(text) => text.len(),
            Filled::Json(value) => weight(value),
        };
        self.bytes_left = self.bytes_left.checked_sub(bytes)?;
        Some(filled)
    }

    fn of_payload(&mut self, key: &str) -> Option<Value> {
        if let Some(expression) = key.strip_prefix(CEL) {
            return self.evaluate(expression.trim());
        }
        if !is_of_payload(key) {
            return None;
        }
        match Path::of(key) {
            Some(path) => self.at(&path),
            None => self.evaluate(key),
        }
    }

    fn at(&self, path: &Path<'_>) -> Option<Value> {
        let found = match path.root {
            "body" => path.follow(&self.payload.body)?,
            "files" => path.follow(self.seen.files()?)?,
            "headers" => {
                let headers = &self.payload.headers;
                return match path.header() {
                    Some(wanted) => {
                        headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| json!(value))
                    }
                    None => None,
                };
            }
            _ => return None,
        };
        // What does not fit anyway is not copied first.
        (weight(found) <= self.bytes_left).then(|| found.clone())
    }

    fn evaluate(&mut self, text: &str) -> Option<Value> {
        if let Some(known) = self.evaluated.get(text) {
            return known.clone();
        }
        if self.evaluated.len() == MAX_EXPRESSIONS {
            return None;
        }
        let variables = self.seen.variables().json("pac", &self.pac);
        let value = expression::evaluate(text, &variables).ok();
        let value = value.filter(|value| weight(value) <= self.bytes_left);
        self.evaluated.insert(text.to_owned(), value.clone());
        value
    }
}

/// Whether a placeholder cannot be filled without the changed files.
pub fn wants_files(key: &str) -> bool {
    key.starts_with("files") || key.strip_prefix(CEL).is_some_and(filter_wants_files)
}

/// Whether an expression may look at the changed files.
pub fn filter_wants_files(expression: &str) -> bool {
    expression.contains("files")
}

fn is_of_payload(key: &str) -> bool {
    ["body", "headers", "files"].iter().any(|root| key.starts_with(root))
}

/// About how many bytes a value has as JSON.
fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(weight).sum::<usize>() + items.len() + 2,
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| name.len() + 4 + weight(value)).sum::<usize>() + 2
        }
    }
}
