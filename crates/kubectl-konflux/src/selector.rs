//! Label selectors, as kubectl takes them.
//!
//! An expression over the archive cannot say that a label is absent: a path that leads nowhere makes its comparison
//! neither true nor false. What holds for runs without the label (`!=`, `notin`, `!key`) is therefore left out of
//! [`Selector::conditions`] and found by [`Selector::matches`] alone.

use std::str::FromStr;

use crate::filter::{label, quote};

/// All of its requirements have to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    /// Has the label, with one of these values.
    In(Vec<String>),
    /// Has it not, or with none of these values.
    NotIn(Vec<String>),
    Exists,
    Absent,
}

impl Selector {
    /// What of it the archive can be asked: one expression for each requirement.
    pub(crate) fn conditions(&self) -> Vec<String> {
        let condition = |requirement: &Requirement| {
            let path = label(&requirement.key);
            match &requirement.test {
                Test::In(values) => {
                    let one = |value: &String| format!("{path} == {}", quote(value));
                    let any: Vec<String> = values.iter().map(one).collect();
                    Some(if any.len() == 1 { any.concat() } else { format!("({})", any.join(" || ")) })
                }
                // Every text begins so; no label is no text.
                Test::Exists => Some(format!("{path}.startsWith(\"\")")),
                Test::NotIn(_) | Test::Absent => None,
            }
        };
        self.0.iter().filter_map(condition).collect()
    }

    /// Whether a run with these labels is meant. `value` gives that of a key.
    pub(crate) fn matches<'a>(&self, value: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|requirement| {
            let found = value(&requirement.key);
            let is_one_of =
                |values: &[String]| found.is_some_and(|found| values.iter().any(|value| value == found));
            match &requirement.test {
                Test::In(values) => is_one_of(values),
                Test::NotIn(values) => !is_one_of(values),
                Test::Exists => found.is_some(),
                Test::Absent => found.is_none(),
            }
        })
    }
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let requirements: Result<Vec<_>, _> = split(text).into_iter().map(requirement).collect();
        match requirements {
            Ok(requirements) if requirements.is_empty() => {
                Err("the selector is empty: give one as app=web".to_owned())
            }
            other => other.map(Self),
        }
    }
}

/// At the commas that are in no parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let parts = text.split(|character| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn requirement(written: &str) -> Result<Requirement, String> {
    let (key, test) = if let Some(key) = written.strip_prefix('!') {
        (key, Test::Absent)
    } else if let Some((key, value)) = written.split_once("!=") {
        (key, Test::NotIn(vec![word(value)?]))
    } else if let Some((key, value)) = written.split_once("==").or_else(|| written.split_once('=')) {
        (key, Test::In(vec![word(value)?]))
    } else if let Some((key, rest)) = written.split_once(char::is_whitespace) {
        let rest = rest.trim();
        if let Some(values) = rest.strip_prefix("notin") {
            (key, Test::NotIn(set(values)?))
        } else if let Some(values) = rest.strip_prefix("in") {
            (key, Test::In(set(values)?))
        } else {
            return Err(format!("{written:?}: in, notin, =, != or nothing has to follow the key"));
        }
    } else {
        (written, Test::Exists)
    };
    let key = word(key)?;
    if key.is_empty() { Err(format!("{written:?} has no key")) } else { Ok(Requirement { key, test }) }
}

/// `(a, b)`.
fn set(text: &str) -> Result<Vec<String>, String> {
    let inner = text.trim().strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    inner
        .ok_or_else(|| format!("{text:?}: the values have to be in parentheses, as (a,b)"))?
        .split(',')
        .map(word)
        .collect()
}

/// A key or a value, without the space around it.
fn word(text: &str) -> Result<String, String> {
    let text = text.trim();
    match text.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.' | '/')) {
        Some(c) => Err(format!("{text:?}: {c:?} can be in no label")),
        None => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn labels<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<&'a str> {
        move |key| pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    #[rstest]
    #[case::equal("a=b", &["data.metadata.labels[\"a\"] == \"b\""])]
    #[case::equal_twice("x/y == z", &["data.metadata.labels[\"x/y\"] == \"z\""])]
    #[case::set("a in (b, c)", &["(data.metadata.labels[\"a\"] == \"b\" || data.metadata.labels[\"a\"] == \"c\")"])]
    #[case::present("a", &["data.metadata.labels[\"a\"].startsWith(\"\")"])]
    #[case::not_expressible("a!=b,!c,d notin (e)", &[])]
    #[case::several("a=b,c!=d,e", &["data.metadata.labels[\"a\"] == \"b\"", "data.metadata.labels[\"e\"].startsWith(\"\")"])]
    fn asks(#[case] text: &str, #[case] expected: &[&str]) {
        assert_eq!(text.parse::<Selector>().unwrap().conditions(), expected);
    }

    #[rstest]
    #[case("a=b", true)]
    #[case("a=c", false)]
    #[case("a!=b", false)]
    #[case::absent_is_different("z!=b", true)]
    #[case("z notin (b,c)", true)]
    #[case("a notin (b,c)", false)]
    #[case("a in (b,c)", true)]
    #[case("a", true)]
    #[case("!a", false)]
    #[case("!z", true)]
    #[case("z", false)]
    #[case("a=b,x=", true)]
    fn judges(#[case] text: &str, #[case] expected: bool) {
        let selector: Selector = text.parse().unwrap();
        assert_eq!(selector.matches(labels(&[("a", "b"), ("x", "")])), expected);
    }

    #[rstest]
    #[case("", "empty")]
    #[case("=b", "no key")]
    #[case("a in b", "parentheses")]
    #[case("a like b", "has to follow the key")]
    #[case("a=\"b\"", "can be in no label")]
    fn refuses(#[case] text: &str, #[case] expected: &str) {
        let error = text.parse::<Selector>().unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,60}") {
            let _ = text.parse::<Selector>();
        }
    }
}
