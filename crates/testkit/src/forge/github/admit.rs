//! Who asks GitHub, how often, and what they may.

use http::StatusCode;
use http::header::IF_NONE_MATCH;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::errors;
use super::state::{State, Token, TokenOf};
use crate::forge::Caller;
use crate::forge::exchange::{Reply, Request, from_base64, time};
use crate::forge::jwt;
use crate::forge::model::Access;
use crate::forge::repository::{Repository, Visibility};
use crate::forge::server::Forge;

/// What a route demands. Texts are permissions of Apps: `contents`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Needs {
    Nothing,
    /// The App itself, by its JWT.
    App,
    Installation,
    User,
    /// Somebody who says who they are; an App with this permission to read.
    Organization(&'static str),
    /// To read the repository in the path.
    Read(&'static str),
    /// To change it; of users, those who may push.
    Write(&'static str),
    /// To take part in it; of users, all who see it.
    TakePart(&'static str),
    /// To change what only Apps have.
    AppWrite(&'static str),
    /// To see or change what only its administrators see.
    Admin(&'static str, &'static str),
}

impl Forge for State {
    type Needs = Needs;

    fn identify(&self, request: &Request) -> Result<Caller, Box<Reply>> {
        let Some(token) = token(request) else { return Ok(Caller::Anonymous) };
        if token.split('.').count() == 3 {
            return self.identify_app(&token);
        }
        let known = self.tokens.get(&token).filter(|known| !is_over(known.expires_at, self.model.now()));
        match known.map(|known| &known.of) {
            Some(TokenOf::User { login, .. }) => Ok(Caller::User(login.clone())),
            Some(TokenOf::Installation { id, .. }) => Ok(Caller::Installation(*id)),
            None => errors::message(StatusCode::UNAUTHORIZED, "Bad credentials").err(),
        }
    }

    fn admit(&mut self, request: &Request, needs: Needs) -> Result<(), Box<Reply>> {
        if !request.url.ends_with("/rate_limit") {
            self.count(request)?;
        }
        if let Caller::Installation(id) = request.caller
            && self.model.installation(id).is_none_or(|installation| installation.suspended_at.is_some())
        {
            return errors::forbidden("This installation has been suspended").err();
        }
        if request.is_malformed {
            return errors::message(StatusCode::BAD_REQUEST, "Problems parsing JSON").err();
        }
        match (needs, &request.caller) {
            (Needs::Nothing, _)
            | (Needs::App, Caller::App(_))
            | (Needs::Installation, Caller::Installation(_))
            | (Needs::User | Needs::Organization(_), Caller::User(_)) => Ok(()),
            (Needs::App, _) => {
                errors::message(StatusCode::UNAUTHORIZED, "A JSON web token could not be decoded").err()
            }
            (Needs::Organization(permission), Caller::Installation(_)) => {
                self.demand(request, permission, "read")
            }
            (Needs::Installation, _) => {
                errors::forbidden("You must authenticate with an installation access token").err()
            }
            (Needs::User | Needs::Organization(_), Caller::Anonymous) => requires_authentication().err(),
            (Needs::User | Needs::Organization(_), _) => inaccessible("").err(),
            _ => self.admit_to_repository(request, needs),
        }
    }

    fn finish(&mut self, request: &Request, mut reply: Reply) -> Reply {
        reply = reply.with("x-github-media-type", "github.v3; format=json").with("server", "GitHub.com");
        let tag = format!("W/\"{}\"", data_encoding::HEXLOWER.encode(&Sha256::digest(&reply.body)));
        if reply.status == StatusCode::OK && request.method == http::Method::GET {
            // What has not changed is not counted.
            if request.header(IF_NONE_MATCH.as_str()).is_some_and(|known| known.contains(&tag)) {
                self.uncount(request);
                let headers = std::mem::take(&mut reply.headers);
                reply = Reply { headers, ..Reply::empty(StatusCode::NOT_MODIFIED) };
            }
            reply = reply.with("etag", tag).with("cache-control", "private, max-age=60, s-maxage=60");
        }
        if let Some(Token { of, expires_at }) = token(request).and_then(|token| self.tokens.get(&token)) {
            if let TokenOf::User { scopes, .. } = of {
                reply = reply.with("x-oauth-scopes", scopes.join(", "));
            }
            if let (TokenOf::User { .. }, Some(expires)) = (of, expires_at) {
                let expires = expires.strftime("%Y-%m-%d %H:%M:%S UTC");
                reply = reply.with("github-authentication-token-expiration", expires);
            }
        }
        let headers = self.limit_headers(request);
        reply.headers.extend(headers);
        reply
    }

    fn error(&self, status: StatusCode) -> Reply {
        errors::of_status(status)
    }

    fn slow_down(&self, status: StatusCode, retry_after: u64) -> Reply {
        let why = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
        errors::message(status, why).with("retry-after", retry_after)
    }
}

impl State {
    fn identify_app(&self, token: &str) -> Result<Caller, Box<Reply>> {
        let refused = |refused: jwt::Refused| errors::message(StatusCode::UNAUTHORIZED, refused.0);
        let issuer = jwt::issuer(token).map_err(refused)?;
        let Some(app) = issuer.parse().ok().and_then(|id| self.model.app(id)) else {
            return errors::message(StatusCode::NOT_FOUND, "Integration not found").err();
        };
        jwt::verify(token, &app.public_key, self.model.now()).map_err(refused)?;
        Ok(Caller::App(app.id))
    }

    fn admit_to_repository(&self, request: &Request, needs: Needs) -> Result<(), Box<Reply>> {
        let repository = self.repo(request)?;
        let is_public = repository.visibility == Visibility::Public;
        match (&request.caller, needs) {
            (Caller::Installation(_), _) => {
                let (permission, level) = match needs {
                    Needs::Read(permission) => (permission, "read"),
                    Needs::Admin(permission, level) => (permission, level),
                    Needs::Write(permission) | Needs::TakePart(permission) | Needs::AppWrite(permission) => {
                        (permission, "write")
                    }
                    _ => return Ok(()),
                };
                if is_public && matches!(needs, Needs::Read(_)) {
                    return Ok(());
                }
                match (self.holds(request, repository), is_public) {
                    (true, _) => self.demand(request, permission, level),
                    (false, true) => inaccessible(permission).err(),
                    (false, false) => errors::not_found().err(),
                }
            }
            (Caller::User(login), _) => {
                let scopes = self.scopes(request);
                let has_scope = scopes.iter().any(|scope| scope == "repo");
                let sees = is_public || has_scope && self.model.can_read(repository, Some(login));
                if !sees {
                    return errors::not_found().err();
                }
                let least = match needs {
                    Needs::Write(_) => Some(Access::Write),
                    Needs::Admin(..) => Some(Access::Admin),
                    Needs::AppWrite(_) => {
                        return errors::forbidden("You must authenticate via a GitHub App.").err();
                    }
                    _ => None,
                };
                let may_write = has_scope || is_public && scopes.iter().any(|scope| scope == "public_repo");
                let access = self.model.access(repository, login);
                // Who may not push is not told that there is something to push to.
                let is_enough = least.is_none_or(|least| may_write && access >= Some(least));
                if is_enough { Ok(()) } else { errors::not_found().err() }
            }
            (Caller::Anonymous, Needs::Read(_)) if is_public => Ok(()),
            (Caller::Anonymous, Needs::Read(_) | Needs::Admin(..)) => errors::not_found().err(),
            (Caller::Anonymous, _) if is_public => requires_authentication().err(),
            (Caller::Anonymous, _) => errors::not_found().err(),
            // An App has to take the token of an installation.
            (Caller::App(_), _) => inaccessible("").err(),
        }
    }

    /// Whether the installation token covers the repository.
    fn holds(&self, request: &Request, repository: &Repository) -> bool {
        let Some(Token { of: TokenOf::Installation { id, repositories, .. }, .. }) = self.token_of(request)
        else {
            return false;
        };
        let is_installed = self.model.installation(*id).is_some_and(|installation| {
            self.model.installed_in(installation).any(|repo| repo.id == repository.id)
        });
        is_installed && repositories.as_ref().is_none_or(|given| given.contains(&repository.id))
    }

    fn demand(&self, request: &Request, permission: &str, level: &str) -> Result<(), Box<Reply>> {
        let Some(Token { of: TokenOf::Installation { permissions, .. }, .. }) = self.token_of(request) else {
            return inaccessible(permission).err();
        };
        let granted = permissions.get(permission).map(String::as_str);
        // Every App may read what a repository is.
        let is_enough = permission == "metadata" || granted == Some("write") || granted == Some(level);
        if is_enough {
            return Ok(());
        }
        inaccessible(permission).with("x-accepted-github-permissions", format!("{permission}={level}")).err()
    }

    pub(super) fn token_of(&self, request: &Request) -> Option<&Token> {
        self.tokens.get(&token(request)?)
    }

    pub(super) fn scopes(&self, request: &Request) -> Vec<String> {
        match self.token_of(request) {
            Some(Token { of: TokenOf::User { scopes, .. }, .. }) => scopes.clone(),
            _ => Vec::new(),
        }
    }

    fn count(&mut self, request: &Request) -> Result<(), Box<Reply>> {
        let (limit, now) = (self.limit(request), self.model.now());
        let status = self.limits.status;
        let (used, ends) = self.window(request);
        *used += 1;
        if *used <= limit {
            return Ok(());
        }
        *used = limit;
        let (who, wait) = (request.caller.to_string(), ends.duration_since(now).as_secs());
        let why = format!("API rate limit exceeded for {who}. It is reset in {wait} s.");
        errors::message(status, &why).err()
    }

    fn uncount(&mut self, request: &Request) {
        let (used, _) = self.window(request);
        *used = used.saturating_sub(1);
    }

    fn limit(&self, request: &Request) -> u64 {
        match request.caller {
            Caller::Anonymous => self.limits.anonymous,
            _ => self.limits.authenticated,
        }
    }

    /// Requests of the current hour, which begins with the first, and its end.
    fn window(&mut self, request: &Request) -> (&mut u64, Timestamp) {
        let now = self.model.now();
        let end = now + super::state::TOKEN_LIFETIME;
        let (used, ends) = self.limits.used.entry(request.caller.to_string()).or_insert((0, end));
        if *ends <= now {
            (*used, *ends) = (0, end);
        }
        (used, *ends)
    }

    fn limit_headers(&mut self, request: &Request) -> Vec<(&'static str, String)> {
        let rate = self.rate(request);
        ["limit", "remaining", "reset", "used", "resource"]
            .into_iter()
            .zip([
                "x-ratelimit-limit",
                "x-ratelimit-remaining",
                "x-ratelimit-reset",
                "x-ratelimit-used",
                "x-ratelimit-resource",
            ])
            .map(|(field, header)| (header, rate[field].to_string().trim_matches('"').to_owned()))
            .collect()
    }

    /// As `GET /rate_limit` shows it.
    pub(super) fn rate(&mut self, request: &Request) -> Value {
        let limit = self.limit(request);
        let (used, ends) = self.window(request);
        let used = *used;
        json!({
            "limit": limit, "used": used, "remaining": limit.saturating_sub(used),
            "reset": ends.as_second(), "resource": "core",
        })
    }
}

fn inaccessible(permission: &str) -> Reply {
    let reply = errors::forbidden("Resource not accessible by integration");
    if permission.is_empty() { reply } else { reply.with("x-accepted-github-permissions", permission) }
}

fn requires_authentication() -> Reply {
    errors::message(StatusCode::UNAUTHORIZED, "Requires authentication")
}

fn is_over(expires: Option<Timestamp>, now: Timestamp) -> bool {
    expires.is_some_and(|expires| expires <= now)
}

/// The token of a request: `Bearer`, `token`, or the password of basic authentication.
pub(super) fn token(request: &Request) -> Option<String> {
    let (scheme, rest) = request.header("authorization")?.split_once(' ')?;
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" | "token" => Some(rest.trim().to_owned()),
        "basic" => {
            let pair = String::from_utf8(from_base64(rest)?).ok()?;
            pair.split_once(':').map(|(_, password)| password.to_owned())
        }
        _ => Some(String::new()),
    }
}

/// As tokens and installations show times.
pub(super) fn maybe_time(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| Value::String(time(at)))
}
