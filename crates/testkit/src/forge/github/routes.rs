//! Every route of the fake, with what it demands and who handles it.

use super::admit::Needs;
use super::state::State;
use super::{accounts, apps, checks, comments, commits, contents, git_data, hooks, pulls, releases, repos};
use crate::forge::server::Routes;

pub(super) fn routes(routes: Routes<State>) -> Routes<State> {
    about_apps(about_accounts(about_repositories(about_commits(about_pulls(routes)))))
}

fn about_apps(routes: Routes<State>) -> Routes<State> {
    let (app, installation) = (Needs::App, Needs::Installation);
    routes
        .get("/app", app, apps::app)
        .get("/app/installations", app, apps::installations)
        .get("/app/installations/{installation_id}", app, apps::installation)
        .post("/app/installations/{installation_id}/access_tokens", app, apps::create_token)
        .get("/repos/{owner}/{repo}/installation", app, apps::installation_of)
        .get("/orgs/{org}/installation", app, apps::installation_of)
        .get("/users/{username}/installation", app, apps::installation_of)
        .get("/installation/repositories", installation, apps::repositories)
        .delete("/installation/token", installation, apps::revoke_token)
        .get("/rate_limit", Needs::Nothing, repos::rate_limit)
        .get("/zen", Needs::Nothing, repos::zen)
        .pages(repos::web, Needs::Nothing)
}

fn about_accounts(routes: Routes<State>) -> Routes<State> {
    let members = Needs::Organization("members");
    let administration = Needs::Organization("administration");
    let nothing = Needs::Nothing;
    routes
        .get("/user", Needs::User, accounts::me)
        .get("/users/{username}", nothing, accounts::user)
        .get("/orgs/{org}", nothing, accounts::get_organization)
        .get("/orgs/{org}/members", members, accounts::members)
        .get("/orgs/{org}/members/{username}", members, accounts::is_member)
        .get("/orgs/{org}/public_members/{username}", nothing, accounts::is_public_member)
        .get("/orgs/{org}/memberships/{username}", members, accounts::membership)
        .get("/orgs/{org}/teams", members, accounts::teams)
        .get("/orgs/{org}/teams/{team_slug}", members, accounts::get_team)
        .get("/orgs/{org}/teams/{team_slug}/members", members, accounts::team_members)
        .get("/orgs/{org}/teams/{team_slug}/memberships/{username}", members, accounts::team_membership)
        .get("/orgs/{org}/repos", nothing, repos::of_organization)
        .post("/orgs/{org}/repos", administration, repos::create)
}

fn about_repositories(routes: Routes<State>) -> Routes<State> {
    let (metadata, read, write) =
        (Needs::Read("metadata"), Needs::Read("contents"), Needs::Write("contents"));
    let administration = Needs::Admin("administration", "write");
    let (read_hooks, write_hooks) =
        (Needs::Admin("repository_hooks", "read"), Needs::Admin("repository_hooks", "write"));
    routes
        .get("/repos/{owner}/{repo}", metadata, repos::get)
        .delete("/repos/{owner}/{repo}", administration, repos::delete)
        .get("/repos/{owner}/{repo}/branches", read, repos::branches)
        .get("/repos/{owner}/{repo}/branches/{*branch}", read, repos::branch)
        .get("/repos/{owner}/{repo}/collaborators", Needs::Write("metadata"), accounts::collaborators)
        .get(
            "/repos/{owner}/{repo}/collaborators/{username}",
            Needs::Write("metadata"),
            accounts::is_collaborator,
        )
        .get("/repos/{owner}/{repo}/collaborators/{username}/permission", metadata, accounts::permission)
        .get("/repos/{owner}/{repo}/contents", read, contents::get)
        .get("/repos/{owner}/{repo}/contents/", read, contents::get)
        .get("/repos/{owner}/{repo}/contents/{*path}", read, contents::get)
        .put("/repos/{owner}/{repo}/contents/{*path}", write, contents::put)
        .delete("/repos/{owner}/{repo}/contents/{*path}", write, contents::delete)
        .post("/repos/{owner}/{repo}/git/trees", write, git_data::create_tree)
        .get("/repos/{owner}/{repo}/git/trees/{*tree_sha}", read, git_data::get_tree)
        .post("/repos/{owner}/{repo}/git/blobs", write, git_data::create_blob)
        .get("/repos/{owner}/{repo}/git/blobs/{file_sha}", read, git_data::get_blob)
        .post("/repos/{owner}/{repo}/git/commits", write, git_data::create_commit)
        .get("/repos/{owner}/{repo}/git/commits/{commit_sha}", read, git_data::get_commit)
        .get("/repos/{owner}/{repo}/git/ref/{*ref}", read, git_data::get_ref)
        .get("/repos/{owner}/{repo}/git/matching-refs/{*ref}", read, git_data::matching_refs)
        .post("/repos/{owner}/{repo}/git/refs", write, git_data::create_ref)
        .patch("/repos/{owner}/{repo}/git/refs/{*ref}", write, git_data::update_ref)
        .delete("/repos/{owner}/{repo}/git/refs/{*ref}", write, git_data::delete_ref)
        .post("/repos/{owner}/{repo}/releases", write, releases::create)
        .get("/repos/{owner}/{repo}/releases/tags/{tag}", read, releases::by_tag)
        .patch("/repos/{owner}/{repo}/releases/{release_id}", write, releases::update)
        .get("/repos/{owner}/{repo}/hooks", read_hooks, hooks::list_hooks)
        .post("/repos/{owner}/{repo}/hooks", write_hooks, hooks::create)
        .get("/repos/{owner}/{repo}/hooks/{hook_id}", read_hooks, hooks::get)
        .patch("/repos/{owner}/{repo}/hooks/{hook_id}", write_hooks, hooks::update)
        .delete("/repos/{owner}/{repo}/hooks/{hook_id}", write_hooks, hooks::delete)
}

