//! Where webhooks lead, and that there is one.

use build_service_api::ErrorId;
use clap::Parser as _;
use fleet::{Clock, Secret};
use serde_json::json;
use testkit::forge::{Access as Role, GitLab};

use crate::args::Args;
use crate::failure::Failure;
use crate::git::testing::{Cluster, Outside, TENANT, gits, outside, source_of};
use crate::git::{Access, Source};
use crate::onboarding::Webhooks;

const REPOSITORY: &str = "acme/app";

struct World {
    cluster: Cluster,
    gitlab: GitLab,
    access: Access,
    source: Source,
    _outside: Outside,
}

async fn world() -> World {
    let (outside, cluster) = (outside(), Cluster::default());
    let gitlab = GitLab::start(&outside.authority).unwrap();
    gitlab.edit(|model| {
        model.repository(REPOSITORY).unwrap();
        model.member("acme", "robot", Role::Admin).unwrap();
    });
    let data = json!({ "password": gitlab.token("robot", &["api"]) });
    cluster.credentials("token", "basic-auth", "localhost", "", data);
    let gits = gits(&cluster, &outside, "https://github.com", Clock::system());
    let source = source_of(&format!("{}/{REPOSITORY}", gitlab.url()), None, Some("gitlab"));
    let access = gits.access(TENANT, &source).await.unwrap();
    World { cluster, gitlab, access, source, _outside: outside }
}

impl World {
    fn webhooks(&self, flags: &[&str]) -> Webhooks {
        let args = Args::try_parse_from([&["build-service"], flags].concat()).unwrap();
        Webhooks::new(&args, self.cluster.client())
    }

    async fn ensure(&self, flags: &[&str]) -> Result<(), Failure> {
        let secret = Secret::new("0123".to_owned());
        self.webhooks(flags).ensure(&self.access, &self.source, &secret).await
    }

    /// Address of each webhook, and whether the certificate is verified.
    fn hooks(&self) -> Vec<(String, bool)> {
        let hooks = self.gitlab.edit(|model| model.repo(REPOSITORY).unwrap().hooks.clone());
        hooks.into_iter().map(|hook| (hook.url, hook.verifies_tls)).collect()
    }
}

/// Acceptance scenario 4: by two Components, and again, there is one.
#[tokio::test]
async fn a_repository_has_one_webhook() {
    let world = world().await;
    let flags = ["--pac-webhook-url=https://pac.test/"];
    for _ in 0..3 {
        world.ensure(&flags).await.unwrap();
    }
    assert_eq!(world.hooks(), [("https://pac.test".to_owned(), true)]);
    world.ensure(&["--pac-webhook-url=https://pac.test", "--pac-webhook-insecure-ssl=1"]).await.unwrap();
    assert_eq!(world.hooks(), [("https://pac.test".to_owned(), false)]);
    world.webhooks(&flags).remove(&world.access, &world.source).await.unwrap();
    assert_eq!(world.hooks(), []);
    world.webhooks(&flags).remove(&world.access, &world.source).await.unwrap();
}

#[tokio::test]
async fn flag_file_and_route_count_in_this_order() {
    let world = world().await;
    let id = |target: Result<String, Failure>| match target.unwrap_err() {
        Failure::Permanent { id, .. } => id,
        Failure::Transient { detail, .. } => panic!("it is transient: {detail}"),
    };
    let target = async |flags: &[&str]| world.webhooks(flags).target(&world.source).await;
    assert_eq!(id(target(&[]).await), ErrorId::PacRouteDoesNotExist);
    assert_eq!(
        world.ensure(&[]).await.map_err(|failure| id(Err(failure))),
        Err(ErrorId::PacRouteDoesNotExist)
    );
    // What was never made need not be found.
    world.webhooks(&[]).remove(&world.access, &world.source).await.unwrap();
    for (namespace, host) in [("pipelines-as-code", "second.test"), ("openshift-pipelines", "first.test")] {
        let path =
            format!("/apis/route.openshift.io/v1/namespaces/{namespace}/routes/pipelines-as-code-controller");
        let metadata = json!({ "name": "pipelines-as-code-controller", "namespace": namespace });
        world.cluster.put(&path, json!({ "metadata": metadata, "spec": {"host": host} }));
        assert_eq!(target(&[]).await.unwrap(), format!("https://{host}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("webhooks.json");
    let flag = format!("--webhook-config-path={}", path.display());
    assert_eq!(target(&[&flag]).await.unwrap(), "https://first.test", "there is no such file");
    std::fs::write(&path, json!({ "https://other.test": "https://x.test" }).to_string()).unwrap();
    assert_eq!(target(&[&flag]).await.unwrap(), "https://first.test", "it is for others");
    std::fs::write(
        &path,
        json!({ "https://localhost": "https://file.test", "": "https://x.test" }).to_string(),
    )
    .unwrap();
    assert_eq!(target(&[&flag]).await.unwrap(), "https://file.test");
    assert_eq!(target(&[&flag, "--pac-webhook-url=https://flag.test"]).await.unwrap(), "https://flag.test");
    std::fs::write(&path, "{").unwrap();
    assert!(matches!(target(&[&flag]).await, Err(Failure::Transient { .. })));
}

/// Decision 20: the forge's own webhook sends the events of all repositories.
#[tokio::test]
async fn a_forge_with_a_webhook_of_its_own_is_let_alone() {
    let world = world().await;
    let flags = ["--pac-webhook-url=https://pac.test", "--system-webhooks=git.test,LOCALHOST"];
    world.gitlab.traffic().forget();
    world.ensure(&flags).await.unwrap();
    world.webhooks(&flags).remove(&world.access, &world.source).await.unwrap();
    assert_eq!(world.gitlab.traffic().calls().len(), 0);
}
