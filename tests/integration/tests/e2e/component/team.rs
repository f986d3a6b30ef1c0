//! A team with a repository at the forge that has no pipelines yet.
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, ObjectMeta, PostParams},
};
use pipelines_engine_api::{PipelineRun, status::succeeded};
use testkit::{
    ControlPlane, Namespace, eventually,
    gitea::{Client, CommitStatus, NewPull, NewUser, OpenPull, Push},
    wait_gone,
};

use crate::{LONG, forge};

/// For a run that was deleted: as long as whoever waits for its signature may hold it, and a minute.
const GOING: Duration = Duration::from_mins(6);

/// A repository to build, in the checkout.
pub(crate) const SAMPLE: &str = "pipelines/samples/python";

/// Of everybody at the forge whom a test makes.
const PASSWORD: &str = "only-for-this-test-1";

/// For a build, on a machine that is busy with others.
const BUILD: Duration = Duration::from_mins(10);

/// What the team's repository is told apart by from those of other tests.
pub(crate) const APPLICATION: &str = "greetings";

/// The team, its repository and its namespace.
pub(crate) struct Team<'a> {
    kube: kube::Client,
    namespace: Namespace<'a>,
    forge: Client,
    /// `owner/name`.
    repository: String,
    /// Who owns the repository.
    owner: String,
}

impl<'a> Team<'a> {
    pub(crate) async fn new(cluster: &'a ControlPlane, name: &str) -> anyhow::Result<Self> {
        let namespace = cluster.namespace(&format!("e2e-{name}")).await?;
        let owner = namespace.to_string();
        let forge = forge::administrator(cluster).await?;
        forge.ensure_user(&NewUser { name: &owner, password: PASSWORD, is_administrator: false }).await?;
        let repository = format!("{owner}/greeter");
        forge.ensure_repository(&repository, false).await?;
        let scopes = ["write:repository", "write:issue", "read:user", "read:organization"];
        let token = forge.with_password(&owner, PASSWORD).new_token(&owner, "builds", &scopes).await?;
        trust(cluster, &namespace).await?;
        let host = forge.host();
        namespace
            .apply_yaml(&format!(
                "{{apiVersion: v1, kind: Secret, type: kubernetes.io/basic-auth, metadata: {{name: forge, labels: \
                 {{appstudio.redhat.com/credentials: scm, appstudio.redhat.com/scm.host: {host}}}}}, \
                 stringData: {{username: {owner}, password: {token}}}}}\n---\n\
                 {{apiVersion: appstudio.redhat.com/v1alpha1, kind: Application, metadata: {{name: {APPLICATION}}}, \
                 spec: {{displayName: Greetings}}}}\n"
            ))
            .await?;
        Ok(Self { kube: cluster.admin(), namespace, forge, repository, owner })
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn kube(&self) -> kube::Client {
        self.kube.clone()
    }

    /// Applies objects to the namespace.
    pub(crate) async fn apply(&self, yaml: &str) -> anyhow::Result<()> {
        self.namespace.apply_yaml(yaml).await.map(drop)
    }

    fn client(&self) -> Client {
        self.forge.with_password(&self.owner, PASSWORD)
    }

    /// Where the repository is.
    pub(crate) fn url(&self) -> String {
        format!("{}/{}", self.forge.url().trim_end_matches('/'), self.repository)
    }

    /// Pushes a folder of the checkout to `main`.
    pub(crate) async fn push_folder(&self, folder: &str) -> anyhow::Result<()> {
        self.push(&self.repository, "main", &in_checkout(folder)).await.map(drop)
    }

    /// Pushes a folder of the checkout to another repository of the team's, and returns where that is.
    pub(crate) async fn further_repository(&self, name: &str, folder: &str) -> anyhow::Result<String> {
        let repository = format!("{}/{name}", self.owner);
        self.forge.ensure_repository(&repository, false).await?;
        self.push(&repository, "main", &in_checkout(folder)).await?;
        Ok(format!("{}/{repository}", self.forge.url().trim_end_matches('/')))
    }

    /// Opens a pull request of [`SAMPLE`] with further files, by their paths: the commit and its number.
    pub(crate) async fn propose(
        &self,
        branch: &str,
        files: &[(&str, String)],
    ) -> anyhow::Result<(String, u64)> {
        let folder = tempfile::tempdir()?;
        for entry in fs::read_dir(in_checkout(SAMPLE))? {
            let entry = entry?;
            fs::copy(entry.path(), folder.path().join(entry.file_name()))?;
        }
        for (path, content) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
            fs::write(&path, content)?;
        }
        let commit = self.push(&self.repository, branch, folder.path()).await?;
        let pull = NewPull { title: "Change it", head: branch, base: "main" };
        Ok((commit, self.client().ensure_pull(&self.repository, &pull).await?))
    }