fn about_commits(routes: Routes<State>) -> Routes<State> {
    let (contents, statuses, checks) =
        (Needs::Read("contents"), Needs::Read("statuses"), Needs::Read("checks"));
    let (set_status, set_check) = (Needs::Write("statuses"), Needs::AppWrite("checks"));
    routes
        .get("/repos/{owner}/{repo}/commits", contents, commits::list_commits)
        .get("/repos/{owner}/{repo}/commits/{ref}", contents, commits::get)
        .get("/repos/{owner}/{repo}/commits/{ref}/status", statuses, commits::combined_status)
        .get("/repos/{owner}/{repo}/commits/{ref}/statuses", statuses, commits::list_statuses)
        .get("/repos/{owner}/{repo}/commits/{ref}/check-runs", checks, commits::check_runs)
        .get("/repos/{owner}/{repo}/commits/{ref}/check-suites", checks, commits::check_suites)
        .get("/repos/{owner}/{repo}/commits/{ref}/pulls", Needs::Read("pull_requests"), commits::pulls)
        .get("/repos/{owner}/{repo}/commits/{ref}/comments", contents, commits::comments)
        .post(
            "/repos/{owner}/{repo}/commits/{ref}/comments",
            Needs::TakePart("contents"),
            commits::create_comment,
        )
        .get("/repos/{owner}/{repo}/compare/{*basehead}", contents, commits::compare)
        .post("/repos/{owner}/{repo}/statuses/{sha}", set_status, commits::create_status)
        .post("/repos/{owner}/{repo}/check-runs", set_check, checks::create)
        .get("/repos/{owner}/{repo}/check-runs/{check_run_id}", checks, self::checks::get)
        .patch("/repos/{owner}/{repo}/check-runs/{check_run_id}", set_check, self::checks::update)
        .get("/repos/{owner}/{repo}/check-runs/{check_run_id}/annotations", checks, self::checks::annotations)
        .get("/repos/{owner}/{repo}/check-suites/{check_suite_id}", checks, self::checks::get_suite)
        .get("/repos/{owner}/{repo}/check-suites/{check_suite_id}/check-runs", checks, self::checks::of_suite)
}

fn about_pulls(routes: Routes<State>) -> Routes<State> {
    let (read, take_part, write) =
        (Needs::Read("pull_requests"), Needs::TakePart("pull_requests"), Needs::Write("pull_requests"));
    let (read_issues, take_part_in_issues) = (Needs::Read("issues"), Needs::TakePart("issues"));
    routes
        .get("/repos/{owner}/{repo}/pulls", read, pulls::list_pulls)
        .post("/repos/{owner}/{repo}/pulls", take_part, pulls::create)
        .get("/repos/{owner}/{repo}/pulls/{number}", read, pulls::get)
        .patch("/repos/{owner}/{repo}/pulls/{number}", write, pulls::update)
        .get("/repos/{owner}/{repo}/pulls/{number}/files", read, pulls::files)
        .get("/repos/{owner}/{repo}/pulls/{number}/commits", read, pulls::commits)
        .get("/repos/{owner}/{repo}/pulls/{number}/merge", read, pulls::is_merged)
        .put("/repos/{owner}/{repo}/pulls/{number}/merge", Needs::Write("contents"), pulls::merge)
        .get("/repos/{owner}/{repo}/pulls/{number}/reviews", read, pulls::reviews)
        .post("/repos/{owner}/{repo}/pulls/{number}/reviews", take_part, pulls::create_review)
        .get("/repos/{owner}/{repo}/issues/{number}", read_issues, comments::issue)
        .post("/repos/{owner}/{repo}/issues/{number}/labels", write, comments::add_labels)
        .get("/repos/{owner}/{repo}/issues/{number}/comments", read_issues, comments::list_comments)
        .post("/repos/{owner}/{repo}/issues/{number}/comments", take_part_in_issues, comments::create)
        .get("/repos/{owner}/{repo}/issues/comments/{comment_id}", read_issues, comments::get)
        .patch("/repos/{owner}/{repo}/issues/comments/{comment_id}", take_part_in_issues, comments::update)
        .delete("/repos/{owner}/{repo}/issues/comments/{comment_id}", take_part_in_issues, comments::delete)
}
