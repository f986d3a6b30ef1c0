//! GitHub's JSON of what the model holds.

mod checks;
mod commits;
mod pulls;

use serde_json::{Value, json};

pub(super) use self::checks::{check_run, check_suite};
pub(super) use self::commits::{changed_file, commit, git_commit, reference, status};
pub(super) use self::pulls::{comment, issue, label, pull, review};
use crate::forge::app::{App, Installation};
use crate::forge::exchange::time;
use crate::forge::model::{Access, Account, AccountKind, Model};
use crate::forge::repository::{Hook, Repository, Visibility};

/// Address of the REST API of a forge, as GitHub Enterprise Server has it.
pub(super) fn api(model: &Model) -> String {
    format!("{}/api/v3", model.url)
}

/// A user or organization as it stands within other objects. Unknown logins are shown as users, as deleted ones are.
pub(super) fn user(model: &Model, login: &str) -> Value {
    let account = model.find_account(login);
    let kind = match account.map(|account| account.kind) {
        Some(AccountKind::Organization) => "Organization",
        Some(AccountKind::Bot) => "Bot",
        _ if login.ends_with("[bot]") => "Bot",
        _ => "User",
    };
    json!({
        "login": login,
        "id": account.map_or(0, |account| account.id),
        "node_id": format!("U_{login}"),
        "type": kind,
        "site_admin": false,
        "avatar_url": format!("{}/avatars/{login}", model.url),
        "url": format!("{}/users/{login}", api(model)),
        "html_url": format!("{}/{login}", model.url),
    })
}

/// What `GET /user` and `GET /users/{username}` add.
pub(super) fn full_user(model: &Model, account: &Account) -> Value {
    let mut shown = user(model, &account.login);
    shown["name"] = json!(account.login);
    shown["email"] = json!(account.email());
    shown["company"] = Value::Null;
    shown["created_at"] = json!(time(model.now()));
    shown
}

pub(super) fn organization(model: &Model, account: &Account) -> Value {
    let base = format!("{}/orgs/{}", api(model), account.login);
    json!({
        "login": account.login,
        "id": account.id,
        "node_id": format!("O_{}", account.login),
        "url": base,
        "members_url": format!("{base}/members{{/member}}"),
        "public_members_url": format!("{base}/public_members{{/member}}"),
        "repos_url": format!("{base}/repos"),
        "html_url": format!("{}/{}", model.url, account.login),
        "type": "Organization",
        "description": "",
    })
}

/// `viewer` is the access of who asks, if they are a user.
pub(super) fn repository(model: &Model, repository: &Repository, viewer: Option<Access>) -> Value {
    let full_name = repository.full_name();
    let html = format!("{}/{full_name}", model.url);
    let base = format!("{}/repos/{full_name}", api(model));
    let is_private = repository.visibility != Visibility::Public;
    let mut shown = json!({
        "id": repository.id,
        "node_id": format!("R_{}", repository.id),
        "name": repository.name,
        "full_name": full_name,
        "private": is_private,
        "visibility": if is_private { "private" } else { "public" },
        "owner": user(model, &repository.owner),
        "html_url": html,
        "description": repository.description,
        "fork": repository.fork_of.is_some(),
        "url": base,
        "clone_url": format!("{html}.git"),
        "git_url": format!("{html}.git"),
        "ssh_url": format!("git@{}:{full_name}.git", host(model)),
        "default_branch": repository.default_branch,
        "archived": repository.is_archived,
        "disabled": false,
        "has_issues": true,
        "created_at": time(repository.created_at),
        "updated_at": time(repository.created_at),
        "pushed_at": time(repository.created_at),
        "open_issues_count": repository.pulls.iter().filter(|pull| pull.is_open()).count(),
        "contents_url": format!("{base}/contents/{{+path}}"),
        "statuses_url": format!("{base}/statuses/{{sha}}"),
        "pulls_url": format!("{base}/pulls{{/number}}"),
        "hooks_url": format!("{base}/hooks"),
    });
    if let Some(access) = viewer {
        shown["permissions"] = permissions(access);
    }
    if let Some(parent) = repository.fork_of.and_then(|id| model.repo_by_id(id)) {
        shown["parent"] = self::repository(model, parent, None);
    }
    shown
}

pub(super) fn permissions(access: Access) -> Value {
    json!({
        "admin": access >= Access::Admin,
        "maintain": access >= Access::Maintain,
        "push": access >= Access::Write,
        "triage": access >= Access::Triage,
        "pull": true,
    })
}

/// `localhost:8443` of `https://localhost:8443`.
pub(super) fn host(model: &Model) -> &str {
    model.url.split_once("://").map_or(model.url.as_str(), |(_, host)| host)
}

pub(super) fn hook(model: &Model, repository: &Repository, hook: &Hook) -> Value {
    let url = format!("{}/repos/{}/hooks/{}", api(model), repository.full_name(), hook.id);
    let mut config = json!({
        "url": hook.url,
        "content_type": hook.content_type,
        "insecure_ssl": if hook.verifies_tls { "0" } else { "1" },
    });
    if hook.secret.is_some() {
        // It is never given back.
        config["secret"] = json!("********");
    }
    json!({
        "type": "Repository",
        "id": hook.id,
        "name": "web",
        "active": hook.active,
        "events": hook.events,
        "config": config,
        "url": url,
        "test_url": format!("{url}/test"),
        "ping_url": format!("{url}/pings"),
        "created_at": time(hook.created_at),
        "updated_at": time(hook.updated_at),
        "last_response": {"code": null, "status": "unused", "message": null},
    })
}

pub(super) fn app(model: &Model, app: &App) -> Value {
    json!({
        "id": app.id,
        "slug": app.slug,
        "node_id": format!("A_{}", app.id),
        "client_id": format!("Iv1.{:016x}", app.id),
        "name": app.name,
        "owner": user(model, &app.owner),
        "description": "",
        "external_url": model.url,
        "html_url": format!("{}/apps/{}", model.url, app.slug),
        "events": [],
        "permissions": {},
    })
}

pub(super) fn installation(model: &Model, installation: &Installation) -> Value {
    let base = format!("{}/app/installations/{}", api(model), installation.id);
    let account = model.find_account(&installation.account);
    let selection = if installation.repositories.is_some() { "selected" } else { "all" };
    let target = if account.is_some_and(Account::is_organization) { "Organization" } else { "User" };
    json!({
        "id": installation.id,
        "app_id": installation.app,
        "app_slug": model.app(installation.app).map(|app| app.slug.as_str()),
        "account": user(model, &installation.account),
        "target_id": account.map(|account| account.id),
        "target_type": target,
        "repository_selection": selection,
        "permissions": installation.permissions,
        "events": [],
        "access_tokens_url": format!("{base}/access_tokens"),
        "repositories_url": format!("{}/installation/repositories", api(model)),
        "html_url": format!("{}/settings/installations/{}", model.url, installation.id),
        "single_file_name": null,
        "suspended_at": super::admit::maybe_time(installation.suspended_at),
        "suspended_by": null,
    })
}
