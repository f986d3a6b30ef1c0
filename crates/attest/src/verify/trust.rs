//! Who is trusted.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::future::BoxFuture;
use jiff::Timestamp;

use super::refused::Refusal;
use super::{Cause, VerifiedSignature};
use crate::certificate::{self, Identity};
use crate::cosign::Layer;
use crate::key::PublicKey;
use crate::key_set::{KeySet, Made};
use crate::roots::Roots;

/// Whose signatures are good.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Those by one of these keys, each in its time. Certificates beside them say nothing.
    Keys(KeySet),
    /// Those by keys of one moment, if a certificate vouches for them that leads to these roots and names this identity.
    Identity { identity: Identity, roots: Arc<Roots> },
}

/// What else is looked at.
#[derive(Clone, Copy)]
pub struct Checks<'a> {
    /// Which has to have each signature. None: signatures need not be in a log.
    pub log: Option<&'a dyn TransparencyLog>,
    pub now: Timestamp,
}

/// A log of signatures that nobody can take one out of.
pub trait TransparencyLog: Send + Sync {
    /// When the log took the signature in; or why it is not known to be in it.
    fn included<'a>(&'a self, signature: Logged<'a>) -> BoxFuture<'a, Result<Timestamp, String>>;
}

/// A signature that is good, and may be in a log.
#[derive(Clone, Copy, Debug)]
pub struct Logged<'a> {
    /// What the layer holds: that is what the log has the hash of.
    pub bytes: &'a [u8],
    pub content: Content,
    pub signature: &'a [u8],
    pub key: &'a PublicKey,
    /// PEM of the key's certificate, where it was verified by that.
    pub certificate: Option<&'a str>,
    /// JSON of the log's proof, if the layer has it.
    pub bundle: Option<&'a str>,
}

/// What a layer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The signed bytes themselves.
    Payload,
    /// A DSSE envelope, with its signatures.
    Envelope,
}

/// A signature that somebody put there.
pub(super) struct Signed<'a> {
    pub(super) layer: &'a Layer,
    /// What the signature is said to be over.
    pub(super) message: &'a [u8],
    pub(super) signature: &'a [u8],
    pub(super) content: Content,
}

impl Trust {
    /// `stated` tells when it was made, as what is signed says; it is asked only if a trusted key has signed.
    pub(super) async fn verify(
        &self,
        signed: &Signed<'_>,
        stated: &(dyn Fn() -> Option<Timestamp> + Sync),
        checks: &Checks<'_>,
    ) -> Result<VerifiedSignature, Refusal> {
        match self {
            Self::Keys(keys) => by_key(keys, signed, stated, checks).await,
            Self::Identity { identity, roots } => by_certificate(identity, roots, signed, checks).await,
        }
    }
}

async fn by_key(
    keys: &KeySet,
    signed: &Signed<'_>,
    stated: &(dyn Fn() -> Option<Timestamp> + Sync),
    checks: &Checks<'_>,
) -> Result<VerifiedSignature, Refusal> {
    let makers: Vec<_> = keys.makers(signed.message, signed.signature).collect();
    let Some(maker) = makers.first() else {
        let reason = match keys.keys() {
            [only] => format!("key {} did not make the signature", only.key.key_id()),
            all => format!("none of the {} trusted keys made the signature", all.len()),
        };
        return Err(Refusal::new(Cause::Untrusted, reason));
    };
    let logged = included(signed, &maker.key, None, checks).await?;
    let made = logged.or_else(stated).map_or(Made::By(checks.now), Made::At);
    if !makers.iter().any(|maker| maker.permits(made)) {
        let reason = format!(
            "key {} made the signature at a time when it is not trusted ({made})",
            maker.key.key_id()
        );
        return Err(Refusal::new(Cause::OutsideWindow, reason));
    }
    Ok(VerifiedSignature {
        keyid: maker.key.key_id().to_owned(),
        sig: BASE64.encode(signed.signature),
        certificate: None,
        chain: Vec::new(),
        metadata: BTreeMap::new(),
    })
}

/// What the signed document says of its time does not count: the signer's key may be long gone, and stolen.
async fn by_certificate(
    identity: &Identity,
    roots: &Roots,
    signed: &Signed<'_>,
    checks: &Checks<'_>,
) -> Result<VerifiedSignature, Refusal> {
    let untrusted = |reason: String| Refusal::new(Cause::Untrusted, reason);
    let leaf = signed.layer.certificate();
    let leaf = leaf.ok_or_else(|| untrusted("no certificate is beside the signature".to_owned()))?;
    let key = certificate::key(leaf).map_err(|error| Refusal::new(Cause::Malformed, error.to_string()))?;
    key.verify(signed.message, signed.signature)
        .map_err(|_| untrusted("the key of its certificate did not make the signature".to_owned()))?;
    let logged = included(signed, &key, Some(leaf), checks).await?;
    let chain = signed.layer.chain().unwrap_or_default();
    let checked = certificate::check(leaf, chain, identity, roots, logged.unwrap_or(checks.now))
        .map_err(|error| untrusted(error.to_string()))?;
    if checked.key != key {
        return Err(untrusted("its certificate is for another key".to_owned()));
    }
    Ok(VerifiedSignature {
        keyid: checked.key_id,
        sig: BASE64.encode(signed.signature),
        certificate: Some(leaf.to_owned()),
        chain: checked.chain,
        metadata: checked.metadata,
    })
}

/// When the log took a good signature in; `None` if no log is asked.
async fn included(
    signed: &Signed<'_>,
    key: &PublicKey,
    certificate: Option<&str>,
    checks: &Checks<'_>,
) -> Result<Option<Timestamp>, Refusal> {
    let Some(log) = checks.log else { return Ok(None) };
    let entry = Logged {
        bytes: &signed.layer.bytes,
        content: signed.content,
        signature: signed.signature,
        key,
        certificate,
        bundle: signed.layer.bundle(),
    };
    log.included(entry).await.map(Some).map_err(|reason| Refusal::new(Cause::NotLogged, reason))
}
