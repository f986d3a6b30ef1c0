//! Putting values in the place of `$(…)` (specification of the API, section 4).
//!
//! ```text
//! Replacements   what each reference stands for, by the exact text between the brackets
//! references     which references a text has
//! task, pipeline, workspaces   which fields of the API are looked at
//! ```
//! A pass looks at each place once: what a value brings in is not looked at again. A reference that stands for nothing
//! stays as it is.

pub mod pipeline;
pub mod references;
pub mod task;
pub mod volumes;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use pipelines_engine_api::{Param, ParamValue};

/// What references stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replacements {
    /// By the text between the brackets, as `params.a`.
    strings: HashMap<String, String>,
    /// Without `[*]`, as `params.list`.
    arrays: HashMap<String, Vec<String>>,
    /// Without `[*]`, as `params.object`.
    objects: HashMap<String, BTreeMap<String, String>>,
}

impl Replacements {
    pub fn is_empty(&self) -> bool {
        self.strings.is_empty() && self.arrays.is_empty() && self.objects.is_empty()
    }

    /// `$(key)` is `value`.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.strings.insert(key.into(), value.into());
    }

    /// `$(key)` is `value`, with what its type brings: `key[*]`, `key[0]` and so on of an array, `key[*]` and `key.<name>`
    /// of an object.
    pub fn set_value(&mut self, key: &str, value: &ParamValue) {
        match value {
            ParamValue::String(text) => self.set(key, text.clone()),
            ParamValue::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    self.set(format!("{key}[{index}]"), element.clone());
                }
                self.arrays.insert(key.to_owned(), elements.clone());
            }
            ParamValue::Object(fields) => {
                for (name, field) in fields {
                    self.set(format!("{key}.{name}"), field.clone());
                }
                self.objects.insert(key.to_owned(), fields.clone());
            }
        }
    }

    /// A parameter, in its three spellings: `params.a`, `params['a']`, `params["a"]`. A later value replaces an earlier
    /// one; of two objects the later one's keys are added.
    pub fn set_param(&mut self, name: &str, value: &ParamValue) {
        for key in [format!("params.{name}"), format!("params['{name}']"), format!("params[\"{name}\"]")] {
            let merged = if let (ParamValue::Object(new), Some(old)) = (value, self.objects.get(&key)) {
                let mut fields = old.clone();
                fields.extend(new.clone());
                Cow::Owned(ParamValue::Object(fields))
            } else {
                self.forget(&key);
                Cow::Borrowed(value)
            };
            self.set_value(&key, &merged);
        }
    }

    /// Takes a value of another kind or length away, whose elements would be left over.
    fn forget(&mut self, key: &str) {
        self.strings.remove(key);
        self.objects.remove(key);
        if let Some(elements) = self.arrays.remove(key) {
            for index in 0..elements.len() {
                self.strings.remove(&format!("{key}[{index}]"));
            }
        }
    }

    /// Adds all of `other`, whose values win.
    pub fn extend(&mut self, other: Self) {
        self.strings.extend(other.strings);
        self.arrays.extend(other.arrays);
        self.objects.extend(other.objects);
    }

    /// Whether anything is known about `$(key)`.
    pub fn knows(&self, key: &str) -> bool {
        let whole = key.strip_suffix("[*]").unwrap_or(key);
        self.strings.contains_key(key) || self.arrays.contains_key(whole) || self.objects.contains_key(whole)
    }

    /// `text` with strings put in.
    pub fn string(&self, text: &str) -> String {
        self.replace(text, |value| Cow::Borrowed(value)).into_owned()
    }

    /// As [`Self::string`], with each value as `written` has it.
    pub fn string_with(&self, text: &str, written: impl Fn(&str) -> Cow<'_, str>) -> String {
        self.replace(text, written).into_owned()
    }

    fn replace<'a>(&self, text: &'a str, written: impl Fn(&str) -> Cow<'_, str>) -> Cow<'a, str> {
        if !text.contains("$(") {
            return Cow::Borrowed(text);
        }
        let mut replaced = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("$(") {
            let (before, reference) = rest.split_at(start);
            replaced.push_str(before);
            let value = reference.find(')').and_then(|end| {
                let value = self.strings.get(&reference[2..end])?;
                Some((value, end + 1))
            });
            if let Some((value, end)) = value {
                replaced.push_str(&written(value));
                rest = &reference[end..];
            } else {
                replaced.push_str("$(");
                rest = &reference[2..];
            }
        }
        replaced.push_str(rest);
        Cow::Owned(replaced)
    }

    /// Puts strings into `text`.
    pub fn in_string(&self, text: &mut String) {
        if let Cow::Owned(replaced) = self.replace(text, |value| Cow::Borrowed(value)) {
            *text = replaced;
        }
    }

    pub fn in_option(&self, text: &mut Option<String>) {
        if let Some(text) = text {
            self.in_string(text);
        }
    }

    /// Puts values into a list: an element that is nothing but a reference to an array becomes that array's elements.
    pub fn in_list(&self, list: &mut Vec<String>) {
        if !list.iter().any(|element| element.contains("$(")) {
            return;
        }
        *list = list
            .drain(..)
            .flat_map(|element| match self.array(&element) {
                Some(elements) => elements.clone(),
                None => vec![self.string(&element)],
            })
            .collect();
    }

    /// The array that `text` refers to, if it is nothing but `$(key[*])` or `$(key)`.
    fn array(&self, text: &str) -> Option<&Vec<String>> {
        self.arrays.get(whole_reference(text)?)
    }

    /// Puts values into a parameter's: a string that is nothing but a reference to an array or object becomes that.
    pub fn in_value(&self, value: &mut ParamValue) {
        match value {
            ParamValue::String(text) => {
                let whole = whole_reference(text);
                if let Some(elements) = whole.and_then(|key| self.arrays.get(key)) {
                    *value = ParamValue::Array(elements.clone());
                } else if let Some(fields) = whole.and_then(|key| self.objects.get(key)) {
                    *value = ParamValue::Object(fields.clone());
                } else {
                    self.in_string(text);
                }
            }
            ParamValue::Array(elements) => self.in_list(elements),
            ParamValue::Object(fields) => fields.values_mut().for_each(|field| self.in_string(field)),
        }
    }

    pub fn in_params(&self, params: &mut [Param]) {
        for param in params {
            self.in_value(&mut param.value);
        }
    }

    /// Puts strings into the values of a map.
    pub fn in_map(&self, map: &mut BTreeMap<String, String>) {
        for value in map.values_mut() {
            self.in_string(value);
        }
    }
}

