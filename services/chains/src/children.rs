//! The TaskRuns of PipelineRuns that are being signed, whole.
//!
//! The store keeps a skeleton of a TaskRun once that is signed, and the provenance of its PipelineRun needs all of it. So it is
//! handed over here when it is signed, and dropped with its PipelineRun. What is not here, as after a restart, is read.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use fleet::ObjectKey;
use kube::{Api, Client, Resource as _, ResourceExt as _};
use parking_lot::Mutex;
use pipelines_engine_api::{PipelineRun, TaskRun};

/// PipelineRuns whose TaskRuns are kept at most; then the oldest make room.
const REMEMBERED: usize = 500;

pub(crate) struct TaskRuns {
    client: Client,
    /// By PipelineRun.
    kept: Mutex<HashMap<ObjectKey, Kept>>,
}

/// The TaskRuns of one PipelineRun.
struct Kept {
    /// Since the first of them.
    since: Instant,
    by_name: HashMap<String, Arc<TaskRun>>,
}

/// The PipelineRun that controls a TaskRun.
pub(crate) fn owner(run: &TaskRun) -> Option<ObjectKey> {
    let owner = run.owner_references().iter().find(|owner| owner.controller == Some(true))?;
    (owner.kind == PipelineRun::kind(&())).then(|| ObjectKey::of(run).sibling(&owner.name))
}

impl TaskRuns {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, kept: Mutex::default() }
    }

    /// Keeps a TaskRun that is about to be signed for its PipelineRun, if it has one.
    pub(crate) fn keep(&self, run: &Arc<TaskRun>) {
        let Some(owner) = owner(run) else { return };
        let mut kept = self.kept.lock();
        if kept.len() >= REMEMBERED && !kept.contains_key(&owner) {
            let oldest = kept.iter().min_by_key(|(_, kept)| kept.since).map(|(owner, _)| owner.clone());
            if let Some(oldest) = oldest {
                kept.remove(&oldest);
            }
        }
        let of_owner =
            kept.entry(owner).or_insert_with(|| Kept { since: Instant::now(), by_name: HashMap::new() });
        of_owner.by_name.insert(run.name_any(), Arc::clone(run));
    }

    /// The PipelineRun is signed, or gone.
    pub(crate) fn forget(&self, owner: &ObjectKey) {
        self.kept.lock().remove(owner);
    }

    /// A TaskRun as a whole; `skeleton` is what the store has of it. `None` if it is gone.
    pub(crate) async fn whole(
        &self,
        owner: &ObjectKey,
        skeleton: &TaskRun,
    ) -> Result<Option<Arc<TaskRun>>, kube::Error> {
        let name = skeleton.name_any();
        let kept = self.kept.lock().get(owner).and_then(|runs| runs.by_name.get(&name)).cloned();
        if let Some(kept) = kept.filter(|kept| kept.uid() == skeleton.uid()) {
            return Ok(Some(kept));
        }
        self.read(&owner.sibling(&name)).await.map(|run| run.map(Arc::new))
    }

    /// As the API server has it.
    pub(crate) async fn read(&self, key: &ObjectKey) -> Result<Option<TaskRun>, kube::Error> {
        let api: Api<TaskRun> = Api::namespaced(self.client.clone(), &key.namespace);
        api.get_opt(&key.name).await
    }
}
