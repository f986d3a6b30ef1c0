//! Apps, their installations, and the tokens of these.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Value, json};

use super::admit::token;
use super::state::{State, TOKEN_LIFETIME, Token, TokenOf, full_name};
use super::{errors, list, render};
use crate::forge::Caller;
use crate::forge::app::Installation;
use crate::forge::exchange::{Answer, Reply, Request, time};

pub(super) fn app(state: &mut State, request: &Request) -> Answer {
    match state.acting_app(request).and_then(|id| state.model.app(id)) {
        Some(app) => {
            let count =
                state.model.installations.iter().filter(|installation| installation.app == app.id).count();
            let mut shown = render::app(&state.model, app);
            shown["installations_count"] = json!(count);
            Reply::ok(&shown)
        }
        None => errors::not_found().err(),
    }
}

pub(super) fn installations(state: &mut State, request: &Request) -> Answer {
    let found = own(state, request).map(|installation| render::installation(&state.model, installation));
    list::list(request, found.collect())
}

pub(super) fn installation(state: &mut State, request: &Request) -> Answer {
    let id = request.number("installation_id");
    found(state, own(state, request).find(|installation| installation.id == id))
}

/// Of a repository, an organization or a user, by the path.
pub(super) fn installation_of(state: &mut State, request: &Request) -> Answer {
    let found = own(state, request).find(|installation| {
        if request.param("repo").is_empty() {
            let account = [request.param("org"), request.param("username")];
            account.iter().any(|login| installation.account.eq_ignore_ascii_case(login))
        } else {
            let wanted = full_name(request);
            state.model.installed_in(installation).any(|repo| repo.full_name().eq_ignore_ascii_case(&wanted))
        }
    });
    self::found(state, found)
}

fn found(state: &State, installation: Option<&Installation>) -> Answer {
    match installation {
        Some(installation) => Reply::ok(&render::installation(&state.model, installation)),
        None => errors::not_found().err(),
    }
}

/// Installations of the App that asks.
fn own<'a>(state: &'a State, request: &Request) -> impl Iterator<Item = &'a Installation> {
    let app = state.acting_app(request);
    state.model.installations.iter().filter(move |installation| Some(installation.app) == app)
}

pub(super) fn create_token(state: &mut State, request: &Request) -> Answer {
    let id = request.number("installation_id");
    let Some(installation) = own(state, request).find(|installation| installation.id == id) else {
        return errors::not_found().err();
    };
    if installation.suspended_at.is_some() {
        return errors::forbidden("This installation has been suspended").err();
    }
    let repositories = chosen(state, installation, &request.body)?;
    let permissions = granted(installation, &request.body)?;
    let selection =
        if repositories.is_some() || installation.repositories.is_some() { "selected" } else { "all" };
    let expires_at = state.model.now() + TOKEN_LIFETIME;
    let mut shown = json!({
        "expires_at": time(expires_at),
        "permissions": permissions,
        "repository_selection": selection,
    });
    if let Some(chosen) = &repositories {
        let chosen = chosen.iter().filter_map(|id| state.model.repo_by_id(*id));
        shown["repositories"] = chosen.map(|repo| render::repository(&state.model, repo, None)).collect();
    }
    let token = format!("ghs_{}", random());
    shown["token"] = json!(token);
    let of = TokenOf::Installation { id, repositories, permissions };
    state.tokens.insert(token, Token { of, expires_at: Some(expires_at) });
    Reply::created(&shown)
}

/// Ids of the repositories that the body restricts the token to, by name or id.
fn chosen(state: &State, installation: &Installation, body: &Value) -> Result<Option<Vec<u64>>, Box<Reply>> {
    let (names, ids) = (body["repositories"].as_array(), body["repository_ids"].as_array());
    if names.is_none() && ids.is_none() {
        return Ok(None);
    }
    let find = |wanted: &Value| {
        state
            .model
            .installed_in(installation)
            .find(|repo| {
                wanted.as_str().is_some_and(|name| name.eq_ignore_ascii_case(&repo.name))
                    || wanted.as_u64() == Some(repo.id)
            })
            .map(|repo| repo.id)
    };
    let wanted = names.into_iter().chain(ids).flatten();
    match wanted.map(find).collect() {
        Some(chosen) => Ok(Some(chosen)),
        None => errors::message(
            StatusCode::UNPROCESSABLE_ENTITY,
            "There is at least one repository that does not exist or is not accessible to the parent installation.",
        )
        .err(),
    }
}

/// The permissions that the body restricts the token to.
fn granted(installation: &Installation, body: &Value) -> Result<BTreeMap<String, String>, Box<Reply>> {
    let Some(wanted) = body["permissions"].as_object() else { return Ok(installation.permissions.clone()) };
    let mut granted = BTreeMap::new();
    for (permission, level) in wanted {
        let (level, has) = (level.as_str().unwrap_or_default(), installation.permissions.get(permission));
        let is_enough = has.is_some_and(|has| has == "write" || has == level) || permission == "metadata";
        if !is_enough {
            let why = "The permissions requested are not granted to this installation.";
            return errors::message(StatusCode::UNPROCESSABLE_ENTITY, why).err();
        }
        granted.insert(permission.clone(), level.to_owned());
    }
    granted.entry("metadata".to_owned()).or_insert_with(|| "read".to_owned());
    Ok(granted)
}

pub(super) fn repositories(state: &mut State, request: &Request) -> Answer {
    let Some(Token { of: TokenOf::Installation { id, repositories, .. }, .. }) = state.token_of(request)
    else {
        return errors::not_found().err();
    };
    let Some(installation) = state.model.installation(*id) else { return errors::not_found().err() };
    let found = state
        .model
        .installed_in(installation)
        .filter(|repo| repositories.as_ref().is_none_or(|given| given.contains(&repo.id)))
        .map(|repo| render::repository(&state.model, repo, None));
    list::counted(request, "repositories", found.collect())
}

pub(super) fn revoke_token(state: &mut State, request: &Request) -> Answer {
    if let (Caller::Installation(_), Some(token)) = (&request.caller, token(request)) {
        state.tokens.remove(&token);
    }
    Reply::no_content()
}

/// What makes a token unguessable.
pub(super) fn random() -> String {
    data_encoding::HEXLOWER.encode(&rand::random::<[u8; 18]>())
}
