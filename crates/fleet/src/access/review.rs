//! Asks the API server.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::Client;
use kube::api::{Api, PostParams};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::cache::{Failed, Key};
use super::metrics::Metrics;
use super::{Attributes, Identity};
use crate::Secret;
use crate::controller::chain;

/// A caller waits no longer, the wait for its turn included.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Strangers with invented tokens must not keep the API server busy.
const IN_FLIGHT: usize = 32;

pub(super) struct Reviewer {
    client: Client,
    audience: String,
    in_flight: Semaphore,
    metrics: Metrics,
}

impl Reviewer {
    pub(super) fn new(client: Client, audience: String, metrics: Metrics) -> Self {
        Self { client, audience, in_flight: Semaphore::new(IN_FLIGHT), metrics }
    }

    /// The owner of the token, if it is valid and meant for us.
    pub(super) async fn token(
        &self,
        token: &Secret<String>,
        key: Key,
    ) -> Result<Option<Arc<Identity>>, Failed> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.expose().clone()),
                // Without, the API server takes its own.
                audiences: (!self.audience.is_empty()).then(|| vec![self.audience.clone()]),
            },
            ..TokenReview::default()
        };
        let reviewed = self.ask("token", &review).await?;
        Ok(self.answered("token", self.identity(reviewed, key).map(Arc::new)))
    }

    /// Whether the caller may do this.
    pub(super) async fn rights(&self, caller: &Identity, what: &Attributes) -> Result<Option<()>, Failed> {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(caller.user.clone()),
                uid: caller.uid.clone(),
                groups: Some(caller.groups.clone()),
                extra: Some(caller.extra.clone()),
                non_resource_attributes: what.path.as_ref().map(|path| NonResourceAttributes {
                    path: Some(path.clone()),
                    verb: Some(what.verb.clone()),
                }),
                resource_attributes: what.path.is_none().then(|| ResourceAttributes {
                    verb: Some(what.verb.clone()),
                    group: Some(what.group.clone()),
                    resource: Some(what.resource.clone()),
                    subresource: what.subresource.clone(),
                    namespace: Some(what.namespace().to_owned()),
                    name: what.name.clone(),
                    ..ResourceAttributes::default()
                }),
            },
            ..SubjectAccessReview::default()
        };
        let status = self.ask("access", &review).await?.status;
        let is_allowed = status.is_some_and(|status| status.allowed && status.denied != Some(true));
        Ok(self.answered("access", is_allowed.then_some(())))
    }

    fn identity(&self, reviewed: TokenReview, key: Key) -> Option<Identity> {
        let status = reviewed.status?;
        // A server that does not know of audiences answers without: then the token may be meant for anybody.
        let is_for_us = self.audience.is_empty()
            || status.audiences.is_some_and(|audiences| audiences.contains(&self.audience));
        if status.authenticated != Some(true)
            || status.error.is_some_and(|error| !error.is_empty())
            || !is_for_us
        {
            return None;
        }
        let user = status.user?;
        Some(Identity {
            user: user.username.filter(|name| !name.is_empty())?,
            uid: user.uid,
            groups: user.groups.unwrap_or_default(),
            extra: user.extra.unwrap_or_default(),
            token: key,
        })
    }

    async fn ask<K>(&self, review: &'static str, question: &K) -> Result<K, Failed>
    where
        K: kube::Resource<DynamicType = ()>
            + serde::Serialize
            + serde::de::DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        let asked = async {
            let _turn = self.in_flight.acquire().await;
            Api::<K>::all(self.client.clone()).create(&PostParams::default(), question).await
        };
        let failed = match timeout(TIMEOUT, asked).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => chain(&error),
            Err(_) => format!("no answer within {TIMEOUT:?}"),
        };
        self.metrics.reviewed(review, "error");
        tracing::warn!(review, error = failed, "The API server did not review a caller; it is turned away");
        Err(Failed)
    }

    fn answered<V>(&self, review: &'static str, answer: Option<V>) -> Option<V> {
        self.metrics.reviewed(review, if answer.is_some() { "allowed" } else { "denied" });
        answer
    }
}
