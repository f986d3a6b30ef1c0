//! The same sigstore behind HTTPS, with the parts of the APIs of Fulcio and Rekor that clients need.

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path as FilePath;
use std::sync::Arc;

use attest::PublicKey;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use axum_server::tls_rustls::RustlsConfig;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD};
use fleet::outbound::{self, Options};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use testkit::pki::Authority;
use url::Url;

use crate::sigstore::{Sigstore, Wish};

pub(crate) struct Service {
    pub(crate) sigstore: Arc<Sigstore>,
    pub(crate) url: Url,
    pub(crate) outbound: outbound::Client,
    pub(crate) world: Arc<World>,
    folder: tempfile::TempDir,
}

/// How it behaves.
pub(crate) struct World {
    sigstore: Arc<Sigstore>,
    /// What answers are changed into, by the way of JSON pointers.
    pub(crate) lies: Mutex<HashMap<&'static str, Value>>,
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::with(&Authority::new("keyless-test").unwrap()).await
    }

    /// With a certificate by this authority, which its client trusts.
    pub(crate) async fn with(authority: &Authority) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bundle = folder.path().join("ca.crt");
        std::fs::write(&bundle, authority.cert_pem()).unwrap();
        let options =
            Options { allow: "127.0.0.1".parse().unwrap(), ca_bundle: Some(bundle), ..Options::default() };
        let outbound =
            outbound::Client::new("test", options, fleet::Clock::system(), &prometheus::Registry::new())
                .unwrap();

        let sigstore = Arc::new(Sigstore::new());
        let world = Arc::new(World { sigstore: Arc::clone(&sigstore), lies: Mutex::default() });
        let router = Router::new()
            .route("/api/v1/signingCert", post(certify_as_before))
            .route("/api/v2/signingCert", post(certify))
            .route("/api/v1/log/entries", post(upload))
            .route("/api/v1/log/entries/{uuid}", get(entry))
            .route("/api/v1/log/entries/retrieve", post(retrieve))
            .with_state(Arc::clone(&world));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let leaf = authority.server("sigstore", &["127.0.0.1"]).unwrap();
        let config =
            RustlsConfig::from_pem(leaf.cert_pem.into_bytes(), leaf.key_pem.into_bytes()).await.unwrap();
        let server = axum_server::from_tcp_rustls(listener, config).unwrap();
        tokio::spawn(server.serve(router.into_make_service()));
        Self { sigstore, url, outbound, world, folder }
    }

    /// With the file `ca.crt` of the authority.
    pub(crate) fn folder(&self) -> &FilePath {
        self.folder.path()
    }

    pub(crate) fn lie(&self, pointer: &'static str, value: Value) {
        self.world.lies.lock().insert(pointer, value);
    }
}

impl World {
    fn told(&self, mut answer: Value) -> Value {
        for (pointer, lie) in self.lies.lock().iter() {
            if let Some(place) = answer.pointer_mut(pointer) {
                *place = lie.clone();
            }
        }
        answer
    }

    fn entry(&self, index: usize) -> Value {
        let mut entries = Map::new();
        entries.insert(format!("{index:064x}"), self.told(self.sigstore.entry(index)));
        Value::Object(entries)
    }
}

/// A token that this authority believes: its signature is none.
pub(crate) fn token(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(&json!({"alg": "RS256"})), part(claims), part(&json!("signature")))
}

async fn certify(State(world): State<Arc<World>>, Json(request): Json<Value>) -> Response {
    let text = |pointer: &str| request.pointer(pointer).unwrap().as_str().unwrap().to_owned();
    let claims = text("/credentials/oidcIdentityToken");
    let claims = URL_SAFE_NO_PAD.decode(claims.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let key = PublicKey::from_pem(&text("/publicKeyRequest/publicKey/content")).unwrap();
    let proof = BASE64.decode(text("/publicKeyRequest/proofOfPossession")).unwrap();
    let challenge =
        claims["email"].as_str().filter(|_| claims["email_verified"] == true).or(claims["sub"].as_str());
    if key.verify(challenge.unwrap().as_bytes(), &proof).is_err() {
        return (StatusCode::BAD_REQUEST, Json(json!({"code": 3, "message": "no proof of possession"})))
            .into_response();
    }
    let certificate = world.sigstore.issue(&key, &Wish::default());
    let mut certificates = vec![certificate.leaf];
    certificates.extend(pem::parse_many(certificate.chain).unwrap().iter().map(pem::encode));
    Json(world.told(json!({"signedCertificateEmbeddedSct": {"chain": {"certificates": certificates}}})))
        .into_response()
}

/// The older API, which cosign still uses.
async fn certify_as_before(State(world): State<Arc<World>>, Json(request): Json<Value>) -> Response {
    let key = BASE64.decode(request["publicKey"]["content"].as_str().unwrap()).unwrap();
    let key = PublicKey::from_pem(&String::from_utf8(key).unwrap()).unwrap();
    let certificate = world.sigstore.issue(&key, &Wish::default());
    let chain = format!("{}{}", certificate.leaf, certificate.chain);
    (StatusCode::CREATED, [(header::CONTENT_TYPE, "application/pem-certificate-chain")], chain)
        .into_response()
}

/// What the log keeps of a proposed entry.
fn canonical(proposed: &Value) -> Option<Vec<u8>> {
    let mut body = proposed.clone();
    match proposed["kind"].as_str()? {
        "hashedrekord" => {}
        "intoto" => {
            let envelope = proposed["spec"]["content"]["envelope"].as_str()?;
            let hash = |content: &[u8]| json!({"algorithm": "sha256", "value": data_encoding::HEXLOWER.encode(&Sha256::digest(content))});
            let payload: Value = serde_json::from_str(envelope).ok()?;
            let payload = BASE64.decode(payload["payload"].as_str()?).ok()?;
            body["spec"]["content"] =
                json!({"hash": hash(envelope.as_bytes()), "payloadHash": hash(&payload)});
        }
        _ => return None,
    }
    Some(body.to_string().into_bytes())
}

async fn upload(State(world): State<Arc<World>>, Json(proposed): Json<Value>) -> Response {
    let (index, was_there) = world.sigstore.log(&canonical(&proposed).unwrap());
    if was_there {
        let place = format!("/api/v1/log/entries/{index:064x}");
        let message = json!({"code": 409, "message": "there is an equivalent entry"});
        return (StatusCode::CONFLICT, [(header::LOCATION, place)], Json(message)).into_response();
    }
    (StatusCode::CREATED, Json(world.entry(index))).into_response()
}

async fn entry(State(world): State<Arc<World>>, Path(uuid): Path<String>) -> Json<Value> {
    Json(world.entry(usize::from_str_radix(&uuid, 16).unwrap()))
}

async fn retrieve(State(world): State<Arc<World>>, Json(request): Json<Value>) -> Json<Value> {
    let proposed = request["entries"].as_array().unwrap().iter();
    let bodies = proposed.filter_map(canonical);
    Json(bodies.filter_map(|body| world.sigstore.find(&body)).map(|index| world.entry(index)).collect())
}
