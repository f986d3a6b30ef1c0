//! Quay: accounts, repositories and permissions by its REST API, version 1.

mod answer;
mod listing;
mod notification;

use fleet::outbound::{self, Credential, Request, Url};
use fleet::{Clock, Secret};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Method, StatusCode};
use image_controller_api::Visibility;
use image_controller_api::image_repository::Notification;
use serde::Deserialize;
use serde_json::{Value, json};

use self::answer::Answer;
use super::name::{check_repository, short_robot};
use super::pace::Pace;
use super::{Backend, Error, Registered, Robot, Role};

/// One organization of a Quay.
pub(crate) struct Quay {
    pub(crate) api: Url,
    /// What names of images begin with.
    pub(crate) host: String,
    pub(crate) organization: String,
    pub(crate) token: Secret<String>,
    pub(crate) outbound: outbound::Client,
    pub(crate) pace: Pace,
    pub(crate) clock: Clock,
}

#[derive(Deserialize)]
struct RepositoryAnswer {
    is_public: bool,
}

#[derive(Deserialize)]
struct RobotAnswer {
    name: String,
    token: String,
}

impl Quay {
    /// Address below the API. None of the segments may be `..`: the checks of names see to that.
    fn address<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.api.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Of a repository, or something of it.
    fn repository<'a>(&self, step: &str, name: &'a str, more: &[&'a str]) -> Result<Url, Error> {
        check_repository(step, &self.organization, name)?;
        let segments = ["repository", self.organization.as_str()].into_iter().chain(name.split('/'));
        Ok(self.address(segments.chain(more.iter().copied())))
    }

    fn robot_address(&self, step: &str, robot: &str, more: &[&str]) -> Result<Url, Error> {
        let robot = short_robot(step, robot)?;
        let segments = ["organization", self.organization.as_str(), "robots", robot];
        Ok(self.address(segments.into_iter().chain(more.iter().copied())))
    }

    async fn call(
        &self,
        step: &str,
        method: Method,
        url: Url,
        body: Option<&Value>,
    ) -> Result<Answer, Error> {
        let failed = |error| answer::unanswered(step, &error, self.clock.now());
        let credential = Credential::bearer(&url, &self.token).map_err(failed)?;
        let mut request = Request::new(method, url).credential(&credential);
        if let Some(body) = body {
            request = request.json(body).map_err(failed)?;
        }
        let _turn = self.pace.turn().await;
        self.outbound.fetch(request).await.map(|response| Answer::new(step, response)).map_err(failed)
    }

    fn step(&self, what: &str, repository: &str) -> String {
        format!("{what} {}/{repository}", self.organization)
    }
}

/// What came of a call that makes, finds or changes a robot.
fn robot_of(answer: &Answer) -> Result<Robot, Error> {
    let RobotAnswer { name, token } = answer.json()?;
    Ok(Robot { name, token: Secret::new(token) })
}

fn word(visibility: Visibility) -> &'static str {
    match visibility {
        Visibility::Public => "public",
        Visibility::Private => "private",
    }
}

impl Backend for Quay {
    fn url(&self, repository: &str) -> String {
        format!("{}/{}/{repository}", self.host, self.organization)
    }

