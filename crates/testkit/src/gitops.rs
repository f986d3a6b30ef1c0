//! A stand-in for gitops-service: binds claims to targets, and says of bindings that they are deployed, without a cluster to
//! deploy to.
//!
//! ```text
//! DeploymentTargetClaim ─▶ DeploymentTarget ─▶ claim Bound ─┐
//! Environment ──────────────────────────────────────────────┴─▶ SnapshotEnvironmentBinding: deployed, or an error
//! ```
//! ```no_run
//! # async fn test(plane: &testkit::ControlPlane, namespace: &str) -> anyhow::Result<()> {
//! use testkit::gitops::{Deployment, Objects, PlayedGitops};
//!
//! plane.install_kinds("gitops-service").await?;
//! let gitops = PlayedGitops::start(plane.admin(), namespace).await?;
//! gitops.deploys(Objects::any(), Deployment::fails("no such image"));
//! # Ok(())
//! # }
//! ```
//! What no script is for is bound and deployed. The kinds have to be there.

mod next;

use futures::{Stream, StreamExt as _, stream};
use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, ResourceExt as _};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::json;

use self::next::Write;
use crate::builders;
use crate::played::{Choice, Part, Scripts, Stage, Store};

/// Name of the class for which targets are made, as gitops-service ships it.
pub const CLASS: &str = "isolation-level-namespace";

/// Which claims or bindings a script is for.
pub type Objects = Choice<DynamicObject>;

/// What becomes of a claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Claiming {
    /// A target is made for it, and it is bound to that.
    #[default]
    Binds,
    /// Nobody answers.
    Never,
}

/// What becomes of a binding whose Environment is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Deployment {
    #[default]
    Succeeds,
    /// `ErrorOccurred`, with this message, since this time.
    Fails { message: String, since: Timestamp },
    /// Nobody answers.
    Never,
}

impl Deployment {
    /// It has just failed.
    pub fn fails(message: impl Into<String>) -> Self {
        Self::failed_at(message, fleet::Clock::system().now())
    }

    /// It failed then.
    pub fn failed_at(message: impl Into<String>, since: Timestamp) -> Self {
        Self::Fails { message: message.into(), since }
    }
}

/// Plays the claims and bindings of one namespace until it is dropped.
#[derive(Debug)]
pub struct PlayedGitops {
    claims: Scripts<DynamicObject, Claiming>,
    bindings: Scripts<DynamicObject, Deployment>,
    stage: Stage,
}

impl PlayedGitops {
    /// Starts on what exists and what comes, and makes the [class](CLASS) if nobody has.
    pub async fn start(client: Client, namespace: &str) -> anyhow::Result<Self> {
        let classes = Api::all_with(client.clone(), &resource("DeploymentTargetClass"));
        let spec = json!({"provisioner": "appstudio.redhat.com/devsandbox", "reclaimPolicy": "Delete"});
        let class =
            DynamicObject::new(CLASS, &resource("DeploymentTargetClass")).data(json!({ "spec": spec }));
        match classes.create(&PostParams::default(), &class).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            created => drop(created?),
        }
        let api = |kind: &str| Api::namespaced_with(client.clone(), namespace, &resource(kind));
        let claims = Scripts::new(Claiming::Binds);
        let bindings = claims.beside(Deployment::Succeeds);
        let part = Gitops {
            claims: api("DeploymentTargetClaim"),
            targets: api("DeploymentTarget"),
            bindings: api("SnapshotEnvironmentBinding"),
            claiming: claims.clone(),
            deployment: bindings.clone(),
            view: View::default(),
            namespace: namespace.to_owned(),
        };
        let events = events(&part, &api("Environment"));
        let who = format!("played gitops-service of {namespace}");
        let stage = Stage::open(who, part, events, claims.changed()).await?;
        Ok(Self { claims, bindings, stage })
    }

    /// What becomes of these claims from now on. One that is bound stays so.
    pub fn claims(&self, claims: Objects, script: Claiming) {
        self.claims.add(claims, script);
    }

    /// What becomes of these bindings from now on, instead of what was said before.
    pub fn deploys(&self, bindings: Objects, script: Deployment) {
        self.bindings.add(bindings, script);
    }

    /// Stops after the write in hand. Another one that is started goes on from there.
    pub async fn stop(self) {
        self.stage.close().await;
    }
}

