//! Pull requests.

use http::StatusCode;
use serde_json::{Value, json};

use super::commits::{render_files, totals};
use super::state::{State, full_name};
use super::{errors, list, render};
use crate::forge::exchange::{Answer, Reply, Request};
use crate::forge::git::FileChange;
use crate::forge::repository::{NewPull, PullRequest, PullState, Repository, Review};

fn find<'a>(repository: &'a Repository, request: &Request) -> Result<&'a PullRequest, Box<Reply>> {
    repository.pull(request.number("number")).ok_or_else(|| errors::not_found().into())
}

/// Open ones, newest first, unless `state`, `head` (`owner:branch`), `base` or `direction` say otherwise.
pub(super) fn list_pulls(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let wanted = request.query("state").unwrap_or("open");
    let is_wanted = |pull: &&PullRequest| {
        let head = state.model.repo_by_id(pull.head_repository).map_or("", |repo| repo.owner.as_str());
        let head = format!("{head}:{}", pull.head_branch);
        (wanted == "all" || (wanted == "open") == pull.is_open())
            && request.query("base").is_none_or(|base| base == pull.base_branch)
            // Without an owner the parameter is as good as not given.
            && request.query("head").filter(|head| head.contains(':')).is_none_or(|wanted| wanted == head)
    };
    let mut shown: Vec<Value> = repository
        .pulls
        .iter()
        .filter(is_wanted)
        .map(|pull| render::pull(&state.model, repository, pull))
        .collect();
    if request.query("direction") != Some("asc") {
        shown.reverse();
    }
    list::list(request, shown)
}

pub(super) fn get(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let pull = find(repository, request)?;
    let changes = changes(state, repository, pull);
    let (additions, deletions) = totals(&changes);
    let mut shown = render::pull(&state.model, repository, pull);
    shown["additions"] = json!(additions);
    shown["deletions"] = json!(deletions);
    shown["changed_files"] = json!(changes.len());
    shown["commits"] = json!(commits_of(state, repository, pull).len());
    shown["mergeable_state"] = json!("clean");
    Reply::ok(&shown)
}

fn changes(state: &State, repository: &Repository, pull: &PullRequest) -> Vec<FileChange> {
    let objects = state.model.objects(repository);
    let base = repository.head(&pull.base_branch).and_then(|base| objects.merge_base(base, &pull.head_sha));
    objects.diff(base.as_deref(), Some(&pull.head_sha))
}

fn commits_of<'a>(
    state: &'a State,
    repository: &Repository,
    pull: &PullRequest,
) -> Vec<&'a crate::forge::git::Commit> {
    let base = repository.head(&pull.base_branch).unwrap_or_default();
    let mut commits = state.model.objects(repository).commits_between(base, &pull.head_sha);
    commits.reverse();
    commits
}

pub(super) fn files(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let pull = find(repository, request)?;
    let changes = changes(state, repository, pull);
    list::list(request, render_files(state, repository, &pull.head_sha, &changes))
}

pub(super) fn commits(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let commits = commits_of(state, repository, find(repository, request)?);
    list::list(request, commits.into_iter().map(|c| render::commit(&state.model, repository, c)).collect())
}

