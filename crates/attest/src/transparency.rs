//! Whether a signature is in a transparency log, which tells against the signer's will that and when it was made.
//!
//! ```text
//!   layer with a bundle ──▶ the log's signature over the entry ─────────────────────┐
//!   layer without ──▶ rekor::Client ─▶ the same, and a proof that the tree has it ──┼─▶ the entry is about this
//!                                                                                   ┘   signature, by this key ─▶ time
//! ```

mod body;
mod bundle;
mod proof;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::rekor::{Client, Entry};
use crate::roots::{LogKey, Roots};
use crate::verify::{Logged, TransparencyLog};

pub(crate) use body::matches;
pub(crate) use bundle::{Bundle, Payload};

/// The logs that are trusted, and the one that is asked.
#[derive(Clone)]
pub struct LogPolicy {
    keys: Vec<LogKey>,
    client: Option<Client>,
}

impl LogPolicy {
    /// Logs by their keys in `roots`. Without a client only signatures that bring their proof with them are in a log.
    pub fn new(roots: &Roots, client: Option<Client>) -> Self {
        Self { keys: roots.signature_logs.clone(), client }
    }

    async fn look_up(&self, logged: &Logged<'_>) -> Result<Timestamp, String> {
        let Some(client) = &self.client else {
            return Err(
                "it brings no proof that it is in a transparency log, and there is no log to ask".to_owned()
            );
        };
        let entries = client.find(logged).await.map_err(|error| chain(&error))?;
        let mut reason = "the transparency log does not have it".to_owned();
        for entry in &entries {
            match self.check_entry(entry, logged) {
                Ok(at) => return Ok(at),
                Err(other) => reason = other,
            }
        }
        Err(reason)
    }

    /// An entry that a log itself has given.
    fn check_entry(&self, entry: &Entry, logged: &Logged<'_>) -> Result<Timestamp, String> {
        let at = check(&entry.bundle(), &self.keys, logged)?;
        let proof = entry.verification.inclusion_proof.as_ref();
        let proof = proof.ok_or_else(|| "the log's entry has no proof of inclusion".to_owned())?;
        let body = entry.body()?;
        proof::check(proof, &body, &self.keys)?;
        Ok(at)
    }
}

impl TransparencyLog for LogPolicy {
    fn included<'a>(&'a self, logged: Logged<'a>) -> BoxFuture<'a, Result<Timestamp, String>> {
        async move {
            if self.keys.is_empty() {
                return Err("no key of a transparency log is known, so nothing that a log says can be verified; give the \
                            trusted roots or the log's public key, or ignore the log"
                    .to_owned());
            }
            match logged.bundle {
                Some(json) => check(&Bundle::parse(json)?, &self.keys, &logged),
                None => self.look_up(&logged).await,
            }
        }
        .boxed()
    }
}

/// When the log took in what `bundle` says, which has to be `logged`.
fn check(bundle: &Bundle, keys: &[LogKey], logged: &Logged<'_>) -> Result<Timestamp, String> {
    let at = bundle.check(keys)?;
    matches(&bundle.payload.body()?, logged)?;
    Ok(at)
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source())
        .fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
