//! The leader's half: issue, renew, keep trusted. And everybody's: read what the leader wrote.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::issue::{self, Step, decide, issue};
use super::store::{Store, Stored};
use super::trust::{CaTarget, Server};
use super::{CertificateBundle, Certificates};
use crate::clock::Clock;
use crate::leader::Leadership;

/// Times of an [`Issuer`]; the defaults are what a service runs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a certificate is valid: 90 days. It is renewed when a fifth of that is left.
    pub lifetime: Duration,
    /// Time between two looks at the Secret and at each `caBundle`: 60 s.
    pub check_every: Duration,
    /// How long API servers are given to notice a new authority before anybody serves with its certificate: 5 s.
    pub settle: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lifetime: Duration::from_hours(90 * 24),
            check_every: Duration::from_mins(1),
            settle: Duration::from_secs(5),
        }
    }
}

/// Until a first certificate is there, and after an error, the next look comes sooner.
const SOON: Duration = Duration::from_secs(1);

/// Issues and renews a service's webhook certificate in the Secret `<service>-webhook-cert`, and has it trusted.
pub struct Issuer {
    client: Client,
    namespace: String,
    service: String,
    names: Vec<String>,
    targets: Vec<CaTarget>,
    timing: Timing,
    clock: Clock,
    store: Store,
    published: watch::Sender<Option<Arc<CertificateBundle>>>,
}

/// Why a look ended early; the next one tries again.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("read Secret {name}")]
    Read { name: String, source: kube::Error },
    #[error("write Secret {name}")]
    Write { name: String, source: kube::Error },
    #[error("put the authority into caBundle of {target}; the service's Role must allow get and patch of it")]
    Trust { target: CaTarget, source: kube::Error },
    #[error(transparent)]
    Issue(#[from] issue::Error),
}

impl Issuer {
    /// `service` is the Service through which the API server reaches the webhooks.
    pub fn new(client: Client, namespace: &str, service: &str) -> Self {
        Self {
            store: Store::new(client.clone(), namespace, format!("{service}-webhook-cert")),
            client,
            names: vec![
                format!("{service}.{namespace}.svc"),
                format!("{service}.{namespace}.svc.cluster.local"),
            ],
            namespace: namespace.to_owned(),
            service: service.to_owned(),
            targets: Vec::new(),
            timing: Timing::default(),
            clock: Clock::system(),
            published: watch::channel(None).0,
        }
    }

    /// Objects whose `caBundle` is to be kept right. The service's Role names each for `get` and `patch`.
    #[must_use]
    pub fn inject_into(mut self, targets: impl IntoIterator<Item = CaTarget>) -> Self {
        self.targets.extend(targets);
        self
    }

    /// DNS names or IP addresses beside those of the Service.
    #[must_use]
    pub fn names(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.names.extend(names);
        self
    }

    #[must_use]
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    pub fn certificates(&self) -> Certificates {
        self.published.subscribe()
    }

    /// Runs on every replica until cancelled; writes only while leading.
    pub async fn run(self, leadership: Leadership, cancel: CancellationToken) {
        let mut leads = leadership.watch();
        let mut failures = 0_u32;
        loop {
            leads.mark_unchanged();
            let looked = tokio::select! {
                looked = self.look(&leadership) => looked,
                () = cancel.cancelled() => return,
            };
            let mut wait = self.timing.check_every.mul_f64(rand::random_range(0.8..1.0));
            if let Err(error) = looked {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(service = %self.service, error, "Could not look after the webhook certificate");
                // Never long: until a certificate is there and trusted, its webhooks are not called.
                wait = wait.min(SOON * 2_u32.saturating_pow(failures.min(2)));
                failures = failures.saturating_add(1);
            } else {
                failures = 0;
                if self.published.borrow().is_none() {
                    wait = wait.min(SOON);
                }
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = changed(&mut leads) => {}
                () = cancel.cancelled() => return,
            }
        }
    }

    async fn look(&self, leadership: &Leadership) -> Result<(), Error> {
        let read = |source| Error::Read { name: self.store.name.clone(), source };
        let stored = self.store.read().await.map_err(read)?;
        match stored.as_ref().map(|stored| &stored.bundle) {
            Some(Ok(bundle)) => self.publish(bundle.clone()),
            Some(Err(reason)) => {
                tracing::warn!(secret = %self.store.name, reason, "The webhook certificate cannot be used");
            }
            None => {}
        }
        if leadership.is_held() { self.lead(stored, leadership).await } else { Ok(()) }
    }

    async fn lead(&self, stored: Option<Stored>, leadership: &Leadership) -> Result<(), Error> {
        // A Secret that somebody removed or broke: replicas still serve with what they had.
        let current = self.published.borrow().clone();
        let intact = stored.as_ref().is_some_and(|stored| stored.bundle.is_ok());
        let now = self.clock.now();
        let step = decide(current.as_deref(), &self.names, self.timing.lifetime, now);
        match (&step, &current) {
            (Step::Keep, Some(current)) if intact => return self.trust(&current.ca_pem).await,
            (Step::Replace { why }, _) => {
                tracing::info!(service = %self.service, why, "A new webhook certificate is needed");
            }
            _ => tracing::info!(service = %self.service, "The webhook certificate is renewed"),
        }

        let bundle = issue(&self.names, self.timing.lifetime, now, current.as_deref())?;
        let trusted = self.trust(&bundle.ca_pem).await;
        let trusted = if matches!(step, Step::Replace { .. }) {
            // There is nothing to lose: whoever trusts the new one already is served.
            trusted
        } else {
            // What is served now is trusted everywhere: keep it until the new one is, too.
            trusted?;
            tokio::time::sleep(self.timing.settle).await;
            if !leadership.is_held() {
                return Ok(());
            }
            Ok(())
        };
        let write = |source| Error::Write { name: self.store.name.clone(), source };
        self.store.write(stored.as_ref(), &bundle).await.map_err(write)?;
        tracing::info!(service = %self.service, not_after = %bundle.not_after, "Issued a webhook certificate");
        self.publish(bundle);
        // An error here makes the next look come soon, which repairs the others.
        trusted
    }

    /// Goes through all targets; the first error is returned, the others are logged.
    async fn trust(&self, ca_pem: &str) -> Result<(), Error> {
        let server = Server { namespace: &self.namespace, service: &self.service };
        let mut first = Ok(());
        for target in &self.targets {
            match target.inject(&self.client, server, ca_pem).await {
                Ok(false) => {}
                Ok(true) => tracing::info!(service = %self.service, %target, "Wrote caBundle"),
                Err(source) => {
                    let error = Error::Trust { target: target.clone(), source };
                    if first.is_ok() {
                        first = Err(error);
                    } else {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(service = %self.service, error, "Could not write caBundle");
                    }
                }
            }
        }
        first
    }

    fn publish(&self, bundle: CertificateBundle) {
        self.published.send_if_modified(|published| {
            let differs = published.as_deref() != Some(&bundle);
            if differs {
                *published = Some(Arc::new(bundle));
            }
            differs
        });
    }
}

/// Resolves at a change; never, if nothing can change any more.
async fn changed(watch: &mut watch::Receiver<bool>) {
    if watch.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
