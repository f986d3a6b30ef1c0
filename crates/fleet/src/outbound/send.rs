//! One call: tries, each of them over the hops that redirects make.

use std::error::Error as StdError;
use std::future::ready;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode, header};
use rustls::CertificateError;
use tokio::time::{Instant, sleep, timeout_at};

use super::budget::{Host, Turn};
use super::error::Error;
use super::guard::{Permit, Refusal};
use super::request::{Request, Server};
use super::response::{Response, Streaming};
use super::retry::{Advice, advice, moment, pause};
use super::{Client, Inner};
use crate::controller::chain;

/// Beside the first.
const RETRIES: u32 = 3;

/// How long a credential is kept from a host that refuses it without saying for how long.
const HOLD: Duration = Duration::from_secs(30);

/// Takes what is wanted of an answer to a request; part of the try.
type Read<T> = fn(Streaming, Request) -> BoxFuture<'static, Result<T, Error>>;

/// A try that did not work.
struct Failure {
    error: Error,
    /// Whether the same may work in a moment, and on which host.
    again: Option<Again>,
}

struct Again {
    host: Arc<Host>,
    after: Duration,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, again: None }
    }
}

impl Client {
    /// Calls, and reads the whole answer. Any status is an answer, but for those that say to come back later: of these
    /// 429 and its like become [`Error::RateLimited`], 502 to 504 [`Error::Status`].
    pub async fn fetch(&self, request: Request) -> Result<Response, Error> {
        let result = self.0.persist(&request, |answer, asked| answer.collect(asked).boxed()).await;
        self.0.metrics.ended(&result);
        result
    }

    /// As [`fetch`](Self::fetch), but leaves the content to be read piece by piece. What fails from then on is not tried
    /// again.
    pub async fn open(&self, request: Request) -> Result<Streaming, Error> {
        let result = self.0.persist(&request, |answer, _| ready(Ok(answer)).boxed()).await;
        self.0.metrics.ended(&result);
        result
    }
}

impl Inner {
    async fn persist<T>(&self, request: &Request, read: Read<T>) -> Result<T, Error> {
        request.check()?;
        let deadline = Instant::now() + request.timeout;
        let mut attempt = 0;
        loop {
            let Failure { error, again } = match self.attempt(request, deadline, read).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            attempt += 1;
            let Some(again) = again.filter(|_| request.repeatable && attempt <= RETRIES) else {
                return Err(error);
            };
            let pause = again.after.max(pause(attempt));
            let is_soon = again.after <= self.timing.patience && Instant::now() + pause < deadline;
            if !is_soon || !again.host.may_retry() {
                return Err(error);
            }
            self.metrics.retried();
            tracing::debug!(attempt, error = %error, "Calling again");
            sleep(pause).await;
        }
    }

    async fn attempt<T>(&self, asked: &Request, deadline: Instant, read: Read<T>) -> Result<T, Failure> {
        let mut request = asked.clone();
        let mut hops = 0;
        loop {
            let (response, turn, host) = self.hop(&request, deadline).await?;
            let status = response.status();
            match advice(status, response.headers(), self.clock.now()) {
                Advice::Done => {}
                Advice::Limited { after } => {
                    turn.succeeded();
                    return Err(self.limited(&request, host, after.unwrap_or(HOLD)));
                }
                Advice::Again { after } => {
                    turn.failed(&format!("HTTP {status}"));
                    let retry_at = after.map(|after| moment(self.clock.now(), after));
                    let answer = Streaming::new(response, request, deadline, turn);
                    let error = answer.into_error(asked, retry_at).await;
                    return Err(Failure {
                        error,
                        again: Some(Again { host, after: after.unwrap_or_default() }),
                    });
                }
            }
            turn.succeeded();
            match next_hop(&request, status, response.headers(), hops) {
                Ok(Some(next)) => {
                    hops += 1;
                    request = next;
                }
                Ok(None) => {
                    let answer = Streaming::new(response, request, deadline, turn);
                    return read(answer, asked.clone()).await.map_err(|error| {
                        let is_broken = matches!(error, Error::Broken { .. });
                        Failure { error, again: is_broken.then_some(Again { host, after: Duration::ZERO }) }
                    });
                }
                Err(refusal) => return Err(refused(&request, refusal).into()),
            }
        }
    }

    /// Remembers that this credential is not wanted for a while.
    fn limited(&self, request: &Request, host: Arc<Host>, after: Duration) -> Failure {
        let until = moment(self.clock.now(), after);
        host.hold(request.credential_id(), after, until);
        let name = Server::of(&request.url).map(|server| server.shown()).unwrap_or_default();
        Failure { error: Error::RateLimited { host: name, until }, again: Some(Again { host, after }) }
    }

