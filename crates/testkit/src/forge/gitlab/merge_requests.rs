//! Merge requests, their notes and approvals.

use http::StatusCode;
use serde_json::{Value, json};

use super::state::State;
use super::{errors, list, render};
use crate::forge::exchange::{Answer, Reply, Request};
use crate::forge::git::FileChange;
use crate::forge::model::Access;
use crate::forge::repository::{Comment, CommentOn, NewPull, PullRequest, PullState, Repository, Review};

fn find<'a>(project: &'a Repository, request: &Request) -> Result<&'a PullRequest, Box<Reply>> {
    project.pull(request.number("iid")).ok_or_else(|| errors::not_found("Merge Request").into())
}

fn find_mut<'a>(state: &'a mut State, request: &Request) -> Result<&'a mut PullRequest, Box<Reply>> {
    let number = request.number("iid");
    let found = state.project_mut(request)?.pull_mut(number);
    found.ok_or_else(|| errors::not_found("Merge Request").into())
}

fn show(state: &State, request: &Request) -> Answer {
    let project = state.project(request)?;
    Reply::ok(&render::merge_request(&state.model, project, find(project, request)?))
}

/// All states, newest first, unless the query says otherwise.
pub(super) fn list_merge_requests(state: &mut State, request: &Request) -> Answer {
    let project = state.project(request)?;
    let is = |parameter: &str, value: &str| request.query(parameter).is_none_or(|wanted| wanted == value);
    let mut shown: Vec<Value> = project
        .pulls
        .iter()
        .filter(|pull| {
            (request.query("state") == Some("all") || is("state", render::state(pull)))
                && is("source_branch", &pull.head_branch)
                && is("target_branch", &pull.base_branch)
                && is("source_project_id", &pull.head_repository.to_string())
        })
        .map(|pull| render::merge_request(&state.model, project, pull))
        .collect();
    if request.query("sort") != Some("asc") {
        shown.reverse();
    }
    list::list(request, shown)
}

pub(super) fn get(state: &mut State, request: &Request) -> Answer {
    show(state, request)
}

/// Into the project in the path, or the one that `target_project_id` names.
pub(super) fn create(state: &mut State, request: &Request) -> Answer {
    let source = state.project(request)?;
    let text = |name: &str| request.text(name);
    let (Some(head), Some(base), Some(title)) = (text("source_branch"), text("target_branch"), text("title"))
    else {
        return errors::missing("title, source_branch, target_branch").err();
    };
    let target = match request.body["target_project_id"].as_u64() {
        Some(id) => state.model.repo_by_id(id).ok_or_else(|| errors::not_found("Project"))?,
        None => source,
    };
    if source.head(head).is_none() || target.head(base).is_none() {
        let missing = if source.head(head).is_none() { ("Source", head) } else { ("Target", base) };
        let why = format!("{} branch {:?} does not exist", missing.0, missing.1);
        return errors::refused(StatusCode::BAD_REQUEST, &[&why]).err();
    }
    let open = target.pulls.iter().find(|pull| {
        pull.is_open()
            && pull.head_repository == source.id
            && pull.head_branch == head
            && pull.base_branch == base
    });
    if let Some(open) = open {
        let why =
            format!("Another open merge request already exists for this source branch: !{}", open.number);
        return errors::refused(StatusCode::CONFLICT, &[&why]).err();
    }
    let (from, into) = (source.full_name(), target.full_name());
    let new = NewPull {
        title,
        body: text("description").unwrap_or_default(),
        author: request.user().unwrap_or("ghost"),
        from: &from,
        head,
        base,
        draft: title.starts_with("Draft:"),
    };
    let labels = text("labels").map(labels_in).unwrap_or_default();
    let number = state.model.open_pull(&into, new).map_err(|_| errors::not_found("Branch"))?;
    if let Some(pull) = state.model.repo_mut(&into).ok().and_then(|target| target.pull_mut(number)) {
        pull.labels = labels;
    }
    let target = state.model.find_repo(&into).ok_or_else(|| errors::not_found("Project"))?;
    let pull = target.pull(number).ok_or_else(|| errors::not_found("Merge Request"))?;
    Reply::created(&render::merge_request(&state.model, target, pull))
}

