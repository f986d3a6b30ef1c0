//! Tags with variables: `v1-{{ timestamp }}`.

use std::collections::BTreeMap;
use std::str::FromStr;

/// What a tag is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(Variable),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Variable {
    /// When the image was built.
    Timestamp,
    /// When the release began.
    ReleaseTimestamp,
    GitSha,
    GitShortSha,
    DigestSha,
    Label(String),
}

/// What variables stand for. `None` is what the image or the Snapshot does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) timestamp: Option<String>,
    pub(crate) release_timestamp: String,
    pub(crate) git_sha: Option<String>,
    /// Without `sha256:`.
    pub(crate) digest_sha: String,
    pub(crate) labels: BTreeMap<String, String>,
}

/// Why a text is no tag, or a template for none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadTag {
    #[error("tag {0:?}: a {{{{ has no }}}}")]
    Open(String),
    #[error(
        "tag {0:?}: there is no variable {1:?}; use timestamp, release_timestamp, git_sha, git_short_sha, digest_sha or labels.<name>"
    )]
    Unknown(String, String),
    #[error("tag {0:?}: {1} is empty or unknown for this image")]
    Empty(String, String),
    #[error(
        "tag {0:?}, made of {1:?}, is none: a tag has up to 128 letters, digits, and _ . - after the first"
    )]
    NoTag(String, String),
}

impl FromStr for Template {
    type Err = BadTag;

    fn from_str(text: &str) -> Result<Self, BadTag> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or_else(|| BadTag::Open(text.to_owned()))?;
            let variable = match name.trim() {
                "timestamp" => Variable::Timestamp,
                "release_timestamp" => Variable::ReleaseTimestamp,
                "git_sha" => Variable::GitSha,
                "git_short_sha" => Variable::GitShortSha,
                "digest_sha" => Variable::DigestSha,
                name => match name.strip_prefix("labels.").filter(|label| !label.is_empty()) {
                    Some(label) => Variable::Label(label.to_owned()),
                    None => return Err(BadTag::Unknown(text.to_owned(), name.to_owned())),
                },
            };
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Variable(variable));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self { text: text.to_owned(), pieces })
    }
}

impl Template {
    /// Whether one has to look into the image.
    pub(crate) fn needs_image(&self) -> bool {
        let of_image =
            |piece: &Piece| matches!(piece, Piece::Variable(Variable::Timestamp | Variable::Label(_)));
        self.pieces.iter().any(of_image)
    }

    pub(crate) fn fill(&self, facts: &Facts) -> Result<String, BadTag> {
        let mut tag = String::new();
        for piece in &self.pieces {
            let (value, name) = match piece {
                Piece::Text(text) => (Some(text.as_str()), String::new()),
                Piece::Variable(variable) => (facts.value(variable), variable.name()),
            };
            let value = value.filter(|value| !value.is_empty());
            tag.push_str(value.ok_or_else(|| BadTag::Empty(self.text.clone(), name))?);
        }
        if is_tag(&tag) { Ok(tag) } else { Err(BadTag::NoTag(tag, self.text.clone())) }
    }
}

impl Variable {
    fn name(&self) -> String {
        match self {
            Self::Timestamp => "timestamp".to_owned(),
            Self::ReleaseTimestamp => "release_timestamp".to_owned(),
            Self::GitSha => "git_sha".to_owned(),
            Self::GitShortSha => "git_short_sha".to_owned(),
            Self::DigestSha => "digest_sha".to_owned(),
            Self::Label(label) => format!("labels.{label}"),
        }
    }
}

impl Facts {
    fn value(&self, variable: &Variable) -> Option<&str> {
        match variable {
            Variable::Timestamp => self.timestamp.as_deref(),
            Variable::ReleaseTimestamp => Some(&self.release_timestamp),
            Variable::GitSha => self.git_sha.as_deref(),
            Variable::GitShortSha => self.git_sha.as_deref().map(short),
            Variable::DigestSha => Some(&self.digest_sha),
            Variable::Label(label) => self.labels.get(label).map(String::as_str),
        }
    }
}

