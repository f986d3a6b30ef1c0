//! Pull requests, what happened on them, and comments.

use http::StatusCode;
use serde_json::{Value, json};

use super::state::{State, full_name};
use super::{commits, errors, list, render};
use crate::forge::exchange::{Answer, Reply, Request};
use crate::forge::repository::{Comment, CommentOn, PullRequest, Repository};

fn find<'a>(state: &'a State, request: &Request) -> Result<(&'a Repository, &'a PullRequest), Box<Reply>> {
    let repository = state.repo(request)?;
    let pull = repository.pull(request.number("id"));
    Ok((repository, pull.ok_or_else(|| errors::not_found("PullRequest"))?))
}

pub(super) fn get(state: &mut State, request: &Request) -> Answer {
    let (repository, pull) = find(state, request)?;
    Reply::ok(&render::pull(&state.model, repository, pull))
}

/// Those that the commit is in, whatever became of them.
pub(super) fn of_commit(state: &mut State, request: &Request) -> Answer {
    let (repository, commit) = commits::named(state, request, request.param("commit"))?;
    let objects = state.model.objects(repository);
    let is_in = |pull: &&PullRequest| {
        let base = repository.head(&pull.base_branch).unwrap_or_default();
        objects.commits_between(base, &pull.head_sha).iter().any(|one| one.sha == commit.sha)
    };
    let found = repository.pulls.iter().filter(is_in);
    let shown: Vec<Value> = found.map(|pull| render::pull(&state.model, repository, pull)).collect();
    list::list(request, &shown)
}

pub(super) fn changes(state: &mut State, request: &Request) -> Answer {
    let (repository, pull) = find(state, request)?;
    let objects = state.model.objects(repository);
    let base = repository.head(&pull.base_branch).and_then(|base| objects.merge_base(base, &pull.head_sha));
    let changes = objects.diff(base.as_deref(), Some(&pull.head_sha));
    list::list(request, &changes.iter().map(render::change).collect::<Vec<_>>())
}

fn version(state: &State, comment: &Comment) -> u64 {
    state.versions.get(&comment.id).copied().unwrap_or_default()
}

/// Newest first; the oldest is that it was opened.
pub(super) fn activities(state: &mut State, request: &Request) -> Answer {
    let (repository, pull) = find(state, request)?;
    let on = CommentOn::Pull(pull.number);
    let opened = json!({
        "id": pull.id,
        "createdDate": pull.created_at.as_millisecond(),
        "user": render::user(&state.model, &pull.author),
        "action": "OPENED",
    });
    let commented = repository.comments_on(&on).map(|comment| {
        json!({
            "id": comment.id,
            "createdDate": comment.created_at.as_millisecond(),
            "user": render::user(&state.model, &comment.author),
            "action": "COMMENTED",
            "commentAction": "ADDED",
            "comment": render::comment(&state.model, comment, version(state, comment)),
        })
    });
    let mut shown: Vec<Value> = std::iter::once(opened).chain(commented).collect();
    shown.reverse();
    list::list(request, &shown)
}

fn text(request: &Request) -> Result<String, Box<Reply>> {
    match request.text("text").filter(|text| !text.is_empty()) {
        Some(text) if text.chars().count() > 32_768 => {
            errors::bad_request("text: size must be between 0 and 32768").err()
        }
        Some(text) => Ok(text.to_owned()),
        None => errors::bad_request("text is required").err(),
    }
}

fn show(state: &State, request: &Request, id: u64, code: StatusCode) -> Answer {
    let (repository, pull) = find(state, request)?;
    let on = CommentOn::Pull(pull.number);
    match repository.comments_on(&on).find(|comment| comment.id == id) {
        Some(one) => Ok(Reply::json(code, &render::comment(&state.model, one, version(state, one)))),
        None => errors::not_found("Comment").err(),
    }
}

pub(super) fn comment(state: &mut State, request: &Request) -> Answer {
    show(state, request, request.number("comment"), StatusCode::OK)
}

pub(super) fn create_comment(state: &mut State, request: &Request) -> Answer {
    let number = find(state, request)?.1.number;
    let (author, text) = (request.user().unwrap_or_default().to_owned(), text(request)?);
    let made = state.model.comment(&full_name(request), CommentOn::Pull(number), &author, &text);
    let id = made.map_err(|_| errors::not_found("Repository"))?;
    show(state, request, id, StatusCode::CREATED)
}

/// The comment, if who asks wrote it.
fn own<'a>(state: &'a mut State, request: &Request) -> Result<&'a mut Comment, Box<Reply>> {
    let id = request.number("comment");
    let comment = state.repo_mut(request)?.comments.iter_mut().find(|comment| comment.id == id);
    match comment {
        Some(comment) if Some(comment.author.as_str()) == request.user() => Ok(comment),
        Some(_) => errors::unauthorized().err(),
        None => errors::not_found("Comment").err(),
    }
}

/// Only who knows the newest version may change it.
pub(super) fn update_comment(state: &mut State, request: &Request) -> Answer {
    let (id, now, text) = (request.number("comment"), state.model.now(), text(request)?);
    let known = state.versions.get(&id).copied().unwrap_or_default();
    let comment = own(state, request)?;
    if request.body["version"] != known {
        return errors::outdated().err();
    }
    (comment.body, comment.updated_at) = (text, now);
    state.versions.insert(id, known + 1);
    show(state, request, id, StatusCode::OK)
}

pub(super) fn delete_comment(state: &mut State, request: &Request) -> Answer {
    let id = own(state, request)?.id;
    state.repo_mut(request)?.comments.retain(|comment| comment.id != id);
    Reply::no_content()
}
