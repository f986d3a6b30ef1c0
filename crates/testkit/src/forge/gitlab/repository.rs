//! Trees, files, branches and tags.

use http::StatusCode;
use serde_json::{Value, json};

use super::state::State;
use super::{errors, list, render};
use crate::forge::exchange::{Answer, Reply, Request, base64, from_base64};
use crate::forge::git::{Commit, Signature};
use crate::forge::repository::Repository;
use sha2::{Digest as _, Sha256};

/// The commit of the query's `ref`; the default branch without one.
fn commit<'a>(state: &'a State, project: &Repository, request: &Request) -> Result<&'a Commit, Box<Reply>> {
    let reference = request.query("ref").filter(|name| *name != "HEAD").unwrap_or(&project.default_branch);
    state.model.resolve(project, reference).ok_or_else(|| errors::not_found("Commit").into())
}

pub(super) fn tree(state: &mut State, request: &Request) -> Answer {
    let project = state.project(request)?;
    let root = request.query("path").unwrap_or_default().trim_matches('/');
    let objects = state.model.objects(project);
    let entry = commit(state, project, request).ok().and_then(|commit| objects.entry(&commit.tree, root));
    let Some(entry) = entry.filter(crate::forge::git::Entry::is_tree) else {
        return errors::not_found("Tree").err();
    };
    let is_recursive = request.query("recursive") == Some("true");
    let found = if is_recursive {
        objects.walk(&entry.sha)
    } else {
        objects.tree(&entry.sha).cloned().unwrap_or_default()
    };
    let mut shown: Vec<Value> = found
        .iter()
        .map(|(path, entry)| {
            let path = if root.is_empty() { path.clone() } else { format!("{root}/{path}") };
            json!({
                "id": entry.sha,
                "name": path.rsplit('/').next(),
                "type": entry.kind(),
                "path": path,
                "mode": entry.mode,
            })
        })
        .collect();
    // Directories come first.
    shown.sort_by_key(|entry| entry["type"] != "tree");
    list::keyset(request, shown, "page_token", "path")
}

/// A file with its content. `HEAD` has the same headers.
pub(super) fn file(state: &mut State, request: &Request) -> Answer {
    let project = state.project(request)?;
    let Some(reference) = request.query("ref") else { return errors::missing("ref").err() };
    let commit = commit(state, project, request)?;
    let (objects, path) = (state.model.objects(project), request.param("file_path"));
    let entry = objects.entry(&commit.tree, path);
    let Some((entry, content)) = entry.and_then(|entry| objects.blob(&entry.sha).map(|blob| (entry, blob)))
    else {
        return errors::not_found("File").err();
    };
    let name = path.rsplit('/').next().unwrap_or_default();
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(content));
    let shown = json!({
        "file_name": name,
        "file_path": path,
        "size": content.len(),
        "encoding": "base64",
        "content": base64(content),
        "content_sha256": digest,
        "ref": reference,
        "blob_id": entry.sha,
        "commit_id": commit.sha,
        "last_commit_id": commit.sha,
        "execute_filemode": entry.mode == "100755",
    });
    Ok(Reply::json(StatusCode::OK, &shown)
        .with("x-gitlab-file-name", name)
        .with("x-gitlab-file-path", path)
        .with("x-gitlab-size", content.len())
        .with("x-gitlab-encoding", "base64")
        .with("x-gitlab-ref", reference)
        .with("x-gitlab-blob-id", &entry.sha)
        .with("x-gitlab-commit-id", &commit.sha)
        .with("x-gitlab-content-sha256", digest))
}

pub(super) fn raw_file(state: &mut State, request: &Request) -> Answer {
    let project = state.project(request)?;
    let commit = commit(state, project, request)?;
    match state.model.objects(project).file(&commit.tree, request.param("file_path")) {
        Some(content) => Ok(Reply::raw(StatusCode::OK, "text/plain; charset=utf-8", content)),
        None => errors::not_found("File").err(),
    }
}

pub(super) fn create_file(state: &mut State, request: &Request) -> Answer {
    let content = content(&request.body)?;
    change_file(state, request, false, Some(&content))?;
    Reply::created(&json!({"file_path": request.param("file_path"), "branch": request.text("branch")}))
}

pub(super) fn update_file(state: &mut State, request: &Request) -> Answer {
    let content = content(&request.body)?;
    change_file(state, request, true, Some(&content))?;
    Reply::ok(&json!({"file_path": request.param("file_path"), "branch": request.text("branch")}))
}

pub(super) fn delete_file(state: &mut State, request: &Request) -> Answer {
    change_file(state, request, true, None)?;
    Reply::no_content()
}

