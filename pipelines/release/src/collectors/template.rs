//! Addresses with words of a release in them: `https://tracker.example/changes/{{ snapshot }}?by={{ author }}`.

use anyhow::{Context as _, bail, ensure};
use fleet::outbound::Url;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a word may have without changing what the rest of an address means.
const HARMLESS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

/// Puts words into the path and query of an address. None becomes more than a part of either: `/`, `?`, `.` and the like are encoded.
pub(super) fn fill(template: &str, words: &[(&str, &str)]) -> anyhow::Result<Url> {
    let (scheme, rest) = template.split_once("://").context("an address begins with https://")?;
    let host = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    ensure!(
        !scheme.contains('{') && !host.contains('{'),
        "{{{{ }}}} stands in the host: it can in path and query alone"
    );
    let mut filled = String::with_capacity(template.len());
    let mut left = template;
    while let Some((before, after)) = left.split_once("{{") {
        let (word, after) = after.split_once("}}").context("a {{ has no }} after it")?;
        let word = word.trim();
        let Some((_, value)) = words.iter().find(|(name, _)| *name == word) else {
            let known = words.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            bail!("there is no {{{{ {word} }}}}: expected one of {known}")
        };
        filled.push_str(before);
        filled.extend(utf8_percent_encode(value, HARMLESS));
        left = after;
    }
    filled.push_str(left);
    ensure!(!has_dots(&filled), "{filled:?}: a part of its path is `.` or `..`, which leads elsewhere");
    filled.parse().with_context(|| format!("{filled:?} is no address"))
}

/// Whether a part of the path is nothing but dots: a parser of addresses leaves it out, encoded or not, and the one before `..` too.
fn has_dots(address: &str) -> bool {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    path.split(['/', '\\'])
        .any(|part| matches!(part.to_ascii_uppercase().replace("%2E", ".").as_str(), "." | ".."))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("https://a.example/x", Some("https://a.example/x"))]
    #[case::path("https://a.example/x/{{ name }}", Some("https://a.example/x/b"))]
    #[case::query(
        "https://a.example/x?n={{name}}&h={{ hostile }}",
        Some("https://a.example/x?n=b&h=%2E%2E%2F%3F%40%23%26")
    )]
    #[case::hostile_path(
        "https://a.example/x/{{ hostile }}/y",
        Some("https://a.example/x/%2E%2E%2F%3F%40%23%26/y")
    )]
    #[case::dots_in_the_path("https://a.example/x/{{ dots }}/y", None)]
    #[case::half_of_the_dots_in_the_path("https://a.example/x/.{{ dot }}/y", None)]
    #[case::dots_in_the_query("https://a.example/x?q={{ dots }}", Some("https://a.example/x?q=%2E%2E"))]
    #[case::empty("https://a.example/{{ empty }}", Some("https://a.example/"))]
    #[case::unknown("https://a.example/{{ other }}", None)]
    #[case::endless("https://a.example/{{ name", None)]
    #[case::host("https://{{ name }}/", None)]
    #[case::part_of_a_host("https://a.{{ name }}.example/", None)]
    #[case::scheme("{{ name }}://a.example/", None)]
    #[case::no_address("a.example/x", None)]
    #[case::host_by_backslash("https://a.example\\@{{ name }}/", None)]
    fn fills(#[case] template: &str, #[case] expected: Option<&str>) {
        let words = [("name", "b"), ("hostile", "../?@#&"), ("empty", ""), ("dots", ".."), ("dot", ".")];
        let filled = fill(template, &words).ok().map(|url| url.to_string());
        // A parser of addresses takes a backslash for a slash: what is after it is no host.
        let filled = filled.filter(|url| !template.contains('\\') || !url.starts_with("https://a.example/"));
        assert_eq!(filled.as_deref(), expected);
    }

    #[test]
    fn never_panics_and_the_server_and_the_rest_stay() {
        let strategy = (".*", "[a-z/?={} ]{0,20}");
        testkit::fuzz(file!(), &strategy, |(word, path)| {
            let template = format!("https://a.example/x/{{{{ w }}}}/y?q={{{{ w }}}}&{path}");
            let Ok(url) = fill(&template, &[("w", &word)]) else { return Ok(()) };
            prop_assert_eq!(url.host_str(), Some("a.example"));
            prop_assert_eq!(url.path_segments().unwrap().count(), 3, "{}", url);
            prop_assert!(url.fragment().is_none());
            Ok(())
        });
    }
}
