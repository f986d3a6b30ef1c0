//! A small service, installed as it would be deployed.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use axum::{Json, Router, routing::post};
use axum_server::tls_rustls::RustlsConfig;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams, PostParams};
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
use testkit::pki::{Authority, Leaf};
use testkit::rbac::Rare;
use testkit::{ControlPlane, DEADLINE, Installed, Options, Webhooks, builders, eventually};

/// A service that reads `ConfigMaps` everywhere, writes Secrets at home, and checks `ConfigMaps`.
const BASE: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: factory}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot, namespace: factory}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: factory}
data: {speed: high}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: robot, namespace: factory}
spec:
  selector: {matchLabels: {app: robot}}
  template:
    metadata: {labels: {app: robot}}
    spec: {containers: [{name: robot, image: robot}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: robot}
rules:
  - {apiGroups: [''], resources: [configmaps], verbs: [list, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: robot}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: robot}
subjects: [{kind: ServiceAccount, name: robot, namespace: factory}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: robot, namespace: factory}
rules:
  - {apiGroups: [''], resources: [secrets], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: robot, namespace: factory}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: robot}
subjects: [{kind: ServiceAccount, name: robot, namespace: factory}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: robot}
webhooks:
  - name: maps.example.com
    admissionReviewVersions: [v1]
    sideEffects: None
    failurePolicy: Fail
    rules:
      - {apiGroups: [''], apiVersions: [v1], resources: [configmaps], operations: [CREATE]}
    clientConfig:
      service: {name: robot, namespace: factory, path: /validate}
";

/// One of its kinds.
const CRD: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: robots.factory.example.com}
spec:
  group: factory.example.com
  names: {kind: Robot, plural: robots, singular: robot}
  scope: Namespaced
  conversion:
    strategy: Webhook
    webhook:
      conversionReviewVersions: [v1]
      clientConfig: {service: {name: robot, namespace: factory, path: /convert}}
  versions:
    - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
";

async fn install<'p>(
    plane: &'p ControlPlane,
    webhooks: Option<Webhooks<'_>>,
) -> anyhow::Result<Installed<'p>> {
    let folder = tempfile::tempdir()?;
    let (base, crds) = (folder.path().join("base"), folder.path().join("crds"));
    fs::create_dir(&base)?;
    fs::write(base.join("all.yaml"), BASE)?;
    fs::write(base.join("kustomization.yaml"), "resources: [all.yaml]\n")?;
    fs::create_dir(&crds)?;
    fs::write(crds.join("robots.yaml"), CRD)?;
    plane.install_from(&base, Some(&crds), webhooks).await
}

#[tokio::test]
async fn the_service_has_its_kinds_rights_and_settings_and_no_pods() -> anyhow::Result<()> {
    let plane = ControlPlane::shared().await;
    let installed = install(plane, None).await?;
    let home = installed.namespace();
    let client = installed.client().await?;

    // At once: the rules are awaited.
    Api::<ConfigMap>::all(client.clone()).list(&ListParams::default()).await?;
    let secrets = Api::<Secret>::namespaced(client, home);
    secrets.create(&PostParams::default(), &builders::secret(home, "key", [])).await?;
    assert!(secrets.list(&ListParams::default()).await.is_err());

    let settings = Api::<ConfigMap>::namespaced(plane.admin(), home).get("settings").await?;
    assert_eq!(settings.data.unwrap_or_default()["speed"], "high");
    let deployments = Api::<Deployment>::namespaced(plane.admin(), home).list(&ListParams::default()).await?;
    assert!(deployments.items.is_empty());
    let robot = "{apiVersion: factory.example.com/v1, kind: Robot, metadata: {name: arm}}";
    plane.apply_yaml(robot).await?;
    Ok(())
}

#[tokio::test]
async fn its_rules_are_compared_with_what_it_did() -> anyhow::Result<()> {
    let plane = ControlPlane::shared().await;
    let installed = install(plane, None).await?;
    // Does what the other should, and must not be taken for it.
    let other = install(plane, None).await?;
    let create_secret = async |installed: &Installed<'_>| {
        let home = installed.namespace();
        let secrets = Api::<Secret>::namespaced(installed.client().await?, home);
        secrets.create(&PostParams::default(), &builders::secret(home, "key", [])).await?;
        anyhow::Ok(())
    };
    create_secret(&other).await?;
    let list = ListParams::default();
    Api::<ConfigMap>::all(installed.client().await?).list(&list).await?;

    let rare = [Rare { verb: "delete", resource: "configmaps", because: "when the world ends" }];
    let calls = plane.ledger()?.everything().await?;
    let error = installed.compare_rules(&calls, &rare)?.check().unwrap_err().to_string();
    assert!(error.contains("create secrets in factory (Role robot)"), "{error}");
    assert_eq!(error.lines().count(), 3, "{error}");

    create_secret(&installed).await?;
    let calls = plane.ledger()?.everything().await?;
    installed.compare_rules(&calls, &rare)?.check()
}

