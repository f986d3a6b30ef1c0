use std::net::{Ipv4Addr, TcpListener};

use attest::{PrivateKey, PublicKey};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use axum_server::tls_rustls::RustlsConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fleet::Secret;
use fleet::outbound::Options;
use rstest::rstest;
use serde_json::{Value, json};
use testkit::pki::Authority;

use super::*;

const JWT: &str = "a.web.token";

/// A Vault in memory.
struct Played {
    vault: Arc<PlayedVault>,
    services: KeyServices,
    address: String,
    folder: tempfile::TempDir,
}

struct PlayedVault {
    /// The versions of the key `chains`, the first one 1.
    keys: parking_lot::Mutex<Vec<PrivateKey>>,
    token: parking_lot::Mutex<String>,
    /// By which key it signs, whatever it is asked.
    signs_with: parking_lot::Mutex<Option<PrivateKey>>,
    calls: parking_lot::Mutex<Vec<&'static str>>,
}

impl Played {
    async fn start() -> Self {
        let authority = Authority::new("vault-test").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let bundle = folder.path().join("ca.crt");
        std::fs::write(&bundle, authority.cert_pem()).unwrap();
        std::fs::write(folder.path().join("jwt"), format!("{JWT}\n")).unwrap();
        std::fs::write(folder.path().join("token"), "first\n").unwrap();
        let options =
            Options { allow: "127.0.0.1".parse().unwrap(), ca_bundle: Some(bundle), ..Options::default() };
        let outbound =
            outbound::Client::new("test", options, fleet::Clock::system(), &prometheus::Registry::new())
                .unwrap();
        let vault = Arc::new(PlayedVault {
            keys: parking_lot::Mutex::new(vec![PrivateKey::generate().unwrap()]),
            token: parking_lot::Mutex::new("first".to_owned()),
            signs_with: parking_lot::Mutex::default(),
            calls: parking_lot::Mutex::default(),
        });
        let router = Router::new()
            .route("/v1/transit/keys/{key}", get(key))
            .route("/v1/transit/sign/{key}/sha2-256", post(sign))
            .route("/v1/auth/kubernetes/login", post(log_in))
            .with_state(Arc::clone(&vault));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = format!("https://{}", listener.local_addr().unwrap());
        let leaf = authority.server("vault", &["127.0.0.1"]).unwrap();
        let config =
            RustlsConfig::from_pem(leaf.cert_pem.into_bytes(), leaf.key_pem.into_bytes()).await.unwrap();
        tokio::spawn(
            axum_server::from_tcp_rustls(listener, config).unwrap().serve(router.into_make_service()),
        );
        Self { vault, services: KeyServices::new(outbound), address, folder }
    }

    fn settings(&self) -> Kms {
        Kms {
            key: "hashivault://chains".to_owned(),
            address: self.address.clone(),
            token: Some(Secret::new("first".to_owned())),
            ..Kms::default()
        }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn public(&self, version: usize) -> PublicKey {
        self.vault.keys.lock()[version - 1].public().clone()
    }

    fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.vault.calls.lock())
    }
}

impl PlayedVault {
    #[expect(clippy::result_large_err, reason = "it is the answer")]
    fn admit(&self, call: &'static str, headers: &HeaderMap) -> Result<(), Response> {
        self.calls.lock().push(call);
        if headers.get("x-vault-token").is_some_and(|token| token.as_bytes() == self.token.lock().as_bytes())
        {
            return Ok(());
        }
        Err((StatusCode::FORBIDDEN, Json(json!({"errors": ["permission denied"]}))).into_response())
    }
}

