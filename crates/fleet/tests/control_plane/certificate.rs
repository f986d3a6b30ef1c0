//! Certificates that service and API server agree on, whatever happens to them.

use std::time::Duration;

use fleet::certificate::{CaTarget, Issuer, Timing};
use fleet::leader::Leadership;
use fleet::webhook::{Review, Verdict, Webhooks};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;
use testkit::{DEADLINE, eventually, wait_for};
use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::served::{Checked, Kind, PATH, Served, timing};

fn lenient() -> Webhooks {
    Webhooks::new().validate(PATH, |_: &Review<ConfigMap>| Verdict::Allow)
}

fn text(secret: &Secret, key: &str) -> String {
    let data = secret.data.as_ref().and_then(|data| data.get(key)).expect("the key is there");
    String::from_utf8(data.0.clone()).unwrap()
}

fn ca_bundle(configuration: &ValidatingWebhookConfiguration) -> Option<&ByteString> {
    configuration.webhooks.as_ref()?.first()?.client_config.ca_bundle.as_ref()
}

#[tokio::test]
async fn a_rotation_refuses_nothing() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("certificate").await.unwrap();
    // Renewed when a fifth, two seconds, is left: after eight.
    let timing = Timing { lifetime: Duration::from_secs(10), ..timing() };
    let served = Served::start(&client, &namespace, Kind::Validating, lenient(), timing).await;
    let maps = Checked::new(&client, &namespace);
    maps.are_checked(&served.registry).await;

    let first = served.certificate();
    let mut sent = 0;
    eventually(DEADLINE, "the first certificate to expire", async || {
        // Panics instead of trying again: not one may be refused.
        maps.dry_run("rotation").await.expect("the webhook is trusted all the time");
        sent += 1;
        anyhow::ensure!(fleet::Clock::system().now() > first.not_after, "it has not, after {sent} requests");
        Ok(())
    })
    .await
    .unwrap();
    assert!(sent > 20, "{sent} requests are no test");
    let second = served.certificate();
    assert!(second.not_after > first.not_after);
    assert_eq!(second.ca_pem.matches("BEGIN CERTIFICATE").count(), 2, "the first authority is still trusted");

    let secrets: Api<Secret> = Api::namespaced(client, &namespace);
    let secret = secrets.get("shop-webhook-cert").await.unwrap();
    assert_eq!(secret.type_.as_deref(), Some("kubernetes.io/tls"));
    assert_eq!(text(&secret, "tls.crt"), second.cert_pem);
    assert_eq!(text(&secret, "ca.crt"), second.ca_pem);
}

/// While the new authority cannot be written everywhere, the old certificate is kept, to its last second.
#[tokio::test]
async fn serves_nothing_that_is_not_trusted_yet() {
    let (plane, _) = admin().await;
    let namespace = plane.namespace("certificate").await.unwrap();
    // May not even look at its webhook configuration.
    let role = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: shop }
rules: [{ apiGroups: [''], resources: [secrets], verbs: [create, get, patch] }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: shop }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: shop }
subjects: [{ kind: ServiceAccount, name: shop }]
";
    namespace.apply_yaml(role).await.unwrap();
    let issuer = Issuer::new(namespace.client_as("shop").await.unwrap(), &namespace, "shop")
        .inject_into([CaTarget::ValidatingWebhooks(namespace.to_string())])
        .timing(Timing { lifetime: Duration::from_secs(5), ..timing() });
    let mut certificates = issuer.certificates();
    tokio::spawn(issuer.run(Leadership::always(), CancellationToken::new()));

    // With none at all nothing can be lost: the first is served at once.
    let first = tokio::time::timeout(DEADLINE, certificates.wait_for(Option::is_some));
    let first = first.await.expect("it issues").unwrap().clone().unwrap();
    let renewed = certificates.wait_for(|served| served.as_ref().is_some_and(|served| *served != first));
    tokio::time::timeout(DEADLINE, renewed).await.expect("it issues another").unwrap();
    assert!(fleet::Clock::system().now() >= first.not_after, "renewed though it could not be trusted");
}

#[tokio::test]
async fn repairs_a_dropped_authority() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("certificate").await.unwrap();
    let served = Served::start(&client, &namespace, Kind::Validating, lenient(), timing()).await;
    let maps = Checked::new(&client, &namespace);
    maps.are_checked(&served.registry).await;

    let configurations: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let expected = ByteString(served.certificate().ca_pem.clone().into_bytes());
    let stranger = testkit::pki::Authority::new("stranger").unwrap();
    for other in [None, Some(ByteString(stranger.cert_pem().as_bytes().to_vec()))] {
        let webhooks = json!([{ "name": "check.konflux.test", "clientConfig": { "caBundle": other } }]);
        let patch = Patch::Strategic(json!({ "webhooks": webhooks }));
        let broken = configurations.patch(&namespace, &PatchParams::default(), &patch).await.unwrap();
        assert_eq!(ca_bundle(&broken), other.as_ref());
        let repaired = |found: &ValidatingWebhookConfiguration| ca_bundle(found) == Some(&expected);
        wait_for(&configurations, &namespace, "the authority", DEADLINE, repaired).await.unwrap();
    }
    maps.are_checked(&served.registry).await;
}

