//! The HTTPS server of a forge: a table of routes, each with what it demands and who handles it.
//!
//! ```text
//! request ─▶ Traffic: count, fault? ─▶ Forge: who, rate limit, rights ─▶ handler ─▶ Forge::finish ─▶ answer
//! ```

use std::convert::Infallible;
use std::future::{pending, ready};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::RawPathParams;
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Bytes;
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tower::service_fn;
use tower::util::MapResult;

use super::exchange::{Answer, Reply, Request};
use super::traffic::{Caller, Fault, Traffic};
use crate::pki::Authority;

/// More than anything that a service writes at once.
const LARGEST_BODY: usize = 25 * 1024 * 1024;

/// What distinguishes one forge's API from another's.
pub(super) trait Forge: Send + Sized + 'static {
    /// What a route demands of who asks.
    type Needs: Copy + Send + Sync + 'static;

    /// Who asks.
    fn identify(&self, request: &Request) -> Result<Caller, Box<Reply>>;

    /// Whether they may ask for this now. Counts the request against their limit.
    fn admit(&mut self, request: &Request, needs: Self::Needs) -> Result<(), Box<Reply>>;

    /// Adds what every answer has.
    fn finish(&mut self, request: &Request, reply: Reply) -> Reply;

    /// The error body of a status.
    fn error(&self, status: StatusCode) -> Reply;

    /// Too many requests in a short time.
    fn slow_down(&self, status: StatusCode, retry_after: u64) -> Reply;
}

/// Carries out a request that was admitted.
pub(super) type Handler<F> = fn(&mut F, &Request) -> Answer;

struct Shared<F> {
    forge: Arc<Mutex<F>>,
    traffic: Traffic,
    /// Address of the server.
    url: String,
}

/// The routes of a forge, while they are put together.
pub(super) struct Routes<F: Forge> {
    router: Router,
    shared: Arc<Shared<F>>,
    /// Where the API begins: `/api/v4`.
    prefix: &'static str,
}

impl<F: Forge> Routes<F> {
    pub(super) fn get(self, path: &'static str, needs: F::Needs, handler: Handler<F>) -> Self {
        self.on(MethodFilter::GET, "GET", path, needs, handler)
    }

    pub(super) fn post(self, path: &'static str, needs: F::Needs, handler: Handler<F>) -> Self {
        self.on(MethodFilter::POST, "POST", path, needs, handler)
    }

    pub(super) fn put(self, path: &'static str, needs: F::Needs, handler: Handler<F>) -> Self {
        self.on(MethodFilter::PUT, "PUT", path, needs, handler)
    }

    pub(super) fn patch(self, path: &'static str, needs: F::Needs, handler: Handler<F>) -> Self {
        self.on(MethodFilter::PATCH, "PATCH", path, needs, handler)
    }

    pub(super) fn delete(self, path: &'static str, needs: F::Needs, handler: Handler<F>) -> Self {
        self.on(MethodFilter::DELETE, "DELETE", path, needs, handler)
    }

    /// All that no route was found for and that does not belong to the API: web pages.
    pub(super) fn pages(mut self, handler: Handler<F>, needs: F::Needs) -> Self {
        let (shared, prefix) = (Arc::clone(&self.shared), self.prefix);
        self.shared.traffic.add_route("GET (web)");
        let answer = move |request: axum::extract::Request| async move {
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            if path.starts_with(prefix) {
                let message = format!("this fake has no route for {method} {path}: add it to its routes.rs");
                let body = serde_json::json!({ "message": message });
                return Reply::json(StatusCode::NOT_IMPLEMENTED, &body).into_response();
            }
            let params = vec![("path".to_owned(), path.trim_start_matches('/').to_owned())];
            let route = Route { name: "GET (web)".to_owned(), needs, handler };
            shared.answer(&route, params, request).await
        };
        self.router = self.router.fallback(answer);
        self
    }

    fn on(
        mut self,
        filter: MethodFilter,
        method: &str,
        path: &'static str,
        needs: F::Needs,
        handler: Handler<F>,
    ) -> Self {
        let name = format!("{method} {path}");
        self.shared.traffic.add_route(&name);
        let shared = Arc::clone(&self.shared);
        let route = Arc::new(Route { name, needs, handler });
        let answer = move |params: RawPathParams, request: axum::extract::Request| async move {
            let params = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            shared.answer(&route, params, request).await
        };
        self.router = self.router.route(&format!("{}{path}", self.prefix), on(filter, answer));
        self
    }
}

struct Route<F: Forge> {
    name: String,
    needs: F::Needs,
    handler: Handler<F>,
}

/// In the extensions of an answer that is not to be given.
#[derive(Clone)]
struct Unsaid;

#[derive(Debug, thiserror::Error)]
#[error("cut by the forge's fault")]
struct Cut;

