//! YAML files of several documents, with the lines of their values for whoever has to correct one.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Options, Spanned, UserMessageFormatter};

/// Longest text that is read, in bytes: etcd stores no longer object, and neither do we.
pub const LONGEST: usize = 1_572_864;

/// How YAML is read, wherever it comes from.
pub(crate) fn options() -> Options {
    // Aliases may repeat what is there, not multiply it: a bomb of a few lines would fill the memory. What is deep
    // fills the stack.
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 200_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_depth: 64,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 50_000, max_replay_stack_depth: 8 },
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
    }
}

/// Why a text is no YAML, or none that is read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("it has {0} bytes; at most {LONGEST} are read")]
    TooLong(usize),
    #[error("it is no YAML: {text}")]
    Yaml {
        /// From 1, if it is known.
        line: Option<u32>,
        text: String,
    },
}

impl Error {
    /// Where it is, from 1.
    pub fn line(&self) -> Option<u32> {
        match self {
            Self::TooLong(_) => None,
            Self::Yaml { line, .. } => *line,
        }
    }
}

/// A document of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub value: Value,
    lines: Lines,
}

impl Document {
    /// Line of the file on which it begins, from 1. Comments before it do not count.
    pub fn line(&self) -> u32 {
        self.lines.line()
    }

    /// Line on which the value of a field begins (`spec.steps[0].image`), or else that of the innermost one around it
    /// that is there.
    pub fn line_of(&self, path: &str) -> u32 {
        let (mut lines, mut rest) = (&self.lines, path);
        while !rest.is_empty() {
            let Some((inner, after)) = lines.step(rest) else { break };
            (lines, rest) = (inner, after);
        }
        lines.line()
    }
}

/// All documents of a text, the empty ones left out.
pub fn documents(text: &str) -> Result<Vec<Document>, Error> {
    if text.len() > LONGEST {
        return Err(Error::TooLong(text.len()));
    }
    let nodes: Vec<Node> = serde_saphyr::from_multiple_with_options(text, options()).map_err(|error| {
        let location = error.location();
        let text = error.without_snippet().render_with_formatter(&UserMessageFormatter);
        // The rest is an excerpt of the text, which may be long. The column means nothing where words were replaced.
        let first = text.lines().next().unwrap_or_default();
        let place = location.map(|at| format!(" at line {}, column {}", at.line(), at.column()));
        let text = place.and_then(|place| first.strip_suffix(&place)).unwrap_or(first).to_owned();
        Error::Yaml { line: location.and_then(|at| u32::try_from(at.line()).ok()), text }
    })?;
    Ok(nodes.into_iter().map(|node| Document { value: node.value, lines: node.lines }).collect())
}

/// Where a value is, and what is in it.
#[derive(Clone, Debug, PartialEq)]
enum Lines {
    Scalar(u32),
    List(u32, Vec<Lines>),
    Map(u32, BTreeMap<String, Lines>),
}

impl Lines {
    fn line(&self) -> u32 {
        match self {
            Self::Scalar(line) | Self::List(line, _) | Self::Map(line, _) => *line,
        }
    }

    /// What the first part of a path leads to, and the rest of the path.
    fn step<'a>(&self, path: &'a str) -> Option<(&Self, &'a str)> {
        match self {
            Self::Scalar(_) => None,
            Self::List(_, items) => {
                let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
                Some((items.get(index.parse::<usize>().ok()?)?, rest))
            }
            // Names may have dots themselves: the longest that fits counts.
            Self::Map(_, fields) => {
                let path = path.strip_prefix('.').unwrap_or(path);
                let fitting = fields.iter().filter_map(|(name, lines)| {
                    let rest = path.strip_prefix(name.as_str())?;
                    (rest.is_empty() || rest.starts_with(['.', '['])).then_some((lines, rest))
                });
                fitting.min_by_key(|(_, rest)| rest.len())
            }
        }
    }
}

/// A value with its lines.
struct Node {
    value: Value,
    lines: Lines,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        let line = u32::try_from(spanned.referenced.line()).unwrap_or(u32::MAX);
        Ok(match spanned.value {
            Content::Scalar(value) => Self { value, lines: Lines::Scalar(line) },
            Content::List(items) => {
                let (values, lines) = items.into_iter().map(|node| (node.value, node.lines)).unzip();
                Self { value: Value::Array(values), lines: Lines::List(line, lines) }
            }
            Content::Map(fields) => {
                let (mut values, mut lines) = (Map::new(), BTreeMap::new());
                for (name, node) in fields {
                    lines.insert(name.clone(), node.lines);
                    values.insert(name, node.value);
                }
                Self { value: Value::Object(values), lines: Lines::Map(line, lines) }
            }
        })
    }
}

/// What a node of YAML is.
enum Content {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what JSON can say as well")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Content, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number that is none"))?;
        Ok(Content::Scalar(number.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        Content::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Content::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Content, A::Error> {
        let mut map = Vec::new();
        while let Some(field) = fields.next_entry()? {
            map.push(field);
        }
        Ok(Content::Map(map))
    }
}

#[cfg(test)]
mod tests;
