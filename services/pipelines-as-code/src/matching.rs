//! Which runs of `.tekton/` an event starts (spec section 4.4, points 4 to 7).
//!
//! ```text
//! named by /test, /retest or an incoming event ─▶ that one, whatever its annotations
//! target-namespace ─▶ on-comment ─▶ on-cel-expression, which decides alone
//!                                └▶ on-event, on-target-branch ─▶ on-label ─▶ on-path-change(-ignore)
//! ```
//! Each run is judged alone: nothing of one judgement is seen by the next, so the order of files does not matter, and a
//! glob, a regular expression or CEL that cannot be read concerns only the run that has it.

mod branches;
mod expression;
mod globs;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use fleet_api::AnnotationKey;
use forge::ChangedFiles;
use pipelines_as_code_api::annotations::read;
use pipelines_as_code_api::pipeline_run::EventType;
use regex::RegexBuilder;

use self::expression::Said;
use self::globs::Globs;
use crate::comment::Command;
use crate::event::{self, Event, Payload, PullRequestChange, Trigger};
use crate::list;
use crate::settings::Settings;

/// All that a judgement may look at, besides the run.
pub struct Facts<'a> {
    pub event: &'a Event,
    pub payload: &'a Payload,
    /// `None` if the forge was not asked for them yet: see [`Match::NeedsChangedFiles`].
    pub changed: Option<&'a ChangedFiles>,
    /// Of the Repository that the event belongs to.
    pub namespace: &'a str,
    /// Whether there is a Repository of the event's URL in a namespace.
    pub has_repository: &'a dyn Fn(&str) -> bool,
}

/// A run in `.tekton/`.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its name or `generateName`.
    pub name: &'a str,
    pub annotations: &'a BTreeMap<String, String>,
}

impl<'a> Candidate<'a> {
    fn get(&self, key: AnnotationKey) -> Option<&'a str> {
        self.annotations.get(key.as_str()).map(String::as_str)
    }

    /// The words of a list. `None` if it is absent.
    fn list(&self, key: AnnotationKey) -> Result<Option<Vec<String>>, Match> {
        let invalid = |error| Match::Invalid(format!("annotation {}: {error}", key.as_str()));
        self.get(key).map(list::parse).transpose().map_err(invalid)
    }
}

/// Whether an event starts a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    Yes(Why),
    /// With the reason, for people.
    No(String),
    /// An annotation cannot be read. With the reason, for people.
    Invalid(String),
    /// It depends on the changed files: ask for them, and judge again.
    NeedsChangedFiles,
}

/// Why an event starts a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Event,
    /// Its `on-comment` fits the comment.
    Comment,
    /// Somebody asked for it by its name.
    Named,
}

/// Whether an event starts a run.
pub fn matches(facts: &Facts<'_>, candidate: &Candidate<'_>) -> Match {
    match judge(facts, candidate) {
        Ok(why) => Match::Yes(why),
        Err(other) => other,
    }
}

/// Whether a new run of this name ends those that go on for the same branch or pull request.
pub fn cancels_in_progress(candidate: &Candidate<'_>, event: &Event, settings: &Settings) -> bool {
    match (candidate.get(read::CANCEL_IN_PROGRESS).map(str::trim), event.trigger) {
        (Some("true"), _) => true,
        (Some("false"), _) => false,
        (_, Trigger::PullRequest) => settings.cancel_in_progress_on_pull_requests,
        (_, Trigger::Push) => settings.cancel_in_progress_on_push,
    }
}

fn judge(facts: &Facts<'_>, candidate: &Candidate<'_>) -> Result<Why, Match> {
    let event = facts.event;
    if let Some(name) = asked_for(event) {
        // People do not write the `-` that a generateName ends in.
        let is_named = [Some(candidate.name), candidate.name.strip_suffix('-')].contains(&Some(name));
        return if is_named { Ok(Why::Named) } else { no(format!("{name} was asked for")) };
    }
    if is_not_wanted(event) {
        return no("the commit's message asks for no runs");
    }
    if matches!(event.command(), Some(Command::Cancel(_))) {
        return no("a command that cancels starts nothing");
    }
    if candidate.annotations.is_empty() {
        return no("it has no annotations that say when it runs");
    }
    is_for_namespace(facts, candidate)?;
    if fits_comment(event, candidate)? {
        return Ok(Why::Comment);
    }
    if matches!(event.event_type, EventType::NoOpsComment | EventType::OnComment) {
        return no("the comment is no command, and on-comment does not fit it");
    }
    if let Some(expression) = candidate.get(read::ON_CEL_EXPRESSION) {
        return match expression::says(facts, expression) {
            Said::Yes => Ok(Why::Event),
            Said::No => no("on-cel-expression is false"),
            Said::NeedsChangedFiles => Err(Match::NeedsChangedFiles),
            Said::Invalid(reason) => Err(Match::Invalid(format!("on-cel-expression: {reason}"))),
        };
    }
    fits_event(event, candidate)?;
    fits_branch(event, candidate)?;
    fits_labels(facts, candidate)?;
    fits_files(facts, candidate)?;
    Ok(Why::Event)
}

fn no<T>(reason: impl Into<String>) -> Result<T, Match> {
    Err(Match::No(reason.into()))
}

/// The one run that somebody asked for by its name.
fn asked_for(event: &Event) -> Option<&str> {
    let incoming = event.incoming.as_ref().map(|incoming| incoming.pipeline_run.as_str());
    incoming.or_else(|| match event.command() {
        Some(Command::Test(name) | Command::Retest(name)) => name.as_deref(),
        _ => None,
    })
}

