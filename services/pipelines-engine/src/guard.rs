//! The guard of pods of runs: whoever is inside of a step can make it say anything, and what it says is signed (decision 0022).
//!
//! ```text
//! kubectl exec, attach, port-forward, proxy ─▶ API server ─▶ /pods-of-runs/refuse ─▶ whose pod? ─▶ of a run: refused
//!                        in a namespace where it is allowed ─▶ /pods-of-runs/mark ─▶ whose pod? ─▶ of a run: marked, then let in
//! ```
//! Such a request says nothing about the pod but its name, so the pod is looked up. What comes with the pod itself
//! (containers for debugging, other images) is judged by a policy in the API server, without this service:
//! `guard-policy.yaml` of the base. By the same policy only the engine makes pods that say they are of a run, and changes what
//! they say; that is what makes their labels and owners fit to decide by.

mod mark;
mod metrics;

use std::time::Duration;

use fleet::webhook::{Review, Verdict, Webhooks};
use fleet::{Clock, ObjectKey, Store};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt as _};
use pipelines_engine_api::labels;
use pipelines_engine_api::reasons::TamperedReason;
use serde_json::Value;
use tokio::time::timeout;

use self::mark::Marker;
pub use self::metrics::{Answer, Entries};

/// Path of the webhook that lets nobody into a pod of a run.
pub const REFUSING_PATH: &str = "/pods-of-runs/refuse";

/// Path of the webhook that marks a run before it lets somebody into its pod.
pub const MARKING_PATH: &str = "/pods-of-runs/mark";

/// Label of a namespace in whose pods of runs people are let in: `allowed`. Its administrator is the cluster's.
pub const LABEL: &str = "fleet.konflux-ci.dev/enter-runs";

/// How long finding out may take, and marking, so that the answer is there before the API server's patience ends (5 s).
const PATIENCE: Duration = Duration::from_secs(4);

/// What is done about somebody who wants to get into a pod of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Refuse,
    Mark,
}

/// Judges who wants to get into a pod. Cheap to clone.
#[derive(Clone)]
pub struct Guard {
    pods: Store<Pod>,
    client: Client,
    marker: Marker,
    entries: Entries,
}

/// Whose a pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Owner {
    /// Of the TaskRun of this name.
    Run(String),
    Nobody,
    /// There is no such pod.
    Missing,
}

impl Guard {
    /// `pods` are those of runs, as far as this process has heard of them.
    pub fn new(pods: Store<Pod>, client: Client, clock: Clock, entries: Entries) -> Self {
        Self { pods, marker: Marker::new(client.clone(), clock), client, entries }
    }

    /// Adds the guard to what is served.
    pub fn add_to(self, webhooks: Webhooks) -> Webhooks {
        let marking = self.clone();
        webhooks
            .validate_async(REFUSING_PATH, move |review: std::sync::Arc<Review<Value>>| {
                let guard = self.clone();
                async move { guard.judge(&review, Rule::Refuse).await }
            })
            .validate_async(MARKING_PATH, move |review: std::sync::Arc<Review<Value>>| {
                let guard = marking.clone();
                async move { guard.judge(&review, Rule::Mark).await }
            })
    }

    async fn judge(&self, review: &Review<Value>, rule: Rule) -> Verdict {
        let pod = ObjectKey::new(review.namespace.as_deref().unwrap_or_default(), &review.name);
        let way = review.sub_resource.as_deref().unwrap_or_default();
        let (answer, verdict) = match timeout(PATIENCE, self.decide(review, &pod, way, rule)).await {
            Ok(decided) => decided,
            Err(_) => (Answer::Unknown, unsure(&pod, "the API server did not say in time")),
        };
        self.entries.count(way, answer);
        let user = review.user.username.as_deref().unwrap_or_default();
        if answer == Answer::NotOfRun {
            tracing::debug!(
                namespace = pod.namespace,
                pod = pod.name,
                user,
                way,
                "Let into a pod that is of no run"
            );
        } else {
            tracing::warn!(
                namespace = pod.namespace,
                pod = pod.name,
                user,
                way,
                answer = <&str>::from(answer),
                "Somebody wanted to get into a pod of a run"
            );
        }
        verdict
    }

