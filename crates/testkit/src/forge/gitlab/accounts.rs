//! Users, groups, members, tokens.

use serde_json::{Value, json};

use super::state::State;
use super::{errors, list, render};
use crate::forge::exchange::{Answer, Reply, Request};
use crate::forge::model::Member;

pub(super) fn me(state: &mut State, request: &Request) -> Answer {
    match request.user().and_then(|login| state.model.find_account(login)) {
        Some(account) => Reply::ok(&render::full_user(&state.model, account)),
        None => errors::unauthorized().err(),
    }
}

pub(super) fn user(state: &mut State, request: &Request) -> Answer {
    let id = request.number("user_id");
    match state.model.accounts.iter().find(|account| account.id == id && !account.is_organization()) {
        Some(account) => Reply::ok(&render::user(&state.model, &account.login)),
        None => errors::not_found("User").err(),
    }
}

/// All, or the one with this `username`: a list in any case.
pub(super) fn users(state: &mut State, request: &Request) -> Answer {
    let wanted = request.query("username");
    let users = state.model.accounts.iter().filter(|account| !account.is_organization());
    let found = users.filter(|user| wanted.is_none_or(|name| user.login.eq_ignore_ascii_case(name)));
    list::list(request, found.map(|account| render::user(&state.model, &account.login)).collect())
}

/// The token that is asked with.
pub(super) fn token(state: &mut State, request: &Request) -> Answer {
    let Some(token) = state.token(request) else { return errors::unauthorized().err() };
    let user = state.model.find_account(&token.login).map(|account| account.id);
    Reply::ok(&json!({
        "id": token.id,
        "name": "fake",
        "user_id": user,
        "scopes": token.scopes,
        "active": true,
        "revoked": false,
        "expires_at": token.expires_at.map(|at| at.strftime("%Y-%m-%d").to_string()),
    }))
}

pub(super) fn get_group(state: &mut State, request: &Request) -> Answer {
    Reply::ok(&render::group(&state.model, state.group(request)?))
}

pub(super) fn group_projects(state: &mut State, request: &Request) -> Answer {
    let group = state.group(request)?;
    let projects = state.model.repositories.iter().filter(|project| {
        project.owner.eq_ignore_ascii_case(&group.login) && state.model.can_read(project, request.user())
    });
    list::list(request, projects.map(|project| render::project(&state.model, project, None)).collect())
}

pub(super) fn group_members(state: &mut State, request: &Request) -> Answer {
    list::list(request, render(state, state.group(request)?.members.iter()))
}

/// Also those of the groups above.
pub(super) fn all_group_members(state: &mut State, request: &Request) -> Answer {
    let group = state.group(request)?;
    list::list(request, render(state, state.model.members_above(&group.login)))
}

pub(super) fn group_member(state: &mut State, request: &Request) -> Answer {
    let group = state.group(request)?;
    one(state, request, group.members.iter())
}

pub(super) fn any_group_member(state: &mut State, request: &Request) -> Answer {
    let group = state.group(request)?;
    one(state, request, state.model.members_above(&group.login))
}

pub(super) fn members(state: &mut State, request: &Request) -> Answer {
    list::list(request, render(state, state.project(request)?.collaborators.iter()))
}

/// Also those of the groups that the project lies in.
pub(super) fn all_members(state: &mut State, request: &Request) -> Answer {
    let project = state.project(request)?;
    let inherited = state.model.members_above(&project.owner);
    list::list(request, render(state, inherited.chain(&project.collaborators)))
}

pub(super) fn member(state: &mut State, request: &Request) -> Answer {
    one(state, request, state.project(request)?.collaborators.iter())
}

pub(super) fn any_member(state: &mut State, request: &Request) -> Answer {
    let project = state.project(request)?;
    let inherited = state.model.members_above(&project.owner);
    one(state, request, inherited.chain(&project.collaborators))
}

/// Each once, with their highest role.
fn render<'a>(state: &State, members: impl Iterator<Item = &'a Member>) -> Vec<Value> {
    let mut highest: Vec<&Member> = Vec::new();
    for member in members {
        match highest.iter_mut().find(|seen| seen.login.eq_ignore_ascii_case(&member.login)) {
            Some(seen) if seen.access < member.access => *seen = member,
            Some(_) => {}
            None => highest.push(member),
        }
    }
    highest.into_iter().map(|member| render::member(&state.model, &member.login, member.access)).collect()
}

fn one<'a>(state: &State, request: &Request, members: impl Iterator<Item = &'a Member>) -> Answer {
    let id = request.number("user_id");
    match render(state, members).into_iter().find(|member| member["id"] == id) {
        Some(member) => Reply::ok(&member),
        None => errors::message(http::StatusCode::NOT_FOUND, "404 Not found").err(),
    }
}
