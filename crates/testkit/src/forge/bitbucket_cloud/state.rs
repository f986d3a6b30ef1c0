//! What Bitbucket Cloud knows besides the model, and who may ask it.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};

use super::errors;
use crate::forge::Caller;
use crate::forge::exchange::{Reply, Request, from_base64};
use crate::forge::model::{Access, Model};
use crate::forge::repository::Repository;
use crate::forge::server::Forge;

/// Requests are counted for so long.
const WINDOW: SignedDuration = SignedDuration::from_hours(1);

pub(super) struct State {
    pub(super) model: Model,
    pub(super) tokens: BTreeMap<String, Token>,
    /// Requests of each caller in an hour.
    pub(super) limit: u64,
    /// Requests and the end of the hour, by caller.
    pub(super) used: BTreeMap<String, (u64, Timestamp)>,
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    login: String,
    /// `account`, `repository`, `repository:write`, `pullrequest`.
    scopes: Vec<String>,
    /// Of Basic authentication, with the user's name.
    is_password: bool,
}

impl Token {
    pub(super) fn new(login: &str, scopes: &[&str], is_password: bool) -> Self {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        Self { login: login.to_owned(), scopes, is_password }
    }

    fn has(&self, wanted: &str) -> bool {
        // Who may take part in pull requests may read what they are about.
        let implied: &[&str] = match wanted {
            "repository" => &["repository:write", "repository:admin", "pullrequest", "pullrequest:write"],
            "pullrequest" => &["pullrequest:write"],
            "account" => &["account:write"],
            _ => &[],
        };
        self.scopes.iter().any(|scope| scope == wanted || implied.contains(&scope.as_str()))
    }
}

/// What a route demands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Needs {
    Nothing,
    /// Somebody who says who they are, by a token of this scope.
    Somebody(&'static str),
    /// Who sees the repository in the path, by a token of this scope. To change something, who says who they are.
    Seeing(&'static str),
    /// Who may write to it, by a token of this scope.
    Writing(&'static str),
}

impl Forge for State {
    type Needs = Needs;

    fn identify(&self, request: &Request) -> Result<Caller, Box<Reply>> {
        match (request.header("authorization"), self.token(request)) {
            (None, _) => Ok(Caller::Anonymous),
            (Some(_), Some(token)) => Ok(Caller::User(token.login.clone())),
            (Some(_), None) => errors::unauthorized().err(),
        }
    }

    fn admit(&mut self, request: &Request, needs: Needs) -> Result<(), Box<Reply>> {
        self.count(request)?;
        if request.is_malformed {
            return errors::bad_request("The request body is not valid JSON").err();
        }
        let (Needs::Somebody(scope) | Needs::Seeing(scope) | Needs::Writing(scope)) = needs else {
            return Ok(());
        };
        if let Some(token) = self.token(request).filter(|token| !token.has(scope)) {
            return errors::scope(scope, &token.scopes).err();
        }
        let is_anonymous = request.caller == Caller::Anonymous;
        match needs {
            Needs::Somebody(_) if is_anonymous => errors::unauthorized().err(),
            Needs::Nothing | Needs::Somebody(_) => Ok(()),
            Needs::Seeing(_) | Needs::Writing(_) => {
                let repository = self.repo(request)?;
                let role = request.user().and_then(|login| self.model.access(repository, login));
                let least = matches!(needs, Needs::Writing(_)).then_some(Access::Write);
                if is_anonymous && request.method != Method::GET {
                    errors::unauthorized().err()
                } else if role < least {
                    errors::forbidden().err()
                } else {
                    Ok(())
                }
            }
        }
    }

    fn finish(&mut self, _: &Request, reply: Reply) -> Reply {
        reply.with("server", "AtlassianEdge").with("x-served-by", "fake")
    }

    fn error(&self, status: StatusCode) -> Reply {
        errors::of_status(status)
    }

    fn slow_down(&self, status: StatusCode, retry_after: u64) -> Reply {
        errors::of_status(status).with("retry-after", retry_after)
    }
}

impl State {
    pub(super) fn new(model: Model) -> Self {
        Self { model, tokens: BTreeMap::new(), limit: 1000, used: BTreeMap::new() }
    }

    pub(super) fn add_token(&mut self, prefix: &str, token: Token) -> String {
        let secret = format!("{prefix}{}", data_encoding::HEXLOWER.encode(&rand::random::<[u8; 12]>()));
        self.tokens.insert(secret.clone(), token);
        secret
    }

    /// `Basic` with name and app password, or `Bearer`.
    fn token(&self, request: &Request) -> Option<&Token> {
        let given = request.header("authorization")?;
        if let Some(bearer) = given.strip_prefix("Bearer ") {
            return self.tokens.get(bearer).filter(|token| !token.is_password);
        }
        let pair = String::from_utf8(from_base64(given.strip_prefix("Basic ")?)?).ok()?;
        let (login, password) = pair.split_once(':')?;
        let token = self.tokens.get(password).filter(|token| token.is_password)?;
        (token.login == login).then_some(token)
    }

    /// The repository that the path names, if who asks may see it.
    pub(super) fn repo(&self, request: &Request) -> Result<&Repository, Box<Reply>> {
        let name = full_name(request);
        let found = self.model.find_repo(&name);
        let seen = found.filter(|repository| self.model.can_read(repository, request.user()));
        seen.ok_or_else(|| errors::not_found(&format!("Repository {name}")).into())
    }

    pub(super) fn repo_mut(&mut self, request: &Request) -> Result<&mut Repository, Box<Reply>> {
        let name = self.repo(request)?.full_name();
        self.model.repo_mut(&name).map_err(|_| errors::not_found("Repository").into())
    }

    fn count(&mut self, request: &Request) -> Result<(), Box<Reply>> {
        let now = self.model.now();
        let window = self.used.entry(request.caller.to_string()).or_insert((0, now + WINDOW));
        if window.1 <= now {
            *window = (0, now + WINDOW);
        }
        window.0 += 1;
        if window.0 > self.limit { errors::too_many().err() } else { Ok(()) }
    }
}

pub(super) fn full_name(request: &Request) -> String {
    format!("{}/{}", request.param("workspace"), request.param("repo_slug"))
}
