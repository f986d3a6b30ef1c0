//! Regular expressions and globs of the settings.

use regex::{Regex, RegexBuilder};

use super::config::InvalidConfig;

/// Bytes that an expression may take once it is compiled: they are written by users.
const SIZE_LIMIT: usize = 1 << 20;

/// Any of several patterns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patterns(Vec<Pattern>);

#[derive(Clone, Debug)]
enum Pattern {
    All,
    Exact(String),
    Regex(Regex),
    NotRegex(Regex),
}

pub(crate) fn regex(field: &'static str, text: &str) -> Result<Regex, InvalidConfig> {
    let built = RegexBuilder::new(text).size_limit(SIZE_LIMIT).build();
    built.map_err(|error| InvalidConfig::Field { field, reason: format!("{text:?}: {error}") })
}

impl Patterns {
    /// Regular expressions that match anywhere in a text; `*` is all.
    pub(crate) fn expressions(field: &'static str, texts: &[String]) -> Result<Self, InvalidConfig> {
        let patterns = texts.iter().map(|text| match text.trim() {
            "*" => Ok(Pattern::All),
            text => regex(field, text).map(Pattern::Regex),
        });
        patterns.collect::<Result<_, _>>().map(Self)
    }

    /// Names: exact ones, globs, and regular expressions between slashes, which a `!` in front turns round; `*` is all.
    pub(crate) fn names(field: &'static str, texts: &[String]) -> Result<Self, InvalidConfig> {
        let patterns = texts.iter().map(|text| {
            let between = |text: &str| Some(text.strip_prefix('/')?.strip_suffix('/')?.to_owned());
            if text == "*" || text == "**" {
                return Ok(Pattern::All);
            }
            if let Some(negated) = text.strip_prefix('!') {
                let expression = between(negated).unwrap_or_else(|| glob(negated));
                return regex(field, &expression).map(Pattern::NotRegex);
            }
            match between(text) {
                Some(expression) => regex(field, &expression).map(Pattern::Regex),
                None if text.contains('*') => regex(field, &glob(text)).map(Pattern::Regex),
                None => Ok(Pattern::Exact(text.clone())),
            }
        });
        patterns.collect::<Result<_, _>>().map(Self)
    }

    /// Globs for paths: `*` within a directory, `**` across them.
    pub(crate) fn globs(field: &'static str, texts: &[String]) -> Result<Self, InvalidConfig> {
        let patterns = texts.iter().map(|text| regex(field, &glob(text)).map(Pattern::Regex));
        patterns.collect::<Result<_, _>>().map(Self)
    }

    /// Those of both.
    #[must_use]
    pub(crate) fn or(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one matches, and none that is negated.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let mut wanted = self.0.iter().filter(|pattern| !matches!(pattern, Pattern::NotRegex(_))).peekable();
        let is_wanted = wanted.peek().is_none()
            || wanted.any(|pattern| match pattern {
                Pattern::All => true,
                Pattern::Exact(exact) => exact == text,
                Pattern::Regex(regex) => regex.is_match(text),
                Pattern::NotRegex(_) => false,
            });
        let mut negated = self.0.iter().filter_map(|pattern| match pattern {
            Pattern::NotRegex(regex) => Some(regex),
            _ => None,
        });
        !self.0.is_empty() && is_wanted && !negated.any(|regex| regex.is_match(text))
    }
}

/// A glob as a regular expression.
fn glob(text: &str) -> String {
    let mut expression = "^".to_owned();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let (piece, length) = match next {
            '*' if rest.starts_with("**/") => ("(?:.*/)?".to_owned(), 3),
            '*' if rest.starts_with("**") => (".*".to_owned(), 2),
            '*' => ("[^/]*".to_owned(), 1),
            '?' => ("[^/]".to_owned(), 1),
            other => (regex::escape(&other.to_string()), other.len_utf8()),
        };
        expression.push_str(&piece);
        rest = &rest[length..];
    }
    expression + "$"
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("**/Dockerfile", "Dockerfile", true)]
    #[case("**/Dockerfile", "a/b/Dockerfile", true)]
    #[case("**/Dockerfile", "a/MyDockerfile", false)]
    #[case(".tekton/**", ".tekton/a/b.yaml", true)]
    #[case(".tekton/*.yaml", ".tekton/a/b.yaml", false)]
    #[case("a?c.d", "abc.d", true)]
    #[case("a?c.d", "abcxd", false)]
    fn globs_are_of_directories(#[case] pattern: &str, #[case] path: &str, #[case] expected: bool) {
        assert_eq!(Patterns::globs("x", &[pattern.to_owned()]).unwrap().matches(path), expected);
    }

    #[rstest]
    #[case(&["quay.io/a/b"], "quay.io/a/b", true)]
    #[case(&["quay.io/a/b"], "quay.io/a/bc", false)]
    #[case(&["quay.io/a/**"], "quay.io/a/b/c", true)]
    #[case(&["/^quay.io/"], "quay.io/a", true)]
    #[case(&["*"], "anything", true)]
    #[case(&["!/^quay/"], "quay.io/a", false)]
    #[case(&["!/^quay/"], "docker.io/a", true)]
    #[case(&["*", "!docker.io/a"], "docker.io/a", false)]
    #[case(&[], "anything", false)]
    fn names_are_of_many_forms(#[case] patterns: &[&str], #[case] name: &str, #[case] expected: bool) {
        let patterns: Vec<String> = patterns.iter().map(|&text| text.to_owned()).collect();
        assert_eq!(Patterns::names("x", &patterns).unwrap().matches(name), expected);
    }

    #[test]
    fn an_expression_that_is_none_names_its_field() {
        let error = Patterns::expressions("fileMatch", &["(".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("fileMatch"), "{error}");
    }

    #[test]
    fn an_expression_that_takes_too_much_is_refused() {
        assert!(regex("x", "(?:a{1000}){1000}").is_err());
    }
}
