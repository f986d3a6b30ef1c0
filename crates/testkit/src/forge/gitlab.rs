//! A fake of GitLab: its REST API, version 4, below `/api/v4` of its web address.

mod accounts;
mod commits;
mod errors;
pub mod event;
mod list;
mod merge_requests;
mod projects;
mod releases;
mod render;
mod repository;
mod routes;
mod state;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use fleet::Clock;
use http::StatusCode;
use jiff::Timestamp;

use self::event::Event;
use self::state::{State, Token};
use super::model::Model;
use super::server::Server;
use super::traffic::Traffic;
use crate::pki::Authority;

/// A GitLab of one test, until it is dropped. What is in it comes from [`edit`](Self::edit) and from its API.
pub struct GitLab {
    server: Server<State>,
    url: String,
}

impl GitLab {
    /// Starts one on a free port of 127.0.0.1, with a certificate by `authority`. Within a runtime of tokio.
    pub fn start(authority: &Authority) -> anyhow::Result<Self> {
        let make = |url: &str| State::new(Model::new(url, Clock::system()));
        let server = Server::start(authority, "/api/v4", make, routes::routes)?;
        let url = server.forge.lock().model.url.clone();
        Ok(Self { server, url })
    }

    /// Where projects have their pages: `https://localhost:<port>`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the REST API begins.
    pub fn api_url(&self) -> String {
        format!("{}/api/v4", self.url)
    }

    /// What was asked for, and what is to go wrong.
    pub fn traffic(&self) -> &Traffic {
        &self.server.traffic
    }

    /// Reads or changes what GitLab holds.
    pub fn edit<T>(&self, change: impl FnOnce(&mut Model) -> T) -> T {
        change(&mut self.server.forge.lock().model)
    }

    /// A personal access token of a user: `api`, `read_api`, `read_repository`.
    pub fn token(&self, login: &str, scopes: &[&str]) -> String {
        self.add_token(login, scopes, None)
    }

    /// Such a token that ends.
    pub fn expiring_token(&self, login: &str, scopes: &[&str], expires_at: Timestamp) -> String {
        self.add_token(login, scopes, Some(expires_at))
    }

    fn add_token(&self, login: &str, scopes: &[&str], expires_at: Option<Timestamp>) -> String {
        let mut state = self.server.forge.lock();
        state.model.user(login);
        let (id, login) = (state.model.next_id(), login.to_owned());
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let token = format!("glpat-{}", data_encoding::HEXLOWER.encode(&rand::random::<[u8; 10]>()));
        state.tokens.insert(token.clone(), Token { id, login, scopes, expires_at });
        token
    }

    /// From now on each caller may ask so often in a minute, beginning anew, and is then answered with 429.
    pub fn limit_requests(&self, in_a_minute: u64) {
        let mut state = self.server.forge.lock();
        state.limit = in_a_minute;
        state.used = BTreeMap::new();
    }

    /// Sends an event to the project's hooks that want it, with each one's token, and returns the answers by the hooks'
    /// ids.
    pub async fn deliver(
        &self,
        client: &reqwest::Client,
        path: &str,
        event: &Event,
    ) -> anyhow::Result<Vec<(u64, StatusCode)>> {
        let hooks = self.edit(|model| model.repo(path).map(|project| project.hooks.clone()))?;
        let mut answers = Vec::new();
        for hook in
            hooks.into_iter().filter(|hook| hook.events.iter().any(|wanted| wanted == event.wanted_by))
        {
            let delivery = match &hook.secret {
                Some(token) => event.with_token(token),
                None => event.without_token(),
            };
            answers.push((hook.id, delivery.send(client, &hook.url).await?.status()));
        }
        Ok(answers)
    }
}
