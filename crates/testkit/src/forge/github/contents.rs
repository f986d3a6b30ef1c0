//! Files and directories by path.

use http::StatusCode;
use serde_json::{Value, json};

use super::state::{State, full_name};
use super::{errors, render};
use crate::forge::exchange::{Answer, Reply, Request, base64_lines, from_base64};
use crate::forge::git::{Commit, Entry, Signature};
use crate::forge::repository::Repository;

/// Larger files have to be fetched as blobs: their content is left out here.
const LARGEST_CONTENT: usize = 1024 * 1024;

/// A directory's entries, or a file with its content.
pub(super) fn get(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let reference = request.query("ref").unwrap_or(&repository.default_branch);
    let Some(commit) = state.model.resolve(repository, reference) else {
        let why = format!("No commit found for the ref {reference}");
        return errors::message(StatusCode::NOT_FOUND, &why).err();
    };
    let path = request.param("path").trim_end_matches('/');
    let objects = state.model.objects(repository);
    let Some(entry) = objects.entry(&commit.tree, path) else { return errors::not_found().err() };
    if let Some(tree) = objects.tree(&entry.sha).filter(|_| entry.is_tree()) {
        let entries = tree.iter().map(|(name, entry)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            render_entry(state, repository, reference, &path, entry)
        });
        return Reply::ok(&entries.collect());
    }
    let content = objects.blob(&entry.sha).unwrap_or_default();
    if request.header("accept").is_some_and(|accept| accept.contains("raw")) {
        return Ok(Reply::raw(StatusCode::OK, "application/vnd.github.raw+json; charset=utf-8", content));
    }
    let mut shown = render_entry(state, repository, reference, path, &entry);
    let is_small = content.len() <= LARGEST_CONTENT;
    shown["encoding"] = json!(if is_small { "base64" } else { "none" });
    shown["content"] = json!(if is_small { base64_lines(content) } else { String::new() });
    Reply::ok(&shown)
}

fn render_entry(state: &State, repository: &Repository, reference: &str, path: &str, entry: &Entry) -> Value {
    let (model, full_name) = (&state.model, repository.full_name());
    let base = format!("{}/repos/{full_name}", render::api(model));
    let page = if entry.is_tree() { "tree" } else { "blob" };
    let url = format!("{base}/contents/{path}?ref={reference}");
    let git = format!("{base}/git/{page}s/{}", entry.sha);
    let html = format!("{}/{full_name}/{page}/{reference}/{path}", model.url);
    json!({
        "type": if entry.is_tree() { "dir" } else if entry.mode == "120000" { "symlink" } else { "file" },
        "name": path.rsplit('/').next(),
        "path": path,
        "sha": entry.sha,
        "size": model.objects(repository).blob(&entry.sha).map_or(0, <[u8]>::len),
        "url": url,
        "git_url": git,
        "html_url": html,
        "download_url": (!entry.is_tree()).then(|| format!("{}/{full_name}/raw/{reference}/{path}", model.url)),
        "_links": {"self": url, "git": git, "html": html},
    })
}

/// Creates or changes a file.
pub(super) fn put(state: &mut State, request: &Request) -> Answer {
    let Some(content) = request.text("content").and_then(from_base64) else {
        return errors::message(StatusCode::UNPROCESSABLE_ENTITY, "content is not valid Base64").err();
    };
    let existed = check_sha(state, request)?.is_some();
    let shown = write(state, request, Some(&content))?;
    let status = if existed { StatusCode::OK } else { StatusCode::CREATED };
    Ok(Reply::json(status, &shown))
}

pub(super) fn delete(state: &mut State, request: &Request) -> Answer {
    if check_sha(state, request)?.is_none() {
        return errors::not_found().err();
    }
    Reply::ok(&write(state, request, None)?)
}

/// The file as it is. A change has to say which content it replaces, or it might undo another's.
fn check_sha(state: &State, request: &Request) -> Result<Option<Entry>, Box<Reply>> {
    let repository = state.repo(request)?;
    let branch = request.text("branch").or(request.query("branch")).unwrap_or(&repository.default_branch);
    let commit = repository.head(branch).and_then(|sha| state.model.objects(repository).commit(sha));
    let Some(commit) = commit else {
        return errors::message(StatusCode::NOT_FOUND, &format!("Branch {branch} not found")).err();
    };
    let (path, given) = (request.param("path"), request.text("sha").or(request.query("sha")));
    let existing = state.model.objects(repository).entry(&commit.tree, path);
    match (&existing, given) {
        (Some(_), None) => {
            let why = "Invalid request.\n\n\"sha\" wasn't supplied.";
            errors::message(StatusCode::UNPROCESSABLE_ENTITY, why).err()
        }
        (Some(entry), Some(given)) if entry.sha != given => {
            errors::message(StatusCode::CONFLICT, &format!("{path} does not match {given}")).err()
        }
        _ => Ok(existing),
    }
}

fn write(state: &mut State, request: &Request, content: Option<&[u8]>) -> Result<Value, Box<Reply>> {
    let Some(message) = request.text("message") else {
        return errors::message(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Invalid request.\n\n\"message\" wasn't supplied.",
        )
        .err();
    };
    let branch = request.text("branch").or(request.query("branch")).map(str::to_owned);
    let branch = branch.map_or_else(|| state.repo(request).map(|repo| repo.default_branch.clone()), Ok)?;
    let by = signature(state, request, "author");
    let path = request.param("path");
    let full_name = full_name(request);
    let written = state.model.commit_as(&full_name, &branch, message, &[(path, content)], by);
    let sha = written.map_err(|_| errors::not_found())?;
    let repository = state.repo(request)?;
    let objects = state.model.objects(repository);
    let commit = objects.commit(&sha).ok_or_else(errors::not_found)?;
    let entry = objects.entry(&commit.tree, path);
    Ok(json!({
        "content": entry.map(|entry| render_entry(state, repository, &branch, path, &entry)),
        "commit": render::git_commit(&state.model, repository, commit),
    }))
}

/// Who a commit is by: as the body says, else who asks.
pub(super) fn signature(state: &State, request: &Request, field: &str) -> Signature {
    let given = &request.body[field];
    let actor = state.actor(request);
    let text = |name: &str| given[name].as_str().map(str::to_owned);
    let date = given["date"].as_str().and_then(|date| date.parse().ok());
    Signature {
        name: text("name").unwrap_or_else(|| actor.clone()),
        email: text("email").unwrap_or_else(|| format!("{actor}@users.noreply.example")),
        date: date.unwrap_or_else(|| state.model.now()),
    }
}

/// The commit that the path or query names.
pub(super) fn resolve<'a>(
    state: &'a State,
    repository: &Repository,
    reference: &str,
) -> Result<&'a Commit, Box<Reply>> {
    let why = format!("No commit found for SHA: {reference}");
    let found = state.model.resolve(repository, reference);
    found.ok_or_else(|| errors::message(StatusCode::UNPROCESSABLE_ENTITY, &why).into())
}
