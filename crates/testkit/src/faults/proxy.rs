//! The proxy itself.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::{Client, Config};
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::plan::{Fault, Plan};
use super::request;
use super::watch::relay;
use crate::ledger::{Call, Calls};

/// Between a service and its API server: forwards every request with the credentials of its configuration, or does to it
/// what the plan says. Ends when it is dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: AbortHandle,
}

/// Where a service is stopped in a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The API server does not get it.
    Before,
    /// The API server has carried it out, and its answer stays here.
    After,
}

/// The connection ends without an answer, or in the middle of one.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("cut by the fault proxy")]
pub(super) struct Cut;

type Reply = UnsyncBoxBody<Bytes, Cut>;

struct Shared {
    name: String,
    upstream: Client,
    state: Mutex<State>,
    /// The process that is served, counted: each one's requests die with it.
    process: watch::Sender<u64>,
    sprung: watch::Sender<bool>,
}

struct State {
    plan: Plan,
    trap: Option<(usize, Moment)>,
    /// What the trap caught.
    caught: Option<Call>,
    /// Writes that came, those of the trap counted, renewals of Leases not.
    writes: usize,
    last_write: Instant,
    faults: usize,
    answered: Vec<Call>,
    /// First answers of lists, by URI.
    lists: HashMap<String, Whole>,
}

/// An answer that is not a stream.
#[derive(Clone, Debug)]
struct Whole {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// What happens with a request.
enum Step {
    Forward,
    Meet(Fault),
    /// The trap has sprung, now or before.
    Hold,
    /// The trap springs once the request is carried out.
    HoldAfterwards,
}

impl Proxy {
    /// Starts a proxy to the API server of `config`, on a free port of 127.0.0.1. `name` stands for the user in its calls.
    pub async fn start(name: &str, plan: Plan, mut config: Config) -> anyhow::Result<Self> {
        // What the service sees is what it asked for, once.
        config.default_retry = false;
        config.disable_compression = true;
        config.write_timeout = None;
        let (process, sprung) = (watch::Sender::new(0), watch::Sender::new(false));
        let state = State {
            plan,
            trap: None,
            caught: None,
            writes: 0,
            last_write: Instant::now(),
            faults: 0,
            answered: Vec::new(),
            lists: HashMap::new(),
        };
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            upstream: Client::try_from(config)?,
            state: Mutex::new(state),
            process,
            sprung,
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listen on 127.0.0.1")?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(serve(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, address, server })
    }

    /// A kubeconfig that leads through the proxy, as JSON (which is YAML).
    pub fn kubeconfig(&self) -> String {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "proxy", "user": {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
        })
        .to_string()
    }

    /// Stops everything at the `n`th write from the start, counted from 1 and without renewals of Leases: see
    /// [`sprung`](Self::sprung).
    pub fn arm(&self, n: usize, moment: Moment) {
        self.shared.state.lock().trap = Some((n, moment));
    }

    /// Resolves when the write that [`arm`](Self::arm) named has come. From then on no request is carried out or
    /// answered.
    pub async fn sprung(&self) {
        // The sender lives as long as we do.
        let _ = self.shared.sprung.subscribe().wait_for(|sprung| *sprung).await;
    }

    /// The write that the trap caught.
    pub fn caught(&self) -> Option<Call> {
        self.shared.state.lock().caught.clone()
    }

    /// Cuts every request that is held and serves again: the process that was stopped is dead.
    pub fn serve_next_process(&self) {
        self.shared.sprung.send_replace(false);
        self.shared.process.send_modify(|process| *process += 1);
    }

    /// Writes that came, renewals of Leases not counted.
    pub fn writes(&self) -> usize {
        self.shared.state.lock().writes
    }

    /// How long none came.
    pub fn quiet_for(&self) -> Duration {
        self.shared.state.lock().last_write.elapsed()
    }

    /// How many requests met a fault.
    pub fn faults(&self) -> usize {
        self.shared.state.lock().faults
    }

