//! One attempt to sign all that is to be signed of a run (specification, section 4.2).
//!
//! ```text
//! run ─▶ items ─▶ payloads ─▶ signatures ─▶ (written down) ─▶ transparency log ─▶ every back end ─▶ Stored
//!                                └ of the last attempt, where a log was or may have been told
//! ```
//! Whatever fails of one item is no obstacle for the others, and all of it counts: there is no way from a failure to `signed`.
//! Everything can be repeated: back ends and log take what is there already for done.

mod failure;
mod items;

use std::sync::Arc;

use attest::{Signer, dsse};
use registry::Keychain;

use crate::config::{Backend, Config, Transparency};
use crate::keys;
use crate::progress::Progress;
use crate::run::{Identity, Run};
use crate::service::Context;
use crate::signers::Pass;
use crate::storage::{self, Annotations, Content, Oci, Signed, Storages};
use crate::transparency::{Entry, Log};

pub(crate) use failure::{Failure, told};
use items::Matter;
pub(crate) use items::{Item, Target};

/// All is signed and stored.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    /// To be written on the run, with the mark.
    pub(crate) annotations: Annotations,
    /// Where the last entry is in the log.
    pub(crate) log: Option<String>,
}

/// One attempt. `progress` is that of the run; signatures that a log is told are added.
pub(crate) struct Attempt<'a, R> {
    pub(crate) context: &'a Context,
    pub(crate) config: &'a Config,
    pub(crate) run: &'a R,
    pub(crate) progress: Progress,
}

/// A signed item, and where it goes.
struct Ready {
    signed: Signed,
    storage: Vec<Backend>,
    what: String,
}

