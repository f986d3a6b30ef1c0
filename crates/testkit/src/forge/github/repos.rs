//! Repositories and their branches.

use serde_json::{Value, json};

use super::state::State;
use super::{errors, list, render};
use crate::forge::exchange::{Answer, Reply, Request};
use crate::forge::model::Access;
use crate::forge::repository::{Repository, Visibility};

pub(super) fn get(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let viewer = request.user().map(|login| {
        let given = state.model.access(repository, login);
        given.unwrap_or(Access::Read)
    });
    Reply::ok(&render::repository(&state.model, repository, viewer))
}

pub(super) fn delete(state: &mut State, request: &Request) -> Answer {
    let id = state.repo(request)?.id;
    state.model.repositories.retain(|repo| repo.id != id);
    Reply::no_content()
}

pub(super) fn of_organization(state: &mut State, request: &Request) -> Answer {
    let (owner, user) = (request.param("org"), request.user());
    let repositories = state.model.repositories.iter();
    let seen = repositories
        .filter(|repo| repo.owner.eq_ignore_ascii_case(owner) && state.model.can_read(repo, user))
        .map(|repo| render::repository(&state.model, repo, None));
    list::list(request, seen.collect())
}

pub(super) fn create(state: &mut State, request: &Request) -> Answer {
    let owner = request.param("org").to_owned();
    let Some(name) = request.text("name").map(str::to_owned) else {
        return errors::invalid("Repository", "name", "missing_field").err();
    };
    let Some(account) = state.model.find_account(&owner).filter(|account| account.is_organization()) else {
        return errors::not_found().err();
    };
    let is_member = request.user().is_none_or(|login| account.members.iter().any(|m| m.login == login));
    if !is_member {
        return errors::forbidden(
            "You need admin access to the organization before adding a repository to it.",
        )
        .err();
    }
    let full_name = format!("{owner}/{name}");
    let made = if request.body["auto_init"] == true {
        state.model.repository(&full_name)
    } else {
        state.model.empty_repository(&full_name)
    };
    let Ok(repository) = made else {
        return errors::invalid_because("Repository", "name already exists on this account").err();
    };
    request.text("description").unwrap_or_default().clone_into(&mut repository.description);
    if request.body["private"] == true {
        repository.visibility = Visibility::Private;
    }
    let repository = state.model.find_repo(&full_name).ok_or_else(errors::not_found)?;
    Reply::created(&render::repository(&state.model, repository, Some(Access::Admin)))
}

fn render_branch(state: &State, repository: &Repository, name: &str, sha: &str) -> Value {
    let base = format!("{}/repos/{}", render::api(&state.model), repository.full_name());
    json!({
        "name": name,
        "commit": {"sha": sha, "url": format!("{base}/commits/{sha}")},
        "protected": false,
    })
}

pub(super) fn branches(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let branches = repository.refs_below("refs/heads/");
    list::list(request, branches.map(|(name, sha)| render_branch(state, repository, name, sha)).collect())
}

pub(super) fn branch(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let name = request.param("branch");
    let commit = repository.head(name).and_then(|sha| state.model.objects(repository).commit(sha));
    let Some(commit) = commit else {
        return errors::message(http::StatusCode::NOT_FOUND, "Branch not found").err();
    };
    let mut shown = render_branch(state, repository, name, &commit.sha);
    shown["commit"] = render::commit(&state.model, repository, commit);
    Reply::ok(&shown)
}

/// The page of a repository for a browser: tells an anonymous caller whether it is public.
pub(super) fn web(state: &mut State, request: &Request) -> Answer {
    let path = request.param("path");
    let parts: Vec<&str> = path.splitn(5, '/').collect();
    let [owner, name, rest @ ..] = parts.as_slice() else { return errors::not_found().err() };
    let name = name.trim_end_matches(".git");
    let found = state.model.find_repo(&format!("{owner}/{name}"));
    let token_user = request.user();
    let Some(repository) = found.filter(|repo| state.model.can_read(repo, token_user)) else {
        return errors::not_found().err();
    };
    match rest {
        ["raw", reference, path] => {
            let commit = state.model.resolve(repository, reference);
            let file = commit.and_then(|commit| state.model.objects(repository).file(&commit.tree, path));
            match file {
                Some(content) => Ok(Reply::raw(http::StatusCode::OK, "text/plain; charset=utf-8", content)),
                None => errors::not_found().err(),
            }
        }
        [] => Ok(Reply::raw(
            http::StatusCode::OK,
            "text/html; charset=utf-8",
            full_name_page(repository).as_bytes(),
        )),
        _ => errors::not_found().err(),
    }
}

fn full_name_page(repository: &Repository) -> String {
    format!("<html><head><title>{}</title></head></html>\n", repository.full_name())
}

pub(super) fn rate_limit(state: &mut State, request: &Request) -> Answer {
    let rate = state.rate(request);
    Reply::ok(&json!({"resources": {"core": rate}, "rate": rate}))
}

pub(super) fn zen(_: &mut State, _: &Request) -> Answer {
    Ok(Reply::raw(http::StatusCode::OK, "text/plain; charset=utf-8", b"Simple is kind."))
}
