//! As much of JSON (RFC 8259) as a step needs: writing strings, and taking texts apart into parts that stay text.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

/// How deep values may lie in each other: deeper is nothing that anybody wrote by hand.
const DEPTH: usize = 64;

/// Adds a string in quotes.
pub(crate) fn write_string(into: &mut String, text: &str) {
    into.push('"');
    for character in text.chars() {
        match character {
            '"' => into.push_str("\\\""),
            '\\' => into.push_str("\\\\"),
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            '\t' => into.push_str("\\t"),
            '\0'..='\x1f' => {
                let _ = write!(into, "\\u{:04x}", u32::from(character));
            }
            other => into.push(other),
        }
    }
    into.push('"');
}

/// The text of a JSON string; `None` if the text is anything else.
pub(crate) fn string(text: &str) -> Option<String> {
    let mut reader = Reader::new(text);
    let string = reader.string()?;
    reader.end()?;
    Some(string)
}

/// Keys and values of a JSON object, the values as they are written; `None` if the text is anything else.
pub(crate) fn object(text: &str) -> Option<Vec<(String, &str)>> {
    let mut reader = Reader::new(text);
    let mut fields = Vec::new();
    reader.members(b'{', b'}', |reader| {
        let key = reader.string()?;
        reader.space();
        reader.take(b':')?;
        fields.push((key, reader.value(DEPTH)?));
        Some(())
    })?;
    reader.end()?;
    Some(fields)
}

/// Elements of a JSON array, as they are written; `None` if the text is anything else.
pub(crate) fn array(text: &str) -> Option<Vec<&str>> {
    let mut reader = Reader::new(text);
    let mut elements = Vec::new();
    reader.members(b'[', b']', |reader| {
        elements.push(reader.value(DEPTH)?);
        Some(())
    })?;
    reader.end()?;
    Some(elements)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        let mut reader = Self { text, at: 0 };
        reader.space();
        reader
    }

    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then(|| self.at += 1)
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.next() {
            self.at += 1;
        }
    }

    fn end(&mut self) -> Option<()> {
        self.space();
        self.next().is_none().then_some(())
    }

    /// What is between two brackets, with commas between.
    fn members(
        &mut self,
        open: u8,
        close: u8,
        mut member: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.take(open)?;
        self.space();
        if self.take(close).is_some() {
            return Some(());
        }
        loop {
            self.space();
            member(self)?;
            self.space();
            if self.take(close).is_some() {
                return Some(());
            }
            self.take(b',')?;
        }
    }

    /// Any value, as it is written.
    fn value(&mut self, depth: usize) -> Option<&'a str> {
        let depth = depth.checked_sub(1)?;
        self.space();
        let start = self.at;
        match self.next()? {
            b'"' => drop(self.string()?),
            b'[' => self.members(b'[', b']', |reader| reader.value(depth).map(drop))?,
            b'{' => self.members(b'{', b'}', |reader| {
                reader.string()?;
                reader.space();
                reader.take(b':')?;
                reader.value(depth).map(drop)
            })?,
            _ => {
                let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
                while self.next().is_some_and(is_word) {
                    self.at += 1;
                }
                let word = &self.text[start..self.at];
                if !is_number(word) && !["true", "false", "null"].contains(&word) {
                    return None;
                }
            }
        }
        Some(&self.text[start..self.at])
    }

    fn string(&mut self) -> Option<String> {
        self.take(b'"')?;
        let mut string = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(['"', '\\']).filter(|end| !rest[..*end].contains(|c: char| c < ' '))?;
            string.push_str(&rest[..plain]);
            self.at += plain + 1;
            if rest.as_bytes()[plain] == b'"' {
                return Some(string);
            }
            string.push(self.escape()?);
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Option<char> {
        let letter = self.next()?;
        self.at += 1;
        Some(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\x08',
            b'f' => '\x0c',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.unit()?;
                // A character beyond U+FFFF is two units. One of them alone is none.
                let second = if (0xd800..0xdc00).contains(&first) {
                    self.take(b'\\')?;
                    self.take(b'u')?;
                    Some(self.unit()?)
                } else {
                    None
                };
                char::decode_utf16([first].into_iter().chain(second)).next()?.ok()?
            }
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<u16> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
    }
}

/// Whether a word is a number; the parser of the library brings tables as large as the rest of this program.
fn is_number(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (word, exponent) = word.split_once(['e', 'E']).unwrap_or((word, "0"));
    let (whole, fraction) = word.split_once('.').unwrap_or((word, "0"));
    let whole = whole.strip_prefix('-').unwrap_or(whole);
    digits(whole) && digits(fraction) && digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("plain")]
    #[case("a\"b\\c\nd\te\r\u{1}\u{1f}/ä€😀")]
    #[case("")]
    fn strings_there_and_back(#[case] text: &str) {
        let mut written = String::new();
        write_string(&mut written, text);
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        assert_eq!(string(&written).unwrap(), text);
        assert_eq!(string(&serde_json::to_string(text).unwrap()).unwrap(), text);
    }

    #[test]
    fn all_escapes_are_read() {
        assert_eq!(string(r#" "\b\f\/\u00e4\ud83d\ude00" "#).unwrap(), "\u{8}\u{c}/ä😀");
    }

    #[rstest]
    #[case::objects(r#" {"a" : {"b": [1, "}"]}, "c":null} "#, &[("a", r#"{"b": [1, "}"]}"#), ("c", "null")])]
    #[case::empty("{ }", &[])]
    fn objects_are_taken_apart(#[case] text: &str, #[case] expected: &[(&str, &str)]) {
        let fields = object(text).unwrap();
        let fields: Vec<_> = fields.iter().map(|(key, value)| (&**key, *value)).collect();
        assert_eq!(fields, expected);
    }

    #[test]
    fn arrays_are_taken_apart() {
        assert_eq!(array(r#"["a", -1.5e3 ,[true],{}]"#).unwrap(), ["\"a\"", "-1.5e3", "[true]", "{}"]);
        assert_eq!(array("[]").unwrap(), [""; 0]);
    }

    #[rstest]
    #[case("")]
    #[case("{")]
    #[case("{}x")]
    #[case("[1,]")]
    #[case("[nul]")]
    #[case("[inf]")]
    #[case("[NaN]")]
    #[case("[1.]")]
    #[case("{a:1}")]
    #[case(r#"{"a"}"#)]
    #[case(r#"{"a":}"#)]
    #[case(r#"["\x"]"#)]
    #[case(r#"["\ud83d"]"#)]
    #[case(r#"["\u+0e4"]"#)]
    #[case("[\"a\nb\"]")]
    fn faults_are_seen(#[case] text: &str) {
        assert_eq!((object(text), array(text), string(text)), (None, None, None));
    }

    #[test]
    fn depth_is_limited() {
        assert_eq!(array(&"[".repeat(100_000)), None);
    }
}
