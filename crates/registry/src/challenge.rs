//! `WWW-Authenticate`: how a registry wants to be shown who asks (RFC 9110, section 11.6.1; distribution token
//! specification).

/// What a registry wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    /// A token of the service at `realm`.
    Bearer {
        realm: String,
        service: Option<String>,
    },
}

impl Challenge {
    /// The first of the challenges in a header that we can answer.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let mut rest = header;
        loop {
            rest = rest.trim_start_matches([' ', ',']);
            let (scheme, after) = rest.split_once(' ').unwrap_or((rest, ""));
            if scheme.is_empty() {
                return None;
            }
            let (params, after) = parameters(after);
            let value =
                |name: &str| params.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
            if scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = value("realm")
            {
                return Some(Self::Bearer { realm, service: value("service") });
            }
            if scheme.eq_ignore_ascii_case("basic") {
                return Some(Self::Basic);
            }
            if after.len() >= rest.len() {
                return None;
            }
            rest = after;
        }
    }
}

/// `a="b", c=d` up to what is none, and what follows.
fn parameters(mut text: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    loop {
        let at = text.trim_start_matches([' ', ',']);
        let Some((name, after)) = at.split_once('=') else { return (found, at) };
        if name.is_empty() || name.contains([' ', ',', '"']) {
            return (found, at);
        }
        let (value, after) = after.strip_prefix('"').map_or_else(|| unquoted_word(after), until_quote);
        found.push((name.to_ascii_lowercase(), value));
        text = after;
    }
}

fn unquoted_word(text: &str) -> (String, &str) {
    let end = text.find([',', ' ']).unwrap_or(text.len());
    (text[..end].to_owned(), &text[end..])
}

/// Up to the closing quote.
fn until_quote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) }
    }

    #[rstest]
    #[case::basic(r#"Basic realm="x""#, Some(Challenge::Basic))]
    #[case::bare_basic("Basic", Some(Challenge::Basic))]
    #[case::bearer(
        r#"Bearer realm="https://a/token",service="s",scope="repository:a:pull,push""#,
        Some(bearer("https://a/token", Some("s")))
    )]
    #[case::spaces(r#"bearer  realm = "x", realm="https://a/t" , service=s"#, None)]
    #[case::no_quotes("Bearer realm=https://a/t,service=s", Some(bearer("https://a/t", Some("s"))))]
    #[case::escaped(r#"Bearer realm="https://a/\"t",x=y"#, Some(bearer("https://a/\"t", None)))]
    #[case::second(r#"Negotiate, Bearer realm="https://a/t""#, Some(bearer("https://a/t", None)))]
    #[case::no_realm("Bearer service=s", None)]
    #[case::open_quote(r#"Bearer realm="https://a/t"#, Some(bearer("https://a/t", None)))]
    #[case::nothing("", None)]
    #[case::rubbish("=,=\"", None)]
    fn parses(#[case] header: &str, #[case] expected: Option<Challenge>) {
        assert_eq!(Challenge::parse(header), expected);
    }
}
