//! `on-cel-expression` (spec section 4.4, point 6).

use std::sync::Arc;

use expression::Variables;
use serde_json::Value;

use super::Facts;
use super::globs::Globs;
use crate::cel::{Names, Seen};
use crate::event::Trigger;

/// What an expression says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Yes,
    No,
    /// It depends on files that nobody has asked for yet.
    NeedsChangedFiles,
    Invalid(String),
}

/// Microseconds of looking at one file for `pathChanged`, and of compiling its glob.
const STEPS: (u64, u64) = (1, 1000);

pub(super) fn says(facts: &Facts<'_>, expression: &str) -> Said {
    let seen = Seen::new(facts.payload, facts.changed, Names::Lower);
    let event = facts.event;
    let title = match event.trigger {
        Trigger::PullRequest => event.pull_request.as_ref().map_or("", |pull| pull.title.as_str()),
        Trigger::Push => event.commit_title().unwrap_or_default(),
    };
    let variables = seen
        .variables()
        .text("event", super::event_name(event))
        .text("event_title", title)
        .text("target_url", event.base.repository_url.as_str())
        .text("source_url", event.head.repository_url.as_str());
    let variables = branch(variables, "target_branch", &event.base.name, event.trigger);
    let variables = branch(variables, "source_branch", &event.head.name, event.trigger);
    let variables = with_path_changed(variables, &seen);
    match expression::holds(expression, &variables) {
        Ok(true) => Said::Yes,
        Ok(false) => Said::No,
        Err(_) if facts.changed.is_none() && may_look_at_files(expression) => Said::NeedsChangedFiles,
        Err(error) => Said::Invalid(error.to_string()),
    }
}

/// Whether the answer may depend on changed files. Rather once too often: it only matters where there is no answer
/// without them.
fn may_look_at_files(expression: &str) -> bool {
    expression.contains("files") || expression.contains("pathChanged")
}

/// The branch of a push is told by its whole ref. People compare it with bare names as well as with whole refs: each
/// comparison sees the form that it is written for.
fn branch<'v>(
    variables: Variables<'v>,
    name: &'v str,
    reference: &'v str,
    trigger: Trigger,
) -> Variables<'v> {
    const HEADS: &str = "refs/heads/";
    match reference.strip_prefix(HEADS).filter(|_| trigger == Trigger::Push) {
        Some(bare) => variables.text_beside(name, bare, HEADS, reference),
        None => variables.text(name, reference),
    }
}

/// `"docs/*.md".pathChanged()`
fn with_path_changed<'v>(variables: Variables<'v>, seen: &Seen<'_>) -> Variables<'v> {
    const NAME: &str = "pathChanged";
    let Some(files) = seen.files().and_then(|files| files["all"].as_array()) else {
        return variables.function(NAME, 1, |_| Err("the changed files are not known yet".to_owned()));
    };
    let files: Arc<[String]> = files.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let (of_file, of_glob) = STEPS;
    let steps =
        of_file.saturating_mul(u64::try_from(files.len()).unwrap_or(u64::MAX)).saturating_add(of_glob);
    variables.function(NAME, steps, move |glob| {
        let glob = Globs::new([glob]).map_err(|error| error.to_string())?;
        Ok(files.iter().any(|file| glob.is_match(file)))
    })
}
