//! What CEL of tenants sees of an event.

use expression::Variables;
use forge::ChangedFiles;
use serde_json::{Value, json};

use crate::event::Payload;

/// The parts of an event that expressions reach into.
#[derive(Clone, Debug)]
pub(crate) struct Seen<'a> {
    body: &'a Value,
    headers: Value,
    /// `None` until the forge was asked.
    files: Option<Value>,
}

/// How a header's name is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// `x-github-event`
    Lower,
    /// Also as `X-Github-Event`.
    Both,
}

impl<'a> Seen<'a> {
    pub(crate) fn new(payload: &'a Payload, changed: Option<&ChangedFiles>, names: Names) -> Self {
        let mut headers = serde_json::Map::new();
        // The first of several counts.
        for (name, value) in payload.headers.iter().rev() {
            headers.insert(name.clone(), json!(value));
            if names == Names::Both {
                headers.insert(capitalised(name), json!(value));
            }
        }
        Self { body: &payload.body, headers: Value::Object(headers), files: changed.map(files) }
    }

    /// `body`, `headers` and `files`.
    pub(crate) fn variables(&self) -> Variables<'_> {
        let variables = Variables::new().json("body", self.body).json("headers", &self.headers);
        match &self.files {
            Some(files) => variables.json("files", files),
            None => variables.unknown("files"),
        }
    }

    pub(crate) fn files(&self) -> Option<&Value> {
        self.files.as_ref()
    }
}

/// `files.all`, `files.added` and so on.
fn files(changed: &ChangedFiles) -> Value {
    json!({
        "all": changed.all(),
        "added": changed.added,
        "deleted": changed.deleted,
        "modified": changed.modified,
        "renamed": changed.renamed,
    })
}

/// Each word of a header's name with a capital, as Go writes it.
fn capitalised(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}
