//! The HTTPS server.

use std::convert::Infallible;
use std::future::{pending, ready};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsConfig, from_tcp_rustls};
use http::{StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tower::service_fn;
use tower::util::MapResult;

use super::model::Model;
use super::routes::{self, Reply};
use crate::forge::{Caller, Fault, Traffic};
use crate::pki::Authority;

/// More than anything that is sent.
const LARGEST_BODY: usize = 1024 * 1024;

/// Serves until it is dropped.
pub(super) struct Server {
    traffic: Traffic,
    load: Arc<Load>,
    handle: Handle<SocketAddr>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

/// How many requests are under way.
#[derive(Default)]
struct Load {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// One of them, until it is dropped: also when its caller went away.
struct UnderWay<'a>(&'a Load);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Load {
    fn enter(&self) -> UnderWay<'_> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        UnderWay(self)
    }
}

/// In the extensions of an answer that is not to be given.
#[derive(Clone)]
struct Unsaid;

#[derive(Debug, thiserror::Error)]
#[error("cut by the fault that was planned")]
struct Cut;

impl From<Infallible> for Cut {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

struct Shared {
    model: Arc<Mutex<Model>>,
    traffic: Traffic,
    load: Arc<Load>,
}

impl Server {
    /// Returns its port, too.
    pub(super) fn start(authority: &Authority, model: &Arc<Mutex<Model>>) -> anyhow::Result<(Self, u16)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen on 127.0.0.1")?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let traffic = Traffic::default();
        for route in routes::ALL {
            traffic.add_route(route);
        }
        let load = Arc::new(Load::default());
        let shared =
            Arc::new(Shared { model: Arc::clone(model), traffic: traffic.clone(), load: Arc::clone(&load) });
        let answer = move |request: Request| {
            let shared = Arc::clone(&shared);
            async move { shared.answer(request).await }
        };
        // Hyper closes the connection of a service that fails.
        let router =
            MapResult::new(Router::new().fallback(answer), |answered: Result<Response, Infallible>| {
                match answered {
                    Ok(response) if response.extensions().get::<Unsaid>().is_some() => Err(Cut),
                    Ok(response) => Ok(response),
                    Err(never) => match never {},
                }
            });
        let handle = Handle::new();
        let server = from_tcp_rustls(listener, tls(authority)?)?.handle(handle.clone());
        tokio::spawn(server.serve(service_fn(move |_peer| ready(Ok::<_, Infallible>(router.clone())))));
        Ok((Self { traffic, load, handle }, port))
    }

    pub(super) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    pub(super) fn most_at_once(&self) -> usize {
        self.load.most.load(Ordering::SeqCst)
    }
}

impl Shared {
    async fn answer(&self, request: Request) -> Response {
        let _under_way = self.load.enter();
        let (parts, body) = request.into_parts();
        let Ok(body) = Limited::new(body, LARGEST_BODY).collect().await else {
            return respond(&Reply::error(StatusCode::PAYLOAD_TOO_LARGE, "too large"));
        };
        let body = serde_json::from_slice(&body.to_bytes()).unwrap_or(Value::Null);
        let Some((route, call)) = routes::find(&parts.method, &parts.uri, body) else {
            let message =
                format!("this fake has no route for {} {}: add it to routes.rs", parts.method, parts.uri);
            return respond(&Reply::error(StatusCode::NOT_IMPLEMENTED, &message));
        };
        let path = parts.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
        let (index, fault) = self.traffic.arrive(route, path);
        match &fault {
            Some(Fault::Hang) => pending().await,
            Some(Fault::Drop) => return unsaid(),
            Some(Fault::Delay(delay)) => tokio::time::sleep(*delay).await,
            _ => {}
        }
        let shown = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let response = match &fault {
            Some(fault) if let Some(response) = instead(fault) => response,
            _ => {
                let mut model = self.model.lock();
                let is_known = shown == Some(format!("Bearer {}", model.token).as_str());
                let reply = if is_known {
                    call.carry_out(&mut model)
                } else {
                    Reply::error(StatusCode::UNAUTHORIZED, "Invalid token")
                };
                respond(&reply)
            }
        };
        if fault == Some(Fault::LoseReply) {
            return unsaid();
        }
        self.traffic.answered(index, Caller::Anonymous, response.status());
        response
    }
}

/// What a fault has answered without any work.
fn instead(fault: &Fault) -> Option<Response> {
    let status = |code: u16| StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match fault {
        Fault::Answer(code) => Some(respond(&Reply::error(status(*code), "planned by the test"))),
        Fault::SecondaryLimit { status: code, retry_after } => {
            let mut response = respond(&Reply::error(status(*code), "too many requests"));
            response.headers_mut().insert(header::RETRY_AFTER, (*retry_after).into());
            Some(response)
        }
        Fault::Instead { status: code, headers, body } => {
            let mut response = http::Response::builder().status(status(*code));
            for (name, value) in headers {
                response = response.header(*name, value);
            }
            Some(response.body(Body::from(body.clone())).unwrap_or_default())
        }
        Fault::Hang | Fault::Delay(_) | Fault::Drop | Fault::LoseReply => None,
    }
}

fn respond(reply: &Reply) -> Response {
    let body = match &reply.body {
        Value::Null => Body::empty(),
        body => Body::from(body.to_string()),
    };
    http::Response::builder()
        .status(reply.status)
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)
        .unwrap_or_default()
}

fn unsaid() -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(Unsaid);
    response
}

fn tls(authority: &Authority) -> anyhow::Result<RustlsConfig> {
    let leaf = authority.server("quay", &["localhost", "127.0.0.1"])?;
    let certificate = CertificateDer::from_pem_slice(leaf.cert_pem.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    Ok(RustlsConfig::from_config(Arc::new(config)))
}

/// A page for people, as proxies send it: for [`Fault::Instead`].
pub fn html(status: u16) -> Fault {
    let body = b"<html><body><h1>Bad gateway</h1></body></html>".to_vec();
    Fault::Instead { status, headers: vec![("content-type", "text/html".to_owned())], body }
}
