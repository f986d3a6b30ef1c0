//! Lists in annotations (spec section 3): a word, or several in brackets, `[main, release-*]`.

/// A value that is no list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no list: expected one word without blanks and brackets, or [one, another]")]
pub struct Invalid(String);

/// The words of a list: at least one.
pub fn parse(value: &str) -> Result<Vec<String>, Invalid> {
    let invalid = || Invalid(value.chars().take(200).collect());
    let value = value.trim();
    if let Some(inner) = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let words: Vec<String> =
            split(inner).map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect();
        return if words.is_empty() { Err(invalid()) } else { Ok(words) };
    }
    let is_word = !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || "[]".contains(c));
    if is_word { Ok(vec![value.to_owned()]) } else { Err(invalid()) }
}

/// At commas, but for those within the brackets and braces of a glob: `release-{1,2}` is one word.
fn split(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    list.split(move |c: char| {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::word("main", &["main"])]
    #[case::word_with_commas("a,b", &["a,b"])]
    #[case::list("[push, pull_request]", &["push", "pull_request"])]
    #[case::one("[push]", &["push"])]
    #[case::without_blanks("[a,b]", &["a", "b"])]
    #[case::blanks_around("  [ a , b ]\n", &["a", "b"])]
    #[case::brackets_within("[release-[0-9], main]", &["release-[0-9]", "main"])]
    #[case::choice("[release-{1,2}, main]", &["release-{1,2}", "main"])]
    #[case::comma_in_a_class("[[!a,b]*, main]", &["[!a,b]*", "main"])]
    #[case::open_brace("[a{, b]", &["a{, b"])]
    #[case::lines("[\n a,\n b\n]", &["a", "b"])]
    #[case::comma_at_the_end("[a,]", &["a"])]
    fn reads(#[case] value: &str, #[case] expected: &[&str]) {
        assert_eq!(parse(value).unwrap(), expected);
    }

    #[rstest]
    #[case::nothing("")]
    #[case::blank(" ")]
    #[case::empty_list("[]")]
    #[case::list_of_nothing("[ , ]")]
    #[case::two_words("a b")]
    #[case::open("[a")]
    #[case::closed("a]")]
    #[case::bracket_within("a[0]")]
    fn refuses(#[case] value: &str) {
        assert_eq!(parse(value), Err(Invalid(value.to_owned())));
    }
}
