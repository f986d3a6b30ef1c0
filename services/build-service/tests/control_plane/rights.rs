//! The rules of the base are what the code uses: nothing is missing, nothing is too much.

use application_service_api::Component;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use testkit::rbac::Rare;
use testkit::{DEADLINE, builders, eventually, wait_for, wait_gone};

use crate::service::{REPOSITORY, Service};

#[tokio::test]
async fn the_base_grants_exactly_what_is_used() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.add_app_secret().await?;
    let config = format!(
        "default-pipeline-name: docker-build\npipelines:\n- name: docker-build\n  bundle: {}\n",
        service.bundle()
    );
    let map = builders::config_map(
        service.installed.namespace(),
        "build-pipeline-config",
        [("config.yaml", &*config)],
    );
    let maps: Api<ConfigMap> = Api::namespaced(service.admin(), service.installed.namespace());
    maps.create(&PostParams::default(), &map).await?;
    let mut common = builders::secret(&service.tenant, "common", [("a", "b")]);
    common.labels_mut().insert("build.appstudio.openshift.io/common-secret".to_owned(), "true".to_owned());
    service.api::<Secret>().create(&PostParams::default(), &common).await?;
    let token = service.github.token("jane", &["repo", "admin:repo_hook"]);
    service.add_token("git", service.github.url(), &token, "").await?;
    service.flags.push("--service-account=per-component".to_owned());
    let ledger = service.plane.ledger()?;
    let mark = ledger.mark().await?;
    service.run().await?;
    let mut component = service.component("api");
    let image = json!({"image": "images.example/shop/api", "secret": "push"}).to_string();
    component.annotations_mut().insert("image.redhat.com/image".to_owned(), image);
    service.create(&component).await?;
    service.handled("api").await?;
    let is_linked = |account: &ServiceAccount| {
        account.secrets.iter().flatten().any(|secret| secret.name.as_deref() == Some("common"))
    };
    wait_for(&service.api(), "build-pipeline-api", "what is common to all", DEADLINE, is_linked).await?;
    service.ask("api", "configure-pac").await?;
    service.ask("api", "trigger-pac-build").await?;
    service.github.edit(|model| model.merge_pull(REPOSITORY, 1, "Merge it").map(drop))?;
    service.ask("api", "unconfigure-pac").await?;
    service.create_asking(service.component("web"), "configure-pac").await?;
    service.handled("web").await?;
    service.api::<Component>().delete("api", &DeleteParams::default()).await?;
    wait_gone(&service.api::<Component>(), "api", DEADLINE).await?;
    eventually(DEADLINE, "its run to be gone", async || {
        anyhow::ensure!(service.runs().await?.is_empty(), "it is there");
        Ok(())
    })
    .await?;
    service.stop().await?;

    let calls = ledger.since(&mark).await?.by(&service.installed.user()?);
    let no_streaming = "API servers without streaming lists";
    let two = "two that make the same at the same time";
    let rare = [
        Rare { verb: "list", resource: "components", because: no_streaming },
        Rare { verb: "list", resource: "buildpipelineselectors", because: no_streaming },
        Rare { verb: "list", resource: "pipelineruns", because: no_streaming },
        Rare { verb: "list", resource: "releaseplanadmissions", because: no_streaming },
        Rare { verb: "list", resource: "repositories", because: two },
        Rare { verb: "get", resource: "repositories", because: two },
        Rare { verb: "get", resource: "pipelineruns", because: "a build that was started before a crash" },
        Rare { verb: "get", resource: "routes", because: "OpenShift, where nobody says where webhooks go" },
        Rare { verb: "patch", resource: "secrets", because: "a second repository of a namespace" },
        Rare { verb: "patch", resource: "events", because: "the same Event twice" },
        Rare { verb: "create", resource: "leases", because: "the lease is made once" },
        Rare {
            verb: "bind",
            resource: "clusterroles",
            because: "asked by the API server for each RoleBinding",
        },
        Rare { verb: "patch", resource: "pipelineruns", because: "nudging has tests of its own" },
        Rare { verb: "create", resource: "configmaps", because: "nudging has tests of its own" },
        Rare { verb: "create", resource: "jobs", because: "the updater has tests of its own" },
        Rare { verb: "get", resource: "jobs", because: "the updater has tests of its own" },
        Rare { verb: "patch", resource: "jobs", because: "the updater has tests of its own" },
    ];
    service.installed.compare_rules(&calls, &rare)?.check()
}
