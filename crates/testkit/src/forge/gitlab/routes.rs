//! Every route of the fake, with what it demands and who handles it.

use super::state::{Needs, State};
use super::{accounts, commits, merge_requests, projects, releases, repository};
use crate::forge::model::Access;
use crate::forge::server::Routes;

const READ: Needs = Needs::Read;
const DEVELOPER: Needs = Needs::Role(Access::Write);
const MAINTAINER: Needs = Needs::Role(Access::Maintain);
const OWNER: Needs = Needs::Role(Access::Admin);
/// Whoever sees a project may take part in it, but has to say who they are.
const USER: Needs = Needs::User;

pub(super) fn routes(routes: Routes<State>) -> Routes<State> {
    about_accounts(about_projects(about_repositories(about_merge_requests(routes))))
}

fn about_accounts(routes: Routes<State>) -> Routes<State> {
    routes
        .get("/version", USER, projects::version)
        .get("/user", USER, accounts::me)
        .get("/users", USER, accounts::users)
        .get("/users/{user_id}", USER, accounts::user)
        .get("/personal_access_tokens/self", USER, accounts::token)
        .get("/groups/{id}", Needs::Nothing, accounts::get_group)
        .get("/groups/{id}/projects", Needs::Nothing, accounts::group_projects)
        .get("/groups/{id}/members", USER, accounts::group_members)
        .get("/groups/{id}/members/{user_id}", USER, accounts::group_member)
        .get("/groups/{id}/members/all", USER, accounts::all_group_members)
        .get("/groups/{id}/members/all/{user_id}", USER, accounts::any_group_member)
        .pages(projects::web, Needs::Nothing)
}

fn about_projects(routes: Routes<State>) -> Routes<State> {
    routes
        .get("/projects", Needs::Nothing, projects::list_projects)
        .post("/projects", USER, projects::create)
        .get("/projects/{id}", READ, projects::get)
        .delete("/projects/{id}", OWNER, projects::delete)
        .get("/projects/{id}/members", READ, accounts::members)
        .get("/projects/{id}/members/{user_id}", READ, accounts::member)
        .get("/projects/{id}/members/all", READ, accounts::all_members)
        .get("/projects/{id}/members/all/{user_id}", READ, accounts::any_member)
        .post("/projects/{id}/releases", DEVELOPER, releases::create)
        .get("/projects/{id}/releases/{tag_name}", READ, releases::get)
        .put("/projects/{id}/releases/{tag_name}", DEVELOPER, releases::update)
        .get("/projects/{id}/hooks", MAINTAINER, projects::hooks)
        .post("/projects/{id}/hooks", MAINTAINER, projects::create_hook)
        .get("/projects/{id}/hooks/{hook_id}", MAINTAINER, projects::get_hook)
        .put("/projects/{id}/hooks/{hook_id}", MAINTAINER, projects::update_hook)
        .delete("/projects/{id}/hooks/{hook_id}", MAINTAINER, projects::delete_hook)
}

fn about_repositories(routes: Routes<State>) -> Routes<State> {
    routes
        .get("/projects/{id}/repository/tree", READ, repository::tree)
        .get("/projects/{id}/repository/files/{file_path}", READ, repository::file)
        .get("/projects/{id}/repository/files/{file_path}/raw", READ, repository::raw_file)
        .post("/projects/{id}/repository/files/{file_path}", DEVELOPER, repository::create_file)
        .put("/projects/{id}/repository/files/{file_path}", DEVELOPER, repository::update_file)
        .delete("/projects/{id}/repository/files/{file_path}", DEVELOPER, repository::delete_file)
        .get("/projects/{id}/repository/branches", READ, repository::branches)
        .post("/projects/{id}/repository/branches", DEVELOPER, repository::create_branch)
        .get("/projects/{id}/repository/branches/{branch}", READ, repository::branch)
        .delete("/projects/{id}/repository/branches/{branch}", DEVELOPER, repository::delete_branch)
        .get("/projects/{id}/repository/tags", READ, repository::tags)
        .get("/projects/{id}/repository/tags/{tag_name}", READ, repository::tag)
        .get("/projects/{id}/repository/compare", READ, commits::compare)
        .get("/projects/{id}/repository/commits", READ, commits::list_commits)
        .post("/projects/{id}/repository/commits", DEVELOPER, commits::create)
        .get("/projects/{id}/repository/commits/{sha}", READ, commits::get)
        .get("/projects/{id}/repository/commits/{sha}/diff", READ, commits::diff)
        .get("/projects/{id}/repository/commits/{sha}/merge_requests", READ, commits::merge_requests)
        .get("/projects/{id}/repository/commits/{sha}/statuses", READ, commits::statuses)
        .post("/projects/{id}/statuses/{sha}", DEVELOPER, commits::set_status)
}

fn about_merge_requests(routes: Routes<State>) -> Routes<State> {
    routes
        .get("/projects/{id}/merge_requests", READ, merge_requests::list_merge_requests)
        .post("/projects/{id}/merge_requests", DEVELOPER, merge_requests::create)
        .get("/projects/{id}/merge_requests/{iid}", READ, merge_requests::get)
        .put("/projects/{id}/merge_requests/{iid}", DEVELOPER, merge_requests::update)
        .put("/projects/{id}/merge_requests/{iid}/merge", DEVELOPER, merge_requests::merge)
        .get("/projects/{id}/merge_requests/{iid}/changes", READ, merge_requests::changes)
        .get("/projects/{id}/merge_requests/{iid}/diffs", READ, merge_requests::diffs)
        .get("/projects/{id}/merge_requests/{iid}/commits", READ, merge_requests::commits)
        .get("/projects/{id}/merge_requests/{iid}/pipelines", READ, merge_requests::pipelines)
        .get("/projects/{id}/merge_requests/{iid}/approvals", READ, merge_requests::approvals)
        .post("/projects/{id}/merge_requests/{iid}/approve", DEVELOPER, merge_requests::approve)
        .get("/projects/{id}/merge_requests/{iid}/notes", READ, merge_requests::notes)
        .post("/projects/{id}/merge_requests/{iid}/notes", USER, merge_requests::create_note)
        .get("/projects/{id}/merge_requests/{iid}/notes/{note_id}", READ, merge_requests::get_note)
        .put("/projects/{id}/merge_requests/{iid}/notes/{note_id}", USER, merge_requests::update_note)
        .delete("/projects/{id}/merge_requests/{iid}/notes/{note_id}", USER, merge_requests::delete_note)
}
