//! Regular expressions of CEL (RE2's), and the same ones for the database, which has a syntax of its own: there `\b` is a
//! backspace, `\d` knows the digits of all scripts, and much of what we accept fails the query. So nothing of the text is
//! handed on: it is read, and written anew with nothing but groups, characters, sets of them, counts and a few assertions.

use std::fmt::Write as _;

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::{self, Ast, ClassPerl, ClassPerlKind, ClassSetItem, Span, Visitor, visit};
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

/// Largest count of a repetition. The database's limit.
const MAX_COUNT: u32 = 255;

/// Places of the written-out expression times ranges of characters: the database's time to compile grows with both.
const MAX_COST: u64 = 20_000;

/// Memory of one compiled expression here, in bytes.
const MAX_MEMORY: usize = 1 << 20;

#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    /// For the operator `~` of PostgreSQL with collation "C".
    database: String,
}

impl Pattern {
    /// The error says what is wrong with the text.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let text = with_ascii_classes(text)?;
        let expression = regex_syntax::parse(&text).map_err(|error| reason(&error.to_string()))?;
        let mut database = Database::default();
        let places = database.write(&expression)?;
        if places.saturating_mul(database.ranges.saturating_add(1)) > MAX_COST {
            return Err("it is too large: have smaller counts, or simpler sets of characters".to_owned());
        }
        let regex = RegexBuilder::new(&text)
            .size_limit(MAX_MEMORY)
            .build()
            .map_err(|error| reason(&error.to_string()))?;
        Ok(Self { regex, database: database.text })
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    pub(crate) fn database(&self) -> &str {
        &self.database
    }
}

