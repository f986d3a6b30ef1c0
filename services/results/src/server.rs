//! Puts the parts together and runs them.
//!
//! ```text
//! one port ─▶ TLS ─▶ content-type application/grpc…? ─┬─ yes ─▶ Results, Logs, health, reflection
//!                                                     └─ no ──▶ REST, /healthz
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use fleet::access::Access;
use fleet::certificate::{Certificates, Directory};
use fleet::health::{self, Readiness};
use fleet::http::{Limits, Server};
use fleet::{Clock, client as cluster};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::header;
use prometheus::Registry;
use results_api::FILE_DESCRIPTOR_SET;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::args::Args;
use crate::auth::Auth;
use crate::grpc::{Api, LOGS, Parts, RESULTS};
use crate::health::Health;
use crate::logs::{self, LogStore};
use crate::logs_service::LogsService;
use crate::metrics::Metrics;
use crate::rest;
use crate::store::{self, Store};

/// Name of the deployable.
pub const SERVICE: &str = "results-api";

/// To the beginning of the answer, which for an upload is the end of the log. Calls that are no streams have a shorter one
/// of their own, and uploads may not pause.
const DEADLINE: Duration = Duration::from_hours(6);

/// For what is in hand at the end, beyond the server's own.
const LAST_GRACE: Duration = Duration::from_secs(1);

