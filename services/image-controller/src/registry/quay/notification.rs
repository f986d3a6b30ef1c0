//! Notifications of a Quay repository.

use http::{Method, StatusCode};
use image_controller_api::image_repository::Notification;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Error, Registered};
use super::Quay;

#[derive(Deserialize)]
struct ListAnswer {
    #[serde(default)]
    notifications: Vec<NotificationAnswer>,
}

#[derive(Deserialize)]
struct NotificationAnswer {
    uuid: String,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    event: String,
    #[serde(default)]
    method: String,
    /// `{"url": …}` or `{"email": …}`.
    #[serde(default)]
    config: Value,
    #[serde(default)]
    number_of_failures: u64,
}

impl From<NotificationAnswer> for Registered {
    fn from(answer: NotificationAnswer) -> Self {
        let target = ["url", "email"].into_iter().find_map(|key| answer.config.get(key)?.as_str());
        Self {
            target: target.unwrap_or_default().to_owned(),
            uuid: answer.uuid,
            title: answer.title.unwrap_or_default(),
            event: answer.event,
            method: answer.method,
            failures: answer.number_of_failures,
        }
    }
}

impl Quay {
    pub(super) async fn list_notifications(&self, repository: &str) -> Result<Vec<Registered>, Error> {
        let step = self.step("list notifications of repository", repository);
        // With a slash at its end: without one Quay redirects.
        let url = self.repository(&step, repository, &["notification", ""])?;
        let list: ListAnswer = self.call(&step, Method::GET, url, None).await?.json()?;
        Ok(list.notifications.into_iter().map(Registered::from).collect())
    }

    pub(super) async fn create_notification(
        &self,
        repository: &str,
        wanted: &Notification,
    ) -> Result<String, Error> {
        let step = self.step("add a notification to repository", repository);
        let url = self.repository(&step, repository, &["notification", ""])?;
        let body = json!({
            "title": wanted.title,
            "event": wanted.event,
            "method": wanted.method,
            "config": wanted.config.clone().unwrap_or_default(),
            "eventConfig": {},
        });
        let made: NotificationAnswer = self.call(&step, Method::POST, url, Some(&body)).await?.json()?;
        tracing::info!(audit = true, repository, title = wanted.title, "Added notification");
        Ok(made.uuid)
    }

    pub(super) async fn remove_notification(&self, repository: &str, uuid: &str) -> Result<(), Error> {
        let step = self.step("delete a notification of repository", repository);
        let url = self.repository(&step, repository, &["notification", check_uuid(&step, uuid)?])?;
        let answer = self.call(&step, Method::DELETE, url, None).await?;
        // Quay says 400 of one that is gone.
        if answer.is_absent() || answer.says(StatusCode::BAD_REQUEST, "no repository notification found") {
            return Ok(());
        }
        answer.success()?;
        tracing::info!(audit = true, repository, uuid, "Deleted notification");
        Ok(())
    }

    pub(super) async fn retry_notification(&self, repository: &str, uuid: &str) -> Result<(), Error> {
        let step = self.step("reset a notification of repository", repository);
        let url = self.repository(&step, repository, &["notification", check_uuid(&step, uuid)?])?;
        self.call(&step, Method::POST, url, None).await?.success()?;
        tracing::info!(audit = true, repository, uuid, "Reset notification");
        Ok(())
    }
}

/// What a registry gave us becomes part of an address.
fn check_uuid<'a>(step: &str, uuid: &'a str) -> Result<&'a str, Error> {
    let is_uuid = !uuid.is_empty() && uuid.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    is_uuid
        .then_some(uuid)
        .ok_or_else(|| Error::refused(step, &format!("{uuid:?} is no id of a notification")))
}
