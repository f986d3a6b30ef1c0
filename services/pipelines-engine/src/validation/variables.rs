//! Whether references to variables can stand for something where they are.
//!
//! Each text of a Task or Pipeline is looked at together with what may stand there: a text holds strings only, an element
//! of a list may be one whole array.

use std::collections::{BTreeMap, BTreeSet};

use pipelines_engine_api::{Param, ParamSpec, ParamType, ParamValue};

use super::errors::Errors;
use crate::substitution::references;

/// What may stand in the place of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A string.
    Text,
    /// A string, or all elements of an array instead of the element.
    Element,
    /// A value of any type, if the reference is all there is.
    Value,
}

/// A text that may have references, and where it is.
pub(super) struct Text<'a> {
    pub(super) path: String,
    pub(super) content: &'a str,
    pub(super) place: Place,
}

impl<'a> Text<'a> {
    pub(super) fn new(path: impl Into<String>, content: &'a str, place: Place) -> Self {
        Self { path: path.into(), content, place }
    }
}

/// The parameters that references may name.
#[derive(Clone, Debug, Default)]
pub(super) struct Declared {
    by_name: BTreeMap<String, (ParamType, BTreeSet<String>)>,
    /// More may come from a run: an unknown name is no error.
    pub(super) open: bool,
}

impl Declared {
    pub(super) fn add_specs(&mut self, specs: &[ParamSpec]) {
        for spec in specs {
            let mut keys: BTreeSet<String> = spec.properties.keys().cloned().collect();
            if let Some(ParamValue::Object(fields)) = &spec.default {
                keys.extend(fields.keys().cloned());
            }
            self.by_name.insert(spec.name.clone(), (spec.effective_type(), keys));
        }
    }

    /// What a run gives is known to its inline specifications too.
    pub(super) fn add_given(&mut self, params: &[Param]) {
        for param in params {
            let keys = match &param.value {
                ParamValue::Object(fields) => fields.keys().cloned().collect(),
                _ => BTreeSet::new(),
            };
            let known =
                self.by_name.entry(param.name.clone()).or_insert((param.value.type_(), BTreeSet::new()));
            known.1.extend(keys);
        }
    }
}

/// Which part of a parameter a reference means.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    All,
    Element,
    Key(String),
}

/// A reference to a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
enum OfParam {
    Named {
        name: String,
        part: Part,
    },
    /// With more dots than anything has.
    TooDeep,
}

impl OfParam {
    /// Reads the text between the brackets; `None` if it is about something else.
    fn parse(reference: &str) -> Option<Self> {
        let reference = reference.strip_prefix("inputs.").unwrap_or(reference);
        let rest = reference.strip_prefix("params")?;
        let (name, rest) = if let Some(dotted) = rest.strip_prefix('.') {
            let end = dotted.find(['.', '[']).unwrap_or(dotted.len());
            dotted.split_at(end)
        } else {
            let quote = rest.strip_prefix('[')?.chars().next().filter(|quote| ['\'', '"'].contains(quote))?;
            let (name, rest) = rest[2..].split_once(quote)?;
            (name, rest.strip_prefix(']')?)
        };
        let part = match rest {
            "" => Part::Whole,
            "[*]" => Part::All,
            _ => match rest.strip_prefix('.') {
                Some(key) if key.contains('.') => return Some(Self::TooDeep),
                Some(key) => Part::Key(key.split('[').next().unwrap_or_default().to_owned()),
                None => Part::Element,
            },
        };
        Some(Self::Named { name: name.to_owned(), part })
    }
}

