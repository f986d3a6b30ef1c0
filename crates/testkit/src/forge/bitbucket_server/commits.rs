//! Commits, what they change, and their builds.

use http::StatusCode;
use serde_json::{Value, json};

use super::state::State;
use super::{errors, list, render};
use crate::forge::exchange::{Answer, Reply, Request};
use crate::forge::git::Commit;
use crate::forge::repository::{CommitStatus, Repository};

pub(super) fn named<'a>(
    state: &'a State,
    request: &Request,
    name: &str,
) -> Result<(&'a Repository, &'a Commit), Box<Reply>> {
    let repository = state.repo(request)?;
    let commit = state.model.resolve(repository, name).ok_or_else(|| errors::not_found("Commit"))?;
    Ok((repository, commit))
}

/// Those up to `until`, newest first.
pub(super) fn list_commits(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let until = request.query("until").unwrap_or(&repository.default_branch).to_owned();
    let (repository, commit) = named(state, request, &until)?;
    let history = state.model.objects(repository).history(&commit.sha);
    let shown: Vec<Value> = history.into_iter().map(render::commit).collect();
    list::list(request, &shown)
}

pub(super) fn get(state: &mut State, request: &Request) -> Answer {
    Reply::ok(&render::commit(named(state, request, request.param("commit"))?.1))
}

/// Against the first parent.
pub(super) fn changes(state: &mut State, request: &Request) -> Answer {
    let (repository, commit) = named(state, request, request.param("commit"))?;
    let parent = commit.parents.first().map(String::as_str);
    let changes = state.model.objects(repository).diff(parent, Some(&commit.sha));
    list::list(request, &changes.iter().map(render::change).collect::<Vec<_>>())
}

/// What `from` has and `to` has not.
pub(super) fn compare(state: &mut State, request: &Request) -> Answer {
    let (from, to) = (request.query("from").unwrap_or_default(), request.query("to").unwrap_or_default());
    let (repository, from) = named(state, request, from)?;
    let to = named(state, request, to)?.1;
    let objects = state.model.objects(repository);
    let changes = objects.diff(objects.merge_base(&to.sha, &from.sha).as_deref(), Some(&from.sha));
    list::list(request, &changes.iter().map(render::change).collect::<Vec<_>>())
}

/// By its key.
pub(super) fn build(state: &mut State, request: &Request) -> Answer {
    let (repository, commit) = named(state, request, request.param("commit"))?;
    let Some(key) = request.query("key") else { return errors::bad_request("key is required").err() };
    let mut found = repository.statuses.iter();
    match found.find(|status| status.sha == commit.sha && status.context == key) {
        Some(status) => Reply::ok(&json!({
            "key": status.context,
            "state": status.state,
            "url": status.target_url,
            "description": status.description,
            "createdDate": status.created_at.as_millisecond(),
            "updatedDate": status.updated_at.as_millisecond(),
        })),
        None => errors::not_found("BuildStatus").err(),
    }
}

/// One of a key that is known is replaced. Nothing is answered.
pub(super) fn set_build(state: &mut State, request: &Request) -> Answer {
    let text = |field: &str| request.text(field).map(str::to_owned).filter(|text| !text.is_empty());
    let (Some(context), Some(wanted), Some(url)) = (text("key"), text("state"), text("url")) else {
        return errors::bad_request("key, state and url are required").err();
    };
    if context.len() > 255 {
        return errors::bad_request("key: size must be between 0 and 255").err();
    }
    if !matches!(wanted.as_str(), "INPROGRESS" | "SUCCESSFUL" | "FAILED" | "CANCELLED" | "UNKNOWN") {
        return errors::bad_request(
            "state: must be one of CANCELLED, FAILED, INPROGRESS, SUCCESSFUL, UNKNOWN",
        )
        .err();
    }
    let sha = named(state, request, request.param("commit"))?.1.sha.clone();
    let (id, now) = (state.model.next_id(), state.model.now());
    let status = CommitStatus {
        id,
        sha,
        context,
        state: wanted,
        description: text("description"),
        target_url: Some(url),
        creator: request.user().unwrap_or_default().to_owned(),
        reference: None,
        created_at: now,
        updated_at: now,
    };
    let statuses = &mut state.repo_mut(request)?.statuses;
    let is_same = |known: &CommitStatus| known.sha == status.sha && known.context == status.context;
    statuses.retain(|known| !is_same(known));
    statuses.push(status);
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}