/// The key of `text` if it is exactly one reference, without `[*]`.
fn whole_reference(text: &str) -> Option<&str> {
    let key = text.strip_prefix("$(")?.strip_suffix(')')?;
    if key.contains(['$', '(', ')']) {
        return None;
    }
    Some(key.strip_suffix("[*]").unwrap_or(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn replacements() -> Replacements {
        let mut replacements = Replacements::default();
        replacements.set_param("name", &"world".into());
        replacements.set_param("list", &["a", "b"].into());
        replacements.set_param("again", &"$(params.name)".into());
        replacements.set_param("with.dot", &"dotted".into());
        let fields = [("key".to_owned(), "value".to_owned())].into();
        replacements.set_param("object", &ParamValue::Object(fields));
        replacements
    }

    #[rstest]
    #[case("hello $(params.name)!", "hello world!")]
    #[case("$(params['name'])$(params[\"name\"])", "worldworld")]
    #[case("$(params.unknown) $(params.name", "$(params.unknown) $(params.name")]
    #[case("$(params.again)", "$(params.name)")]
    #[case("$($(params.name))", "$(world)")]
    #[case("$(params.list[1])", "b")]
    #[case("$(params.list[2])", "$(params.list[2])")]
    #[case("$(params.object.key)", "value")]
    #[case("$(params['with.dot'])", "dotted")]
    #[case("$(date)", "$(date)")]
    #[case("né $(params.name) é", "né world é")]
    fn puts_strings_in(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(replacements().string(text), expected);
    }

    #[rstest]
    #[case::star(&["x", "$(params.list[*])", "y"], &["x", "a", "b", "y"])]
    #[case::bare(&["$(params.list)"], &["a", "b"])]
    #[case::not_whole(&["x$(params.list[*])"], &["x$(params.list[*])"])]
    #[case::strings(&["$(params.name)"], &["world"])]
    fn expands_arrays(#[case] list: &[&str], #[case] expected: &[&str]) {
        let mut list: Vec<_> = list.iter().map(|element| (*element).to_owned()).collect();
        replacements().in_list(&mut list);
        assert_eq!(list, expected);
    }

    #[rstest]
    #[case::array("$(params.list[*])".into(), ["a", "b"].into())]
    #[case::object("$(params.object[*])".into(), ParamValue::Object([("key".into(), "value".into())].into()))]
    #[case::element(["$(params.name)", "$(params.list[*])"].into(), ["world", "a", "b"].into())]
    #[case::string("$(params.name)".into(), "world".into())]
    fn changes_the_type_of_a_value(#[case] mut value: ParamValue, #[case] expected: ParamValue) {
        replacements().in_value(&mut value);
        assert_eq!(value, expected);
    }

    #[test]
    fn a_later_value_leaves_nothing_of_an_earlier_one() {
        let mut replacements = replacements();
        replacements.set_param("list", &["c"].into());
        assert_eq!(replacements.string("$(params.list[0]) $(params.list[1])"), "c $(params.list[1])");
        let more = [("other".to_owned(), "x".to_owned())].into();
        replacements.set_param("object", &ParamValue::Object(more));
        assert_eq!(replacements.string("$(params.object.key) $(params.object.other)"), "value x");
    }
}
