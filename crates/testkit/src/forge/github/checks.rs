//! Check runs and suites: what Apps alone can write.

use http::StatusCode;
use serde_json::{Value, json};

use super::contents::resolve;
use super::state::State;
use super::{errors, list, render};
use crate::forge::exchange::{Answer, Reply, Request, time};
use crate::forge::repository::{CheckRun, CheckSuite, Repository};

/// In one request; later ones add more.
const MOST_ANNOTATIONS: usize = 50;
const LONGEST_TEXT: usize = 65_535;

pub(super) fn create(state: &mut State, request: &Request) -> Answer {
    let (Some(name), Some(sha)) = (request.text("name"), request.text("head_sha")) else {
        let why = "Invalid request.\n\n\"name\", \"head_sha\" weren't supplied.";
        return errors::message(StatusCode::UNPROCESSABLE_ENTITY, why).err();
    };
    let Some(app) = state.acting_app(request) else {
        return errors::forbidden("You must authenticate via a GitHub App.").err();
    };
    let sha = resolve(state, state.repo(request)?, sha)?.sha.clone();
    let suite = suite(state, request, app, &sha)?;
    let mut run = CheckRun {
        id: state.model.next_id(),
        suite,
        app,
        head_sha: sha,
        name: name.to_owned(),
        external_id: String::new(),
        status: "queued".to_owned(),
        conclusion: None,
        details_url: None,
        started_at: Some(time(state.model.now())),
        completed_at: None,
        output: Value::Null,
        annotations: Vec::new(),
    };
    change(&mut run, request, time(state.model.now()))?;
    state.repo_mut(request)?.check_runs.push(run.clone());
    Reply::created(&render::check_run(&state.model, state.repo(request)?, &run))
}

/// The App's suite of a commit, made with its first run.
fn suite(state: &mut State, request: &Request, app: u64, sha: &str) -> Result<u64, Box<Reply>> {
    let (id, now) = (state.model.next_id(), state.model.now());
    let repository = state.repo_mut(request)?;
    if let Some(suite) =
        repository.check_suites.iter().find(|suite| suite.app == app && suite.head_sha == sha)
    {
        return Ok(suite.id);
    }
    let branch = repository.refs_below("refs/heads/").find(|(_, head)| *head == sha);
    let head_branch = branch.map(|(name, _)| name.to_owned());
    repository.check_suites.push(CheckSuite {
        id,
        head_sha: sha.to_owned(),
        head_branch,
        app,
        created_at: now,
    });
    Ok(id)
}

pub(super) fn update(state: &mut State, request: &Request) -> Answer {
    let (id, now) = (request.number("check_run_id"), time(state.model.now()));
    let app = state.acting_app(request);
    let run = state.repo_mut(request)?.check_runs.iter_mut().find(|run| run.id == id);
    let run = run.ok_or_else(errors::not_found)?;
    if Some(run.app) != app {
        return errors::forbidden("A check run can only be modified by the GitHub App that created it.")
            .err();
    }
    let mut changed = run.clone();
    change(&mut changed, request, now)?;
    run.clone_from(&changed);
    Reply::ok(&render::check_run(&state.model, state.repo(request)?, &changed))
}

/// Takes over what the body gives.
fn change(run: &mut CheckRun, request: &Request, now: String) -> Result<(), Box<Reply>> {
    let text = |field: &str| request.text(field).map(str::to_owned);
    if let Some(name) = text("name") {
        run.name = name;
    }
    if let Some(id) = text("external_id") {
        run.external_id = id;
    }
    if let Some(status) = text("status") {
        if !matches!(status.as_str(), "queued" | "in_progress" | "completed") {
            return errors::invalid("CheckRun", "status", "invalid").err();
        }
        run.status = status;
    }
    if let Some(conclusion) = text("conclusion") {
        let known = ["action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out"];
        if !known.contains(&conclusion.as_str()) {
            return errors::invalid("CheckRun", "conclusion", "invalid").err();
        }
        // A conclusion completes the run, whatever its status was.
        "completed".clone_into(&mut run.status);
        run.conclusion = Some(conclusion);
        run.completed_at = Some(now);
    }
    if run.status != "completed" {
        (run.conclusion, run.completed_at) = (None, None);
    } else if run.conclusion.is_none() {
        return errors::invalid("CheckRun", "conclusion", "missing_field").err();
    }
    for (field, place) in [
        ("details_url", &mut run.details_url),
        ("started_at", &mut run.started_at),
        ("completed_at", &mut run.completed_at),
    ] {
        if let Some(text) = text(field) {
            *place = Some(text);
        }
    }
    report(run, &request.body["output"])
}

