//! The calls of a batch.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use fleet::is_permanent;
use futures::{StreamExt as _, pin_mut};
use internal_services_api::{InternalRequest, labels};
use kube::ResourceExt as _;
use kube::api::ListParams;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use tokio::time::Instant;

use super::Request;
use super::batch::{Batch, Outcome, State, name};
use crate::cluster::{ApiError, Cluster, patiently, said};
use crate::context::say;

/// How often a request is made by one TaskRun, the first time included. Each but the last failed.
const ATTEMPTS: usize = 10;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Namespace of the run; so that of its requests.
    pub namespace: String,
    /// By it [`cleanup_workspace`](crate::cleanup_workspace) finds them.
    pub pipeline_run_uid: String,
    /// By it the batch is found.
    pub task_run_uid: String,
}

/// What a batch may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many requests may be open at once.
    pub open: usize,
    /// How long the answer to each is waited for.
    pub timeout: Duration,
}

/// Makes requests of one step.
#[derive(Clone, Debug)]
pub struct Client {
    cluster: Cluster,
    origin: Origin,
}

/// What came of making one.
enum Made {
    /// It is there: new, or of this TaskRun before and not failed.
    Open(Box<InternalRequest>),
    /// It never will be.
    Refused { name: String, why: String },
}

impl Client {
    pub fn new(cluster: Cluster, origin: Origin) -> Self {
        Self { cluster, origin }
    }

    /// Makes all requests and waits for none. Their names.
    pub async fn create_all(&self, requests: Vec<Request>) -> anyhow::Result<Vec<String>> {
        let mut names = Vec::new();
        for request in requests {
            match self.make(&request).await? {
                Made::Open(object) => names.push(object.name_any()),
                Made::Refused { name, why } => bail!("InternalRequest {name} cannot be made: {why}"),
            }
        }
        Ok(names)
    }

    /// Makes requests, a few at a time, and waits until each has an outcome. In the order in which they were given; what is given
    /// twice has one outcome.
    ///
    /// An error means that the API server could not be asked; that a request failed is an outcome.
    pub async fn run_all(&self, requests: Vec<Request>, limits: &Limits) -> anyhow::Result<Vec<Outcome>> {
        self.follow(Batch::new(requests, limits.open, limits.timeout)).await
    }

    /// Waits for the requests that the TaskRun of the origin has made.
    pub async fn wait(&self, timeout: Duration) -> anyhow::Result<Vec<Outcome>> {
        let api = self.cluster.api::<InternalRequest>(&self.origin.namespace);
        let of_group = ListParams::default().labels(&self.selector());
        let what = format!("list the InternalRequests of group {}", self.origin.task_run_uid);
        let found = patiently(&what, async || api.list(&of_group).await).await?;
        ensure!(!found.items.is_empty(), "{what}: there is none in namespace {}", self.origin.namespace);
        let now = Instant::now();
        let mut batch = Batch::new(Vec::new(), 1, timeout);
        for object in found.items {
            let name = object.name_any();
            batch.found(Request::of(&object.spec), name.clone(), now);
            batch.seen(&name, object.status.as_ref());
        }
        self.follow(batch).await
    }

    fn selector(&self) -> String {
        format!("{}={}", labels::GROUP_ID.as_str(), self.origin.task_run_uid)
    }

    async fn follow(&self, mut batch: Batch) -> anyhow::Result<Vec<Outcome>> {
        let api = self.cluster.api::<InternalRequest>(&self.origin.namespace);
        let events =
            watcher::watcher(api, watcher::Config::default().labels(&self.selector())).default_backoff();
        pin_mut!(events);
        // What was open when a list was asked for, and what of it the list has not had yet.
        let mut missing = BTreeSet::new();
        let mut complaint = String::new();
        loop {
            self.open(&mut batch).await?;
            if let Some(outcomes) = batch.outcomes() {
                return Ok(outcomes);
            }
            let deadline = batch.deadline().unwrap_or_else(Instant::now);
            let event = match tokio::time::timeout_at(deadline, events.next()).await {
                Err(_) => {
                    batch.expire(Instant::now());
                    continue;
                }
                Ok(None) => bail!("the watch of InternalRequests ended"),
                Ok(Some(event)) => event,
            };
            match event {
                Ok(Event::Apply(object)) => batch.seen(&object.name_any(), object.status.as_ref()),
                Ok(Event::Delete(object)) => batch.gone(&object.name_any()),
                Ok(Event::Init) => missing = batch.open_names(),
                Ok(Event::InitApply(object)) => {
                    missing.remove(&object.name_any());
                    batch.seen(&object.name_any(), object.status.as_ref());
                }
                Ok(Event::InitDone) => missing.iter().for_each(|name| batch.gone(name)),
                Err(error) => complain(&error, &mut complaint)?,
            }
        }
    }

