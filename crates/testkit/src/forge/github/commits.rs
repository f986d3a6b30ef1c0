//! Commits, comparisons, statuses.

use http::StatusCode;
use serde_json::{Value, json};

use super::contents::resolve;
use super::state::{State, full_name};
use super::{checks, errors, list, render};
use crate::forge::exchange::{Answer, Reply, Request};
use crate::forge::git::{Commit, FileChange};
use crate::forge::repository::{CommentOn, CommitStatus, PullRequest, Repository};

/// Longer descriptions are refused.
const LONGEST_DESCRIPTION: usize = 140;

pub(super) fn list_commits(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let from = resolve(state, repository, request.query("sha").unwrap_or(&repository.default_branch))?;
    let objects = state.model.objects(repository);
    let touches = |commit: &&Commit| {
        request.query("path").is_none_or(|path| {
            let changes = objects.diff(commit.parents.first().map(String::as_str), Some(&commit.sha));
            changes.iter().any(|change| change.path == path || change.path.starts_with(&format!("{path}/")))
        })
    };
    let history = objects.history(&from.sha).into_iter().filter(touches);
    list::list(request, history.map(|commit| render::commit(&state.model, repository, commit)).collect())
}

/// Of a commit's name, a branch or a tag in the path. A slash in it has to be escaped.
fn named<'a>(state: &'a State, request: &Request) -> Result<(&'a Repository, &'a Commit), Box<Reply>> {
    let repository = state.repo(request)?;
    Ok((repository, resolve(state, repository, request.param("ref"))?))
}

pub(super) fn get(state: &mut State, request: &Request) -> Answer {
    let (repository, commit) = named(state, request)?;
    if request.header("accept").is_some_and(|accept| accept.contains("github.sha")) {
        let kind = "application/vnd.github.sha; charset=utf-8";
        return Ok(Reply::raw(StatusCode::OK, kind, commit.sha.as_bytes()));
    }
    with_files(state, request, repository, commit)
}

pub(super) fn list_statuses(state: &mut State, request: &Request) -> Answer {
    let (repository, commit) = named(state, request)?;
    list::list(request, statuses(state, repository, &commit.sha))
}

pub(super) fn combined_status(state: &mut State, request: &Request) -> Answer {
    let (repository, commit) = named(state, request)?;
    combine(state, request, repository, &commit.sha)
}

pub(super) fn check_runs(state: &mut State, request: &Request) -> Answer {
    let (repository, commit) = named(state, request)?;
    checks::of_commit(state, request, repository, &commit.sha)
}

pub(super) fn check_suites(state: &mut State, request: &Request) -> Answer {
    let (repository, commit) = named(state, request)?;
    checks::suites_of_commit(state, request, repository, &commit.sha)
}

pub(super) fn pulls(state: &mut State, request: &Request) -> Answer {
    let (repository, commit) = named(state, request)?;
    let sha = Some(commit.sha.as_str());
    let is_of =
        |pull: &&PullRequest| Some(pull.head_sha.as_str()) == sha || pull.merge_commit.as_deref() == sha;
    let found = repository.pulls.iter().filter(is_of);
    list::list(request, found.map(|pull| render::pull(&state.model, repository, pull)).collect())
}

pub(super) fn comments(state: &mut State, request: &Request) -> Answer {
    let (repository, commit) = named(state, request)?;
    let on = CommentOn::Commit(commit.sha.clone());
    let found = repository.comments_on(&on);
    list::list(request, found.map(|one| render::comment(&state.model, repository, one)).collect())
}

fn with_files(state: &State, request: &Request, repository: &Repository, commit: &Commit) -> Answer {
    let parent = commit.parents.first().map(String::as_str);
    let changes = state.model.objects(repository).diff(parent, Some(&commit.sha));
    let mut shown = render::commit(&state.model, repository, commit);
    let (added, removed) = totals(&changes);
    shown["stats"] = json!({"additions": added, "deletions": removed, "total": added + removed});
    list::within(request, shown, "files", render_files(state, repository, &commit.sha, &changes))
}

pub(super) fn totals(changes: &[FileChange]) -> (usize, usize) {
    changes.iter().fold((0, 0), |(added, removed), one| (added + one.additions, removed + one.deletions))
}

pub(super) fn render_files(
    state: &State,
    repository: &Repository,
    commit: &str,
    changes: &[FileChange],
) -> Vec<Value> {
    let render = |change| render::changed_file(&state.model, repository, commit, change);
    changes.iter().map(render).collect()
}

