//! How large a variable is, place by place: what a loop over it takes is known before it begins.

use std::collections::BTreeMap;

use serde_json::Value;

/// Most values of one variable, those within others too. Each takes some hundred bytes while an expression is evaluated.
const MAX_VALUES: usize = 200_000;

/// Bytes of a text that are looked at in a step.
const BYTES: usize = 8;

/// More values than an expression is given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} has more than {MAX_VALUES} values, too many for an expression")]
pub(crate) struct TooLarge(String);

/// Upper bounds of a value, and of what is in it. The elements of a list have one in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape<'v> {
    /// Elements of a list, entries of a map: the rounds of a loop over it.
    pub(crate) count: u64,
    /// Steps of looking at all of it.
    pub(crate) size: u64,
    longest_key: u64,
    fields: BTreeMap<&'v str, Shape<'v>>,
    item: Option<Box<Shape<'v>>>,
}

impl<'v> Shape<'v> {
    /// Of the variable `name`.
    pub(crate) fn of(name: &str, value: &'v Value) -> Result<Self, TooLarge> {
        let mut left = MAX_VALUES;
        Self::within(value, &mut left).ok_or_else(|| TooLarge(name.to_owned()))
    }

    pub(crate) fn of_text(text: &str) -> Self {
        Self { size: looked_at(text), ..Self::default() }
    }

    fn within(value: &'v Value, left: &mut usize) -> Option<Self> {
        *left = left.checked_sub(1)?;
        let mut shape = Self { size: 1, ..Self::default() };
        match value {
            Value::String(text) => shape = Self::of_text(text),
            Value::Array(items) => {
                shape.count = number(items.len());
                for item in items {
                    let item = Self::within(item, left)?;
                    shape.size = shape.size.saturating_add(item.size);
                    match &mut shape.item {
                        Some(known) => known.join(item),
                        None => shape.item = Some(Box::new(item)),
                    }
                }
            }
            Value::Object(fields) => {
                shape.count = number(fields.len());
                for (name, value) in fields {
                    let field = Self::within(value, left)?;
                    shape.longest_key = shape.longest_key.max(looked_at(name));
                    shape.size = shape.size.saturating_add(field.size).saturating_add(looked_at(name));
                    shape.fields.insert(name, field);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        Some(shape)
    }

    /// Bounds of either.
    fn join(&mut self, other: Self) {
        self.count = self.count.max(other.count);
        self.size = self.size.max(other.size);
        self.longest_key = self.longest_key.max(other.longest_key);
        for (name, field) in other.fields {
            match self.fields.get_mut(name) {
                Some(known) => known.join(field),
                None => {
                    self.fields.insert(name, field);
                }
            }
        }
        match (&mut self.item, other.item) {
            (Some(known), Some(item)) => known.join(*item),
            (none @ None, item) => *none = item,
            (Some(_), None) => {}
        }
    }

    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        self.fields.get(name)
    }

    /// What a loop over it looks at: the elements of a list, the keys of a map.
    pub(crate) fn item(&self) -> Option<&Self> {
        self.item.as_deref().filter(|_| self.fields.is_empty())
    }

    /// Size of what a loop over it looks at, one at a time.
    pub(crate) fn item_size(&self) -> u64 {
        self.item.as_ref().map_or(0, |item| item.size).max(self.longest_key).max(1)
    }
}

fn looked_at(text: &str) -> u64 {
    number(text.len() / BYTES).saturating_add(1)
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
