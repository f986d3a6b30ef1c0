//! Scenario 20: requests for git, bundles and cluster, those that nobody answers, and those that may not be answered.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Parser as _;
use fleet::Fleet;
use fleet::outbound::{self, Options};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use pipelines_engine::resolution::{self, CurrentSettings, Git, Resolver};
use pipelines_engine_api::status::succeeded;
use pipelines_engine_api::{ResolutionRequest, ResolutionRequestStatus};
use prometheus::Registry;
use serde_json::json;
use testkit::pki::Authority;
use testkit::registry::{BundleLayer, PlayedRegistry};
use testkit::{ControlPlane, DEADLINE, Namespace, wait_for};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const TASK: &str =
    "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: build}\nspec: {steps: [{image: a}]}\n";

#[derive(Debug, clap::Parser)]
struct Args {
    #[command(flatten)]
    fleet: fleet::Args,
}

/// The resolvers of one test, and what they may reach.
struct World {
    client: Client,
    /// Asks.
    tenant: Namespace<'static>,
    /// Asks too.
    other: Namespace<'static>,
    registry: PlayedRegistry,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), fleet::Error>>,
    folder: tempfile::TempDir,
}

/// With these ConfigMaps, by name.
async fn world(settings: &[(&str, &[(&str, &str)])]) -> anyhow::Result<World> {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let plane = ControlPlane::shared().await;
    testkit::crd::install(plane, &pipelines_engine_api::crds()).await?;
    let client = plane.admin();
    let (own, tenant, other) = (
        plane.namespace("resolvers").await?,
        plane.namespace("tenant").await?,
        plane.namespace("other").await?,
    );
    for (name, data) in settings {
        let data: BTreeMap<_, _> = data.iter().copied().collect();
        let labels = json!({"app.kubernetes.io/part-of": "tekton-pipelines"});
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": data});
        own.apply_yaml(&map.to_string()).await?;
    }
    let (authority, folder) = (Authority::new("resolution")?, tempfile::tempdir()?);
    let bundle = folder.path().join("ca.crt");
    std::fs::write(&bundle, authority.cert_pem())?;
    let options = Options { allow: "127.0.0.1".parse()?, ca_bundle: Some(bundle), ..Options::default() };
    let metrics = Registry::new();
    let outbound = outbound::Client::new("test", options, fleet::Clock::system(), &metrics)?;
    let args = Args::try_parse_from([
        "resolvers",
        "--metrics-addr=127.0.0.1:0",
        "--health-addr=127.0.0.1:0",
        &format!("--watch-namespaces={tenant},{other}"),
        &format!("--namespace={own}"),
    ])?;
    let stop = CancellationToken::new();
    let mut fleet = Fleet::new("resolvers", args.fleet, client.clone(), metrics, stop.clone())?;
    let requests = fleet.store::<ResolutionRequest>().build();
    let maps = fleet.store::<ConfigMap>().only_in(&*own).build();
    let settings = CurrentSettings::follow(&maps);
    let git = Git::new(outbound.clone()).with_paths();
    let resolver = Resolver::new(client.clone(), &outbound).with_git(git);
    let lifecycle = resolution::lifecycle(&fleet, &requests, &settings);
    let resolvers = resolution::resolvers(&fleet, &requests, &settings, resolver, &own);
    fleet.run(lifecycle);
    fleet.run(resolvers);
    let serving = tokio::spawn(fleet.serve());
    let registry = PlayedRegistry::start(&authority)?;
    Ok(World { client, tenant, other, registry, stop, serving, folder })
}

impl World {
    /// Asks, and waits for the last word.
    async fn resolve(
        &self,
        namespace: &Namespace<'_>,
        kind: &str,
        params: &[(&str, &str)],
    ) -> anyhow::Result<ResolutionRequestStatus> {
        let params: Vec<_> =
            params.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        let request = json!({
            "apiVersion": "resolution.tekton.dev/v1beta1", "kind": "ResolutionRequest",
            "metadata": {"name": "request", "labels": {"resolution.tekton.dev/type": kind}},
            "spec": {"params": params},
        });
        let api: Api<ResolutionRequest> = Api::namespaced(self.client.clone(), namespace);
        if api.get_opt("request").await?.is_some() {
            api.delete("request", &kube::api::DeleteParams::default()).await?;
        }
        namespace.apply_yaml(&request.to_string()).await?;
        let is_over = |request: &ResolutionRequest| {
            let conditions = request.status.as_ref().map(|status| status.conditions.as_slice());
            succeeded(conditions.unwrap_or_default()).is_some_and(|condition| condition.status != "Unknown")
        };
        let over = wait_for(&api, "request", "the last word", DEADLINE, is_over).await?;
        Ok(over.status.unwrap_or_default())
    }

