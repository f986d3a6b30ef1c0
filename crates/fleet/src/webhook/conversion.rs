//! Conversion: a `ConversionReview` with objects in some versions becomes one with the same objects in another.
//!
//! ```text
//! {request: {uid, desiredAPIVersion, objects}} ─▶ each object: the service's function ─▶ check ─┐
//! {response: {uid, result: Success, convertedObjects}} ◀─ all ──────────────────────────────────┤
//! {response: {uid, result: Failed, message}}           ◀─ the first that fails ─────────────────┘
//! ```
//! The protocol (apiextensions.k8s.io/v1) knows no half answers: one object that cannot be converted fails the list
//! that it is in, so the message says which one it is. Nothing but labels, annotations, and what is not metadata, may
//! differ afterwards: that is looked at here, for the API server takes over only some of it and does not say what it
//! dropped.
//!
//! Objects are read, converted and written one at a time, and other work gets its turn in between: a review costs its
//! own text and that of the answer (twice, while it is put together), not a tree of all its objects.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::hook::Hook;
use super::review::one_line;

const API_VERSION: &str = "apiextensions.k8s.io/v1";
const KIND: &str = "ConversionReview";

/// Some thousands of objects as they usually are, ten of the largest that etcd takes. The API server sends what it
/// reads from storage one by one, but may send a whole list.
const LARGEST_CONVERSION: usize = 16 * 1024 * 1024;

/// The service's function: an object, and the `apiVersion` that it is to have.
type Convert = Box<dyn Fn(Value, &str) -> Result<Value, String> + Send + Sync>;

pub(super) struct Conversion {
    path: &'static str,
    convert: Convert,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked<'a> {
    api_version: String,
    kind: String,
    #[serde(borrow)]
    request: Option<Request<'a>>,
}

#[derive(Deserialize)]
struct Request<'a> {
    uid: String,
    #[serde(rename = "desiredAPIVersion")]
    desired_api_version: String,
    /// Go writes a list without elements as null.
    #[serde(borrow)]
    objects: Option<Vec<&'a RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answered<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Answer<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    uid: &'a str,
    result: Outcome,
    converted_objects: Vec<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(tag = "status")]
enum Outcome {
    Success,
    Failed { message: String },
}

/// Why one object cannot be converted.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("it is no JSON object: {0}")]
    NoObject(serde_json::Error),
    /// As the service's function put it.
    #[error("{0}")]
    Refused(String),
    #[error("the conversion panicked")]
    Panicked,
    #[error("the conversion changed {0}, which it must not")]
    Changed(String),
}

impl Fault {
    /// Whether the service is wrong, rather than the object.
    fn is_ours(&self) -> bool {
        matches!(self, Self::Panicked | Self::Changed(_))
    }
}

impl Hook for Conversion {
    fn largest_body(&self) -> usize {
        LARGEST_CONVERSION
    }

    fn answer<'a>(&'a self, body: &'a [u8]) -> BoxFuture<'a, Response> {
        async move {
            let request = match read(body) {
                Ok(request) => request,
                Err(reason) => return (StatusCode::BAD_REQUEST, reason).into_response(),
            };
            let (result, converted_objects) = match self.convert_all(&request).await {
                Ok(objects) => (Outcome::Success, objects),
                Err(message) => (Outcome::Failed { message: one_line(&message) }, Vec::new()),
            };
            let response = Answer { uid: &request.uid, result, converted_objects };
            match serde_json::to_vec(&Answered { api_version: API_VERSION, kind: KIND, response }) {
                Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
                Err(error) => {
                    tracing::error!(webhook = self.path, error = %error, "Could not write a ConversionReview");
                    StatusCode::INTERNAL_SERVER_ERROR.into_response()
                }
            }
        }
        .boxed()
    }
}

impl Conversion {
    pub(super) fn new<E: Display>(
        path: &'static str,
        convert: impl Fn(Value, &str) -> Result<Value, E> + Send + Sync + 'static,
    ) -> Self {
        let convert = move |object, to: &str| convert(object, to).map_err(|error| error.to_string());
        Self { path, convert: Box::new(convert) }
    }

