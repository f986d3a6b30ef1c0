//! One path of the server: from the bytes of a request to the bytes of an answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{StatusCode, header};
use kube::core::admission::AdmissionResponse;
use serde::de::DeserializeOwned;

use super::review::{Review, Verdict, denied, from_json, lets_go, refused, to_json, warned};

/// An object of etcd's largest size, twice (new and old), with room to spare.
const LARGEST_ADMISSION: usize = 4 * 1024 * 1024;

/// What answers under a path: admission or conversion.
pub(super) trait Hook: Send + Sync {
    /// Most bytes that a request may have.
    fn largest_body(&self) -> usize {
        LARGEST_ADMISSION
    }

    fn answer<'a>(&'a self, body: &'a [u8]) -> BoxFuture<'a, Response>;
}

/// The service's function.
pub(super) enum Handler<K> {
    Sync(SyncHandler<K>),
    Async(AsyncHandler<K>),
}

type SyncHandler<K> = Box<dyn Fn(&Review<K>) -> Verdict + Send + Sync>;
type AsyncHandler<K> = Box<dyn Fn(Arc<Review<K>>) -> BoxFuture<'static, Verdict> + Send + Sync>;

pub(super) struct Admission<K> {
    pub(super) path: &'static str,
    pub(super) mutates: bool,
    pub(super) handler: Handler<K>,
}

impl<K: DeserializeOwned + Send + Sync + 'static> Hook for Admission<K> {
    fn answer<'a>(&'a self, body: &'a [u8]) -> BoxFuture<'a, Response> {
        async move {
            let request = match from_json(body) {
                Ok(request) => request,
                Err(reason) => return (StatusCode::BAD_REQUEST, reason).into_response(),
            };
            let response = AdmissionResponse::from(&request);
            let response = if lets_go(&request) {
                response
            } else {
                match Review::from_request(request) {
                    Ok(review) => self.review(review, response).await,
                    Err(misfit) => denied(response, 422, "Invalid", &misfit.to_string()),
                }
            };
            match to_json(response) {
                Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
                Err(error) => {
                    tracing::error!(webhook = self.path, error = %error, "Could not write an AdmissionReview");
                    StatusCode::INTERNAL_SERVER_ERROR.into_response()
                }
            }
        }
        .boxed()
    }
}

impl<K: DeserializeOwned + Send + Sync + 'static> Admission<K> {
    async fn review(&self, review: Review<K>, response: AdmissionResponse) -> AdmissionResponse {
        let name = format!("{}/{}", review.namespace.as_deref().unwrap_or_default(), review.name);
        // Inside the block, so that also a panic before the first await is caught.
        let verdict = AssertUnwindSafe(async {
            match &self.handler {
                Handler::Sync(check) => check(&review),
                Handler::Async(check) => check(Arc::new(review)).await,
            }
        })
        .catch_unwind()
        .await;
        match verdict {
            Ok(Verdict::Allow) => response,
            Ok(Verdict::AllowWithWarnings(warnings)) => warned(response, &warnings),
            Ok(Verdict::Deny { message }) => denied(response, 403, "Forbidden", &message),
            Ok(Verdict::Refuse { message }) => refused(response, &message),
            Ok(Verdict::Patch(patch)) if self.mutates => match response.clone().with_patch(patch) {
                Ok(response) => response,
                Err(error) => self.failed(response, &name, &error.to_string()),
            },
            Ok(Verdict::Patch(_)) => self.failed(response, &name, "a validating webhook returned a patch"),
            Err(_) => self.failed(response, &name, "the handler panicked"),
        }
    }

    /// Refuses for a fault of our own, of which the outside learns nothing but that there is one.
    fn failed(&self, response: AdmissionResponse, name: &str, error: &str) -> AdmissionResponse {
        tracing::error!(webhook = self.path, name, error, "A webhook failed");
        let message = format!("the webhook {} failed on this object; its log says more", self.path);
        denied(response, 500, "InternalError", &message)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn sync(
        mutates: bool,
        check: impl Fn(&Review<Value>) -> Verdict + Send + Sync + 'static,
    ) -> Admission<Value> {
        Admission { path: "/check", mutates, handler: Handler::Sync(Box::new(check)) }
    }

    async fn answer(hook: &Admission<Value>) -> Value {
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "u-1", "operation": "CREATE", "name": "x", "namespace": "ns",
                "kind": { "group": "", "version": "v1", "kind": "ConfigMap" },
                "resource": { "group": "", "version": "v1", "resource": "configmaps" },
                "userInfo": {}, "object": { "data": {} },
            },
        });
        let response = hook.answer(&serde_json::to_vec(&review).unwrap()).await;
        assert_eq!(response.status(), StatusCode::OK);
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let review: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(review["response"]["uid"], "u-1");
        review["response"].clone()
    }

    #[tokio::test]
    async fn allows() {
        let response = answer(&sync(false, |_| Verdict::Allow)).await;
        assert_eq!(response["allowed"], true);
    }

    #[tokio::test]
    async fn warns() {
        let warning = || Verdict::AllowWithWarnings(vec!["spec.old is\ngoing away".to_owned()]);
        let response = answer(&sync(false, move |_| warning())).await;
        assert_eq!(response["allowed"], true);
        assert_eq!(response["warnings"], json!(["spec.old is going away"]));
    }

    #[tokio::test]
    async fn denies_with_one_line() {
        let response = answer(&sync(false, |_| Verdict::deny("data is empty\ngive it a key"))).await;
        assert_eq!(response["allowed"], false);
        assert_eq!(response["status"]["code"], 403);
        assert_eq!(response["status"]["message"], "data is empty give it a key");
    }

    #[tokio::test]
    async fn refuses_with_a_line_for_each_fault() {
        let response = answer(&sync(false, |_| Verdict::refuse("missing: a\tb\ninvalid: c"))).await;
        assert_eq!(response["allowed"], false);
        assert_eq!(response["status"]["code"], 400);
        assert_eq!(response["status"]["message"], "missing: a b\ninvalid: c");
    }

    #[tokio::test]
    async fn patches() {
        let operations = json!([{ "op": "add", "path": "/data/a", "value": "b" }]);
        let patch: json_patch::Patch = serde_json::from_value(operations.clone()).unwrap();
        let response = answer(&sync(true, move |_| Verdict::Patch(patch.clone()))).await;
        assert_eq!(response["allowed"], true);
        assert_eq!(response["patchType"], "JSONPatch");
        // The API server reads bytes from a list of numbers as well as from base64.
        let bytes: Vec<u8> = serde_json::from_value(response["patch"].clone()).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), operations);
    }

    #[rstest]
    #[case::panic(sync(false, |_| panic!("secret internals")))]
    #[case::patch_from_a_check(sync(false, |_| Verdict::Patch(json_patch::Patch(Vec::new()))))]
    #[case::async_panic(Admission {
        path: "/check", mutates: false, handler: Handler::Async(Box::new(|_| panic!("secret internals"))) })]
    #[tokio::test]
    async fn refuses_for_its_own_fault(#[case] hook: Admission<Value>) {
        let response = answer(&hook).await;
        assert_eq!(response["allowed"], false);
        assert_eq!(response["status"]["code"], 500);
        let message = response["status"]["message"].as_str().unwrap();
        assert_eq!(message, "the webhook /check failed on this object; its log says more");
    }

    #[tokio::test]
    async fn refuses_what_it_cannot_read() {
        let response = sync(false, |_| Verdict::Allow).answer(b"{").await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    }
}
