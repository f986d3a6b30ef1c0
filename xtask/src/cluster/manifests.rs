//! Objects that make a bare API server a usable cluster: DNS, storage, and what their programs may do.
use anyhow::Context as _;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        core::v1::Service,
        discovery::v1::EndpointSlice,
        rbac::v1::{ClusterRole, ClusterRoleBinding},
        storage::v1::StorageClass,
    },
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    credentials::{COREDNS_USER, KUBELET_CLIENT_USER, PROVISIONER_USER},
    provisioner::{CLASS, PROVISIONER},
    settings::Embedded,
};

const MANAGER: &str = "konflux-dev-cluster";

/// Creates or corrects them all.
pub async fn apply(client: &Client, cluster: &Embedded) -> anyhow::Result<()> {
    for role in roles() {
        let role: ClusterRole = serde_json::from_value(role)?;
        patch(Api::all(client.clone()), &role).await?;
    }
    for (user, role) in [
        (COREDNS_USER, COREDNS_USER),
        (PROVISIONER_USER, PROVISIONER_USER),
        (KUBELET_CLIENT_USER, "system:kubelet-api-admin"),
    ] {
        let binding: ClusterRoleBinding = serde_json::from_value(binding(user, role))?;
        patch(Api::all(client.clone()), &binding).await?;
    }
    let class: StorageClass = serde_json::from_value(storage_class())?;
    patch(Api::all(client.clone()), &class).await?;
    let service: Service = serde_json::from_value(dns_service(cluster))?;
    patch(system(client), &service).await?;
    let slice: EndpointSlice = serde_json::from_value(dns_endpoints(cluster))?;
    patch(system(client), &slice).await
}

fn system<K>(client: &Client) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    Api::namespaced(client.clone(), "kube-system")
}

async fn patch<K>(api: Api<K>, object: &K) -> anyhow::Result<()>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let name = object.name_any();
    api.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(object))
        .await
        .with_context(|| format!("apply {} {name}", K::kind(&())))?;
    Ok(())
}

fn roles() -> [Value; 2] {
    let role = |name: &str, rules: Value| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": { "name": name },
            "rules": rules,
        })
    };
    [
        role(
            COREDNS_USER,
            json!([
                { "apiGroups": [""], "resources": ["services", "namespaces"], "verbs": ["list", "watch"] },
                { "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"] },
            ]),
        ),
        role(
            PROVISIONER_USER,
            json!([
                { "apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["list", "watch"] },
                {
                    "apiGroups": [""],
                    "resources": ["persistentvolumes"],
                    "verbs": ["list", "watch", "create", "delete"],
                },
            ]),
        ),
    ]
}

fn binding(user: &str, role: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": { "name": user },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user }],
    })
}

fn storage_class() -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": CLASS,
            "annotations": { "storageclass.kubernetes.io/is-default-class": "true" },
        },
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    })
}

/// Without a selector: `CoreDNS` is a process of the node, no pod.
fn dns_service(cluster: &Embedded) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": "kube-dns", "namespace": "kube-system" },
        "spec": {
            "clusterIP": cluster.dns(),
            "ports": [
                { "name": "dns", "protocol": "UDP", "port": 53 },
                { "name": "dns-tcp", "protocol": "TCP", "port": 53 },
            ],
        },
    })
}

fn dns_endpoints(cluster: &Embedded) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kube-dns",
            "namespace": "kube-system",
            "labels": {
                "kubernetes.io/service-name": "kube-dns",
                "endpointslice.kubernetes.io/managed-by": MANAGER,
            },
        },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": [cluster.node()], "conditions": { "ready": true } }],
        "ports": [
            { "name": "dns", "protocol": "UDP", "port": 53 },
            { "name": "dns-tcp", "protocol": "TCP", "port": 53 },
        ],
    })
}
