//! A registry of container images with its token service, in memory, over TLS on 127.0.0.1.
//!
//! ```text
//!   test ── push_image, push_bundle, lock ──▶ repositories ◀── GET, PUT /v2/…  (401 ─▶ GET /token) ── service
//! ```
//! Answers have the paths, statuses and headers of the OCI distribution specification.

mod writes;

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsConfig, from_tcp_rustls};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use http::{HeaderMap, Method, StatusCode, header};
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::pki::Authority;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Content that is taken at once.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// A registry of one test, until it is dropped.
pub struct PlayedRegistry {
    address: String,
    state: Arc<Mutex<State>>,
    handle: Handle<std::net::SocketAddr>,
}

impl Drop for PlayedRegistry {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

#[derive(Default)]
struct State {
    address: String,
    repositories: HashMap<String, Repository>,
    calls: Vec<String>,
    is_stalled: bool,
    /// Calls that are still answered before all later ones are left without an answer.
    stalls_after: Option<usize>,
    /// Writes that are still to be answered with an error of the registry's own.
    broken_writes: u32,
    /// Begun so far.
    uploads: u64,
    /// Calls that would change something, so far.
    writes: usize,
    /// Whether manifests that name a subject are listed by it.
    has_referrers: bool,
}

#[derive(Default)]
struct Repository {
    /// By tag and by digest: media type and content.
    manifests: HashMap<String, (String, Vec<u8>)>,
    blobs: HashMap<String, Vec<u8>>,
    /// Who may pull. Everybody if there is none.
    readers: Vec<(String, String)>,
    /// Who may push, of those who may pull. Everybody if there is none.
    writers: Vec<(String, String)>,
    /// What is put under a tag right after the next push to it.
    overwrites: HashMap<String, Vec<u8>>,
    /// Blobs that are not complete, by the name of their upload.
    uploads: HashMap<String, Vec<u8>>,
}

/// A layer of a bundle.
#[derive(Clone, Debug)]
pub struct BundleLayer<'a> {
    pub kind: &'a str,
    pub name: &'a str,
    /// As it lies in the registry: a tar, compressed or not, or the file itself.
    pub content: Vec<u8>,
}

