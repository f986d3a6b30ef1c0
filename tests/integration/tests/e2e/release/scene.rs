//! Those who ask for releases, and those who release: a namespace each, with the rights that `cargo xtask tenant` gives.
use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, ensure};
use data_encoding::BASE64;
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams},
};
use pipelines_engine_api::PipelineRun;
use release_service_api::{Release, labels};
use serde_json::{Value, json};
use testkit::{ControlPlane, Namespace, wait_for};

use super::APPLICATION;
use crate::{
    component::team::trust,
    trust::{digest, platform::Platform},
};

/// For a pipeline of a release, on a machine that is busy with others.
const RELEASE: Duration = Duration::from_mins(8);
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An image of the platform's, for somebody to push as theirs.
const BORROWED: &str = "konflux/toolbox";

/// A development team, one of whom is called by name.
pub(super) struct Developers {
    client: Client,
    namespace: String,
    user: String,
}

impl Developers {
    /// In a namespace that is there.
    pub(super) async fn of(cluster: &ControlPlane, namespace: &str, user: &str) -> anyhow::Result<Self> {
        let admin = cluster.admin();
        let subject = json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user});
        bind(&admin, namespace, "developer", "appstudio-admin-user-actions", &subject).await?;
        let account = json!({"kind": "ServiceAccount", "name": "appstudio-pipeline", "namespace": namespace});
        bind(&admin, namespace, "runner", "appstudio-pipelines-runner", &account).await?;
        let mut config = cluster.admin_config();
        config.auth_info.impersonate = Some(user.to_owned());
        let client = Client::try_from(config)?;
        Ok(Self { client, namespace: namespace.to_owned(), user: user.to_owned() })
    }

    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Short and plain, so that it is its own label.
    pub(super) fn user(&self) -> &str {
        &self.user
    }

    pub(super) fn releases(&self) -> Api<Release> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates objects of the fleet's main group, which are told as documents of JSON.
    pub(super) async fn apply(&self, documents: &str) -> anyhow::Result<()> {
        for document in documents.split("\n---\n").filter(|document| !document.trim().is_empty()) {
            let object: DynamicObject = serde_json::from_str(document)?;
            let kind = object.types.as_ref().context("an object has a kind")?.kind.clone();
            let kind = GroupVersionKind::gvk("appstudio.redhat.com", "v1alpha1", &kind);
            let api: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), &self.namespace, &ApiResource::from_gvk(&kind));
            let created = api.create(&PostParams::default(), &object).await;
            created.with_context(|| format!("{} creates {}", self.user, object.name_any()))?;
        }
        Ok(())
    }

    /// A Snapshot of these images, by the names of their Components.
    pub(super) async fn snapshot(&self, name: &str, images: &[(&str, &str)]) -> anyhow::Result<()> {
        // Sources that nobody has: what is judged is the image.
        let git = json!({"url": "https://git.example.com/acme/greeter", "revision": "0123456789abcdef".repeat(3)[..40]});
        let components: Vec<_> = images
            .iter()
            .map(|(name, image)| json!({"name": name, "containerImage": image, "source": {"git": git}}))
            .collect();
        let snapshot = json!({
            "apiVersion": "appstudio.redhat.com/v1alpha1",
            "kind": "Snapshot",
            "metadata": {"name": name},
            "spec": {"application": APPLICATION, "components": components},
        });
        self.apply(&snapshot.to_string()).await
    }

    /// Asks for a Snapshot to be released; the name of the Release.
    pub(super) async fn ask(&self, plan: &str, snapshot: &str) -> anyhow::Result<String> {
        self.ask_with(plan, snapshot, &[]).await
    }

    pub(super) async fn ask_with(
        &self,
        plan: &str,
        snapshot: &str,
        labels: &[(&str, &str)],
    ) -> anyhow::Result<String> {
        let labels: BTreeMap<_, _> = labels.iter().copied().collect();
        let release = serde_json::from_value(json!({
            "apiVersion": "appstudio.redhat.com/v1alpha1",
            "kind": "Release",
            "metadata": {"generateName": format!("{plan}-"), "labels": labels},
            "spec": {"releasePlan": plan, "snapshot": snapshot},
        }))?;
        Ok(self.releases().create(&PostParams::default(), &release).await?.name_any())
    }
}

/// A release team.
pub(super) struct Releasers<'a> {
    namespace: Namespace<'a>,
    kube: Client,
    platform: Platform,
    /// What images are pushed by: host and port.
    host: String,
}

