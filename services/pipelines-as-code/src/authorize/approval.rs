//! What an `/ok-to-test` is worth: a person has looked at one commit, and what is pushed later is another one.

use forge::{Commit, PullRequest};

use crate::comment::Command;
use crate::event::Event;
use crate::settings::Settings;

/// What a comment says of the commit that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named<'c> {
    /// By its whole name.
    Commit(&'c str),
    /// By the beginning of its name. Somebody who prepares for it has two commits that begin so: it proves nothing.
    Short(&'c str),
    None,
}

/// The shortest name of a commit that people use.
const SHORTEST: usize = 7;

/// The longest: of SHA-1.
const LONGEST: usize = 40;

pub(super) fn named(argument: Option<&str>) -> Named<'_> {
    let is_name = |word: &&str| word.bytes().all(|byte| byte.is_ascii_hexdigit());
    match argument.filter(is_name) {
        Some(word) if word.len() == LONGEST => Named::Commit(word),
        Some(word) if (SHORTEST..LONGEST).contains(&word.len()) => Named::Short(word),
        // Words for people.
        _ => Named::None,
    }
}

/// What the lines of a comment approve. `None`: nothing.
pub(super) fn approved(text: &str) -> Option<Approved<'_>> {
    let mut approved = None;
    for line in text.lines().map(str::trim_end) {
        let Some(rest) = line.strip_prefix("/ok-to-test") else { continue };
        match rest.strip_prefix([' ', '\t']).map(str::trim) {
            None if rest.is_empty() => return Some(Approved::PullRequest),
            Some(words) => {
                if let Named::Commit(name) = named(words.split_whitespace().next()) {
                    approved = Some(Approved::Commit(name));
                }
            }
            None => {}
        }
    }
    approved
}

/// What a comment approves for later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Approved<'c> {
    /// All of the pull request, where the administrator has that remembered.
    PullRequest,
    /// A commit.
    Commit(&'c str),
}

impl Approved<'_> {
    pub(super) fn covers(self, head: &Commit, settings: &Settings) -> bool {
        match self {
            Self::PullRequest => settings.remember_ok_to_test,
            Self::Commit(name) => name.eq_ignore_ascii_case(head.as_str()),
        }
    }
}

/// Whether the commit that would be run is the one that the commenter saw. With the reason if it is not, or nobody can tell.
pub(super) fn binds(
    event: &Event,
    pull_request: Option<&PullRequest>,
    settings: &Settings,
) -> Result<(), String> {
    let Some(head) = pull_request.map(|pull| &pull.head_commit).or(event.commit.as_ref()) else {
        return Err("The forge does not tell which commit the pull request is at.".to_owned());
    };
    let argument = match event.command() {
        Some(Command::OkToTest(argument)) => argument.as_deref(),
        _ => None,
    };
    match named(argument) {
        Named::Commit(name) | Named::Short(name)
            if !head.as_str().starts_with(&name.to_ascii_lowercase()) =>
        {
            return Err(format!("The comment approves commit {name}, but the pull request is at {head}."));
        }
        Named::Commit(_) => return Ok(()),
        Named::Short(_) | Named::None => {}
    }
    let is_approval = matches!(event.command(), Some(Command::OkToTest(_)));
    if is_approval && settings.require_ok_to_test_sha {
        return Err(format!("An approval has to name the commit by its whole name: `/ok-to-test {head}`."));
    }
    if !settings.remember_ok_to_test && is_pushed_since(event, pull_request) {
        return Err(format!(
            "Somebody has pushed to the fork since the comment was written. Look at the pull request again, and approve what \
             you see by the comment `/ok-to-test {head}`."
        ));
    }
    Ok(())
}

/// Whether the fork may have changed under the eyes of who commented. Forges whose events tell the commit that was
/// commented on need not be asked: that one is run.
fn is_pushed_since(event: &Event, pull_request: Option<&PullRequest>) -> bool {
    let Some(pull_request) = pull_request.filter(|pull| pull.head.repository_url != pull.base.repository_url)
    else {
        return false;
    };
    let written_at = event.comment.as_ref().and_then(|comment| comment.created_at);
    // Their clock counts seconds: in the same one, nobody can tell.
    matches!((pull_request.pushed_at, written_at), (Some(pushed), Some(written)) if pushed >= written)
}
