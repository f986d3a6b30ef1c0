//! What placeholders stand for.

use std::collections::BTreeMap;

use pipelines_as_code_api::pipeline_run::EventType;

use crate::event::Event;

/// The variables that every event has, as text: spec section 4.5. `clone_url` is where Git clones the repository from,
/// `namespace` where the run will be.
///
/// `git_auth_secret` is not among them: it differs from run to run.
pub fn standard(event: &Event, clone_url: &str, namespace: &str) -> BTreeMap<String, String> {
    let of_pull_request = event.pull_request.as_ref();
    let mut variables = BTreeMap::from([
        ("revision", event.commit.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("repo_url", clone_url.to_owned()),
        ("repo_owner", event.repository.owner().replace('/', "-").to_lowercase()),
        ("repo_name", event.repository.name().to_lowercase()),
        ("sender", event.sender.login.to_lowercase()),
        ("target_branch", short(&event.base.name)),
        ("source_branch", short(&event.head.name)),
        ("source_url", event.head.repository_url.clone()),
        ("target_namespace", namespace.to_owned()),
        ("event_type", <&str>::from(event.event_type).to_owned()),
        ("trigger_comment", comment(event)),
        ("git_tag", tag(&event.head.name)),
        ("pull_request_labels", of_pull_request.map(|pull| pull.labels.join("\\n")).unwrap_or_default()),
    ]);
    if let Some(pull_request) = of_pull_request.filter(|pull| pull.number != 0) {
        variables.insert("pull_request_number", pull_request.number.to_string());
    }
    variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What the standard variables are overridden with, the weakest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignments {
    /// `spec.params` of the Repository whose filters hold: they win over the standard ones.
    pub repository: BTreeMap<String, String>,
    /// `name=value` in a comment that starts with `/`: only of names that exist already.
    pub comment: Vec<(String, String)>,
    /// Of an incoming event: they override all.
    pub incoming: Vec<(String, String)>,
}

impl Assignments {
    /// What the event itself assigns.
    pub fn of(event: &Event, repository: BTreeMap<String, String>) -> Self {
        let comment = event.comment.as_ref().map(|comment| in_comment(&comment.text));
        let incoming = event.incoming.as_ref().map(|incoming| incoming.params.clone());
        Self { repository, comment: comment.unwrap_or_default(), incoming: incoming.unwrap_or_default() }
    }

    /// All variables.
    pub fn over(self, mut standard: BTreeMap<String, String>) -> BTreeMap<String, String> {
        standard.extend(self.repository);
        for (name, value) in self.comment {
            if let Some(known) = standard.get_mut(&name) {
                *known = value;
            }
        }
        standard.extend(self.incoming);
        standard
    }
}

fn short(reference: &str) -> String {
    reference.strip_prefix("refs/heads/").unwrap_or(reference).to_owned()
}

fn tag(reference: &str) -> String {
    reference.strip_prefix("refs/tags/").unwrap_or_default().to_owned()
}

/// On one line: it may be put into a script.
fn comment(event: &Event) -> String {
    let is_comment = event.event_type == EventType::OnComment || event.comment.is_some();
    let text = event.comment.as_ref().filter(|_| is_comment).map_or("", |comment| comment.text.as_str());
    text.replace("\r\n", "\\n").replace(['\r', '\n'], "\\n")
}

/// The `name=value` and `name="quoted \"value\""` of a comment that starts with a command.
fn in_comment(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if !text.starts_with('/') {
        return found;
    }
    let mut rest = text;
    while let Some(equals) = rest.find('=') {
        let name_start = rest[..equals]
            .rfind(char::is_whitespace)
            .map_or(0, |at| at + rest[at..].chars().next().map_or(0, char::len_utf8));
        let name = &rest[name_start..equals];
        let (value, after) = value(&rest[equals + 1..]);
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if !name.is_empty() && name.chars().all(is_name) {
            found.push((name.to_owned(), value));
        }
        rest = after;
    }
    found
}

/// The value that a text begins with, and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    // Without an end: all of it.
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("/test build colour=red", &[("colour", "red")])]
    #[case::several("/retest a=1 b=2\nc=3", &[("a", "1"), ("b", "2"), ("c", "3")])]
    #[case::quoted(r#"/test text="two words" x=y"#, &[("text", "two words"), ("x", "y")])]
    #[case::escaped(r#"/test text="say \"hi\"""#, &[("text", r#"say "hi""#)])]
    #[case::open(r#"/test text="no end"#, &[("text", "no end")])]
    #[case::equals_within("/test url=https://x/?a=b", &[("url", "https://x/?a=b")])]
    #[case::empty("/test a=", &[("a", "")])]
    #[case::no_name("/test =b", &[])]
    #[case::no_command("colour=red", &[])]
    fn reads_assignments(#[case] comment: &str, #[case] expected: &[(&str, &str)]) {
        let expected: Vec<_> =
            expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(in_comment(comment), expected);
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn later_assignments_win_and_comments_make_no_names() {
        let standard = map(&[("revision", "abc"), ("sender", "jane")]);
        let assignments = Assignments {
            repository: map(&[("sender", "bot"), ("colour", "red")]),
            comment: vec![("colour".into(), "blue".into()), ("new".into(), "x".into())],
            incoming: vec![("revision".into(), "def".into()), ("extra".into(), "1".into())],
        };
        assert_eq!(
            assignments.over(standard),
            map(&[("revision", "def"), ("sender", "bot"), ("colour", "blue"), ("extra", "1")])
        );
    }
}
