//! Scenario 20: requests for git, bundles and cluster, those that nobody answers, and those that may not be answered.

use kube::Api;
use pipelines_engine_api::status::succeeded;
use pipelines_engine_api::{ResolutionRequest, ResolutionRequestStatus};
use serde_json::{Value, json};
use testkit::registry::BundleLayer;
use testkit::{DEADLINE, Namespace, wait_for};

use crate::resolvers::{self, Outside, Resolvers};
use crate::service::{Service, of_pipeline_run, says, task};

const TASK: &str =
    "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: build}\nspec: {steps: [{image: a}]}\n";

/// An engine with its resolvers, who asks them, and what they may reach.
struct World {
    service: Service,
    resolvers: Resolvers,
    /// Asks, as the service's tenant does.
    other: Namespace<'static>,
    outside: Outside,
}

/// With these entries of ConfigMaps, by name.
async fn world(settings: &[(&str, Value)]) -> anyhow::Result<World> {
    let outside = Outside::start().await?;
    let trusted = ("config-registry-cert", json!({"cert": outside.authority.cert_pem()}));
    let service = Service::with(&[&[trusted], settings].concat(), &[]).await?;
    let other = service.plane.namespace("other").await?;
    let resolvers = Resolvers::start(&service, &[&service.tenant, &other], &outside).await?;
    Ok(World { service, resolvers, other, outside })
}

impl World {
    /// Asks, and waits for the last word.
    async fn resolve(
        &self,
        namespace: &str,
        kind: &str,
        params: &[(&str, &str)],
    ) -> anyhow::Result<ResolutionRequestStatus> {
        resolve(&self.service, namespace, kind, params).await
    }

    async fn end(mut self) -> anyhow::Result<()> {
        self.resolvers.stop().await?;
        self.service.stop().await
    }
}

async fn resolve(
    service: &Service,
    namespace: &str,
    kind: &str,
    params: &[(&str, &str)],
) -> anyhow::Result<ResolutionRequestStatus> {
    let params: Vec<_> = params.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let request = serde_json::from_value(json!({
        "metadata": {"generateName": "request-", "labels": {"resolution.tekton.dev/type": kind}},
        "spec": {"params": params},
    }))?;
    let api: Api<ResolutionRequest> = Api::namespaced(service.admin(), namespace);
    let made = api.create(&Default::default(), &request).await?;
    let is_over = |request: &ResolutionRequest| {
        let conditions = request.status.as_ref().map(|status| status.conditions.as_slice());
        succeeded(conditions.unwrap_or_default()).is_some_and(|condition| condition.status != "Unknown")
    };
    let name = made.metadata.name.unwrap_or_default();
    Ok(wait_for(&api, &name, "the last word", DEADLINE, is_over).await?.status.unwrap_or_default())
}

fn reason(status: &ResolutionRequestStatus) -> (&str, &str) {
    succeeded(&status.conditions)
        .map(|condition| (&*condition.reason, &*condition.message))
        .unwrap_or_default()
}

fn data(status: &ResolutionRequestStatus) -> anyhow::Result<String> {
    assert_eq!(reason(status), ("ResolutionSuccessful", ""));
    assert!(status.ref_source.is_some() && status.ref_source == status.source);
    Ok(String::from_utf8(data_encoding::BASE64.decode(status.data.as_bytes())?)?)
}