impl PlayedRegistry {
    /// Starts one on a free port, with a certificate by `authority`. Within a runtime of tokio.
    pub fn start(authority: &Authority) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen on 127.0.0.1")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?.to_string();
        let state = Arc::new(Mutex::new(State { address: address.clone(), ..State::default() }));
        let shared = Arc::clone(&state);
        let router = Router::new().fallback(move |request: Request| answer(Arc::clone(&shared), request));
        let handle = Handle::new();
        let server = from_tcp_rustls(listener, tls(authority)?)?.handle(handle.clone());
        tokio::spawn(server.serve(router.into_make_service()));
        Ok(Self { address, state, handle })
    }

    /// `127.0.0.1:<port>`, which names of images begin with.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Adds an image for each platform (`linux/amd64`), behind an index if there are several, and returns the digest that
    /// the tag leads to. `ENTRYPOINT` and `CMD` follow the platform.
    pub fn push_image(&self, repository: &str, tag: &str, platforms: &[(&str, &[&str], &[&str])]) -> String {
        let mut children: Vec<(Value, String)> = Vec::new();
        for (platform, entrypoint, command) in platforms {
            let mut parts = platform.split('/');
            let (os, architecture, variant) = (parts.next(), parts.next(), parts.next());
            let platform = json!({"os": os, "architecture": architecture, "variant": variant});
            let mut config = platform.clone();
            config["config"] = json!({"Entrypoint": entrypoint, "Cmd": command});
            let config = self.push_blob(repository, config.to_string().as_bytes());
            let manifest = json!({
                "schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 1},
            });
            let name = if platforms.len() == 1 { tag } else { "" };
            children.push((
                platform,
                self.push_manifest(repository, name, MANIFEST, manifest.to_string().as_bytes()),
            ));
        }
        if let [(_, digest)] = &children[..] {
            return digest.clone();
        }
        let manifests: Vec<_> = children
            .iter()
            .map(|(platform, digest)| json!({"mediaType": MANIFEST, "digest": digest, "size": 1, "platform": platform}))
            .collect();
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        self.push_manifest(repository, tag, INDEX, index.to_string().as_bytes())
    }

    /// Adds a bundle of Tasks and the like, and returns its digest.
    pub fn push_bundle(&self, repository: &str, tag: &str, layers: &[BundleLayer<'_>]) -> String {
        let config = self.push_blob(repository, b"{}");
        let layers: Vec<_> = layers
            .iter()
            .map(|layer| {
                json!({
                    "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "size": layer.content.len(),
                    "digest": self.push_blob(repository, &layer.content),
                    "annotations": {
                        "dev.tekton.image.kind": layer.kind, "dev.tekton.image.name": layer.name,
                        "dev.tekton.image.apiVersion": "v1",
                    },
                })
            })
            .collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": layers,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
        });
        self.push_manifest(repository, tag, MANIFEST, manifest.to_string().as_bytes())
    }

    /// Adds a manifest under its digest, which is returned, and under a tag unless that is empty.
    pub fn push_manifest(&self, repository: &str, tag: &str, media_type: &str, content: &[u8]) -> String {
        let digest = digest(content);
        self.edit(repository, |repository| {
            for name in [tag, &digest] {
                repository.manifests.insert(name.to_owned(), (media_type.to_owned(), content.to_vec()));
            }
        });
        digest
    }

    pub fn push_blob(&self, repository: &str, content: &[u8]) -> String {
        let digest = digest(content);
        self.edit(repository, |repository| repository.blobs.insert(digest.clone(), content.to_vec()));
        digest
    }

    /// Has the blobs of this digest be something else than they say.
    pub fn corrupt_blob(&self, repository: &str, digest: &str, content: &[u8]) {
        self.edit(repository, |repository| repository.blobs.insert(digest.to_owned(), content.to_vec()));
    }

    /// From now on only this user may pull, and those who were named before.
    pub fn lock(&self, repository: &str, user: &str, password: &str) {
        self.edit(repository, |repository| repository.readers.push((user.to_owned(), password.to_owned())));
    }

    /// From now on only this user may push, and those who were named before.
    pub fn protect(&self, repository: &str, user: &str, password: &str) {
        self.edit(repository, |repository| repository.writers.push((user.to_owned(), password.to_owned())));
    }

    /// The manifest under a tag or digest.
    pub fn manifest(&self, repository: &str, name: &str) -> Option<Vec<u8>> {
        self.edit(repository, |repository| repository.manifests.get(name).map(|(_, content)| content.clone()))
    }

    /// The blob with this digest.
    pub fn blob(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        self.edit(repository, |repository| repository.blobs.get(digest).cloned())
    }

    /// Whether calls are left without an answer from now on.
    pub fn stall(&self, is_stalled: bool) {
        self.state.lock().is_stalled = is_stalled;
    }

    /// Whether calls are left without an answer once so many more have been answered.
    pub fn stall_after(&self, count: Option<usize>) {
        self.state.lock().stalls_after = count;
    }

    /// The next `count` writes fail with status 500.
    pub fn break_writes(&self, count: u32) {
        self.state.lock().broken_writes = count;
    }

    /// Has somebody else put this manifest under the tag right after the next push to it.
    pub fn overwrite_once(&self, repository: &str, tag: &str, content: Vec<u8>) {
        self.edit(repository, |repository| repository.overwrites.insert(tag.to_owned(), content));
    }

    /// From now on, manifests that name a subject are listed by it, as specification 1.1 has it.
    pub fn list_referrers(&self) {
        self.state.lock().has_referrers = true;
    }

    /// How many calls were made that change something, by somebody who may.
    pub fn write_count(&self) -> usize {
        self.state.lock().writes
    }

    /// The paths that were asked for, in order.
    pub fn calls(&self) -> Vec<String> {
        self.state.lock().calls.clone()
    }

    fn edit<T>(&self, repository: &str, change: impl FnOnce(&mut Repository) -> T) -> T {
        change(self.state.lock().repositories.entry(repository.to_owned()).or_default())
    }
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(content)))
}

