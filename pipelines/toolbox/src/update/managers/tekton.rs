//! References in Tekton's YAML: bundles, and images of steps.
//!
//! Read line by line, so that what is found has a place in the text, and files with several documents, templates and comments
//! are no trouble.

use std::ops::Range;

use super::{Dependency, Manager, reference};

/// Which files are Tekton's, where the settings do not say.
pub(super) const FILES: [&str; 1] = [r"(^|/)\.tekton/.*\.ya?ml$"];

pub(super) fn find(path: &str, text: &str, found: &mut Vec<Dependency>) {
    // A parameter `bundle` has its value in the line before or after its name.
    let mut previous: Option<Field<'_>> = None;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let field = Field::read(line, start);
        start += line.len();
        let Some(field) = field else { continue };
        let place = match (&previous, field.key) {
            (_, "bundle" | "image") => Some(field.value.clone()),
            (Some(name), "value") if name.is_bundle(text) => Some(field.value.clone()),
            (Some(value), "name") if value.key == "value" && field.is_bundle(text) && !field.begins_item => {
                Some(value.value.clone())
            }
            _ => None,
        };
        let dependency = place.and_then(|place| {
            let written = text.get(place.clone())?;
            // A name alone is rather a word than an image.
            written.contains(['/', ':']).then(|| reference(Manager::Tekton, path, place.start, written))?
        });
        found.extend(dependency);
        previous = Some(field);
    }
}

/// A line `key: value` of YAML, maybe the first of an item.
struct Field<'a> {
    key: &'a str,
    /// Without quotes.
    value: Range<usize>,
    begins_item: bool,
}

impl<'a> Field<'a> {
    /// `line` begins at byte `start` of the file.
    fn read(line: &'a str, start: usize) -> Option<Self> {
        let content = line.trim_end();
        let indented = content.trim_start();
        let mut bare = indented;
        while let Some(rest) = bare.strip_prefix("- ") {
            bare = rest.trim_start();
        }
        let (key, rest) = bare.split_once(':')?;
        if !rest.starts_with([' ', '\t']) {
            return None;
        }
        let value = rest.trim_start();
        let mut from = start + content.len() - value.len();
        let value = match value.chars().next()? {
            quote @ ('"' | '\'') => {
                from += 1;
                value[1..].split(quote).next()?
            }
            '#' => return None,
            _ => value.split(" #").next()?.trim_end(),
        };
        Some(Self { key, value: from..from + value.len(), begins_item: bare.len() < indented.len() })
    }

    fn is_bundle(&self, text: &str) -> bool {
        self.key == "name" && text.get(self.value.clone()) == Some("bundle")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn found(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        find(".tekton/a.yaml", text, &mut found);
        let shown = |one: Dependency| {
            let digest = one.places.digest.map(|place| &text[place]).unwrap_or_default();
            let tag = one.places.tag.map(|place| &text[place]).unwrap_or_default();
            format!("{} {tag} {digest}", one.name)
        };
        found.into_iter().map(shown).collect()
    }

    #[test]
    fn finds_bundles_of_resolvers() {
        let text = format!(
            "tasks:\n- name: init\n  taskRef:\n    resolver: bundles\n    params:\n    - name: name\n      value: init\n\
             \x20   - name: bundle\n      value: reg.example/task-init:0.2@{DIGEST}\n    - name: kind\n      value: task\n"
        );
        assert_eq!(found(&text), [format!("reg.example/task-init 0.2 {DIGEST}")]);
    }

    #[rstest]
    #[case::value_first("- value: reg.example/t:1\n  name: bundle\n", &["reg.example/t 1 "])]
    #[case::old_form("taskRef:\n  name: init\n  bundle: reg.example/t:1 # x\n", &["reg.example/t 1 "])]
    #[case::step("steps:\n- image: \"reg.example/s:1\"\n", &["reg.example/s 1 "])]
    #[case::other_parameters("- name: name\n  value: reg.example/t:1\n", &[])]
    #[case::value_of_the_one_before("- value: reg.example/t:1\n- name: bundle\n  value: reg.example/u:2\n", &["reg.example/u 2 "])]
    #[case::variable("- image: $(params.image)\n- image: {{ image }}\n", &[])]
    #[case::a_word("- image: busybox\n", &[])]
    #[case::comment("# image: reg.example/s:1\n- image: # reg.example/s:1\n", &[])]
    #[case::windows("image: reg.example/s:1\r\n", &["reg.example/s 1 "])]
    fn finds_images(#[case] text: &str, #[case] expected: &[&str]) {
        assert_eq!(found(text), expected);
    }
}