/// Names with commas between them.
fn labels_in(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|label| !label.is_empty()).map(str::to_owned).collect()
}

/// `state_event` closes or reopens.
pub(super) fn update(state: &mut State, request: &Request) -> Answer {
    let now = state.model.now();
    let pull = find_mut(state, request)?;
    let fields = [
        ("title", &mut pull.title),
        ("description", &mut pull.body),
        ("target_branch", &mut pull.base_branch),
    ];
    for (field, place) in fields {
        if let Some(text) = request.text(field) {
            text.clone_into(place);
        }
    }
    if let Some(labels) = request.text("labels") {
        pull.labels = labels_in(labels);
    }
    for label in request.text("add_labels").map(labels_in).unwrap_or_default() {
        if !pull.labels.contains(&label) {
            pull.labels.push(label);
        }
    }
    match (request.text("state_event"), pull.state) {
        (Some("close"), PullState::Open) => pull.close(now),
        (Some("reopen"), PullState::Closed) => pull.state = PullState::Open,
        _ => {}
    }
    pull.updated_at = now;
    show(state, request)
}

pub(super) fn merge(state: &mut State, request: &Request) -> Answer {
    let project = state.project(request)?;
    let pull = find(project, request)?;
    if !pull.is_open() || pull.draft {
        return errors::message(StatusCode::METHOD_NOT_ALLOWED, "405 Method Not Allowed").err();
    }
    if request.text("sha").is_some_and(|sha| sha != pull.head_sha) {
        let why = "SHA does not match HEAD of source branch";
        return errors::message(StatusCode::CONFLICT, why).err();
    }
    let title = format!("Merge branch '{}' into '{}'", pull.head_branch, pull.base_branch);
    let (full_name, number) = (project.full_name(), pull.number);
    let merged = state.model.merge_pull(&full_name, number, &title);
    merged.map_err(|_| errors::not_found("Branch"))?;
    show(state, request)
}

fn changed_files(state: &State, project: &Repository, pull: &PullRequest) -> Vec<FileChange> {
    let objects = state.model.objects(project);
    let base = project.head(&pull.base_branch).and_then(|base| objects.merge_base(base, &pull.head_sha));
    objects.diff(base.as_deref(), Some(&pull.head_sha))
}

/// The request with all its changes, which are not in pages here.
pub(super) fn changes(state: &mut State, request: &Request) -> Answer {
    let project = state.project(request)?;
    let pull = find(project, request)?;
    let mut shown = render::merge_request(&state.model, project, pull);
    let changes: Vec<Value> = changed_files(state, project, pull).iter().map(render::diff).collect();
    shown["changes_count"] = json!(changes.len().to_string());
    shown["changes"] = Value::Array(changes);
    shown["overflow"] = json!(false);
    Reply::ok(&shown)
}

pub(super) fn diffs(state: &mut State, request: &Request) -> Answer {
    let project = state.project(request)?;
    let changes = changed_files(state, project, find(project, request)?);
    list::list(request, changes.iter().map(render::diff).collect())
}

pub(super) fn commits(state: &mut State, request: &Request) -> Answer {
    let project = state.project(request)?;
    let pull = find(project, request)?;
    let base = project.head(&pull.base_branch).unwrap_or_default();
    let commits = state.model.objects(project).commits_between(base, &pull.head_sha);
    list::list(request, commits.into_iter().map(|one| render::commit(&state.model, project, one)).collect())
}

/// Newest first.
pub(super) fn pipelines(state: &mut State, request: &Request) -> Answer {
    let project = state.project(request)?;
    let number = find(project, request)?.number;
    let found = project.pipelines.iter().rev().filter(|pipeline| pipeline.merge_request == number);
    list::list(request, found.map(|pipeline| render::pipeline(project, pipeline)).collect())
}