/// Why the service did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Telemetry(#[from] fleet::telemetry::Error),
    #[error(transparent)]
    Fleet(#[from] fleet::Error),
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Logs(#[from] logs::StartError),
    #[error(transparent)]
    Http(#[from] fleet::http::Error),
    #[error(transparent)]
    Health(#[from] health::BindError),
    #[error("the descriptors for reflection cannot be read")]
    Reflection(#[from] tonic_reflection::server::Error),
    #[error("a metric cannot be registered")]
    Metrics(#[from] prometheus::Error),
    #[error("{0} ended by itself")]
    Ended(&'static str),
}

type Task = BoxFuture<'static, Result<(), Error>>;

/// A service that listens, and that nobody answers at yet.
pub struct Service {
    calls: SocketAddr,
    metrics: SocketAddr,
    health: SocketAddr,
    stop: CancellationToken,
    tasks: Vec<Task>,
    /// Those that finish what is in hand when the service is stopped.
    servers: Vec<Task>,
}

impl Service {
    /// Takes the addresses, and opens the database and the store of logs: probes are answered meanwhile. `stop` ends the
    /// service, and a start that goes on.
    pub async fn start(args: Args, stop: CancellationToken) -> Result<Self, Error> {
        warn_of(&args);
        let registry = Registry::new();
        let calls =
            Server::bind("server-port", args.address(), Limits { deadline: DEADLINE, ..Limits::default() })?;
        let metrics = Server::bind("prometheus-port", args.metrics_address(), Limits::default())?;
        let health = health::bind("health-addr", args.health_addr).await?;
        let bound = |source| {
            Error::Health(health::BindError { flag: "health-addr", address: args.health_addr, source })
        };
        let addresses = (calls.listening(), metrics.listening(), health.local_addr().map_err(bound)?);

        let serving = Health::new();
        let readiness = Readiness::new(stop.clone());
        let (ready, answers) = (calls.ready(), serving.clone());
        readiness.require("serving certificate", move || *ready.borrow());
        readiness.require("the database", move || answers.is_serving());
        // Answered to the very end, and from now on: connecting may take minutes.
        let probes = tokio::spawn(health::serve_health(health, readiness, CancellationToken::new()));
        let probes = probes.map(|_| Err(Error::Ended("the server of probes"))).boxed();

        let api = api(&args, &registry).await?;
        let mut tasks = vec![probes];
        let (reporter, checks) = tonic_health::server::health_reporter();
        crate::health::report(&reporter, false, api.has_logs()).await;
        let follow = serving.clone().follow(api.store().clone(), reporter, api.has_logs());
        tasks.push(follow.map(|()| Err(Error::Ended("the check of the database"))).boxed());

        let grpc = api.routes().add_service(checks);
        let has_logs = api.has_logs();
        let grpc = grpc
            .add_service(reflection(has_logs, "v1").build_v1()?)
            .add_service(reflection(has_logs, "v1alpha").build_v1alpha()?);
        let routes = both(grpc.prepare().into_axum_router(), rest::routes(api, serving));
        let certificates = certificates(&args, &stop, &mut tasks);
        let metrics_routes = health::metrics_routes(registry);
        let servers = vec![
            calls.run(routes, certificates, stop.clone()).map(|ended| ended.map_err(Error::from)).boxed(),
            metrics.run(metrics_routes, None, stop.clone()).map(|ended| ended.map_err(Error::from)).boxed(),
        ];
        let (calls, metrics, health) = addresses;
        tracing::info!(%calls, %metrics, %health, "Listening");
        Ok(Self { calls, metrics, health, stop, tasks, servers })
    }

    /// Where gRPC and REST are served.
    pub fn calls(&self) -> SocketAddr {
        self.calls
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
            Some(task) = background.join_next() => ended(task),
            Some(server) = servers.join_next() => ended(server),
        };
        tracing::info!("Stopping: finishing what is in hand");
        self.stop.cancel();
        let finished = async { while servers.join_next().await.is_some() {} };
        if timeout(Limits::default().grace + LAST_GRACE, finished).await.is_err() {
            tracing::warn!("Calls in hand take too long; they are broken off");
        }
        tracing::info!("Stopped");
        outcome
    }
}

/// The handlers, with all that they work with.
async fn api(args: &Args, registry: &Registry) -> Result<Api, Error> {
    let metrics = Metrics::new(registry, args.prometheus_histogram)?;
    let access = if args.auth_disable {
        None
    } else {
        let client = cluster::connect(SERVICE, args.kubeconfig.as_deref(), registry).await?;
        // Users come with their own tokens, which are for the API server.
        Some(Access::new(client, "", registry)?)
    };
    let store = Store::connect(&args.database.options()).await?;
    let logs = if args.logs.logs_api {
        let files = LogStore::open(&args.logs.options(), &Clock::system()).await?;
        Some(LogsService::new(store.clone(), files))
    } else {
        None
    };
    let auth = Auth::new(access, args.auth_impersonate);
    Ok(Api::new(Parts { store, auth, metrics, logs, logs_type: args.logs.logs_type.into() }))
}

/// Reflection of this version lists itself and what is served, which is less than what the descriptors describe.
fn reflection(has_logs: bool, version: &str) -> tonic_reflection::server::Builder<'static> {
    let logs = has_logs.then_some(LOGS);
    let own = format!("grpc.reflection.{version}.ServerReflection");
    [RESULTS, "grpc.health.v1.Health", &own].into_iter().chain(logs).fold(
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET),
        tonic_reflection::server::Builder::with_service_name,
    )
}

/// gRPC (and gRPC-Web) by its content type, all else to REST.
fn both(grpc: Router, rest: Router) -> Router {
    let (grpc, rest) = (Arc::new(grpc), Arc::new(rest));
    Router::new().fallback(move |request: Request| {
        let is_grpc = request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        let router = Router::clone(if is_grpc { &grpc } else { &rest });
        router.oneshot(request)
    })
}

/// The certificate of the port; `None` for plain text.
fn certificates(args: &Args, stop: &CancellationToken, tasks: &mut Vec<Task>) -> Option<Certificates> {
    let has = |name: &str| args.tls_path.join(name).exists();
    if !has("tls.crt") && !has("tls.key") {
        tracing::warn!(folder = %args.tls_path.display(), "No certificate: tokens and archive are sent in plain text");
        return None;
    }
    let directory = Directory::new(&args.tls_path);
    let certificates = directory.certificates();
    tasks.push(directory.run(stop.clone()).then(|()| std::future::pending()).boxed());
    Some(certificates)
}

/// What an operator should know that they have eased, or asked for in vain.
fn warn_of(args: &Args) {
    if args.auth_disable {
        tracing::warn!("AUTH_DISABLE: everybody who reaches the port may read and delete everything");
    }
    if args.profiling.as_deref().is_some_and(|set| set.eq_ignore_ascii_case("true")) {
        tracing::warn!("PROFILING has no effect: there is no profiling port");
    }
}
