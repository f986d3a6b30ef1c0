//! Keys that only lead somewhere: `body.commits[0].id`, `headers['x-github-event']`. Most are such, and need no interpreter.

use serde_json::Value;

/// A place in the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path<'k> {
    /// `body`, `headers` or `files`.
    pub(super) root: &'k str,
    steps: Vec<Step<'k>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step<'k> {
    Field(&'k str),
    Index(usize),
}

impl<'k> Path<'k> {
    /// `None` if the key is more than a path.
    pub(super) fn of(key: &'k str) -> Option<Self> {
        let (root, mut rest) = identifier(key)?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = match rest.strip_prefix('.') {
                Some(field) => identifier(field).map(|(name, after)| (Step::Field(name), after))?,
                None => in_brackets(rest.strip_prefix('[')?)?,
            };
            steps.push(step);
            rest = after;
        }
        Some(Self { root, steps })
    }

    /// What is there, if there is something.
    pub(super) fn follow<'v>(&self, root: &'v Value) -> Option<&'v Value> {
        self.steps.iter().try_fold(root, |value, step| match step {
            Step::Field(name) => value.as_object()?.get(*name),
            Step::Index(index) => value.as_array()?.get(*index),
        })
    }

    /// The name of a header, however it is written.
    pub(super) fn header(&self) -> Option<String> {
        match self.steps.as_slice() {
            [Step::Field(name)] => Some(name.to_ascii_lowercase()),
            _ => None,
        }
    }
}

fn identifier(text: &str) -> Option<(&str, &str)> {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = text.find(|c| !is_of_word(c)).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_').then_some((word, rest))
}

/// `0]` or `'name']`, and what follows.
fn in_brackets(text: &str) -> Option<(Step<'_>, &str)> {
    let quote = text.chars().next()?;
    if !matches!(quote, '\'' | '"') {
        let (index, rest) = text.split_once(']')?;
        return Some((Step::Index(index.parse().ok()?), rest));
    }
    let (name, rest) = text[1..].split_once(quote)?;
    // Escapes are the interpreter's.
    let rest = rest.strip_prefix(']').filter(|_| !name.contains('\\'))?;
    Some((Step::Field(name), rest))
}