impl From<Infallible> for Cut {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl<F: Forge> Shared<F> {
    async fn answer(
        &self,
        route: &Route<F>,
        params: Vec<(String, String)>,
        request: axum::extract::Request,
    ) -> Response {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
        let (index, fault) = self.traffic.arrive(&route.name, path);
        let Ok(body) = Limited::new(body, LARGEST_BODY).collect().await else {
            return self.forge.lock().error(StatusCode::PAYLOAD_TOO_LARGE).into_response();
        };
        let status = |code| StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        match fault {
            Some(Fault::Hang) => pending().await,
            Some(Fault::Drop) => return unsaid(),
            Some(Fault::Delay(delay)) => tokio::time::sleep(delay).await,
            _ => {}
        }
        let mut request = read(&self.url, parts, &body.to_bytes(), params);
        let mut forge = self.forge.lock();
        let reply = match &fault {
            Some(Fault::Answer(code)) => Err(Box::new(forge.error(status(*code)))),
            Some(Fault::Instead { status: code, headers, body }) => {
                let reply = Reply::raw(status(*code), "", body);
                Err(Box::new(Reply { headers: headers.clone(), ..reply }))
            }
            Some(Fault::SecondaryLimit { status: code, retry_after }) => {
                Err(Box::new(forge.slow_down(status(*code), *retry_after)))
            }
            _ => forge.identify(&request).and_then(|caller| {
                request.caller = caller;
                forge.admit(&request, route.needs)?;
                (route.handler)(&mut forge, &request)
            }),
        };
        let reply = forge.finish(&request, reply.unwrap_or_else(|reply| *reply));
        drop(forge);
        if fault == Some(Fault::LoseReply) {
            return unsaid();
        }
        self.traffic.answered(index, request.caller, reply.status);
        reply.into_response()
    }
}

fn unsaid() -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(Unsaid);
    response
}

fn read(url: &str, parts: Parts, body: &Bytes, params: Vec<(String, String)>) -> Request {
    let pairs = |text: &[u8]| -> Vec<(String, String)> {
        url::form_urlencoded::parse(text).map(|(key, value)| (key.into_owned(), value.into_owned())).collect()
    };
    let content_type =
        parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (body, is_malformed) = if body.is_empty() {
        (Value::Null, false)
    } else if content_type.starts_with("application/x-www-form-urlencoded") {
        (pairs(body).into_iter().map(|(key, value)| (key, Value::String(value))).collect(), false)
    } else {
        serde_json::from_slice(body).map_or((Value::Null, true), |value| (value, false))
    };
    Request {
        method: parts.method,
        url: format!("{url}{}", parts.uri.path()),
        params,
        query: pairs(parts.uri.query().unwrap_or_default().as_bytes()),
        headers: parts.headers,
        body,
        is_malformed,
        caller: Caller::Anonymous,
    }
}

/// A forge that is being served on a port of 127.0.0.1, until it is dropped.
pub(super) struct Server<F> {
    pub(super) forge: Arc<Mutex<F>>,
    pub(super) traffic: Traffic,
    handle: Handle<std::net::SocketAddr>,
}

impl<F> Drop for Server<F> {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

impl<F: Forge> Server<F> {
    /// `make` is given the address: `https://localhost:<port>`.
    pub(super) fn start(
        authority: &Authority,
        prefix: &'static str,
        make: impl FnOnce(&str) -> F,
        add_routes: impl FnOnce(Routes<F>) -> Routes<F>,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen on 127.0.0.1")?;
        listener.set_nonblocking(true)?;
        let url = format!("https://localhost:{}", listener.local_addr()?.port());
        let (forge, traffic) = (Arc::new(Mutex::new(make(&url))), Traffic::default());
        let shared = Arc::new(Shared { forge: Arc::clone(&forge), traffic: traffic.clone(), url });
        let router = add_routes(Routes { router: Router::new(), shared, prefix }).router;
        // Hyper closes the connection of a service that fails.
        let service = MapResult::new(router, |answered: Result<Response, Infallible>| match answered {
            Ok(response) if response.extensions().get::<Unsaid>().is_some() => Err(Cut),
            Ok(response) => Ok(response),
            Err(never) => match never {},
        });
        let handle = Handle::new();
        let server = axum_server::from_tcp_rustls(listener, tls(authority)?)?.handle(handle.clone());
        tokio::spawn(server.serve(service_fn(move |_peer| ready(Ok::<_, Infallible>(service.clone())))));
        Ok(Self { forge, traffic, handle })
    }
}

fn tls(authority: &Authority) -> anyhow::Result<RustlsConfig> {
    let leaf = authority.server("forge", &["localhost", "127.0.0.1"])?;
    let certificate = CertificateDer::from_pem_slice(leaf.cert_pem.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(RustlsConfig::from_config(Arc::new(config)))
}