    /// All objects, in their order, or what to tell whoever asked.
    async fn convert_all(&self, request: &Request<'_>) -> Result<Vec<Box<RawValue>>, String> {
        let objects = request.objects.as_deref().unwrap_or_default();
        let to = request.desired_api_version.as_str();
        let mut converted = Vec::with_capacity(objects.len());
        for (index, text) in objects.iter().enumerate() {
            let object: Map<String, Value> = serde_json::from_str(text.get())
                .map_err(|error| self.failed(&format!("object {index}"), "?", to, &Fault::NoObject(error)))?;
            let before = Identity::of(&object);
            if before.api_version == to {
                converted.push((*text).to_owned());
                continue;
            }
            let one = self.convert_one(object, &before, to);
            converted.push(
                one.map_err(|fault| self.failed(&before.to_string(), &before.api_version, to, &fault))?,
            );
            // The runtime's other tasks, and the deadline of this one.
            tokio::task::yield_now().await;
        }
        Ok(converted)
    }

    fn convert_one(
        &self,
        object: Map<String, Value>,
        before: &Identity,
        to: &str,
    ) -> Result<Box<RawValue>, Fault> {
        let converted = catch_unwind(AssertUnwindSafe(|| (self.convert)(object.into(), to)))
            .map_err(|_| Fault::Panicked)?
            .map_err(Fault::Refused)?;
        let Value::Object(fields) = &converted else {
            return Err(Fault::Changed("it into no object".to_owned()));
        };
        if let Some(field) = before.changed(&Identity::of(fields), to) {
            return Err(Fault::Changed(field));
        }
        // Fails for keys that are no text, which a JSON value cannot have.
        to_raw_value(&converted).map_err(|error| Fault::Refused(error.to_string()))
    }

    /// Logs, and tells what the client of the API server gets to read.
    fn failed(&self, object: &str, from: &str, to: &str, fault: &Fault) -> String {
        if fault.is_ours() {
            tracing::error!(webhook = self.path, object, from, to, error = %fault, "A conversion failed");
            return format!(
                "{object} cannot be converted from {from} to {to}: {fault}; this is a fault of the service, whose log \
                 says more; {from} can still be asked for"
            );
        }
        tracing::warn!(webhook = self.path, object, from, to, error = %fault, "An object cannot be converted");
        format!("{object} cannot be converted from {from} to {to}: {fault}; mend or delete it as {from}")
    }
}

fn read(body: &[u8]) -> Result<Request<'_>, String> {
    let asked: Asked<'_> = serde_json::from_slice(body).map_err(|error| format!("no {KIND}: {error}"))?;
    if (asked.api_version.as_str(), asked.kind.as_str()) != (API_VERSION, KIND) {
        return Err(format!(
            "no {KIND} of {API_VERSION}, but {} of {}; set conversionReviewVersions to [v1]",
            asked.kind, asked.api_version
        ));
    }
    asked.request.ok_or_else(|| format!("a {KIND} without a request"))
}

/// What no conversion may change, and a name to speak of the object by.
struct Identity {
    api_version: String,
    kind: Value,
    /// All but labels and annotations, which conversions may use, and managedFields, which the API server puts back.
    metadata: Option<Map<String, Value>>,
}

impl Identity {
    fn of(object: &Map<String, Value>) -> Self {
        let metadata = object.get("metadata").and_then(Value::as_object).map(|metadata| {
            let fixed = metadata
                .iter()
                .filter(|(key, _)| !["labels", "annotations", "managedFields"].contains(&key.as_str()));
            fixed.map(|(key, value)| (key.clone(), value.clone())).collect()
        });
        Self {
            api_version: text(object.get("apiVersion")).to_owned(),
            kind: object.get("kind").cloned().unwrap_or_default(),
            metadata,
        }
    }

    /// The first field of `after` that is not as it has to be.
    fn changed(&self, after: &Self, to: &str) -> Option<String> {
        if after.api_version != to {
            return Some(format!("apiVersion to {:?}", after.api_version));
        }
        if after.kind != self.kind {
            return Some("kind".to_owned());
        }
        if after.metadata.is_some() != self.metadata.is_some() {
            return Some("metadata".to_owned());
        }
        let keys =
            [self, after].into_iter().flat_map(|identity| identity.metadata.iter().flat_map(Map::keys));
        let mut keys = keys.filter(|key| self.metadata_field(key) != after.metadata_field(key));
        keys.next().map(|key| format!("metadata.{key}"))
    }

    fn metadata_field(&self, key: &str) -> Option<&Value> {
        self.metadata.as_ref()?.get(key)
    }
}

/// `IntegrationTestScenario team-a/shop`.
impl Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = text(self.metadata_field("name"));
        let kind = text(Some(&self.kind));
        match text(self.metadata_field("namespace")) {
            "" => write!(f, "{kind} {name}"),
            namespace => write!(f, "{kind} {namespace}/{name}"),
        }
    }
}

fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;