/// Looks at all references to parameters in `texts`.
pub(super) fn params(texts: &[Text<'_>], declared: &Declared) -> Errors {
    let mut errors = Errors::none();
    for text in texts {
        for reference in references::in_text(text.content) {
            errors.add(param(text, reference, declared));
        }
    }
    errors
}

fn param(text: &Text<'_>, reference: &str, declared: &Declared) -> Errors {
    let value = text.content;
    let error = |message: String| Errors::message(message, &[&text.path]);
    let unknown = || error(format!("non-existent variable in {value:?}"));
    let (name, part) = match OfParam::parse(reference) {
        None => return Errors::none(),
        Some(OfParam::TooDeep) => {
            return error(format!(
                "Invalid referencing of parameters in {value:?}! Only two dot-separated components after the prefix \
                 \"params\" are allowed."
            ));
        }
        Some(OfParam::Named { name, part }) => (name, part),
    };
    let Some((type_, keys)) = declared.by_name.get(&name) else {
        return if declared.open { Errors::none() } else { unknown() };
    };
    let is_alone = value.trim() == format!("$({reference})");
    match (type_, &part) {
        (ParamType::Object, Part::Key(key)) if !keys.contains(key) && !declared.open => unknown(),
        (ParamType::Object, Part::Whole | Part::All) if text.place == Place::Text || !is_alone => {
            error(format!("variable type invalid in {value:?}"))
        }
        (ParamType::Array, Part::Whole | Part::All) => match text.place {
            Place::Text => error(format!("variable type invalid in {value:?}")),
            Place::Element | Place::Value if !is_alone => {
                error(format!("variable is not properly isolated in {value:?}"))
            }
            Place::Element | Place::Value => Errors::none(),
        },
        (ParamType::String | ParamType::Array, Part::Key(_)) if !declared.open => unknown(),
        _ => Errors::none(),
    }
}

/// Looks at all references that begin with `prefix`, of which only `allowed` exist.
pub(super) fn context(texts: &[Text<'_>], prefix: &str, allowed: &[&str]) -> Errors {
    let mut errors = Errors::none();
    for text in texts {
        let names = references::in_text(text.content).filter_map(|reference| reference.strip_prefix(prefix));
        for name in names {
            errors.add_if(!allowed.contains(&name), || {
                Errors::message(format!("non-existent variable in {:?}", text.content), &[&text.path])
            });
        }
    }
    errors
}

/// Texts of a value that is given to a parameter.
pub(super) fn of_value<'a>(path: &str, value: &'a ParamValue) -> Vec<Text<'a>> {
    match value {
        ParamValue::String(text) => vec![Text::new(path, text, Place::Value)],
        ParamValue::Array(elements) => elements
            .iter()
            .enumerate()
            .map(|(index, element)| Text::new(format!("{path}.value[{index}]"), element, Place::Element))
            .collect(),
        ParamValue::Object(fields) => fields
            .iter()
            .map(|(key, field)| Text::new(format!("{path}.properties[{key}]"), field, Place::Text))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn declared() -> Declared {
        let specs: Vec<ParamSpec> = serde_json::from_value(json!([
            {"name": "s"}, {"name": "a", "type": "array"}, {"name": "d.t"},
            {"name": "o", "properties": {"k": {}}},
        ]))
        .unwrap();
        let mut declared = Declared::default();
        declared.add_specs(&specs);
        declared
    }

    #[rstest]
    #[case::string("x $(params.s) $(params['s']) $(inputs.params.s)", Place::Text, "")]
    #[case::dotted("$(params['d.t'])", Place::Text, "")]
    #[case::element_of_array("$(params.a[0])", Place::Text, "")]
    #[case::key("$(params.o.k)", Place::Text, "")]
    #[case::array_alone("$(params.a[*])", Place::Element, "")]
    #[case::array_without_star("$(params.a)", Place::Element, "")]
    #[case::object_alone("$(params.o[*])", Place::Value, "")]
    #[case::shell("$(date) $(ls params.x)", Place::Text, "")]
    #[case::other("$(tasks.x.results.y)", Place::Text, "")]
    #[case::unknown("$(params.x)", Place::Text, "non-existent variable in \"$(params.x)\": at")]
    #[case::unknown_key("$(params.o.x)", Place::Text, "non-existent variable in \"$(params.o.x)\": at")]
    #[case::dotted_without_brackets(
        "$(params.d.t)",
        Place::Text,
        "non-existent variable in \"$(params.d.t)\": at"
    )]
    #[case::array_in_text("$(params.a[*])", Place::Text, "variable type invalid in \"$(params.a[*])\": at")]
    #[case::object_in_text("$(params.o)", Place::Text, "variable type invalid in \"$(params.o)\": at")]
    #[case::array_with_more(
        "x $(params.a[*])",
        Place::Element,
        "variable is not properly isolated in \"x $(params.a[*])\": at"
    )]
    #[case::too_deep(
        "$(params.o.k.x)",
        Place::Text,
        "Invalid referencing of parameters in \"$(params.o.k.x)\"! Only two dot-separated components after the prefix \"params\" are allowed.: at"
    )]
    fn params_stand_where_they_can(#[case] text: &str, #[case] place: Place, #[case] expected: &str) {
        assert_eq!(params(&[Text::new("at", text, place)], &declared()).to_string(), expected);
    }

    #[test]
    fn a_run_may_give_more() {
        let open = Declared { open: true, ..declared() };
        let texts = [Text::new("at", "$(params.x) $(params.o.x)", Place::Text)];
        assert!(params(&texts, &open).is_empty());
    }

    #[test]
    fn what_a_run_gives_is_known() {
        let mut known = declared();
        known.add_given(&[Param::new("list", ["x"])]);
        let text = |text| params(&[Text::new("at", text, Place::Text)], &known).to_string();
        assert_eq!(text("$(params.list[0])"), "");
        assert_eq!(text("$(params.list[*])"), "variable type invalid in \"$(params.list[*])\": at");
    }

    #[rstest]
    #[case("$(context.taskRun.name)", "")]
    #[case("$(context.taskRun.nam)", "non-existent variable in \"$(context.taskRun.nam)\": at")]
    #[case("$(context.task.name)", "")]
    fn contexts(#[case] text: &str, #[case] expected: &str) {
        let texts = [Text::new("at", text, Place::Text)];
        assert_eq!(context(&texts, "context.taskRun.", &["name", "uid"]).to_string(), expected);
    }
}
