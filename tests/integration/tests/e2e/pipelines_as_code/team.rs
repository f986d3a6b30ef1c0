//! A team with a repository at the forge, and a namespace for its runs.
use std::{fs, path::Path};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams},
};
use pipelines_engine_api::{PipelineRun, status::succeeded};
use testkit::{
    ControlPlane, Namespace, eventually,
    gitea::{Client, CommitStatus, NewPull, NewUser},
    wait_for,
};

use crate::LONG;

/// Of everybody at the forge whom a test makes.
const PASSWORD: &str = "only-for-this-test-1";

const SERVICE: &str = "pipelines-as-code";

/// The team, its repository and its namespace.
pub(super) struct Team<'a> {
    kube: kube::Client,
    namespace: Namespace<'a>,
    forge: Client,
    /// `owner/name`.
    repository: String,
    /// Who owns the repository, and lets pipelines-as-code act.
    owner: String,
    image: String,
}

/// A commit to be.
pub(super) struct Push<'a> {
    branch: &'a str,
    files: Vec<(String, String)>,
}

impl<'a> Push<'a> {
    pub(super) fn to_main(files: &[(&str, String)]) -> Push<'a> {
        let files = files.iter().map(|(path, content)| ((*path).to_owned(), content.clone())).collect();
        Push { branch: "main", files }.with("README.md", "A repository of a test.\n")
    }

    pub(super) fn on(self, branch: &'a str) -> Self {
        Self { branch, ..self }
    }

    pub(super) fn with(mut self, path: &str, content: &str) -> Self {
        self.files.push((path.to_owned(), content.to_owned()));
        self
    }
}

impl<'a> Team<'a> {
    /// `limit` is how many runs may go on at once.
    pub(super) async fn new(
        cluster: &'a ControlPlane,
        name: &str,
        limit: Option<u32>,
    ) -> anyhow::Result<Self> {
        let namespace = cluster.namespace(&format!("e2e-pac-{name}")).await?;
        let owner = namespace.to_string();
        let forge = crate::forge::administrator(cluster).await?;
        let user = NewUser { name: &owner, password: PASSWORD, is_administrator: false };
        forge.ensure_user(&user).await?;
        let repository = format!("{owner}/app");
        forge.ensure_repository(&repository, false).await?;
        let scopes = ["write:repository", "write:issue", "read:user", "read:organization"];
        let token =
            forge.with_password(&owner, PASSWORD).new_token(&owner, "pipelines-as-code", &scopes).await?;
        let image = crate::demo::image(&cluster.admin()).await?;
        let limit = limit.map(|limit| format!("  concurrency_limit: {limit}\n")).unwrap_or_default();
        let url = forge.url().trim_end_matches('/').to_owned();
        namespace
            .apply_yaml(&format!(
                "apiVersion: v1\nkind: Secret\nmetadata:\n  name: forge\nstringData:\n  provider.token: {token}\n"
            ))
            .await?;
        namespace
            .apply_yaml(&format!(
                "apiVersion: pipelinesascode.tekton.dev/v1alpha1\nkind: Repository\nmetadata:\n  name: app\nspec:\n  \
                 url: {url}/{repository}\n{limit}  git_provider:\n    type: gitea\n    url: {url}\n    secret:\n      name: forge\n"
            ))
            .await?;
        let team = Self { kube: cluster.admin(), namespace, forge, repository, owner, image };
        Ok(team)
    }

    /// Makes a commit by the owner, and returns its name.
    pub(super) async fn push(&self, push: &Push<'_>) -> anyhow::Result<String> {
        self.push_as(&self.owner, &self.repository, push).await
    }

    async fn push_as(&self, user: &str, repository: &str, push: &Push<'_>) -> anyhow::Result<String> {
        let folder = tempfile::tempdir()?;
        for (path, content) in &push.files {
            write(&folder.path().join(path), &content.replace("IMAGE", &self.image))?;
        }
        let client = self.forge.with_password(user, PASSWORD);
        let push = testkit::gitea::Push {
            repository,
            branch: push.branch,
            folder: folder.path(),
            message: "Change it",
        };
        Ok(client.push(&push).await?.commit().to_owned())
    }

    /// Opens a pull request to `main` by the owner, and returns its number.
    pub(super) async fn pull_request(&self, head: &str, title: &str) -> anyhow::Result<u64> {
        let client = self.forge.with_password(&self.owner, PASSWORD);
        client.ensure_pull(&self.repository, &NewPull { title, head, base: "main" }).await
    }

    /// Somebody new forks the repository and offers a change: its commit and the pull request's number.
    pub(super) async fn fork_and_open(&self, stranger: &str) -> anyhow::Result<(String, u64)> {
        let stranger = self.stranger(stranger);
        let user = NewUser { name: &stranger, password: PASSWORD, is_administrator: false };
        self.forge.ensure_user(&user).await?;
        let theirs = self.forge.with_password(&stranger, PASSWORD);
        let fork = theirs.ensure_fork(&self.repository).await?;
        let tekton =
            String::from_utf8(self.forge.file(&self.repository, "main", ".tekton/pull.yaml").await?)?;
        let files = [(".tekton/pull.yaml", tekton)];
        let push = Push::to_main(&files).on("gift").with("gift.md", "for you");
        let commit = self.push_as(&stranger, &fork, &push).await?;
        let head = format!("{stranger}:gift");
        let pull = NewPull { title: "A gift", head: &head, base: "main" };
        Ok((commit, theirs.ensure_pull(&self.repository, &pull).await?))
    }

