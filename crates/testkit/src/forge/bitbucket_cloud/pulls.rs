//! Pull requests, and comments on them.

use http::StatusCode;

use super::state::{State, full_name};
use super::{errors, list, render};
use crate::forge::exchange::{Answer, Reply, Request};
use crate::forge::repository::{Comment, CommentOn, PullRequest, PullState, Repository};

/// Pages of pull requests are short.
const MOST_PULLS: usize = 50;

fn find<'a>(state: &'a State, request: &Request) -> Result<(&'a Repository, &'a PullRequest), Box<Reply>> {
    let repository = state.repo(request)?;
    let pull = repository.pull(request.number("id"));
    Ok((repository, pull.ok_or_else(|| errors::not_found("Pull request"))?))
}

/// The open ones, unless `state` asks for others.
pub(super) fn list_pulls(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let wanted = match request.query("state").unwrap_or("OPEN") {
        "MERGED" => PullState::Merged,
        "DECLINED" => PullState::Closed,
        _ => PullState::Open,
    };
    let found = repository.pulls.iter().filter(|pull| pull.state == wanted);
    let shown = found.map(|pull| render::pull(&state.model, repository, pull)).collect();
    list::of_lengths(request, shown, 10, MOST_PULLS)
}

pub(super) fn get(state: &mut State, request: &Request) -> Answer {
    let (repository, pull) = find(state, request)?;
    Reply::ok(&render::pull(&state.model, repository, pull))
}

/// Sends on to the difference of the two commits, without the query.
pub(super) fn diffstat(state: &mut State, request: &Request) -> Answer {
    let (repository, pull) = find(state, request)?;
    let base = repository.head(&pull.base_branch).ok_or_else(|| errors::not_found("Branch"))?;
    let of = format!("{}/repositories/{}", render::api(&state.model), repository.full_name());
    let location =
        format!("{of}/diffstat/{}..{base}?from_pullrequest_id={}&topic=true", pull.head_sha, pull.number);
    Ok(Reply::empty(StatusCode::FOUND).with("location", location))
}

pub(super) fn comments(state: &mut State, request: &Request) -> Answer {
    let (repository, pull) = find(state, request)?;
    let on = CommentOn::Pull(pull.number);
    let found = repository.comments_on(&on);
    let shown = found.map(|one| render::comment(&state.model, repository, pull.number, one));
    list::list(request, shown.collect())
}

fn text(request: &Request) -> Result<String, Box<Reply>> {
    match request.body["content"]["raw"].as_str().filter(|text| !text.is_empty()) {
        Some(text) => Ok(text.to_owned()),
        None => errors::bad_request("content: This field is required").err(),
    }
}

fn show(state: &State, request: &Request, id: u64, code: StatusCode) -> Answer {
    let (repository, pull) = find(state, request)?;
    let on = CommentOn::Pull(pull.number);
    match repository.comments_on(&on).find(|comment| comment.id == id) {
        Some(one) => Ok(Reply::json(code, &render::comment(&state.model, repository, pull.number, one))),
        None => errors::not_found("Comment").err(),
    }
}

pub(super) fn comment(state: &mut State, request: &Request) -> Answer {
    show(state, request, request.number("comment_id"), StatusCode::OK)
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
    let id = request.number("comment_id");
    let comment = state.repo_mut(request)?.comments.iter_mut().find(|comment| comment.id == id);
    match comment {
        Some(comment) if Some(comment.author.as_str()) == request.user() => Ok(comment),
        Some(_) => errors::forbidden().err(),
        None => errors::not_found("Comment").err(),
    }
}

pub(super) fn update_comment(state: &mut State, request: &Request) -> Answer {
    let (text, now) = (text(request)?, state.model.now());
    let comment = own(state, request)?;
    (comment.body, comment.updated_at) = (text, now);
    let id = comment.id;
    show(state, request, id, StatusCode::OK)
}

pub(super) fn delete_comment(state: &mut State, request: &Request) -> Answer {
    let id = own(state, request)?.id;
    state.repo_mut(request)?.comments.retain(|comment| comment.id != id);
    Reply::no_content()
}