    /// Sends one request to one server, after all checks.
    async fn hop(
        &self,
        request: &Request,
        deadline: Instant,
    ) -> Result<(reqwest::Response, Turn, Arc<Host>), Failure> {
        let permit = self.guard.check(&request.url).map_err(|refusal| refused(request, refusal))?;
        let server = Server::of(&request.url).ok_or_else(|| refused(request, Refusal::NoHost))?;
        let host = self.budgets.of(&server);
        let turn = timeout_at(deadline, host.turn(request.credential_id()))
            .await
            .map_err(|_| Error::Timeout { target: request.target(), after: request.timeout })??;

        let mut sent = reqwest::Request::new(request.method.clone(), request.url.clone());
        *sent.headers_mut() = request.all_headers();
        if !request.body.is_empty() {
            *sent.body_mut() = Some(request.body.clone().into());
        }
        let http = {
            let clients = self.http.read();
            match permit {
                Permit::ByAddress => clients.by_address.clone(),
                Permit::ByName => clients.by_name.clone(),
            }
        };
        let began = Instant::now();
        let header_by = deadline.min(began + self.timing.header);
        match timeout_at(header_by, http.execute(sent)).await {
            Ok(Ok(response)) => Ok((response, turn, host)),
            Ok(Err(error)) => {
                if let Some(refusal) = find::<Refusal>(&error) {
                    return Err(refused(request, refusal.clone()).into());
                }
                let error = unreadable(request, error);
                turn.failed(&error);
                Err(Failure { error, again: Some(Again { host, after: Duration::ZERO }) })
            }
            Err(_) => {
                // There may be time for another try, on another connection.
                let error = Error::Timeout { target: request.target(), after: header_by - began };
                // A caller in a hurry says nothing about the host.
                if began.elapsed() >= self.timing.slow {
                    turn.failed(&error);
                }
                let again = (header_by < deadline).then_some(Again { host, after: Duration::ZERO });
                Err(Failure { error, again })
            }
        }
    }
}

fn refused(request: &Request, refusal: Refusal) -> Error {
    tracing::info!(target_of_call = request.target(), reason = %refusal, "Outbound call refused");
    Error::Refused { target: request.target(), refusal }
}

/// What an error of the library means.
pub(super) fn unreadable(request: &Request, error: reqwest::Error) -> Error {
    let target = request.target();
    let is_connect = error.is_connect() || error.is_timeout();
    let error = error.without_url();
    let mut reason = request.hide(&chain(&error));
    if let Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) =
        find::<rustls::Error>(&error)
    {
        reason.push_str(" (no authority of this machine or of --ca-bundle has signed its certificate)");
    }
    if is_connect { Error::Connect { target, reason } } else { Error::Broken { target, reason } }
}

/// The first error of this type among the causes.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // Such an error names the cause of what it holds, but not what it holds.
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = held.map_or_else(|| error.source(), |held| Some(held));
    }
    None
}

/// Where the answer says to go on, if it does.
fn next_hop(
    request: &Request,
    status: StatusCode,
    headers: &HeaderMap,
    hops: u8,
) -> Result<Option<Request>, Refusal> {
    let Some(location) = headers.get(header::LOCATION) else { return Ok(None) };
    let is_redirect = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
    if !is_redirect || request.redirects == 0 {
        return Ok(None);
    }
    if hops >= request.redirects {
        return Err(Refusal::TooManyRedirects);
    }
    let mut to = location
        .to_str()
        .ok()
        .and_then(|location| request.url.join(location).ok())
        .ok_or(Refusal::BadRedirect)?;
    to.set_fragment(None);
    // Also where plain http is permitted: the server asked for https before.
    if request.url.scheme() == "https" && to.scheme() == "http" {
        return Err(Refusal::Downgrade);
    }
    let is_same_server = Server::of(&to) == Server::of(&request.url);
    let mut next = request.clone().redirected(to);
    let becomes_get = match status.as_u16() {
        303 => next.method != Method::HEAD,
        301 | 302 => next.method == Method::POST,
        _ => false,
    };
    if becomes_get {
        next.method = Method::GET;
        next.body.clear();
        next.headers.remove(header::CONTENT_TYPE);
    } else if !matches!(next.method, Method::GET | Method::HEAD) && !is_same_server {
        return Err(Refusal::RedirectWithBody);
    }
    Ok(Some(next))
}
