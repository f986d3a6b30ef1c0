//! What GitHub knows besides the model: tokens and limits.

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};

use super::errors;
use crate::forge::Caller;
use crate::forge::exchange::{Reply, Request};
use crate::forge::model::Model;
use crate::forge::repository::Repository;

/// How long a token of an installation is good.
pub(super) const TOKEN_LIFETIME: SignedDuration = SignedDuration::from_hours(1);

pub(super) struct State {
    pub(super) model: Model,
    pub(super) tokens: BTreeMap<String, Token>,
    pub(super) limits: Limits,
}

/// A token and what it stands for.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) of: TokenOf,
    pub(super) expires_at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub(super) enum TokenOf {
    User {
        login: String,
        /// `repo`, `admin:repo_hook`.
        scopes: Vec<String>,
    },
    Installation {
        id: u64,
        /// `None` is all of the installation.
        repositories: Option<Vec<u64>>,
        permissions: BTreeMap<String, String>,
    },
}

/// How many requests each caller has left.
#[derive(Debug)]
pub(super) struct Limits {
    /// In an hour, for those who say who they are.
    pub(super) authenticated: u64,
    /// For those who do not.
    pub(super) anonymous: u64,
    /// 403 or 429.
    pub(super) status: StatusCode,
    /// Requests and the end of the hour, by caller.
    pub(super) used: BTreeMap<String, (u64, Timestamp)>,
}

impl State {
    pub(super) fn new(model: Model) -> Self {
        let limits = Limits {
            authenticated: 5000,
            anonymous: 60,
            status: StatusCode::FORBIDDEN,
            used: BTreeMap::new(),
        };
        Self { model, tokens: BTreeMap::new(), limits }
    }

    /// The repository that the path names.
    pub(super) fn repo(&self, request: &Request) -> Result<&Repository, Box<Reply>> {
        self.model.find_repo(&full_name(request)).ok_or_else(|| Box::new(errors::not_found()))
    }

    pub(super) fn repo_mut(&mut self, request: &Request) -> Result<&mut Repository, Box<Reply>> {
        self.model.repo_mut(&full_name(request)).map_err(|_| Box::new(errors::not_found()))
    }

    /// Login of whom a change is ascribed to: the user, or the App's robot.
    pub(super) fn actor(&self, request: &Request) -> String {
        let app = self.acting_app(request).and_then(|id| self.model.app(id));
        match (request.user(), app) {
            (Some(login), _) => login.to_owned(),
            (None, Some(app)) => format!("{}[bot]", app.slug),
            (None, None) => "ghost".to_owned(),
        }
    }

    /// The App that asks through an installation.
    pub(super) fn acting_app(&self, request: &Request) -> Option<u64> {
        match request.caller {
            Caller::Installation(id) => self.model.installation(id).map(|one| one.app),
            Caller::App(id) => Some(id),
            _ => None,
        }
    }
}

pub(super) fn full_name(request: &Request) -> String {
    format!("{}/{}", request.param("owner"), request.param("repo"))
}
