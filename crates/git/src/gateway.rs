//! The way of the program `git` to one server: through our own client.
//!
//! ```text
//! git ── http://127.0.0.1:<port>/<random>/ ──▶ Gateway ── fleet::outbound ──▶ https://git.example/org/repo
//! ```
//! So names are resolved, addresses checked, certificates verified, hosts kept to their budgets and redirects followed as
//! for all other calls (security.md, section 6), and the program itself has nothing to go wrong with.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request as Received;
use axum::response::Response as Answer;
use data_encoding::HEXLOWER;
use fleet::outbound::{self, Client, Refusal, Request, Streaming, Url};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::error::Error;

/// Bytes that Git may ask with: names of commits.
const MAX_QUESTION: usize = 1024 * 1024;
pub(crate) const MAX_REDIRECTS: usize = 5;
const REFS: &str = "info/refs";
const PACK: &str = "git-upload-pack";

/// What of Git's headers the server sees.
const PASSED: [HeaderName; 4] =
    [header::ACCEPT, header::CONTENT_TYPE, header::CONTENT_ENCODING, HeaderName::from_static("git-protocol")];

/// Open until it is dropped.
pub(crate) struct Gateway {
    url: String,
    state: Arc<State>,
    serving: JoinHandle<io::Result<()>>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct State {
    outbound: Client,
    /// Nobody else on this machine knows it.
    nonce: String,
    /// Moves with redirects.
    base: Mutex<Url>,
    /// Bytes that may still come.
    left: Mutex<u64>,
    timeout: Duration,
    trouble: Mutex<Option<Error>>,
}

impl Gateway {
    /// To the repository at `url`, from which `limit` bytes may come.
    pub(crate) async fn start(
        outbound: &Client,
        url: Url,
        limit: u64,
        timeout: Duration,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let nonce = HEXLOWER.encode(&rand::random::<[u8; 16]>());
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            outbound: outbound.clone(),
            base: Mutex::new(url),
            left: Mutex::new(limit),
            timeout,
            trouble: Mutex::default(),
            nonce: nonce.clone(),
        });
        let served = Arc::clone(&state);
        let router = Router::new().fallback(move |request: Received| {
            let state = Arc::clone(&served);
            async move { state.answer(request).await }
        });
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url: format!("http://{address}/{nonce}"), state, serving })
    }

    /// What Git is given for the repository's address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The first thing that went wrong.
    pub(crate) fn trouble(&self) -> Option<Error> {
        self.state.trouble.lock().clone()
    }
}

impl State {
    async fn answer(self: Arc<Self>, request: Received) -> Answer {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().strip_prefix(&format!("/{}/", self.nonce));
        let answered = match (&parts.method, path, parts.uri.query()) {
            (&Method::GET, Some(REFS), Some("service=git-upload-pack")) => self.refs(&parts.headers).await,
            (&Method::POST, Some(PACK), None) => self.pack(&parts.headers, body).await,
            // Also what servers without smart HTTP would be asked for, file by file.
            _ => return said(StatusCode::NOT_FOUND),
        };
        match answered {
            Ok(answer) => self.pass(answer),
            Err(trouble) => {
                self.trouble.lock().get_or_insert(trouble);
                said(StatusCode::BAD_GATEWAY)
            }
        }
    }

    /// The first question. A redirect here moves the whole repository, as Git would have it.
    async fn refs(&self, headers: &HeaderMap) -> Result<Streaming, Error> {
        for _ in 0..=MAX_REDIRECTS {
            let base = self.base.lock().clone();
            let mut url = below(&base, REFS);
            url.set_query(Some("service=git-upload-pack"));
            let request = self.request(Method::GET, url.clone(), headers).redirects(0);
            let answer = self.outbound.open(request).await?;
            if !answer.status().is_redirection() {
                return checked(answer);
            }
            *self.base.lock() = moved(&url, &answer).ok_or_else(|| {
                Error::refused(
                    "the server redirects to what is no repository; name the address that it leads to",
                )
            })?;
        }
        Err(Error::refused(Refusal::TooManyRedirects.to_string()))
    }

    async fn pack(&self, headers: &HeaderMap, body: Body) -> Result<Streaming, Error> {
        let url = below(&self.base.lock().clone(), PACK);
        let request = self.request(Method::POST, url, headers);
        let body = Limited::new(body, MAX_QUESTION).collect().await;
        let body = body
            .map_err(|error| Error::refused(format!("Git's question cannot be read: {error}")))?
            .to_bytes();
        let kind = HeaderValue::from_static("application/x-git-upload-pack-request");
        // To ask twice does no harm.
        checked(self.outbound.open(request.body(kind, body).repeatable()).await?)
    }

    fn request(&self, method: Method, url: Url, headers: &HeaderMap) -> Request {
        let request = Request::new(method, url).timeout(self.timeout).limit(*self.left.lock());
        PASSED.into_iter().fold(request, |request, name| match headers.get(&name) {
            Some(value) => request.header(name, value.clone()),
            None => request,
        })
    }

    /// Hands the answer on, piece by piece.
    fn pass(self: Arc<Self>, answer: Streaming) -> Answer {
        let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
        let pieces = futures::stream::unfold((self, answer), |(state, mut answer)| async move {
            let piece = match answer.chunk().await {
                Ok(None) => return None,
                Ok(Some(piece)) => {
                    let mut left = state.left.lock();
                    *left = left.saturating_sub(piece.len() as u64);
                    Ok(piece)
                }
                Err(error) => {
                    let trouble = match error {
                        outbound::Error::TooLarge { .. } => Error::refused("the repository is too large"),
                        error => error.into(),
                    };
                    state.trouble.lock().get_or_insert(trouble);
                    Err(io::Error::other("broken off"))
                }
            };
            Some((piece, (state, answer)))
        });
        let mut answer = Answer::new(Body::from_stream(pieces));
        if let Some(kind) = kind {
            answer.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        answer
    }
}

fn checked(answer: Streaming) -> Result<Streaming, Error> {
    match answer.status() {
        status if status.is_success() => Ok(answer),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
            Err(Error::NoRepository { status: answer.status().as_u16() })
        }
        status if status.is_server_error() => {
            Err(Error::Broken(format!("the server answers HTTP {}", status.as_u16())))
        }
        status => Err(Error::refused(format!("the server answers HTTP {}", status.as_u16()))),
    }
}

/// Where a redirected first question says that the repository is.
fn moved(from: &Url, answer: &Streaming) -> Option<Url> {
    let location = answer.headers().get(header::LOCATION)?.to_str().ok()?;
    let mut to = from.join(location).ok()?;
    // As everywhere: what was asked for by https is not fetched without.
    if from.scheme() == "https" && to.scheme() != "https" {
        return None;
    }
    let path = to.path().strip_suffix(&format!("/{REFS}"))?.to_owned();
    to.set_path(&path);
    to.set_query(None);
    to.set_fragment(None);
    Some(to)
}

fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url
}

fn said(status: StatusCode) -> Answer {
    let mut answer = Answer::default();
    *answer.status_mut() = status;
    answer
}
