//! Releases of a project.

use http::StatusCode;
use serde_json::{Value, json};

use super::errors;
use super::state::State;
use crate::forge::exchange::{Answer, Reply, Request, time};
use crate::forge::repository::Release;

fn shown(state: &State, request: &Request, tag: &str) -> Result<Value, Box<Reply>> {
    let project = state.project(request)?;
    let release = project.releases.iter().find(|release| release.tag == tag);
    let release = release.ok_or_else(|| errors::message(StatusCode::NOT_FOUND, "404 Not Found"))?;
    Ok(json!({
        "tag_name": release.tag, "name": release.name, "description": release.body, "created_at": time(release.created_at),
        "_links": {"self": format!("{}/{}/-/releases/{}", state.model.url, project.full_name(), release.tag)},
    }))
}

pub(super) fn get(state: &mut State, request: &Request) -> Answer {
    Reply::ok(&shown(state, request, request.param("tag_name"))?)
}

pub(super) fn create(state: &mut State, request: &Request) -> Answer {
    let Some(tag) = request.text("tag_name") else { return errors::missing("tag_name").err() };
    let project = state.project(request)?;
    if project.releases.iter().any(|release| release.tag == tag) {
        return errors::message(StatusCode::CONFLICT, "Release already exists").err();
    }
    let at = state.model.resolve(project, &format!("refs/tags/{tag}"));
    let at = at.or_else(|| state.model.resolve(project, request.text("ref")?));
    let Some(sha) = at.map(|commit| commit.sha.clone()) else {
        return errors::message(StatusCode::UNPROCESSABLE_ENTITY, "Ref is not specified").err();
    };
    let full_name = project.full_name();
    let release = Release {
        id: state.model.next_id(),
        tag: tag.to_owned(),
        name: request.text("name").unwrap_or(tag).to_owned(),
        body: request.text("description").unwrap_or_default().to_owned(),
        created_at: state.model.now(),
    };
    state.project_mut(request)?.releases.push(release);
    if state.model.set_ref(&full_name, &format!("refs/tags/{tag}"), &sha).is_err() {
        return errors::not_found("Project").err();
    }
    Reply::created(&shown(state, request, tag)?)
}

pub(super) fn update(state: &mut State, request: &Request) -> Answer {
    let tag = request.param("tag_name");
    let release = state.project_mut(request)?.releases.iter_mut().find(|release| release.tag == tag);
    let release = release.ok_or_else(|| errors::message(StatusCode::NOT_FOUND, "404 Not Found"))?;
    for (field, value) in [("name", &mut release.name), ("description", &mut release.body)] {
        if let Some(text) = request.text(field) {
            text.clone_into(value);
        }
    }
    Reply::ok(&shown(state, request, tag)?)
}