    fn create<'a>(
        &'a self,
        repository: &'a str,
        visibility: Visibility,
        description: &'a str,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let step = self.step("create repository", repository);
            check_repository(&step, &self.organization, repository)?;
            let body = json!({
                "namespace": self.organization,
                "repository": repository,
                "visibility": word(visibility),
                "description": description,
            });
            let answer = self.call(&step, Method::POST, self.address(["repository"]), Some(&body)).await?;
            if answer.says(StatusCode::BAD_REQUEST, "already exists") {
                return Ok(());
            }
            answer.success()?;
            tracing::info!(audit = true, repository, organization = self.organization, "Created repository");
            Ok(())
        }
        .boxed()
    }

    fn find<'a>(&'a self, repository: &'a str) -> BoxFuture<'a, Result<Option<Visibility>, Error>> {
        async move {
            let step = self.step("look up repository", repository);
            let url = self.repository(&step, repository, &[])?;
            let answer = self.call(&step, Method::GET, url, None).await?;
            if answer.is_absent() {
                return Ok(None);
            }
            let RepositoryAnswer { is_public } = answer.json()?;
            Ok(Some(if is_public { Visibility::Public } else { Visibility::Private }))
        }
        .boxed()
    }

    fn delete<'a>(&'a self, repository: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let step = self.step("delete repository", repository);
            let url = self.repository(&step, repository, &[])?;
            let answer = self.call(&step, Method::DELETE, url, None).await?;
            if !answer.is_absent() {
                answer.success()?;
                tracing::info!(
                    audit = true,
                    repository,
                    organization = self.organization,
                    "Deleted repository"
                );
            }
            Ok(())
        }
        .boxed()
    }

    fn set_visibility<'a>(
        &'a self,
        repository: &'a str,
        visibility: Visibility,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let step = self.step("change visibility of repository", repository);
            let url = self.repository(&step, repository, &["changevisibility"])?;
            let body = json!({ "visibility": word(visibility) });
            self.call(&step, Method::POST, url, Some(&body)).await?.success()?;
            tracing::info!(
                audit = true,
                repository,
                organization = self.organization,
                visibility = word(visibility),
                "Changed visibility of repository"
            );
            Ok(())
        }
        .boxed()
    }

    fn robot<'a>(&'a self, robot: &'a str, description: &'a str) -> BoxFuture<'a, Result<Robot, Error>> {
        async move {
            let step = self.step("create robot account", robot);
            let url = self.robot_address(&step, robot, &[])?;
            let body = json!({ "description": description });
            let answer = self.call(&step, Method::PUT, url.clone(), Some(&body)).await?;
            if answer.says(StatusCode::BAD_REQUEST, "existing robot") {
                return robot_of(&self.call(&step, Method::GET, url, None).await?);
            }
            let made = robot_of(&answer)?;
            tracing::info!(audit = true, robot = made.name, "Created robot account");
            Ok(made)
        }
        .boxed()
    }

    fn rotate<'a>(&'a self, robot: &'a str) -> BoxFuture<'a, Result<Robot, Error>> {
        async move {
            let step = self.step("replace token of robot account", robot);
            let url = self.robot_address(&step, robot, &["regenerate"])?;
            let rotated = robot_of(&self.call(&step, Method::POST, url, None).await?)?;
            tracing::info!(audit = true, robot = rotated.name, "Replaced token of robot account");
            Ok(rotated)
        }
        .boxed()
    }

    fn delete_robot<'a>(&'a self, robot: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let step = self.step("delete robot account", robot);
            let url = self.robot_address(&step, robot, &[])?;
            let answer = self.call(&step, Method::DELETE, url, None).await?;
            // Some versions answer 400 for what they do not find.
            if answer.is_absent() || answer.says(StatusCode::BAD_REQUEST, "could not find robot") {
                return Ok(());
            }
            answer.success()?;
            tracing::info!(audit = true, robot, organization = self.organization, "Deleted robot account");
            Ok(())
        }
        .boxed()
    }

    fn grant<'a>(
        &'a self,
        repository: &'a str,
        robot: &'a str,
        role: Role,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let step = self.step("give a robot account rights on repository", repository);
            let full = format!("{}+{}", self.organization, short_robot(&step, robot)?);
            let url = self.repository(&step, repository, &["permissions", "user", &full])?;
            let role: &str = role.into();
            self.call(&step, Method::PUT, url, Some(&json!({ "role": role }))).await?.success()?;
            tracing::info!(audit = true, robot = full, repository, role, "Gave robot account rights");
            Ok(())
        }
        .boxed()
    }

    fn notifications<'a>(&'a self, repository: &'a str) -> BoxFuture<'a, Result<Vec<Registered>, Error>> {
        self.list_notifications(repository).boxed()
    }

    fn add_notification<'a>(
        &'a self,
        repository: &'a str,
        wanted: &'a Notification,
    ) -> BoxFuture<'a, Result<String, Error>> {
        self.create_notification(repository, wanted).boxed()
    }

    fn update_notification<'a>(
        &'a self,
        repository: &'a str,
        uuid: &'a str,
        wanted: &'a Notification,
    ) -> BoxFuture<'a, Result<String, Error>> {
        async move {
            // Quay has no call that changes one. Between the two there is none of this title, which the next pass mends.
            self.remove_notification(repository, uuid).await?;
            self.create_notification(repository, wanted).await
        }
        .boxed()
    }

    fn delete_notification<'a>(
        &'a self,
        repository: &'a str,
        uuid: &'a str,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.remove_notification(repository, uuid).boxed()
    }

    fn reset_notification<'a>(
        &'a self,
        repository: &'a str,
        uuid: &'a str,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.retry_notification(repository, uuid).boxed()
    }
}
