//! String literals in the text of an expression.

/// A string literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Literal<'a> {
    /// With its quotes.
    pub text: &'a str,
    /// It knows no escapes: `r'…'`. The letters are before the text.
    pub is_raw: bool,
}

/// How many dots an expression has outside of strings.
pub(crate) fn dots(text: &str) -> usize {
    let mut count = 0;
    let mut rest = text;
    let of = |part: &str| part.bytes().filter(|byte| *byte == b'.').count();
    while let Some((before, _, after)) = next_literal(rest) {
        count += of(before);
        rest = after;
    }
    count + of(rest)
}

/// The first string literal, what is before it, and what follows. `None` if there is none, or one without an end.
pub fn next_literal(text: &str) -> Option<(&str, Literal<'_>, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => at += text[at..].find('\n')?,
            quote @ (b'\'' | b'"') => {
                let is_raw = has_raw_prefix(&bytes[..at]);
                let end = at + literal_end(&bytes[at..], quote, is_raw)?;
                return Some((&text[..at], Literal { text: &text[at..end], is_raw }, &text[end..]));
            }
            _ => at += 1,
        }
    }
    None
}

/// Whether the letters right before a quote make it a raw string: `r'`, `br'`.
fn has_raw_prefix(before: &[u8]) -> bool {
    let is_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let start = before.iter().rposition(|byte| !is_of_word(byte)).map_or(0, |at| at + 1);
    matches!(before[start..].to_ascii_lowercase().as_slice(), b"r" | b"br" | b"rb")
}

/// Length of the literal that `bytes` begin with, with both its quotes.
fn literal_end(bytes: &[u8], quote: u8, is_raw: bool) -> Option<usize> {
    let width = if bytes.starts_with(&[quote; 3]) { 3 } else { 1 };
    let mut at = width;
    while at < bytes.len() {
        if bytes[at] == b'\\' && !is_raw {
            at += 2;
        } else if bytes[at..].starts_with(&[quote; 3][..width]) {
            return Some(at + width);
        } else {
            at += 1;
        }
    }
    None
}
