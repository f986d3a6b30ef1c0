//! A fake of Bitbucket Cloud: its REST API, version 2.0, below `/2.0` of its web address. A workspace is an organization.

mod commits;
mod errors;
pub mod event;
mod list;
mod pulls;
mod render;
mod repositories;
mod routes;
mod state;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use fleet::Clock;

pub use self::render::account_id;
use self::state::{State, Token};
use super::model::{Access, AccountKind, Model};
use super::server::Server;
use super::traffic::Traffic;
use crate::pki::Authority;

/// A Bitbucket Cloud of one test, until it is dropped. What is in it comes from [`edit`](Self::edit) and from its API.
pub struct BitbucketCloud {
    server: Server<State>,
    url: String,
}

impl BitbucketCloud {
    /// Starts one on a free port of 127.0.0.1, with a certificate by `authority`. Within a runtime of tokio.
    pub fn start(authority: &Authority) -> anyhow::Result<Self> {
        let make = |url: &str| State::new(Model::new(url, Clock::system()));
        let server = Server::start(authority, "/2.0", make, routes::routes)?;
        let url = server.forge.lock().model.url.clone();
        Ok(Self { server, url })
    }

    /// Where repositories have their pages: `https://localhost:<port>`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the REST API begins.
    pub fn api_url(&self) -> String {
        format!("{}/2.0", self.url)
    }

    /// What was asked for, and what is to go wrong.
    pub fn traffic(&self) -> &Traffic {
        &self.server.traffic
    }

    /// Reads or changes what Bitbucket holds.
    pub fn edit<T>(&self, change: impl FnOnce(&mut Model) -> T) -> T {
        change(&mut self.server.forge.lock().model)
    }

    /// An app password of a user, for Basic authentication: `account`, `repository`, `repository:write`, `pullrequest`.
    pub fn app_password(&self, login: &str, scopes: &[&str]) -> String {
        let mut state = self.server.forge.lock();
        state.model.user(login);
        state.add_token("ATBB", Token::new(login, scopes, true))
    }

    /// An access token of a repository, for Bearer authentication. It acts as a robot that may write there.
    pub fn access_token(&self, full_name: &str, scopes: &[&str]) -> anyhow::Result<String> {
        let mut state = self.server.forge.lock();
        let robot = format!("{}-token", full_name.replace('/', "-"));
        state.model.account(&robot, AccountKind::Bot);
        state.model.repo_mut(full_name)?.collaborator(&robot, Access::Write);
        Ok(state.add_token("ATCTT", Token::new(&robot, scopes, false)))
    }

    /// From now on each caller may ask so often in an hour, beginning anew, and is then answered with 429.
    pub fn limit_requests(&self, in_an_hour: u64) {
        let mut state = self.server.forge.lock();
        state.limit = in_an_hour;
        state.used = BTreeMap::new();
    }
}