/// Of a file in a request's body or an action of a commit.
pub(super) fn content(body: &Value) -> Result<Vec<u8>, Box<Reply>> {
    let text = body["content"].as_str().unwrap_or_default();
    match body["encoding"].as_str() {
        Some("base64") => from_base64(text).ok_or_else(|| errors::bad_request("content is no base64").into()),
        _ => Ok(text.as_bytes().to_vec()),
    }
}

fn change_file(
    state: &mut State,
    request: &Request,
    must_exist: bool,
    content: Option<&[u8]>,
) -> Result<(), Box<Reply>> {
    let project = state.project(request)?;
    let text = |name: &str| request.text(name).or(request.query(name));
    let (Some(branch), Some(message)) = (text("branch"), text("commit_message")) else {
        return errors::missing("branch, commit_message").err();
    };
    let path = request.param("file_path");
    let head = project.head(branch).and_then(|sha| state.model.objects(project).commit(sha));
    let Some(head) = head.filter(|_| project.head(branch).is_some()) else {
        return errors::bad_request("You can only create or edit files when you are on a branch").err();
    };
    let exists = state.model.objects(project).file(&head.tree, path).is_some();
    if exists != must_exist {
        let why = if exists {
            "A file with this name already exists"
        } else {
            "A file with this name doesn't exist"
        };
        return errors::bad_request(why).err();
    }
    let (full_name, by) = (project.full_name(), author(state, request));
    let written = state.model.commit_as(&full_name, branch, message, &[(path, content)], by);
    written.map(drop).map_err(|_| errors::not_found("Project").into())
}

/// Who a commit is by: as the body says, else who asks.
pub(super) fn author(state: &State, request: &Request) -> Signature {
    let login = request.user().unwrap_or("ghost");
    Signature {
        name: request.text("author_name").unwrap_or(login).to_owned(),
        email: request
            .text("author_email")
            .map_or_else(|| format!("{login}@users.noreply.example"), str::to_owned),
        date: state.model.now(),
    }
}

pub(super) fn branches(state: &mut State, request: &Request) -> Answer {
    let project = state.project(request)?;
    let wanted = |name: &str| request.query("search").is_none_or(|text| name.contains(text));
    let found = project.refs_below("refs/heads/").filter(|(name, _)| wanted(name));
    let shown = found.filter_map(|(name, sha)| {
        let head = state.model.objects(project).commit(sha)?;
        Some(render::branch(&state.model, project, name, head))
    });
    list::list(request, shown.collect())
}

pub(super) fn branch(state: &mut State, request: &Request) -> Answer {
    let project = state.project(request)?;
    let name = request.param("branch");
    match project.head(name).and_then(|sha| state.model.objects(project).commit(sha)) {
        Some(head) => Reply::ok(&render::branch(&state.model, project, name, head)),
        None => errors::not_found("Branch").err(),
    }
}

pub(super) fn create_branch(state: &mut State, request: &Request) -> Answer {
    let project = state.project(request)?;
    let text = |name: &str| request.text(name).or(request.query(name));
    let (Some(name), Some(reference)) = (text("branch"), text("ref")) else {
        return errors::missing("branch, ref").err();
    };
    if project.head(name).is_some() {
        return errors::bad_request("Branch already exists").err();
    }
    let Some(head) = state.model.resolve(project, reference).cloned() else {
        return errors::bad_request(&format!("Invalid reference name: {reference}")).err();
    };
    let full_name = project.full_name();
    let set = state.model.set_ref(&full_name, &format!("refs/heads/{name}"), &head.sha);
    set.map_err(|_| errors::not_found("Project"))?;
    Reply::created(&render::branch(&state.model, state.project(request)?, name, &head))
}

pub(super) fn delete_branch(state: &mut State, request: &Request) -> Answer {
    let full_name = state.project(request)?.full_name();
    match state.model.delete_ref(&full_name, &format!("refs/heads/{}", request.param("branch"))) {
        Ok(true) => Reply::no_content(),
        _ => errors::not_found("Branch").err(),
    }
}

fn render_tag(state: &State, project: &Repository, name: &str, sha: &str) -> Value {
    let commit = state.model.objects(project).commit(sha);
    let commit = commit.map(|commit| render::commit(&state.model, project, commit));
    json!({"name": name, "target": sha, "message": "", "commit": commit, "release": null, "protected": false})
}

pub(super) fn tags(state: &mut State, request: &Request) -> Answer {
    let project = state.project(request)?;
    let tags = project.refs_below("refs/tags/");
    list::list(request, tags.map(|(name, sha)| render_tag(state, project, name, sha)).collect())
}

pub(super) fn tag(state: &mut State, request: &Request) -> Answer {
    let project = state.project(request)?;
    let name = request.param("tag_name");
    match project.refs.get(&format!("refs/tags/{name}")) {
        Some(sha) => Reply::ok(&render_tag(state, project, name, sha)),
        None => errors::not_found("Tag").err(),
    }
}
