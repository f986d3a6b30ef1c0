//! Takes credentials out of text that a person or a log will see.

const MASK: &str = "<TOKEN>";

/// How tokens of forges and of OAuth begin, and JSON Web Tokens (`{"` in base64).
const PREFIXES: &[&str] =
    &["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-", "glcbt-", "eyJ"];

/// A word that begins like a token is one from this many further characters on.
const SHORTEST_TOKEN: usize = 10;

/// Words in the names of query parameters that carry secrets, as in signed addresses of object stores.
const SECRET_NAMES: &[&str] = &["token", "secret", "passw", "signature", "credential", "apikey", "api_key"];

/// Names that are too short to be looked for inside others.
const SECRET_NAMES_ALONE: &[&str] = &["sig", "code", "key", "auth", "jwt"];

/// Replaces by `<TOKEN>` what looks like a credential in `text`: the userinfo of URLs (`https://user:secret@host`),
/// query parameters with telling names (`?access_token=secret`), what follows `Bearer`, and words that begin as tokens
/// of known forges do.
pub fn redact(text: &str) -> String {
    hide_tokens(&hide_parameters(&hide_userinfo(text)))
}

fn hide_userinfo(text: &str) -> String {
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
                out.push_str(MASK);
                rest = &after[end_of_userinfo..];
            }
            None => rest = after,
        }
    }
    out.push_str(rest);
    out
}

fn hide_parameters(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['?', '&']) {
        let (before, after) = rest.split_at(at + 1);
        out.push_str(before);
        rest = after;
        let name_end = after.find(|c: char| !is_name(c)).unwrap_or(after.len());
        let (name, value) = after.split_at(name_end);
        if let Some(value) = value.strip_prefix('=').filter(|_| is_secret(name)) {
            let end = value
                .find(|c: char| c.is_whitespace() || matches!(c, '&' | '#' | '"' | '\'' | '<' | '>' | ')'))
                .unwrap_or(value.len());
            out.extend([name, "=", if end == 0 { "" } else { MASK }]);
            rest = &value[end..];
        }
    }
    out.push_str(rest);
    out
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|word| name.contains(word)) || SECRET_NAMES_ALONE.contains(&name.as_str())
}

fn hide_tokens(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut follows_bearer = false;
    while let Some(begin) = rest.find(is_name) {
        let (gap, after) = rest.split_at(begin);
        out.push_str(gap);
        follows_bearer &= !gap.is_empty() && gap.chars().all(char::is_whitespace);
        let end = if follows_bearer {
            after
                .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';'))
                .unwrap_or(after.len())
        } else {
            after.find(|c: char| !is_name(c)).unwrap_or(after.len())
        };
        let (word, left) = after.split_at(end);
        let is_token = (follows_bearer && word.len() >= SHORTEST_TOKEN)
            || PREFIXES
                .iter()
                .any(|prefix| word.strip_prefix(prefix).is_some_and(|tail| tail.len() >= SHORTEST_TOKEN));
        out.push_str(if is_token { MASK } else { word });
        follows_bearer = word.eq_ignore_ascii_case("bearer");
        rest = left;
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

    #[rstest]
    #[case::token("GET https://h/x?access_token=abc&page=2", "GET https://h/x?access_token=<TOKEN>&page=2")]
    #[case::signed("(https://s3/b?X-Amz-Signature=ab%2Fc)", "(https://s3/b?X-Amz-Signature=<TOKEN>)")]
    #[case::oauth("/callback?state=1&code=xyz#top", "/callback?state=1&code=<TOKEN>#top")]
    #[case::harmless("https://h/x?page=2&status_code=404", "https://h/x?page=2&status_code=404")]
    #[case::question("really? token=abc", "really? token=abc")]
    fn hides_query_parameters(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(redact(text), expected);
    }

    #[rstest]
    #[case::header("Authorization: Bearer abc/def+0123==, next", "Authorization: <BEARER>, next")]
    #[case::github("remote: ghp_0123456789abcdef is revoked", "remote: <TOKEN> is revoked")]
    #[case::gitlab("'glpat-0123456789abc'", "'<TOKEN>'")]
    #[case::jwt("token eyJhbGciOi.eyJzdWIi.c2ln", "token <TOKEN>")]
    #[case::prose("a bearer token is needed", "a bearer token is needed")]
    #[case::prefix_alone("names begin with ghp_", "names begin with ghp_")]
    fn hides_tokens(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(redact(text), expected.replace("<BEARER>", "Bearer <TOKEN>"));
    }

    proptest! {
        #[test]
        fn never_shows_the_secret(secret in "[A-Z]{12}", host in "[a-z]{3,9}", before in "[ a-z:/@]{0,20}") {
            let text = redact(&format!("{before} https://u:{secret}@{host}/p?token={secret} Bearer {secret} ghs_{secret}"));
            prop_assert!(!text.contains(&secret), "{}", text);
        }

        /// Redacted text is often redacted again on its way out.
        #[test]
        fn is_stable(text in "[ -~]{0,60}") {
            let once = redact(&text);
            prop_assert_eq!(redact(&once), once);
        }
    }
}
