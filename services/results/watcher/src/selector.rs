//! Label selectors as `kubectl -l` takes them.

use kube::core::{Expression, Selector};

/// `a=b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a`, `!a`; joined by commas, all of which have to match.
pub(crate) fn parse(text: &str) -> Result<Selector, String> {
    split(text)?.into_iter().filter(|part| !part.is_empty()).map(expression).collect()
}

/// At commas that stand in no list.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_u32);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1).ok_or_else(|| format!("`)` without `(` in {text:?}"))?,
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    if depth > 0 {
        return Err(format!("`(` without `)` in {text:?}"));
    }
    parts.push(text[start..].trim());
    Ok(parts)
}

fn expression(part: &str) -> Result<Expression, String> {
    for (word, make) in [
        (" notin ", Expression::NotIn as fn(String, std::collections::BTreeSet<String>) -> Expression),
        (" in ", Expression::In),
    ] {
        if let Some((key, list)) = part.split_once(word) {
            let list = list.trim().strip_prefix('(').and_then(|list| list.strip_suffix(')'));
            let list = list.ok_or_else(|| format!("expected a list in parentheses in {part:?}"))?;
            return Ok(make(named(key)?, list.split(',').map(|value| value.trim().to_owned()).collect()));
        }
    }
    if let Some((key, value)) = part.split_once("!=") {
        return Ok(Expression::NotEqual(named(key)?, value.trim().to_owned()));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok(Expression::Equal(named(key)?, value.trim().to_owned()));
    }
    match part.strip_prefix('!') {
        Some(key) => Ok(Expression::DoesNotExist(named(key)?)),
        None => Ok(Expression::Exists(named(part)?)),
    }
}

fn named(key: &str) -> Result<String, String> {
    let key = key.trim();
    let is_name = |c: char| c.is_ascii_alphanumeric() || "./_-".contains(c);
    if key.is_empty() || !key.chars().all(is_name) {
        return Err(format!("{key:?} is no name of a label; expected as app=web,tier in (a,b),!old"));
    }
    Ok(key.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kube::core::SelectorExt as _;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nothing("", true)]
    #[case::equal("app=web", true)]
    #[case::doubly_equal("app == web", true)]
    #[case::not_equal("app!=web", false)]
    #[case::one_of("app in (api, web),tier", true)]
    #[case::none_of("app notin (api,web)", false)]
    #[case::absent("!tier", false)]
    #[case::all_have_to_match("app=web,tier=y", false)]
    fn matches(#[case] selector: &str, #[case] expected: bool) {
        let labels =
            BTreeMap::from([("app".to_owned(), "web".to_owned()), ("tier".to_owned(), "x".to_owned())]);
        assert_eq!(parse(selector).unwrap().matches(&labels), expected);
    }

    #[rstest]
    #[case::open("app in (a")]
    #[case::closed("app in a)")]
    #[case::no_list("app in a")]
    #[case::no_key("=a")]
    fn is_refused(#[case] selector: &str) {
        assert!(parse(selector).is_err());
    }
}
