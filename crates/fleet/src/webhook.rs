//! The webhook server: what answers under which path, and the server that the API server calls.
//!
//! ```text
//! API server ──TLS──▶ Server ──AdmissionReview───▶ Hook of the path ──Review<K>──────▶ the service's function
//!            ◀────────────────AdmissionReview────────────────────────◀──Verdict──────┘
//!            ──TLS──▶ Server ──ConversionReview──▶ Hook of the path ──object, version─▶ the service's function
//!            ◀────────────────ConversionReview───────────────────────◀──each object───┘
//! ```
//! A service writes pure functions, from a [`Review`] to a [`Verdict`] or from an object to the same in another version;
//! everything else is here. What cannot be read is HTTP 400, what is too large 413, what takes too long 504: of an
//! admission the `failurePolicy` decides then, a conversion fails. A denial, and also a function that panics, is an
//! answer: the request is refused whatever the policy.

mod conversion;
mod hook;
mod metrics;
mod review;
mod server;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::FutureExt as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use conversion::Conversion;
use hook::{Admission, Handler, Hook};
use metrics::Metrics;
pub use review::{Operation, Review, Verdict};
pub use server::Server;

/// The webhook server cannot start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("listen on {address} (--webhook-addr)")]
    Bind { address: SocketAddr, source: std::io::Error },
    #[error("two webhooks answer under {path}")]
    SamePath { path: &'static str },
    #[error("webhook path {path:?} has to begin with / and to contain only letters, digits, / - . and _")]
    Path { path: &'static str },
    #[error("register the metrics of the webhooks")]
    Metrics(#[source] prometheus::Error),
    #[error("use the first webhook certificate")]
    Certificate(#[source] crate::certificate::Invalid),
    #[error("serve webhooks on {address}")]
    Serve { address: SocketAddr, source: std::io::Error },
}

/// The webhooks of a service, by path.
///
/// Deletes, and updates of a dying object that change nothing but finalizers, are allowed without asking: nobody may
/// be kept from removing an object, however invalid it is by now.
///
/// `K` is what the object is read into: its API type, or `serde_json::Value` for what has none (the options of
/// `pods/exec`). An object, new or stored, that does not fit `K` is refused with the path of the field at fault.
#[derive(Default)]
pub struct Webhooks {
    hooks: BTreeMap<&'static str, Arc<dyn Hook>>,
    fault: Option<Error>,
}

impl Webhooks {
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks objects. `check` is quick and looks at nothing but the review and caches.
    #[must_use]
    pub fn validate<K>(
        self,
        path: &'static str,
        check: impl Fn(&Review<K>) -> Verdict + Send + Sync + 'static,
    ) -> Self
    where
        K: DeserializeOwned + Send + Sync + 'static,
    {
        self.add(path, Admission { path, mutates: false, handler: Handler::Sync(Box::new(check)) })
    }

    /// Changes objects before they are checked and stored. `change` is idempotent: it may see its own result.
    #[must_use]
    pub fn mutate<K>(
        self,
        path: &'static str,
        change: impl Fn(&Review<K>) -> Verdict + Send + Sync + 'static,
    ) -> Self
    where
        K: DeserializeOwned + Send + Sync + 'static,
    {
        self.add(path, Admission { path, mutates: true, handler: Handler::Sync(Box::new(change)) })
    }

    /// As [`Webhooks::validate`], for a check that has to wait for something, such as a cache that is being filled.
    #[must_use]
    pub fn validate_async<K, F>(
        self,
        path: &'static str,
        check: impl Fn(Arc<Review<K>>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        K: DeserializeOwned + Send + Sync + 'static,
        F: Future<Output = Verdict> + Send + 'static,
    {
        let handler = Handler::Async(Box::new(move |review| check(review).boxed()));
        self.add(path, Admission { path, mutates: false, handler })
    }

    /// As [`Webhooks::mutate`], for a change that has to wait for something.
    #[must_use]
    pub fn mutate_async<K, F>(
        self,
        path: &'static str,
        change: impl Fn(Arc<Review<K>>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        K: DeserializeOwned + Send + Sync + 'static,
        F: Future<Output = Verdict> + Send + 'static,
    {
        let handler = Handler::Async(Box::new(move |review| change(review).boxed()));
        self.add(path, Admission { path, mutates: true, handler })
    }

    /// Converts objects of a kind between its versions. `convert` gets an object and the `apiVersion` that it is to
    /// have; it may change all but its kind and its metadata, and of that it may change labels and annotations. What
    /// it has no field for it keeps in an annotation, so that the way back loses nothing:
    ///
    /// ```ignore
    /// Webhooks::new().convert("/convert", |object, version| integration_service_api::convert(object, version.parse()?))
    /// ```
    /// An error names the field at fault; object and versions are put before it. It fails the whole list that the
    /// object is in, so it is for objects that cannot be converted by any means. Reviews may have 16 MiB; the API
    /// server asks for most objects one by one.
    #[must_use]
    pub fn convert<E: Display>(
        self,
        path: &'static str,
        convert: impl Fn(Value, &str) -> Result<Value, E> + Send + Sync + 'static,
    ) -> Self {
        self.add(path, Conversion::new(path, convert))
    }

    /// Whether there is nothing to serve.
    pub fn is_empty(&self) -> bool {
        self.hooks.is_empty()
    }

    /// Takes the port, so that one that is in use ends the start; connections are answered once the server runs.
    /// Port 0 takes a free one.
    pub fn bind(self, address: SocketAddr, registry: &prometheus::Registry) -> Result<Server, Error> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let metrics = Metrics::register(registry).map_err(Error::Metrics)?;
        Server::bind(address, self.hooks, &metrics)
    }

    fn add(mut self, path: &'static str, hook: impl Hook + 'static) -> Self {
        let plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "/-._".contains(c));
        if !path.starts_with('/') || !plain {
            self.fault.get_or_insert(Error::Path { path });
        } else if self.hooks.insert(path, Arc::new(hook)).is_some() {
            self.fault.get_or_insert(Error::SamePath { path });
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn check(webhooks: Webhooks) -> Result<(), String> {
        let registry = prometheus::Registry::new();
        webhooks.bind(([127, 0, 0, 1], 0).into(), &registry).map(|_| ()).map_err(|error| error.to_string())
    }

    #[rstest]
    #[case::no_slash("validate")]
    #[case::pattern("/validate/{kind}")]
    #[case::empty("")]
    fn refuses_a_path(#[case] path: &'static str) {
        let error = check(Webhooks::new().validate::<Value>(path, |_| Verdict::Allow)).unwrap_err();
        assert!(error.contains("has to begin with /"), "{error}");
    }

    #[test]
    fn refuses_two_under_one_path() {
        let once = Webhooks::new().validate::<Value>("/check", |_| Verdict::Allow);
        let twice = once.mutate::<Value>("/check", |_| Verdict::Allow);
        assert_eq!(check(twice).unwrap_err(), "two webhooks answer under /check");
    }

    #[test]
    fn names_the_address_that_is_taken() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let bound = Webhooks::new().bind(address, &prometheus::Registry::new());
        let error = bound.err().expect("the port is taken").to_string();
        assert_eq!(error, format!("listen on {address} (--webhook-addr)"));
    }
}
