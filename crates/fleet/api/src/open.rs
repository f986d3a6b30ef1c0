//! Sets of words that may grow.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

/// A word of the set `T`, or one that this version does not know, as it was written.
///
/// For enums in specs and statuses. The schema admits the words of `T` only, but an object may be older than that
/// schema or come from a newer one, and a word that could not be read would break the watch of all objects of its
/// kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Open<T> {
    Known(T),
    Other(String),
}

impl<T> Open<T> {
    /// The word, if this version knows it.
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(word) => Some(word),
            Self::Other(_) => None,
        }
    }
}

impl<T: PartialEq> Open<T> {
    /// Whether it is this word.
    pub fn is(&self, word: &T) -> bool {
        self.known() == Some(word)
    }
}

impl<T> From<T> for Open<T> {
    fn from(word: T) -> Self {
        Self::Known(word)
    }
}

impl<T: Default> Default for Open<T> {
    fn default() -> Self {
        Self::Known(T::default())
    }
}

/// That of the set.
impl<T: JsonSchema> JsonSchema for Open<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
    enum Phase {
        Bound,
    }

    #[test]
    fn keeps_a_word_that_it_does_not_know() {
        for (text, known) in [("Bound", Some(&Phase::Bound)), ("Moved", None)] {
            let word: Open<Phase> = serde_json::from_value(json!(text)).unwrap();
            assert_eq!((word.known(), word.is(&Phase::Bound)), (known, known.is_some()));
            assert_eq!(serde_json::to_value(&word).unwrap(), text);
        }
    }

    #[test]
    fn has_the_schema_of_the_set() {
        assert_eq!(schemars::schema_for!(Open<Phase>), schemars::schema_for!(Phase));
    }
}
