//! A registry without accounts of its own: the one that is configured, for all.

use fleet::Secret;
use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use image_controller_api::Visibility;

use super::name::check_repository;
use super::{Backend, Error, Robot, Role};

/// What status says of every repository here.
const NOTICE: &str = "The registry has no accounts of its own: all image repositories share one, and anybody who may pull from \
                      the registry may pull from this one. Not for shared clusters.";

/// Repositories come into being with the first push. There is nothing to make, and nothing to take away.
pub(crate) struct Plain {
    host: String,
    organization: String,
    user: String,
    password: Secret<String>,
}

impl Plain {
    pub(crate) fn new(host: String, organization: String, user: String, password: Secret<String>) -> Self {
        Self { host, organization, user, password }
    }

    fn account(&self) -> Robot {
        Robot { name: self.user.clone(), token: self.password.clone() }
    }
}

fn done<'a, T: Send + 'a>(result: Result<T, Error>) -> BoxFuture<'a, Result<T, Error>> {
    ready(result).boxed()
}

impl Backend for Plain {
    fn url(&self, repository: &str) -> String {
        format!("{}/{}/{repository}", self.host, self.organization)
    }

    fn create<'a>(
        &'a self,
        repository: &'a str,
        _visibility: Visibility,
        _description: &'a str,
    ) -> BoxFuture<'a, Result<(), Error>> {
        done(check_repository("create repository", &self.organization, repository))
    }

    /// What the registry does with strangers is not known; the worst is said.
    fn find<'a>(&'a self, _repository: &'a str) -> BoxFuture<'a, Result<Option<Visibility>, Error>> {
        done(Ok(Some(Visibility::Public)))
    }

    fn delete<'a>(&'a self, _repository: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        done(Ok(()))
    }

    fn set_visibility<'a>(
        &'a self,
        _repository: &'a str,
        _visibility: Visibility,
    ) -> BoxFuture<'a, Result<(), Error>> {
        done(Ok(()))
    }

    fn robot<'a>(&'a self, _robot: &'a str, _description: &'a str) -> BoxFuture<'a, Result<Robot, Error>> {
        done(Ok(self.account()))
    }

    /// The account is the operator's to rotate.
    fn rotate<'a>(&'a self, _robot: &'a str) -> BoxFuture<'a, Result<Robot, Error>> {
        done(Ok(self.account()))
    }

    fn delete_robot<'a>(&'a self, _robot: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        done(Ok(()))
    }

    fn grant<'a>(
        &'a self,
        _repository: &'a str,
        _robot: &'a str,
        _role: Role,
    ) -> BoxFuture<'a, Result<(), Error>> {
        done(Ok(()))
    }

    fn notice(&self) -> Option<&'static str> {
        Some(NOTICE)
    }
}
