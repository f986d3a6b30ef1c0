//! Releases of a repository.

use serde_json::{Value, json};

use super::errors;
use super::state::State;
use crate::forge::exchange::{Answer, Reply, Request, time};
use crate::forge::repository::{Release, Repository};

fn render(repository: &Repository, url: &str, release: &Release) -> Value {
    json!({
        "id": release.id, "tag_name": release.tag, "name": release.name, "body": release.body, "draft": false,
        "prerelease": false, "created_at": time(release.created_at),
        "html_url": format!("{url}/{}/releases/tag/{}", repository.full_name(), release.tag),
    })
}

fn shown(state: &State, request: &Request, is_it: impl Fn(&Release) -> bool) -> Result<Value, Box<Reply>> {
    let repository = state.repo(request)?;
    let release = repository.releases.iter().find(|release| is_it(release)).ok_or_else(errors::not_found)?;
    Ok(render(repository, &state.model.url, release))
}

pub(super) fn by_tag(state: &mut State, request: &Request) -> Answer {
    let tag = request.param("tag");
    Reply::ok(&shown(state, request, |release| release.tag == tag)?)
}

pub(super) fn create(state: &mut State, request: &Request) -> Answer {
    let Some(tag) = request.text("tag_name") else {
        return errors::invalid("Release", "tag_name", "missing_field").err();
    };
    let repository = state.repo(request)?;
    if repository.releases.iter().any(|release| release.tag == tag) {
        return errors::invalid("Release", "tag_name", "already_exists").err();
    }
    let target = request.text("target_commitish").unwrap_or(&repository.default_branch);
    let commit = state.model.resolve(repository, tag).or_else(|| state.model.resolve(repository, target));
    let Some(sha) = commit.map(|commit| commit.sha.clone()) else {
        return errors::invalid("Release", "target_commitish", "invalid").err();
    };
    let full_name = repository.full_name();
    let id = state.model.next_id();
    let release = Release {
        id,
        tag: tag.to_owned(),
        name: request.text("name").unwrap_or_default().to_owned(),
        body: request.text("body").unwrap_or_default().to_owned(),
        created_at: state.model.now(),
    };
    state.repo_mut(request)?.releases.push(release);
    if state.model.set_ref(&full_name, &format!("refs/tags/{tag}"), &sha).is_err() {
        return errors::not_found().err();
    }
    Reply::created(&shown(state, request, |release| release.id == id)?)
}

pub(super) fn update(state: &mut State, request: &Request) -> Answer {
    let id = request.number("release_id");
    let release = state.repo_mut(request)?.releases.iter_mut().find(|release| release.id == id);
    let release = release.ok_or_else(errors::not_found)?;
    for (field, value) in [("name", &mut release.name), ("body", &mut release.body)] {
        if let Some(text) = request.text(field) {
            text.clone_into(value);
        }
    }
    Reply::ok(&shown(state, request, |release| release.id == id)?)
}
