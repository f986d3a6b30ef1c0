//! The one way out: a client for what tenants and the internet name, such as forges and registries.
//!
//! ```text
//! Request ─▶ Guard: scheme, host, address ─▶ Budget of the host ─▶ resolve, check, connect ─▶ Response
//!              ▲                                                                   │  size, time
//!              └──────────── redirect: ≤ 5, credentials stay behind ◀──────────────┘
//! ```
//! - **Guard**: https only; the address that a name leads to is checked where it is connected to. Only addresses on the
//!   internet, and what `--outbound-allow` names. See decision 0015.
//! - **Budget**: few calls per host at once, retries that have to be earned, `Retry-After` and rate limits per
//!   credential, and rest for a host that is dead: so that no host holds the workers that others need.
//! - **Limits**: 5 s to connect, 60 s in all, 4 MiB of decompressed content, unless a [`Request`] says otherwise.
//! - **Credentials** belong to one server and are never sent to another.
//! - Proxies of the environment (`HTTPS_PROXY`) are not used: they would resolve names after the check.

mod address;
mod budget;
mod error;
mod guard;
mod metrics;
mod request;
mod resolve;
mod response;
mod retry;
mod roots;
mod send;
#[cfg(test)]
mod tests;
mod trust;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use prometheus::Registry;
use reqwest::redirect::Policy;
use rustls::ClientConfig;
pub use url::Url;

use crate::clock::Clock;
pub use address::{Reach, reach};
use budget::{Budgets, Limits};
pub use error::Error;
pub use guard::{AllowList, BadEntry, DenyList, Refusal};
use guard::{Guard, Permit};
use metrics::Metrics;
pub use request::{Credential, Request};
use resolve::{Guarded, Lookup};
pub use response::{Response, Streaming};
pub use roots::Roots;
pub use trust::TrustError;
use trust::{Authorities, Bundle};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
    #[error("the client for the outside cannot be made")]
    Http(#[source] reqwest::Error),
}

/// What an operator sets.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What may be called beside the internet.
    pub allow: AllowList,
    /// Networks of the internet that may not be called: the cluster's own, if they are public.
    pub deny: DenyList,
    /// PEM of authorities that are trusted beside the platform's.
    pub ca_bundle: Option<PathBuf>,
    /// How many calls of one host may be under way at once. Four if not set.
    pub calls_per_host: Option<u16>,
}

impl Options {
    /// Whether the bundle can be used, for a start that fails early. One that is not there yet is fine.
    pub fn check(&self) -> Result<(), TrustError> {
        self.ca_bundle.as_ref().map_or(Ok(()), |path| Bundle::new(path).read().map(drop))
    }
}

/// Shorter in tests.
#[derive(Clone, Copy, Debug)]
struct Timing {
    /// Name resolution and TLS included.
    connect: Duration,
    /// From sending to the end of the answer's header.
    header: Duration,
    /// From here on a call without an answer counts as a failure of the host.
    slow: Duration,
    /// How long a call that may be repeated waits itself, with the worker that made it.
    patience: Duration,
    /// Between two looks at the bundle. Contents are compared: the kubelet swaps a link two levels up.
    reload: Duration,
    limits: Limits,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            header: Duration::from_secs(30),
            slow: Duration::from_secs(10),
            patience: Duration::from_secs(5),
            reload: Duration::from_secs(10),
            limits: Limits::default(),
        }
    }
}

/// The client. Cheap to clone; one per process, so that budgets are shared.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    agent: String,
    guard: Arc<Guard>,
    lookup: Lookup,
    budgets: Budgets,
    clock: Clock,
    metrics: Metrics,
    timing: Timing,
    platform: Authorities,
    bundle: Option<Bundle>,
    http: RwLock<Connections>,
}

/// Connections of hosts that are permitted by name, and of all others, are never mixed.
struct Connections {
    by_address: reqwest::Client,
    by_name: reqwest::Client,
    /// What was read of the bundle for these.
    bundle: Option<Authorities>,
    /// What was named while the process runs.
    further: Authorities,
}

impl Client {
    /// Reads the certificate authorities. [`follow_bundle`](Self::follow_bundle) has to run beside it.
    pub fn new(
        service: &str,
        options: Options,
        clock: Clock,
        registry: &Registry,
    ) -> Result<Self, BuildError> {
        let mut timing = Timing::default();
        if let Some(calls) = options.calls_per_host {
            timing.limits.calls = usize::from(calls);
        }
        Self::with(service, options, clock, registry, resolve::system(), timing)
    }

