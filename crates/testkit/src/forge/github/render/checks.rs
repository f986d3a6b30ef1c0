//! Check runs and suites.

use serde_json::{Value, json};

use super::api;
use crate::forge::exchange::time;
use crate::forge::model::Model;
use crate::forge::repository::{CheckRun, CheckSuite, Repository};

pub(in crate::forge::github) fn check_suite(
    model: &Model,
    repository: &Repository,
    suite: &CheckSuite,
) -> Value {
    let runs: Vec<&CheckRun> = repository.check_runs.iter().filter(|run| run.suite == suite.id).collect();
    let is_done = !runs.is_empty() && runs.iter().all(|run| run.status == "completed");
    let conclusion = runs.iter().find(|run| run.conclusion.as_deref() != Some("success")).copied();
    let conclusion = conclusion.map_or(Some("success"), |run| run.conclusion.as_deref());
    json!({
        "id": suite.id,
        "node_id": format!("CS_{}", suite.id),
        "head_branch": suite.head_branch,
        "head_sha": suite.head_sha,
        "status": if is_done { "completed" } else { "queued" },
        "conclusion": conclusion.filter(|_| is_done),
        "url": format!("{}/repos/{}/check-suites/{}", api(model), repository.full_name(), suite.id),
        "pull_requests": pulls_of(model, repository, &suite.head_sha),
        "app": model.app(suite.app).map(|app| super::app(model, app)),
        "latest_check_runs_count": runs.len(),
        "created_at": time(suite.created_at),
        "updated_at": time(suite.created_at),
    })
}

pub(in crate::forge::github) fn check_run(model: &Model, repository: &Repository, run: &CheckRun) -> Value {
    let url = format!("{}/repos/{}/check-runs/{}", api(model), repository.full_name(), run.id);
    let html = format!("{}/{}/runs/{}", model.url, repository.full_name(), run.id);
    json!({
        "id": run.id,
        "node_id": format!("CR_{}", run.id),
        "head_sha": run.head_sha,
        "external_id": run.external_id,
        "name": run.name,
        "status": run.status,
        "conclusion": run.conclusion,
        "url": url,
        "html_url": html,
        "details_url": run.details_url.as_ref().unwrap_or(&html),
        "started_at": run.started_at,
        "completed_at": run.completed_at,
        "output": {
            "title": run.output["title"],
            "summary": run.output["summary"],
            "text": run.output["text"],
            "annotations_count": run.annotations.len(),
            "annotations_url": format!("{url}/annotations"),
        },
        "check_suite": {"id": run.suite},
        "app": model.app(run.app).map(|app| super::app(model, app)),
        "pull_requests": pulls_of(model, repository, &run.head_sha),
    })
}

/// Open pull requests of a commit, of this repository alone: those from forks are never shown with a check.
fn pulls_of(model: &Model, repository: &Repository, sha: &str) -> Vec<Value> {
    let found = repository
        .pulls
        .iter()
        .filter(|pull| pull.is_open() && pull.head_sha == sha && pull.head_repository == repository.id);
    let side = |branch: &str, sha: &str| {
        let url = format!("{}/repos/{}", api(model), repository.full_name());
        json!({"ref": branch, "sha": sha, "repo": {"id": repository.id, "name": repository.name, "url": url}})
    };
    found
        .map(|pull| {
            json!({
                "id": pull.id,
                "number": pull.number,
                "url": format!("{}/repos/{}/pulls/{}", api(model), repository.full_name(), pull.number),
                "head": side(&pull.head_branch, &pull.head_sha),
                "base": side(&pull.base_branch, repository.head(&pull.base_branch).unwrap_or_default()),
            })
        })
        .collect()
}
