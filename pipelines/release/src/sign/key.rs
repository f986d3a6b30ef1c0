//! The key that signs: of a mounted Secret, or of one that is named.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use attest::PrivateKey;
use fleet::Secret;
use k8s_openapi::api::core::v1;

use crate::cluster::{object_key, patiently};
use crate::context::Context;
use crate::workspace::read;

/// PKCS #8, not encrypted.
const X509: &str = "x509.pem";
/// As cosign makes it.
const COSIGN: &str = "cosign.key";
const PASSWORD: &str = "cosign.password";
const SCHEME: &str = "k8s://";

type Files = BTreeMap<String, Secret<Vec<u8>>>;

/// `None` if the folder has no key, or is not there: the Secret is optional.
pub(super) fn of_folder(folder: &Path) -> anyhow::Result<Option<PrivateKey>> {
    let mut files = Files::new();
    for name in [X509, COSIGN, PASSWORD] {
        let path = folder.join(name);
        if path.is_file() {
            let content = read(&path).with_context(|| format!("read {}", path.display()))?;
            files.insert(name.to_owned(), Secret::new(content));
        }
    }
    of_files(&files)
}

pub(super) async fn of_secret(name: &str, context: &Context) -> anyhow::Result<PrivateKey> {
    let key = name.strip_prefix(SCHEME).map(object_key);
    let Some(Ok(key)) = key else {
        bail!("sign.key is {name:?}: expected k8s://<namespace>/<name> of a Secret")
    };
    let api = context.cluster().await?.api::<v1::Secret>(&key.namespace);
    let secret = patiently(&format!("get Secret {key}"), async || api.get(&key.name).await).await?;
    let files =
        secret.data.unwrap_or_default().into_iter().map(|(name, content)| (name, Secret::new(content.0)));
    let found = of_files(&files.collect()).with_context(|| format!("Secret {key}"))?;
    found.with_context(|| format!("Secret {key} holds no key: expected {COSIGN} with {PASSWORD}, or {X509}"))
}

fn of_files(files: &Files) -> anyhow::Result<Option<PrivateKey>> {
    let text = |name: &str| -> anyhow::Result<Option<&str>> {
        let content = files.get(name).map(|content| std::str::from_utf8(content.expose()));
        content.transpose().with_context(|| format!("{name} is no text"))
    };
    if let Some(pem) = text(X509)? {
        return PrivateKey::from_pem(pem).context(X509).map(Some);
    }
    let Some(key) = text(COSIGN)? else { return Ok(None) };
    // Who wrote the file with an editor did not mean the end of the line.
    let password = text(PASSWORD)?.unwrap_or_default().trim_end_matches(['\r', '\n']);
    PrivateKey::from_encrypted(key, password).context(COSIGN).map(Some)
}