/// The last line of an error: those before repeat the expression.
fn reason(error: &str) -> String {
    let last = error.lines().last().unwrap_or(error);
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// Has `\d`, `\s`, `\w` and `\b` know ASCII only, as RE2 does.
fn with_ascii_classes(text: &str) -> Result<String, String> {
    let expression = ast::parse::Parser::new().parse(text).map_err(|error| reason(&error.to_string()))?;
    let mut found = visit(&expression, Found::default())?;
    found.sort_by_key(|(span, _)| span.start.offset);
    let mut rewritten = String::with_capacity(text.len());
    let mut copied = 0;
    for (span, replacement) in found {
        rewritten.push_str(&text[copied..span.start.offset]);
        rewritten.push_str(replacement);
        copied = span.end.offset;
    }
    rewritten.push_str(&text[copied..]);
    Ok(rewritten)
}

#[derive(Default)]
struct Found(Vec<(Span, &'static str)>);

impl Found {
    fn class(&mut self, class: &ClassPerl) {
        let text = match (&class.kind, class.negated) {
            (ClassPerlKind::Digit, false) => "[0-9]",
            (ClassPerlKind::Digit, true) => "[^0-9]",
            (ClassPerlKind::Space, false) => r"[\t\n\f\r\x20]",
            (ClassPerlKind::Space, true) => r"[^\t\n\f\r\x20]",
            (ClassPerlKind::Word, false) => "[0-9A-Za-z_]",
            (ClassPerlKind::Word, true) => "[^0-9A-Za-z_]",
        };
        self.0.push((class.span, text));
    }
}

impl Visitor for Found {
    type Output = Vec<(Span, &'static str)>;
    type Err = String;

    fn finish(self) -> Result<Self::Output, String> {
        Ok(self.0)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), String> {
        match ast {
            Ast::ClassPerl(class) => self.class(class),
            Ast::Assertion(assertion) => match assertion.kind {
                ast::AssertionKind::WordBoundary => self.0.push((assertion.span, r"(?-u:\b)")),
                ast::AssertionKind::NotWordBoundary => self.0.push((assertion.span, r"(?-u:\B)")),
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), String> {
        if let ClassSetItem::Perl(class) = item {
            self.class(class);
        }
        Ok(())
    }
}

/// An expression of the database, as it is written.
#[derive(Default)]
struct Database {
    text: String,
    ranges: u64,
}

impl Database {
    /// The number is how many places it has with its repetitions written out.
    fn write(&mut self, expression: &Hir) -> Result<u64, String> {
        match expression.kind() {
            HirKind::Empty => {
                self.text.push_str("(?:)");
                Ok(1)
            }
            HirKind::Literal(literal) => {
                let text = std::str::from_utf8(&literal.0).map_err(|_| "it matches parts of characters")?;
                text.chars().try_for_each(|character| self.character(character))?;
                Ok(u64::try_from(text.len()).unwrap_or(u64::MAX))
            }
            HirKind::Class(class) => self.class(class),
            HirKind::Look(look) => self.assertion(*look),
            HirKind::Repetition(repetition) => self.repetition(repetition),
            HirKind::Capture(capture) => self.group(std::slice::from_ref(&*capture.sub), ""),
            HirKind::Concat(parts) => self.group(parts, ""),
            HirKind::Alternation(parts) => self.group(parts, "|"),
        }
    }

    fn group(&mut self, parts: &[Hir], between: &str) -> Result<u64, String> {
        let mut places = 0_u64;
        self.text.push_str("(?:");
        for (position, part) in parts.iter().enumerate() {
            self.text.push_str(if position == 0 { "" } else { between });
            places = places.saturating_add(self.write(part)?);
        }
        self.text.push(')');
        Ok(places)
    }

    fn repetition(&mut self, repetition: &Repetition) -> Result<u64, String> {
        let Repetition { min, max, .. } = *repetition;
        let most = max.unwrap_or(min).max(min);
        if most > MAX_COUNT {
            return Err(format!("it repeats something {most} times, and may do so {MAX_COUNT} times"));
        }
        let places = self.group(std::slice::from_ref(&*repetition.sub), "")?;
        let _ = match (min, max) {
            (0, None) => write!(self.text, "*"),
            (1, None) => write!(self.text, "+"),
            (0, Some(1)) => write!(self.text, "?"),
            (min, None) => write!(self.text, "{{{min},}}"),
            (min, Some(max)) => write!(self.text, "{{{min},{max}}}"),
        };
        Ok(places.saturating_mul(u64::from(most.max(1))))
    }

    fn class(&mut self, class: &Class) -> Result<u64, String> {
        let ranges: Vec<(char, char)> = match class {
            Class::Unicode(class) => class.iter().map(|range| (range.start(), range.end())).collect(),
            Class::Bytes(class) => {
                if !class.is_ascii() {
                    return Err("it matches parts of characters".to_owned());
                }
                class.iter().map(|range| (char::from(range.start()), char::from(range.end()))).collect()
            }
        };
        // No text of the database has a zero in it.
        let ranges: Vec<(char, char)> = ranges
            .into_iter()
            .filter(|(_, end)| *end != '\0')
            .map(|(start, end)| (start.max('\u{1}'), end))
            .collect();
        self.ranges = self.ranges.saturating_add(u64::try_from(ranges.len()).unwrap_or(u64::MAX));
        if ranges.is_empty() {
            // Matches nothing.
            self.text.push_str(r"(?:\Z\U00000001)");
            return Ok(1);
        }
        self.text.push('[');
        for (start, end) in ranges {
            self.character(start)?;
            if start != end {
                self.text.push('-');
                self.character(end)?;
            }
        }
        self.text.push(']');
        Ok(1)
    }

    fn character(&mut self, character: char) -> Result<(), String> {
        if character == '\0' {
            return Err("no text has the character U+0000".to_owned());
        }
        if character.is_ascii_alphanumeric() {
            self.text.push(character);
        } else {
            let _ = write!(self.text, r"\U{:08x}", u32::from(character));
        }
        Ok(())
    }

    fn assertion(&mut self, look: Look) -> Result<u64, String> {
        self.text.push_str(match look {
            Look::Start => r"(?:\A)",
            Look::End => r"(?:\Z)",
            Look::StartLF => r"(?:\A|(?<=\U0000000a))",
            Look::EndLF => r"(?:\Z|(?=\U0000000a))",
            Look::WordAscii => r"(?:\y)",
            Look::WordAsciiNegate => r"(?:\Y)",
            _ => {
                return Err(
                    "it has an assertion that is not supported; there are ^ $ \\A \\z \\b \\B".to_owned()
                );
            }
        });
        Ok(1)
    }
}
