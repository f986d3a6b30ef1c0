//! Git's own objects and refs.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Value, json};

use super::contents::signature;
use super::state::{State, full_name};
use super::{errors, list, render};
use crate::forge::exchange::{Answer, Reply, Request, base64_lines, from_base64};
use crate::forge::git::Entry;
use crate::forge::repository::Repository;

/// Entries of a tree that are shown at once, all levels together.
const LARGEST_TREE: usize = 100_000;

fn unprocessable(why: &str) -> Reply {
    errors::message(StatusCode::UNPROCESSABLE_ENTITY, why)
}

/// By the tree's own name, a commit's, or a branch's.
pub(super) fn get_tree(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let name = request.param("tree_sha");
    let objects = state.model.objects(repository);
    let commit = state.model.resolve(repository, name);
    let Some((sha, tree)) = Some(commit.map_or(name, |commit| &commit.tree))
        .and_then(|sha| objects.tree(sha).map(|tree| (sha, tree)))
    else {
        return errors::not_found().err();
    };
    let recursive = request.query.iter().any(|(name, _)| name == "recursive");
    let entries = if recursive { objects.walk(sha) } else { tree.clone() };
    Reply::ok(&render_tree(state, repository, sha, &entries))
}

fn render_tree(
    state: &State,
    repository: &Repository,
    sha: &str,
    entries: &BTreeMap<String, Entry>,
) -> Value {
    let base = format!("{}/repos/{}/git", render::api(&state.model), repository.full_name());
    let objects = state.model.objects(repository);
    let shown = entries.iter().take(LARGEST_TREE).map(|(path, entry)| {
        let mut shown = json!({
            "path": path,
            "mode": entry.mode,
            "type": entry.kind(),
            "sha": entry.sha,
            "url": format!("{base}/{}s/{}", entry.kind(), entry.sha),
        });
        if let Some(blob) = objects.blob(&entry.sha) {
            shown["size"] = json!(blob.len());
        }
        shown
    });
    json!({
        "sha": sha,
        "url": format!("{base}/trees/{sha}"),
        "tree": shown.collect::<Vec<_>>(),
        "truncated": entries.len() > LARGEST_TREE,
    })
}

pub(super) fn create_tree(state: &mut State, request: &Request) -> Answer {
    let Some(wanted) = request.body["tree"].as_array() else {
        return unprocessable("Invalid request.\n\n\"tree\" wasn't supplied.").err();
    };
    let objects = state.model.objects_mut(&full_name(request)).map_err(|_| errors::not_found())?;
    let base = request.text("base_tree");
    let base = base.map(|base| objects.commit(base).map_or(base, |commit| &commit.tree).to_owned());
    if base.as_ref().is_some_and(|base| objects.tree(base).is_none()) {
        return unprocessable("base_tree is not a valid tree oid").err();
    }
    let mut files = base.map(|base| objects.files(&base)).unwrap_or_default();
    for entry in wanted {
        let Some(path) = entry["path"].as_str() else { return unprocessable("tree.path is missing").err() };
        let mode = entry["mode"].as_str().unwrap_or("100644").to_owned();
        match (entry["content"].as_str(), &entry["sha"]) {
            (Some(content), _) => {
                let sha = objects.put_blob(content.as_bytes());
                files.insert(path.to_owned(), Entry { mode, sha });
            }
            (None, Value::Null) => _ = files.remove(path),
            (None, sha) => match sha.as_str().filter(|sha| objects.blob(sha).is_some()) {
                Some(sha) => _ = files.insert(path.to_owned(), Entry { mode, sha: sha.to_owned() }),
                None => return unprocessable("tree.sha is not a valid blob").err(),
            },
        }
    }
    let sha = objects.put_files(&files);
    let entries = objects.tree(&sha).cloned().unwrap_or_default();
    Reply::created(&render_tree(state, state.repo(request)?, &sha, &entries))
}

pub(super) fn get_blob(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let sha = request.param("file_sha");
    let Some(content) = state.model.objects(repository).blob(sha) else { return errors::not_found().err() };
    if request.header("accept").is_some_and(|accept| accept.contains("raw")) {
        return Ok(Reply::raw(StatusCode::OK, "application/vnd.github.raw+json; charset=utf-8", content));
    }
    Reply::ok(&json!({
        "sha": sha,
        "size": content.len(),
        "url": format!("{}/repos/{}/git/blobs/{sha}", render::api(&state.model), repository.full_name()),
        "encoding": "base64",
        "content": base64_lines(content),
    }))
}

