//! Every route of the fake, with what it demands and who handles it.

use super::state::{Needs, State};
use super::{commits, pulls, repositories};
use crate::forge::server::Routes;

pub(super) fn routes(routes: Routes<State>) -> Routes<State> {
    about_commits(about_pulls(about_repositories(routes)))
}

fn about_repositories(routes: Routes<State>) -> Routes<State> {
    let read = Needs::Seeing("repository");
    routes
        .get("/user", Needs::Somebody("account"), repositories::me)
        .get("/workspaces/{workspace}/members", Needs::Somebody("account"), repositories::members)
        .get("/workspaces/{workspace}/members/{member}", Needs::Somebody("account"), repositories::member)
        .get("/repositories/{workspace}/{repo_slug}", read, repositories::get)
        .get("/repositories/{workspace}/{repo_slug}/refs/branches", read, repositories::branches)
        .get("/repositories/{workspace}/{repo_slug}/refs/branches/{name}", read, repositories::branch)
        .get("/repositories/{workspace}/{repo_slug}/refs/tags/{name}", read, repositories::tag)
        .get("/repositories/{workspace}/{repo_slug}/src/{commit}/{*path}", read, repositories::src)
        .pages(repositories::web, Needs::Nothing)
}

fn about_commits(routes: Routes<State>) -> Routes<State> {
    let (read, write) = (Needs::Seeing("repository"), Needs::Writing("repository"));
    routes
        .get("/repositories/{workspace}/{repo_slug}/commit/{commit}", read, commits::get)
        .get("/repositories/{workspace}/{repo_slug}/diffstat/{spec}", read, commits::diffstat)
        .get("/repositories/{workspace}/{repo_slug}/commit/{commit}/statuses", read, commits::statuses)
        .post(
            "/repositories/{workspace}/{repo_slug}/commit/{commit}/statuses/build",
            write,
            commits::create_status,
        )
        .get(
            "/repositories/{workspace}/{repo_slug}/commit/{commit}/statuses/build/{key}",
            read,
            commits::status,
        )
}

fn about_pulls(routes: Routes<State>) -> Routes<State> {
    let read = Needs::Seeing("pullrequest");
    routes
        .get("/repositories/{workspace}/{repo_slug}/pullrequests", read, pulls::list_pulls)
        .get("/repositories/{workspace}/{repo_slug}/pullrequests/{id}", read, pulls::get)
        .get("/repositories/{workspace}/{repo_slug}/pullrequests/{id}/diffstat", read, pulls::diffstat)
        .get("/repositories/{workspace}/{repo_slug}/pullrequests/{id}/comments", read, pulls::comments)
        .post("/repositories/{workspace}/{repo_slug}/pullrequests/{id}/comments", read, pulls::create_comment)
        .get(
            "/repositories/{workspace}/{repo_slug}/pullrequests/{id}/comments/{comment_id}",
            read,
            pulls::comment,
        )
        .put(
            "/repositories/{workspace}/{repo_slug}/pullrequests/{id}/comments/{comment_id}",
            read,
            pulls::update_comment,
        )
        .delete(
            "/repositories/{workspace}/{repo_slug}/pullrequests/{id}/comments/{comment_id}",
            read,
            pulls::delete_comment,
        )
}