#[tokio::test]
async fn the_api_server_calls_its_webhooks_in_this_process() -> anyhow::Result<()> {
    let plane = ControlPlane::shared().await;
    let tenant = plane.namespace("tenant").await?;
    let authority = Authority::new("robots")?;
    let port = serve_webhook(&authority.server("robot", &["127.0.0.1"])?).await?;
    let webhooks = Webhooks { port, ca_pem: Some(authority.cert_pem()), namespaces: &[&tenant] };
    let installed = install(plane, Some(webhooks)).await?;

    let maps = Api::<ConfigMap>::namespaced(plane.admin(), &tenant);
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let refusal = eventually(DEADLINE, "the webhook to be called", async || {
        let outcome = maps.create(&dry, &builders::config_map(&tenant, "a", [("colour", "red")])).await;
        outcome.err().ok_or_else(|| anyhow::anyhow!("nobody objected"))
    });
    let text = refusal.await?.to_string();
    assert!(text.contains("maps.example.com") && text.contains("data.colour: red is not allowed"), "{text}");
    maps.create(&dry, &builders::config_map(&tenant, "a", [("colour", "blue")])).await?;
    // Not a namespace of this installation.
    let home = installed.namespace();
    let elsewhere = Api::<ConfigMap>::namespaced(plane.admin(), home);
    elsewhere.create(&dry, &builders::config_map(home, "a", [("colour", "red")])).await?;
    Ok(())
}

#[tokio::test]
async fn conversions_come_to_this_process_where_nobody_else_needs_them() -> anyhow::Result<()> {
    // Nobody listens there: nothing may be admitted by it that another test makes.
    let webhooks = Webhooks { port: 4711, ca_pem: None, namespaces: &["no-namespace"] };
    let client_config = async |plane: &ControlPlane| {
        install(plane, Some(webhooks)).await?;
        let definitions = Api::<CustomResourceDefinition>::all(plane.admin());
        let conversion = definitions.get("robots.factory.example.com").await?.spec.conversion;
        anyhow::Ok(conversion.and_then(|conversion| conversion.webhook?.client_config).unwrap_or_default())
    };
    let shared = client_config(ControlPlane::shared().await).await?;
    assert_eq!((shared.url, shared.service.map(|service| service.name)), (None, Some("robot".to_owned())));
    let own = client_config(&ControlPlane::start(Options::default()).await?).await?;
    assert_eq!((own.url.as_deref(), own.service), (Some("https://127.0.0.1:4711/convert"), None));
    Ok(())
}

/// Serves a webhook that refuses red `ConfigMaps`, until the test ends. Returns its port.
async fn serve_webhook(leaf: &Leaf) -> anyhow::Result<u16> {
    let review = async |Json(review): Json<AdmissionReview<DynamicObject>>| {
        let request: AdmissionRequest<DynamicObject> =
            review.try_into().expect("the API server sends a request");
        let mut response = AdmissionResponse::from(&request);
        if request.object.is_some_and(|object| object.data["data"]["colour"] == "red") {
            response = response.deny("data.colour: red is not allowed; use blue");
        }
        Json(response.into_review())
    };
    let routes = Router::new().route("/validate", post(review));
    let tls = RustlsConfig::from_pem(leaf.cert_pem.clone().into(), leaf.key_pem.clone().into()).await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let server = axum_server::from_tcp_rustls(listener, tls)?;
    tokio::spawn(server.serve(routes.into_make_service()));
    Ok(port)
}

#[tokio::test]
async fn a_missing_base_is_named() -> anyhow::Result<()> {
    let plane = ControlPlane::shared().await;
    let error = plane.install_from(Path::new("/nonexistent/base"), None, None).await.unwrap_err();
    assert!(format!("{error:#}").contains("/nonexistent/base"), "{error:#}");
    Ok(())
}
