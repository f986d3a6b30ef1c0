//! Webhooks of a repository.

use serde_json::Value;

use super::state::State;
use super::{errors, list, render};
use crate::forge::exchange::{Answer, Reply, Request};
use crate::forge::repository::{Hook, Repository};

pub(super) fn list_hooks(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    let hooks = repository.hooks.iter().map(|hook| render::hook(&state.model, repository, hook));
    list::list(request, hooks.collect())
}

fn find<'a>(repository: &'a Repository, request: &Request) -> Result<&'a Hook, Box<Reply>> {
    let id = request.number("hook_id");
    repository.hooks.iter().find(|hook| hook.id == id).ok_or_else(|| errors::not_found().into())
}

pub(super) fn get(state: &mut State, request: &Request) -> Answer {
    let repository = state.repo(request)?;
    Reply::ok(&render::hook(&state.model, repository, find(repository, request)?))
}

fn events(body: &Value, field: &str) -> Option<Vec<String>> {
    let given = body[field].as_array()?;
    Some(given.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

pub(super) fn create(state: &mut State, request: &Request) -> Answer {
    let (id, now) = (state.model.next_id(), state.model.now());
    let mut hook = Hook {
        id,
        url: String::new(),
        secret: None,
        events: events(&request.body, "events").unwrap_or_else(|| vec!["push".to_owned()]),
        content_type: "form".to_owned(),
        verifies_tls: true,
        active: request.body["active"].as_bool().unwrap_or(true),
        created_at: now,
        updated_at: now,
    };
    configure(&mut hook, &request.body["config"]);
    if !hook.url.starts_with("http") {
        return errors::invalid_because("Hook", "url is missing a scheme").err();
    }
    let repository = state.repo_mut(request)?;
    if repository.hooks.iter().any(|other| other.url == hook.url && other.events == hook.events) {
        return errors::invalid_because("Hook", "Hook already exists on this repository").err();
    }
    repository.hooks.push(hook.clone());
    Reply::created(&render::hook(&state.model, state.repo(request)?, &hook))
}

/// A number or a text for `insecure_ssl`, as GitHub takes either.
fn configure(hook: &mut Hook, config: &Value) {
    let text = |field: &str| config[field].as_str().map(str::to_owned);
    if let Some(url) = text("url") {
        hook.url = url;
    }
    if let Some(secret) = text("secret") {
        hook.secret = Some(secret);
    }
    if let Some(content_type) = text("content_type") {
        hook.content_type = content_type;
    }
    if !config["insecure_ssl"].is_null() {
        hook.verifies_tls = config["insecure_ssl"] != "1" && config["insecure_ssl"] != 1;
    }
}

pub(super) fn update(state: &mut State, request: &Request) -> Answer {
    let (id, now) = (request.number("hook_id"), state.model.now());
    let hook = state.repo_mut(request)?.hooks.iter_mut().find(|hook| hook.id == id);
    let hook = hook.ok_or_else(errors::not_found)?;
    if request.body["config"].is_object() {
        // A config that is given replaces all of it, the secret too.
        hook.secret = None;
        configure(hook, &request.body["config"]);
    }
    if let Some(events) = events(&request.body, "events") {
        hook.events = events;
    }
    for event in events(&request.body, "add_events").unwrap_or_default() {
        if !hook.events.contains(&event) {
            hook.events.push(event);
        }
    }
    let removed = events(&request.body, "remove_events").unwrap_or_default();
    hook.events.retain(|event| !removed.contains(event));
    if let Some(active) = request.body["active"].as_bool() {
        hook.active = active;
    }
    hook.updated_at = now;
    get(state, request)
}

pub(super) fn delete(state: &mut State, request: &Request) -> Answer {
    let id = find(state.repo(request)?, request)?.id;
    state.repo_mut(request)?.hooks.retain(|hook| hook.id != id);
    Reply::no_content()
}