    async fn push(&self, repository: &str, branch: &str, folder: &Path) -> anyhow::Result<String> {
        let push = Push { repository, branch, folder, message: "Greet" };
        Ok(self.client().push(&push).await?.commit().to_owned())
    }

    /// Waits until the forge shows one of these states of a commit, under a context with this part.
    pub(crate) async fn status(
        &self,
        commit: &str,
        part: &str,
        states: &[&str],
    ) -> anyhow::Result<CommitStatus> {
        eventually(LONG, &format!("status {states:?} of {part:?} at {commit}"), async || {
            let statuses = self.client().statuses(&self.repository, commit).await?;
            let is_meant =
                |status: &&CommitStatus| status.context.contains(part) && states.contains(&&*status.state);
            statuses.iter().find(is_meant).cloned().with_context(|| format!("the commit has {statuses:?}"))
        })
        .await
    }

    /// Waits for a comment with all of these words on a pull request, whatever Markdown needs in between.
    pub(crate) async fn told(&self, pull: u64, words: &[&str]) -> anyhow::Result<()> {
        eventually(LONG, &format!("a comment with {words:?}"), async || {
            let comments = self.client().comments(&self.repository, pull).await?;
            let is_meant = |text: &String| {
                let text = text.replace('\\', "");
                words.iter().all(|word| text.contains(word))
            };
            anyhow::ensure!(comments.iter().any(is_meant), "there are {comments:?}");
            Ok(())
        })
        .await
    }

    /// Applies a Component that asks for its pipelines, and its ImageRepository.
    pub(crate) async fn onboard(&self, name: &str) -> anyhow::Result<()> {
        let (repository, forge) = (self.url(), self.forge.url().trim_end_matches('/').to_owned());
        self.namespace
            .apply_yaml(&format!(
                "apiVersion: appstudio.redhat.com/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\n  annotations:\n    \
                 build.appstudio.openshift.io/request: configure-pac\n    git-provider: gitea\n    git-provider-url: {forge}\n\
                 spec:\n  application: {APPLICATION}\n  componentName: {name}\n  source:\n    git:\n      url: {repository}\n      \
                 revision: main\n      dockerfileUrl: Dockerfile\n"
            ))
            .await?;
        self.ask_for_images(name, true).await
    }

    async fn ask_for_images(&self, name: &str, of_component: bool) -> anyhow::Result<()> {
        let labels = if of_component {
            format!(
                "  labels:\n    appstudio.redhat.com/application: {APPLICATION}\n    appstudio.redhat.com/component: {name}\n  \
                 annotations:\n    image-controller.appstudio.redhat.com/update-component-image: \"true\"\n"
            )
        } else {
            String::new()
        };
        self.namespace
            .apply_yaml(&format!(
                "apiVersion: appstudio.redhat.com/v1alpha1\nkind: ImageRepository\nmetadata:\n  name: {name}\n{labels}"
            ))
            .await?;
        Ok(())
    }

    /// Applies an ImageRepository of no Component, and waits until it is ready.
    pub(crate) async fn image_repository_only(&self, name: &str) -> anyhow::Result<String> {
        self.ask_for_images(name, false).await?;
        self.image_repository(name).await
    }

    /// Waits until an ImageRepository is ready, and returns its address.
    pub(crate) async fn image_repository(&self, name: &str) -> anyhow::Result<String> {
        eventually(LONG, &format!("ImageRepository {name}"), async || {
            let status = self.repositories().get(name).await?.data["status"].clone();
            let url = status["image"]["url"].as_str().filter(|_| status["state"] == "ready");
            url.map(str::to_owned).with_context(|| format!("its status is {status}"))
        })
        .await
    }

    pub(crate) fn repositories(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("appstudio.redhat.com", "v1alpha1", "ImageRepository");
        let resource = ApiResource::from_gvk_with_plural(&kind, "imagerepositories");
        Api::namespaced_with(self.kube.clone(), &self.namespace, &resource)
    }

    fn components(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("appstudio.redhat.com", "v1alpha1", "Component");
        Api::namespaced_with(self.kube.clone(), &self.namespace, &ApiResource::from_gvk(&kind))
    }

    fn runs(&self) -> Api<PipelineRun> {
        Api::namespaced(self.kube.clone(), &self.namespace)
    }

    /// Waits until the pipelines of a Component are proposed; the address of the pull request.
    pub(crate) async fn configured(&self, component: &str) -> anyhow::Result<String> {
        eventually(LONG, &format!("the pull request of {component}"), async || {
            let live = self.components().get(component).await?;
            let status = live.annotations().get("build.appstudio.openshift.io/status");
            let status: serde_json::Value = serde_json::from_str(status.context("no status yet")?)?;
            let url = status["pac"]["merge-url"].as_str().filter(|_| status["pac"]["state"] == "enabled");
            url.map(str::to_owned).with_context(|| format!("its status is {status}"))
        })
        .await
    }

