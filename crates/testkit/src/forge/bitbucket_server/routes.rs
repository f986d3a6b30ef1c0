//! Every route of the fake, with what it demands and who handles it.

use super::state::{Needs, State};
use super::{commits, pulls, repositories};
use crate::forge::server::Routes;

const READ: Needs = Needs::Read;

pub(super) fn routes(routes: Routes<State>) -> Routes<State> {
    about_commits(about_pulls(about_repositories(routes)))
}

fn about_repositories(routes: Routes<State>) -> Routes<State> {
    routes
        .get("/projects/{project}/permissions/users", Needs::ProjectAdmin, repositories::of_project)
        .get("/projects/{project}/repos/{repo}", READ, repositories::get)
        .get("/projects/{project}/repos/{repo}/permissions/users", Needs::Admin, repositories::of_repository)
        .get("/projects/{project}/repos/{repo}/default-branch", READ, repositories::default_branch)
        .get("/projects/{project}/repos/{repo}/files", READ, repositories::files)
        .get("/projects/{project}/repos/{repo}/files/{*path}", READ, repositories::files)
        .get("/projects/{project}/repos/{repo}/raw/{*path}", READ, repositories::raw)
        .pages(repositories::web, Needs::Nothing)
}

fn about_commits(routes: Routes<State>) -> Routes<State> {
    routes
        .get("/projects/{project}/repos/{repo}/commits", READ, commits::list_commits)
        .get("/projects/{project}/repos/{repo}/commits/{commit}", READ, commits::get)
        .get("/projects/{project}/repos/{repo}/commits/{commit}/changes", READ, commits::changes)
        .get("/projects/{project}/repos/{repo}/commits/{commit}/pull-requests", READ, pulls::of_commit)
        .get("/projects/{project}/repos/{repo}/commits/{commit}/builds", READ, commits::build)
        .post("/projects/{project}/repos/{repo}/commits/{commit}/builds", READ, commits::set_build)
        .get("/projects/{project}/repos/{repo}/compare/changes", READ, commits::compare)
}

fn about_pulls(routes: Routes<State>) -> Routes<State> {
    routes
        .get("/projects/{project}/repos/{repo}/pull-requests/{id}", READ, pulls::get)
        .get("/projects/{project}/repos/{repo}/pull-requests/{id}/changes", READ, pulls::changes)
        .get("/projects/{project}/repos/{repo}/pull-requests/{id}/activities", READ, pulls::activities)
        .post("/projects/{project}/repos/{repo}/pull-requests/{id}/comments", READ, pulls::create_comment)
        .get("/projects/{project}/repos/{repo}/pull-requests/{id}/comments/{comment}", READ, pulls::comment)
        .put(
            "/projects/{project}/repos/{repo}/pull-requests/{id}/comments/{comment}",
            READ,
            pulls::update_comment,
        )
        .delete(
            "/projects/{project}/repos/{repo}/pull-requests/{id}/comments/{comment}",
            READ,
            pulls::delete_comment,
        )
}
