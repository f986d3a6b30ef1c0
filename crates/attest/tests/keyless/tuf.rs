//! Which mirrors fill the folder with roots of trust.

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use attest::PrivateKey;
use attest::roots::Roots;
use attest::tuf::{Client, Updated};
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum_server::tls_rustls::RustlsConfig;
use fleet::outbound::{self, Options};
use jiff::SignedDuration;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use testkit::pki::Authority;

use crate::sigstore::{Sigstore, moment};

/// A mirror, and what its keys say.
struct Mirror {
    files: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    outbound: outbound::Client,
    url: String,
    folder: tempfile::TempDir,
    /// Two of the root, of which both have to sign, and one of all other roles.
    roots: [PrivateKey; 2],
    online: PrivateKey,
    sigstore: Sigstore,
}

impl Mirror {
    async fn start() -> Self {
        let authority = Authority::new("tuf-test").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let bundle = folder.path().join("ca.crt");
        std::fs::write(&bundle, authority.cert_pem()).unwrap();
        std::fs::create_dir(folder.path().join("root")).unwrap();
        let options =
            Options { allow: "127.0.0.1".parse().unwrap(), ca_bundle: Some(bundle), ..Options::default() };
        let outbound =
            outbound::Client::new("test", options, fleet::Clock::system(), &prometheus::Registry::new())
                .unwrap();
        let files: Arc<Mutex<HashMap<String, Vec<u8>>>> = Arc::default();
        let served = Arc::clone(&files);
        let router = Router::new().fallback(move |request: Request| {
            let file = served.lock().get(request.uri().path().trim_start_matches('/')).cloned();
            async move { file.ok_or(StatusCode::NOT_FOUND) }
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let leaf = authority.server("mirror", &["127.0.0.1"]).unwrap();
        let config =
            RustlsConfig::from_pem(leaf.cert_pem.into_bytes(), leaf.key_pem.into_bytes()).await.unwrap();
        tokio::spawn(
            axum_server::from_tcp_rustls(listener, config).unwrap().serve(router.into_make_service()),
        );
        let key = || PrivateKey::generate().unwrap();
        let mirror = Self {
            files,
            outbound,
            url,
            folder,
            roots: [key(), key()],
            online: key(),
            sigstore: Sigstore::new(),
        };
        mirror.put("1.root.json", &mirror.root(1, &mirror.roots.each_ref()));
        mirror.publish(1);
        mirror
    }

    fn directory(&self) -> std::path::PathBuf {
        self.folder.path().join("root")
    }

    fn put(&self, name: &str, content: &Value) {
        self.files.lock().insert(name.to_owned(), content.to_string().into_bytes());
    }

    /// Signed by `signers`.
    fn root(&self, version: u64, signers: &[&PrivateKey]) -> Value {
        let key = |key: &PrivateKey| json!({"keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "keyval": {"public": key.public().to_pem()}});
        let online = json!({"keyids": ["online"], "threshold": 1});
        signed(
            &json!({
                "_type": "root", "spec_version": "1.0", "version": version, "expires": "2026-12-01T00:00:00Z",
                "consistent_snapshot": true,
                "keys": {"one": key(&self.roots[0]), "two": key(&self.roots[1]), "online": key(&self.online)},
                "roles": {
                    "root": {"keyids": ["one", "two"], "threshold": 2},
                    "timestamp": online, "snapshot": online, "targets": online,
                },
            }),
            &["one", "two"].into_iter().zip(signers.iter().copied()).collect::<Vec<_>>(),
        )
    }

    /// All roles but the root in this version.
    fn publish(&self, version: u64) {
        let file = self.sigstore.trusted_root("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z").to_string();
        self.publish_file(version, "trusted_root.json", file.as_bytes(), "2026-04-01T00:00:00Z");
    }

    fn publish_file(&self, version: u64, name: &str, content: &[u8], expires: &str) {
        let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(content));
        self.files.lock().insert(format!("targets/{hash}.{name}"), content.to_vec());
        let common = |kind: &str| json!({"_type": kind, "spec_version": "1.0", "version": version, "expires": expires});
        let mut targets = common("targets");
        targets["targets"] = json!({
            name: {"length": content.len(), "hashes": {"sha256": hash}, "custom": {"text": "\"quoted\" \\ and \u{fc}"}},
            "../escape.pem": {"length": 1, "hashes": {"sha256": hash}},
        });
        let mut snapshot = common("snapshot");
        snapshot["meta"] = json!({"targets.json": {"version": version}});
        let mut timestamp = common("timestamp");
        timestamp["meta"] = json!({"snapshot.json": {"version": version}});
        for (name, role) in [
            (format!("{version}.targets.json"), targets),
            (format!("{version}.snapshot.json"), snapshot),
            ("timestamp.json".to_owned(), timestamp),
        ] {
            self.put(&name, &signed(&role, &[("online", &self.online)]));
        }
    }

    /// Changes what a file says, without a signature.
    fn change(&self, name: &str, pointer: &str, value: Value) {
        let mut file: Value = serde_json::from_slice(&self.files.lock()[name]).unwrap();
        *file.pointer_mut(pointer).unwrap() = value;
        self.put(name, &file);
    }

    async fn update(&self, root: Option<&[u8]>) -> Result<Updated, String> {
        let client = Client::new(self.outbound.clone(), self.url.parse().unwrap(), self.directory());
        client.update(root, moment()).await.map_err(|error| error.to_string())
    }
}

fn signed(signed: &Value, by: &[(&str, &PrivateKey)]) -> Value {
    // Members are in order here; line breaks alone are written in another way.
    let canonical = signed.to_string().replace("\\n", "\n");
    let signatures: Vec<Value> = by
        .iter()
        .map(|(id, key)| {
            let sig = data_encoding::HEXLOWER.encode(&key.sign(canonical.as_bytes()).unwrap());
            json!({"keyid": id, "sig": sig})
        })
        .collect();
    json!({"signed": signed, "signatures": signatures})
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn fills_the_folder() {
    let mirror = Mirror::start().await;
    let expected = Updated { root_version: 1, files: vec!["trusted_root.json".to_owned()] };
    assert_eq!(mirror.update(None).await.as_ref(), Ok(&expected));
    assert_eq!(
        names(&mirror.directory()),
        ["root.json", "snapshot.json", "targets", "targets.json", "timestamp.json"]
    );
    assert_eq!(names(&mirror.directory().join("targets")), ["trusted_root.json"]);
    Roots::read(&mirror.directory()).unwrap();
    assert_eq!(mirror.update(None).await, Ok(expected));
}

#[tokio::test]
async fn what_is_no_longer_listed_goes() {
    let mirror = Mirror::start().await;
    mirror.publish_file(1, "rekor.pub", b"a key", "2026-04-01T00:00:00Z");
    mirror.update(None).await.unwrap();
    mirror.publish(2);
    mirror.update(None).await.unwrap();
    assert_eq!(names(&mirror.directory().join("targets")), ["trusted_root.json"]);
}

#[tokio::test]
async fn follows_new_roots() {
    let mut mirror = Mirror::start().await;
    mirror.update(None).await.unwrap();
    // Another key for the rest; the root's stay.
    mirror.online = PrivateKey::generate().unwrap();
    mirror.put("2.root.json", &mirror.root(2, &mirror.roots.each_ref()));
    mirror.publish(1);
    assert_eq!(mirror.update(None).await.unwrap().root_version, 2);
}

#[tokio::test]
async fn a_root_of_strangers_is_refused() {
    let mut mirror = Mirror::start().await;
    mirror.update(None).await.unwrap();
    mirror.roots = [PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap()];
    mirror.put("2.root.json", &mirror.root(2, &mirror.roots.each_ref()));
    let error = mirror.update(None).await.unwrap_err();
    assert!(error.contains("2.root.json: 0 of the 2 signatures"), "{error}");
}

#[tokio::test]
async fn one_key_twice_is_one() {
    let mirror = Mirror::start().await;
    let [one, _] = &mirror.roots;
    mirror.put("1.root.json", &mirror.root(1, &[one, one]));
    assert!(mirror.update(None).await.unwrap_err().contains("1 of the 2 signatures"));
}

#[tokio::test]
async fn the_given_root_counts_more_than_the_mirrors() {
    let (mirror, other) = (Mirror::start().await, Mirror::start().await);
    let given = other.files.lock()["1.root.json"].clone();
    assert!(mirror.update(Some(&given)).await.unwrap_err().contains("0 of the 1 signatures"));
    assert_eq!(names(&mirror.directory()), [""; 0]);
    let given = mirror.files.lock()["1.root.json"].clone();
    mirror.update(Some(&given)).await.unwrap();
}

#[tokio::test]
async fn nothing_old_comes_back() {
    let mirror = Mirror::start().await;
    mirror.publish(2);
    mirror.update(None).await.unwrap();
    mirror.publish(1);
    let error = mirror.update(None).await.unwrap_err();
    assert!(error.contains("timestamp.json: it is version 1, and version 2 has been seen"), "{error}");
}

#[tokio::test]
async fn what_has_expired_is_refused() {
    let mirror = Mirror::start().await;
    mirror.publish_file(2, "rekor.pub", b"a key", &(moment() - SignedDuration::from_secs(1)).to_string());
    assert!(mirror.update(None).await.unwrap_err().contains("timestamp.json: it has expired"));
}

/// Every file that a mirror serves, changed without its keys.
#[rstest::rstest]
#[case::root("1.root.json", "/signed/roles/timestamp/threshold", json!(0), "root.json: 0 of the 2")]
#[case::timestamp("timestamp.json", "/signed/meta/snapshot.json/version", json!(2), "timestamp.json: 0 of the 1")]
#[case::snapshot("1.snapshot.json", "/signed/meta/targets.json/version", json!(2), "snapshot.json: 0 of the 1")]
#[case::targets("1.targets.json", "/signed/expires", json!("2030-01-01T00:00:00Z"), "targets.json: 0 of the 1")]
#[case::other_role("timestamp.json", "/signed/_type", json!("snapshot"), "no metadata of the role timestamp")]
#[case::unsigned("timestamp.json", "/signatures", json!([]), "timestamp.json: 0 of the 1")]
#[tokio::test]
async fn changed_metadata(
    #[case] name: &str,
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] expected: &str,
) {
    let mirror = Mirror::start().await;
    mirror.change(name, pointer, value);
    let error = mirror.update(None).await.unwrap_err();
    assert!(error.contains(expected), "{error}");
    assert_eq!(names(&mirror.directory()), [""; 0]);
}

#[tokio::test]
async fn changed_files() {
    let mirror = Mirror::start().await;
    let name = mirror.files.lock().keys().find(|name| name.starts_with("targets/")).unwrap().clone();
    mirror.files.lock().get_mut(&name).unwrap()[0] ^= 1;
    let error = mirror.update(None).await.unwrap_err();
    assert!(error.contains("trusted_root.json: its content has another digest"), "{error}");
    mirror.files.lock().remove(&name);
    assert!(mirror.update(None).await.unwrap_err().contains("it is not there"));
}

#[tokio::test]
async fn junk() {
    let mirror = Mirror::start().await;
    mirror.put("timestamp.json", &json!([]));
    assert!(mirror.update(None).await.unwrap_err().contains("timestamp.json: it cannot be read"));
    mirror.files.lock().remove("1.root.json");
    assert!(mirror.update(None).await.unwrap_err().contains("1.root.json: it is not there"));
}