    pub(crate) async fn pulls(&self) -> anyhow::Result<Vec<OpenPull>> {
        self.client().pulls(&self.repository).await
    }

    pub(crate) async fn file(&self, branch: &str, path: &str) -> anyhow::Result<Vec<u8>> {
        self.client().file(&self.repository, branch, path).await
    }

    /// Merges a pull request; the commit that `main` is at then.
    pub(crate) async fn merge(&self, number: u64) -> anyhow::Result<String> {
        self.client().merge(&self.repository, number).await?;
        let commit = self.client().commit(&self.repository, "main").await?;
        commit.with_context(|| format!("{} has no branch main", self.repository))
    }

    /// Waits for the build of a Component that an event of this type starts.
    pub(crate) async fn build(&self, component: &str, event: &str) -> anyhow::Result<PipelineRun> {
        self.build_where(component, &format!("pipelinesascode.tekton.dev/event-type={event}")).await
    }

    /// Waits for the build of a Component at a commit that was pushed.
    pub(crate) async fn build_of(&self, component: &str, commit: &str) -> anyhow::Result<PipelineRun> {
        let at =
            format!("pipelinesascode.tekton.dev/event-type=push,pipelinesascode.tekton.dev/sha={commit}");
        self.build_where(component, &at).await
    }

    /// Waits for the build of a Component at a commit, whatever started it.
    pub(crate) async fn build_at(&self, component: &str, commit: &str) -> anyhow::Result<PipelineRun> {
        self.build_where(component, &format!("pipelinesascode.tekton.dev/sha={commit}")).await
    }

    async fn build_where(&self, component: &str, labels: &str) -> anyhow::Result<PipelineRun> {
        let meant = format!("appstudio.openshift.io/component={component},{labels}");
        eventually(LONG, &format!("a run with {meant}"), async || {
            let found = self.runs().list(&ListParams::default().labels(&meant)).await?.items;
            found.into_iter().next().context("there is none")
        })
        .await
    }

    /// Waits until a run has ended, well or not.
    pub(crate) async fn until_done(&self, name: &str) -> anyhow::Result<PipelineRun> {
        testkit::wait_for(&self.runs(), name, "its end", BUILD, |run| is_done(run).is_some()).await
    }

    /// Deletes a Component, and waits until it is gone.
    pub(crate) async fn delete(&self, component: &str) -> anyhow::Result<()> {
        self.components().delete(component, &DeleteParams::default()).await?;
        wait_gone(&self.components(), component, LONG).await
    }

    /// Waits until no build of a Component is there. Chains may hold one that it could not sign for five minutes.
    pub(crate) async fn until_no_runs(&self, component: &str) -> anyhow::Result<()> {
        let meant = format!("appstudio.openshift.io/component={component}");
        eventually(GOING, "the builds to go", async || {
            let left = self.runs().list(&ListParams::default().labels(&meant)).await?.items;
            let left: Vec<String> = left.iter().map(ResourceExt::name_any).collect();
            anyhow::ensure!(left.is_empty(), "left are {left:?}");
            Ok(())
        })
        .await
    }

    /// Waits until the ImageRepository of a Component has gone with it.
    pub(crate) async fn until_gone(&self, name: &str) -> anyhow::Result<()> {
        wait_gone(&self.repositories(), name, LONG).await
    }
}

fn in_checkout(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder)
}

/// Whether a run has succeeded, once it has ended.
pub(crate) fn is_done(run: &PipelineRun) -> Option<bool> {
    let condition = succeeded(&run.status.as_ref()?.conditions)?;
    match condition.status.as_str() {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

/// A result of a run, without blanks around it.
pub(crate) fn result(run: &PipelineRun, name: &str) -> anyhow::Result<String> {
    let results = run.status.iter().flat_map(|status| &status.results);
    let Some(found) = results.into_iter().find(|result| result.name == name) else {
        bail!("run {} has no result {name}: {:?}", run.name_any(), run.status);
    };
    Ok(found.value.as_str().with_context(|| format!("result {name} is text"))?.trim().to_owned())
}

/// Gives a namespace the authorities of the dev cluster, as `cargo xtask tenant` does.
pub(crate) async fn trust(cluster: &ControlPlane, namespace: &str) -> anyhow::Result<()> {
    let theirs =
        Api::<ConfigMap>::namespaced(cluster.admin(), "application-service").get("trusted-ca").await?;
    let metadata = ObjectMeta { name: Some("trusted-ca".to_owned()), ..ObjectMeta::default() };
    let ours = ConfigMap { metadata, data: theirs.data, ..ConfigMap::default() };
    Api::<ConfigMap>::namespaced(cluster.admin(), namespace).create(&PostParams::default(), &ours).await?;
    Ok(())
}