pub(super) fn create(state: &mut State, request: &Request) -> Answer {
    let author = state.actor(request);
    let repository = state.repo(request)?;
    let (Some(title), Some(head), Some(base)) =
        (request.text("title"), request.text("head"), request.text("base"))
    else {
        return errors::invalid("PullRequest", "head", "missing_field").err();
    };
    let (owner, branch) = head.split_once(':').unwrap_or((&repository.owner, head));
    let from = if owner.eq_ignore_ascii_case(&repository.owner) {
        Some(repository)
    } else {
        let mut forks = state.model.repositories.iter();
        forks.find(|fork| fork.fork_of == Some(repository.id) && fork.owner.eq_ignore_ascii_case(owner))
    };
    let Some((from, head_sha)) = from.and_then(|from| Some((from, from.head(branch)?))) else {
        return errors::invalid("PullRequest", "head", "invalid").err();
    };
    let Some(base_sha) = repository.head(base) else {
        return errors::invalid("PullRequest", "base", "invalid").err();
    };
    let is_same = |pull: &PullRequest| {
        pull.is_open()
            && pull.head_repository == from.id
            && pull.head_branch == branch
            && pull.base_branch == base
    };
    if repository.pulls.iter().any(is_same) {
        let why = format!("A pull request already exists for {owner}:{branch}.");
        return errors::invalid_because("PullRequest", &why).err();
    }
    if state.model.objects(repository).commits_between(base_sha, head_sha).is_empty() {
        let why = format!("No commits between {base} and {branch}");
        return errors::invalid_because("PullRequest", &why).err();
    }
    let from = from.full_name();
    let new = NewPull {
        title,
        body: request.text("body").unwrap_or_default(),
        author: &author,
        from: &from,
        head: branch,
        base,
        draft: request.body["draft"] == true,
    };
    let number = state.model.open_pull(&full_name(request), new).map_err(|_| errors::not_found())?;
    let repository = state.repo(request)?;
    let pull = repository.pull(number).ok_or_else(errors::not_found)?;
    Reply::created(&render::pull(&state.model, repository, pull))
}

/// Title, body, base, and `state`, which closes or reopens.
pub(super) fn update(state: &mut State, request: &Request) -> Answer {
    let now = state.model.now();
    let number = request.number("number");
    let pull = state.repo_mut(request)?.pull_mut(number).ok_or_else(errors::not_found)?;
    for (field, place) in
        [("title", &mut pull.title), ("body", &mut pull.body), ("base", &mut pull.base_branch)]
    {
        if let Some(text) = request.text(field) {
            text.clone_into(place);
        }
    }
    match (request.text("state"), pull.state) {
        (Some("closed"), PullState::Open) => pull.close(now),
        (Some("open"), PullState::Closed) => pull.state = PullState::Open,
        _ => {}
    }
    pull.updated_at = now;
    let repository = state.repo(request)?;
    Reply::ok(&render::pull(&state.model, repository, find(repository, request)?))
}

/// 204 when it is merged.
pub(super) fn is_merged(state: &mut State, request: &Request) -> Answer {
    match find(state.repo(request)?, request)?.state {
        PullState::Merged => Reply::no_content(),
        _ => errors::not_found().err(),
    }
}

pub(super) fn merge(state: &mut State, request: &Request) -> Answer {
    let pull = find(state.repo(request)?, request)?;
    if !pull.is_open() || pull.draft {
        return errors::message(StatusCode::METHOD_NOT_ALLOWED, "Pull Request is not mergeable").err();
    }
    if request.text("sha").is_some_and(|sha| sha != pull.head_sha) {
        let why = "Head branch was modified. Review and try the merge again.";
        return errors::message(StatusCode::CONFLICT, why).err();
    }
    let title = format!("{} (#{})", pull.title, pull.number);
    let title = request.text("commit_title").unwrap_or(&title);
    let merged = state.model.merge_pull(&full_name(request), request.number("number"), title);
    let sha = merged.map_err(|_| errors::not_found())?;
    Reply::ok(&json!({"sha": sha, "merged": true, "message": "Pull Request successfully merged"}))
}

pub(super) fn reviews(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let pull = find(repository, request)?;
    let reviews = pull.reviews.iter().map(|review| render::review(&state.model, repository, pull, review));
    list::list(request, reviews.collect())
}

pub(super) fn create_review(state: &mut State, request: &Request) -> Answer {
    let verdict = match request.text("event") {
        Some("APPROVE") => "APPROVED",
        Some("REQUEST_CHANGES") => "CHANGES_REQUESTED",
        _ => "COMMENTED",
    };
    let (id, at, author) = (state.model.next_id(), state.model.now(), state.actor(request));
    let body = request.text("body").unwrap_or_default().to_owned();
    let number = request.number("number");
    let pull = state.repo_mut(request)?.pull_mut(number).ok_or_else(errors::not_found)?;
    let commit = request.text("commit_id").unwrap_or(&pull.head_sha).to_owned();
    let review = Review { id, author, state: verdict.to_owned(), body, commit, at };
    pull.reviews.push(review.clone());
    let repository = state.repo(request)?;
    Reply::ok(&render::review(&state.model, repository, find(repository, request)?, &review))
}
