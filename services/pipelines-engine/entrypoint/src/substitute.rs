//! `$(steps.<step>.results.<result>…)` in a step's command, arguments and environment. Only the pod knows the values: they
//! are made by the steps before.
//!
//! | written | becomes |
//! |---|---|
//! | `$(steps.s.results.r)`, `$(steps.s.results['r'])` | the text |
//! | `$(steps.s.results.r[1])` | an element of an array |
//! | `$(steps.s.results.r.key)`, `$(steps.s.results.r['key'])` | a field of an object |
//! | `$(steps.s.results.r[*])`, as an argument of its own | an argument for each element |

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::json;

/// The text of a result: by the name of the step and of the result.
pub(crate) type Results<'a> = &'a dyn Fn(&str, &str) -> Option<String>;

const OPEN: &[u8] = b"$(steps.";

/// Puts results into arguments.
pub(crate) fn arguments(words: Vec<Vec<u8>>, results: Results<'_>) -> Result<Vec<Vec<u8>>, String> {
    let mut done = Vec::with_capacity(words.len());
    for word in words {
        match whole(&word).and_then(Reference::parse).filter(|reference| reference.part == Part::All) {
            Some(reference) => done.extend(reference.elements(results)?.into_iter().map(String::into_bytes)),
            None => done.push(text(word, results)?),
        }
    }
    Ok(done)
}

