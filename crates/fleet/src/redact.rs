//! Takes credentials out of text that a person or a log will see.

/// Replaces the userinfo of each URL in `text` (`https://user:secret@host`) by `<TOKEN>`.
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let authority_end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\''))
            .unwrap_or(after.len());
        match after[..authority_end].rfind('@') {
            Some(end_of_userinfo) => {
                out.push_str("<TOKEN>");
                rest = &after[end_of_userinfo..];
            }
            None => rest = after,
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case::password("clone https://u:p@git.example/x failed", "clone https://<TOKEN>@git.example/x failed")]
    #[case::token_only("https://ghp_1@h/x", "https://<TOKEN>@h/x")]
    #[case::at_sign_in_password("https://u:p@ss@h/x", "https://<TOKEN>@h/x")]
    #[case::two("a://x@h b://y@i", "a://<TOKEN>@h b://<TOKEN>@i")]
    #[case::none("https://git.example/x", "https://git.example/x")]
    #[case::at_in_path("https://git.example/x@v1", "https://git.example/x@v1")]
    #[case::mail("mail a@b.example", "mail a@b.example")]
    fn hides_userinfo(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(redact(text), expected);
    }

    proptest! {
        #[test]
        fn never_shows_the_secret(secret in "[A-Z]{12}", host in "[a-z]{3,9}", before in "[ a-z:/@]{0,20}") {
            let text = redact(&format!("{before} https://u:{secret}@{host}/p"));
            prop_assert!(!text.contains(&secret), "{}", text);
        }
    }
}
