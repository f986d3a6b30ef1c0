//! The signing key in the files of a mounted Secret: `x509.pem` (PKCS #8), else `cosign.key` with `cosign.password`.
//!
//! They are read for each pass, so that a rotation is seen with the next run, and parsed only when they have changed: opening an
//! encrypted key takes a tenth of a second of scrypt.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use attest::PrivateKey;
use fleet::Secret;
use tokio::sync::Mutex;

use super::SignerError;

const X509: &str = "x509.pem";
const COSIGN: &str = "cosign.key";
const PASSWORD: &str = "cosign.password";

pub(super) struct KeyFiles {
    folder: PathBuf,
    /// What the files held, and the key that they are.
    known: Mutex<Option<(Material, Arc<PrivateKey>)>>,
}

/// The files that a key is made of.
#[derive(Clone, PartialEq)]
enum Material {
    X509(Secret<Vec<u8>>),
    Cosign { key: Secret<Vec<u8>>, password: Secret<Vec<u8>> },
}

impl KeyFiles {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, known: Mutex::new(None) }
    }

    /// The key that the files hold now.
    pub(super) async fn key(&self) -> Result<Arc<PrivateKey>, SignerError> {
        let mut known = self.known.lock().await;
        let material = self.material().await?;
        if let Some((_, key)) = known.as_ref().filter(|(before, _)| *before == material) {
            return Ok(Arc::clone(key));
        }
        *known = None;
        let parsed = material.clone();
        let key = tokio::task::spawn_blocking(move || parsed.parse())
            .await
            .map_err(|error| SignerError::Unusable { file: COSIGN, why: error.to_string() })??;
        tracing::info!(key = key.public().key_id(), "Signing with this key from now on");
        let key = Arc::new(key);
        *known = Some((material, Arc::clone(&key)));
        Ok(key)
    }

    async fn material(&self) -> Result<Material, SignerError> {
        if let Some(pem) = self.read(X509).await? {
            return Ok(Material::X509(pem));
        }
        let Some(key) = self.read(COSIGN).await? else {
            return Err(SignerError::NoKey { folder: self.folder.display().to_string() });
        };
        let password = self.read(PASSWORD).await?.unwrap_or_else(|| Secret::new(Vec::new()));
        Ok(Material::Cosign { key, password })
    }

    /// Content of a file; `None` if there is none.
    async fn read(&self, name: &str) -> Result<Option<Secret<Vec<u8>>>, SignerError> {
        let path = self.folder.join(name);
        match tokio::fs::read(&path).await {
            Ok(content) => Ok(Some(Secret::new(content))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SignerError::Unreadable { file: path.display().to_string(), source }),
        }
    }
}

impl Material {
    fn parse(&self) -> Result<PrivateKey, SignerError> {
        let unusable = |file| move |why: String| SignerError::Unusable { file, why };
        match self {
            Self::X509(pem) => {
                let pem = text(pem).map_err(unusable(X509))?;
                PrivateKey::from_pem(pem).map_err(|error| unusable(X509)(error.to_string()))
            }
            Self::Cosign { key, password } => {
                let key = text(key).map_err(unusable(COSIGN))?;
                // Who wrote the file with an editor did not mean the end of the line.
                let password = text(password).map_err(unusable(PASSWORD))?.trim_end_matches(['\r', '\n']);
                PrivateKey::from_encrypted(key, password).map_err(|error| unusable(COSIGN)(error.to_string()))
            }
        }
    }
}

fn text(content: &Secret<Vec<u8>>) -> Result<&str, String> {
    std::str::from_utf8(content.expose()).map_err(|_| "it is no text".to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn files(entries: &[(&str, &str)]) -> (tempfile::TempDir, KeyFiles) {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in entries {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let files = KeyFiles::new(folder.path().to_owned());
        (folder, files)
    }

    fn encrypted(password: &str) -> (String, String) {
        let key = PrivateKey::generate().unwrap();
        (key.to_encrypted(password).unwrap(), key.public().key_id().to_owned())
    }

    async fn id(files: &KeyFiles) -> String {
        files.key().await.unwrap().public().key_id().to_owned()
    }

    #[tokio::test]
    async fn scenario_13_a_key_that_is_replaced_signs_from_then_on() {
        let ((first, first_id), (second, second_id)) = (encrypted("one"), encrypted("two"));
        let (folder, files) = files(&[("cosign.key", &first), ("cosign.password", "one\n")]);
        assert_eq!(id(&files).await, first_id);
        let same = files.key().await.unwrap();
        assert!(Arc::ptr_eq(&same, &files.key().await.unwrap()), "it is not opened again");
        fs::write(folder.path().join("cosign.key"), second).unwrap();
        let error = files.key().await.unwrap_err().to_string();
        assert!(error.contains("cosign.key") && error.contains("password"), "{error}");
        fs::write(folder.path().join("cosign.password"), "two").unwrap();
        assert_eq!(id(&files).await, second_id);
    }

    #[tokio::test]
    async fn a_plain_key_wins() {
        let pem = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let (cosign, other) = encrypted("");
        let (_folder, files) = files(&[("x509.pem", &pem.serialize_pem()), ("cosign.key", &cosign)]);
        assert_ne!(id(&files).await, other);
        assert_eq!(
            files.key().await.unwrap().public().to_pem().replace("\r\n", "\n").trim(),
            pem.public_key_pem().replace("\r\n", "\n").trim()
        );
    }

    #[tokio::test]
    async fn scenario_8_without_a_key_it_says_what_it_looked_for() {
        let (_folder, files) = files(&[("cosign.password", "x")]);
        let error = files.key().await.unwrap_err().to_string();
        assert!(
            error.starts_with("no valid private key found, looked for: [x509.pem, cosign.key]"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn what_is_no_key_is_an_error_that_shows_nothing_of_it() {
        for (name, content) in [("x509.pem", "hunter2"), ("cosign.key", "hunter2"), ("x509.pem", "\u{0}")] {
            let (_folder, files) = files(&[(name, content)]);
            let error = files.key().await.unwrap_err().to_string();
            assert!(error.starts_with(name) && !error.contains("hunter2"), "{error}");
        }
    }
}