/// Whether the commit asks for no runs, and nobody asked for some since.
fn is_not_wanted(event: &Event) -> bool {
    event.comment.is_none()
        && event.rerun_of.is_none()
        && event.commit_message.as_deref().is_some_and(event::asks_for_no_runs)
}

/// What an event is called in `on-event`, and in CEL.
fn event_name(event: &Event) -> &'static str {
    match (event.trigger, event.pull_request.as_ref().map(|pull| pull.change)) {
        (Trigger::PullRequest, Some(PullRequestChange::Labels)) => "pull_request_labeled",
        (Trigger::PullRequest, Some(PullRequestChange::Closed)) => "pull_request_closed",
        (trigger, _) => trigger.into(),
    }
}

/// The event is proven with the secret of one Repository: it starts nothing for another one.
fn is_for_namespace(facts: &Facts<'_>, candidate: &Candidate<'_>) -> Result<(), Match> {
    let Some(target) = candidate.get(read::TARGET_NAMESPACE).map(str::trim) else { return Ok(()) };
    if target == facts.namespace {
        return Ok(());
    }
    if (facts.has_repository)(target) {
        return no(format!(
            "it is for namespace {target}, whose Repository of this URL is not the one that gets the events"
        ));
    }
    no(format!("it is for namespace {target}, which has no Repository of this URL"))
}

/// Memory of a compiled `on-comment`, in bytes.
const MAX_REGEX: usize = 1 << 20;

fn fits_comment(event: &Event, candidate: &Candidate<'_>) -> Result<bool, Match> {
    let (Some(pattern), Some(comment)) = (candidate.get(read::ON_COMMENT), &event.comment) else {
        return Ok(false);
    };
    let regex = RegexBuilder::new(pattern).size_limit(MAX_REGEX).dfa_size_limit(MAX_REGEX).build();
    let regex = regex.map_err(|error| Match::Invalid(format!("on-comment: {error}")))?;
    Ok(regex.is_match(comment.text.replace("\r\n", "\n").trim()))
}

fn fits_event(event: &Event, candidate: &Candidate<'_>) -> Result<(), Match> {
    let Some(wanted) = candidate.list(read::ON_EVENT)? else { return no("it has no on-event") };
    let name = event_name(event);
    // A changed label is an event of a pull request for those only that wait for labels.
    let is_label = name == "pull_request_labeled" && candidate.get(read::ON_LABEL).is_some();
    if wanted.iter().any(|event| event == name || (is_label && event == "pull_request")) {
        return Ok(());
    }
    no(format!("it waits for {}, not for {name}", wanted.join(", ")))
}

fn fits_branch(event: &Event, candidate: &Candidate<'_>) -> Result<(), Match> {
    let Some(globs) = candidate.list(read::ON_TARGET_BRANCH)? else {
        return no("it has no on-target-branch");
    };
    let branch = &event.base.name;
    match branches::is_target(globs.iter().map(String::as_str), branch) {
        Ok(true) => Ok(()),
        Ok(false) => no(format!("it waits for branch {}, not for {branch}", globs.join(", "))),
        Err(error) => Err(Match::Invalid(format!("on-target-branch: {error}"))),
    }
}

fn fits_labels(facts: &Facts<'_>, candidate: &Candidate<'_>) -> Result<(), Match> {
    let Some(wanted) = candidate.list(read::ON_LABEL)? else { return Ok(()) };
    let pull_request = facts.event.pull_request.as_ref();
    let labels = pull_request.map(|pull| pull.labels.as_slice()).unwrap_or_default();
    let is_wanted = |label: &str| wanted.iter().any(|wanted| wanted == label);
    if !labels.iter().any(|label| is_wanted(label)) {
        return no(format!("it waits for label {}", wanted.join(", ")));
    }
    // Where the forge tells which label was added, others do not start it again.
    let is_label = pull_request.is_some_and(|pull| pull.change == PullRequestChange::Labels);
    match facts.payload.body["label"]["name"].as_str().filter(|_| is_label) {
        Some(added) if !is_wanted(added) => no(format!("it does not wait for label {added}")),
        _ => Ok(()),
    }
}

/// Some file that counts has changed: one that `on-path-change` names, if it is there, and `on-path-change-ignore` does not.
fn fits_files(facts: &Facts<'_>, candidate: &Candidate<'_>) -> Result<(), Match> {
    let globs = |key: AnnotationKey| {
        let globs = candidate.list(key)?.map(|globs| Globs::new(globs.iter().map(String::as_str)));
        globs.transpose().map_err(|error| Match::Invalid(format!("annotation {}: {error}", key.as_str())))
    };
    let (wanted, ignored) = (globs(read::ON_PATH_CHANGE)?, globs(read::ON_PATH_CHANGE_IGNORE)?);
    if wanted.is_none() && ignored.is_none() {
        return Ok(());
    }
    let Some(changed) = facts.changed else { return Err(Match::NeedsChangedFiles) };
    let counts = |file: &str| {
        wanted.as_ref().is_none_or(|globs| globs.is_match(file))
            && !ignored.as_ref().is_some_and(|globs| globs.is_match(file))
    };
    if changed.all().into_iter().any(counts) {
        return Ok(());
    }
    no("no file has changed that it waits for")
}
