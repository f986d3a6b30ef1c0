//! A stand-in for the scheduler and the kubelet: plays pods to the ends that a test wants, without a node.
//!
//! ```text
//! Pending ─▶ bound ─▶ ContainerCreating ─▶ init containers, one by one ─▶ Running ─▶ Succeeded, Failed
//! ```
//! ```no_run
//! # async fn test(plane: &testkit::ControlPlane, namespace: &str) -> anyhow::Result<()> {
//! use testkit::kubelet::{Container, PlayedKubelet, PodScript, Pods};
//!
//! let kubelet = PlayedKubelet::start(plane.admin(), namespace).await?;
//! kubelet.play(
//!     Pods::labelled("tekton.dev/pipelineTask", "test"),
//!     PodScript::new().container("step-unit", Container::exits(1).message("3 tests failed")),
//! );
//! # Ok(())
//! # }
//! ```
//! Containers that no script names succeed at once, without a message. Each state on the way is written to the API, so
//! a service meets all of them, as it would from a real kubelet.

mod conditions;
mod containers;
mod next;
mod script;

use k8s_openapi::api::core::v1::{Binding, ObjectReference, Pod};
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions, ResourceExt as _};
use kube::core::{ObjectMeta, Status};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::json;

pub use self::script::{Container, PodScript};
use crate::played::{Choice, Part, Scripts, Stage, Store};

/// Which pods a script is for.
pub type Pods = Choice<Pod>;

/// Plays the pods of one namespace until it is dropped.
#[derive(Debug)]
pub struct PlayedKubelet {
    node: String,
    scripts: Scripts<Pod, PodScript>,
    stage: Stage,
}

impl PlayedKubelet {
    /// Starts on the pods that exist and those that come.
    pub async fn start(client: Client, namespace: &str) -> anyhow::Result<Self> {
        let node = format!("played-{namespace}");
        let scripts = Scripts::new(PodScript::new());
        let pods = Api::<Pod>::namespaced(client, namespace);
        let events = watcher(pods.clone(), watcher::Config::default()).default_backoff();
        let part = Kubelet {
            node: node.clone(),
            pods,
            scripts: scripts.clone(),
            store: Store::default(),
            clock: fleet::Clock::system(),
        };
        let who = format!("played kubelet of {namespace}");
        let stage = Stage::open(who, part, events, scripts.changed()).await?;
        Ok(Self { node, scripts, stage })
    }

    /// Plays `script` for these pods from now on, also those that run already, instead of what was said before.
    ///
    /// Say it before a pod is made, or the pod may be over. Say something else to let go of one that is held.
    pub fn play(&self, pods: Pods, script: PodScript) {
        self.scripts.add(pods, script);
    }

    /// The name of the node that pods are bound to. There is no object Node: a test whose service reads it makes one.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Stops after the write in hand. Another one that is started goes on from there.
    pub async fn stop(self) {
        self.stage.close().await;
    }
}

struct Kubelet {
    node: String,
    pods: Api<Pod>,
    scripts: Scripts<Pod, PodScript>,
    store: Store<Pod>,
    clock: fleet::Clock,
}

impl Part for Kubelet {
    type Event = Event<Pod>;

    fn note(&mut self, event: Event<Pod>) -> Option<String> {
        self.store.note(event, |pod| Some(pod.name_any()))
    }

    fn is_ready(&self) -> bool {
        self.store.is_complete()
    }

    fn names(&self) -> Vec<String> {
        self.store.names()
    }

    async fn act(&mut self, name: &str) -> kube::Result<()> {
        let Some(pod) = self.store.get(name) else { return Ok(()) };
        let Some(write) = next::next(pod, &self.scripts.of(pod), self.clock.now()) else { return Ok(()) };
        match write {
            next::Write::Bind => self.bind(name).await,
            next::Write::Status(status) => {
                // With the version that was looked at: what was written since has to be looked at first.
                let version = pod.resource_version();
                let patch = json!({"metadata": {"resourceVersion": version}, "status": status});
                self.pods.patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)
            }
            next::Write::Delete => self.delete(pod, None).await,
            next::Write::Remove => self.delete(pod, Some(0)).await,
        }
    }
}

impl Kubelet {
    async fn bind(&self, name: &str) -> kube::Result<()> {
        let binding = Binding {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            target: ObjectReference {
                kind: Some("Node".to_owned()),
                name: Some(self.node.clone()),
                ..ObjectReference::default()
            },
        };
        let parameters = PostParams::default();
        self.pods.create_subresource::<_, Status>("binding", name, &parameters, &binding).await.map(drop)
    }

    async fn delete(&self, pod: &Pod, grace_seconds: Option<u32>) -> kube::Result<()> {
        // Only the pod that was looked at: another one may have its name by now.
        let only = Preconditions { uid: pod.uid(), resource_version: None };
        let parameters = DeleteParams {
            grace_period_seconds: grace_seconds,
            preconditions: Some(only),
            ..DeleteParams::default()
        };
        self.pods.delete(&pod.name_any(), &parameters).await.map(drop)
    }
}
