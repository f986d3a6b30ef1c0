//! Why pods do not run, in words for somebody who sees the message first thing in the morning.
use std::fmt::{self, Write as _};

use anyhow::anyhow;
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Node, Pod};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, LogParams},
};

use super::Object;

/// Lines of a container's log that an error shows.
const LOG_LINES: i64 = 20;

/// Label by which a Deployment tells the pods of its revisions apart.
const REVISION: &str = "pod-template-hash";

/// What is wrong with a pod, and what to do about it. Prints on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub pod: String,
    pub reason: String,
    pub message: String,
}

/// States that seldom mend themselves, with what to do.
const ADVICE: [(&str, &str); 9] = [
    ("ErrImagePull", PULL),
    ("ImagePullBackOff", PULL),
    ("InvalidImageName", "correct the overlay's `images:`"),
    ("CrashLoopBackOff", CRASH),
    ("Error", CRASH),
    ("OOMKilled", "raise the memory limit in the overlay"),
    ("CreateContainerConfigError", "make the Secret or ConfigMap that the message names"),
    ("RunContainerError", "the message says what the container runtime refused"),
    ("Unschedulable", "free or add a node, or lower the requests in the overlay"),
];
const PULL: &str =
    "push the image (`cargo xtask images`), and check that the nodes reach and trust the registry";
const CRASH: &str =
    "the log below says why the program ended; correct its flags or environment in the overlay";

/// The first thing that keeps a pod from running, if it is more than time.
pub fn problem(pod: &Pod) -> Option<Problem> {
    let status = pod.status.as_ref()?;
    let found = |reason: Option<&str>, message: Option<&str>| Problem {
        pod: pod.name_any(),
        reason: reason.unwrap_or("Unknown").to_owned(),
        message: message.unwrap_or_default().to_owned(),
    };
    let unschedulable = status.conditions.iter().flatten().find(|condition| {
        condition.type_ == "PodScheduled" && condition.reason.as_deref() == Some("Unschedulable")
    });
    if let Some(condition) = unschedulable {
        return Some(found(condition.reason.as_deref(), condition.message.as_deref()));
    }
    containers(pod).find_map(|container| {
        let state = container.state.as_ref()?;
        if let Some(waiting) = &state.waiting {
            let is_normal =
                matches!(waiting.reason.as_deref(), None | Some("ContainerCreating" | "PodInitializing"));
            return (!is_normal).then(|| found(waiting.reason.as_deref(), waiting.message.as_deref()));
        }
        let ended = state.terminated.as_ref().filter(|ended| ended.exit_code != 0)?;
        Some(found(ended.reason.as_deref(), ended.message.as_deref()))
    })
}

/// Pods of the revision that came last: what keeps an older one from running is history.
pub fn newest(pods: &[Pod]) -> impl Iterator<Item = &Pod> {
    let revision = |pod: &Pod| pod.labels().get(REVISION).cloned();
    let last = pods.iter().max_by_key(|pod| pod.creation_timestamp()).and_then(revision);
    pods.iter().filter(move |pod| revision(pod) == last)
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|status| {
        status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten())
    })
}

/// The error for a workload that does not come up: the reason, its pods with events and log, and what to do.
pub async fn failure<T>(
    client: &Client,
    object: &Object,
    reason: &str,
    pods: &Api<Pod>,
    selector: &ListParams,
) -> anyhow::Result<T> {
    let mut text = format!("{object} does not come up: {reason}");
    match pods.list(selector).await {
        Ok(found) if found.items.is_empty() => text.push_str("\nIt has no pods."),
        Ok(found) => {
            for pod in newest(&found.items).filter(|pod| !is_ready(pod)) {
                text.push_str(&described(client, pods, pod).await);
            }
        }
        Err(error) => {
            let _ = write!(text, "\nIts pods cannot be listed: {error}");
        }
    }
    text.push_str(&sick_nodes(client).await);
    Err(anyhow!(text))
}

