//! What came to the engine, for assertions.

use std::ops::Deref;

use anyhow::{Context as _, bail};
use kube::api::ResourceExt as _;
use kube::core::DynamicObject;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;

use super::Runs;
use crate::wait::DEADLINE;

/// A run as it was when it came. Dereferences to the object.
#[derive(Clone, Debug)]
pub struct SeenRun(DynamicObject);

impl SeenRun {
    /// The value of one of its params: a string, a list or an object.
    pub fn param(&self, name: &str) -> Option<&Value> {
        let params = self.0.data["spec"]["params"].as_array()?;
        params.iter().find(|param| param["name"] == name)?.get("value")
    }
}

impl Deref for SeenRun {
    type Target = DynamicObject;

    fn deref(&self) -> &DynamicObject {
        &self.0
    }
}

/// All runs that came, each once.
#[derive(Clone, Debug)]
pub(super) struct Record(watch::Sender<Vec<SeenRun>>);

impl Default for Record {
    fn default() -> Self {
        Self(watch::Sender::new(Vec::new()))
    }
}

impl Record {
    pub(super) fn note(&self, run: &DynamicObject) {
        self.0.send_if_modified(|all| {
            let is_new = !all.iter().any(|seen| seen.uid() == run.uid());
            if is_new {
                all.push(SeenRun(run.clone()));
            }
            is_new
        });
    }

    pub(super) fn all(&self) -> Vec<SeenRun> {
        self.0.borrow().clone()
    }

    pub(super) async fn first(&self, runs: &Runs) -> anyhow::Result<SeenRun> {
        let mut all = self.0.subscribe();
        let find = |all: &Vec<SeenRun>| all.iter().find(|run| runs.holds(run)).cloned();
        let Ok(found) = timeout(DEADLINE, all.wait_for(|all| find(all).is_some())).await else {
            let names: Vec<String> = self.all().iter().map(|run| run.name_any()).collect();
            bail!("waited {DEADLINE:?} in vain for a PipelineRun; those that came: {names:?}");
        };
        find(&*found?).context("the record only grows")
    }
}