    async fn decide(
        &self,
        review: &Review<Value>,
        pod: &ObjectKey,
        way: &str,
        rule: Rule,
    ) -> (Answer, Verdict) {
        let owner = match self.owner(pod).await {
            Ok(owner) => owner,
            Err(error) => return (Answer::Unknown, unsure(pod, &error.to_string())),
        };
        let run = match owner {
            Owner::Nobody => return (Answer::NotOfRun, Verdict::Allow),
            // One that appears a moment later might be of a run.
            Owner::Missing => {
                return (
                    Answer::Missing,
                    Verdict::deny(format!("there is no pod {:?} in namespace {:?}", pod.name, pod.namespace)),
                );
            }
            Owner::Run(run) => run,
        };
        match rule {
            Rule::Refuse => (Answer::Refused, Verdict::deny(refusal(pod, &run))),
            Rule::Mark if review.dry_run => (Answer::Marked, Verdict::Allow),
            Rule::Mark => {
                let user = review.user.username.as_deref().unwrap_or_default();
                let message = format!("{user:?} was let into pod {:?} ({way})", pod.name);
                let run = ObjectKey::new(&pod.namespace, &run);
                match self.marker.mark(&run, reason(way), &message).await {
                    Ok(()) => (Answer::Marked, Verdict::AllowWithWarnings(vec![warning(&run)])),
                    Err(error) => (Answer::Unknown, unsure(pod, &error.to_string())),
                }
            }
        }
    }

    /// Asks the API server about what this process has not heard of: another replica may have made it just now.
    async fn owner(&self, key: &ObjectKey) -> Result<Owner, kube::Error> {
        if let Some(pod) = self.pods.get(key) {
            return Ok(owner_of(&pod));
        }
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        Ok(pods.get_opt(&key.name).await?.map_or(Owner::Missing, |pod| owner_of(&pod)))
    }
}

/// By its owner, or by its label if it has none any more.
fn owner_of(pod: &Pod) -> Owner {
    let is_run = |kind: &str, version: &str| kind == "TaskRun" && version.starts_with("tekton.dev/");
    let owners = pod.owner_references().iter();
    let owner = owners
        .filter(|owner| is_run(&owner.kind, &owner.api_version))
        .map(|owner| owner.name.as_str())
        .next();
    owner
        .or_else(|| labels::TASK_RUN.of(&pod.metadata.labels))
        .map_or(Owner::Nobody, |run| Owner::Run(run.to_owned()))
}

fn reason(way: &str) -> TamperedReason {
    match way {
        "attach" => TamperedReason::Attach,
        "portforward" => TamperedReason::PortForward,
        "proxy" => TamperedReason::Proxy,
        _ => TamperedReason::Exec,
    }
}

fn refusal(pod: &ObjectKey, run: &str) -> String {
    format!(
        "pod {:?} is of TaskRun {run:?}, and nobody is let into pods of runs: who is inside can change what the run reports. \
         Read its logs instead, or start the step's image in a pod of your own. Whoever administers the cluster can allow it \
         in namespace {:?} by the label {LABEL}=allowed; runs that somebody was let into are marked as tampered with",
        pod.name, pod.namespace
    )
}

fn warning(run: &ObjectKey) -> String {
    format!("TaskRun {:?} is marked as tampered with now: what it reports will not be trusted", run.name)
}

fn unsure(pod: &ObjectKey, why: &str) -> Verdict {
    Verdict::deny(format!(
        "whether pod {:?} is of a run could not be found out or recorded, so nobody is let in: {}; try again",
        pod.name,
        fleet::redact(why)
    ))
}

#[cfg(test)]
mod tests;