async fn key(
    State(vault): State<Arc<PlayedVault>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = vault.admit("key", &headers) {
        return refusal;
    }
    let keys = vault.keys.lock();
    let versions: serde_json::Map<String, Value> = keys
        .iter()
        .enumerate()
        .map(|(index, key)| ((index + 1).to_string(), json!({"public_key": key.public().to_pem()})))
        .collect();
    match name.as_str() {
        "chains" => {
            Json(json!({"data": {"type": "ecdsa-p256", "latest_version": keys.len(), "keys": versions}}))
                .into_response()
        }
        // A symmetric key has times for versions.
        "aes" => {
            Json(json!({"data": {"type": "aes256-gcm96", "latest_version": 1, "keys": {"1": 1_700_000_000}}}))
                .into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn sign(
    State(vault): State<Arc<PlayedVault>>,
    headers: HeaderMap,
    Json(request): Json<Value>,
) -> Response {
    if let Err(refusal) = vault.admit("sign", &headers) {
        return refusal;
    }
    let input = BASE64.decode(request["input"].as_str().unwrap()).unwrap();
    let version = usize::try_from(request["key_version"].as_u64().unwrap()).unwrap();
    let signature = match &*vault.signs_with.lock() {
        Some(other) => other.sign(&input),
        None => vault.keys.lock()[version - 1].sign(&input),
    };
    let signature = format!("vault:v{version}:{}", BASE64.encode(signature.unwrap()));
    Json(json!({"data": {"signature": signature}})).into_response()
}

async fn log_in(State(vault): State<Arc<PlayedVault>>, Json(request): Json<Value>) -> Response {
    vault.calls.lock().push("login");
    if request != json!({"role": "chains", "jwt": JWT}) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    Json(json!({"auth": {"client_token": *vault.token.lock()}})).into_response()
}

#[tokio::test]
async fn signs_with_the_newest_version() {
    let played = Played::start().await;
    played.vault.keys.lock().push(PrivateKey::generate().unwrap());
    let signer = played.services.key(&played.settings()).await.unwrap();
    assert_eq!(*signer.public_key(), played.public(2));
    let signature = signer.sign(b"message").await.unwrap();
    played.public(2).verify(b"message", &signature).unwrap();
}

#[tokio::test]
async fn asks_for_the_key_once() {
    let played = Played::start().await;
    for _ in 0..3 {
        played.services.key(&played.settings()).await.unwrap();
    }
    assert_eq!(played.calls(), ["key"]);
    // With other settings again.
    played
        .services
        .key(&Kms { token: None, token_path: played.file("token"), ..played.settings() })
        .await
        .unwrap();
    assert_eq!(played.calls(), ["key"]);
}

#[tokio::test]
async fn a_rotation_is_seen_after_a_while() {
    let played = Played::start().await;
    let before = played.services.key(&played.settings()).await.unwrap();
    played.vault.keys.lock().push(PrivateKey::generate().unwrap());
    played.services.known.lock().await.as_mut().unwrap().until = Instant::now();
    let after = played.services.key(&played.settings()).await.unwrap();
    assert_eq!((before.public_key(), after.public_key()), (&played.public(1), &played.public(2)));
    // The one of before still signs with its own version.
    let signature = before.sign(b"message").await.unwrap();
    played.public(1).verify(b"message", &signature).unwrap();
}

#[tokio::test]
async fn logs_in_again_when_the_login_has_ended() {
    let played = Played::start().await;
    let settings = Kms {
        token: None,
        oidc_path: "kubernetes".to_owned(),
        oidc_role: "chains".to_owned(),
        oidc_token_path: played.file("jwt"),
        ..played.settings()
    };
    let signer = played.services.key(&settings).await.unwrap();
    "second".clone_into(&mut played.vault.token.lock());
    signer.sign(b"message").await.unwrap();
    assert_eq!(played.calls(), ["login", "key", "sign", "login", "sign"]);
}

#[tokio::test]
async fn a_token_that_is_refused_signs_nothing() {
    let played = Played::start().await;
    let signer = played.services.key(&played.settings()).await.unwrap();
    "second".clone_into(&mut played.vault.token.lock());
    let error = signer.sign(b"message").await.unwrap_err();
    assert!(error.reason.contains("HTTP 403") && !error.is_transient, "{error}");
    assert!(!error.to_string().contains("first"), "{error}");
}

#[tokio::test]
async fn signatures_are_checked() {
    let played = Played::start().await;
    let signer = played.services.key(&played.settings()).await.unwrap();
    *played.vault.signs_with.lock() = Some(PrivateKey::generate().unwrap());
    let error = signer.sign(b"message").await.unwrap_err();
    assert!(error.reason.contains("not by its public key"), "{error}");
}

#[rstest]
#[case::cloud("gcpkms://projects/p", "keys of gcpkms are not supported")]
#[case::no_service("chains", "names no key")]
#[case::no_name("hashivault://", "names no key")]
#[case::path("hashivault://../sys/seal", "names no key")]
#[case::nothing("", "names no key")]
#[case::symmetric("hashivault://aes", "has no public key")]
#[case::missing("hashivault://other", "Vault https://127.0.0.1")]
#[tokio::test]
async fn bad_references(#[case] reference: &str, #[case] expected: &str) {
    let played = Played::start().await;
    let settings = Kms { key: reference.to_owned(), ..played.settings() };
    let error = played.services.key(&settings).await.err().unwrap();
    assert!(error.to_string().contains(expected) && !error.is_transient(), "{error}");
}

#[rstest]
#[case::nothing(Kms::default(), "has no login")]
#[case::role_alone(Kms { oidc_role: "r".to_owned(), ..Kms::default() }, "has no login")]
#[case::spire(Kms { spire_socket: "/run/spire.sock".to_owned(), ..Kms::default() }, "SPIRE are not supported")]
#[case::file(Kms { token_path: "/nowhere".to_owned(), ..Kms::default() }, "/nowhere cannot be read")]
#[tokio::test]
async fn bad_logins(#[case] settings: Kms, #[case] expected: &str) {
    let played = Played::start().await;
    let settings = Kms { key: "hashivault://chains".to_owned(), address: played.address.clone(), ..settings };
    let error = played.services.key(&settings).await.err().unwrap();
    assert!(error.to_string().contains(expected), "{error}");
}

#[rstest]
#[case("")]
#[case("vault.example")]
#[case("http://127.0.0.1:8200")]
#[tokio::test]
async fn plain_text_is_refused(#[case] address: &str) {
    let played = Played::start().await;
    let settings = Kms { address: address.to_owned(), ..played.settings() };
    assert!(matches!(played.services.key(&settings).await, Err(KmsError::Address(_))));
}

#[test]
fn keys_of_edwards_curves_are_bare() {
    let key = PublicKey::from_pem(&vault_pem([7; 32])).unwrap();
    assert!(key.key_id().starts_with("SHA256:"));
}

fn vault_pem(bare: [u8; 32]) -> String {
    vault::pem_of("ed25519", &BASE64.encode(bare))
}
