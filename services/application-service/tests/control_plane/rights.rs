//! The rules of the base are what the code uses: nothing is missing, nothing is too much.

use fleet_api::Truth;
use kube::api::PostParams;
use serde_json::json;
use testkit::rbac::Rare;
use testkit::{DEADLINE, builders, has_condition, wait_for};

use crate::service::{Service, application, git_component};

#[tokio::test]
async fn the_base_grants_exactly_what_is_used() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    let ledger = service.plane.ledger()?;
    let mark = ledger.mark().await?;
    service.run().await?;
    let (applications, components) = (service.applications(), service.components());
    let secrets =
        kube::Api::<k8s_openapi::api::core::v1::Secret>::namespaced(service.admin(), &service.tenant);
    secrets.create(&PostParams::default(), &builders::secret(&service.tenant, "token", [])).await?;
    let mut shop = application("shop", &json!({"displayName": "Shop"}));
    shop.metadata.finalizers = Some(vec![application_service_api::finalizers::APPLICATION.into()]);
    applications.create(&PostParams::default(), &shop).await?;
    let mut api = git_component("api", "shop");
    api.spec.secret = Some("token".into());
    components.create(&PostParams::default(), &api).await?;
    wait_for(&components, "api", "Created", DEADLINE, has_condition("Created", Truth::True)).await?;
    applications.delete("shop", &Default::default()).await?;
    testkit::wait_gone(&applications, "shop", DEADLINE).await?;
    service.stop().await?;

    let calls = ledger.since(&mark).await?.by(&service.installed.user()?);
    let no_streaming = "API servers without streaming lists";
    let rare = [
        Rare { verb: "list", resource: "applications", because: no_streaming },
        Rare { verb: "list", resource: "components", because: no_streaming },
        Rare { verb: "patch", resource: "secrets", because: "a certificate is renewed after ten weeks" },
    ];
    service.installed.compare_rules(&calls, &rare)?.check()
}
