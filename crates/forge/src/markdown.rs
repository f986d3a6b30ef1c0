//! Text of others within Markdown of ours: it stays text.

/// As running text, in one line: nothing in it is markup, a mention or a reference.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            // A character without width keeps forges from telling somebody, or linking to an issue.
            '@' | '#' => escaped.extend([c, '\u{200b}']),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '!' => escaped.extend(['\\', c]),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// A word in fixed width.
pub fn code(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control() && *c != '`').collect();
    format!("`{text}`")
}

/// A link of ours. `url` has no blanks, and no brackets that could end it.
pub fn link(text: &str, url: &str) -> String {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !"<>()[]|`\"".contains(c);
    if url.chars().all(is_plain) { format!("[{}]({url})", escape(text)) } else { escape(text) }
}

/// Lines as they are. The fence is longer than any within.
pub fn block(text: &str) -> String {
    let text = text.trim_end();
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}text\n{text}\n{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("Run unit tests", "Run unit tests")]
    #[case::markup("**a** [b](c)", r"\*\*a\*\* \[b\](c)")]
    #[case::html("<img src=x>", "&lt;img src=x&gt;")]
    #[case::table("a | b\nc", r"a \| b c")]
    #[case::mention("@all #1", "@\u{200b}all #\u{200b}1")]
    fn text_is_no_markup(#[case] text: &str, #[case] escaped: &str) {
        assert_eq!(escape(text), escaped);
    }

    #[test]
    fn a_block_ends_where_we_end_it() {
        assert_eq!(block("a\n```\n# b"), "````text\na\n```\n# b\n````");
        assert_eq!(block("plain\n"), "```text\nplain\n```");
    }

    #[test]
    fn a_link_leads_nowhere_else() {
        assert_eq!(link("a", "https://c/x?y=z"), "[a](https://c/x?y=z)");
        assert_eq!(link("a", "https://c/x) [evil](https://d"), "a");
    }
}