/// The first characters of a commit, as people know it.
pub(crate) fn short(commit: &str) -> &str {
    commit.char_indices().nth(7).map_or(commit, |(end, _)| &commit[..end])
}

/// As registries take them.
pub(crate) fn is_tag(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= 128
        && text.starts_with(is_word)
        && text.chars().all(|c| is_word(c) || matches!(c, '.' | '-'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn facts() -> Facts {
        Facts {
            timestamp: Some("1700000000".to_owned()),
            release_timestamp: "1700000001".to_owned(),
            git_sha: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
            digest_sha: "ab".repeat(32),
            labels: [("version", "1.2"), ("empty", ""), ("bad", "a b"), ("option", "-rf")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        }
    }

    fn fill(text: &str) -> Result<String, BadTag> {
        text.parse::<Template>()?.fill(&facts())
    }

    #[rstest]
    #[case::plain("v1", "v1")]
    #[case::build("v1-{{ timestamp }}", "v1-1700000000")]
    #[case::tight("v1-{{release_timestamp}}", "v1-1700000001")]
    #[case::commit("{{ git_sha }}", "0123456789abcdef0123456789abcdef01234567")]
    #[case::short_commit("{{ git_short_sha }}", "0123456")]
    #[case::label("{{ labels.version }}-{{ git_short_sha }}", "1.2-0123456")]
    fn variables_are_replaced(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(fill(text).as_deref(), Ok(expected));
    }

    #[rstest]
    #[case::open("v1-{{ timestamp", "has no }}")]
    #[case::unknown("{{ user }}", "no variable \"user\"")]
    #[case::nothing("{{ }}", "no variable \"\"")]
    #[case::label_without_a_name("{{ labels. }}", "no variable")]
    #[case::no_label("{{ labels.none }}", "labels.none is empty or unknown")]
    #[case::empty_label("{{ labels.empty }}", "labels.empty is empty or unknown")]
    #[case::no_tag_from_a_label("{{ labels.bad }}", "\"a b\"")]
    #[case::option("{{ labels.option }}", "\"-rf\"")]
    #[case::slash("a/b", "\"a/b\"")]
    #[case::empty("", "is none")]
    #[case::nested("{{ {{ timestamp }} }}", "no variable")]
    fn others_are_refused_with_their_text(#[case] text: &str, #[case] words: &str) {
        let error = fill(text).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn a_tag_is_at_most_128_characters() {
        fill(&"a".repeat(128)).unwrap();
        fill(&"a".repeat(129)).unwrap_err();
    }

    #[rstest]
    #[case("v1", false)]
    #[case("{{ git_sha }}", false)]
    #[case("{{ timestamp }}", true)]
    #[case("{{ labels.a }}", true)]
    fn only_some_variables_are_in_the_image(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(text.parse::<Template>().unwrap().needs_image(), expected);
    }

    /// Whatever a tenant writes, or puts into a label: what comes out is a tag, and the parser does not panic.
    #[test]
    fn never_panics_and_gives_a_tag_or_an_error() {
        let word = prop_oneof![
            Just("{{".to_owned()),
            Just("}}".to_owned()),
            Just(" labels.x ".to_owned()),
            Just("timestamp".to_owned()),
            "\\PC{0,8}",
        ];
        let text = proptest::collection::vec(word, 0..8).prop_map(|words| words.concat());
        testkit::fuzz(file!(), &(text, "\\PC{0,20}"), |(text, label)| {
            let facts = Facts { labels: [("x".to_owned(), label)].into(), ..facts() };
            if let Ok(tag) = text.parse::<Template>().and_then(|template| template.fill(&facts)) {
                prop_assert!(is_tag(&tag) && !tag.contains("{{"));
            }
            Ok(())
        });
    }
}