fn resource(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("appstudio.redhat.com", "v1alpha1", kind))
}

/// Namespace, API and credentials that the target of a claim stands for: names that nobody else has, and nothing behind them.
fn target(namespace: &str, claim: &DynamicObject) -> DynamicObject {
    let name = claim.name_any();
    let spec = json!({
        "deploymentTargetClassName": claim.data["spec"]["deploymentTargetClassName"],
        "claimRef": name,
        "kubernetesCredentials": {
            "defaultNamespace": format!("{name}-env"),
            "apiURL": "https://played.invalid",
            "clusterCredentialsSecret": format!("{name}-credentials"),
            "allowInsecureSkipTLSVerify": false,
        },
    });
    let mut target = DynamicObject::new(&next::target_of(&name), &resource("DeploymentTarget"))
        .data(json!({ "spec": spec }));
    target.metadata = builders::metadata(namespace, &next::target_of(&name));
    target
}

/// An event of one of the watches.
#[derive(Debug)]
enum Heard {
    Claim(Event<DynamicObject>),
    Target(Event<DynamicObject>),
    Environment(Event<DynamicObject>),
    Binding(Event<DynamicObject>),
}

fn events(
    part: &Gitops,
    environments: &Api<DynamicObject>,
) -> impl Stream<Item = Result<Heard, watcher::Error>> + Send + use<> {
    let watch = |api: &Api<DynamicObject>, heard: fn(Event<DynamicObject>) -> Heard| {
        let events = watcher(api.clone(), watcher::Config::default()).default_backoff();
        events.map(move |event| event.map(heard)).boxed()
    };
    stream::select_all([
        watch(&part.claims, Heard::Claim),
        watch(&part.targets, Heard::Target),
        watch(environments, Heard::Environment),
        watch(&part.bindings, Heard::Binding),
    ])
}

/// What the watches have told.
#[derive(Debug, Default)]
struct View {
    claims: Store<DynamicObject>,
    targets: Store<DynamicObject>,
    environments: Store<DynamicObject>,
    bindings: Store<DynamicObject>,
}

struct Gitops {
    claims: Api<DynamicObject>,
    targets: Api<DynamicObject>,
    bindings: Api<DynamicObject>,
    claiming: Scripts<DynamicObject, Claiming>,
    deployment: Scripts<DynamicObject, Deployment>,
    view: View,
    namespace: String,
}

/// There is one thing to look at, the namespace: what comes next about a binding depends on its Environment and on the claim of
/// that.
const ALL: &str = "the namespace";

impl Part for Gitops {
    type Event = Heard;

    fn note(&mut self, event: Heard) -> Option<String> {
        let all = |_: &DynamicObject| Some(ALL.to_owned());
        match event {
            Heard::Claim(event) => self.view.claims.note(event, all),
            Heard::Target(event) => self.view.targets.note(event, all),
            Heard::Environment(event) => self.view.environments.note(event, all),
            Heard::Binding(event) => self.view.bindings.note(event, all),
        }
    }

    fn is_ready(&self) -> bool {
        let View { claims, targets, environments, bindings } = &self.view;
        [claims, targets, environments, bindings].into_iter().all(Store::is_complete)
    }

    fn names(&self) -> Vec<String> {
        vec![ALL.to_owned()]
    }

    async fn act(&mut self, _: &str) -> kube::Result<()> {
        let parameters = PatchParams::default();
        let Some(write) = next::next(&self.view, &self.claiming, &self.deployment) else { return Ok(()) };
        match write {
            Write::Target(claim) => {
                let target = target(&self.namespace, claim);
                self.targets.create(&PostParams::default(), &target).await.map(drop)
            }
            Write::TargetOf { claim, target } => {
                let patch = Patch::Merge(json!({"spec": {"targetName": target}}));
                self.claims.patch(&claim, &parameters, &patch).await.map(drop)
            }
            Write::Bound(claim) => {
                let patch = Patch::Merge(json!({"status": {"phase": "Bound"}}));
                self.claims.patch_status(&claim, &parameters, &patch).await.map(drop)
            }
            Write::Unclaimed(target) => {
                self.targets.delete(&target, &DeleteParams::default()).await.map(drop)
            }
            Write::Binding { name, status } => {
                let patch = Patch::Merge(json!({ "status": status }));
                self.bindings.patch_status(&name, &parameters, &patch).await.map(drop)
            }
        }
    }
}
