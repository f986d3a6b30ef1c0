//! Putting values into the text of an expression.

use std::borrow::Cow;

use expression::next_literal;

use crate::substitution::Replacements;

/// Puts strings into an expression. What a reference between quotes stands for is put in as that text, whatever quotes or
/// backslashes it has: no value can end the string that it is in, and go on as code. Only a raw string (`r'…'`) takes
/// values as they are, for it knows no escapes.
pub fn in_text(text: &mut String, with: &Replacements) {
    if !text.contains("$(") {
        return;
    }
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, literal, after)) = next_literal(rest) {
        replaced.push_str(&with.string(before));
        if literal.is_raw {
            replaced.push_str(&with.string(literal.text));
        } else {
            replaced.push_str(&with.string_with(literal.text, escaped));
        }
        rest = after;
    }
    replaced.push_str(&with.string(rest));
    *text = replaced;
}

/// A value as it is written between quotes of either kind.
fn escaped(value: &str) -> Cow<'_, str> {
    if !value.contains(['\\', '\'', '"', '\n', '\r']) {
        return Cow::Borrowed(value);
    }
    let mut escaped = String::with_capacity(value.len() + 8);
    for character in value.chars() {
        match character {
            '\\' | '\'' | '"' => escaped.extend(['\\', character]),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}