    async fn end(self) -> anyhow::Result<()> {
        self.stop.cancel();
        Ok(self.serving.await??)
    }
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
    let world = world(&[("cluster-resolver-config", &[("blocked-namespaces", "kube-system")])]).await?;
    world.other.apply_yaml(TASK).await?;
    let ask = |namespace: &str| {
        [("kind", "task"), ("name", "build"), ("namespace", namespace)].map(|(k, v)| (k, v.to_owned()))
    };
    let params = ask(&world.other);
    let params: Vec<_> = params.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let status = world.resolve(&world.tenant, "cluster", &params).await?;
    assert!(data(&status)?.contains(r#""kind":"Task""#));
    let uri = status.ref_source.unwrap_or_default().uri;
    assert!(
        uri.starts_with(&format!("/apis/tekton.dev/v1/namespaces/{}/task/build@", &*world.other)),
        "{uri}"
    );

    let params = [("name", "build"), ("namespace", "kube-system")];
    let status = world.resolve(&world.tenant, "cluster", &params).await?;
    let (why, message) = reason(&status);
    assert_eq!(why, "ResolutionFailed");
    assert!(message.contains("blocked-namespaces") && status.data.is_empty(), "{message}");
    world.end().await
}

#[tokio::test]
async fn scenario_20_finds_layers_of_bundles_for_those_who_may_pull_them() -> anyhow::Result<()> {
    let world = world(&[]).await?;
    let layer = BundleLayer { kind: "task", name: "build", content: TASK.as_bytes().to_vec() };
    let digest = world.registry.push_bundle("private", "v1", &[layer]);
    world.registry.lock("private", "robot", "secret");
    let auths = json!({"auths": {world.registry.address(): {"username": "robot", "password": "secret"}}});
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull"}, "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": auths.to_string()},
    });
    world.tenant.apply_yaml(&secret.to_string()).await?;
    // By digest, which is remembered: but not for others.
    let bundle = format!("{}/private@{digest}", world.registry.address());
    let params = [("bundle", bundle.as_str()), ("name", "build"), ("kind", "task"), ("secret", "pull")];
    let status = world.resolve(&world.tenant, "bundles", &params).await?;
    assert_eq!(data(&status)?, TASK);
    let source = status.ref_source.unwrap_or_default();
    assert_eq!(format!("sha256:{}", source.digest["sha256"]), digest);
    let status = world.resolve(&world.other, "bundles", &params).await?;
    assert_eq!(reason(&status).0, "ResolutionFailed", "{status:?}");
    let calls = world.registry.calls().len();
    let status = world.resolve(&world.tenant, "bundles", &params).await?;
    assert_eq!(
        (data(&status)?, world.registry.calls().len()),
        (TASK.to_owned(), calls),
        "nothing is asked again"
    );
    world.end().await
}

#[tokio::test]
async fn scenario_20_finds_files_of_repositories() -> anyhow::Result<()> {
    let world = world(&[]).await?;
    let repository = world.folder.path().join("repository");
    let git = |arguments: &[&str]| run_git(&repository, arguments);
    std::fs::create_dir(&repository)?;
    git(&["init", "--quiet"])?;
    std::fs::write(repository.join("build.yaml"), TASK)?;
    git(&["add", "."])?;
    git(&["commit", "--quiet", "-m", "one"])?;
    let url = repository.display().to_string();
    let status = world.resolve(&world.tenant, "git", &[("url", &url), ("pathInRepo", "build.yaml")]).await?;
    assert_eq!(data(&status)?, TASK);
    let source = status.ref_source.unwrap_or_default();
    assert_eq!((source.uri, source.entry_point), (format!("git+{url}"), "build.yaml".to_owned()));
    assert_eq!(source.digest["sha1"].len(), 40);
    let status = world.resolve(&world.tenant, "git", &[("url", &url), ("pathInRepo", "../x")]).await?;
    assert!(reason(&status).1.contains("pathInRepo"), "{status:?}");
    world.end().await
}

fn run_git(folder: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let status = std::process::Command::new("git")
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(folder)
        .status()?;
    anyhow::ensure!(status.success(), "git {arguments:?}");
    Ok(())
}

#[tokio::test]
async fn scenario_20_what_nobody_answers_ends_and_says_why() -> anyhow::Result<()> {
    let settings: [(&str, &[(&str, &str)]); 2] = [
        ("config-defaults", &[("default-maximum-resolution-timeout", "3s")]),
        ("resolvers-feature-flags", &[("enable-git-resolver", "false")]),
    ];
    let world = world(&settings).await?;
    let status = world.resolve(&world.tenant, "hub", &[("name", "build")]).await?;
    let (why, message) = reason(&status);
    assert_eq!(why, "ResolutionTimedOut");
    assert!(message.starts_with("resolution took longer than global timeout of 3s"), "{message}");
    assert!(message.contains("\"hub\""), "{message}");

    // Nothing listens there.
    let params = [("bundle", "127.0.0.1:1/tasks:v1"), ("name", "build")];
    let status = world.resolve(&world.tenant, "bundles", &params).await?;
    let (why, message) = reason(&status);
    assert_eq!(why, "ResolutionTimedOut");
    assert!(message.contains("127.0.0.1:1/tasks:v1") && message.contains("cannot be reached"), "{message}");

    let status =
        world.resolve(&world.tenant, "git", &[("url", "https://git.test/x"), ("pathInRepo", "a")]).await?;
    let (why, message) = reason(&status);
    assert_eq!(why, "ResolutionFailed");
    assert!(message.contains("enable-git-resolver"), "{message}");
    world.end().await
}