pub(super) fn approvals(state: &mut State, request: &Request) -> Answer {
    let pull = find(state.project(request)?, request)?;
    let by: Vec<Value> = pull
        .reviews
        .iter()
        .map(|review| json!({"user": render::user(&state.model, &review.author)}))
        .collect();
    Reply::ok(&json!({
        "id": pull.id,
        "iid": pull.number,
        "project_id": state.project(request)?.id,
        "state": render::state(pull),
        "approved": !by.is_empty(),
        "approvals_required": 0,
        "approvals_left": 0,
        "approved_by": by,
    }))
}

pub(super) fn approve(state: &mut State, request: &Request) -> Answer {
    let (id, at, author) =
        (state.model.next_id(), state.model.now(), request.user().unwrap_or("ghost").to_owned());
    let pull = find_mut(state, request)?;
    if pull.reviews.iter().any(|review| review.author == author) {
        return errors::unauthorized().err();
    }
    let (commit, verdict) = (pull.head_sha.clone(), "APPROVED".to_owned());
    pull.reviews.push(Review { id, author, state: verdict, body: String::new(), commit, at });
    Ok(Reply { status: StatusCode::CREATED, ..approvals(state, request)? })
}

/// Newest first.
pub(super) fn notes(state: &mut State, request: &Request) -> Answer {
    let project = state.project(request)?;
    let on = CommentOn::Pull(find(project, request)?.number);
    let mut shown: Vec<Value> =
        project.comments_on(&on).map(|comment| render::note(&state.model, project, comment)).collect();
    if request.query("sort") != Some("asc") {
        shown.reverse();
    }
    list::list(request, shown)
}

pub(super) fn create_note(state: &mut State, request: &Request) -> Answer {
    let project = state.project(request)?;
    let on = CommentOn::Pull(find(project, request)?.number);
    let Some(body) = request.text("body").or(request.query("body")) else {
        return errors::missing("body").err();
    };
    let full_name = project.full_name();
    let made = state.model.comment(&full_name, on, request.user().unwrap_or("ghost"), body);
    let id = made.map_err(|_| errors::not_found("Project"))?;
    Ok(Reply { status: StatusCode::CREATED, ..show_note(state, request, id)? })
}

fn show_note(state: &State, request: &Request, id: u64) -> Answer {
    let project = state.project(request)?;
    match project.comments.iter().find(|comment| comment.id == id) {
        Some(comment) => Reply::ok(&render::note(&state.model, project, comment)),
        None => errors::not_found("Note").err(),
    }
}

pub(super) fn get_note(state: &mut State, request: &Request) -> Answer {
    show_note(state, request, request.number("note_id"))
}

pub(super) fn update_note(state: &mut State, request: &Request) -> Answer {
    let now = state.model.now();
    let Some(body) = request.text("body").or(request.query("body")) else {
        return errors::missing("body").err();
    };
    let comment = own_note(state, request)?;
    body.clone_into(&mut comment.body);
    comment.updated_at = now;
    let id = comment.id;
    show_note(state, request, id)
}

pub(super) fn delete_note(state: &mut State, request: &Request) -> Answer {
    let id = own_note(state, request)?.id;
    state.project_mut(request)?.comments.retain(|comment| comment.id != id);
    Reply::no_content()
}

/// The note, if who asks wrote it or maintains the project.
fn own_note<'a>(state: &'a mut State, request: &Request) -> Result<&'a mut Comment, Box<Reply>> {
    let (id, login) = (request.number("note_id"), request.user().unwrap_or_default());
    let is_maintainer = state.model.access(state.project(request)?, login) >= Some(Access::Maintain);
    let comment = state.project_mut(request)?.comments.iter_mut().find(|comment| comment.id == id);
    match comment {
        Some(comment) if is_maintainer || comment.author == login => Ok(comment),
        Some(_) => errors::forbidden().err(),
        None => errors::not_found("Note").err(),
    }
}