#[tokio::test]
async fn scenario_20_finds_objects_of_the_cluster_that_may_be_read() -> anyhow::Result<()> {
    let settings = [("cluster-resolver-config", json!({"blocked-namespaces": "kube-system"}))];
    let world = world(&settings).await?;
    world.other.apply_yaml(TASK).await?;
    let params = [("kind", "task"), ("name", "build"), ("namespace", &*world.other)];
    let status = world.resolve(&world.service.tenant, "cluster", &params).await?;
    assert!(data(&status)?.contains(r#""kind":"Task""#));
    let uri = status.ref_source.unwrap_or_default().uri;
    assert!(
        uri.starts_with(&format!("/apis/tekton.dev/v1/namespaces/{}/task/build@", &*world.other)),
        "{uri}"
    );

    let params = [("name", "build"), ("namespace", "kube-system")];
    let status = world.resolve(&world.service.tenant, "cluster", &params).await?;
    let (why, message) = reason(&status);
    assert_eq!(why, "ResolutionFailed");
    assert!(message.contains("blocked-namespaces") && status.data.is_empty(), "{message}");
    world.end().await
}

#[tokio::test]
async fn scenario_20_finds_layers_of_bundles_for_those_who_may_pull_them() -> anyhow::Result<()> {
    let world = world(&[]).await?;
    let (registry, tenant) = (&world.outside.registry, &world.service.tenant);
    let layer = BundleLayer { kind: "task", name: "build", content: TASK.as_bytes().to_vec() };
    let digest = registry.push_bundle("private", "v1", &[layer]);
    registry.lock("private", "robot", "secret");
    let auths = json!({"auths": {registry.address(): {"username": "robot", "password": "secret"}}});
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull"}, "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": auths.to_string()},
    });
    tenant.apply_yaml(&secret.to_string()).await?;
    // By digest, which is remembered: but not for others.
    let bundle = format!("{}/private@{digest}", registry.address());
    let params = [("bundle", bundle.as_str()), ("name", "build"), ("kind", "task"), ("secret", "pull")];
    let status = world.resolve(tenant, "bundles", &params).await?;
    assert_eq!(data(&status)?, TASK);
    let source = status.ref_source.unwrap_or_default();
    assert_eq!(format!("sha256:{}", source.digest["sha256"]), digest);
    for params in [&params[..], &params[..3]] {
        let status = world.resolve(&world.other, "bundles", params).await?;
        assert_eq!(reason(&status).0, "ResolutionFailed", "{status:?}");
    }
    let calls = registry.calls().len();
    let status = world.resolve(tenant, "bundles", &params).await?;
    assert_eq!((data(&status)?, registry.calls().len()), (TASK.to_owned(), calls), "nothing is asked again");
    world.end().await
}

#[tokio::test]
async fn scenario_20_finds_files_of_repositories() -> anyhow::Result<()> {
    let world = world(&[]).await?;
    let (git, tenant) = (&world.outside.git, &world.service.tenant);
    let commit = git.repository("tasks")?.commit(&[("build.yaml", TASK)])?;
    let url = git.url("tasks");
    let status = world.resolve(tenant, "git", &[("url", &url), ("pathInRepo", "build.yaml")]).await?;
    assert_eq!(data(&status)?, TASK);
    let source = status.ref_source.unwrap_or_default();
    assert_eq!((source.uri, source.entry_point), (format!("git+{url}"), "build.yaml".to_owned()));
    assert_eq!(source.digest["sha1"], commit);
    let params = [("url", url.as_str()), ("pathInRepo", "../x")];
    let status = world.resolve(tenant, "git", &params).await?;
    assert!(reason(&status).1.contains("pathInRepo"), "{status:?}");
    // A commit is remembered, for everybody, but no branch.
    let at = |revision: &'static str| {
        [("url", url.as_str()), ("pathInRepo", "build.yaml"), ("revision", revision)]
    };
    let commit: &'static str = commit.leak();
    for (revision, is_asked) in [(commit, true), (commit, false), ("main", true), ("main", true)] {
        let calls = git.calls().len();
        data(&world.resolve(&world.other, "git", &at(revision)).await?)?;
        assert_eq!(git.calls().len() > calls, is_asked, "{revision}");
    }
    world.end().await
}

#[tokio::test]
async fn scenario_20_what_nobody_answers_ends_and_says_why() -> anyhow::Result<()> {
    let settings = [
        ("config-defaults", json!({"default-maximum-resolution-timeout": "3s"})),
        ("resolvers-feature-flags", json!({"enable-git-resolver": "false"})),
    ];
    let world = world(&settings).await?;
    let tenant = &world.service.tenant;
    let status = world.resolve(tenant, "hub", &[("name", "build")]).await?;
    let (why, message) = reason(&status);
    assert_eq!(why, "ResolutionTimedOut");
    assert!(message.starts_with("resolution took longer than global timeout of 3s"), "{message}");
    assert!(message.contains("\"hub\""), "{message}");

    // Nothing listens there.
    let params = [("bundle", "127.0.0.1:1/tasks:v1"), ("name", "build")];
    let status = world.resolve(tenant, "bundles", &params).await?;
    let (why, message) = reason(&status);
    assert_eq!(why, "ResolutionTimedOut");
    assert!(message.contains("127.0.0.1:1/tasks:v1") && message.contains("cannot be reached"), "{message}");

    let params = [("url", "https://git.test/x"), ("pathInRepo", "a")];
    let status = world.resolve(tenant, "git", &params).await?;
    let (why, message) = reason(&status);
    assert_eq!(why, "ResolutionFailed");
    assert!(message.contains("enable-git-resolver"), "{message}");
    world.end().await
}