/// Puts results into a text.
pub(crate) fn text(text: Vec<u8>, results: Results<'_>) -> Result<Vec<u8>, String> {
    let mut rest = text.as_slice();
    let mut done = Vec::new();
    while let Some(begin) = find(rest, OPEN) {
        let Some(length) = find(&rest[begin..], b")") else { break };
        let end = begin + length + 1;
        done.extend_from_slice(&rest[..begin]);
        match whole(&rest[begin..end]).and_then(Reference::parse) {
            Some(reference) => done.extend(reference.value(results)?.into_bytes()),
            // Something that a shell or a program understands.
            None => done.extend_from_slice(&rest[begin..end]),
        }
        rest = &rest[end..];
    }
    if done.is_empty() {
        return Ok(text);
    }
    done.extend_from_slice(rest);
    Ok(done)
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// What is between the brackets of a word that is one reference.
fn whole(word: &[u8]) -> Option<&str> {
    let inner = word.strip_prefix(b"$(")?.strip_suffix(b")")?;
    core::str::from_utf8(inner).ok().filter(|inner| !inner.contains(')'))
}

#[derive(Debug, PartialEq, Eq)]
struct Reference<'a> {
    /// As it is written, for messages.
    written: &'a str,
    step: &'a str,
    result: &'a str,
    part: Part<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part<'a> {
    Whole,
    All,
    Element(usize),
    Field(&'a str),
}

impl<'a> Reference<'a> {
    /// `steps.<step>.results…`; `None` if it is something else.
    fn parse(written: &'a str) -> Option<Self> {
        let (step, rest) = written.strip_prefix("steps.")?.split_once('.')?;
        let rest = rest.strip_prefix("results")?;
        let (result, rest) = if let Some(quoted) = quoted(rest) {
            quoted
        } else {
            let rest = rest.strip_prefix('.')?;
            rest.split_at(rest.find('[').unwrap_or(rest.len()))
        };
        let part = match (rest, quoted(rest)) {
            ("", _) => Part::Whole,
            ("[*]", _) => Part::All,
            (_, Some((key, ""))) => Part::Field(key),
            _ => match rest.strip_prefix('.') {
                Some(key) => Part::Field(key),
                None => Part::Element(rest.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?),
            },
        };
        (!step.is_empty() && !result.is_empty()).then_some(Self { written, step, result, part })
    }

    /// The text of the result, and which part of it is meant. A dot may belong to the result's name or lie before a key:
    /// what is there decides.
    fn look_up(&self, results: Results<'_>) -> Result<(String, Part<'a>), String> {
        if let Some(text) = results(self.step, self.result) {
            return Ok((text, self.part));
        }
        if self.part == Part::Whole {
            for (at, _) in self.result.rmatch_indices('.') {
                if let Some(text) = results(self.step, &self.result[..at]) {
                    return Ok((text, Part::Field(&self.result[at + 1..])));
                }
            }
        }
        Err(format!("$({}): step {} has left no result {}", self.written, self.step, self.result))
    }

    fn value(&self, results: Results<'_>) -> Result<String, String> {
        let (text, part) = self.look_up(results)?;
        let found = match part {
            // A JSON string is its text; anything else is text already.
            Part::Whole => return Ok(json::string(&text).unwrap_or(text)),
            Part::All => {
                return Err(format!("$({}): a list can only be an argument of its own", self.written));
            }
            Part::Element(index) => json::array(&text).and_then(|elements| elements.get(index).copied()),
            Part::Field(key) => json::object(&text)
                .and_then(|fields| fields.into_iter().find(|(name, _)| name == key))
                .map(|(_, value)| value),
        };
        found
            .map(|value| json::string(value).unwrap_or_else(|| value.to_owned()))
            .ok_or_else(|| format!("$({}): the result has no such part: {text}", self.written))
    }

    fn elements(&self, results: Results<'_>) -> Result<Vec<String>, String> {
        let (text, _) = self.look_up(results)?;
        let elements = json::array(&text)
            .ok_or_else(|| format!("$({}): the result is no array: {text}", self.written))?;
        let mut all = vec![];
        for element in elements {
            all.push(json::string(element).unwrap_or_else(|| element.to_owned()));
        }
        Ok(all)
    }
}

/// The text in `['…']` or `["…"]`, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix('[')?;
    let quote = rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let (inner, rest) = rest[1..].split_once(quote)?;
    Some((inner, rest.strip_prefix(']')?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn results(step: &str, result: &str) -> Option<String> {
        let text = match (step, result) {
            ("a", "r") => "text\n",
            ("a", "dotted.name") => "dotted",
            ("a", "quoted") => r#""in \"quotes\"""#,
            ("a", "list") => r#"["x", "y z", 3]"#,
            ("a", "map") => r#"{"k": "v", "d.k": "w"}"#,
            ("a", "refers") => "$(steps.a.results.r)",
            _ => return None,
        };
        Some(text.to_owned())
    }

    #[rstest]
    #[case::none("a $(params.x) $(steps.a.exitCode.path) $x", "a $(params.x) $(steps.a.exitCode.path) $x")]
    #[case::plain("<$(steps.a.results.r)>", "<text\n>")]
    #[case::twice("$(steps.a.results.r)$(steps.a.results.r)", "text\ntext\n")]
    #[case::quoted_name("$(steps.a.results['r'])", "text\n")]
    #[case::dot_in_name("$(steps.a.results.dotted.name)", "dotted")]
    #[case::dot_in_quoted_name("$(steps.a.results[\"dotted.name\"])", "dotted")]
    #[case::json_string("$(steps.a.results.quoted)", "in \"quotes\"")]
    #[case::array_text("$(steps.a.results.list)", r#"["x", "y z", 3]"#)]
    #[case::element("$(steps.a.results.list[1])", "y z")]
    #[case::number("$(steps.a.results.list[2])", "3")]
    #[case::key("$(steps.a.results.map.k)", "v")]
    #[case::dot_in_key("$(steps.a.results.map.d.k)", "w")]
    #[case::quoted_key("$(steps.a.results.map['k'])", "v")]
    #[case::not_again("$(steps.a.results.refers)", "$(steps.a.results.r)")]
    #[case::open("$(steps.a.results.r", "$(steps.a.results.r")]
    fn puts_in(#[case] written: &str, #[case] expected: &str) {
        assert_eq!(text(written.into(), &results).unwrap(), expected.as_bytes());
    }

    #[rstest]
    #[case::missing("$(steps.b.results.r)", "step b has left no result r")]
    #[case::index("$(steps.a.results.list[3])", "no such part")]
    #[case::key("$(steps.a.results.map.none)", "no such part")]
    #[case::no_array("$(steps.a.results.r[0])", "no such part")]
    #[case::list_in_text("x$(steps.a.results.list[*])", "argument of its own")]
    fn says_what_is_missing(#[case] written: &str, #[case] why: &str) {
        let fault = text(written.into(), &results).unwrap_err();
        assert!(fault.contains(why) && fault.starts_with("$(steps."), "{fault}");
    }

    #[test]
    fn a_list_is_as_many_arguments() {
        let words = ["sh", "$(steps.a.results.list[*])", "$(steps.a.results.r)"].map(Into::into).to_vec();
        let expected = ["sh", "x", "y z", "3", "text\n"].map(|word| word.as_bytes().to_vec());
        assert_eq!(arguments(words, &results).unwrap(), expected);
        assert!(
            arguments(vec![b"$(steps.a.results.r[*])".to_vec()], &results).unwrap_err().contains("no array")
        );
    }
}
