//! GitOps comments: commands on lines of their own (spec section 4.8).

use std::sync::LazyLock;

use pipelines_as_code_api::pipeline_run::EventType;
use regex::Regex;

/// What a comment tells us to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `/test`: all runs that match, or the one of this name.
    Test(Option<String>),
    /// `/retest`: likewise.
    Retest(Option<String>),
    /// `/ok-to-test`, maybe with the commit that was looked at.
    OkToTest(Option<String>),
    /// `/cancel`: all runs that go on, or the one of this name.
    Cancel(Option<String>),
}

impl Command {
    /// The first command of a comment.
    pub fn of(comment: &str) -> Option<Self> {
        static COMMAND: LazyLock<Option<Regex>> = LazyLock::new(|| {
            Regex::new(r"(?m)^/(test|retest|ok-to-test|cancel)(?:[ \t]+([^\s]+)[^\n]*)?[ \t]*\r?$").ok()
        });
        let found = COMMAND.as_ref()?.captures(comment)?;
        let argument = found.get(2).map(|argument| argument.as_str().to_owned());
        Some(match &found[1] {
            "test" => Self::Test(argument),
            "retest" => Self::Retest(argument),
            "cancel" => Self::Cancel(argument),
            _ => Self::OkToTest(argument),
        })
    }

    /// The run that is named. `/ok-to-test` names a commit instead.
    pub fn run(&self) -> Option<&str> {
        match self {
            Self::Test(name) | Self::Retest(name) | Self::Cancel(name) => name.as_deref(),
            Self::OkToTest(_) => None,
        }
    }

    pub fn event_type(&self) -> EventType {
        match self {
            Self::Test(None) => EventType::TestAllComment,
            Self::Test(Some(_)) => EventType::TestComment,
            Self::Retest(None) => EventType::RetestAllComment,
            Self::Retest(Some(_)) => EventType::RetestComment,
            Self::OkToTest(_) => EventType::OkToTestComment,
            Self::Cancel(None) => EventType::CancelAllComment,
            Self::Cancel(Some(_)) => EventType::CancelComment,
        }
    }
}

/// A command on a commit, at GitHub: `/test [name] [branch:<branch>]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitCommand {
    pub command: Command,
    /// The branch whose head the commit has to be.
    pub branch: String,
}

/// The branch that is meant where a comment on a commit names none.
const DEFAULT_BRANCH: &str = "main";

/// Why a comment on a commit is no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCommitCommand {
    #[error("{0:?} is not understood: write branch:<name> to name a branch")]
    Keyword(String),
    #[error("/ok-to-test is for pull requests, not for commits")]
    OkToTest,
}

impl CommitCommand {
    /// The first command of a comment on a commit. `None` if there is none.
    pub fn of(comment: &str) -> Option<Result<Self, InvalidCommitCommand>> {
        let line = comment.lines().map(str::trim_end).find(|line| Command::of(line).is_some())?;
        Some(Self::of_line(line))
    }

    fn of_line(line: &str) -> Result<Self, InvalidCommitCommand> {
        let mut words = line.split_whitespace();
        let command = words.next().unwrap_or_default();
        let (mut name, mut branch) = (None, None);
        for word in words {
            match word.split_once(':') {
                Some(("branch", value)) if !value.is_empty() => branch = Some(value.to_owned()),
                Some(_) => return Err(InvalidCommitCommand::Keyword(word.to_owned())),
                // Only the first word is a name: what follows is for people.
                None => name = name.or_else(|| Some(word.to_owned())),
            }
        }
        let command = match command {
            "/test" => Command::Test(name),
            "/retest" => Command::Retest(name),
            "/cancel" => Command::Cancel(name),
            _ => return Err(InvalidCommitCommand::OkToTest),
        };
        Ok(Self { command, branch: branch.unwrap_or_else(|| DEFAULT_BRANCH.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[expect(clippy::unnecessary_wraps, reason = "as commands have it")]
    fn named(name: &str) -> Option<String> {
        Some(name.to_owned())
    }

    #[rstest]
    #[case::all("/test", Some(Command::Test(None)))]
    #[case::named("/test build", Some(Command::Test(named("build"))))]
    #[case::first_word("/test build it please", Some(Command::Test(named("build"))))]
    #[case::blanks("/retest  \t", Some(Command::Retest(None)))]
    #[case::windows("Looks good\r\n/retest unit\r\nthanks", Some(Command::Retest(named("unit"))))]
    #[case::ok("/ok-to-test", Some(Command::OkToTest(None)))]
    #[case::ok_commit("/ok-to-test 8cc5aef", Some(Command::OkToTest(named("8cc5aef"))))]
    #[case::cancel("/cancel", Some(Command::Cancel(None)))]
    #[case::cancel_one("hm\n/cancel e2e", Some(Command::Cancel(named("e2e"))))]
    #[case::first_wins("/cancel\n/test", Some(Command::Cancel(None)))]
    #[case::not_alone("please /test", None)]
    #[case::indented(" /test", None)]
    #[case::longer_word("/tested", None)]
    #[case::other("/lgtm", None)]
    #[case::empty("", None)]
    fn finds_commands(#[case] comment: &str, #[case] command: Option<Command>) {
        assert_eq!(Command::of(comment), command);
    }

    #[rstest]
    #[case::bare("/test", Ok((Command::Test(None), "main")))]
    #[case::branch("/test branch:stable", Ok((Command::Test(None), "stable")))]
    #[case::both("/retest unit branch:v1/x", Ok((Command::Retest(named("unit")), "v1/x")))]
    #[case::branch_first("/cancel branch:dev e2e", Ok((Command::Cancel(named("e2e")), "dev")))]
    #[case::keyword("/test tag:v1", Err(InvalidCommitCommand::Keyword("tag:v1".to_owned())))]
    #[case::ok("/ok-to-test", Err(InvalidCommitCommand::OkToTest))]
    fn reads_comments_on_commits(
        #[case] comment: &str,
        #[case] read: Result<(Command, &str), InvalidCommitCommand>,
    ) {
        let read = read.map(|(command, branch)| CommitCommand { command, branch: branch.to_owned() });
        assert_eq!(CommitCommand::of(comment), Some(read));
    }
}