    /// Names are of the whole forge.
    fn stranger(&self, name: &str) -> String {
        format!("{name}-{}", self.owner)
    }

    pub(super) async fn comment(&self, pull: u64, text: &str) -> anyhow::Result<()> {
        self.forge.with_password(&self.owner, PASSWORD).comment(&self.repository, pull, text).await
    }

    pub(super) async fn comment_as(&self, stranger: &str, pull: u64, text: &str) -> anyhow::Result<()> {
        let client = self.forge.with_password(&self.stranger(stranger), PASSWORD);
        client.comment(&self.repository, pull, text).await
    }

    /// Waits for a comment with these words on a pull request: it is written after the status.
    pub(super) async fn told(&self, pull: u64, words: &str) -> anyhow::Result<()> {
        eventually(LONG, &format!("a comment with {words:?}"), async || {
            let comments = self.forge.comments(&self.repository, pull).await?;
            ensure!(comments.iter().any(|text| text.contains(words)), "there are {comments:?}");
            Ok(())
        })
        .await
    }

    fn api(&self) -> Api<PipelineRun> {
        Api::namespaced(self.kube.clone(), &self.namespace)
    }

    /// All runs of the team.
    pub(super) async fn runs(&self) -> anyhow::Result<Vec<PipelineRun>> {
        Ok(self.api().list(&ListParams::default()).await?.items)
    }

    /// Waits for the run of this name in `.tekton/` and commit.
    pub(super) async fn run_of(&self, original: &str, commit: &str) -> anyhow::Result<PipelineRun> {
        let is_meant = |run: &PipelineRun| is_of(run, original) && label(run, "sha") == commit;
        eventually(LONG, &format!("the run of {original} at {commit}"), async || {
            self.runs().await?.into_iter().find(is_meant).context("there is none")
        })
        .await
    }

    /// Waits for a run of this name in `.tekton/` that is none of those `known`.
    pub(super) async fn another_run(
        &self,
        original: &str,
        known: &[&PipelineRun],
    ) -> anyhow::Result<PipelineRun> {
        let is_new = |run: &PipelineRun| {
            is_of(run, original) && known.iter().all(|known| known.name_any() != run.name_any())
        };
        eventually(LONG, &format!("another run of {original}"), async || {
            self.runs().await?.into_iter().find(is_new).context("there is none")
        })
        .await
    }

    pub(super) async fn until(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&PipelineRun) -> bool,
    ) -> anyhow::Result<PipelineRun> {
        wait_for(&self.api(), name, what, LONG, holds).await
    }

    /// Waits until the forge shows one of these states of a run at a commit. The run's name in `.tekton/` ends the
    /// context.
    pub(super) async fn status(
        &self,
        commit: &str,
        original: &str,
        states: &[&str],
    ) -> anyhow::Result<CommitStatus> {
        eventually(LONG, &format!("status {states:?} of {original} at {commit}"), async || {
            let statuses = self.forge.statuses(&self.repository, commit).await?;
            let meant = statuses
                .iter()
                .find(|status| status.context.ends_with(original) && states.contains(&&*status.state));
            meant.cloned().with_context(|| format!("the commit has {statuses:?}"))
        })
        .await
    }
}

/// Takes the service's pods away and waits until others are ready.
pub(super) async fn restart_service(client: &kube::Client) -> anyhow::Result<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), SERVICE);
    let of_service = ListParams::default().labels(&format!("app.kubernetes.io/name={SERVICE}"));
    let old = pods.list(&of_service).await?.items;
    ensure!(!old.is_empty(), "{SERVICE} has no pod");
    for pod in &old {
        pods.delete(&pod.name_any(), &DeleteParams::default()).await?;
    }
    for pod in &old {
        // A StatefulSet's pod comes back under its name.
        let uid = pod.uid();
        let is_other = |found: Option<Pod>| found.is_none_or(|found| found.uid() != uid);
        eventually(LONG, "a pod to go", async || {
            ensure!(is_other(pods.get_opt(&pod.name_any()).await?), "{} is still there", pod.name_any());
            Ok(())
        })
        .await?;
    }
    eventually(LONG, "a new pod", async || {
        let ready = pods.list(&of_service).await?.items.iter().filter(|pod| is_ready(pod)).count();
        ensure!(ready > 0, "none is ready");
        Ok(())
    })
    .await
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content).with_context(|| format!("write {}", path.display()))
}

fn label<'a>(run: &'a PipelineRun, key: &str) -> &'a str {
    run.labels().get(&format!("pipelinesascode.tekton.dev/{key}")).map_or("", String::as_str)
}

fn is_of(run: &PipelineRun, original: &str) -> bool {
    label(run, "original-prname") == original
}

pub(super) fn is_done(run: &PipelineRun) -> bool {
    let conditions = run.status.as_ref().map(|status| &status.conditions);
    conditions
        .and_then(|conditions| succeeded(conditions))
        .is_some_and(|condition| condition.status != "Unknown")
}

pub(super) fn is_paused(run: &PipelineRun) -> bool {
    run.spec.status == "PipelineRunPending"
}