    /// What the API server was asked for and answered.
    pub fn calls(&self) -> Calls {
        self.shared.state.lock().answered.iter().cloned().collect()
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A client that gave up while it waited.
                let Ok((stream, _)) = accepted else { continue };
                let shared = Arc::clone(&shared);
                let service = service_fn(move |request| Arc::clone(&shared).handle(request));
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

impl Shared {
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Reply>, Cut> {
        let process = *self.process.borrow();
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
        let mut call = request::call(&parts.method, &parts.uri, &self.name);
        let request = forwarded(&parts, body);

        match self.step(&call) {
            Step::Forward => self.forward(request, call).await,
            Step::Hold => self.hold(process).await,
            Step::HoldAfterwards => {
                self.carry_out(request, &mut call).await?;
                self.state.lock().caught = Some(call);
                self.sprung.send_replace(true);
                self.hold(process).await
            }
            Step::Meet(fault) => self.fail(fault, request, call).await,
        }
    }

    fn step(&self, call: &Call) -> Step {
        let mut state = self.state.lock();
        if *self.sprung.borrow() {
            return Step::Hold;
        }
        if is_counted(call) {
            state.writes += 1;
            state.last_write = Instant::now();
            let writes = state.writes;
            if let Some((_, moment)) = state.trap.take_if(|(n, _)| *n == writes) {
                if moment == Moment::After {
                    return Step::HoldAfterwards;
                }
                state.caught = Some(call.clone());
                self.sprung.send_replace(true);
                return Step::Hold;
            }
        }
        match state.plan.meet(call, Instant::now()) {
            Some(fault) => {
                state.faults += 1;
                Step::Meet(fault)
            }
            None => Step::Forward,
        }
    }

    /// Waits for the end of the process that asked.
    async fn hold(&self, process: u64) -> Result<Response<Reply>, Cut> {
        // The sender lives in ourselves.
        let _ = self.process.subscribe().wait_for(|now| *now != process).await;
        Err(Cut)
    }

    async fn fail(
        &self,
        fault: Fault,
        request: Request<kube::client::Body>,
        mut call: Call,
    ) -> Result<Response<Reply>, Cut> {
        match fault {
            Fault::Drop => Err(Cut),
            Fault::Delay(time) => {
                tokio::time::sleep(time).await;
                self.forward(request, call).await
            }
            Fault::Answer(code) => Ok(status(code, None)),
            Fault::TooManyRequests { retry_after } => Ok(status(429, Some(retry_after))),
            Fault::LoseReply => {
                self.carry_out(request, &mut call).await?;
                Err(Cut)
            }
            Fault::FrozenList => {
                let known = self.state.lock().lists.get(&call.uri).cloned();
                if let Some(known) = known {
                    return Ok(known.into_response());
                }
                let first = self.carry_out(request, &mut call).await?;
                // A refusal is no list: a right that was given a moment ago may not be known yet.
                if first.status.is_success() {
                    self.state.lock().lists.insert(call.uri, first.clone());
                }
                Ok(first.into_response())
            }
            Fault::Watch(fault) => {
                let watch = self.begin(request, &mut call).await?;
                if watch.status() != StatusCode::OK {
                    return Ok(watch);
                }
                let (head, events) = watch.into_parts();
                let (sender, receiver) = mpsc::channel(1);
                tokio::spawn(relay(events, fault, sender));
                let relayed = stream::unfold(receiver, async |mut receiver| {
                    let part = receiver.recv().await?;
                    Some((part.map(Frame::data), receiver))
                });
                Ok(Response::from_parts(head, StreamBody::new(relayed).boxed_unsync()))
            }
        }
    }

    async fn forward(
        &self,
        request: Request<kube::client::Body>,
        mut call: Call,
    ) -> Result<Response<Reply>, Cut> {
        if call.verb == "watch" {
            self.begin(request, &mut call).await
        } else {
            Ok(self.carry_out(request, &mut call).await?.into_response())
        }
    }

    /// Sends the request on, and reads the whole answer.
    async fn carry_out(&self, request: Request<kube::client::Body>, call: &mut Call) -> Result<Whole, Cut> {
        let (head, body) = self.send(request).await?.into_parts();
        let whole = Whole {
            status: head.status,
            headers: end_to_end(&head.headers),
            body: body.collect().await.map_err(|_| Cut)?.to_bytes(),
        };
        if call.verb == "create"
            && whole.status.is_success()
            && let Some(target) = &mut call.target
        {
            target.name = name_in(&whole.body);
        }
        self.record(call, whole.status);
        Ok(whole)
    }

    /// Sends the request on, and passes the answer on as it comes.
    async fn begin(
        &self,
        request: Request<kube::client::Body>,
        call: &mut Call,
    ) -> Result<Response<Reply>, Cut> {
        let (head, body) = self.send(request).await?.into_parts();
        self.record(call, head.status);
        let mut response = Response::new(body.map_err(|_| Cut).boxed_unsync());
        *response.status_mut() = head.status;
        *response.headers_mut() = end_to_end(&head.headers);
        Ok(response)
    }

    async fn send(&self, request: Request<kube::client::Body>) -> Result<Response<kube::client::Body>, Cut> {
        self.upstream.send(request).await.map_err(|error| {
            tracing::warn!(error = %error, "The API server did not answer the fault proxy");
            Cut
        })
    }

    fn record(&self, call: &mut Call, status: StatusCode) {
        call.code = status.as_u16();
        let mut state = self.state.lock();
        if is_counted(call) {
            state.last_write = Instant::now();
        }
        state.answered.push(call.clone());
    }
}

impl Whole {
    fn into_response(self) -> Response<Reply> {
        let body = Full::new(self.body).map_err(|never: Infallible| match never {});
        let mut response = Response::new(body.boxed_unsync());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// Whether the call is a write, and not a leader's heartbeat.
fn is_counted(call: &Call) -> bool {
    let is_lease = call.target.as_ref().is_some_and(|target| target.resource == "leases");
    call.is_write() && !(is_lease && call.verb != "create")
}

fn forwarded(parts: &http::request::Parts, body: Bytes) -> Request<kube::client::Body> {
    let mut request = Request::new(kube::client::Body::from(body));
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = parts.uri.clone();
    *request.headers_mut() = end_to_end(&parts.headers);
    request
}

/// Without the headers that are about one connection.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    const OF_A_CONNECTION: [HeaderName; 3] = [header::CONNECTION, header::HOST, header::TRANSFER_ENCODING];
    let mut headers = headers.clone();
    for name in OF_A_CONNECTION {
        headers.remove(name);
    }
    headers
}

fn name_in(object: &Bytes) -> Option<String> {
    let object: serde_json::Value = serde_json::from_slice(object).ok()?;
    Some(object.pointer("/metadata/name")?.as_str()?.to_owned())
}

/// A failure as the API server words it.
fn status(code: u16, retry_after: Option<u64>) -> Response<Reply> {
    let reason = match code {
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    let body = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "code": code, "reason": reason,
        "message": format!("{reason} by plan of the fault proxy"),
    });
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Whole { status, headers, body: body.to_string().into() }.into_response()
}
