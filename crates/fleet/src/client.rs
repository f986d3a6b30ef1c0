//! The client of the API server, counted and timed.

use std::path::Path;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Request, Response};
use kube::client::{Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use prometheus::{IntCounterVec, Opts, Registry};
use tower::{Layer, Service};

/// Of the counts of requests.
pub(crate) const LABELS: [&str; 3] = ["code", "method", "host"];

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("--kubeconfig (KUBECONFIG) {path}: cannot be read as a kubeconfig")]
    Kubeconfig { path: String, source: kube::config::KubeconfigError },
    #[error("no cluster: not inside a pod, and neither --kubeconfig nor ~/.kube/config names one")]
    Infer(#[source] kube::config::InferConfigError),
    #[error("the client of the API server cannot be made")]
    Build(#[source] kube::Error),
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// Connects to the cluster of `kubeconfig`, or else the one of the pod or of `~/.kube/config`.
pub async fn connect(
    service: &'static str,
    kubeconfig: Option<&Path>,
    registry: &Registry,
) -> Result<Client, Error> {
    let mut config = match kubeconfig {
        Some(path) => {
            let named = |source| Error::Kubeconfig { path: path.display().to_string(), source };
            read(path).await.map_err(named)?
        }
        None => Config::infer().await.map_err(Error::Infer)?,
    };
    introduce(&mut config, service);
    build(config, registry)
}

/// The cluster and user of the current context of a kubeconfig.
pub(crate) async fn read(path: &Path) -> Result<Config, KubeconfigError> {
    let file = Kubeconfig::read_from(path)?;
    Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await
}

/// Says who asks, and for how long at most it is tried to connect.
pub(crate) fn introduce(config: &mut Config, service: &str) {
    config.connect_timeout = Some(Duration::from_secs(5));
    if let Ok(agent) = http::HeaderValue::from_str(&format!("{service}/{}", env!("CARGO_PKG_VERSION"))) {
        config.headers.push((http::header::USER_AGENT, agent));
    }
}

/// A client whose requests are counted in `registry`.
pub fn build(config: Config, registry: &Registry) -> Result<Client, Error> {
    let requests = IntCounterVec::new(
        Opts::new(
            "rest_client_requests_total",
            "Requests to the API server, by status code, method and host.",
        ),
        &LABELS,
    )?;
    registry.register(Box::new(requests.clone()))?;
    counted(config, requests)
}

/// A client whose requests are counted in `requests`, which has [`LABELS`].
pub(crate) fn counted(mut config: Config, requests: IntCounterVec) -> Result<Client, Error> {
    // kube would repeat a refused request for minutes: a write could leave long after its decision, and after the lease
    // is lost. Queues and watches have back-offs of their own.
    config.default_retry = false;
    let builder = ClientBuilder::try_from(config).map_err(Error::Build)?;
    Ok(builder.with_layer(&CountRequests(requests)).build())
}

#[derive(Clone)]
struct CountRequests(IntCounterVec);

impl<S> Layer<S> for CountRequests {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, requests: self.0.clone() }
    }
}

#[derive(Clone)]
struct Counted<S> {
    inner: S,
    requests: IntCounterVec,
}

impl<S, B> Service<Request<Body>> for Counted<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<B>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = request.method().as_str().to_owned();
        let host = request.uri().host().unwrap_or_default().to_owned();
        let requests = self.requests.clone();
        let response = self.inner.call(request);
        Box::pin(async move {
            let response = response.await;
            let code = match &response {
                Ok(response) => response.status().as_u16().to_string(),
                Err(_) => "<error>".to_owned(),
            };
            requests.with_label_values(&[code.as_str(), method.as_str(), host.as_str()]).inc();
            response
        })
    }
}
