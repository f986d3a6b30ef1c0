//! The rules of the base are what the code uses: nothing is missing, nothing is too much.

use application_service_api::{Application, Component};
use image_controller_api::ImageRepository;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use serde_json::json;
use testkit::rbac::Rare;
use testkit::{DEADLINE, builders, wait_gone};

use crate::service::{Service, image_repository};

#[tokio::test]
async fn the_base_grants_exactly_what_is_used() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    let ledger = service.plane.ledger()?;
    let mark = ledger.mark().await?;
    service.run().await?;
    service.create(&image_repository("plain", &json!({}))).await?;
    service.ready("plain").await?;
    service.linked("appstudio-pipeline", &["plain-image-push"], &[]).await?;
    service.patch("plain", &json!({"spec": {"credentials": {"regenerate-token": true}}})).await?;
    service.until("plain", "the request to go", |object| object.spec.credentials.is_none()).await?;
    service.stop().await?;

    service.flag("--build-service-account=per-component");
    service.run().await?;
    let runner = builders::service_account(&service.tenant, "konflux-integration-runner");
    service.api::<ServiceAccount>().create(&Default::default(), &runner).await?;
    let shop = json!({"metadata": {"name": "shop"}, "spec": {"displayName": "Shop"}});
    service.api::<Application>().create(&Default::default(), &serde_json::from_value(shop)?).await?;
    service.component("web", &json!({"image.redhat.com/generate": "true"})).await?;
    let ready = service.until("imagerepository-for-shop-web", "the account of the namespace", |object| {
        object
            .annotations()
            .contains_key("image-controller.appstudio.redhat.com/namespace-pull-secret-ensured")
    });
    ready.await?;
    service.linked("konflux-integration-runner", &["shop-pull"], &["shop-pull"]).await?;
    service.api::<Component>().delete("web", &DeleteParams::default()).await?;
    let objects = service.api::<ImageRepository>();
    wait_gone(&objects, "imagerepository-for-shop-web", DEADLINE).await?;
    objects.delete("plain", &DeleteParams::default()).await?;
    wait_gone(&objects, "plain", DEADLINE).await?;
    service.stop().await?;

    let calls = ledger.since(&mark).await?.by(&service.installed.user()?);
    let no_streaming = "API servers without streaming lists";
    let adopted = "one that a crash left is adopted";
    let remote = "where RemoteSecrets are delivered by another service";
    let rare = [
        Rare { verb: "list", resource: "imagerepositories", because: no_streaming },
        Rare { verb: "list", resource: "components", because: no_streaming },
        Rare { verb: "list", resource: "applications", because: no_streaming },
        Rare { verb: "list", resource: "serviceaccounts", because: no_streaming },
        Rare { verb: "get", resource: "imagerepositories", because: adopted },
        Rare { verb: "get", resource: "serviceaccounts", because: adopted },
        Rare { verb: "create", resource: "remotesecrets", because: remote },
        Rare { verb: "get", resource: "remotesecrets", because: remote },
        Rare { verb: "list", resource: "remotesecrets", because: remote },
        Rare { verb: "watch", resource: "remotesecrets", because: remote },
        Rare { verb: "patch", resource: "events", because: "the same Event twice" },
        Rare { verb: "create", resource: "leases", because: "the lease is made once" },
    ];
    service.installed.compare_rules(&calls, &rare)?.check()
}
