//! Values of labels (spec section 3).

use fleet::names::LABEL_VALUE;

/// What a label holds of a text: the end of it, without what a label may not hold. May be empty.
///
/// Where the original makes something valid, this is the same.
pub(super) fn label_value(text: &str) -> String {
    let cleaned = cleaned_as_upstream(text);
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let allowed: String = cleaned.chars().map(|c| if is_allowed(c) { c } else { '_' }).collect();
    let end = allowed.len().saturating_sub(LABEL_VALUE);
    allowed[end..].trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

/// Which alone may leave what no label may hold.
fn cleaned_as_upstream(text: &str) -> String {
    let length = text.chars().count();
    let skipped = if length >= LABEL_VALUE { length - (LABEL_VALUE - 1) } else { 0 };
    let end: String = text.chars().skip(skipped).collect();
    let trimmed = end.trim_matches(|c: char| " -_[]".contains(c));
    trimmed.replace([':', '/'], "-").replace(' ', "_").replace(['[', ']'], "__")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    /// Kubernetes' rule: empty, or at most 63 of `[A-Za-z0-9._-]` with an alphanumeric at both ends.
    fn is_valid(value: &str) -> bool {
        let is_inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let is_edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        value.is_empty()
            || value.len() <= 63
                && value.chars().all(is_inner)
                && is_edge(value.chars().next())
                && is_edge(value.chars().next_back())
    }

    #[rstest]
    #[case::plain("konflux-ci", "konflux-ci")]
    #[case::event("Merge Request", "Merge_Request")]
    #[case::path("group/sub", "group-sub")]
    #[case::reference("refs/heads/main", "refs-heads-main")]
    #[case::generate_name("app-on-push-", "app-on-push")]
    #[case::bot("renovate[bot]", "renovate__bot")]
    #[case::brackets("a[b]c", "a__b__c")]
    #[case::colon("a:b", "a-b")]
    #[case::personal("~jane", "jane")]
    #[case::umlaut("jürgen", "j_rgen")]
    #[case::edges(".a:", "a")]
    #[case::nothing("[]", "")]
    fn cleans(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(label_value(text), expected);
    }

    #[test]
    fn keeps_the_end_of_a_long_text() {
        assert_eq!(label_value(&"a".repeat(62)), "a".repeat(62));
        assert_eq!(label_value(&format!("b{}", "a".repeat(62))), "a".repeat(62), "63 are long already");
        assert_eq!(label_value(&"ab".repeat(100)), "ab".repeat(31));
    }

    proptest! {
        #[test]
        fn is_always_a_label(text in "\\PC{0,100}|[a-z:/ \\[\\]._-]{0,100}") {
            let value = label_value(&text);
            prop_assert!(is_valid(&value), "{value:?}");
            let upstream = cleaned_as_upstream(&text);
            prop_assert!(!is_valid(&upstream) || upstream == value, "{upstream:?} {value:?}");
        }
    }
}
