//! Repositories, their branches and files, and who is in a workspace.

use http::StatusCode;
use serde_json::{Value, json};

use super::state::State;
use super::{errors, list, render};
use crate::forge::exchange::{Answer, Reply, Request};
use crate::forge::git::Entry;

pub(super) fn me(state: &mut State, request: &Request) -> Answer {
    Reply::ok(&render::user(&state.model, request.user().unwrap_or_default()))
}

fn member_of(state: &State, workspace: &str, login: &str) -> Value {
    json!({
        "type": "workspace_membership",
        "user": render::user(&state.model, login),
        "workspace": {"type": "workspace", "slug": workspace, "name": workspace},
    })
}

/// Those who ask have to be in it themselves.
fn logins(state: &State, request: &Request) -> Result<Vec<String>, Box<Reply>> {
    let workspace = request.param("workspace");
    let missing = || errors::not_found(&format!("No workspace with identifier '{workspace}'"));
    let account = state.model.find_account(workspace).filter(|account| account.is_organization());
    let account = account.ok_or_else(missing)?;
    Ok(account.members.iter().map(|member| member.login.clone()).collect())
}

pub(super) fn members(state: &mut State, request: &Request) -> Answer {
    let logins = logins(state, request)?;
    let workspace = request.param("workspace");
    list::list(request, logins.iter().map(|login| member_of(state, workspace, login)).collect())
}

/// By the account's id or its UUID.
pub(super) fn member(state: &mut State, request: &Request) -> Answer {
    let wanted = request.param("member").trim_matches(['{', '}']);
    let logins = logins(state, request)?;
    match logins.iter().find(|login| render::account_id(&state.model, login) == wanted) {
        Some(login) => Reply::ok(&member_of(state, request.param("workspace"), login)),
        None => errors::not_found("Member").err(),
    }
}

pub(super) fn get(state: &mut State, request: &Request) -> Answer {
    Reply::ok(&render::repository(&state.model, state.repo(request)?))
}

pub(super) fn branches(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let objects = state.model.objects(repository);
    let shown = repository.refs_below("refs/heads/").filter_map(|(name, sha)| {
        Some(render::reference(&state.model, repository, "branch", name, objects.commit(sha)?))
    });
    list::list(request, shown.collect())
}

pub(super) fn branch(state: &mut State, request: &Request) -> Answer {
    reference(state, request, "branch", "refs/heads/")
}

pub(super) fn tag(state: &mut State, request: &Request) -> Answer {
    reference(state, request, "tag", "refs/tags/")
}

fn reference(state: &State, request: &Request, kind: &str, prefix: &str) -> Answer {
    let (repository, name) = (state.repo(request)?, request.param("name"));
    let sha = repository.refs.get(&format!("{prefix}{name}"));
    match sha.and_then(|sha| state.model.objects(repository).commit(sha)) {
        Some(commit) => Reply::ok(&render::reference(&state.model, repository, kind, name, commit)),
        None => errors::not_found(&format!("{kind} {name}")).err(),
    }
}

/// The content of a file, or what a directory holds as deep as `max_depth` says.
pub(super) fn src(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let path = request.param("path").trim_matches('/');
    let missing = || errors::not_found(&format!("No such file or directory: {path}"));
    let commit = state.model.resolve(repository, request.param("commit"));
    let commit = commit.ok_or_else(|| errors::not_found("Commit"))?;
    let objects = state.model.objects(repository);
    let entry = objects.entry(&commit.tree, path).ok_or_else(missing)?;
    if !entry.is_tree() {
        let content = objects.blob(&entry.sha).ok_or_else(missing)?;
        let name = path.rsplit('/').next().unwrap_or_default();
        let kind = match name.rsplit_once('.') {
            Some((_, "json")) => "application/json",
            _ => "text/plain",
        };
        return Ok(Reply::raw(StatusCode::OK, kind, content)
            .with("content-disposition", format!("attachment; filename=\"{name}\"")));
    }
    let depth = request.query("max_depth").and_then(|depth| depth.parse::<usize>().ok()).unwrap_or(1);
    let show = |below: &str, entry: &Entry| {
        let attributes: &[&str] = match entry.mode.as_str() {
            "120000" => &["link"],
            "100755" => &["executable"],
            _ => &[],
        };
        let path = if path.is_empty() { below.to_owned() } else { format!("{path}/{below}") };
        let mut shown = json!({"path": path, "commit": {"type": "commit", "hash": commit.sha}});
        if entry.is_tree() {
            shown["type"] = json!("commit_directory");
        } else {
            shown["type"] = json!("commit_file");
            shown["attributes"] = json!(attributes);
            shown["size"] = json!(objects.blob(&entry.sha).map(<[u8]>::len));
        }
        shown
    };
    let found = objects.walk(&entry.sha);
    let found = found.iter().filter(|(below, _)| below.split('/').count() <= depth);
    let shown: Vec<Value> = found.map(|(below, entry)| show(below, entry)).collect();
    list::uncounted(request, &shown)
}

/// No pages are served.
pub(super) fn web(_: &mut State, request: &Request) -> Answer {
    errors::not_found(request.param("path")).err()
}
