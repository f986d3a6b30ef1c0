//! Users, organizations, teams, and what somebody may do with a repository.

use http::StatusCode;
use serde_json::{Value, json};

use super::state::State;
use super::{errors, list, render};
use crate::forge::exchange::{Answer, Reply, Request};
use crate::forge::model::{Access, Account, Member, Team};
use crate::forge::repository::Visibility;

/// The user who asks.
pub(super) fn me(state: &mut State, request: &Request) -> Answer {
    show(state, request.user().unwrap_or_default())
}

pub(super) fn user(state: &mut State, request: &Request) -> Answer {
    show(state, request.param("username"))
}

fn show(state: &State, login: &str) -> Answer {
    match state.model.find_account(login) {
        Some(account) => Reply::ok(&render::full_user(&state.model, account)),
        None => errors::not_found().err(),
    }
}

fn organization<'a>(state: &'a State, request: &Request) -> Result<&'a Account, Box<Reply>> {
    let found = state.model.find_account(request.param("org")).filter(|account| account.is_organization());
    found.ok_or_else(|| Box::new(errors::not_found()))
}

pub(super) fn get_organization(state: &mut State, request: &Request) -> Answer {
    Reply::ok(&render::organization(&state.model, organization(state, request)?))
}

fn find<'a>(members: &'a [Member], login: &str) -> Option<&'a Member> {
    members.iter().find(|member| member.login.eq_ignore_ascii_case(login))
}

/// Whether who asks is inside and may be told of private memberships. An App that got here may.
fn is_inside(request: &Request, organization: &Account) -> bool {
    request.user().is_none_or(|login| find(&organization.members, login).is_some())
}

pub(super) fn members(state: &mut State, request: &Request) -> Answer {
    let organization = organization(state, request)?;
    let is_inside = is_inside(request, organization);
    let shown = organization.members.iter().filter(|member| is_inside || member.is_public);
    list::list(request, shown.map(|member| render::user(&state.model, &member.login)).collect())
}

/// 204 for a member; outsiders are sent on to the public memberships.
pub(super) fn is_member(state: &mut State, request: &Request) -> Answer {
    let organization = organization(state, request)?;
    let login = request.param("username");
    if !is_inside(request, organization) {
        let public =
            format!("{}/orgs/{}/public_members/{login}", render::api(&state.model), organization.login);
        return Ok(Reply::empty(StatusCode::FOUND).with("location", public));
    }
    yes_or_no(find(&organization.members, login).is_some())
}

pub(super) fn is_public_member(state: &mut State, request: &Request) -> Answer {
    let member = find(&organization(state, request)?.members, request.param("username"));
    yes_or_no(member.is_some_and(|member| member.is_public))
}

fn yes_or_no(is_so: bool) -> Answer {
    if is_so { Reply::no_content() } else { errors::not_found().err() }
}

pub(super) fn membership(state: &mut State, request: &Request) -> Answer {
    let organization = organization(state, request)?;
    let Some(member) = find(&organization.members, request.param("username")) else {
        return errors::not_found().err();
    };
    Reply::ok(&json!({
        "url": format!("{}/orgs/{}/memberships/{}", render::api(&state.model), organization.login, member.login),
        "state": "active",
        "role": if member.access == Access::Admin { "admin" } else { "member" },
        "user": render::user(&state.model, &member.login),
        "organization": render::organization(&state.model, organization),
    }))
}

fn render_team(state: &State, organization: &Account, team: &Team) -> Value {
    json!({
        "id": team.id,
        "name": team.slug,
        "slug": team.slug,
        "description": "",
        "privacy": "closed",
        "permission": "pull",
        "url": format!("{}/organizations/{}/team/{}", render::api(&state.model), organization.id, team.id),
        "html_url": format!("{}/orgs/{}/teams/{}", state.model.url, organization.login, team.slug),
        "parent": null,
    })
}

fn team<'a>(organization: &'a Account, request: &Request) -> Result<&'a Team, Box<Reply>> {
    organization.team(request.param("team_slug")).ok_or_else(|| Box::new(errors::not_found()))
}

pub(super) fn teams(state: &mut State, request: &Request) -> Answer {
    let organization = organization(state, request)?;
    let teams = organization.teams.iter().map(|team| render_team(state, organization, team));
    list::list(request, teams.collect())
}

pub(super) fn get_team(state: &mut State, request: &Request) -> Answer {
    let organization = organization(state, request)?;
    Reply::ok(&render_team(state, organization, team(organization, request)?))
}

pub(super) fn team_members(state: &mut State, request: &Request) -> Answer {
    let members = &team(organization(state, request)?, request)?.members;
    list::list(request, members.iter().map(|login| render::user(&state.model, login)).collect())
}

pub(super) fn team_membership(state: &mut State, request: &Request) -> Answer {
    let organization = organization(state, request)?;
    let (team, login) = (team(organization, request)?, request.param("username"));
    if !team.members.iter().any(|member| member.eq_ignore_ascii_case(login)) {
        return errors::not_found().err();
    }
    let base = format!("{}/organizations/{}", render::api(&state.model), organization.id);
    Reply::ok(&json!({
        "url": format!("{base}/team/{}/memberships/{login}", team.id),
        "role": "member",
        "state": "active",
    }))
}

pub(super) fn collaborators(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let members = state.model.members_above(&repository.owner).chain(&repository.collaborators);
    let mut shown: Vec<Value> = Vec::new();
    for member in members {
        let mut user = render::user(&state.model, &member.login);
        user["permissions"] = render::permissions(member.access);
        user["role_name"] = json!(member.access.role());
        if !shown.iter().any(|other| other["login"] == user["login"]) {
            shown.push(user);
        }
    }
    list::list(request, shown)
}

pub(super) fn is_collaborator(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    yes_or_no(state.model.access(repository, request.param("username")).is_some())
}

/// `permission` is the old coarse value: admin, write, read or none.
pub(super) fn permission(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let login = request.param("username");
    let Some(account) = state.model.find_account(login) else { return errors::not_found().err() };
    let access = state.model.access(repository, login);
    let access = access.or((repository.visibility == Visibility::Public).then_some(Access::Read));
    let coarse = match access {
        Some(Access::Admin) => "admin",
        Some(Access::Maintain | Access::Write) => "write",
        Some(Access::Triage | Access::Read) => "read",
        None => "none",
    };
    Reply::ok(&json!({
        "permission": coarse,
        "role_name": access.map_or("none", Access::role),
        "user": render::user(&state.model, &account.login),
    }))
}
