//! Commits and their statuses.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Value, json};

use super::repository::{author, content};
use super::state::State;
use super::{errors, list, render};
use crate::forge::exchange::{Answer, Reply, Request};
use crate::forge::git::{Commit, Entry, FileChange};
use crate::forge::repository::{CommitStatus, Repository};

pub(super) fn list_commits(state: &mut State, request: &Request) -> Answer {
    let project = state.project(request)?;
    let reference = request.query("ref_name").unwrap_or(&project.default_branch);
    let head = state.model.resolve(project, reference).ok_or_else(|| errors::not_found("Commit"))?;
    let history = state.model.objects(project).history(&head.sha);
    list::list(request, history.into_iter().map(|one| render::commit(&state.model, project, one)).collect())
}

/// By the commit's name, a branch or a tag in the path.
fn named<'a>(state: &'a State, request: &Request) -> Result<(&'a Repository, &'a Commit), Box<Reply>> {
    let project = state.project(request)?;
    let commit = state.model.resolve(project, request.param("sha"));
    Ok((project, commit.ok_or_else(|| errors::not_found("Commit"))?))
}

fn changes(state: &State, project: &Repository, commit: &Commit) -> Vec<FileChange> {
    state.model.objects(project).diff(commit.parents.first().map(String::as_str), Some(&commit.sha))
}

pub(super) fn get(state: &mut State, request: &Request) -> Answer {
    let (project, commit) = named(state, request)?;
    let (added, removed) = changes(state, project, commit)
        .iter()
        .fold((0, 0), |(added, removed), one| (added + one.additions, removed + one.deletions));
    let mut shown = render::commit(&state.model, project, commit);
    shown["stats"] = json!({"additions": added, "deletions": removed, "total": added + removed});
    Reply::ok(&shown)
}

pub(super) fn diff(state: &mut State, request: &Request) -> Answer {
    let (project, commit) = named(state, request)?;
    list::list(request, changes(state, project, commit).iter().map(render::diff).collect())
}

pub(super) fn merge_requests(state: &mut State, request: &Request) -> Answer {
    let (project, commit) = named(state, request)?;
    let found = project
        .pulls
        .iter()
        .filter(|pull| pull.head_sha == commit.sha || pull.merge_commit.as_ref() == Some(&commit.sha));
    list::list(request, found.map(|pull| render::merge_request(&state.model, project, pull)).collect())
}

pub(super) fn compare(state: &mut State, request: &Request) -> Answer {
    let project = state.project(request)?;
    let find = |parameter: &str| request.query(parameter).and_then(|name| state.model.resolve(project, name));
    let (Some(from), Some(to)) = (find("from"), find("to")) else { return errors::not_found("Ref").err() };
    let objects = state.model.objects(project);
    let mut commits = objects.commits_between(&from.sha, &to.sha);
    commits.reverse();
    let base = match request.query("straight") {
        Some("true") => Some(from.sha.clone()),
        _ => objects.merge_base(&from.sha, &to.sha),
    };
    let diffs: Vec<Value> = objects.diff(base.as_deref(), Some(&to.sha)).iter().map(render::diff).collect();
    let commits: Vec<Value> =
        commits.into_iter().map(|commit| render::commit(&state.model, project, commit)).collect();
    Reply::ok(&json!({
        "commit": commits.last(),
        "commits": commits,
        "diffs": diffs,
        "compare_timeout": false,
        "compare_same_ref": from.sha == to.sha,
        "web_url": format!("{}/{}/-/compare/{}...{}", state.model.url, project.full_name(), from.sha, to.sha),
    }))
}

/// One commit of several actions: all or none.
pub(super) fn create(state: &mut State, request: &Request) -> Answer {
    let project = state.project(request)?;
    let (Some(branch), Some(message)) = (request.text("branch"), request.text("commit_message")) else {
        return errors::missing("branch, commit_message").err();
    };
    let start = match project.head(branch) {
        Some(_) if request.text("start_branch").is_some() && request.body["force"] != true => {
            let why = format!(
                "A branch called '{branch}' already exists. Switch to that branch in order to make changes"
            );
            return errors::bad_request(&why).err();
        }
        Some(head) => Some(head),
        None => {
            request.text("start_sha").or(request.text("start_branch").and_then(|name| project.head(name)))
        }
    };
    let parent = start.and_then(|sha| state.model.objects(project).commit(sha)).cloned();
    if parent.is_none() && !project.refs.is_empty() {
        return errors::bad_request("You can only create or edit files when you are on a branch").err();
    }
    let (full_name, by) = (project.full_name(), author(state, request));
    let objects = state.model.objects_mut(&full_name).map_err(|_| errors::not_found("Project"))?;
    let mut files = parent.as_ref().map(|parent| objects.files(&parent.tree)).unwrap_or_default();
    for action in request.body["actions"].as_array().into_iter().flatten() {
        let written = match action["action"].as_str() {
            Some("create" | "update") => Some(objects.put_blob(&content(action)?)),
            _ => None,
        };
        apply(&mut files, action, written)?;
    }
    let tree = objects.put_files(&files);
    let parents: Vec<String> = parent.into_iter().map(|parent| parent.sha).collect();
    let sha = objects.put_commit(&tree, &parents, message, by.clone(), by);
    let set = state.model.set_ref(&full_name, &format!("refs/heads/{branch}"), &sha);
    set.map_err(|_| errors::not_found("Project"))?;
    let project = state.project(request)?;
    let commit = state.model.objects(project).commit(&sha).ok_or_else(|| errors::not_found("Commit"))?;
    Reply::created(&render::commit(&state.model, project, commit))
}

