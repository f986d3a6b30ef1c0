//! A fake of Bitbucket Server (Data Center): its REST API, version 1.0, below `/rest/api/1.0` of its web address. A project
//! is an organization, whose name is the project's key.

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

use fleet::Clock;

use self::state::State;
use super::model::{Access, Model};
use super::server::Server;
use super::traffic::Traffic;
use crate::pki::Authority;

/// A Bitbucket Server of one test, until it is dropped. What is in it comes from [`edit`](Self::edit) and from its API.
pub struct BitbucketServer {
    server: Server<State>,
    url: String,
}

impl BitbucketServer {
    /// Starts one on a free port of 127.0.0.1, with a certificate by `authority`. Within a runtime of tokio.
    pub fn start(authority: &Authority) -> anyhow::Result<Self> {
        let make = |url: &str| State::new(Model::new(url, Clock::system()));
        let server = Server::start(authority, "/rest/api/1.0", make, routes::routes)?;
        let url = server.forge.lock().model.url.clone();
        Ok(Self { server, url })
    }

    /// Where repositories have their pages: `https://localhost:<port>`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the REST API begins.
    pub fn api_url(&self) -> String {
        format!("{}/rest/api/1.0", self.url)
    }

    /// What was asked for, and what is to go wrong.
    pub fn traffic(&self) -> &Traffic {
        &self.server.traffic
    }

    /// Reads or changes what Bitbucket holds.
    pub fn edit<T>(&self, change: impl FnOnce(&mut Model) -> T) -> T {
        change(&mut self.server.forge.lock().model)
    }

    /// An HTTP access token of a user, which lets them do at most so much.
    pub fn token(&self, login: &str, most: Access) -> String {
        let mut state = self.server.forge.lock();
        state.model.user(login);
        state.add_token(login, most)
    }
}
