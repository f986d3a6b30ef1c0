//! The cluster as cases see it: namespaces of their own, objects by kind and name, logs.
use std::{collections::BTreeMap, future::Future, time::Duration};

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::api::{
    core::v1::{Namespace, Pod, ServiceAccount},
    storage::v1::StorageClass,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, LogParams, ObjectMeta, PostParams},
    core::GroupVersionKind,
    discovery,
};
use rand::Rng as _;
use tokio::time::{Instant, sleep};

use super::case::{Names, Need};
use crate::ui;

/// On namespaces: the run of the suite that made them.
const RUN: &str = "konflux-rs.dev/conformance-run";
/// On the StorageClass of claims that name none.
const IS_DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

const POLL: Duration = Duration::from_millis(250);
/// For what only Kubernetes itself has to do.
const PATIENCE: Duration = Duration::from_mins(1);

/// Kinds that cases name, with their version.
const KINDS: [(&str, &str, &str); 14] = [
    ("PipelineRun", "tekton.dev", "v1"),
    ("TaskRun", "tekton.dev", "v1"),
    ("Pipeline", "tekton.dev", "v1"),
    ("Task", "tekton.dev", "v1"),
    ("CustomRun", "tekton.dev", "v1beta1"),
    ("StepAction", "tekton.dev", "v1alpha1"),
    ("ResolutionRequest", "resolution.tekton.dev", "v1beta1"),
    ("Pod", "", "v1"),
    ("Secret", "", "v1"),
    ("ConfigMap", "", "v1"),
    ("Event", "", "v1"),
    ("ServiceAccount", "", "v1"),
    ("PersistentVolumeClaim", "", "v1"),
    ("ResourceQuota", "", "v1"),
];

pub struct World {
    client: Client,
    prefix: String,
    /// Tells the namespaces of this run from those of others.
    run: String,
    image: String,
    bundle: Option<String>,
    git: Option<String>,
    has_storage: bool,
}

impl World {
    /// Looks at what the cluster has.
    pub async fn new(
        client: Client,
        prefix: &str,
        image: String,
        bundle: Option<String>,
        git: Option<String>,
    ) -> anyhow::Result<Self> {
        let group = discovery::group(&client, "tekton.dev").await;
        let has_kind = |version: &discovery::ApiGroup| version.recommended_kind("PipelineRun").is_some();
        ensure!(
            group.is_ok_and(|group| has_kind(&group)),
            "the cluster does not serve PipelineRuns of tekton.dev: is an engine installed (`cargo xtask deploy`), and is \
             the kubeconfig the right one?"
        );
        let classes: Api<StorageClass> = Api::all(client.clone());
        let classes = classes.list(&ListParams::default()).await.context("list StorageClasses")?;
        let is_default = |class: &StorageClass| {
            class.annotations().get(IS_DEFAULT_CLASS).is_some_and(|value| value == "true")
        };
        let has_storage = classes.iter().any(is_default);
        let mut random = rand::rng();
        let run: String = (0..5).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect();
        Ok(Self { client, prefix: prefix.to_owned(), run, image, bundle, git, has_storage })
    }

