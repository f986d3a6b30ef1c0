//! What GitLab knows besides the model, and who may ask it.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};

use super::errors;
use crate::forge::Caller;
use crate::forge::exchange::{Reply, Request};
use crate::forge::model::{Access, Account, Model};
use crate::forge::repository::{Repository, Visibility};
use crate::forge::server::Forge;

/// Requests are counted for so long.
const WINDOW: SignedDuration = SignedDuration::from_mins(1);

pub(super) struct State {
    pub(super) model: Model,
    pub(super) tokens: BTreeMap<String, Token>,
    /// Requests of each caller in a minute.
    pub(super) limit: u64,
    /// Requests and the end of the minute, by caller.
    pub(super) used: BTreeMap<String, (u64, Timestamp)>,
}

/// A personal access token.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) id: u64,
    pub(super) login: String,
    /// `api`, `read_api`, `read_repository`.
    pub(super) scopes: Vec<String>,
    pub(super) expires_at: Option<Timestamp>,
}

/// What a route demands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Needs {
    Nothing,
    /// Somebody who says who they are.
    User,
    /// Who sees the project in the path.
    Read,
    /// Who has this role in it.
    Role(Access),
}

impl Forge for State {
    type Needs = Needs;

    fn identify(&self, request: &Request) -> Result<Caller, Box<Reply>> {
        let Some(given) = token(request) else { return Ok(Caller::Anonymous) };
        match self.tokens.get(given) {
            Some(token) if token.expires_at.is_some_and(|at| at <= self.model.now()) => {
                errors::expired().err()
            }
            Some(token) => Ok(Caller::User(token.login.clone())),
            None => errors::unauthorized().err(),
        }
    }

    fn admit(&mut self, request: &Request, needs: Needs) -> Result<(), Box<Reply>> {
        self.count(request)?;
        if request.is_malformed {
            return errors::bad_request("400 Bad request - The request body is no JSON").err();
        }
        if let Some(token) = self.token(request) {
            let has = |wanted: &str| token.scopes.iter().any(|scope| scope == wanted);
            let reads = matches!(request.method, Method::GET | Method::HEAD);
            let is_about_files = request.url.contains("/repository/") && has("read_repository");
            if !(has("api") || reads && (has("read_api") || is_about_files)) {
                return errors::scope().err();
            }
        }
        let is_anonymous = request.caller == Caller::Anonymous;
        match needs {
            Needs::User if is_anonymous => errors::unauthorized().err(),
            Needs::Nothing | Needs::User => Ok(()),
            Needs::Read => self.project(request).map(drop),
            Needs::Role(_) if is_anonymous => {
                self.project(request)?;
                errors::unauthorized().err()
            }
            Needs::Role(least) => {
                let project = self.project(request)?;
                let role = request.user().and_then(|login| self.model.access(project, login));
                if role >= Some(least) { Ok(()) } else { errors::forbidden().err() }
            }
        }
    }

    fn finish(&mut self, request: &Request, reply: Reply) -> Reply {
        let (limit, (used, ends), now) = (self.limit, self.window(request), self.model.now());
        let remaining = limit.saturating_sub(used);
        let reply = reply
            .with("ratelimit-name", "throttle_authenticated_api")
            .with("ratelimit-limit", limit)
            .with("ratelimit-observed", used)
            .with("ratelimit-remaining", remaining)
            .with("ratelimit-reset", ends.as_second())
            .with("ratelimit-resettime", ends.strftime("%a, %d %b %Y %H:%M:%S GMT"));
        if reply.status == StatusCode::TOO_MANY_REQUESTS
            && reply.headers.iter().all(|(name, _)| *name != "retry-after")
        {
            return reply.with("retry-after", ends.duration_since(now).as_secs());
        }
        reply
    }

    fn error(&self, status: StatusCode) -> Reply {
        errors::of_status(status)
    }

    fn slow_down(&self, status: StatusCode, retry_after: u64) -> Reply {
        retry_later(status).with("retry-after", retry_after)
    }
}

impl State {
    pub(super) fn new(model: Model) -> Self {
        Self { model, tokens: BTreeMap::new(), limit: 2000, used: BTreeMap::new() }
    }

    pub(super) fn token(&self, request: &Request) -> Option<&Token> {
        self.tokens.get(token(request)?)
    }

    /// The project that the path names by id or by its path, if who asks may see it.
    pub(super) fn project(&self, request: &Request) -> Result<&Repository, Box<Reply>> {
        let id = request.param("id");
        let found = self.model.find_repo(id).or_else(|| self.model.repo_by_id(id.parse().ok()?));
        let seen = found.filter(|project| self.model.can_read(project, request.user()));
        seen.ok_or_else(|| errors::not_found("Project").into())
    }

    pub(super) fn project_mut(&mut self, request: &Request) -> Result<&mut Repository, Box<Reply>> {
        let full_name = self.project(request)?.full_name();
        self.model.repo_mut(&full_name).map_err(|_| errors::not_found("Project").into())
    }

    /// The group that the path names by id or by its path.
    pub(super) fn group(&self, request: &Request) -> Result<&Account, Box<Reply>> {
        let id = request.param("id");
        let number = id.parse::<u64>().ok();
        let mut groups = self.model.accounts.iter().filter(|account| account.is_organization());
        let found = groups.find(|group| group.login.eq_ignore_ascii_case(id) || Some(group.id) == number);
        found.ok_or_else(|| errors::not_found("Group").into())
    }

    fn count(&mut self, request: &Request) -> Result<(), Box<Reply>> {
        let (limit, who) = (self.limit, request.caller.to_string());
        self.window(request);
        if let Some((used, _)) = self.used.get_mut(&who) {
            *used += 1;
            if *used > limit {
                return retry_later(StatusCode::TOO_MANY_REQUESTS).err();
            }
        }
        Ok(())
    }

    /// Requests of the current minute, and its end.
    fn window(&mut self, request: &Request) -> (u64, Timestamp) {
        let now = self.model.now();
        let window = self.used.entry(request.caller.to_string()).or_insert((0, now + WINDOW));
        if window.1 <= now {
            *window = (0, now + WINDOW);
        }
        *window
    }
}

/// This one is no JSON.
fn retry_later(status: StatusCode) -> Reply {
    Reply::raw(status, "text/plain", b"Retry later\n")
}

/// `PRIVATE-TOKEN`, or `Authorization: Bearer`.
fn token(request: &Request) -> Option<&str> {
    let bearer = || request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    request.header("private-token").or_else(bearer)
}

/// GitLab's number of who sees a project.
pub(super) fn visibility_level(visibility: Visibility) -> u64 {
    match visibility {
        Visibility::Private => 0,
        Visibility::Internal => 10,
        Visibility::Public => 20,
    }
}
