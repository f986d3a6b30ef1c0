//! Where things are in a pod. The engine mounts them; all are known to users, and part of the API.

use alloc::format;
use alloc::string::String;

/// The places below `root`, which is empty in a pod. Tests put a folder of theirs in front.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    pub root: String,
}

impl Places {
    /// Files that are made of Secrets, of this step alone.
    pub(crate) fn credentials(&self) -> String {
        format!("{}/tekton/creds", self.root)
    }

    /// Value `key` of a Secret, as it is mounted.
    pub(crate) fn secret(&self, secret: &str, key: &str) -> String {
        format!("{}/tekton/creds-secrets/{secret}/{key}", self.root)
    }

    /// Where all steps find what step `name` (a container's name, or a number from 0) leaves.
    pub(crate) fn step(&self, name: &str) -> String {
        format!("{}/tekton/steps/{name}", self.root)
    }

    /// Folder of the step at `index`: its `out` and `status`.
    pub(crate) fn run(&self, index: usize) -> String {
        format!("{}/tekton/run/{index}", self.root)
    }

    /// Results of the Task.
    pub(crate) fn results(&self) -> String {
        format!("{}/tekton/results", self.root)
    }

    /// What the engine tells a running pod. Not mounted in every step.
    pub(crate) fn downward(&self) -> String {
        format!("{}/tekton/downward", self.root)
    }

    /// Is not empty when the run is cancelled and its pod kept.
    pub(crate) fn cancel(&self) -> String {
        format!("{}/cancel", self.downward())
    }
}