/// `base...head`, of which `head` may be `owner:branch`.
pub(super) fn compare(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let Some((base, head)) = request.param("basehead").split_once("...") else {
        return errors::not_found().err();
    };
    let find = |name: &str| {
        let fork = name.split_once(':').and_then(|(owner, branch)| {
            let fork = state.model.find_repo(&format!("{owner}/{}", repository.name))?;
            state.model.resolve(fork, branch)
        });
        fork.or_else(|| state.model.resolve(repository, name))
    };
    let (Some(base), Some(head)) = (find(base), find(head)) else { return errors::not_found().err() };
    let objects = state.model.objects(repository);
    let Some(fork_point) = objects.merge_base(&base.sha, &head.sha).and_then(|sha| objects.commit(&sha))
    else {
        let why = "No common ancestor between the two commits.";
        return errors::message(StatusCode::NOT_FOUND, why).err();
    };
    let mut ahead = objects.commits_between(&base.sha, &head.sha);
    ahead.reverse();
    let behind = objects.commits_between(&head.sha, &base.sha).len();
    let changes = objects.diff(Some(&fork_point.sha), Some(&head.sha));
    let render = |commit: &Commit| render::commit(&state.model, repository, commit);
    // Files are on the first page only, the commits on all.
    let files = if request.query("page").is_none_or(|page| page == "1") { changes.as_slice() } else { &[] };
    let shown = json!({
        "url": request.url,
        "html_url": format!("{}/{}/compare/{}", state.model.url, repository.full_name(), request.param("basehead")),
        "base_commit": render(base),
        "merge_base_commit": render(fork_point),
        "status": match (ahead.is_empty(), behind) {
            (true, 0) => "identical",
            (true, _) => "behind",
            (false, 0) => "ahead",
            (false, _) => "diverged",
        },
        "ahead_by": ahead.len(),
        "behind_by": behind,
        "total_commits": ahead.len(),
        "files": render_files(state, repository, &head.sha, files),
    });
    list::within(request, shown, "commits", ahead.into_iter().map(render).collect())
}

/// Newest first.
fn statuses(state: &State, repository: &Repository, sha: &str) -> Vec<Value> {
    let found = repository.statuses.iter().rev().filter(|status| status.sha == sha);
    found.map(|status| render::status(&state.model, repository, status)).collect()
}

/// The newest of each context, and the worst of them.
fn combine(state: &State, request: &Request, repository: &Repository, sha: &str) -> Answer {
    let mut newest: Vec<Value> = Vec::new();
    for status in statuses(state, repository, sha) {
        if newest.iter().all(|seen| seen["context"] != status["context"]) {
            newest.push(status);
        }
    }
    let is_any = |states: &[&str]| newest.iter().any(|one| states.iter().any(|state| one["state"] == *state));
    let combined = if is_any(&["failure", "error"]) {
        "failure"
    } else if newest.is_empty() || is_any(&["pending"]) {
        "pending"
    } else {
        "success"
    };
    let shown = json!({
        "state": combined,
        "sha": sha,
        "total_count": newest.len(),
        "repository": render::repository(&state.model, repository, None),
    });
    list::within(request, shown, "statuses", newest)
}

pub(super) fn create_status(state: &mut State, request: &Request) -> Answer {
    let given = request.text("state").unwrap_or_default();
    if !matches!(given, "error" | "failure" | "pending" | "success") {
        return errors::invalid("Status", "state", "invalid").err();
    }
    let description = request.text("description").map(str::to_owned);
    if description.as_ref().is_some_and(|text| text.chars().count() > LONGEST_DESCRIPTION) {
        return errors::invalid_because("Status", "description is too long (maximum is 140 characters)")
            .err();
    }
    let repository = state.repo(request)?;
    let sha = resolve(state, repository, request.param("sha"))?.sha.clone();
    let (id, now, creator) = (state.model.next_id(), state.model.now(), state.actor(request));
    let status = CommitStatus {
        id,
        sha,
        context: request.text("context").unwrap_or("default").to_owned(),
        state: given.to_owned(),
        description,
        target_url: request.text("target_url").map(str::to_owned),
        creator,
        reference: None,
        created_at: now,
        updated_at: now,
    };
    state.repo_mut(request)?.statuses.push(status.clone());
    Reply::created(&render::status(&state.model, state.repo(request)?, &status))
}

/// Comments on a commit.
pub(super) fn create_comment(state: &mut State, request: &Request) -> Answer {
    let (_, commit) = named(state, request)?;
    let on = CommentOn::Commit(commit.sha.clone());
    super::comments::create_on(state, request, &full_name(request), on)
}