async fn answer(state: Arc<Mutex<State>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let (path, query) = (head.uri.path().to_owned(), head.uri.query().unwrap_or_default().to_owned());
    let is_stalled = {
        let mut state = state.lock();
        state.calls.push(path.clone());
        let left = state.stalls_after.map(|left| left.checked_sub(1));
        state.stalls_after = left.map(Option::unwrap_or_default);
        state.is_stalled || left == Some(None)
    };
    if is_stalled {
        std::future::pending::<()>().await;
    }
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return error(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID");
    };
    let mut state = state.lock();
    if path == "/token" {
        return state.give_token(&query, &head.headers);
    }
    let found = path.strip_prefix("/v2/").and_then(|path| {
        ["/blobs/uploads/", "/manifests/", "/blobs/", "/tags/", "/referrers/"]
            .iter()
            .filter_map(|kind| path.rfind(kind))
            .min()
            .map(|at| (&path[..at], &path[at + 1..]))
    });
    let Some((repository, rest)) = found else { return error(StatusCode::NOT_FOUND, "UNSUPPORTED") };
    let is_read = matches!(head.method, Method::GET | Method::HEAD);
    if !state.may(repository, is_read, &head.headers) {
        return state.refuse();
    }
    if is_read {
        return state.give(repository, rest, &query);
    }
    state.writes += 1;
    if let Some(left) = state.broken_writes.checked_sub(1) {
        state.broken_writes = left;
        return error(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN");
    }
    let (method, headers) = (&head.method, &head.headers);
    state.take(&writes::Call { method, repository, rest, query: &query, headers, body })
}

impl State {
    fn give(&self, name: &str, rest: &str, query: &str) -> Response {
        let Some(repository) = self.repositories.get(name) else {
            return error(StatusCode::NOT_FOUND, "NAME_UNKNOWN");
        };
        if let Some(subject) = rest.strip_prefix("referrers/") {
            let listed = self.has_referrers.then(|| repository.referrers(subject));
            return listed.unwrap_or_else(|| error(StatusCode::NOT_FOUND, "UNSUPPORTED"));
        }
        let content = match rest.split_once('/') {
            Some(("manifests", version)) => {
                repository.manifests.get(version).map(|(kind, content)| (kind.as_str(), content))
            }
            Some(("blobs", digest)) => {
                repository.blobs.get(digest).map(|content| ("application/octet-stream", content))
            }
            _ => return repository.give_tags(name, query),
        };
        let Some((kind, content)) = content else { return error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN") };
        let answer = http::Response::builder().header(header::CONTENT_TYPE, kind);
        answer.body(Body::from(content.clone())).unwrap_or_default()
    }

    /// Whether a call shows a token that permits it.
    fn may(&self, name: &str, is_read: bool, headers: &HeaderMap) -> bool {
        let Some(token) = token(headers).filter(|token| token["repository"] == name) else { return false };
        let repository = self.repositories.get(name);
        let is_one_of = |users| is_one_of(users, &token);
        let permits = |action: &str| {
            token["actions"].as_str().is_some_and(|actions| actions.split(',').any(|one| one == action))
        };
        permits("pull")
            && is_one_of(repository.map(|repository| &repository.readers))
            && (is_read || (permits("push") && is_one_of(repository.map(|repository| &repository.writers))))
    }

    /// Whether the token of a call for another repository permits to read this one as well.
    fn may_also_read(&self, name: &str, headers: &HeaderMap) -> bool {
        let readers = self.repositories.get(name).map(|repository| &repository.readers);
        token(headers).is_some_and(|token| token["reads"] == name && is_one_of(readers, &token))
    }

    fn refuse(&self) -> Response {
        let realm = format!("Bearer realm=\"https://{}/token\",service=\"registry\"", self.address);
        let mut refused = error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
        if let Ok(realm) = realm.parse() {
            refused.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
        }
        refused
    }

    /// Refuses bad passwords; what a user may do is looked at when the token is used.
    fn give_token(&self, query: &str, headers: &HeaderMap) -> Response {
        let query = url::form_urlencoded::parse(query.as_bytes());
        let scopes: Vec<_> =
            query.filter(|(name, _)| name == "scope").map(|(_, scope)| scope.into_owned()).collect();
        let scope_of = |scope: Option<&String>| {
            let (name, actions) = scope?.strip_prefix("repository:")?.rsplit_once(':')?;
            Some((name.to_owned(), actions.to_owned()))
        };
        let Some((repository, actions)) = scope_of(scopes.first()) else {
            return error(StatusCode::BAD_REQUEST, "DENIED");
        };
        let reads = scope_of(scopes.get(1)).map(|(name, _)| name);
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let user = match shown {
            None => Value::Null,
            Some(shown) => {
                let known = self
                    .repositories
                    .values()
                    .flat_map(|repository| repository.readers.iter().chain(&repository.writers));
                let is_shown = |(user, password): &&(String, String)| {
                    shown == format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
                };
                match { known }.find(is_shown) {
                    Some((user, _)) => json!(user),
                    None => return error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED"),
                }
            }
        };
        let token = json!({"repository": repository, "actions": actions, "reads": reads, "user": user});
        let token = STANDARD.encode(token.to_string());
        let body = json!({"token": token, "expires_in": 300}).to_string();
        http::Response::new(Body::from(body))
    }
}

impl Repository {
    fn referrers(&self, subject: &str) -> Response {
        let by_digest = self.manifests.iter().filter(|(name, _)| name.contains(':'));
        let mut manifests: Vec<Value> = by_digest
            .filter_map(|(digest, (kind, content))| {
                let manifest: Value = serde_json::from_slice(content).ok()?;
                let is_about = manifest["subject"]["digest"] == subject;
                is_about.then(|| json!({"mediaType": kind, "digest": digest, "size": content.len()}))
            })
            .collect();
        manifests.sort_by_key(|listed| listed["digest"].to_string());
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        let answer = http::Response::builder().header(header::CONTENT_TYPE, INDEX);
        answer.body(Body::from(index.to_string())).unwrap_or_default()
    }

    /// A page of the tags: `n` of those behind `last`.
    fn give_tags(&self, name: &str, query: &str) -> Response {
        let query: BTreeMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).collect();
        let size = query.get("n").and_then(|size| size.parse().ok()).unwrap_or(usize::MAX);
        let after = query.get("last").map(AsRef::as_ref).unwrap_or_default();
        let mut tags: Vec<&str> =
            self.manifests.keys().map(String::as_str).filter(|name| !name.contains(':')).collect();
        tags.sort_unstable();
        tags.retain(|tag| *tag > after);
        let mut answer = http::Response::builder();
        if tags.len() > size {
            tags.truncate(size);
            let last = tags.last().copied().unwrap_or_default();
            let next = format!("</v2/{name}/tags/list?last={last}&n={size}>; rel=\"next\"");
            answer = answer.header(header::LINK, next);
        }
        let body = json!({"name": name, "tags": tags}).to_string();
        answer.body(Body::from(body)).unwrap_or_default()
    }
}

/// What a call shows. A token names whom and what it is for: nothing here is secret.
fn token(headers: &HeaderMap) -> Option<Value> {
    let shown = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    serde_json::from_slice(&STANDARD.decode(shown.strip_prefix("Bearer ")?).ok()?).ok()
}

/// Whether a token is of one of these users. Everybody's will do if there are none.
fn is_one_of(users: Option<&Vec<(String, String)>>, token: &Value) -> bool {
    let users = users.map(Vec::as_slice).unwrap_or_default();
    users.is_empty() || users.iter().any(|(user, _)| token["user"] == json!(user))
}

fn error(status: StatusCode, code: &str) -> Response {
    let body = json!({"errors": [{"code": code, "message": "not here"}]}).to_string();
    http::Response::builder().status(status).body(Body::from(body)).unwrap_or_default()
}

fn tls(authority: &Authority) -> anyhow::Result<RustlsConfig> {
    let leaf = authority.server("registry", &["localhost", "127.0.0.1"])?;
    let certificate = CertificateDer::from_pem_slice(leaf.cert_pem.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    Ok(RustlsConfig::from_config(Arc::new(config)))
}