    fn with(
        service: &str,
        options: Options,
        clock: Clock,
        registry: &Registry,
        lookup: Lookup,
        timing: Timing,
    ) -> Result<Self, BuildError> {
        let agent = format!("{service}/{}", env!("CARGO_PKG_VERSION"));
        let guard = Arc::new(Guard::new(options.allow, options.deny));
        let bundle = options.ca_bundle.map(Bundle::new);
        let platform = trust::platform();
        let trusted = bundle.as_ref().map(Bundle::read).transpose()?.flatten();
        match &bundle {
            None if platform.count() == 0 => return Err(TrustError::Nobody.into()),
            Some(bundle) if trusted.is_none() => tracing::warn!(
                path = %bundle.path().display(),
                "The file of --ca-bundle is not there yet: only the machine's own authorities are trusted"
            ),
            _ => {}
        }
        let further = Authorities::default();
        let connections = Connections::new(&agent, &guard, &lookup, timing, &platform, trusted, further)?;
        Ok(Self(Arc::new(Inner {
            agent,
            guard,
            lookup,
            budgets: Budgets::new(timing.limits),
            clock,
            metrics: Metrics::new(registry)?,
            timing,
            platform,
            bundle,
            http: RwLock::new(connections),
        })))
    }

    /// Notices when the bundle changes. New connections trust by the new one, and the old connections are not used any
    /// more. One that cannot be used is passed over. Never ends.
    pub async fn follow_bundle(self) {
        let mut complaint = String::new();
        loop {
            tokio::time::sleep(self.0.timing.reload).await;
            match self.read_bundle_again().await {
                Ok(()) => complaint.clear(),
                // Once per trouble.
                Err(trouble) if trouble == complaint => {}
                Err(trouble) => {
                    tracing::error!(
                        error = trouble,
                        "The bundle cannot be used; what was read before stays in use"
                    );
                    complaint = trouble;
                }
            }
        }
    }

    /// Trusts these authorities (PEM) beside all others, in place of those of the last call; none if it is blank. For what a
    /// service reads of its configuration while it runs. On an error nothing changes.
    pub fn trust_further(&self, pem: &str) -> Result<(), BuildError> {
        let further = if pem.trim().is_empty() {
            Authorities::default()
        } else {
            Authorities::parse(pem.as_bytes()).map_err(TrustError::Further)?
        };
        self.0.trust(|connections| (connections.bundle.clone(), further))
    }

    async fn read_bundle_again(&self) -> Result<(), String> {
        let Some(bundle) = self.0.bundle.clone() else { return Ok(()) };
        let read =
            tokio::task::spawn_blocking(move || bundle.read()).await.map_err(|error| error.to_string())?;
        match read {
            Ok(Some(authorities)) => {
                let trusted = self.0.trust(|connections| (Some(authorities), connections.further.clone()));
                trusted.map_err(|error| crate::controller::chain(&error))
            }
            // Not there yet, or taken away with the ConfigMap.
            Ok(None) => Ok(()),
            Err(error) => Err(crate::controller::chain(&error)),
        }
    }
}

impl Inner {
    /// `choose` says what of the bundle, and what further, is trusted from now on.
    fn trust(
        &self,
        choose: impl FnOnce(&Connections) -> (Option<Authorities>, Authorities),
    ) -> Result<(), BuildError> {
        // Held while the new ones are made, so that nobody's choice is lost.
        let mut http = self.http.write();
        let (bundle, further) = choose(&http);
        if http.bundle == bundle && http.further == further {
            return Ok(());
        }
        let (of_bundle, of_further) = (bundle.as_ref().map_or(0, Authorities::count), further.count());
        *http = Connections::new(
            &self.agent,
            &self.guard,
            &self.lookup,
            self.timing,
            &self.platform,
            bundle,
            further,
        )?;
        tracing::info!(of_bundle, of_further, "Trusts other certificate authorities");
        Ok(())
    }
}

impl Connections {
    fn new(
        agent: &str,
        guard: &Arc<Guard>,
        lookup: &Lookup,
        timing: Timing,
        platform: &Authorities,
        bundle: Option<Authorities>,
        further: Authorities,
    ) -> Result<Self, BuildError> {
        let all: Vec<&Authorities> = [platform, &further].into_iter().chain(&bundle).collect();
        let tls = trust::client_config(&all).map_err(TrustError::Tls)?;
        let client = |permit, tls: &ClientConfig| {
            reqwest::Client::builder()
                .user_agent(agent)
                .tls_backend_preconfigured(tls.clone())
                .dns_resolver(Guarded { guard: guard.clone(), permit, lookup: lookup.clone() })
                // Each hop has to pass the guard, too.
                .redirect(Policy::none())
                .referer(false)
                .no_proxy()
                // Ours count against the host's budget.
                .retry(reqwest::retry::never())
                .connect_timeout(timing.connect)
                .pool_idle_timeout(Duration::from_secs(30))
                .pool_max_idle_per_host(timing.limits.calls)
                .build()
                .map_err(BuildError::Http)
        };
        Ok(Self {
            by_address: client(Permit::ByAddress, &tls)?,
            by_name: client(Permit::ByName, &tls)?,
            bundle,
            further,
        })
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("guard", &self.0.guard).finish_non_exhaustive()
    }
}
