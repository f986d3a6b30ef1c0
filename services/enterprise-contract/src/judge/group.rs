//! A source of a policy, ready: its rules and data, read and compiled once, and which of them count.

use std::sync::Arc;

use enterprise_contract_api::EnterpriseContractPolicySpec;
use enterprise_contract_api::policy::Source;
use futures::TryStreamExt as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::Error;
use crate::policy::Expected;
use crate::rego::{Host, PackageOutcome, Policy};
use crate::select::Selection;
use crate::sources::{Resolved, Sources};

/// Sources that are fetched and compiled at once.
const TOGETHER: usize = 2;

pub(super) struct Group {
    pub(super) policy: Policy,
    pub(super) selection: Selection,
    /// What its URLs led to.
    pub(super) urls: Vec<Resolved>,
}

/// All sources of a policy. None is an error: nothing would be checked.
pub(super) async fn groups(
    spec: &EnterpriseContractPolicySpec,
    sources: &Sources,
) -> Result<Vec<Group>, Error> {
    if spec.sources.is_empty() {
        return Err(Error::NoSources);
    }
    let prepared = spec.sources.iter().enumerate().map(|(index, source)| {
        let selection = Selection::new(source, spec.configuration.as_ref());
        Ok(Box::pin(group(index, source, selection, sources)))
    });
    futures::stream::iter(prepared).try_buffered(TOGETHER).try_collect().await
}

async fn group(
    index: usize,
    source: &Source,
    selection: Selection,
    sources: &Sources,
) -> Result<Group, Error> {
    let name = source.name.clone().unwrap_or_else(|| format!("sources[{index}]"));
    let fetched = Box::pin(sources.group(source)).await;
    let fetched = fetched.map_err(|error| Error::Source { name: name.clone(), source: error })?;
    let (modules, data) = (fetched.modules, fetched.data);
    let compiled = crate::rego::on_large_stack(move || Policy::compile(modules, data)).await;
    let policy = compiled
        .map_err(|error| Error::Internal(error.to_string()))?
        .map_err(|error| Error::Rules { name, source: error })?;
    Ok(Group { policy, selection, urls: fetched.urls })
}

/// What rules find in `data.config`: the effective time, in nanoseconds since 1970, and whose signatures count.
pub(super) fn overlay(time: Timestamp, expected: &Expected) -> Value {
    let nanoseconds = i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX);
    json!({"policy": {"when_ns": nanoseconds}, "default_sigstore_opts": expected})
}

/// The spec as it was used: each URL for exactly what was read.
pub(super) fn pinned(spec: &EnterpriseContractPolicySpec, groups: &[Group]) -> Value {
    let mut spec = spec.clone();
    for (source, group) in spec.sources.iter_mut().zip(groups) {
        for url in source.policy.iter_mut().chain(&mut source.data) {
            if let Some(found) = group.urls.iter().find(|found| found.url == *url) {
                url.clone_from(&found.pinned);
            }
        }
    }
    json!(spec)
}

/// Asks rules, as many at once as there are processors: more would only take more memory.
pub(super) struct Asking(Arc<Semaphore>);

impl Asking {
    pub(super) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Self(Arc::new(Semaphore::new(processors)))
    }

    /// What rules say of an input; an error is for people.
    pub(super) async fn evaluate(
        &self,
        policy: &Policy,
        input: Arc<Value>,
        overlay: Value,
        host: Arc<dyn Host>,
    ) -> Result<Vec<PackageOutcome>, String> {
        let permit = Arc::clone(&self.0).acquire_owned().await.map_err(|error| error.to_string())?;
        let policy = policy.clone();
        let evaluated = crate::rego::on_large_stack(move || {
            let outcome = policy.evaluate(&input, &overlay, &host);
            drop(permit);
            outcome
        });
        evaluated.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}
