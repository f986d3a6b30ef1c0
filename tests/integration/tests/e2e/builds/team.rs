//! A team with a repository at the forge and one in the registry, which builds by runs of its own.
use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, ServiceAccount};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, LogParams, Patch, PatchParams},
};
use pipelines_engine_api::{PipelineRun, TaskRun, status::succeeded};
use serde_json::{Value, json};
use testkit::{
    ControlPlane, Namespace, eventually,
    gitea::{Client, NewUser, Push},
    wait_for,
};

use crate::{LONG, forge, images::Images};

/// Of everybody at the forge whom a test makes.
const PASSWORD: &str = "only-for-this-test-1";

/// For a build with all its checks, on a machine that is busy with others.
const BUILD: Duration = Duration::from_mins(10);

const PIPELINE: &str = "docker-build-oci-ta";
const BUNDLE: &str = "registry.dev.konflux.test/konflux/pipeline-docker-build-oci-ta:devel";
/// The account that may push.
pub(crate) const BUILDER: &str = "builder";
const REPOSITORY: &str = "app";

/// The team, its repositories and its namespace.
pub(crate) struct Team<'a> {
    kube: kube::Client,
    namespace: Namespace<'a>,
    forge: Client,
    images: Images,
    /// Who owns the repositories at the forge.
    owner: String,
    /// `host/path` in the registry.
    repository: String,
}

/// A build that runs.
pub(crate) struct Started {
    /// Name of the PipelineRun.
    pub(crate) run: String,
    commit: String,
    url: String,
}

/// A build that has ended.
pub(crate) struct Build {
    kube: kube::Client,
    namespace: String,
    run: PipelineRun,
    /// By the names that the pipeline has for them.
    tasks: BTreeMap<String, TaskRun>,
    /// What was built, and where it is from.
    pub(crate) commit: String,
    pub(crate) url: String,
}

/// The files of a sample in the checkout.
pub(crate) fn sample(name: &str) -> anyhow::Result<Vec<(String, String)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/samples").join(name);
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
        let entry = entry?;
        files.push((entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path())?));
    }
    Ok(files)
}