#[tokio::test]
async fn replaces_a_secret_that_was_broken_or_removed() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("certificate").await.unwrap();
    let served = Served::start(&client, &namespace, Kind::Validating, lenient(), timing()).await;
    let maps = Checked::new(&client, &namespace);
    maps.are_checked(&served.registry).await;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let name = "shop-webhook-cert";

    let before = served.certificate();
    let patch = json!({ "data": { "tls.crt": "bm8gY2VydGlmaWNhdGU=" } });
    secrets.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    let valid = |secret: &Secret| text(secret, "tls.crt").starts_with("-----BEGIN CERTIFICATE-----");
    wait_for(&secrets, name, "another certificate", DEADLINE, valid).await.unwrap();
    maps.dry_run("after-it-was-broken").await.unwrap();

    secrets.delete(name, &DeleteParams::default()).await.unwrap();
    let secret = wait_for(&secrets, name, "the Secret", DEADLINE, valid).await.unwrap();
    maps.dry_run("after-it-was-removed").await.unwrap();
    assert_ne!(text(&secret, "tls.crt"), before.cert_pem);
}

#[tokio::test]
async fn follows_its_leader_with_the_rights_of_its_role() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("certificate").await.unwrap();
    let role = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: shop }
rules:
  - { apiGroups: [''], resources: [secrets], verbs: [create] }
  - { apiGroups: [''], resources: [secrets], resourceNames: [shop-webhook-cert], verbs: [get, patch] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: shop }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: shop }
subjects: [{ kind: ServiceAccount, name: shop }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: <namespace> }
rules:
  - apiGroups: [apiextensions.k8s.io]
    resources: [customresourcedefinitions]
    resourceNames: [things.<namespace>.konflux.test]
    verbs: [get, patch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: <namespace> }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: <namespace> }
subjects: [{ kind: ServiceAccount, name: shop, namespace: <namespace> }]
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: things.<namespace>.konflux.test }
spec:
  group: <namespace>.konflux.test
  names: { plural: things, singular: thing, kind: Thing }
  scope: Namespaced
  versions: [{ name: v1, served: true, storage: true, schema: { openAPIV3Schema: { type: object } } }]
  conversion:
    strategy: Webhook
    webhook:
      conversionReviewVersions: [v1]
      clientConfig: { service: { namespace: <namespace>, name: shop, path: /convert } }
";
    namespace.apply_yaml(&role.replace("<namespace>", &namespace)).await.unwrap();
    let crd = format!("things.{namespace}.konflux.test");
    let start = async |leadership: Leadership| {
        let issuer = Issuer::new(namespace.client_as("shop").await.unwrap(), &namespace, "shop")
            .inject_into([CaTarget::Conversion(crd.clone())])
            .timing(timing());
        let certificates = issuer.certificates();
        tokio::spawn(issuer.run(leadership, CancellationToken::new()));
        certificates
    };

    // Never leads, as its election is never run.
    let election = fleet::leader::Election::new(client.clone(), &namespace, "shop", "second");
    let mut following = start(election.leadership()).await;
    let mut leading = start(Leadership::always()).await;
    let issued = leading.wait_for(Option::is_some);
    let issued = tokio::time::timeout(DEADLINE, issued).await.expect("it issues").unwrap().clone().unwrap();
    let found = following.wait_for(Option::is_some);
    let found = tokio::time::timeout(DEADLINE, found).await.expect("it reads").unwrap().clone().unwrap();
    assert_eq!(found, issued);

    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let trusted = |crd: &CustomResourceDefinition| {
        let conversion = crd.spec.conversion.as_ref().and_then(|conversion| conversion.webhook.as_ref());
        let config = conversion.and_then(|webhook| webhook.client_config.as_ref());
        config.and_then(|config| config.ca_bundle.as_ref()).is_some_and(|ca| ca.0 == issued.ca_pem.as_bytes())
    };
    wait_for(&crds, &crd, "the authority", DEADLINE, trusted).await.unwrap();

    // Another leader finds what it needs, and makes nothing new.
    let secrets: Api<Secret> = Api::namespaced(client, &namespace);
    let before = secrets.get("shop-webhook-cert").await.unwrap();
    let mut next = start(Leadership::always()).await;
    let taken_over = next.wait_for(Option::is_some);
    let taken_over = tokio::time::timeout(DEADLINE, taken_over).await.expect("it reads").unwrap().clone();
    assert_eq!(taken_over.as_ref(), Some(&issued));
    let patch = json!({ "spec": { "conversion": { "webhook": { "clientConfig": { "caBundle": null } } } } });
    crds.patch(&crd, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    wait_for(&crds, &crd, "the authority", DEADLINE, trusted).await.unwrap();
    let after = secrets.get("shop-webhook-cert").await.unwrap();
    assert_eq!(before.metadata.resource_version, after.metadata.resource_version);
}
