//! Projects, and their hooks.

use http::StatusCode;
use serde_json::{Value, json};

use super::state::State;
use super::{errors, list, render};
use crate::forge::exchange::{Answer, Reply, Request};
use crate::forge::model::Access;
use crate::forge::repository::{Hook, Repository, Visibility};

pub(super) fn version(_: &mut State, _: &Request) -> Answer {
    Reply::ok(&json!({"version": "17.0.0", "revision": "fake"}))
}

pub(super) fn list_projects(state: &mut State, request: &Request) -> Answer {
    let user = request.user();
    let is_member =
        |project: &Repository| user.is_some_and(|login| state.model.access(project, login).is_some());
    let wanted = state.model.repositories.iter().filter(|project| {
        state.model.can_read(project, user)
            && (request.query("membership") != Some("true") || is_member(project))
            && request.query("search").is_none_or(|text| project.name.contains(text))
    });
    let shown = wanted.map(|project| render::project(&state.model, project, None));
    list::keyset(request, shown.collect(), "id_after", "id")
}

pub(super) fn get(state: &mut State, request: &Request) -> Answer {
    let project = state.project(request)?;
    let role = request.user().and_then(|login| state.model.access(project, login));
    Reply::ok(&render::project(&state.model, project, role))
}

pub(super) fn create(state: &mut State, request: &Request) -> Answer {
    let Some(name) = request.text("path").or(request.text("name")) else {
        return errors::missing("name").err();
    };
    let namespace = request.body["namespace_id"].as_u64();
    let owner = match namespace {
        Some(id) => state.model.accounts.iter().find(|account| account.id == id).map(|one| one.login.clone()),
        None => request.user().map(str::to_owned),
    };
    let Some(owner) = owner else { return errors::not_found("Namespace").err() };
    let full_name = format!("{owner}/{name}");
    let made = if request.body["initialize_with_readme"] == true {
        state.model.repository(&full_name)
    } else {
        state.model.empty_repository(&full_name)
    };
    let Ok(project) = made else {
        let reasons =
            json!({"message": {"name": ["has already been taken"], "path": ["has already been taken"]}});
        return Reply::json(StatusCode::BAD_REQUEST, &reasons).err();
    };
    project.visibility = match request.text("visibility") {
        Some("public") => Visibility::Public,
        Some("internal") => Visibility::Internal,
        _ => Visibility::Private,
    };
    let project = state.model.find_repo(&full_name).ok_or_else(|| errors::not_found("Project"))?;
    Reply::created(&render::project(&state.model, project, Some(Access::Admin)))
}

/// It goes later: GitLab only takes the order.
pub(super) fn delete(state: &mut State, request: &Request) -> Answer {
    let id = state.project(request)?.id;
    state.model.repositories.retain(|project| project.id != id);
    Ok(Reply::json(StatusCode::ACCEPTED, &json!({"message": "202 Accepted"})))
}

/// Pages for a browser, and files in the raw.
pub(super) fn web(state: &mut State, request: &Request) -> Answer {
    let path = request.param("path");
    let (name, rest) = path.split_once("/-/raw/").unwrap_or((path, ""));
    let found = state.model.find_repo(name.trim_end_matches(".git"));
    let Some(project) = found.filter(|project| state.model.can_read(project, request.user())) else {
        // Somebody unknown is not told whether it is there.
        let sign_in = format!("{}/users/sign_in", state.model.url);
        return Ok(Reply::empty(StatusCode::FOUND).with("location", sign_in));
    };
    if rest.is_empty() {
        let page = format!("<html><head><title>{name}</title></head></html>\n");
        return Ok(Reply::raw(StatusCode::OK, "text/html; charset=utf-8", page.as_bytes()));
    }
    // Names of branches have slashes too: the shortest that is one counts.
    let file = rest.match_indices('/').find_map(|(at, _)| {
        let commit = state.model.resolve(project, &rest[..at])?;
        state.model.objects(project).file(&commit.tree, &rest[at + 1..])
    });
    match file {
        Some(content) => Ok(Reply::raw(StatusCode::OK, "text/plain; charset=utf-8", content)),
        None => errors::not_found("File").err(),
    }
}

pub(super) fn hooks(state: &mut State, request: &Request) -> Answer {
    let project = state.project(request)?;
    list::list(request, project.hooks.iter().map(|hook| render::hook(project, hook)).collect())
}

pub(super) fn get_hook(state: &mut State, request: &Request) -> Answer {
    let project = state.project(request)?;
    let id = request.number("hook_id");
    match project.hooks.iter().find(|hook| hook.id == id) {
        Some(hook) => Reply::ok(&render::hook(project, hook)),
        None => errors::not_found("Hook").err(),
    }
}

pub(super) fn create_hook(state: &mut State, request: &Request) -> Answer {
    let (id, now) = (state.model.next_id(), state.model.now());
    let Some(url) = request.text("url") else { return errors::missing("url").err() };
    if !url.starts_with("http") {
        return Reply::json(StatusCode::UNPROCESSABLE_ENTITY, &json!({"error": "Invalid url given"})).err();
    }
    let mut hook = Hook {
        id,
        url: url.to_owned(),
        secret: None,
        // Unless it is turned off.
        events: vec!["push_events".to_owned()],
        content_type: "json".to_owned(),
        verifies_tls: true,
        active: true,
        created_at: now,
        updated_at: now,
    };
    configure(&mut hook, &request.body);
    let project = state.project_mut(request)?;
    project.hooks.push(hook.clone());
    Reply::created(&render::hook(state.project(request)?, &hook))
}

/// Takes over what is given; the rest stays as it is.
fn configure(hook: &mut Hook, body: &Value) {
    if let Some(url) = body["url"].as_str() {
        url.clone_into(&mut hook.url);
    }
    if let Some(token) = body["token"].as_str() {
        hook.secret = Some(token.to_owned());
    }
    if let Some(verifies) = flag(&body["enable_ssl_verification"]) {
        hook.verifies_tls = verifies;
    }
    for event in render::HOOK_EVENTS {
        if let Some(wanted) = flag(&body[event]) {
            hook.events.retain(|other| other != event);
            if wanted {
                hook.events.push(event.to_owned());
            }
        }
    }
}

/// Forms have only texts.
pub(super) fn flag(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| value.as_str()?.parse().ok())
}

pub(super) fn update_hook(state: &mut State, request: &Request) -> Answer {
    let (id, now) = (request.number("hook_id"), state.model.now());
    let hook = state.project_mut(request)?.hooks.iter_mut().find(|hook| hook.id == id);
    let hook = hook.ok_or_else(|| errors::not_found("Hook"))?;
    configure(hook, &request.body);
    hook.updated_at = now;
    get_hook(state, request)
}

pub(super) fn delete_hook(state: &mut State, request: &Request) -> Answer {
    let id = request.number("hook_id");
    let hooks = &mut state.project_mut(request)?.hooks;
    let count = hooks.len();
    hooks.retain(|hook| hook.id != id);
    if hooks.len() < count { Reply::no_content() } else { errors::not_found("Hook").err() }
}
