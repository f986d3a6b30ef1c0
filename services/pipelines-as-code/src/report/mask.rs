//! Takes the values of Secrets out of what a log says (spec section 4.11).

/// What stands where a value was.
const MASK: &str = "*****";

/// Lines of a value that are shorter could be a part of anything: only the value as a whole is looked for then.
const SHORTEST_LINE: usize = 8;

/// Values that nobody may read. Their memory is zeroed when they go.
#[derive(Debug, Default)]
pub struct Values(Vec<fleet::Secret<String>>);

impl Values {
    /// The values of Secrets, as bytes: those that are no text cannot stand in a log as they are.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut found: Vec<&str> = Vec::new();
        for value in values.into_iter().filter_map(|value| std::str::from_utf8(value).ok()) {
            // Logs show a value without the line break that it ends in, and a key line by line.
            found.push(value.trim());
            found.extend(value.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE));
        }
        found.retain(|value| !value.is_empty());
        // The longest first: a value may be a part of another one.
        found.sort_by_key(|value| (std::cmp::Reverse(value.len()), *value));
        found.dedup();
        Self(found.into_iter().map(|value| fleet::Secret::new(value.to_owned())).collect())
    }

    /// `text` without the values, and without what looks like a token of a known kind.
    pub fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in &self.0 {
            if text.contains(value.expose().as_str()) {
                text = text.replace(value.expose().as_str(), MASK);
            }
        }
        fleet::redact(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain(&["hunter2"], "login hunter2 ok", "login ***** ok")]
    #[case::longest_first(&["abc", "abcdef"], "abcdef abc", "***** *****")]
    #[case::line_break(&["token\n"], "it is token.", "it is *****.")]
    #[case::key_by_lines(&["-----BEGIN KEY-----\nMIIEvQIBADAN\nBgkq\n-----END KEY-----\n"], "MIIEvQIBADAN\nBgkq", "*****\nBgkq")]
    #[case::empty(&["", "\n"], "nothing", "nothing")]
    #[case::token(&[], "https://me:pass@host/", "https://<TOKEN>@host/")]
    fn hides(#[case] values: &[&str], #[case] text: &str, #[case] hidden: &str) {
        assert_eq!(Values::new(values.iter().map(|value| value.as_bytes())).hide(text), hidden);
    }

    #[test]
    fn bytes_that_are_no_text_do_not_matter() {
        assert_eq!(Values::new([&[0xff, 0xfe][..], b"secret"]).hide("a secret"), "a *****");
    }
}
