//! Tells the archive the state of a run: its Result, then its Record.
//!
//! ```text
//! nothing known ─▶ create ─ there already ─▶ get ─ same, or newer ─▶ done
//!                                             └─▶ update with etag ─ another was faster ─▶ get
//! ```
//! What the archive answered is remembered with its etag, so that the next state is one call.

mod record;
mod result;

use std::time::Duration;

use fleet::ObjectKey;
use kube::{Api, Client, ResourceExt as _};
use tokio::time::timeout;
use tonic::Code;

use crate::document;
use crate::memory::Memories;
use crate::names::Place;
use crate::remote::{self, Remote};
use crate::run::{Kind, Run};
use crate::summary::Said;

/// How often something is tried anew because somebody else wrote to it.
const CONFLICTS: u32 = 8;

/// Why a state was not archived.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Remote(#[from] remote::Error),
    #[error("read {what}")]
    Read { what: String, source: kube::Error },
    /// Its deletion, or a newer state, is on its way here.
    #[error("{what} has changed while it was archived")]
    Changed { what: String },
    #[error("the results API did not answer within {} seconds", PATIENCE.as_secs())]
    Late,
}

/// How long all calls about one state may take together.
const PATIENCE: Duration = Duration::from_mins(1);

/// One look at one run.
pub(crate) struct Archive<'a, K> {
    pub(crate) remote: &'a Remote,
    pub(crate) client: &'a Client,
    pub(crate) memories: &'a Memories,
    pub(crate) key: &'a ObjectKey,
    pub(crate) run: &'a Run<K>,
    pub(crate) place: &'a Place,
}

impl<K: Kind> Archive<'_, K> {
    /// Archives the state of the run, unless the archive has it or a newer one.
    pub(crate) async fn store(&self, said: &Said) -> Result<(), Error> {
        timeout(PATIENCE, self.store_now(said)).await.map_err(|_| Error::Late)?
    }

    async fn store_now(&self, said: &Said) -> Result<(), Error> {
        if self.place.is_top_level {
            self.summarise(said).await?;
        }
        let etag = match self.keep().await {
            // The PipelineRun that it belongs to was not archived yet.
            Err(Error::Remote(error)) if is_without_result(&error) => {
                // Nor is it, if somebody has deleted it since.
                self.remember(|memory| memory.result = None);
                self.result(said).await?;
                self.keep().await?
            }
            kept => kept?,
        };
        self.remember(|memory| memory.etag = Some(etag));
        Ok(())
    }

    fn memory(&self) -> crate::memory::Memory {
        self.memories.of(self.key, self.run.uid_text())
    }

    fn remember(&self, change: impl FnOnce(&mut crate::memory::Memory)) {
        self.memories.change(self.key, self.run.uid_text(), change);
    }

    /// The run as text. `archived` is what the archive has, for a run of which the store has let go.
    async fn text(&self, archived: Option<&Run<K>>) -> Result<Vec<u8>, Error> {
        let archived = archived.filter(|archived| archived.rest_digest == self.run.rest_digest);
        if let Some(rest) = self.run.rest.as_ref().or(archived.and_then(|archived| archived.rest.as_ref())) {
            return Ok(document::text(self.run, rest));
        }
        let what = || format!("{} {}", K::kind(&()), self.key);
        let api: Api<Run<K>> = Api::namespaced(self.client.clone(), &self.key.namespace);
        let read = api.get_opt(&self.key.name).await;
        let read = read.map_err(|source| Error::Read { what: what(), source })?;
        match read.filter(|read| read.uid() == self.run.uid() && read.digest() == self.run.digest()) {
            Some(read) => Ok(document::text(&read, read.rest.as_deref().unwrap_or("{}"))),
            None => Err(Error::Changed { what: what() }),
        }
    }
}

/// Whether a Record was refused because its Result is not there.
fn is_without_result(error: &remote::Error) -> bool {
    matches!(error.code(), Code::NotFound | Code::FailedPrecondition)
}
