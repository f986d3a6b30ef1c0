//! What Bitbucket Server knows besides the model, and who may ask it.

use std::collections::BTreeMap;

use http::{Method, StatusCode};

use super::errors;
use crate::forge::Caller;
use crate::forge::exchange::{Reply, Request};
use crate::forge::model::{Access, Model};
use crate::forge::repository::Repository;
use crate::forge::server::Forge;

pub(super) struct State {
    pub(super) model: Model,
    /// Who has a token, and how much it lets them do.
    tokens: BTreeMap<String, (String, Access)>,
    /// How often a comment was changed, by its id.
    pub(super) versions: BTreeMap<u64, u64>,
}

/// What a route demands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Needs {
    Nothing,
    /// Who sees the repository in the path; to change something, who says who they are.
    Read,
    /// Who administrates it.
    Admin,
    /// Who administrates the project in the path.
    ProjectAdmin,
}

impl Forge for State {
    type Needs = Needs;

    fn identify(&self, request: &Request) -> Result<Caller, Box<Reply>> {
        match (request.header("authorization"), self.token(request)) {
            (None, _) => Ok(Caller::Anonymous),
            (Some(_), Some((login, _))) => Ok(Caller::User(login.clone())),
            (Some(_), None) => errors::bad_token().err(),
        }
    }

    fn admit(&mut self, request: &Request, needs: Needs) -> Result<(), Box<Reply>> {
        if request.is_malformed {
            return errors::bad_request("The request body is no JSON").err();
        }
        let most = self.token(request).map(|(_, most)| *most);
        let may = |access: Option<Access>| access.min(most) >= Some(Access::Admin);
        let is_enough = match needs {
            Needs::Nothing => true,
            Needs::Read => {
                self.repo(request)?;
                request.method == Method::GET || request.user().is_some()
            }
            Needs::Admin => {
                let repository = self.repo(request)?;
                may(request.user().and_then(|login| self.model.access(repository, login)))
            }
            Needs::ProjectAdmin => {
                let project = self.model.find_account(request.param("project"));
                let project = project.filter(|project| project.is_organization());
                let members = &project.ok_or_else(|| errors::not_found("Project"))?.members;
                let own = members.iter().find(|member| Some(member.login.as_str()) == request.user());
                may(own.map(|member| member.access))
            }
        };
        if is_enough { Ok(()) } else { errors::unauthorized().err() }
    }

    fn finish(&mut self, request: &Request, reply: Reply) -> Reply {
        match request.user() {
            Some(login) => reply.with("x-ausername", login),
            None => reply,
        }
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
        Self { model, tokens: BTreeMap::new(), versions: BTreeMap::new() }
    }

    pub(super) fn add_token(&mut self, login: &str, most: Access) -> String {
        let token = data_encoding::BASE64_NOPAD.encode(&rand::random::<[u8; 33]>());
        self.tokens.insert(token.clone(), (login.to_owned(), most));
        token
    }

    fn token(&self, request: &Request) -> Option<&(String, Access)> {
        self.tokens.get(request.header("authorization")?.strip_prefix("Bearer ")?)
    }

    /// The repository that the path names, if who asks may see it.
    pub(super) fn repo(&self, request: &Request) -> Result<&Repository, Box<Reply>> {
        let found = self.model.find_repo(&full_name(request));
        match found {
            None => errors::not_found("Repository").err(),
            Some(repository) if self.model.can_read(repository, request.user()) => Ok(repository),
            Some(_) => errors::unauthorized().err(),
        }
    }

    pub(super) fn repo_mut(&mut self, request: &Request) -> Result<&mut Repository, Box<Reply>> {
        let name = self.repo(request)?.full_name();
        self.model.repo_mut(&name).map_err(|_| errors::not_found("Repository").into())
    }
}

pub(super) fn full_name(request: &Request) -> String {
    format!("{}/{}", request.param("project"), request.param("repo"))
}
