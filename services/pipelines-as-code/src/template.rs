//! Placeholders in `.tekton/`: `{{ revision }}`, `{{ body.pull_request.title }}` (spec section 4.5).
//!
//! ```text
//! text ─▶ Template::new   each placeholder becomes a word that YAML takes for text
//!      ─▶ yaml            decoded by whoever knows what it should be
//!      ─▶ fill            the words become values, in strings that are decoded already
//! ```
//! So no title of a pull request and no name of a branch can become structure: it is text wherever it is put in.

pub mod params;
mod path;
mod values;
mod variables;

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

pub use values::{Values, filter_wants_files, wants_files};
pub use variables::{Assignments, standard};

/// A file with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    yaml: String,
    /// What the words begin with that stand for placeholders. Nothing else in the file has it.
    mark: String,
    placeholders: Vec<Placeholder>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Placeholder {
    /// As it is written: `{{ revision }}`.
    text: String,
    key: String,
    /// It is a whole value, without quotes around it: `retries: {{ retries }}`.
    is_plain: bool,
}

/// What a placeholder stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Filled {
    Text(String),
    /// Something of the payload that is no string. Within a text it is written as JSON.
    Json(Value),
}

impl Filled {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) | Self::Json(Value::String(text)) => text,
            Self::Json(other) => other.to_string(),
        }
    }

    /// As the value of a field. What YAML would take for a number or a truth value becomes one.
    fn into_value(self) -> Value {
        match self {
            Self::Text(text) => match (text.as_str(), text.parse::<i64>()) {
                ("true", _) => Value::Bool(true),
                ("false", _) => Value::Bool(false),
                (_, Ok(number)) if number.to_string() == text => number.into(),
                _ => Value::String(text),
            },
            Self::Json(value) => value,
        }
    }
}

/// `{{ key }}` on one line. A key has two characters or more, and no closing brace.
fn placeholders(text: &str) -> impl Iterator<Item = (std::ops::Range<usize>, &str)> {
    static PLACEHOLDER: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\{\{([^}\r\n]{2,})\}\}").ok());
    PLACEHOLDER
        .iter()
        .flat_map(move |regex| regex.captures_iter(text))
        .filter_map(|found| Some((found.get(0)?.range(), found.get(1)?.as_str().trim())))
}

impl Template {
    pub fn new(text: &str) -> Self {
        let mark = mark(text);
        let (mut yaml, mut found, mut end) = (String::with_capacity(text.len()), Vec::new(), 0);
        for (range, key) in placeholders(text) {
            yaml.push_str(&text[end..range.start]);
            yaml.push_str(&word(&mark, found.len()));
            found.push(Placeholder {
                text: text[range.clone()].to_owned(),
                key: key.to_owned(),
                is_plain: is_plain(&text[..range.start], &text[range.end..]),
            });
            end = range.end;
        }
        yaml.push_str(&text[end..]);
        Self { yaml, mark, placeholders: found }
    }

    /// With words instead of placeholders. Lines are where they were.
    pub fn yaml(&self) -> &str {
        &self.yaml
    }

    /// Keys of the placeholders, each as often as it is there.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.placeholders.iter().map(|placeholder| placeholder.key.as_str())
    }

    /// Puts values into what was decoded from [`Self::yaml`]. A placeholder that `value_of` knows nothing of is as it was
    /// written.
    pub fn fill(&self, decoded: &mut Value, value_of: &mut dyn FnMut(&str) -> Option<Filled>) {
        match decoded {
            Value::String(text) => {
                if let Some(filled) = self.filled(text, value_of) {
                    *decoded = filled;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.fill(item, value_of)),
            Value::Object(fields) => {
                for (mut name, mut value) in std::mem::take(fields) {
                    if let Some(filled) = self.filled(&name, value_of) {
                        name = Filled::Json(filled).into_text();
                    }
                    self.fill(&mut value, value_of);
                    fields.insert(name, value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A text with its values. `None` if there is no placeholder in it.
    fn filled(&self, text: &str, value_of: &mut dyn FnMut(&str) -> Option<Filled>) -> Option<Value> {
        let mut parts = text.split(&self.mark);
        let mut filled = parts.next()?.to_owned();
        let mut is_changed = false;
        for part in parts {
            is_changed = true;
            let (placeholder, rest) = self.placeholder(part)?;
            let value = value_of(&placeholder.key);
            if placeholder.is_plain && rest.is_empty() && filled.is_empty() {
                return Some(
                    value.map_or_else(|| Value::String(placeholder.text.clone()), Filled::into_value),
                );
            }
            match value {
                Some(value) => filled.push_str(&value.into_text()),
                None => filled.push_str(&placeholder.text),
            }
            filled.push_str(rest);
        }
        is_changed.then_some(Value::String(filled))
    }

    /// The placeholder whose word goes on after the mark, and what follows the word.
    fn placeholder<'a>(&self, after_mark: &'a str) -> Option<(&Placeholder, &'a str)> {
        let (index, rest) = after_mark.split_once(END)?;
        Some((self.placeholders.get(index.parse::<usize>().ok()?)?, rest))
    }

    /// Restores the placeholders in a text that was taken from [`Self::yaml`]: for messages.
    pub fn restored(&self, text: &str) -> String {
        match self.filled(text, &mut |_| None) {
            Some(Value::String(restored)) => restored,
            _ => text.to_owned(),
        }
    }
}

/// Ends the word of a placeholder, after its number.
const END: char = 'z';

fn word(mark: &str, index: usize) -> String {
    format!("{mark}{index}{END}")
}

/// Letters that are nowhere in `text`, nor come to be where a word follows others: their first letter is in them once.
fn mark(text: &str) -> String {
    let mut mark = "paa".to_owned();
    while text.contains(&mark) {
        mark.push('a');
    }
    mark
}

/// Whether what is between these is a whole value without quotes.
fn is_plain(before: &str, after: &str) -> bool {
    let line = before.rsplit('\n').next().unwrap_or_default();
    let is_begin = match line.trim_end().chars().next_back() {
        Some(':' | '-') => line.ends_with([' ', '\t']),
        Some('[' | ',') => true,
        _ => false,
    };
    let rest = after.split(['\r', '\n']).next().unwrap_or_default();
    let is_end = match rest.trim_start().chars().next() {
        None | Some(',' | ']' | '}') => true,
        Some('#') => rest.starts_with([' ', '\t']),
        Some(_) => false,
    };
    is_begin && is_end
}

/// Puts values into placeholders that are in decoded text already.
pub fn expand(decoded: &mut Value, value_of: &dyn Fn(&str) -> Option<String>) {
    match decoded {
        Value::String(text) => {
            if text.contains("{{") {
                *text = expanded(text, value_of);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| expand(item, value_of)),
        Value::Object(fields) => fields.values_mut().for_each(|value| expand(value, value_of)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A text with its values. What `value_of` knows nothing of is as it was written.
pub fn expanded(text: &str, value_of: &dyn Fn(&str) -> Option<String>) -> String {
    let (mut filled, mut end) = (String::with_capacity(text.len()), 0);
    for (range, key) in placeholders(text) {
        if let Some(value) = value_of(key) {
            filled.push_str(&text[end..range.start]);
            filled.push_str(&value);
            end = range.end;
        }
    }
    filled.push_str(&text[end..]);
    filled
}

#[cfg(test)]
mod tests;
