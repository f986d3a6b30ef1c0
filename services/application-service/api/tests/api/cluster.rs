//! An API server that serves our kinds, and requests to it.

use application_service_api::crds;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::core::discovery::ApiResource;
use kube::core::{DynamicObject, GroupVersionKind};
use serde_json::Value;
use testkit::ControlPlane;
use tokio::sync::OnceCell;

/// The shared control plane, with all kinds of this crate.
pub(crate) async fn serving() -> &'static ControlPlane {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let plane = ControlPlane::shared().await;
    INSTALLED.get_or_init(async || install(plane, &crds()).await.expect("our CRDs are accepted")).await;
    plane
}

/// Applies definitions and waits until their kinds can be used.
pub(crate) async fn install(plane: &ControlPlane, crds: &[CustomResourceDefinition]) -> anyhow::Result<()> {
    let documents: Vec<String> = crds.iter().map(serde_saphyr::to_string).collect::<Result<_, _>>()?;
    plane.apply_yaml(&documents.join("\n---\n")).await?;
    Ok(())
}

/// The API of the kind that `object` says it is.
pub(crate) fn api_of(plane: &ControlPlane, namespace: &str, object: &Value) -> Api<DynamicObject> {
    let text = |key: &str| object[key].as_str().expect("a Kubernetes object");
    let kind = text("kind");
    let crd = crds().into_iter().find(|crd| crd.spec.names.kind == kind).expect("one of our kinds");
    let (group, version) = text("apiVersion").split_once('/').expect("not of the core group");
    let gvk = GroupVersionKind::gvk(group, version, kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, &crd.spec.names.plural);
    Api::namespaced_with(plane.admin(), namespace, &resource)
}

/// A typed object of the request that `value` describes.
pub(crate) fn object(value: &Value) -> DynamicObject {
    serde_json::from_value(value.clone()).expect("a Kubernetes object")
}

/// Why the API server calls an object invalid; `None` if it takes it.
pub(crate) fn refusal<T>(answer: kube::Result<T>) -> Option<String> {
    match answer {
        Ok(_) => None,
        Err(kube::Error::Api(status)) if status.code == 422 => Some(status.message.clone()),
        Err(error) => panic!("expected a verdict on the object: {error}"),
    }
}
