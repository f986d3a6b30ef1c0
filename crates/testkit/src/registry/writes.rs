//! What is written to the played registry.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::Value;

use super::{State, digest, error};

/// A call below `/v2/`.
pub(super) struct Call<'a> {
    pub(super) method: &'a Method,
    pub(super) repository: &'a str,
    /// Behind the repository, as `blobs/uploads/1`.
    pub(super) rest: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: Bytes,
}

impl State {
    /// Answers a call by someone who may write.
    pub(super) fn take(&mut self, call: &Call<'_>) -> Response {
        match (call.method.as_str(), call.rest.split('/').collect::<Vec<_>>()[..].as_ref()) {
            ("POST", ["blobs", "uploads", ""]) => {
                if let Some((digest, content)) = self.mounted(call) {
                    self.repository(call).blobs.insert(digest.clone(), content);
                    return created(&digest);
                }
                self.uploads += 1;
                let id = self.uploads;
                self.repository(call).uploads.insert(id.to_string(), Vec::new());
                accepted(call.repository, &id.to_string())
            }
            ("PATCH", ["blobs", "uploads", id]) => {
                let Some(upload) = self.repository(call).uploads.get_mut(*id) else {
                    return error(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN");
                };
                let range = call.headers.get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
                let begin = range.and_then(|range| range.split_once('-')?.0.parse().ok());
                if begin.is_some_and(|begin: usize| begin != upload.len()) {
                    return error(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID");
                }
                upload.extend_from_slice(&call.body);
                accepted(call.repository, id)
            }
            ("PUT", ["blobs", "uploads", id]) => {
                let wanted = url::form_urlencoded::parse(call.query.as_bytes())
                    .find(|(name, _)| name == "digest")
                    .map(|(_, digest)| digest.into_owned());
                let repository = self.repository(call);
                let Some(mut content) = repository.uploads.remove(*id) else {
                    return error(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN");
                };
                content.extend_from_slice(&call.body);
                let digest = digest(&content);
                if wanted.as_ref() != Some(&digest) {
                    return error(StatusCode::BAD_REQUEST, "DIGEST_INVALID");
                }
                repository.blobs.insert(digest, content);
                created("")
            }
            ("PUT", ["manifests", name]) => {
                let digest = digest(&call.body);
                let kind = call.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
                let entry = (kind.unwrap_or_default().to_owned(), call.body.to_vec());
                let manifests = &mut self.repository(call).manifests;
                manifests.insert((*name).to_owned(), entry.clone());
                manifests.insert(digest.clone(), entry.clone());
                let repository = self.repository(call);
                if let Some(other) = repository.overwrites.remove(*name) {
                    repository.manifests.insert((*name).to_owned(), (entry.0, other));
                }
                let mut answer = created(&digest);
                let manifest: Value = serde_json::from_slice(&call.body).unwrap_or_default();
                if let Some(subject) = manifest["subject"]["digest"].as_str().filter(|_| self.has_referrers)
                    && let Ok(subject) = subject.parse()
                {
                    answer.headers_mut().insert("oci-subject", subject);
                }
                answer
            }
            ("DELETE", ["manifests", name]) => {
                let manifests = &mut self.repository(call).manifests;
                let Some((_, content)) = manifests.get(*name).cloned() else {
                    return error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN");
                };
                manifests.retain(|_, (_, other)| *other != content);
                status(StatusCode::ACCEPTED)
            }
            _ => error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED"),
        }
    }

    /// The blob that shall be had from another repository, if the caller may read that one.
    fn mounted(&self, call: &Call<'_>) -> Option<(String, Vec<u8>)> {
        let query: BTreeMap<_, _> = url::form_urlencoded::parse(call.query.as_bytes()).collect();
        let (digest, from) = (query.get("mount")?, query.get("from")?);
        let content = self.repositories.get(from.as_ref())?.blobs.get(digest.as_ref())?;
        let entry = (digest.clone().into_owned(), content.clone());
        self.may_also_read(from, call.headers).then_some(entry)
    }

    fn repository(&mut self, call: &Call<'_>) -> &mut super::Repository {
        self.repositories.entry(call.repository.to_owned()).or_default()
    }
}

fn accepted(repository: &str, id: &str) -> Response {
    let location = format!("/v2/{repository}/blobs/uploads/{id}?_state=1");
    let answer = http::Response::builder().status(StatusCode::ACCEPTED).header(header::LOCATION, location);
    answer.body(Body::empty()).unwrap_or_default()
}

fn created(digest: &str) -> Response {
    let answer =
        http::Response::builder().status(StatusCode::CREATED).header("docker-content-digest", digest);
    answer.body(Body::empty()).unwrap_or_default()
}

fn status(status: StatusCode) -> Response {
    http::Response::builder().status(status).body(Body::empty()).unwrap_or_default()
}