/// `written` is the blob of a file that is created or updated.
fn apply(
    files: &mut BTreeMap<String, Entry>,
    action: &Value,
    written: Option<String>,
) -> Result<(), Box<Reply>> {
    let Some(path) = action["file_path"].as_str() else { return errors::missing("actions[file_path]").err() };
    let kind = action["action"].as_str().unwrap_or_default();
    let old_path = if kind == "move" { action["previous_path"].as_str().unwrap_or_default() } else { path };
    let old = files.get(old_path).cloned();
    let mode = |old: Option<Entry>| old.map_or_else(|| "100644".to_owned(), |entry| entry.mode);
    match (kind, old, written) {
        ("create", Some(_), _) => errors::bad_request("A file with this name already exists").err(),
        ("update" | "delete" | "move" | "chmod", None, _) => {
            errors::bad_request("A file with this name doesn't exist").err()
        }
        ("create" | "update", old, Some(sha)) => {
            files.insert(path.to_owned(), Entry { mode: mode(old), sha });
            Ok(())
        }
        ("delete", ..) => {
            files.remove(path);
            Ok(())
        }
        ("move", Some(entry), _) => {
            files.remove(old_path);
            files.insert(path.to_owned(), entry);
            Ok(())
        }
        ("chmod", Some(entry), _) => {
            let mode = if action["execute_filemode"] == true { "100755" } else { "100644" };
            files.insert(path.to_owned(), Entry { mode: mode.to_owned(), ..entry });
            Ok(())
        }
        _ => Reply::json(
            StatusCode::BAD_REQUEST,
            &json!({"error": "actions[0][action] does not have a valid value"}),
        )
        .err(),
    }
}

/// The newest of each name, unless `all=true`.
pub(super) fn statuses(state: &mut State, request: &Request) -> Answer {
    let (project, commit) = named(state, request)?;
    let mut shown: Vec<&CommitStatus> = Vec::new();
    for status in project.statuses.iter().rev() {
        let is_wanted = status.sha == commit.sha
            && request.query("name").is_none_or(|name| name == status.context)
            && request.query("ref").is_none_or(|name| status.reference.as_deref() == Some(name));
        let is_seen = shown.iter().any(|seen| seen.context == status.context);
        if is_wanted && (request.query("all") == Some("true") || !is_seen) {
            shown.push(status);
        }
    }
    list::list(request, shown.into_iter().map(|status| render::status(&state.model, status)).collect())
}

/// Moves the unfinished status of this name on, or begins a new one. Parameters may be in the query too.
pub(super) fn set_status(state: &mut State, request: &Request) -> Answer {
    let text = |name: &str| request.text(name).or(request.query(name)).map(str::to_owned);
    let Some(wanted) = text("state") else { return errors::missing("state").err() };
    if !matches!(wanted.as_str(), "pending" | "running" | "success" | "failed" | "canceled" | "skipped") {
        let error = json!({"error": "state does not have a valid value"});
        return Reply::json(StatusCode::BAD_REQUEST, &error).err();
    }
    let (project, commit) = named(state, request)?;
    let (sha, context) =
        (commit.sha.clone(), text("name").or(text("context")).unwrap_or("default".to_owned()));
    // Without a ref it is of the branch that has the commit.
    let branch = project.refs_below("refs/heads/").find(|(_, head)| *head == sha);
    let reference = match request.body["pipeline_id"].as_u64() {
        Some(id) => {
            let pipeline = project.pipelines.iter().find(|one| one.id == id && one.sha == sha);
            Some(pipeline.ok_or_else(|| errors::not_found("Pipeline"))?.reference())
        }
        None => text("ref").or(branch.map(|(name, _)| name.to_owned())),
    };
    let (id, now, creator) =
        (state.model.next_id(), state.model.now(), request.user().unwrap_or("ghost").to_owned());
    let statuses = &mut state.project_mut(request)?.statuses;
    let unfinished = statuses.iter_mut().rev().find(|status| {
        let is_same = status.sha == sha && status.context == context && status.reference == reference;
        is_same && matches!(status.state.as_str(), "pending" | "running")
    });
    let (description, target_url) = (text("description"), text("target_url"));
    let status = if let Some(status) = unfinished {
        check_transition(&status.state, &wanted)?;
        status.state = wanted;
        status.description = description.or(status.description.take());
        status.target_url = target_url.or(status.target_url.take());
        status.updated_at = now;
        status.clone()
    } else {
        let (created_at, updated_at, state) = (now, now, wanted);
        let status = CommitStatus {
            id,
            sha,
            context,
            state,
            description,
            target_url,
            creator,
            reference,
            created_at,
            updated_at,
        };
        statuses.push(status.clone());
        status
    };
    Reply::created(&render::status(&state.model, &status))
}

/// An unfinished status neither stays nor goes back.
fn check_transition(from: &str, to: &str) -> Result<(), Box<Reply>> {
    let event = match (from, to) {
        (_, "pending") => "enqueue",
        ("running", "running") => "run",
        _ => return Ok(()),
    };
    let why = format!(
        "Cannot transition status via :{event} from :{from} (Reason(s): Status cannot transition via \"{event}\")"
    );
    errors::bad_request(&why).err()
}
