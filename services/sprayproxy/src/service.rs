//! Puts the parts together and runs them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use fleet::access::{Access, Attributes, Problem, bearer_token};
use fleet::certificate::{Certificates, Directory};
use fleet::health::{self, Readiness};
use fleet::http::{Intake, Limits as HttpLimits, Server};
use fleet::{Clock, client as cluster, outbound};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use prometheus::Registry;
use spool::{Limits, Retention, Spool};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::backends::{Backends, FileError};
use crate::client::Client;
use crate::forward::{self, Forwarder};
use crate::listener::{self, Listener};
use crate::metrics::{Metrics, SpoolMetrics};
use crate::registration::{self, Admission, Registration};
use crate::retry;
use crate::secrets::{self, Gate};
use crate::spray::Sprayer;

/// Beyond what a forge waits: a body may take 30 s to arrive.
const DEADLINE: Duration = Duration::from_secs(45);
/// For what is in hand at the end, beyond the server's 5 s.
const LAST_GRACE: Duration = Duration::from_secs(1);

/// Why the service did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("threads cannot be started")]
    Threads(#[source] std::io::Error),
    #[error(transparent)]
    Telemetry(#[from] fleet::telemetry::Error),
    #[error(transparent)]
    Fleet(#[from] fleet::Error),
    #[error("{0}")]
    Configuration(String),
    #[error("{0}")]
    Secrets(String, #[source] Option<std::io::Error>),
    #[error(transparent)]
    Trust(#[from] outbound::TrustError),
    #[error(transparent)]
    Spool(#[from] spool::OpenError),
    #[error("{0}")]
    Backends(String),
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    #[error(transparent)]
    Http(#[from] fleet::http::Error),
    #[error(transparent)]
    Health(#[from] health::BindError),
    #[error("a metric cannot be registered")]
    Metrics(#[from] prometheus::Error),
    #[error("{0} ended by itself")]
    Ended(&'static str),
}

impl From<secrets::Error> for Error {
    fn from(error: secrets::Error) -> Self {
        let text = error.to_string();
        match error {
            secrets::Error::Folder { source, .. } => Self::Secrets(text, Some(source)),
            secrets::Error::NoSecret => Self::Secrets(text, None),
        }
    }
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        Self::Backends(crate::chain(&error))
    }
}

type Task = BoxFuture<'static, Result<(), Error>>;

/// A service whose addresses are taken, and which nobody answers at yet.
pub struct Service {
    webhooks: SocketAddr,
    metrics: SocketAddr,
    health: SocketAddr,
    stop: CancellationToken,
    tasks: Vec<Task>,
    /// Those that finish what is in hand when the service is stopped.
    servers: Vec<Task>,
}

impl Service {
    /// Reads the configuration, takes the addresses, and opens the spool. `stop` ends the service.
    pub async fn start(args: Args, stop: CancellationToken) -> Result<Self, Error> {
        let mut parts = Parts::new(&args, stop.clone()).await?;
        let limits = HttpLimits { deadline: DEADLINE, ..HttpLimits::default() };
        let address = args.address().map_err(Error::Configuration)?;
        let webhooks = Server::bind("port", address, limits)?;
        let address = args.metrics_address().map_err(Error::Configuration)?;
        let metrics = Server::bind("metrics-port", address, HttpLimits::default())?;
        let health = health::bind("health-addr", args.health_addr).await?;
        let bound = |source| {
            Error::Health(health::BindError { flag: "health-addr", address: args.health_addr, source })
        };
        let addresses = (webhooks.listening(), metrics.listening(), health.local_addr().map_err(bound)?);

        let readiness = Readiness::new(stop.clone());
        let ready = webhooks.ready();
        readiness.require("serving certificate", move || *ready.borrow());
        let certificates = args.tls_cert_dir.as_ref().map(|folder| parts.follow(Directory::new(folder)));
        let metrics_certificates =
            args.metrics_tls().map(|(certificate, key)| parts.follow(Directory::files(certificate, key)));
        let routes = parts.routes(&args);
        let metrics_routes = parts.metrics_routes(&args);
        let servers = vec![
            webhooks.run(routes, certificates, stop.clone()).map(|ended| ended.map_err(Error::from)).boxed(),
            metrics
                .run(metrics_routes, metrics_certificates, stop.clone())
                .map(|ended| ended.map_err(Error::from))
                .boxed(),
        ];
        // Probes are answered to the very end.
        let serve_health = health::serve_health(health, readiness, CancellationToken::new());
        parts.tasks.push(serve_health.map(|_| Err(Error::Ended("the server of probes"))).boxed());
        warn_of(&args);
        let (webhooks, metrics, health) = addresses;
        tracing::info!(%webhooks, %metrics, %health, "Listening");
        Ok(Self { webhooks, metrics, health, stop, tasks: parts.tasks, servers })
    }

    /// Where webhooks arrive.
    pub fn webhooks(&self) -> SocketAddr {
        self.webhooks
    }

    pub fn metrics(&self) -> SocketAddr {
        self.metrics
    }

    pub fn health(&self) -> SocketAddr {
        self.health
    }

    /// Serves until it is told to stop, then finishes what is in hand.
    pub async fn run(self) -> Result<(), Error> {
        let mut background = JoinSet::new();
        for task in self.tasks {
            background.spawn(task);
        }
        let mut servers = JoinSet::new();
        for server in self.servers {
            servers.spawn(server);
        }
        let ended = |ended: Result<Result<(), Error>, _>| ended.unwrap_or(Err(Error::Ended("a task")));
        let outcome = tokio::select! {
            () = self.stop.cancelled() => Ok(()),
            Some(task) = background.join_next() => ended(task).and(Err(Error::Ended("a task"))),
            Some(server) = servers.join_next() => ended(server),
        };
        tracing::info!("Stopping: finishing what is in hand");
        self.stop.cancel();
        let finished = async { while servers.join_next().await.is_some() {} };
        let grace = HttpLimits::default().grace + LAST_GRACE;
        if timeout(grace, finished).await.is_err() {
            tracing::warn!("Requests in hand take too long; they are broken off");
        }
        tracing::info!("Stopped");
        outcome
    }
}

/// What is wired up, with what has to run beside it.
struct Parts {
    registry: Registry,
    metrics: Metrics,
    backends: Backends,
    spool: Option<Spool>,
    gate: Gate,
    sprayer: Sprayer,
    access: Option<Access>,
    tasks: Vec<Task>,
    stop: CancellationToken,
}

impl Parts {
    async fn new(args: &Args, stop: CancellationToken) -> Result<Self, Error> {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry)?;
        let options = secrets::Options {
            skip: args.insecure_skip_webhook_verify,
            allow_sha1: args.allow_sha1,
            pass_unverified: args.pass_unverified.clone(),
        };
        let gate = Gate::new(args.secrets_dir.clone(), secrets::from_environment(), options)?;
        let client = Client::new(args.ca_bundle.clone(), args.insecure_skip_tls_verify)?;
        let registered =
            args.spool_dir.as_ref().filter(|_| args.enable_dynamic_backends).map(|dir| dir.join("backends"));
        let clock = Clock::system();
        let spool = open_spool(args, &clock).await?;
        let backends = Backends::new(args.origins(), args.backends_file.clone(), registered)?;
        if let Some(spool) = &spool {
            registry.register(Box::new(SpoolMetrics::new(spool.clone(), backends.clone(), clock)?))?;
        }
        // Only for these: without them there need be no cluster.
        let access = if args.enable_dynamic_backends || args.metrics_auth {
            let client = cluster::connect("sprayproxy", args.kubeconfig.as_deref(), &registry).await?;
            // Tokens of service accounts, as the original's side-car takes them.
            Some(Access::new(client, "", &registry)?)
        } else {
            None
        };
        let options = forward::Options {
            timeout: args.timeout(),
            insecure_tls: args.insecure_skip_tls_verify,
            insecure_webhook: args.insecure_skip_webhook_verify,
        };
        let forwarder = Forwarder::new(client.clone(), metrics.clone(), options);
        let sprayer = Sprayer::new(
            backends.clone(),
            forwarder.clone(),
            spool.clone(),
            metrics.clone(),
            args.answer_within,
            stop.clone(),
        );
        let mut tasks = vec![
            ends_never(gate.clone().follow()),
            ends_never(client.follow_bundle()),
            ends_never(backends.clone().follow_file()),
        ];
        if let Some(spool) = &spool {
            let (spool, backends, stop) = (spool.clone(), backends.clone(), stop.clone());
            let sweep = spool.clone();
            tasks.push(ends_never(async move { sweep.run(CancellationToken::new()).await }));
            tasks.push(ends_never(drain_all(backends, spool, forwarder, stop)));
        }
        Ok(Self { registry, metrics, backends, spool, gate, sprayer, access, tasks, stop })
    }

    /// Reads a certificate as long as the service runs.
    fn follow(&mut self, directory: Directory) -> Certificates {
        let certificates = directory.certificates();
        let stop = self.stop.clone();
        self.tasks.push(directory.run(stop.clone()).then(move |()| std::future::pending()).boxed());
        certificates
    }

    fn routes(&self, args: &Args) -> Router {
        let intake = Intake::new(args.largest(), args.bodies_in_flight);
        let listener = Listener(Arc::new(listener::Parts {
            intake,
            gate: self.gate.clone(),
            sprayer: self.sprayer.clone(),
            metrics: self.metrics.clone(),
        }));
        let further = match &self.access {
            Some(access) if args.enable_dynamic_backends => {
                let admission = Admission::new(&args.backend_suffix);
                self.backends.restore(|text| admission.admit(text).ok());
                registration::routes(Registration {
                    backends: self.backends.clone(),
                    admission,
                    access: access.clone(),
                    spool: self.spool.clone(),
                })
            }
            _ => Router::new(),
        };
        listener::routes(listener, further, args.tls_cert_dir.is_some())
    }

    fn metrics_routes(&self, args: &Args) -> Router {
        let routes = health::metrics_routes(self.registry.clone());
        match &self.access {
            Some(access) if args.metrics_auth => {
                routes.layer(middleware::from_fn_with_state(access.clone(), may_read_metrics))
            }
            _ => routes,
        }
    }
}

async fn may_read_metrics(State(access): State<Access>, request: Request, next: Next) -> Response {
    let token = bearer_token(request.headers());
    let allowed = async {
        let caller = access.authenticate(&token?).await?;
        access.authorize(&caller, &Attributes::endpoint("get", "/metrics")).await
    };
    match allowed.await {
        Ok(()) => next.run(request).await,
        Err(error) => Problem::from(error).into_response(),
    }
}

async fn open_spool(args: &Args, clock: &Clock) -> Result<Option<Spool>, Error> {
    let Some(folder) = &args.spool_dir else { return Ok(None) };
    let limits = Limits {
        bytes: args.spool_bytes,
        count: args.spool_count,
        age: args.retry_for,
        attempts: args.retry_attempts,
        ..Limits::default()
    };
    Ok(Some(Spool::open(folder, limits, Retention::default(), clock.clone()).await?))
}

/// A task for each back end that sends what waits for it, as long as there is that back end and the service runs.
async fn drain_all(backends: Backends, spool: Spool, forwarder: Forwarder, stop: CancellationToken) {
    let mut changes = backends.changes();
    let mut draining: Vec<(String, tokio::task::AbortHandle)> = Vec::new();
    let mut tasks = JoinSet::new();
    loop {
        let all = backends.all();
        draining.retain(|(name, task)| {
            let stays = all.iter().any(|backend| backend.name == *name) && !task.is_finished();
            if !stays {
                task.abort();
            }
            stays
        });
        for backend in all.iter() {
            if !draining.iter().any(|(name, _)| *name == backend.name) {
                let task = tasks.spawn(retry::drain(backend.clone(), spool.clone(), forwarder.clone()));
                draining.push((backend.name.clone(), task));
            }
        }
        tokio::select! {
            _ = changes.changed() => {}
            // One that was aborted, or that panicked and is begun anew.
            Some(_) = tasks.join_next() => {}
            () = stop.cancelled() => {
                tasks.shutdown().await;
                return std::future::pending().await;
            }
        }
    }
}

fn ends_never(task: impl Future<Output = ()> + Send + 'static) -> Task {
    task.map(|()| Ok(())).boxed()
}

/// What an operator should know that they have eased.
fn warn_of(args: &Args) {
    if args.insecure_skip_tls_verify {
        tracing::warn!("--insecure-skip-tls-verify: certificates of back ends are not verified");
    }
    if args.insecure_skip_webhook_verify {
        tracing::warn!("--insecure-skip-webhook-verify: webhooks are passed on unsigned");
    }
    if args.tls_cert_dir.is_none() {
        tracing::warn!(
            "Without --tls-cert-dir webhooks are served in plain text: a proxy has to stand in front"
        );
    }
    if args.spool_dir.is_none() {
        tracing::warn!("Without --spool-dir what a back end does not take is lost");
    }
    for sender in &args.pass_unverified {
        tracing::warn!(forge = %sender, "--pass-unverified: deliveries are passed on unverified while no secret is configured");
    }
    for origin in args.origins().iter().filter(|origin| origin.is_plain()) {
        tracing::warn!(backend = %origin, "A back end is called without TLS");
    }
}
