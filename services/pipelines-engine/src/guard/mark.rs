//! Marks a run in its status, which tenants cannot write.

use fleet::{Clock, ObjectKey};
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use pipelines_engine_api::reasons::TamperedReason;
use pipelines_engine_api::status::tampered;
use pipelines_engine_api::{RunCondition, TaskRun};
use serde_json::{Value, json};

use crate::condition;
use crate::live::writes;

/// A run that could not be marked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("TaskRun {run} belongs to another engine ({manager}), which does not mark runs")]
    Foreign { run: ObjectKey, manager: String },
    #[error("mark TaskRun {run} as tampered with: {source}")]
    Write { run: ObjectKey, source: kube::Error },
}

/// Writes the mark. Any replica may: it is one condition, added to what is there, and never taken away.
#[derive(Clone)]
pub(super) struct Marker {
    client: Client,
    clock: Clock,
}

impl Marker {
    pub(super) fn new(client: Client, clock: Clock) -> Self {
        Self { client, clock }
    }

    /// Returns when the mark is stored. A run that is gone needs none: nothing is reported of it any more.
    pub(super) async fn mark(
        &self,
        run: &ObjectKey,
        reason: TamperedReason,
        message: &str,
    ) -> Result<(), Error> {
        let runs: Api<TaskRun> = Api::namespaced(self.client.clone(), &run.namespace);
        let failed = |source| Error::Write { run: run.clone(), source };
        // The engine writes the status of a run that runs, too; whoever calls has an end to this.
        loop {
            let Some(found) = runs.get_opt(&run.name).await.map_err(failed)? else { return Ok(()) };
            if !writes::is_ours(found.spec.managed_by.as_deref()) {
                let manager = found.spec.managed_by.unwrap_or_default();
                return Err(Error::Foreign { run: run.clone(), manager });
            }
            let Some(patch) = patch(&found, reason, message, self.clock.now()) else { return Ok(()) };
            match runs.patch_status(&run.name, &PatchParams::default(), &Patch::Merge(patch)).await {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

/// What to merge into a run that has no mark yet, if it is still the version that was read.
fn patch(run: &TaskRun, reason: TamperedReason, message: &str, now: Timestamp) -> Option<Value> {
    let mut conditions: Vec<RunCondition> =
        run.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    if tampered(&conditions).is_some() {
        return None;
    }
    condition::mark_tampered(&mut conditions, reason, message, now);
    Some(json!({
        "metadata": {"uid": run.uid(), "resourceVersion": run.resource_version()},
        "status": {"conditions": conditions},
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_added_once_to_what_was_read() {
        let mut run: TaskRun = serde_json::from_value(json!({
            "metadata": {"name": "r", "uid": "u", "resourceVersion": "7"}, "spec": {},
            "status": {"conditions": [{"type": "Succeeded", "status": "Unknown", "reason": "Running"}]},
        }))
        .unwrap();
        let patch = |run: &TaskRun| patch(run, TamperedReason::Exec, "m", Timestamp::UNIX_EPOCH);
        let merged = patch(&run).unwrap();
        assert_eq!(merged["metadata"], json!({"uid": "u", "resourceVersion": "7"}));
        let types: Vec<_> =
            merged["status"]["conditions"].as_array().unwrap().iter().map(|c| c["type"].clone()).collect();
        assert_eq!(types, ["Succeeded", "Tampered"]);
        run.status = serde_json::from_value(merged["status"].clone()).unwrap();
        assert_eq!(patch(&run), None);
    }
}
