//! Stores the log of a run that has ended (specification, section 4.3).
//!
//! ```text
//! TaskRun:      pods ─▶ [step] line ────────┐
//!                                           ├─▶ upload, 32 KiB at a time ─▶ UpdateLog
//! PipelineRun:  stored logs of its TaskRuns ┘        └─ broken off: reset, so nothing incomplete is stored
//!               ─▶ [task : step] line
//! ```
//! A pod is read once: the log of a PipelineRun is made of what is stored already. Nothing is ever held as a whole.

mod lines;
mod pods;
mod tasks;
mod upload;

use std::time::Duration;

use kube::{Client, ResourceExt as _};
use results_api::log::{Log as Document, Resource};
use results_api::types;
use results_api::v1alpha2::{Any, CreateRecordRequest, GetRecordRequest, Record};
use tonic::Code;
use uuid::Uuid;

use crate::facts::Attempt;
use crate::memory::LogOutcome;
use crate::names::Place;
use crate::remote::{self, Remote};
use crate::run::{Kind, Run};

pub(crate) use tasks::Task;
use upload::Sink;

/// Why a log is not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Remote(#[from] remote::Error),
    #[error("read the log of container {container} of pod {pod}")]
    Read { pod: String, container: String, source: kube::Error },
    #[error("the log of container {container} of pod {pod} broke off")]
    BrokeOff { pod: String, container: String, source: std::io::Error },
    #[error("there was no progress for {} seconds", .0.as_secs())]
    Stalled(Duration),
    /// The API has ended the upload; its answer says why.
    #[error("the upload was refused")]
    Refused,
}

impl fleet::Classed for Error {
    fn class(&self) -> fleet::Class {
        fleet::Class::Retry
    }

    fn label(&self) -> &'static str {
        "LogNotStored"
    }
}

/// Where a log comes from.
pub(crate) enum Source {
    Pods { client: Client, namespace: String, attempts: Vec<Attempt> },
    Tasks { remote: Remote, tasks: Vec<Task> },
}

impl Source {
    /// Writes all of it, and answers what is missing of it.
    async fn write(&self, sink: Sink) -> Result<Option<String>, Error> {
        match self {
            Self::Pods { client, namespace, attempts } => {
                pods::write(client, namespace, attempts, sink).await
            }
            Self::Tasks { remote, tasks } => tasks::write(remote, tasks, sink).await,
        }
    }
}

/// Stores the log of a run under this name, unless it is stored. `stall` is how long nothing may happen.
pub(crate) async fn store<K: Kind>(
    remote: &Remote,
    place: &Place,
    run: &Run<K>,
    log: Uuid,
    source: &Source,
    stall: Duration,
) -> Result<LogOutcome, Error> {
    let name = Some(place.log(log));
    if is_stored(remote, place, run, log).await? {
        return Ok(LogOutcome { name, missing: None });
    }
    let (bytes, missing) = upload::upload(remote, place.log(log), source, stall).await?;
    let missing = missing.or_else(|| (bytes == 0).then(|| "its steps printed nothing".to_owned()));
    Ok(LogOutcome { name, missing })
}

/// Whether an earlier try has stored it. Makes the Record that tells about it.
async fn is_stored<K: Kind>(
    remote: &Remote,
    place: &Place,
    run: &Run<K>,
    log: Uuid,
) -> Result<bool, remote::Error> {
    let resource = Resource {
        kind: K::kind(&()).into_owned(),
        namespace: place.parent.clone(),
        name: run.name_any(),
        uid: run.uid_text().to_owned(),
        ..Resource::default()
    };
    let document = Document::new(&log.to_string(), resource);
    let data = Any { r#type: types::LOG_V1ALPHA2.to_owned(), value: document.to_json().into() };
    let name = place.log_record(log);
    let record = Record { name: name.clone(), data: Some(data), ..Record::default() };
    let request = CreateRecordRequest { parent: place.result.clone(), record: Some(record) };
    let failed = |verb: &str, status| remote::Error::of(format!("{verb} Record {name}"), status);
    match remote.results().create_record(request).await {
        Ok(_) => return Ok(false),
        Err(status) if status.code() == Code::AlreadyExists => {}
        Err(status) => return Err(failed("create", status)),
    }
    let record = remote.results().get_record(GetRecordRequest { name: name.clone() }).await;
    let record = record.map_err(|status| failed("read", status))?.into_inner();
    let value = record.data.map(|data| data.value).unwrap_or_default();
    Ok(Document::from_json(&value).is_ok_and(|document| document.status.size > 0))
}
