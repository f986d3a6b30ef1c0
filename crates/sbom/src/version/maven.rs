//! Maven's versions, by the "Version Order Specification" of its POM reference.

use std::cmp::Ordering;

use super::debian::numbers;

/// Tokens without those at the end, and before a hyphen, that say nothing.
#[derive(Clone, Debug)]
pub(super) struct Version(Vec<Token>);

#[derive(Clone, Debug)]
struct Token {
    separator: Separator,
    value: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Separator {
    /// Also what is between a digit and a letter.
    Hyphen,
    Dot,
}

#[derive(Clone, Debug)]
enum Value {
    /// Digits.
    Number(String),
    /// In lowercase, its short forms written out.
    Word(String),
}

/// Words in order; the empty one stands for a release. Others come after all of these, by the alphabet.
const WORDS: [&str; 7] = ["alpha", "beta", "milestone", "rc", "snapshot", "", "sp"];

impl Version {
    pub(super) fn parse(text: &str) -> Self {
        let mut tokens = Vec::new();
        let mut separator = Separator::Hyphen;
        let mut rest = text;
        loop {
            let is_number = rest.starts_with(|c: char| c.is_ascii_digit());
            let ends = |c: char| c.is_ascii_digit() != is_number || matches!(c, '.' | '-' | '_');
            let (token, behind) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
            let touches_a_number = behind.starts_with(|c: char| c.is_ascii_digit());
            tokens.push(Token { separator, value: Value::new(token, touches_a_number) });
            (separator, rest) = match behind.chars().next() {
                None => break,
                Some('.') => (Separator::Dot, &behind[1..]),
                Some('-' | '_') => (Separator::Hyphen, &behind[1..]),
                Some(_) => (Separator::Hyphen, behind),
            };
        }
        Self(trimmed(tokens))
    }
}

/// From the end to the start, what says nothing goes at the end and before each hyphen.
fn trimmed(mut tokens: Vec<Token>) -> Vec<Token> {
    let mut at = tokens.len();
    while at > 0 {
        let start = tokens[..at].iter().rposition(|token| !token.value.is_null()).map_or(0, |last| last + 1);
        tokens.drain(start..at);
        at = tokens[..start].iter().rposition(|token| token.separator == Separator::Hyphen).unwrap_or(0);
    }
    tokens
}

impl Value {
    fn new(token: &str, touches_a_number: bool) -> Self {
        // Nothing between two separators is a zero.
        if token.is_empty() || token.starts_with(|c: char| c.is_ascii_digit()) {
            return Self::Number(token.to_owned());
        }
        let word = token.to_lowercase();
        let whole = match (&*word, touches_a_number) {
            ("a", true) => "alpha",
            ("b", true) => "beta",
            ("m", true) => "milestone",
            ("cr", _) => "rc",
            ("ga" | "final" | "release", _) => "",
            _ => return Self::Word(word),
        };
        Self::Word(whole.to_owned())
    }

    fn is_null(&self) -> bool {
        match self {
            Self::Number(number) => number.bytes().all(|c| c == b'0'),
            Self::Word(word) => word.is_empty(),
        }
    }
}

/// Place among [`WORDS`], or behind them.
fn rank(word: &str) -> usize {
    WORDS.iter().position(|known| *known == word).unwrap_or(WORDS.len())
}

fn words(one: &str, other: &str) -> Ordering {
    rank(one).cmp(&rank(other)).then_with(|| one.cmp(other))
}

impl Token {
    /// Words before numbers, those behind a hyphen before those behind a dot.
    fn compare(&self, other: &Self) -> Ordering {
        match (&self.value, &other.value) {
            (Value::Word(one), Value::Word(other)) => words(one, other),
            (Value::Word(_), Value::Number(_)) => Ordering::Less,
            (Value::Number(_), Value::Word(_)) => Ordering::Greater,
            (Value::Number(one), Value::Number(number)) => {
                self.separator.cmp(&other.separator).then_with(|| numbers(one, number))
            }
        }
    }

    /// With what a shorter version is filled up with.
    fn compare_to_nothing(&self) -> Ordering {
        match &self.value {
            Value::Word(word) => words(word, ""),
            Value::Number(number) => numbers(number, ""),
        }
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let end = self.0.len().max(other.0.len());
        let order = |at: usize| match (self.0.get(at), other.0.get(at)) {
            (Some(one), Some(other)) => one.compare(other),
            (Some(one), None) => one.compare_to_nothing(),
            (None, Some(other)) => other.compare_to_nothing().reverse(),
            (None, None) => Ordering::Equal,
        };
        (0..end).map(order).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}