impl<R: Run> Attempt<'_, R> {
    /// Builds and signs; the answer is to be [finished](Self::finish) once the progress, if it is news, has been written.
    pub(crate) async fn prepare(&mut self, target: &Target<'_>) -> Prepared {
        let items::Found { items, notes, mut failures } = items::of(target, self.config);
        for note in notes {
            tracing::info!(note, "A hint about an output or input is passed over");
        }
        let pass = self.context.signers.pass(self.config);
        let mut ready = Vec::with_capacity(items.len());
        let mut is_news = false;
        for item in items {
            match self.sign(&pass, item).await {
                Ok((item, was_news)) => {
                    ready.push(item);
                    is_news |= was_news;
                }
                Err(failure) => failures.push(failure),
            }
        }
        self.context.metrics.of::<R>().signed.inc_by(ready.len() as u64);
        // What can be stored is stored, though something else has failed: it need not be done again.
        Prepared { ready, failures, progress_is_news: is_news }
    }

    /// Whether a transparency log is told about this run.
    fn is_logged(&self) -> bool {
        let annotations = &self.run.meta().annotations;
        match self.config.transparency {
            Transparency::Off => false,
            Transparency::On => true,
            Transparency::Manual => {
                keys::TRANSPARENCY_UPLOAD.of(annotations) == Some("true")
                    && keys::TRANSPARENCY.of(annotations).is_none()
            }
        }
    }

    /// Signs an item, or takes the signature of an earlier attempt. Also says whether the progress has changed.
    async fn sign(&mut self, pass: &Pass<'_>, item: Item) -> Result<(Ready, bool), Failure> {
        let signer = pass.get(item.signer).await.map_err(|source| Failure::signer(&item, source))?;
        // A key of the moment is another one each time, so its signatures are not worth keeping.
        let keeps = self.is_logged() && signer.certificate().is_none();
        let Item { key, what, matter, storage, .. } = item;
        let earlier = if keeps { self.progress.signature(&key, matter.payload()) } else { None };
        let message = matter.signed_bytes();
        let earlier = earlier.filter(|signature| signer.public_key().verify(&message, signature).is_ok());
        let signature = match earlier {
            Some(signature) => signature,
            None => {
                signer.sign(&message).await.map_err(|source| Failure::Sign { what: what.clone(), source })?
            }
        };
        let is_news = keeps && self.progress.keep(&key, matter.payload(), &signature);
        let done = Signed {
            key,
            content: content(matter, signature, &*signer),
            certificate: signer.certificate().cloned(),
            signer: signer.public_key().clone(),
            bundle: None,
        };
        Ok((Ready { signed: done, storage, what }, is_news))
    }

    /// Tells the log and stores.
    pub(crate) async fn finish(&self, prepared: Prepared) -> Result<Stored, Vec<Failure>> {
        let Prepared { ready, mut failures, .. } = prepared;
        let identity = self.run.identity();
        let needs_login = ready.iter().any(|item| item.storage.contains(&Backend::Oci));
        let keychain = match self.keychain(&identity, needs_login).await {
            Ok(keychain) => keychain,
            Err(failure) => {
                failures.push(failure);
                return Err(failures);
            }
        };
        let log = self.is_logged().then(|| self.context.log(self.config));
        let oci = Oci::new(self.context.attached.clone(), self.config.repository.clone());
        let storages = Storages { oci };
        let mut stored = Stored::default();
        // One after the other: they mostly go to one repository, whose token and configuration the first one gets.
        for item in ready {
            match self.store(item, log.as_ref(), &storages, &keychain).await {
                Ok((annotations, entry)) => {
                    stored.annotations.extend(annotations);
                    stored.log = entry.map(|entry| entry.url).or(stored.log);
                }
                Err(of_item) => failures.extend(of_item),
            }
        }
        if let Err(source) = storage::check_size("what the run has made", &stored.annotations) {
            let what = "all of it together".to_owned();
            failures.push(Failure::Store { what, backend: Backend::Tekton.into(), source });
        }
        if failures.is_empty() {
            return Ok(stored);
        }
        self.context.keychains.forget(&identity);
        Err(failures)
    }

    async fn keychain(&self, identity: &Identity, is_needed: bool) -> Result<Arc<Keychain>, Failure> {
        if !is_needed {
            return Ok(Arc::default());
        }
        self.context.keychains.get(identity).await.map_err(Failure::Keychain)
    }

    /// One item: into the log first, so that what is stored carries the proof.
    async fn store(
        &self,
        item: Ready,
        log: Option<&Log>,
        storages: &Storages,
        keychain: &Keychain,
    ) -> Result<(Annotations, Option<Entry>), Vec<Failure>> {
        let Ready { mut signed, storage, what } = item;
        let metrics = self.context.metrics.of::<R>();
        let mut entry = None;
        if let Some(log) = log {
            let told = log.upload(&signed).await;
            let told = told.map_err(|source| vec![Failure::Log { what: what.clone(), source }])?;
            metrics.uploaded.inc();
            signed.bundle = Some(told.bundle.clone());
            entry = Some(told);
        }
        let (mut annotations, mut failures) = (Annotations::new(), Vec::new());
        for backend in storage {
            match storages.get(backend).store(&signed, keychain).await {
                Ok(further) => {
                    annotations.extend(further);
                    metrics.stored.inc();
                }
                Err(source) => {
                    failures.push(Failure::Store { what: what.clone(), backend: backend.into(), source });
                }
            }
        }
        if failures.is_empty() { Ok((annotations, entry)) } else { Err(failures) }
    }
}

/// Payloads with signatures, not stored yet.
pub(crate) struct Prepared {
    ready: Vec<Ready>,
    failures: Vec<Failure>,
    /// Whether there are signatures that have to be written down before a log is told.
    pub(crate) progress_is_news: bool,
}

fn content(matter: Matter, signature: Vec<u8>, signer: &dyn Signer) -> Content {
    match matter {
        Matter::Statement { payload, predicate_type, subjects } => {
            let keyid = signer.public_key().key_id().to_owned();
            let envelope = dsse::Envelope {
                payload_type: attest::statement::PAYLOAD_TYPE.to_owned(),
                payload,
                signatures: vec![dsse::Signature { keyid, sig: signature }],
            };
            Content::Statement { envelope, predicate_type, subjects }
        }
        Matter::Image { image, payload } => Content::Image { image, payload, signature },
    }
}
