//! What the controllers ask of a registry.

use fleet::Secret;
use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use image_controller_api::Visibility;
use image_controller_api::image_repository::Notification;

use super::Error;

/// An account of the registry for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Robot {
    /// In full, as one logs in: `organisation+robot`.
    pub name: String,
    /// Its password.
    pub token: Secret<String>,
}

/// What a robot may do with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Role {
    /// Pull.
    Read,
    /// Pull and push.
    Write,
}

/// A notification that the registry has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registered {
    /// Given by the registry.
    pub uuid: String,
    pub title: String,
    /// As `repo_push`.
    pub event: String,
    /// As `email` or `webhook`.
    pub method: String,
    /// Who is told: an address or a URL.
    pub target: String,
    /// How often in a row it could not be sent. The registry gives up at some point.
    pub failures: u64,
}

/// A registry with accounts. Repositories and robots are named without their organisation.
pub trait Backend: Send + Sync {
    /// How images of the repository are called, without tag: `<host>/<organisation>/<repository>`.
    fn url(&self, repository: &str) -> String;

    /// Makes a repository. One that is there is left as it is, whatever its visibility.
    fn create<'a>(
        &'a self,
        repository: &'a str,
        visibility: Visibility,
        description: &'a str,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Who may pull from a repository; `None` if there is none.
    fn find<'a>(&'a self, repository: &'a str) -> BoxFuture<'a, Result<Option<Visibility>, Error>>;

    /// Deletes a repository with all that is in it.
    fn delete<'a>(&'a self, repository: &'a str) -> BoxFuture<'a, Result<(), Error>>;

    fn set_visibility<'a>(
        &'a self,
        repository: &'a str,
        visibility: Visibility,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Makes a robot, or finds the one that is there.
    fn robot<'a>(&'a self, robot: &'a str, description: &'a str) -> BoxFuture<'a, Result<Robot, Error>>;

    /// Gives a robot another token. The one before is dead at once.
    fn rotate<'a>(&'a self, robot: &'a str) -> BoxFuture<'a, Result<Robot, Error>>;

    fn delete_robot<'a>(&'a self, robot: &'a str) -> BoxFuture<'a, Result<(), Error>>;

    /// Gives a robot exactly this role.
    fn grant<'a>(
        &'a self,
        repository: &'a str,
        robot: &'a str,
        role: Role,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// All notifications of a repository. These and the next four: [`Error::Unsupported`] unless the registry has such a thing.
    fn notifications<'a>(&'a self, _repository: &'a str) -> BoxFuture<'a, Result<Vec<Registered>, Error>> {
        ready(Err(Error::Unsupported)).boxed()
    }

    /// Makes a notification. Returns its uuid.
    fn add_notification<'a>(
        &'a self,
        _repository: &'a str,
        _wanted: &'a Notification,
    ) -> BoxFuture<'a, Result<String, Error>> {
        ready(Err(Error::Unsupported)).boxed()
    }

    /// Has the notification `uuid` be as wanted. Returns its new uuid.
    fn update_notification<'a>(
        &'a self,
        _repository: &'a str,
        _uuid: &'a str,
        _wanted: &'a Notification,
    ) -> BoxFuture<'a, Result<String, Error>> {
        ready(Err(Error::Unsupported)).boxed()
    }

    fn delete_notification<'a>(
        &'a self,
        _repository: &'a str,
        _uuid: &'a str,
    ) -> BoxFuture<'a, Result<(), Error>> {
        ready(Err(Error::Unsupported)).boxed()
    }

    /// Has the registry forget that it could not send a notification, and try again.
    fn reset_notification<'a>(
        &'a self,
        _repository: &'a str,
        _uuid: &'a str,
    ) -> BoxFuture<'a, Result<(), Error>> {
        ready(Err(Error::Unsupported)).boxed()
    }

    /// What `status.message` of a repository that is ready has to say of this registry, if anything.
    fn notice(&self) -> Option<&'static str> {
        None
    }
}