pub(super) fn create_blob(state: &mut State, request: &Request) -> Answer {
    let content = request.text("content").unwrap_or_default();
    let content = match request.text("encoding") {
        Some("base64") => from_base64(content).ok_or_else(|| unprocessable("content is not valid Base64"))?,
        _ => content.as_bytes().to_vec(),
    };
    let objects = state.model.objects_mut(&full_name(request)).map_err(|_| errors::not_found())?;
    let sha = objects.put_blob(&content);
    let base = format!("{}/repos/{}", render::api(&state.model), full_name(request));
    Reply::created(&json!({"sha": sha, "url": format!("{base}/git/blobs/{sha}")}))
}

pub(super) fn get_commit(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    match state.model.objects(repository).commit(request.param("commit_sha")) {
        Some(commit) => Reply::ok(&render::git_commit(&state.model, repository, commit)),
        None => errors::not_found().err(),
    }
}

pub(super) fn create_commit(state: &mut State, request: &Request) -> Answer {
    let parents: Vec<String> = request.body["parents"]
        .as_array()
        .map(|parents| parents.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        .unwrap_or_default();
    let (Some(message), Some(tree)) = (request.text("message"), request.text("tree")) else {
        return unprocessable("Invalid request.\n\n\"message\", \"tree\" weren't supplied.").err();
    };
    let author = signature(state, request, "author");
    let field = if request.body["committer"].is_object() { "committer" } else { "author" };
    let committer = signature(state, request, field);
    let objects = state.model.objects_mut(&full_name(request)).map_err(|_| errors::not_found())?;
    if objects.tree(tree).is_none() {
        return unprocessable("Tree SHA does not exist").err();
    }
    if parents.iter().any(|parent| objects.commit(parent).is_none()) {
        return unprocessable("Parent SHA does not exist or is not a commit object").err();
    }
    let sha = objects.put_commit(tree, &parents, message, author, committer);
    let repository = state.repo(request)?;
    let commit = state.model.objects(repository).commit(&sha).ok_or_else(errors::not_found)?;
    Reply::created(&render::git_commit(&state.model, repository, commit))
}

pub(super) fn get_ref(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let name = format!("refs/{}", request.param("ref"));
    match repository.refs.get(&name) {
        Some(sha) => Reply::ok(&render::reference(&state.model, repository, &name, sha)),
        None => errors::not_found().err(),
    }
}

/// All that begin so.
pub(super) fn matching_refs(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let prefix = format!("refs/{}", request.param("ref"));
    let found = repository.refs.iter().filter(|(name, _)| name.starts_with(&prefix));
    list::list(
        request,
        found.map(|(name, sha)| render::reference(&state.model, repository, name, sha)).collect(),
    )
}

pub(super) fn create_ref(state: &mut State, request: &Request) -> Answer {
    let (Some(name), Some(sha)) = (request.text("ref"), request.text("sha")) else {
        return unprocessable("Invalid request.\n\n\"ref\", \"sha\" weren't supplied.").err();
    };
    let repository = state.repo(request)?;
    if !name.starts_with("refs/") || name.matches('/').count() < 2 {
        return unprocessable("Reference name must start with 'refs/' and have at least two slashes").err();
    }
    if repository.refs.contains_key(name) {
        return unprocessable("Reference already exists").err();
    }
    Ok(Reply { status: StatusCode::CREATED, ..set(state, request, name, sha)? })
}

pub(super) fn update_ref(state: &mut State, request: &Request) -> Answer {
    let name = format!("refs/{}", request.param("ref"));
    let Some(sha) = request.text("sha") else {
        return unprocessable("Invalid request.\n\n\"sha\" wasn't supplied.").err();
    };
    let repository = state.repo(request)?;
    let Some(old) = repository.refs.get(&name) else {
        return unprocessable("Reference does not exist").err();
    };
    let objects = state.model.objects(repository);
    let is_known = objects.commit(sha).is_some();
    if is_known && request.body["force"] != true && !objects.is_ancestor(old, sha) {
        return unprocessable("Update is not a fast forward").err();
    }
    set(state, request, &name, sha)
}

fn set(state: &mut State, request: &Request, name: &str, sha: &str) -> Answer {
    if state.model.objects(state.repo(request)?).commit(sha).is_none() {
        return unprocessable("Object does not exist").err();
    }
    state.model.set_ref(&full_name(request), name, sha).map_err(|_| errors::not_found())?;
    Reply::ok(&render::reference(&state.model, state.repo(request)?, name, sha))
}

pub(super) fn delete_ref(state: &mut State, request: &Request) -> Answer {
    let name = format!("refs/{}", request.param("ref"));
    match state.model.delete_ref(&full_name(request), &name) {
        Ok(true) => Reply::no_content(),
        _ => unprocessable("Reference does not exist").err(),
    }
}