    async fn open(&self, batch: &mut Batch) -> anyhow::Result<()> {
        while let Some((at, request)) = batch.next() {
            let request = request.clone();
            match self.make(&request).await? {
                Made::Refused { name, why } => batch.refused(at, name, why),
                Made::Open(object) => {
                    let name = object.name_any();
                    say(&format!("Waiting for InternalRequest {}/{name}", self.origin.namespace));
                    batch.opened(at, name.clone(), Instant::now());
                    // One that was there may be done already, and no event will tell.
                    batch.seen(&name, object.status.as_ref());
                }
            }
        }
        Ok(())
    }

    /// Makes a request, or finds that it was made by this TaskRun before.
    async fn make(&self, request: &Request) -> anyhow::Result<Made> {
        let api = self.cluster.api::<InternalRequest>(&self.origin.namespace);
        for attempt in 0..ATTEMPTS {
            let object = self.object(request, attempt);
            let name = object.name_any();
            let what = format!("make InternalRequest {}/{name}", self.origin.namespace);
            let there = match self.cluster.create(&self.origin.namespace, &object).await {
                Ok(made) => return Ok(Made::Open(Box::new(made))),
                Err(kube::Error::Api(status)) if status.is_already_exists() => {
                    patiently(&what, async || api.get_opt(&name).await).await?
                }
                Err(error) if is_permanent(&error) => {
                    return Ok(Made::Refused { name, why: said(&error) });
                }
                Err(error) => return Err(ApiError(error)).context(what),
            };
            // Gone in this moment: as good as failed.
            let Some(there) = there else { continue };
            if there.spec != object.spec
                || there.labels().get(labels::GROUP_ID.as_str()) != Some(&self.origin.task_run_uid)
            {
                let why =
                    "there is another InternalRequest of this name, which this step did not make".to_owned();
                return Ok(Made::Refused { name, why });
            }
            let has_failed = State::of(there.status.as_ref()).is_some_and(|state| state != State::Succeeded);
            if !has_failed && there.metadata.deletion_timestamp.is_none() {
                return Ok(Made::Open(Box::new(there)));
            }
        }
        let why = format!("it failed {ATTEMPTS} times for this TaskRun");
        Ok(Made::Refused { name: name(&self.origin.task_run_uid, request, ATTEMPTS - 1), why })
    }

    fn object(&self, request: &Request, attempt: usize) -> InternalRequest {
        let mut object =
            InternalRequest::new(&name(&self.origin.task_run_uid, request, attempt), request.spec());
        let origin = [
            (labels::PIPELINE_RUN_UID, &self.origin.pipeline_run_uid),
            (labels::GROUP_ID, &self.origin.task_run_uid),
        ];
        object.labels_mut().extend(origin.map(|(key, value)| (key.as_str().to_owned(), value.clone())));
        object
    }
}

/// Tells of what keeps the watch from working, once each. It is tried again, unless it will never work.
fn complain(error: &watcher::Error, last: &mut String) -> anyhow::Result<()> {
    let text = match error {
        watcher::Error::InitialListFailed(cause)
        | watcher::Error::WatchStartFailed(cause)
        | watcher::Error::WatchFailed(cause) => said(cause),
        other => fleet::redact(&other.to_string()),
    };
    let refused = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => {
            matches!(status.code, 401 | 403 | 404)
        }
        _ => false,
    };
    if refused {
        bail!("watch InternalRequests: {text}");
    }
    if text != *last {
        say(&format!("Still waiting: watch InternalRequests: {text}"));
        *last = text;
    }
    Ok(())
}
