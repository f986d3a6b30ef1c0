//! Repositories, their files, and who has rights to them.

use http::StatusCode;
use serde_json::{Value, json};

use super::state::State;
use super::{errors, list, render};
use crate::forge::exchange::{Answer, Reply, Request};
use crate::forge::git::{Commit, Entry};
use crate::forge::model::{Access, Member};
use crate::forge::repository::Repository;

pub(super) fn get(state: &mut State, request: &Request) -> Answer {
    Reply::ok(&render::repository(&state.model, state.repo(request)?))
}

pub(super) fn default_branch(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let name = &repository.default_branch;
    let head = repository.head(name).ok_or_else(|| errors::not_found("Branch"))?;
    Reply::ok(&json!({
        "id": format!("refs/heads/{name}"),
        "displayId": name,
        "type": "BRANCH",
        "latestCommit": head,
        "isDefault": true,
    }))
}

/// Those whose name has the filter in it.
fn permitted(state: &State, request: &Request, prefix: &str, members: &[Member]) -> Answer {
    let filter = request.query("filter").unwrap_or_default().to_lowercase();
    let right = |access: Access| match access {
        Access::Read | Access::Triage => "READ",
        Access::Write | Access::Maintain => "WRITE",
        Access::Admin => "ADMIN",
    };
    let found = members.iter().filter(|member| member.login.to_lowercase().contains(&filter));
    let shown: Vec<Value> = found
        .map(|member| {
            let permission = format!("{prefix}_{}", right(member.access));
            json!({"user": render::user(&state.model, &member.login), "permission": permission})
        })
        .collect();
    list::list(request, &shown)
}

pub(super) fn of_project(state: &mut State, request: &Request) -> Answer {
    let project = state.model.find_account(request.param("project"));
    let members = &project.ok_or_else(|| errors::not_found("Project"))?.members;
    permitted(state, request, "PROJECT", members)
}

/// Not those whom the project gives them to.
pub(super) fn of_repository(state: &mut State, request: &Request) -> Answer {
    permitted(state, request, "REPO", &state.repo(request)?.collaborators)
}

/// What stands at the path of the query's `at`; the default branch without one.
fn at<'a>(
    state: &'a State,
    request: &Request,
) -> Result<(&'a Repository, &'a Commit, Option<Entry>), Box<Reply>> {
    let repository = state.repo(request)?;
    let at = request.query("at").unwrap_or(&repository.default_branch);
    let commit = state.model.resolve(repository, at).ok_or_else(|| errors::not_found("Commit"))?;
    let entry = state.model.objects(repository).entry(&commit.tree, request.param("path"));
    Ok((repository, commit, entry))
}

/// Paths of all files below a directory.
pub(super) fn files(state: &mut State, request: &Request) -> Answer {
    let (repository, _, entry) = at(state, request)?;
    let entry = entry.filter(Entry::is_tree).ok_or_else(|| errors::not_found("Path"))?;
    let found = state.model.objects(repository).files(&entry.sha);
    let shown: Vec<Value> = found.into_keys().map(Value::String).collect();
    list::list(request, &shown)
}

pub(super) fn raw(state: &mut State, request: &Request) -> Answer {
    let (repository, _, entry) = at(state, request)?;
    let entry = entry.filter(|entry| !entry.is_tree()).ok_or_else(|| errors::not_found("Path"))?;
    let content = state.model.objects(repository).blob(&entry.sha);
    let content = content.ok_or_else(|| errors::not_found("Path"))?;
    Ok(Reply::raw(StatusCode::OK, "text/plain;charset=UTF-8", content))
}

/// No pages are served.
pub(super) fn web(_: &mut State, _: &Request) -> Answer {
    errors::not_found("Page").err()
}
