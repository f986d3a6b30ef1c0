//! From a stored delivery to a verified event with a forge that can be talked to.

use std::sync::Arc;
use std::time::Duration;

use fleet::controller::chain;
use fleet::{Clock, ObjectKey};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use pipelines_as_code_api::events::EventReason;
use pipelines_as_code_api::{IncomingOutcome, Repository};
use tokio::sync::Semaphore;

use super::handled::{About, Record};
use super::lanes::Handle;
use super::{Content, Delivery, Process, Webhook};
use crate::credentials::{self, Credentials, Proof, Unverified};
use crate::defaults;
use crate::delivery::{self, Parsed};
use crate::event::{Event, Payload};
use crate::events::Events;
use crate::incoming;
use crate::metrics::Metrics;
use crate::process::{Outcome, Processed, Verdict, Work};
use crate::settings;
use crate::stores::{Repositories, url_key};
use crate::watch::incoming::Outcomes;

/// Bodies beyond this many bytes are worked on one at a time: decoded they take some ten times as much memory.
const LARGE: usize = 1024 * 1024;

/// Until what is not known is asked for again.
const SOON: Duration = Duration::from_secs(5);

/// What a [`Worker`] works with.
pub struct Worker {
    pub repositories: Repositories,
    pub credentials: Credentials,
    pub settings: settings::Current,
    pub process: Arc<dyn Process>,
    /// Outcomes that are asked for by annotations.
    pub incoming: Outcomes,
    pub(crate) events: Events,
    pub metrics: Metrics,
    pub record: Record,
    pub clock: Clock,
    pub(crate) large: Semaphore,
}

impl Worker {
    /// For one large body at a time.
    pub(crate) fn one_at_a_time() -> Semaphore {
        Semaphore::new(1)
    }
}

/// An end before [`Process`] was asked.
type Early = Processed;

impl Handle for Worker {
    fn handle(&self, delivery: Delivery) -> BoxFuture<'_, (About, Processed)> {
        async move {
            let mut about = About::delivery(&delivery);
            let received = delivery.received;
            let asked = matches!(delivery.content, Content::Incoming(_))
                .then(|| (delivery.repository.clone(), delivery.id.clone()));
            let processed = self.work(delivery, &mut about).await.unwrap_or_else(|early| {
                if let Some((repository, id)) = asked {
                    self.tell(repository, id, &early);
                }
                early
            });
            if matches!(processed, Processed::Done(_)) {
                let took = self.clock.now().duration_since(received);
                self.metrics.took(took.try_into().unwrap_or_default());
            }
            (about, processed)
        }
        .boxed()
    }
}

impl Worker {
    async fn work(&self, delivery: Delivery, about: &mut About) -> Result<Processed, Early> {
        let key = delivery.key();
        let Some(stored) = self.repositories.get(&delivery.repository) else {
            if !self.repositories.are_known() {
                return Err(Processed::Postpone(SOON));
            }
            return Err(done(Verdict::Skipped, format!("Repository {} is gone", delivery.repository)));
        };
        let repository = defaults::merged(&stored, self.repositories.global().as_deref());
        let is_large = matches!(&delivery.content, Content::Webhook(webhook) if webhook.body.len() > LARGE);
        let _alone = if is_large { self.large.acquire().await.ok() } else { None };
        let traceparent = delivery.traceparent().map(str::to_owned);
        let (event, payload) = match delivery.content {
            Content::Webhook(webhook) => self.read(&repository, webhook).await?,
            Content::Incoming(requested) => {
                let event = incoming::event(&self.credentials, &repository, requested).await;
                (event.map_err(|error| self.end_of(&error))?, Payload::default())
            }
        };
        *about = std::mem::take(about)
            .with("commit", event.commit.as_ref().map(ToString::to_string))
            .with("event", Some(<&str>::from(event.event_type)));
        let connection = self.credentials.connect(&event, &repository, &self.settings.get()).await;
        let connection = match connection {
            Ok(connection) => connection,
            Err(error) => {
                self.credentials.forget(&repository).await;
                if !error.is_transient() {
                    self.events.warn(&repository, error.reason(), &chain(&error)).await;
                }
                return Err(self.end_of(&error));
            }
        };
        let work = Work {
            delivery: delivery.id,
            received_at: delivery.received,
            event,
            payload,
            repository: stored,
            forge: connection.forge,
            git: connection.git,
            traceparent,
            made: self.record.begun(&key),
        };
        let processed = self.process.process(work).await;
        if matches!(processed, Processed::Retry { .. }) {
            // Perhaps the token was exchanged or taken back.
            self.credentials.forget(&repository).await;
        }
        Ok(processed)
    }

    /// What a webhook tells, if it comes from the Repository's forge.
    async fn read(&self, repository: &Repository, webhook: Webhook) -> Result<(Event, Payload), Early> {
        let Webhook { sender, headers, body, source, is_verified } = webhook;
        let decoded =
            delivery::decode(&headers, &body).map_err(|error| done(Verdict::Failed, error.to_string()))?;
        let event = match delivery::parse(sender, &headers, &decoded) {
            Ok(Parsed::Event(event)) => *event,
            Ok(Parsed::Skipped(reason)) => return Err(done(Verdict::Skipped, reason)),
            Err(error) => return Err(done(Verdict::Failed, error.to_string())),
        };
        if repository.spec.spec.url.as_deref().map(url_key) != Some(url_key(&event.url)) {
            return Err(done(
                Verdict::Skipped,
                format!("the Repository does not watch {} any more", event.url),
            ));
        }
        if !is_verified {
            let proof =
                Proof { sender, installation: event.installation, headers: &headers, body: &body, source };
            match self.credentials.verify(repository, proof).await {
                Ok(()) => {}
                Err(Unverified::Refused(text)) => {
                    self.events.warn(repository, EventReason::RepositorySecretValidation, &text).await;
                    return Err(done(Verdict::Refused, text));
                }
                Err(Unverified::NotNow(text)) => {
                    tracing::warn!(reason = text, "A delivery cannot be verified now");
                    return Err(Processed::Postpone(SOON));
                }
            }
        }
        Ok((event, delivery::payload(&headers, decoded)))
    }

    /// Whoever asked by an annotation of the Repository is told there.
    fn tell(&self, repository: ObjectKey, id: String, early: &Early) {
        let Processed::Done(outcomes) = early else { return };
        let message = outcomes.first().map(|outcome| outcome.text.clone());
        self.incoming.know(repository, IncomingOutcome { id, pipeline_run: None, message });
    }

    fn end_of(&self, error: &credentials::Error) -> Early {
        if error.is_transient() {
            return Processed::Retry {
                reason: chain(error),
                after: error.retry_at().and_then(|at| self.until(at)),
                made: Vec::new(),
            };
        }
        done(Verdict::Failed, chain(error))
    }

    fn until(&self, at: Timestamp) -> Option<Duration> {
        Duration::try_from(at.duration_since(self.clock.now())).ok()
    }
}

fn done(result: Verdict, text: impl Into<String>) -> Processed {
    Processed::Done(vec![Outcome { result, text: text.into(), runs: Vec::new() }])
}
