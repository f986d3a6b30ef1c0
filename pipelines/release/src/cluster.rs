//! The API server, as steps use it: a few calls by the pod's account, repeated while the server is away.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context as _;
use fleet::ObjectKey;
use kube::api::{Patch, PatchParams, PostParams, ValidationDirective};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client, Resource};
use serde_json::Value;

use crate::context::say;

/// Pauses before a call is repeated. A step may wait a quarter of a minute for a server that restarts.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// A client of the API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cluster")
    }
}

impl Cluster {
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Connects to the cluster of the pod, or that of a kubeconfig.
    pub async fn connect(agent: &'static str, kubeconfig: Option<&Path>) -> anyhow::Result<Self> {
        let client = fleet::client::connect(agent, kubeconfig, &prometheus::Registry::new()).await;
        Ok(Self { client: client.context("connect to the API server")? })
    }

    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The objects of a kind in a namespace.
    pub fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// An object with all its fields, also those that this program does not know.
    pub async fn get<K: Resource<DynamicType = ()>>(&self, key: &ObjectKey) -> anyhow::Result<Value> {
        let api = self.dynamic::<K>(&key.namespace);
        let what = format!("get {} {key}", K::kind(&()));
        let object = patiently(&what, async || api.get(&key.name).await).await?;
        Ok(serde_json::to_value(object)?)
    }

    /// Creates an object and gives what was made of it. By a name that is there already, nothing is made.
    pub async fn create<K>(&self, namespace: &str, object: &K) -> kube::Result<K>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::Serialize
            + serde::de::DeserializeOwned,
    {
        let api = self.api::<K>(namespace);
        repeated(&format!("create {}", K::kind(&())), async || {
            api.create(&PostParams::default(), object).await
        })
        .await
    }

    /// Merges into the status of an object. A field that the kind does not have is refused.
    pub async fn merge_status<K: Resource<DynamicType = ()>>(
        &self,
        key: &ObjectKey,
        status: &Value,
    ) -> anyhow::Result<()> {
        let api = self.dynamic::<K>(&key.namespace);
        let what = format!("patch the status of {} {key}", K::kind(&()));
        let params =
            PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::default() };
        let patch = Patch::Merge(serde_json::json!({ "status": status }));
        patiently(&what, async || api.patch_status(&key.name, &params, &patch).await).await?;
        Ok(())
    }

    fn dynamic<K: Resource<DynamicType = ()>>(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &ApiResource::erase::<K>(&()))
    }
}

/// Makes a call, and again while the server is away or asks to wait. An error names what was tried.
pub async fn patiently<T>(what: &str, call: impl AsyncFn() -> kube::Result<T>) -> anyhow::Result<T> {
    repeated(what, call).await.map_err(ApiError).with_context(|| what.to_owned())
}

/// What the API server, or the way to it, says: the message alone, of which kube's own text has three copies.
#[derive(Debug, thiserror::Error)]
#[error("{}", said(.0))]
pub struct ApiError(pub kube::Error);

pub fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => fleet::redact(&other.to_string()),
    }
}

/// As [`patiently`], for those who look at the error.
pub async fn repeated<T>(what: &str, call: impl AsyncFn() -> kube::Result<T>) -> kube::Result<T> {
    let mut pauses = PAUSES.into_iter();
    loop {
        let error = match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let pause = pauses.next().filter(|_| may_pass(&error));
        let Some(pause) = pause else { return Err(error) };
        say(&format!("Again in {} ms: {what}: {}", pause.as_millis(), said(&error)));
        tokio::time::sleep(pause).await;
    }
}

/// Whether it is because an object is not there.
pub fn is_not_found(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ApiError(kube::Error::Api(status))) if status.is_not_found())
}

/// Whether the same call may be answered otherwise in a moment.
fn may_pass(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code == 429 || status.code >= 500,
        kube::Error::HyperError(_) | kube::Error::Service(_) => true,
        _ => false,
    }
}

/// The value of a parameter that names an object: `<namespace>/<name>`.
pub fn object_key(text: &str) -> Result<ObjectKey, String> {
    let is_word = |word: &str| {
        let is_end = |end: Option<char>| end.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        word.len() <= 253
            && word.chars().all(is_inner)
            && is_end(word.chars().next())
            && is_end(word.chars().last())
    };
    match text.split_once('/') {
        Some((namespace, name)) if is_word(namespace) && !namespace.contains('.') && is_word(name) => {
            Ok(ObjectKey::new(namespace, name))
        }
        _ => Err("expected <namespace>/<name> of an object".to_owned()),
    }
}

/// As [`object_key`], or empty where a pipeline has no such object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named(pub Option<ObjectKey>);

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(Self(None)) } else { object_key(text).map(Some).map(Self) }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use kube::core::Status;
    use rstest::rstest;

    use super::*;

    fn answer(code: u16) -> kube::Error {
        let reason = if code == 404 { "NotFound" } else { "" };
        kube::Error::Api(Status::failure("x", reason).with_code(code).boxed())
    }

    #[rstest]
    #[case::plain("tenant/release-1", Some(("tenant", "release-1")))]
    #[case::dots_in_a_name("tenant/a.b", Some(("tenant", "a.b")))]
    #[case::no_namespace("release", None)]
    #[case::empty("", None)]
    #[case::empty_name("tenant/", None)]
    #[case::three_words("a/b/c", None)]
    #[case::path("../secrets/x", None)]
    #[case::up("a/..", None)]
    #[case::query("a/b?watch=true", None)]
    #[case::dots_in_a_namespace("a.b/c", None)]
    fn object_keys(#[case] text: &str, #[case] expected: Option<(&str, &str)>) {
        assert_eq!(object_key(text).ok(), expected.map(|(namespace, name)| ObjectKey::new(namespace, name)));
    }

    #[rstest]
    #[case::away(503, 3, true)]
    #[case::busy(429, 3, true)]
    #[case::not_found(404, 1, false)]
    #[case::forbidden(403, 1, false)]
    #[tokio::test(start_paused = true)]
    async fn repeats_what_may_pass(#[case] code: u16, #[case] calls: u32, #[case] succeeds: bool) {
        let made = Cell::new(0);
        let call = async || {
            made.set(made.get() + 1);
            if made.get() < 3 { Err(answer(code)) } else { Ok(()) }
        };
        let ended = patiently("get X a/b", call).await;
        assert_eq!((made.get(), ended.is_ok()), (calls, succeeds));
        if let Err(error) = ended {
            assert_eq!(format!("{error:#}"), "get X a/b: x");
            assert_eq!(is_not_found(&error), code == 404);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_on_a_server_that_stays_away() {
        let made = Cell::new(0);
        let call = async || {
            made.set(made.get() + 1);
            kube::Result::<()>::Err(answer(500))
        };
        patiently("get X a/b", call).await.unwrap_err();
        assert_eq!(made.get(), 6);
    }
}