#[tokio::test]
async fn scenario_20_settings_and_authorities_are_followed_live() -> anyhow::Result<()> {
    let world = world(&[("git-resolver-config", json!({"default-revision": "gone"}))]).await?;
    let (git, registry, tenant) = (&world.outside.git, &world.outside.registry, &world.service.tenant);
    git.repository("tasks")?.commit(&[("build.yaml", TASK)])?;
    let layer = BundleLayer { kind: "task", name: "build", content: TASK.as_bytes().to_vec() };
    registry.push_bundle("tasks", "v1", &[layer]);
    let path = [("pathInRepo", "build.yaml")];
    let status = world.resolve(tenant, "git", &[("url", &git.url("tasks")), path[0]]).await?;
    assert!(reason(&status).1.contains("no revision \"gone\""), "{status:?}");
    let bundle = format!("{}/tasks:v1", registry.address());
    let bundle = [("bundle", bundle.as_str()), ("name", "build")];
    data(&world.resolve(tenant, "bundles", &bundle).await?)?;

    let set = async |name: &str, data: Value| resolvers::set(&world.service, name, &data).await;
    set("git-resolver-config", json!({"default-revision": "main", "default-url": git.url("tasks")})).await?;
    testkit::eventually(DEADLINE, "the new default-url to be in force", async || {
        let status = world.resolve(tenant, "git", &path).await?;
        anyhow::ensure!(reason(&status).0 == "ResolutionSuccessful", "{status:?}");
        Ok(())
    })
    .await?;
    set("bundleresolver-config", json!({"default-kind": "pipeline"})).await?;
    testkit::eventually(DEADLINE, "the new default-kind to be in force", async || {
        let status = world.resolve(tenant, "bundles", &bundle).await?;
        anyhow::ensure!(reason(&status).1.contains("has no pipeline"), "{status:?}");
        Ok(())
    })
    .await?;

    // An authority that is not named any more is not believed any more.
    set("config-defaults", json!({"default-maximum-resolution-timeout": "2s"})).await?;
    set("config-registry-cert", json!({"cert": null})).await?;
    testkit::eventually(DEADLINE, "the authority to be forgotten", async || {
        let status = world.resolve(tenant, "bundles", &bundle).await?;
        anyhow::ensure!(reason(&status).1.contains("cannot be reached"), "{status:?}");
        Ok(())
    })
    .await?;
    world.end().await
}

#[tokio::test]
async fn scenario_20_without_resolvers_runs_end_and_others_go_on() -> anyhow::Result<()> {
    let settings = [("config-defaults", json!({"default-maximum-resolution-timeout": "3s"}))];
    let mut service = Service::with(&settings, &[]).await?;
    let params =
        json!([{"name": "url", "value": "https://git.test/x"}, {"name": "pathInRepo", "value": "a"}]);
    let reference = json!({"resolver": "git", "params": params});
    service.run_pipeline("pipeline", &json!({"pipelineRef": reference})).await?;
    service
        .run_pipeline("task", &json!({"pipelineSpec": {"tasks": [{"name": "a", "taskRef": reference}]}}))
        .await?;
    service.run_task("alone", &json!({"taskRef": reference})).await?;
    service.run_pipeline("inline", &json!({"pipelineSpec": {"tasks": [task("a")]}})).await?;
    assert_eq!(of_pipeline_run(&service.end_of("inline").await?), says("True", "Succeeded"));
    for (name, expected) in [("pipeline", "CouldntGetPipeline"), ("task", "CouldntGetTask")] {
        let run = service.end_of(name).await?;
        let conditions = run.status.unwrap_or_default().conditions;
        let said = succeeded(&conditions).map(|condition| (&*condition.reason, &*condition.message));
        let (why, message) = said.unwrap_or_default();
        assert_eq!(why, expected, "{message}");
        assert!(message.contains("ResolutionTimedOut") && message.contains("is there one?"), "{message}");
    }
    let conditions = service.end_of_task("alone").await?.status.unwrap_or_default().conditions;
    let message = succeeded(&conditions).map(|condition| condition.message.clone()).unwrap_or_default();
    assert!(message.contains("ResolutionTimedOut"), "{message}");
    service.stop().await
}
