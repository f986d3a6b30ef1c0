//! Which references a text has.

use pipelines_engine_api::{Param, ParamValue};

/// The texts between the brackets of all `$(…)` that look like references.
pub fn in_text(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let start = rest.find("$(")?;
            rest = &rest[start + 2..];
            let end = rest.find(')')?;
            let inner = &rest[..end];
            if is_reference(inner) {
                rest = &rest[end + 1..];
                return Some(inner);
            }
        }
    })
}

/// As [`in_text`], of every string in a value.
pub fn in_value(value: &ParamValue) -> Vec<&str> {
    match value {
        ParamValue::String(text) => in_text(text).collect(),
        ParamValue::Array(elements) => elements.iter().flat_map(|element| in_text(element)).collect(),
        ParamValue::Object(fields) => fields.values().flat_map(|field| in_text(field)).collect(),
    }
}

/// As [`in_value`], of all params.
pub fn in_params(params: &[Param]) -> impl Iterator<Item = &str> {
    params.iter().flat_map(|param| in_value(&param.value))
}

fn is_reference(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-[]*'\"".contains(&byte))
}

/// The section of a Pipeline that a reference points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    Tasks,
    Finally,
}

/// How much of a result is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// `$(tasks.t.results.r)`
    Whole,
    /// `$(tasks.t.results.r[*])`
    All,
    /// `$(tasks.t.results.r[2])`
    Element(usize),
    /// `$(tasks.t.results.r.key)`
    Key(String),
}

/// A reference to a result of a task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResultRef {
    pub section: Section,
    pub task: String,
    pub result: String,
    pub part: Part,
}

impl ResultRef {
    /// Reads the text between the brackets: `tasks|finally.<task>.results.<result>[.<key>]`, the result also as
    /// `['…']`, with `[*]` or `[<index>]` behind. `None` for every other reference.
    pub fn parse(reference: &str) -> Option<Self> {
        let (section, rest) = reference.split_once('.')?;
        let section = match section {
            "tasks" => Section::Tasks,
            "finally" => Section::Finally,
            _ => return None,
        };
        let (task, rest) = rest.split_once('.')?;
        let rest = rest.strip_prefix("results")?;
        let (result, rest) = if let Some(quoted) = rest.strip_prefix("['") {
            quoted.split_once("']")?
        } else if let Some(quoted) = rest.strip_prefix("[\"") {
            quoted.split_once("\"]")?
        } else {
            let name = rest.strip_prefix('.')?;
            let end = name.find(['.', '[']).unwrap_or(name.len());
            name.split_at(end)
        };
        let part = match rest {
            "" => Part::Whole,
            "[*]" => Part::All,
            _ => match rest.strip_prefix('.') {
                Some(key) if !key.is_empty() && !key.contains(['.', '[']) => Part::Key(key.to_owned()),
                Some(_) => return None,
                None => Part::Element(rest.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?),
            },
        };
        let names_both = !task.is_empty() && !result.is_empty();
        names_both.then(|| Self { section, task: task.to_owned(), result: result.to_owned(), part })
    }
}

/// The results that a text refers to.
pub fn results_in_text(text: &str) -> impl Iterator<Item = ResultRef> {
    in_text(text).filter_map(ResultRef::parse)
}

/// The results that a value refers to.
pub fn results_in_value(value: &ParamValue) -> impl Iterator<Item = ResultRef> {
    in_value(value).into_iter().filter_map(ResultRef::parse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("a $(params.b) $(tasks.c.results.d[*])", &["params.b", "tasks.c.results.d[*]"])]
    #[case("$(date +%s) $(params['x'])", &["params['x']"])]
    #[case("$$(params.x)", &["params.x"])]
    #[case("$(x", &[])]
    #[case("$()", &[])]
    fn finds(#[case] text: &str, #[case] expected: &[&str]) {
        assert_eq!(in_text(text).collect::<Vec<_>>(), expected);
    }

    #[rstest]
    #[case("tasks.t.results.r", Part::Whole)]
    #[case("tasks.t.results.r[*]", Part::All)]
    #[case("tasks.t.results.r[12]", Part::Element(12))]
    #[case("tasks.t.results.r.key", Part::Key("key".into()))]
    #[case("tasks.t.results['r']", Part::Whole)]
    #[case("tasks.t.results[\"r\"][*]", Part::All)]
    fn reads_a_result(#[case] text: &str, #[case] part: Part) {
        let expected = ResultRef { section: Section::Tasks, task: "t".into(), result: "r".into(), part };
        assert_eq!(ResultRef::parse(text), Some(expected));
    }

    #[rstest]
    #[case("params.a")]
    #[case("tasks.t.status")]
    #[case("tasks.t.results")]
    #[case("tasks.t.results.a.b.c")]
    #[case("tasks..results.a")]
    #[case("tasks.t.results.a[x]")]
    fn reads_nothing_else(#[case] text: &str) {
        assert_eq!(ResultRef::parse(text), None);
    }
}
