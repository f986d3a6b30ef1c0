//! Commits, what they change, and their build statuses.

use http::StatusCode;

use super::state::State;
use super::{errors, list, render};
use crate::forge::exchange::{Answer, Reply, Request};
use crate::forge::git::Commit;
use crate::forge::repository::{CommitStatus, Repository};

/// Longer keys are refused.
const LONGEST_KEY: usize = 40;

/// Pages of differences are long.
const DIFFERENCES: usize = 500;
const MOST_DIFFERENCES: usize = 5000;

/// By the commit's name, of which some digits are enough. Here branches have no commits.
fn named<'a>(
    state: &'a State,
    request: &Request,
    name: &str,
) -> Result<(&'a Repository, &'a Commit), Box<Reply>> {
    let repository = state.repo(request)?;
    let objects = state.model.objects(repository);
    let commit = objects.commit(name).or_else(|| objects.commit_by_prefix(name));
    Ok((repository, commit.ok_or_else(|| errors::not_found(&format!("Commit {name}")))?))
}

pub(super) fn get(state: &mut State, request: &Request) -> Answer {
    let (repository, commit) = named(state, request, request.param("commit"))?;
    Reply::ok(&render::commit(&state.model, repository, commit))
}

/// Of one commit against its first parent, or of `newer..older`; with `topic=true` against where they parted.
pub(super) fn diffstat(state: &mut State, request: &Request) -> Answer {
    let spec = request.param("spec");
    let (new, old) = spec.split_once("..").map_or((spec, None), |(new, old)| (new, Some(old)));
    let (repository, new) = named(state, request, new)?;
    let objects = state.model.objects(repository);
    let old = match old {
        Some(old) => {
            let old = named(state, request, old)?.1.sha.clone();
            let is_topic = request.query("topic") == Some("true");
            let base = objects.merge_base(&old, &new.sha).filter(|_| is_topic);
            Some(base.unwrap_or(old))
        }
        None => new.parents.first().cloned(),
    };
    let changes = objects.diff(old.as_deref(), Some(&new.sha));
    let shown = changes.iter().map(render::difference).collect();
    list::of_lengths(request, shown, DIFFERENCES, MOST_DIFFERENCES)
}

pub(super) fn statuses(state: &mut State, request: &Request) -> Answer {
    let (repository, commit) = named(state, request, request.param("commit"))?;
    let found = repository.statuses.iter().filter(|status| status.sha == commit.sha);
    list::list(request, found.map(render::status).collect())
}

pub(super) fn status(state: &mut State, request: &Request) -> Answer {
    let (repository, commit) = named(state, request, request.param("commit"))?;
    let key = request.param("key");
    let mut found = repository.statuses.iter();
    match found.find(|status| status.sha == commit.sha && status.context == key) {
        Some(status) => Reply::ok(&render::status(status)),
        None => errors::not_found(&format!("Status {key}")).err(),
    }
}

/// One of a key that is known is replaced.
pub(super) fn create_status(state: &mut State, request: &Request) -> Answer {
    let text = |field: &str| request.text(field).map(str::to_owned);
    let (Some(key), Some(wanted), Some(url)) = (text("key"), text("state"), text("url")) else {
        return errors::bad_request("key, state and url are required").err();
    };
    if key.chars().count() > LONGEST_KEY {
        return errors::bad_request("key: Ensure this value has at most 40 characters").err();
    }
    if !matches!(wanted.as_str(), "INPROGRESS" | "SUCCESSFUL" | "FAILED" | "STOPPED") {
        return errors::bad_request(&format!("state: '{wanted}' is not a valid choice")).err();
    }
    if url::Url::parse(&url).is_err() {
        return errors::bad_request("url: Enter a valid URL").err();
    }
    let (_, commit) = named(state, request, request.param("commit"))?;
    let (sha, id, now) = (commit.sha.clone(), state.model.next_id(), state.model.now());
    let creator = request.user().unwrap_or_default().to_owned();
    let description = text("description");
    let statuses = &mut state.repo_mut(request)?.statuses;
    let known = statuses.iter_mut().find(|status| status.sha == sha && status.context == key);
    let (code, status) = if let Some(status) = known {
        (status.state, status.description, status.target_url) = (wanted, description, Some(url));
        status.updated_at = now;
        (StatusCode::OK, status.clone())
    } else {
        let status = CommitStatus {
            id,
            sha,
            context: key,
            state: wanted,
            description,
            target_url: Some(url),
            creator,
            reference: None,
            created_at: now,
            updated_at: now,
        };
        statuses.push(status.clone());
        (StatusCode::CREATED, status)
    };
    Ok(Reply::json(code, &render::status(&status)))
}
