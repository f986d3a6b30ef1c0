//! What images run by themselves, for steps that name no command (runtime specification, section 2.1, "Entrypoint
//! lookup").
//!
//! A look-up uses the pull secrets of the pod that it is for, and its answer serves pods with the same ones only. The
//! manifest is read anew each time, which proves that they still may; what lies below it cannot change, and is kept by
//! its digest for all.

pub mod pull_secrets;

use std::sync::Arc;
use std::time::Duration;

use fleet::ObjectKey;
use parking_lot::Mutex;
use registry::{Keychain, Platform, Reference};
use tokio::time::{sleep, timeout};

use crate::background::{Looked, Lookups, Wake};
use crate::recent::Recent;
use crate::task_run::decide::Awaited;
use crate::task_run::pod::containers::{Image, Program};

/// Images whose programs are remembered.
const REMEMBERED: usize = 1024;
/// Questions whose answers are remembered.
const QUESTIONS: usize = 4096;
/// Of one look-up.
const LIMIT: Duration = Duration::from_secs(10);
/// A tag may move: pods that are made at the same time share an answer, later ones ask again.
const FRESH_TAG: Duration = Duration::from_secs(5);
/// A digest does not move, but who may read it can change.
const FRESH_DIGEST: Duration = Duration::from_mins(5);
/// What is missing is looked for once more, after this long: it may have been pushed a moment ago.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// Looks images up. Cheap to clone.
#[derive(Clone)]
pub struct Images {
    registry: registry::Client,
    client: kube::Client,
    lookups: Lookups<Question, Answer>,
    programs: Arc<Mutex<Recent<Reference, Arc<registry::Image>>>>,
}

/// An image as the pods of one account see it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question {
    namespace: String,
    account: String,
    /// Of the pod template.
    pull_secrets: Vec<String>,
    reference: Reference,
}

#[derive(Clone, Debug)]
enum Answer {
    Found(Arc<Image>),
    Failed(String),
    NotNow,
}

impl Images {
    /// `wake` is called with the key of who asked, when there is an answer.
    pub fn new(registry: registry::Client, client: kube::Client, wake: Wake) -> Self {
        Self {
            registry,
            client,
            lookups: Lookups::new(QUESTIONS, wake),
            programs: Arc::new(Mutex::new(Recent::new(REMEMBERED))),
        }
    }

    /// What `reference` runs, for a pod of `account` with these pull secrets in its template. Never waits: `asker` is
    /// woken.
    pub fn get(
        &self,
        asker: &ObjectKey,
        namespace: &str,
        account: &str,
        pull_secrets: &[String],
        reference: &str,
    ) -> Awaited<Image> {
        let reference = match reference.parse::<Reference>() {
            Ok(reference) => reference,
            Err(error) => return Awaited::Failed(format!("[User error] {error}")),
        };
        let question = Question {
            namespace: namespace.to_owned(),
            account: account.to_owned(),
            pull_secrets: pull_secrets.to_vec(),
            reference,
        };
        let look = || {
            let (images, question) = (self.clone(), question.clone());
            async move { images.look(question).await }
        };
        match self.lookups.ask(&question, asker, look) {
            Some(Answer::Found(image)) => Awaited::Ready(Image::clone(&image)),
            Some(Answer::Failed(why)) => Awaited::Failed(why),
            Some(Answer::NotNow) | None => Awaited::Later,
        }
    }

    async fn look(self, question: Question) -> Looked<Answer> {
        let reference = &question.reference;
        let mut found = timeout(LIMIT, self.find(&question)).await;
        if matches!(&found, Ok(Err(Failure::Registry(error))) if is_missing(error)) {
            sleep(SECOND_LOOK).await;
            found = timeout(LIMIT, self.find(&question)).await;
        }
        let fresh = if reference.digest().is_some() { FRESH_DIGEST } else { FRESH_TAG };
        let not_now = |why: &dyn std::fmt::Display, after| {
            tracing::warn!(namespace = question.namespace, image = %reference, error = %why, "Image could not be looked up");
            Looked::NotNow { answer: Answer::NotNow, after }
        };
        match found {
            Ok(Ok(image)) => Looked::Known { answer: Answer::Found(Arc::new(image)), fresh },
            Ok(Err(Failure::Registry(error))) if error.is_transient() => {
                let now = fleet::Clock::system().now();
                let wait = error.retry_at().map(|at| Duration::try_from(at.duration_since(now)));
                not_now(&error, wait.and_then(Result::ok).unwrap_or_default())
            }
            Ok(Err(Failure::Registry(error))) => {
                let why = format!(
                    "[User error] the command of image {:?} cannot be looked up: {error}; name the command in the step if the image cannot be read from here",
                    reference.to_string()
                );
                Looked::Known { answer: Answer::Failed(why), fresh: FRESH_TAG }
            }
            Ok(Err(Failure::Api(error))) => not_now(&error, Duration::ZERO),
            Err(late) => not_now(&late, Duration::ZERO),
        }
    }

    async fn find(&self, question: &Question) -> Result<Image, Failure> {
        let Question { namespace, account, pull_secrets, reference } = question;
        let keychain =
            pull_secrets::keychain(&self.client, namespace, Some(account.as_str()), pull_secrets).await?;
        let manifest = self.registry.manifest(reference, &keychain).await?;
        let programs = self.programs(&manifest, &keychain).await?;
        let program = |program: &registry::Program| Program {
            entrypoint: program.entrypoint.clone(),
            command: program.command.clone(),
        };
        let platforms = programs.platforms.iter();
        Ok(Image {
            reference: manifest.reference.to_string(),
            platforms: platforms.map(|(platform, found)| (platform.to_string(), program(found))).collect(),
        })
    }

    async fn programs(
        &self,
        manifest: &registry::Manifest,
        keychain: &Keychain,
    ) -> Result<Arc<registry::Image>, registry::Error> {
        if let Some(known) = self.programs.lock().get(&manifest.reference) {
            return Ok(known);
        }
        // Steps run on Linux only.
        let is_wanted = |platform: &Platform| platform.os == "linux";
        let image = Arc::new(self.registry.image(manifest, is_wanted, keychain).await?);
        self.programs.lock().put(manifest.reference.clone(), Arc::clone(&image));
        Ok(image)
    }
}

/// Whether a registry says that there is no such thing, which it also says to those who may not know.
fn is_missing(error: &registry::Error) -> bool {
    matches!(error, registry::Error::NotFound { .. } | registry::Error::Unauthorized { .. })
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Registry(#[from] registry::Error),
    #[error("its pull secrets cannot be read: {0}")]
    Api(#[from] kube::Error),
}

#[cfg(test)]
mod tests;