impl<'a> Releasers<'a> {
    /// With a login for the platform registry, and a policy that wants what chains signs and attests.
    pub(super) async fn new(
        cluster: &'a ControlPlane,
        name: &str,
        platform: &Platform,
    ) -> anyhow::Result<Self> {
        let namespace = cluster.namespace(&format!("e2e-{name}")).await?;
        trust(cluster, &namespace).await?;
        let host = format!("{}:{}", platform.name, platform.push_port);
        let login = BASE64.encode(format!("{}:{}", platform.username, platform.password).as_bytes());
        // Bases, and images of steps.
        let ours = format!("{}/konflux/", platform.name);
        let logins = json!({"auths": {&host: {"auth": login}}}).to_string();
        let objects = [
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "destination"},
                "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": logins},
            }),
            json!({
                "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "release-service-account"},
                "secrets": [{"name": "destination"}],
            }),
            json!({
                "apiVersion": "appstudio.redhat.com/v1alpha1",
                "kind": "EnterpriseContractPolicy",
                "metadata": {"name": "release-policy"},
                "spec": {"publicKey": "k8s://openshift-pipelines/public-key", "sources": [{
                    "policy": [format!("oci::{}/konflux/policy-release:latest", platform.name)],
                    "data": [format!("oci::{}/konflux/policy-data:latest", platform.name)],
                    "ruleData": {
                        "allowed_builder_ids": ["https://fleet.konflux-ci.dev/shards/dev"],
                        "allowed_registry_prefixes": [&ours],
                        "allowed_step_image_registry_prefixes": [&ours],
                    },
                    "config": {"include": ["@minimal", "@slsa3"]},
                }]},
            }),
        ];
        namespace.apply_yaml(&objects.map(|object| object.to_string()).join("\n---\n")).await?;
        let account = json!({
            "kind": "ServiceAccount", "name": "release-service-account", "namespace": &*namespace,
        });
        let kube = cluster.admin();
        for role in ["release-pipeline-resource-role", "appstudio-pipelines-runner"] {
            bind(&kube, &namespace, role, role, &account).await?;
        }
        Ok(Self { namespace, kube, platform: Platform::new()?, host })
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Where a Component's images are copied to.
    pub(super) fn destination(&self, component: &str) -> String {
        format!("released/{}/{component}", &*self.namespace)
    }

    /// Admits the Application of a tenant, by the pipeline that copies images.
    pub(super) async fn admit(&self, name: &str, origin: &str, components: &[&str]) -> anyhow::Result<()> {
        let mapped: Vec<_> = components
            .iter()
            .map(|component| {
                let repository = format!("{}/{}", self.host, self.destination(component));
                json!({"name": component, "repository": repository, "tags": ["latest", "{{ git_short_sha }}"]})
            })
            .collect();
        let bundle = format!("{}/konflux/pipeline-push-to-external-registry:devel", self.platform.name);
        let admission = json!({
            "apiVersion": "appstudio.redhat.com/v1alpha1",
            "kind": "ReleasePlanAdmission",
            "metadata": {"name": name},
            "spec": {
                "applications": [APPLICATION],
                "origin": origin,
                "policy": "release-policy",
                "pipeline": {
                    "serviceAccountName": "release-service-account",
                    "pipelineRef": {"resolver": "bundles", "params": [
                        {"name": "bundle", "value": bundle},
                        {"name": "name", "value": "push-to-external-registry"},
                        {"name": "kind", "value": "pipeline"},
                    ]},
                },
                "data": {"mapping": {"components": mapped}},
            },
        });
        self.namespace.apply_yaml(&admission.to_string()).await.map(drop)
    }

    /// The digest of what lies at a reference of the destination. An error if nothing does.
    pub(super) async fn digest(&self, component: &str, reference: &str) -> anyhow::Result<String> {
        let manifest = self.platform.manifest(&self.destination(component), reference).await;
        let manifest = manifest.with_context(|| format!("{} of {component}", reference))?;
        Ok(digest(&manifest))
    }

    /// Runs of a Release in this namespace.
    pub(super) async fn runs_of(&self, release: &str) -> anyhow::Result<Vec<PipelineRun>> {
        let runs: Api<PipelineRun> = Api::namespaced(self.kube.clone(), &self.namespace);
        let of_release = ListParams::default().labels(&format!("{}={release}", labels::NAME.as_str()));
        Ok(runs.list(&of_release).await?.items)
    }

    /// Pushes an image that nobody has signed: its name by its digest, and the digest.
    pub(super) async fn push_by_hand(&self, platform: &Platform) -> anyhow::Result<(String, String)> {
        let repository = format!("laptop/{}", &*self.namespace);
        let mut manifest: Value = serde_json::from_slice(&platform.manifest(BORROWED, "latest").await?)?;
        let layers = manifest["layers"].as_array().context("an image has layers")?.iter();
        let blobs: Vec<_> =
            layers.chain([&manifest["config"]]).filter_map(|blob| blob["digest"].as_str()).collect();
        for blob in blobs {
            platform.mount_blob(&repository, blob, BORROWED).await?;
        }
        manifest["annotations"] = json!({"example.com/pushed-by": "hand"});
        let manifest = serde_json::to_vec(&manifest)?;
        let digest = digest(&manifest);
        platform.put_manifest(&repository, &digest, MANIFEST, &manifest).await?;
        Ok((format!("{}/{repository}@{digest}", platform.name), digest))
    }
}

/// Binds a ClusterRole in a namespace.
async fn bind(
    client: &Client,
    namespace: &str,
    name: &str,
    role: &str,
    subject: &Value,
) -> anyhow::Result<()> {
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    });
    let bindings: Api<k8s_openapi::api::rbac::v1::RoleBinding> = Api::namespaced(client.clone(), namespace);
    bindings.patch(name, &PatchParams::apply("e2e").force(), &Patch::Apply(&binding)).await?;
    Ok(())
}

/// Waits until a Release has ended, well or not.
pub(super) async fn ended(releases: &Api<Release>, name: &str) -> anyhow::Result<Release> {
    let is_over = |release: &Release| {
        condition(release, "Released").is_ok_and(|(status, reason, _)| status == "True" || reason == "Failed")
    };
    let release = wait_for(releases, name, "its end", RELEASE, is_over).await?;
    let first = release.status.as_ref().and_then(|status| status.conditions.first());
    ensure!(first.is_some_and(|first| first.type_ == "Released"), "it is not the first condition");
    Ok(release)
}

/// Status, reason and message of a condition.
pub(super) fn condition<'a>(
    release: &'a Release,
    type_: &str,
) -> anyhow::Result<(&'a str, &'a str, &'a str)> {
    let conditions = release.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let found = conditions.iter().find(|condition| condition.type_ == type_);
    let found = found.with_context(|| format!("{} has no condition {type_}", release.name_any()))?;
    Ok((&found.status, &found.reason, &found.message))
}
