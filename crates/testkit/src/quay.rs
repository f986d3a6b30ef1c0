//! A Quay that is not there: the part of its REST API (version 1) that image-controller and the tag pruner call, over a
//! model in memory, by TLS on 127.0.0.1.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use testkit::forge::Fault;
//! use testkit::pki::Authority;
//! use testkit::quay::FakeQuay;
//!
//! let quay = FakeQuay::start(&Authority::new("quay")?)?;
//! quay.edit(|model| model.private_limit = Some(0));          // 402 to the first private repository
//! quay.traffic().fail("POST /repository", 5, Fault::Answer(502));
//! // … the service works against quay.api_url() with quay.token(), and its --outbound-allow has to name quay.address() …
//! assert_eq!(quay.traffic().count("PUT /organization/{organization}/robots/{robot}"), 2);
//! assert!(quay.edit(|model| model.repositories["team/web"].is_public));
//! # Ok(())
//! # }
//! ```
//! Repositories and robots are named without their organization in the model. Errors have Quay's statuses and shapes; a route
//! that is not there answers 501 with the file to add it to.

mod model;
mod routes;
mod server;

use std::sync::Arc;

use parking_lot::Mutex;

pub use model::{Model, Notification, Repository, Robot, Tag};
pub use server::html;

use crate::forge::Traffic;
use crate::pki::Authority;
use server::Server;

/// The one organization.
pub const ORGANIZATION: &str = "konflux";

/// A Quay of one test, until it is dropped.
pub struct FakeQuay {
    address: String,
    model: Arc<Mutex<Model>>,
    server: Server,
}

impl FakeQuay {
    /// With an empty organization, and a certificate by `authority`.
    pub fn start(authority: &Authority) -> anyhow::Result<Self> {
        let model = Arc::new(Mutex::new(Model::new()));
        let (server, port) = Server::start(authority, &model)?;
        Ok(Self { address: format!("localhost:{port}"), model, server })
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What calls are made below: `https://localhost:<port>/api/v1`.
    pub fn api_url(&self) -> String {
        format!("https://{}/api/v1", self.address)
    }

    /// The only bearer token that is taken.
    pub fn token(&self) -> String {
        self.model.lock().token.clone()
    }

    /// Looks at what there is, or changes it.
    pub fn edit<T>(&self, edit: impl FnOnce(&mut Model) -> T) -> T {
        edit(&mut self.model.lock())
    }

    /// What was asked for, and what is to go wrong. Routes are those of Quay's documentation with `{repository}`,
    /// `{organization}`, `{robot}`, `{user}`, `{tag}`, `{digest}` and `{uuid}`: `GET /repository/{repository}`.
    pub fn traffic(&self) -> &Traffic {
        self.server.traffic()
    }

    /// How many requests were under way together, at most.
    pub fn most_at_once(&self) -> usize {
        self.server.most_at_once()
    }
}