    /// Why something is not to be had here.
    pub fn lacks(&self, need: Need) -> Option<&'static str> {
        let (is_there, why) = match need {
            Need::Storage => (self.has_storage, "the cluster has no default StorageClass"),
            Need::Bundle => (self.bundle.is_some(), "no registry takes a bundle: name one by --registry"),
            Need::Git => {
                (self.git.is_some(), "no Git repository is known that the engine can read: --git-repository")
            }
        };
        (!is_there).then_some(why)
    }

    /// A new namespace for a case, in which pods can be made.
    pub async fn place(&self, case: &str, labels: &BTreeMap<String, String>) -> anyhow::Result<Place<'_>> {
        let name = format!("{}-{}-{case}", self.prefix, self.run);
        let name = name.chars().take(63).collect::<String>().trim_end_matches('-').to_owned();
        let mut labels = labels.clone();
        labels.insert(RUN.to_owned(), self.run.clone());
        let namespace = Namespace {
            metadata: ObjectMeta { name: Some(name.clone()), labels: Some(labels), ..ObjectMeta::default() },
            ..Namespace::default()
        };
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let made = namespaces.create(&PostParams::default(), &namespace).await;
        made.with_context(|| format!("create namespace {name}"))?;
        let place = Place { world: self, namespace: name };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &place.namespace);
        eventually(Instant::now() + PATIENCE, async || {
            Ok(accounts
                .get_opt("default")
                .await?
                .is_none()
                .then(|| "it has no ServiceAccount default".to_owned()))
        })
        .await
        .with_context(|| format!("namespace {} is ready", place.namespace))?;
        Ok(place)
    }

    /// Removes what is left of this run's namespaces, and waits until they are gone.
    pub async fn remove_namespaces(&self, keep: bool) -> anyhow::Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let ours = ListParams::default().labels(&format!("{RUN}={}", self.run));
        let left = namespaces.list(&ours).await.context("list namespaces")?;
        let is_going = |namespace: &&Namespace| namespace.metadata.deletion_timestamp.is_some();
        let (_, kept): (Vec<_>, Vec<_>) = left.iter().partition(is_going);
        if keep {
            for namespace in kept {
                ui::note(&format!("kept: kubectl delete namespace {}", namespace.name_any()));
            }
            return Ok(());
        }
        for namespace in kept {
            remove(&namespaces, &namespace.name_any()).await?;
        }
        let step = ui::step("namespaces of the suite are gone");
        eventually(Instant::now() + PATIENCE, async || {
            let left = namespaces.list_metadata(&ours).await?.items;
            let what =
                left.first().map(|first| format!("{} and {} others", first.name_any(), left.len() - 1));
            step.waiting(what.as_deref().unwrap_or_default());
            Ok(what)
        })
        .await?;
        step.done();
        Ok(())
    }
}

async fn remove(namespaces: &Api<Namespace>, name: &str) -> anyhow::Result<()> {
    match namespaces.delete(name, &DeleteParams::background()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        outcome => outcome.map(drop).with_context(|| format!("remove namespace {name}")),
    }
}

/// The namespace of a case.
pub struct Place<'a> {
    world: &'a World,
    pub namespace: String,
}

impl Place<'_> {
    pub fn names(&self) -> Names<'_> {
        Names {
            namespace: &self.namespace,
            image: &self.world.image,
            bundle: self.world.bundle.as_deref().unwrap_or_default(),
            git: self.world.git.as_deref().unwrap_or_default(),
        }
    }

    /// Access to a kind, of the version that the suite reads.
    pub fn api(&self, kind: &str) -> anyhow::Result<Api<DynamicObject>> {
        let found = KINDS.iter().find(|(name, ..)| *name == kind);
        let (_, group, version) =
            found.with_context(|| format!("kind {kind:?} is not in the table of kinds of the suite"))?;
        Ok(self.api_of(&GroupVersionKind::gvk(group, version, kind)))
    }

    /// Access to a kind in any version.
    pub fn api_of(&self, kind: &GroupVersionKind) -> Api<DynamicObject> {
        Api::namespaced_with(self.world.client.clone(), &self.namespace, &ApiResource::from_gvk(kind))
    }

    /// Lines that a container has written.
    pub async fn log(&self, pod: &str, container: &str, last: Option<i64>) -> kube::Result<String> {
        let pods: Api<Pod> = Api::namespaced(self.world.client.clone(), &self.namespace);
        let parameters =
            LogParams { container: Some(container.to_owned()), tail_lines: last, ..LogParams::default() };
        pods.logs(pod, &parameters).await
    }

    /// Begins to remove the namespace.
    pub async fn remove(&self) -> anyhow::Result<()> {
        remove(&Api::all(self.world.client.clone()), &self.namespace).await
    }
}

/// Asks until nothing is missing any more; the last thing that was is the error.
pub async fn eventually<F>(until: Instant, missing: impl Fn() -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<Option<String>>>,
{
    loop {
        let Some(what) = missing().await? else { return Ok(()) };
        if Instant::now() > until {
            bail!("{what}");
        }
        sleep(POLL).await;
    }
}
