//! What signs: a key in mounted files, a key of the moment with a certificate, or a key management service.
//!
//! ```text
//! Signers ─pass─▶ Pass: asked once for each kind ─┬─ key files: read anew, parsed when they have changed
//!                                                 ├─ keyless: one key and certificate for the pass
//!                                                 └─ kms
//! ```

mod key_files;
mod kms;

use std::path::PathBuf;
use std::sync::Arc;

use attest::{Signer, fulcio};
use fleet::{Secret, outbound};
use tokio::sync::OnceCell;

use crate::config::{Config, Keyless, SignerKind};

use key_files::KeyFiles;
use kms::{KeyServices, KmsError};

/// Why there is nothing to sign with.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum SignerError {
    /// The original's words, which users search for.
    #[error(
        "no valid private key found, looked for: [x509.pem, cosign.key] in {folder}; mount the Secret signing-secrets"
    )]
    NoKey { folder: String },
    #[error("{file} cannot be read")]
    Unreadable { file: String, source: std::io::Error },
    #[error("{file} is no usable signing key: {why}")]
    Unusable { file: &'static str, why: String },
    #[error("artifacts of this kind have signer none")]
    None,
    #[error("signer kms")]
    Kms(#[from] KmsError),
    #[error("the identity's token {file} cannot be read; mount one, or turn signers.x509.fulcio.enabled off")]
    Token { file: String, source: std::io::Error },
    #[error("no certificate for a key of the moment")]
    Keyless(#[from] fulcio::Error),
}

/// The sources of signers, kept between passes.
pub(crate) struct Signers {
    outbound: outbound::Client,
    files: KeyFiles,
    services: KeyServices,
}

impl Signers {
    /// `folder` is where the Secret with the signing key is mounted.
    pub(crate) fn new(folder: PathBuf, outbound: outbound::Client) -> Self {
        Self { services: KeyServices::new(outbound.clone()), outbound, files: KeyFiles::new(folder) }
    }

    /// The signers for one pass over one run.
    pub(crate) fn pass<'a>(&'a self, config: &'a Config) -> Pass<'a> {
        Pass { signers: self, config, x509: OnceCell::new(), kms: OnceCell::new() }
    }
}

/// All signatures of one kind in a pass are by one key.
pub(crate) struct Pass<'a> {
    signers: &'a Signers,
    config: &'a Config,
    x509: OnceCell<Arc<dyn Signer>>,
    kms: OnceCell<Arc<dyn Signer>>,
}

impl Pass<'_> {
    pub(crate) async fn get(&self, kind: SignerKind) -> Result<Arc<dyn Signer>, SignerError> {
        match kind {
            SignerKind::X509 => self.x509.get_or_try_init(|| self.x509()).await.cloned(),
            SignerKind::Kms => self.kms.get_or_try_init(|| self.kms()).await.cloned(),
            SignerKind::None => Err(SignerError::None),
        }
    }

    async fn x509(&self) -> Result<Arc<dyn Signer>, SignerError> {
        match &self.config.keyless {
            Some(keyless) => self.keyless(keyless).await,
            None => Ok(self.signers.files.key().await?),
        }
    }

    /// A key that nobody keeps, and a certificate for it.
    async fn keyless(&self, keyless: &Keyless) -> Result<Arc<dyn Signer>, SignerError> {
        let read = tokio::fs::read_to_string(&keyless.token_file).await;
        let token = read.map_err(|source| SignerError::Token { file: keyless.token_file.clone(), source })?;
        let token = Secret::new(token.trim().to_owned());
        let fulcio = fulcio::Client::new(self.signers.outbound.clone(), keyless.fulcio.clone());
        Ok(Arc::new(fulcio.signer(&token).await?))
    }

    async fn kms(&self) -> Result<Arc<dyn Signer>, SignerError> {
        Ok(self.signers.services.key(&self.config.kms).await?)
    }
}