impl<'a> Team<'a> {
    pub(crate) async fn new(cluster: &'a ControlPlane, name: &str) -> anyhow::Result<Self> {
        let namespace = cluster.namespace(&format!("e2e-build-{name}")).await?;
        let owner = namespace.to_string();
        // As every tenant's namespace: nothing that is privileged gets in.
        let enforced = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}});
        Api::<k8s_openapi::api::core::v1::Namespace>::all(cluster.admin())
            .patch(&owner, &PatchParams::default(), &Patch::Merge(&enforced))
            .await?;
        let forge = forge::administrator(cluster).await?;
        forge.ensure_user(&NewUser { name: &owner, password: PASSWORD, is_administrator: false }).await?;
        let trusted =
            Api::<ConfigMap>::namespaced(cluster.admin(), "application-service").get("trusted-ca").await?;
        let mut ours = ConfigMap { data: trusted.data, ..ConfigMap::default() };
        ours.metadata.name = Some("trusted-ca".to_owned());
        Api::namespaced(cluster.admin(), &owner).create(&kube::api::PostParams::default(), &ours).await?;
        namespace
            .apply_yaml(&format!(
                "{{apiVersion: appstudio.redhat.com/v1alpha1, kind: ImageRepository, metadata: {{name: {REPOSITORY}}}}}\n"
            ))
            .await?;
        let images = Images::of(cluster).await?;
        let mut team =
            Self { kube: cluster.admin(), namespace, forge, images, owner, repository: String::new() };
        team.repository = team.login().await?;
        Ok(team)
    }

    /// Waits for the repository in the registry, and gives [`BUILDER`] its login. The repository's address.
    async fn login(&self) -> anyhow::Result<String> {
        let kind = GroupVersionKind::gvk("appstudio.redhat.com", "v1alpha1", "ImageRepository");
        let resource = ApiResource::from_gvk_with_plural(&kind, "imagerepositories");
        let repositories: Api<DynamicObject> =
            Api::namespaced_with(self.kube.clone(), &self.namespace, &resource);
        let (url, secret) = eventually(LONG, "the repository in the registry", async || {
            let status = repositories.get(REPOSITORY).await?.data["status"].clone();
            let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            text("/image/url")
                .zip(text("/credentials/push-secret"))
                .with_context(|| format!("its status is {status}"))
        })
        .await?;
        let secrets: Api<Secret> = Api::namespaced(self.kube.clone(), &self.namespace);
        wait_for(&secrets, &secret, "its password", LONG, |secret| secret.data.is_some()).await?;
        let account: ServiceAccount =
            serde_json::from_value(json!({"metadata": {"name": BUILDER}, "secrets": [{"name": secret}]}))?;
        Api::namespaced(self.kube.clone(), &self.namespace)
            .create(&kube::api::PostParams::default(), &account)
            .await?;
        Ok(url)
    }

    pub(crate) fn kube(&self) -> kube::Client {
        self.kube.clone()
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Name of the image that a build pushes.
    pub(crate) fn output(&self, name: &str) -> String {
        format!("{}:{name}", self.repository)
    }

    /// Builds a repository with these files, by the account that may push.
    pub(crate) async fn build(
        &self,
        name: &str,
        files: &[(String, String)],
        params: &[(&str, &str)],
    ) -> anyhow::Result<Build> {
        self.build_as(BUILDER, name, files, params).await
    }

    pub(crate) async fn build_as(
        &self,
        account: &str,
        name: &str,
        files: &[(String, String)],
        params: &[(&str, &str)],
    ) -> anyhow::Result<Build> {
        let pipeline = json!({"pipelineRef": {"resolver": "bundles", "params": [
            {"name": "name", "value": PIPELINE},
            {"name": "bundle", "value": BUNDLE},
            {"name": "kind", "value": "pipeline"},
        ]}});
        let started = self.start(pipeline, account, name, files, params).await?;
        self.ended(started).await
    }

    /// As [`Self::build`], by the pipeline that these fields of a run's spec name or are. To be waited for by [`Self::ended`].
    pub(crate) async fn start(
        &self,
        pipeline: Value,
        account: &str,
        name: &str,
        files: &[(String, String)],
        params: &[(&str, &str)],
    ) -> anyhow::Result<Started> {
        let (url, commit) = self.push(name, files).await?;
        let output = self.output(name);
        let given = [("git-url", &*url), ("output-image", &*output)];
        let params: Vec<_> =
            given.iter().chain(params).map(|(name, value)| json!({"name": name, "value": value})).collect();
        let mut spec = pipeline;
        spec["taskRunTemplate"] = json!({"serviceAccountName": account});
        spec["params"] = json!(params);
        let run: PipelineRun = serde_json::from_value(json!({
            "apiVersion": "tekton.dev/v1",
            "kind": "PipelineRun",
            "metadata": {"generateName": format!("{name}-")},
            "spec": spec,
        }))?;
        let runs: Api<PipelineRun> = Api::namespaced(self.kube.clone(), &self.namespace);
        let run = runs.create(&kube::api::PostParams::default(), &run).await?.name_any();
        Ok(Started { run, commit, url })
    }

    /// Waits for the end of a build.
    pub(crate) async fn ended(&self, started: Started) -> anyhow::Result<Build> {
        let Started { run: name, commit, url } = started;
        let runs: Api<PipelineRun> = Api::namespaced(self.kube.clone(), &self.namespace);
        let run = wait_for(&runs, &name, "its end", BUILD, |run| outcome(run).is_some()).await?;
        let of_run = ListParams::default().labels(&format!("tekton.dev/pipelineRun={name}"));
        let tasks = Api::<TaskRun>::namespaced(self.kube.clone(), &self.namespace).list(&of_run).await?;
        let tasks = tasks
            .items
            .into_iter()
            .filter_map(|task| Some((task.labels().get("tekton.dev/pipelineTask")?.clone(), task)));
        let tasks = tasks.collect();
        let namespace = self.namespace.to_string();
        let build = Build { kube: self.kube.clone(), namespace, run, tasks, commit, url };
        build.print_failures().await;
        Ok(build)
    }

    /// A repository at the forge, with these files: its address, and the commit.
    async fn push(&self, name: &str, files: &[(String, String)]) -> anyhow::Result<(String, String)> {
        let repository = format!("{}/{name}", self.owner);
        self.forge.ensure_repository(&repository, false).await?;
        let folder = tempfile::tempdir()?;
        for (path, content) in files {
            fs::write(folder.path().join(path), content).with_context(|| format!("write {path}"))?;
        }
        let push =
            Push { repository: &repository, branch: "main", folder: folder.path(), message: "Build it" };
        let client = self.forge.with_password(&self.owner, PASSWORD);
        let commit = client.push(&push).await?.commit().to_owned();
        Ok((format!("{}/{repository}", self.forge.url().trim_end_matches('/')), commit))
    }

    /// A manifest of the team's repository, by tag or digest.
    pub(crate) async fn manifest(&self, reference: &str) -> anyhow::Result<Option<Value>> {
        let content = self.images.manifest(self.path()?, reference, None).await?;
        Ok(content.map(|content| serde_json::from_slice(&content)).transpose()?)
    }

    /// What lies at a path of the team's repository (`blobs/<digest>`), as the registry sends it.
    pub(crate) async fn bytes(&self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let repository = self.path()?;
        match path.split_once('/') {
            Some(("manifests", reference)) => self.images.manifest(repository, reference, None).await,
            Some(("blobs", digest)) => self.images.blob(repository, digest, None).await,
            _ => bail!("{path} is neither a manifest nor a blob"),
        }
    }

    /// Labels of an image.
    pub(crate) async fn labels(&self, digest: &str) -> anyhow::Result<Value> {
        let manifest = self.manifest(digest).await?.with_context(|| format!("no image {digest}"))?;
        let config = manifest["config"]["digest"].as_str().context("the manifest has a config")?;
        let config = self.images.blob(self.path()?, config, None).await?.context("the config is there")?;
        let config: Value = serde_json::from_slice(&config)?;
        Ok(config["config"]["Labels"].clone())
    }

    fn path(&self) -> anyhow::Result<&str> {
        Ok(self.repository.split_once('/').context("a registry and a path")?.1)
    }
}