/// Nodes that take no pods, which no pod says of itself. Nothing when they cannot be listed.
async fn sick_nodes(client: &Client) -> String {
    let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await;
    let mut text = String::new();
    for node in nodes.map(|list| list.items).unwrap_or_default() {
        let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        for condition in conditions.filter(|found| found.type_ == "Ready" && found.status != "True") {
            let _ = write!(
                text,
                "\nNode {} is not ready: {}. `cargo xtask status` says more of the embedded cluster's.",
                node.name_any(),
                condition.message.as_deref().unwrap_or_default()
            );
        }
    }
    text
}

async fn described(client: &Client, pods: &Api<Pod>, pod: &Pod) -> String {
    let name = pod.name_any();
    let mut text = format!("\nPod {name}:");
    let problem = problem(pod);
    if let Some(problem) = &problem {
        let _ = write!(text, " {}: {}", problem.reason, problem.message);
        if let Some((_, advice)) = ADVICE.iter().find(|(reason, _)| *reason == problem.reason) {
            let _ = write!(text, "\n  What to do: {advice}.");
        }
    }
    let said = problem.map(|problem| problem.message).unwrap_or_default();
    for event in events(client, pod).await.iter().filter(|event| said.is_empty() || !event.contains(&said)) {
        let _ = write!(text, "\n  {event}");
    }
    // The container of now may have said nothing yet; the one before it ended for a reason.
    let restarted = containers(pod).any(|container| container.restart_count > 0);
    let parameters = LogParams { tail_lines: Some(LOG_LINES), previous: restarted, ..LogParams::default() };
    // A pod that never started has no log, which is no news.
    if let Ok(log) = pods.logs(&name, &parameters).await {
        for line in log.lines() {
            let _ = write!(text, "\n  | {line}");
        }
    }
    text
}

/// Warnings about a pod, oldest first. None when they cannot be had: they are an addition.
async fn events(client: &Client, pod: &Pod) -> Vec<String> {
    let events: Api<Event> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let about = ListParams::default().fields(&format!("involvedObject.name={},type=Warning", pod.name_any()));
    let found = events.list(&about).await.map(|list| list.items).unwrap_or_default();
    let line =
        |event: Event| format!("{}: {}", event.reason.unwrap_or_default(), event.message.unwrap_or_default());
    found.into_iter().map(line).collect()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pod {}: {}", self.pod, self.reason)?;
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).unwrap()
    }

    fn container(state: &serde_json::Value) -> Pod {
        let status = json!({"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        pod(&json!({"containerStatuses": [status]}))
    }

    fn reason(pod: &Pod) -> Option<String> {
        problem(pod).map(|problem| problem.reason)
    }

    #[test]
    fn only_the_last_revision_counts() {
        let pod = |name: &str, revision: &str, created: &str| -> Pod {
            let labels = json!({REVISION: revision});
            let metadata = json!({"name": name, "labels": labels, "creationTimestamp": created});
            serde_json::from_value(json!({"metadata": metadata})).unwrap()
        };
        let pods = [
            pod("a", "new", "2024-03-01T10:00:00Z"),
            pod("b", "old", "2024-03-01T09:00:00Z"),
            pod("c", "new", "2024-03-01T10:00:01Z"),
        ];
        assert_eq!(newest(&pods).map(kube::ResourceExt::name_any).collect::<Vec<_>>(), ["a", "c"]);
    }

    #[test]
    fn starting_is_no_problem() {
        assert_eq!(reason(&pod(&json!({}))), None);
        assert_eq!(reason(&container(&json!({"waiting": {"reason": "ContainerCreating"}}))), None);
        assert_eq!(reason(&container(&json!({"running": {}}))), None);
    }

    #[test]
    fn what_seldom_mends_itself_is_one() {
        let pull = json!({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}});
        assert_eq!(problem(&container(&pull)).unwrap().to_string(), "pod p: ImagePullBackOff: not found");
        let ended = json!({"terminated": {"exitCode": 2, "reason": "Error"}});
        assert_eq!(reason(&container(&ended)).as_deref(), Some("Error"));
        let condition =
            json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "cpu"});
        assert_eq!(reason(&pod(&json!({"conditions": [condition]}))).as_deref(), Some("Unschedulable"));
    }
}
