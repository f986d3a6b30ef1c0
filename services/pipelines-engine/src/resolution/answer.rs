//! What a resolver has found, or why it has not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pipelines_engine_api::RefSource;

use crate::background::Looked;

/// Bytes of what is resolved: as base64 it has to fit into an object, of which etcd takes 1.5 MB.
pub(super) const MAX_DATA: u64 = 1024 * 1024;

/// `application/x-yaml`, which all resolvers deliver.
pub(super) const YAML: &str = "application/x-yaml";

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// YAML of the object.
    pub data: Vec<u8>,
    /// Facts about it, for the request's status.
    pub annotations: BTreeMap<String, String>,
    pub source: RefSource,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Found(Arc<Resource>),
    /// It cannot be had, and trying again would not help.
    Failed(String),
    /// It cannot be had now.
    NotNow(String),
}

/// Why a look-up has found nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Permanent(String),
    #[error("{why}")]
    Transient { why: String, after: Duration },
}

impl Failure {
    pub(super) fn transient(why: impl Into<String>) -> Self {
        Self::Transient { why: why.into(), after: Duration::ZERO }
    }
}

/// How long to wait until the time that a server named.
fn until(at: Option<jiff::Timestamp>) -> Duration {
    let now = fleet::Clock::system().now();
    at.and_then(|at| Duration::try_from(at.duration_since(now)).ok()).unwrap_or_default()
}

impl From<registry::Error> for Failure {
    fn from(error: registry::Error) -> Self {
        if error.is_transient() {
            Self::Transient { why: error.to_string(), after: until(error.retry_at()) }
        } else {
            Self::Permanent(error.to_string())
        }
    }
}

impl From<forge::Error> for Failure {
    fn from(error: forge::Error) -> Self {
        if error.is_transient() {
            Self::Transient { why: error.to_string(), after: until(error.retry_at()) }
        } else {
            Self::Permanent(error.to_string())
        }
    }
}

/// What is remembered of a look-up, `fresh` for others if it has found something.
pub(super) fn looked(found: Result<Resource, Failure>, fresh: Duration) -> Looked<Answer> {
    match found {
        Ok(resource) => Looked::Known { answer: Answer::Found(Arc::new(resource)), fresh },
        Err(Failure::Permanent(why)) => Looked::Known { answer: Answer::Failed(why), fresh: Duration::ZERO },
        Err(Failure::Transient { why, after }) => Looked::NotNow { answer: Answer::NotNow(why), after },
    }
}