impl Build {
    /// Of the PipelineRun.
    pub(crate) fn name(&self) -> &str {
        self.run.metadata.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn has_succeeded(&self) -> bool {
        outcome(&self.run) == Some(true)
    }

    pub(crate) fn has_task(&self, task: &str) -> bool {
        self.tasks.contains_key(task)
    }

    /// Tasks that have failed.
    pub(crate) fn failed(&self) -> Vec<&str> {
        let is_failed = |task: &TaskRun| {
            let conditions = task.status.as_ref().map(|status| &status.conditions);
            conditions
                .and_then(|conditions| succeeded(conditions))
                .is_some_and(|condition| condition.status == "False")
        };
        self.tasks.iter().filter(|(_, task)| is_failed(task)).map(|(name, _)| name.as_str()).collect()
    }

    /// For whoever has to find out what went wrong.
    pub(crate) fn story(&self) -> String {
        let conditions = self.run.status.as_ref().map(|status| &status.conditions);
        let message =
            conditions.and_then(|conditions| succeeded(conditions)).map(|condition| &condition.message);
        format!("{}: {message:?}; failed: {:?}", self.run.name_any(), self.failed())
    }

    /// Logs of tasks that failed, or could not look at what they should check. Into what the test prints, which is seen only if it
    /// fails: nothing of the cluster is left then.
    async fn print_failures(&self) {
        let could_not_look = self
            .tasks
            .keys()
            .map(String::as_str)
            .filter(|task| self.test_output(task).is_ok_and(|output| output["result"] == "ERROR"));
        for task in self.failed().into_iter().chain(could_not_look) {
            match self.logs(task).await {
                Ok(logs) => logs.iter().for_each(|(step, log)| eprintln!("--- {task} {step}\n{log}")),
                Err(error) => eprintln!("--- {task} has no log: {error:#}"),
            }
        }
    }

    /// A result of the run.
    pub(crate) fn result(&self, name: &str) -> anyhow::Result<String> {
        let results = self.run.status.as_ref().map(|status| status.results.as_slice()).unwrap_or_default();
        let found = results.iter().find(|result| result.name == name);
        let value = found.and_then(|result| result.value.as_str());
        Ok(value.with_context(|| format!("{}: no result {name}", self.story()))?.to_owned())
    }

    pub(crate) fn task_result(&self, task: &str, name: &str) -> anyhow::Result<String> {
        let run = self.tasks.get(task).with_context(|| format!("{}: no task {task}", self.story()))?;
        let results = run.status.as_ref().map(|status| status.results.as_slice()).unwrap_or_default();
        let found = results.iter().find(|result| result.name == name);
        let value = found.and_then(|result| result.value.as_str());
        Ok(value.with_context(|| format!("{task} has no result {name}"))?.to_owned())
    }

    pub(crate) fn test_output(&self, task: &str) -> anyhow::Result<Value> {
        let text = self.task_result(task, "TEST_OUTPUT")?;
        ensure!(!text.contains('\n'), "{task}: TEST_OUTPUT is one line");
        serde_json::from_str(&text).with_context(|| format!("TEST_OUTPUT of {task}: {text}"))
    }

    /// What each step of a task has printed.
    pub(crate) async fn logs(&self, task: &str) -> anyhow::Result<Vec<(String, String)>> {
        let run = self.tasks.get(task).with_context(|| format!("{}: no task {task}", self.story()))?;
        let steps = run.status.as_ref().map(|status| status.steps.as_slice()).unwrap_or_default();
        let mut logs = Vec::new();
        for step in steps {
            logs.push((step.name.clone(), self.log(task, &step.container).await?));
        }
        Ok(logs)
    }

    /// What a step has printed.
    pub(crate) async fn log(&self, task: &str, container: &str) -> anyhow::Result<String> {
        let run = self.tasks.get(task).with_context(|| format!("{}: no task {task}", self.story()))?;
        let pod = run.status.as_ref().map(|status| status.pod_name.clone()).unwrap_or_default();
        let pods: Api<Pod> = Api::namespaced(self.kube.clone(), &self.namespace);
        // A task is over before its pod is, whose last lines may still be on their way.
        let is_over = |pod: &Pod| {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            matches!(phase, Some("Succeeded" | "Failed"))
        };
        wait_for(&pods, &pod, "its end", LONG, is_over).await?;
        let params = LogParams { container: Some(container.to_owned()), ..LogParams::default() };
        Ok(pods.logs(&pod, &params).await?)
    }
}

/// Whether a run has succeeded, once it has ended.
fn outcome(run: &PipelineRun) -> Option<bool> {
    let condition = succeeded(&run.status.as_ref()?.conditions)?;
    match &*condition.status {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}
