//! A second cluster, which is reached by a kubeconfig and may be out of reach.
//!
//! ```text
//! kubeconfig ─read again─▶ client ─▶ Remote ─┬─ stores: Fleet::remote_store
//!                                            ├─ writer, while this replica leads
//!                                            └─ on_reachable: is there an answer, and does it take the credential
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode, Uri};
use kube::client::Body;
use kube::config::KubeconfigError;
use kube::{Client, Config};
use parking_lot::{Mutex, RwLock};
use prometheus::{IntCounterVec, Opts, Registry};
use tokio::time::timeout;

use crate::client;
use crate::controller::chain;
use crate::writer::Writer;

/// How often the kubeconfig is looked at. Contents are compared: kubelet swaps a symbolic link two levels up.
const LOOK: Duration = Duration::from_secs(10);

/// How often it is asked whether the cluster answers, while it does.
const PROBE: Duration = Duration::from_secs(20);

/// The same while it does not: what waits for it should not wait longer than necessary.
const PROBE_AGAIN: Duration = Duration::from_secs(2);

/// Until the head of an answer. A network between clusters may swallow a request without a word.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no client of the second cluster, or no longer one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("--{flag} {path}: cannot be read as a kubeconfig; is the Secret with it mounted there?", path = path.display())]
    Kubeconfig { flag: &'static str, path: PathBuf, source: Box<KubeconfigError> },
    #[error("--{flag} {path}: no client can be made of it", path = path.display())]
    Client { flag: &'static str, path: PathBuf, source: Box<client::Error> },
    #[error("--{flag} {path}: it names another cluster now ({new}, before {old}); starting anew", path = path.display())]
    OtherCluster { flag: &'static str, path: PathBuf, old: String, new: String },
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// A second cluster. Cheap to clone.
#[derive(Clone)]
pub struct Remote {
    client: Client,
    writer: Writer,
    url: String,
    reach: Arc<Reach>,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("url", &self.url).finish_non_exhaustive()
    }
}

type Subscriber = Box<dyn Fn(bool) + Send + Sync>;

/// Whether the last request was answered.
#[derive(Default)]
struct Reach {
    is_reachable: Mutex<Option<bool>>,
    subscribers: RwLock<Vec<Subscriber>>,
}

impl Reach {
    fn note(&self, is_reachable: bool) {
        let before = self.is_reachable.lock().replace(is_reachable);
        if before == Some(is_reachable) {
            return;
        }
        if is_reachable {
            tracing::info!("The remote cluster answers");
        } else {
            tracing::warn!(
                "The remote cluster does not answer, or does not take the credential; trying again"
            );
        }
        for subscriber in self.subscribers.read().iter() {
            subscriber(is_reachable);
        }
    }

    fn is_reachable(&self) -> bool {
        *self.is_reachable.lock() == Some(true)
    }
}

impl Remote {
    /// The second part keeps the client fresh and asks whether the cluster answers; it ends only with an error.
    pub(crate) async fn connect(
        service: &'static str,
        flag: &'static str,
        file: &Path,
        writer: &Writer,
        registry: &Registry,
    ) -> Result<(Self, impl Future<Output = Result<(), Error>> + use<>), Error> {
        let requests = IntCounterVec::new(
            Opts::new(
                "fleet_remote_client_requests_total",
                "Requests to the API server of the second cluster, by status code, method and host.",
            ),
            &client::LABELS,
        )?;
        registry.register(Box::new(requests.clone()))?;
        let file = File { service, flag, path: file.to_owned(), requests };
        let content = file.content().await;
        let (first, config) = file.client().await?;
        let url = config.cluster_url.clone();
        let current = Arc::new(RwLock::new(first));
        let reach = Arc::new(Reach::default());
        let client = switching(Arc::clone(&current), Arc::clone(&reach), &config.default_namespace);
        let remote = Self {
            // Whoever works for another cluster is far from it.
            writer: writer.elsewhere(client.clone()).patient(),
            client: client.clone(),
            url: url.to_string(),
            reach: Arc::clone(&reach),
        };
        let keep = async move {
            let probe = probe(client, &reach);
            let follow = file.follow(&current, &url, content);
            tokio::select! {
                () = probe => Ok(()),
                error = follow => Err(error),
            }
        };
        Ok((remote, keep))
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Writes there while this replica leads.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Where its API server is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Calls `subscriber` whenever the cluster begins or ceases to answer; first when that is known at all.
    pub fn on_reachable(&self, subscriber: impl Fn(bool) + Send + Sync + 'static) {
        self.reach.subscribers.write().push(Box::new(subscriber));
    }
}

/// A client that sends each request by the client of the moment, and notes whether there was an answer.
fn switching(current: Arc<RwLock<Client>>, reach: Arc<Reach>, default_namespace: &str) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, reach) = (current.read().clone(), Arc::clone(&reach));
        async move {
            let answer = timeout(PATIENCE, client.send(request)).await;
            let answer = answer.unwrap_or_else(|_| {
                Err(kube::Error::Service(format!("no answer within {PATIENCE:?}").into()))
            });
            reach.note(is_answer(&answer));
            answer
        }
    });
    Client::new(service, default_namespace)
}

/// Neither a broken server nor one that knows nothing of the credential is of any use.
fn is_answer(answer: &Result<Response<Body>, kube::Error>) -> bool {
    answer.as_ref().is_ok_and(|answer| {
        let status = answer.status();
        !status.is_server_error() && status != StatusCode::UNAUTHORIZED
    })
}

async fn probe(client: Client, reach: &Reach) {
    loop {
        // What comes of it is noted by the client itself.
        _ = client.apiserver_version().await;
        tokio::time::sleep(if reach.is_reachable() { PROBE } else { PROBE_AGAIN }).await;
    }
}

/// The kubeconfig.
struct File {
    service: &'static str,
    flag: &'static str,
    path: PathBuf,
    requests: IntCounterVec,
}

impl File {
    async fn content(&self) -> Option<Vec<u8>> {
        tokio::fs::read(&self.path).await.ok()
    }

    async fn client(&self) -> Result<(Client, Config), Error> {
        let (flag, path) = (self.flag, self.path.clone());
        let mut config = client::read(&self.path).await.map_err(|source| Error::Kubeconfig {
            flag,
            path: path.clone(),
            source: Box::new(source),
        })?;
        client::introduce(&mut config, self.service);
        let client = client::counted(config.clone(), self.requests.clone())
            .map_err(|source| Error::Client { flag, path, source: Box::new(source) })?;
        Ok((client, config))
    }

    /// Puts a new client into `current` whenever the file has changed. Ends when it names another server than `url`.
    async fn follow(&self, current: &RwLock<Client>, url: &Uri, mut content: Option<Vec<u8>>) -> Error {
        loop {
            tokio::time::sleep(LOOK).await;
            let now = self.content().await;
            if now == content {
                continue;
            }
            content = now;
            match self.client().await {
                Ok((client, config)) if config.cluster_url == *url => {
                    *current.write() = client;
                    tracing::info!("The kubeconfig of the remote cluster was read again");
                }
                Ok((_, config)) => {
                    let (old, new) = (url.to_string(), config.cluster_url.to_string());
                    return Error::OtherCluster { flag: self.flag, path: self.path.clone(), old, new };
                }
                Err(error) => {
                    tracing::warn!(error = chain(&error), "The last good kubeconfig is used");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
