//! Pull requests as issues, and comments on them.

use serde_json::Value;

use super::state::{State, full_name};
use super::{errors, list, render};
use crate::forge::exchange::{Answer, Reply, Request};
use crate::forge::model::Access;
use crate::forge::repository::{Comment, CommentOn};

/// Longer texts are refused.
const LONGEST_BODY: usize = 65_536;

pub(super) fn issue(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    match repository.pull(request.number("number")) {
        Some(pull) => Reply::ok(&render::issue(&state.model, repository, pull)),
        None => errors::not_found().err(),
    }
}

/// Beside those that it has. Unknown ones are made.
pub(super) fn add_labels(state: &mut State, request: &Request) -> Answer {
    let number = request.number("number");
    let Some(added) = request.body["labels"].as_array() else {
        return errors::invalid("Label", "labels", "missing_field").err();
    };
    let added: Vec<String> = added.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let pull = state.repo_mut(request)?.pull_mut(number).ok_or_else(errors::not_found)?;
    for label in added {
        if !pull.labels.contains(&label) {
            pull.labels.push(label);
        }
    }
    let repository = state.repo(request)?;
    let labels = repository.pull(number).map(|pull| &pull.labels).into_iter().flatten();
    Reply::ok(&labels.map(|name| render::label(&state.model, repository, name)).collect())
}

/// Oldest first.
pub(super) fn list_comments(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let number = request.number("number");
    if repository.pull(number).is_none() {
        return errors::not_found().err();
    }
    let on = CommentOn::Pull(number);
    let found = repository.comments_on(&on);
    list::list(request, found.map(|one| render::comment(&state.model, repository, one)).collect())
}

pub(super) fn create(state: &mut State, request: &Request) -> Answer {
    let number = request.number("number");
    if state.repo(request)?.pull(number).is_none() {
        return errors::not_found().err();
    }
    create_on(state, request, &full_name(request), CommentOn::Pull(number))
}

pub(super) fn create_on(state: &mut State, request: &Request, full_name: &str, on: CommentOn) -> Answer {
    let body = body(request)?;
    let author = state.actor(request);
    let made = state.model.comment(full_name, on, &author, body);
    let id = made.map_err(|_| errors::not_found())?;
    Ok(Reply { status: http::StatusCode::CREATED, ..show(state, request, id)? })
}

fn body(request: &Request) -> Result<&str, Box<Reply>> {
    match request.text("body") {
        Some(body) if body.len() > LONGEST_BODY => {
            errors::invalid_because("IssueComment", "body is too long (maximum is 65536 characters)").err()
        }
        Some(body) if !body.trim().is_empty() => Ok(body),
        _ => errors::invalid("IssueComment", "body", "missing_field").err(),
    }
}

fn show(state: &State, request: &Request, id: u64) -> Answer {
    let repository = state.repo(request)?;
    match repository.comments.iter().find(|comment| comment.id == id) {
        Some(comment) => Reply::ok(&render::comment(&state.model, repository, comment)),
        None => errors::not_found().err(),
    }
}

pub(super) fn get(state: &mut State, request: &Request) -> Answer {
    show(state, request, request.number("comment_id"))
}

pub(super) fn update(state: &mut State, request: &Request) -> Answer {
    let (id, body, now) = (request.number("comment_id"), body(request)?, state.model.now());
    let comment = own(state, request)?;
    body.clone_into(&mut comment.body);
    comment.updated_at = now;
    show(state, request, id)
}

pub(super) fn delete(state: &mut State, request: &Request) -> Answer {
    let id = own(state, request)?.id;
    state.repo_mut(request)?.comments.retain(|comment| comment.id != id);
    Reply::no_content()
}

/// The comment, if who asks wrote it or may push.
fn own<'a>(state: &'a mut State, request: &Request) -> Result<&'a mut Comment, Box<Reply>> {
    let id = request.number("comment_id");
    let actor = state.actor(request);
    let repository = state.repo(request)?;
    let may_push = match request.user() {
        Some(login) => state.model.access(repository, login) >= Some(Access::Write),
        None => true,
    };
    let comment = state.repo_mut(request)?.comments.iter_mut().find(|comment| comment.id == id);
    match comment {
        Some(comment) if may_push || comment.author == actor => Ok(comment),
        Some(_) => errors::forbidden("Must have admin rights to Repository.").err(),
        None => errors::not_found().err(),
    }
}
