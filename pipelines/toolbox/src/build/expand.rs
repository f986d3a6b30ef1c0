//! Variables in what a Dockerfile names: `$NAME`, `${NAME}`, `${NAME:-word}`, `${NAME:+word}`.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

pub(super) type Variables = BTreeMap<String, String>;

/// Variables within words within variables, at most.
const MAX_DEPTH: usize = 8;

/// Replaces variables by their values, unknown ones by nothing, and takes quotes away. `Err` says what is wrong with the text.
pub(super) fn expand(text: &str, variables: &Variables) -> Result<String, String> {
    expand_within(text, variables, 0)
}

fn expand_within(text: &str, variables: &Variables, depth: usize) -> Result<String, String> {
    if depth > MAX_DEPTH {
        return Err(format!("{text:?} has too many variables within each other"));
    }
    let (mut expanded, mut rest) = (String::new(), text.chars().peekable());
    while let Some(next) = rest.next() {
        match next {
            '"' | '\'' => {}
            '\\' => expanded.extend(rest.next()),
            '$' if rest.next_if_eq(&'{').is_some() => {
                let name = name(&mut rest);
                let inner = inner(&mut rest).ok_or_else(|| format!("{text:?} lacks a closing brace"))?;
                let value = variables.get(&name).map(String::as_str);
                let full = value.filter(|value| !value.is_empty());
                let word = |word: &str| expand_within(word, variables, depth + 1);
                expanded.push_str(&if inner.is_empty() {
                    value.unwrap_or_default().to_owned()
                } else if let Some(default) = inner.strip_prefix(":-") {
                    full.map_or_else(|| word(default), |value| Ok(value.to_owned()))?
                } else if let Some(default) = inner.strip_prefix('-') {
                    value.map_or_else(|| word(default), |value| Ok(value.to_owned()))?
                } else if let Some(instead) = inner.strip_prefix(":+") {
                    full.map_or_else(|| Ok(String::new()), |_| word(instead))?
                } else if let Some(instead) = inner.strip_prefix('+') {
                    value.map_or_else(|| Ok(String::new()), |_| word(instead))?
                } else {
                    return Err(format!("{text:?} uses ${{{name}{inner}}}, which is not supported"));
                });
            }
            '$' => {
                let name = name(&mut rest);
                if name.is_empty() {
                    expanded.push('$');
                }
                expanded.push_str(variables.get(&name).map(String::as_str).unwrap_or_default());
            }
            other => expanded.push(other),
        }
    }
    Ok(expanded)
}

fn name(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut name = String::new();
    while let Some(next) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
        name.push(next);
    }
    name
}

/// Up to the brace that closes the one before, which is taken away.
fn inner(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    let (mut inner, mut open) = (String::new(), 0);
    for next in rest {
        match next {
            '}' if open == 0 => return Some(inner),
            '}' => open -= 1,
            '{' => open += 1,
            _ => {}
        }
        inner.push(next);
    }
    None
}

/// The arguments of an `ARG` instruction: names, and their defaults if they have one.
pub(super) fn arguments(text: &str) -> Vec<(String, Option<String>)> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for next in text.chars() {
        match (next, quote) {
            ('"' | '\'', None) => quote = Some(next),
            (_, Some(open)) if next == open => quote = None,
            (_, None) if next.is_whitespace() => words.push(std::mem::take(&mut word)),
            _ => word.push(next),
        }
    }
    words.push(word);
    let named = words.into_iter().filter(|word| !word.is_empty());
    named
        .map(|word| match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (word, None),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn variables() -> Variables {
        [("A", "alpha"), ("EMPTY", "")].map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    #[rstest]
    #[case::plain("registry.example/app:v1", "registry.example/app:v1")]
    #[case::name("x-$A/y", "x-alpha/y")]
    #[case::braces("${A}b", "alphab")]
    #[case::unknown("a${B}$B", "a")]
    #[case::default("${B:-beta}", "beta")]
    #[case::default_of_empty("${EMPTY:-beta}${EMPTY-gamma}", "beta")]
    #[case::default_with_variable("${B:-${C:-$A}}", "alpha")]
    #[case::no_default_needed("${A:-beta}", "alpha")]
    #[case::instead("${A:+beta}${EMPTY:+gamma}${EMPTY+delta}", "betadelta")]
    #[case::quotes("\"$A\"", "alpha")]
    #[case::escaped(r"\$A", "$A")]
    #[case::dollar("a$", "a$")]
    fn expands(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(expand(text, &variables()), Ok(expected.to_owned()));
    }

    #[rstest]
    #[case::open("${A")]
    #[case::substring("${A:1:2}")]
    #[case::pattern("${A%x}")]
    fn refuses(#[case] text: &str) {
        assert!(expand(text, &variables()).unwrap_err().contains(text.trim_end_matches('}')));
    }

    #[test]
    fn an_instruction_may_have_several_arguments() {
        let expected = [("A", None), ("B", Some("x y")), ("C", Some("")), ("D", Some("=z"))];
        let expected: Vec<_> = expected
            .map(|(name, value): (&str, Option<&str>)| (name.to_owned(), value.map(str::to_owned)))
            .into();
        assert_eq!(arguments("A  B=\"x y\" C= D='=z'"), expected);
    }

    proptest! {
        #[test]
        fn survives_anything(text in ".{0,60}|[${}A:+-]{0,200}") {
            let _ = expand(&text, &variables());
            let _ = arguments(&text);
        }
    }
}