fn report(run: &mut CheckRun, output: &Value) -> Result<(), Box<Reply>> {
    if !output.is_object() {
        return Ok(());
    }
    if !output["title"].is_string() || !output["summary"].is_string() {
        return errors::invalid("CheckRun", "output", "missing_field").err();
    }
    let is_long = |field: &str| output[field].as_str().is_some_and(|text| text.len() > LONGEST_TEXT);
    if is_long("summary") || is_long("text") {
        let why = "Only 65535 characters are allowed";
        return errors::message(StatusCode::UNPROCESSABLE_ENTITY, &format!("Invalid request.\n\n{why}"))
            .err();
    }
    let annotations = output["annotations"].as_array().cloned().unwrap_or_default();
    if annotations.len() > MOST_ANNOTATIONS {
        let why = format!(
            "No more than {MOST_ANNOTATIONS} items are allowed; {} were supplied.",
            annotations.len()
        );
        return errors::message(StatusCode::UNPROCESSABLE_ENTITY, &format!("Invalid request.\n\n{why}"))
            .err();
    }
    run.annotations.extend(annotations);
    run.output = json!({"title": output["title"], "summary": output["summary"], "text": output["text"]});
    Ok(())
}

fn find<'a>(repository: &'a Repository, request: &Request) -> Result<&'a CheckRun, Box<Reply>> {
    let id = request.number("check_run_id");
    repository.check_runs.iter().find(|run| run.id == id).ok_or_else(|| errors::not_found().into())
}

pub(super) fn get(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    Reply::ok(&render::check_run(&state.model, repository, find(repository, request)?))
}

pub(super) fn annotations(state: &mut State, request: &Request) -> Answer {
    let run = find(state.repo(request)?, request)?;
    list::list(request, run.annotations.clone())
}

/// Newest first; by default only the newest of each App and name, as with `filter=latest`.
pub(super) fn of_commit(state: &State, request: &Request, repository: &Repository, sha: &str) -> Answer {
    list_runs(state, request, repository, &|run| run.head_sha == sha)
}

pub(super) fn of_suite(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let suite = find_suite(repository, request)?.id;
    list_runs(state, request, repository, &|run| run.suite == suite)
}

fn list_runs(
    state: &State,
    request: &Request,
    repository: &Repository,
    belongs: &dyn Fn(&CheckRun) -> bool,
) -> Answer {
    let is_all = request.query("filter") == Some("all");
    let mut newest: Vec<&CheckRun> = Vec::new();
    for run in repository.check_runs.iter().rev() {
        let is_wanted = belongs(run)
            && request.query("check_name").is_none_or(|name| name == run.name)
            && request.query("status").is_none_or(|status| status == run.status)
            && request.query("app_id").is_none_or(|app| app == run.app.to_string());
        let is_seen = newest.iter().any(|seen| (seen.app, &seen.name) == (run.app, &run.name));
        if is_wanted && (is_all || !is_seen) {
            newest.push(run);
        }
    }
    let shown = newest.into_iter().map(|run| render::check_run(&state.model, repository, run));
    list::counted(request, "check_runs", shown.collect())
}

fn find_suite<'a>(repository: &'a Repository, request: &Request) -> Result<&'a CheckSuite, Box<Reply>> {
    let id = request.number("check_suite_id");
    repository.check_suites.iter().find(|suite| suite.id == id).ok_or_else(|| errors::not_found().into())
}

pub(super) fn get_suite(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    Reply::ok(&render::check_suite(&state.model, repository, find_suite(repository, request)?))
}

pub(super) fn suites_of_commit(
    state: &State,
    request: &Request,
    repository: &Repository,
    sha: &str,
) -> Answer {
    let wanted = |suite: &&CheckSuite| {
        suite.head_sha == sha && request.query("app_id").is_none_or(|app| app == suite.app.to_string())
    };
    let shown = repository.check_suites.iter().filter(wanted);
    let shown = shown.map(|suite| render::check_suite(&state.model, repository, suite));
    list::counted(request, "check_suites", shown.collect())
}
