//! A fake of GitHub: the REST API as GitHub Enterprise Server has it, below `/api/v3` of its web address.

mod accounts;
mod admit;
mod apps;
mod checks;
mod comments;
mod commits;
mod contents;
mod errors;
pub mod event;
mod git_data;
mod hooks;
mod list;
mod pulls;
mod releases;
mod render;
mod repos;
mod routes;
mod state;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use fleet::Clock;
use http::StatusCode;
use jiff::Timestamp;

use self::event::Event;
use self::state::{State, Token, TokenOf};
use super::model::Model;
use super::server::Server;
use super::traffic::Traffic;
use crate::pki::Authority;

/// A GitHub of one test, until it is dropped. What is in it comes from [`edit`](Self::edit) and from its API.
pub struct GitHub {
    server: Server<State>,
    url: String,
}

impl GitHub {
    /// Starts one on a free port of 127.0.0.1, with a certificate by `authority`. Within a runtime of tokio.
    pub fn start(authority: &Authority) -> anyhow::Result<Self> {
        let make = |url: &str| State::new(Model::new(url, Clock::system()));
        let server = Server::start(authority, "/api/v3", make, routes::routes)?;
        let url = server.forge.lock().model.url.clone();
        Ok(Self { server, url })
    }

    /// Where repositories have their pages: `https://localhost:<port>`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the REST API begins.
    pub fn api_url(&self) -> String {
        format!("{}/api/v3", self.url)
    }

    /// What was asked for, and what is to go wrong.
    pub fn traffic(&self) -> &Traffic {
        &self.server.traffic
    }

    /// Reads or changes what GitHub holds.
    pub fn edit<T>(&self, change: impl FnOnce(&mut Model) -> T) -> T {
        change(&mut self.server.forge.lock().model)
    }

    /// A token of a user, as classic personal access tokens are: `repo`, `public_repo`, `admin:repo_hook`.
    pub fn token(&self, login: &str, scopes: &[&str]) -> String {
        self.add_token(login, scopes, None)
    }

    /// Such a token that ends, as its answers tell in `GitHub-Authentication-Token-Expiration`.
    pub fn expiring_token(&self, login: &str, scopes: &[&str], expires_at: Timestamp) -> String {
        self.add_token(login, scopes, Some(expires_at))
    }

    fn add_token(&self, login: &str, scopes: &[&str], expires_at: Option<Timestamp>) -> String {
        let mut state = self.server.forge.lock();
        state.model.user(login);
        let token = format!("ghp_{}", apps::random());
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let of = TokenOf::User { login: login.to_owned(), scopes };
        state.tokens.insert(token.clone(), Token { of, expires_at });
        token
    }

    /// From now on each caller may ask so often in an hour, beginning anew, and is then answered with 403 or 429.
    pub fn limit_requests(&self, in_an_hour: u64, status: StatusCode) {
        let limits = &mut self.server.forge.lock().limits;
        limits.authenticated = in_an_hour;
        limits.anonymous = in_an_hour;
        limits.status = status;
        limits.used = BTreeMap::new();
    }

    /// Sends an event to the repository's hooks that want it, signed with each one's secret, and returns the answers by
    /// the hooks' ids.
    pub async fn deliver(
        &self,
        client: &reqwest::Client,
        full_name: &str,
        event: &Event,
    ) -> anyhow::Result<Vec<(u64, StatusCode)>> {
        let hooks = self.edit(|model| model.repo(full_name).map(|repository| repository.hooks.clone()))?;
        let wanting = hooks.into_iter().filter(|hook| {
            hook.active && hook.events.iter().any(|wanted| wanted == "*" || wanted == event.kind)
        });
        let mut answers = Vec::new();
        for hook in wanting {
            let mut event = event.clone();
            event.hook = hook.id;
            let delivery = match (&hook.secret, hook.content_type.as_str()) {
                (Some(secret), "form") => event.signed_form(secret),
                (Some(secret), _) => event.signed(secret),
                (None, _) => event.unsigned(),
            };
            answers.push((hook.id, delivery.send(client, &hook.url).await?.status()));
        }
        Ok(answers)
    }
}
