//! The shell around [`decide`](mod@crate::decide): the same for TaskRuns and PipelineRuns.

use std::sync::Arc;
use std::time::Duration;

use fleet::controller::Waker;
use fleet::{Class, Classed, Event, ObjectKey, Store, Wake, WriteError};
use kube::ResourceExt as _;

use crate::archive::{self, Archive};
use crate::decide::{Children, Next, Observed, decide};
use crate::log::{self, Source};
use crate::memory::{LogOutcome, Memories, Memory};
use crate::names::{Place, log_uid};
use crate::run::{Kind, Run};
use crate::service::Context;
use crate::summary::Said;

/// More steps than any run needs: what goes on after them waits a little.
const STEPS: usize = 16;

/// Why a look at a run did not end well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Archive(#[from] archive::Error),
    #[error(transparent)]
    Log(#[from] log::Error),
}

impl Classed for Error {
    fn class(&self) -> Class {
        match self {
            // What the kit would leave alone, such as a refusal by admission, keeps a run for ever here: it is tried again.
            Self::Write(error) if error.class() == Class::Wait => Class::Retry,
            Self::Write(error) => error.class(),
            Self::Archive(archive::Error::Remote(error)) => error.class(),
            Self::Archive(_) | Self::Log(_) => Class::Retry,
        }
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Write(error) => error.label(),
            Self::Archive(_) => "NotArchived",
            Self::Log(error) => error.label(),
        }
    }
}

/// What the controllers of one kind share.
pub(crate) struct Part<K> {
    pub(crate) store: Store<Run<K>>,
    pub(crate) memories: Memories,
    /// Wakes who looks at runs.
    pub(crate) runs: Waker,
    /// Wakes who stores their logs.
    pub(crate) logs: Waker,
}

/// One look at one run.
struct Look<'a, K> {
    context: &'a Context,
    part: &'a Part<K>,
    key: &'a ObjectKey,
    run: Arc<Run<K>>,
    place: Place,
}

/// Does what comes next about a run until nothing does.
pub(crate) async fn reconcile<K: Kind>(
    context: &Context,
    part: &Part<K>,
    key: &ObjectKey,
    children: impl Fn(&Run<K>) -> Children,
) -> Result<Wake, Error> {
    for _ in 0..STEPS {
        let Some(look) = Look::at(context, part, key) else {
            part.memories.forget(key);
            return Ok(Wake::OnChange);
        };
        if let Some(wake) = Box::pin(look.step(children(&look.run))).await? {
            return Ok(wake);
        }
    }
    Ok(Wake::After(Duration::from_secs(1)))
}

/// Stores the log of a run, and has it looked at again.
pub(crate) async fn store_log<K: Kind>(
    context: &Context,
    part: &Part<K>,
    key: &ObjectKey,
    source: impl Fn(&Run<K>) -> Source,
) -> Result<Wake, Error> {
    let Some(look) = Look::at(context, part, key) else { return Ok(Wake::OnChange) };
    let memory = look.memory();
    // What woke this may be settled by now.
    if memory.log_since.is_none() || memory.log.is_some() || !look.run.is_done() {
        return Ok(Wake::OnChange);
    }
    let result = look.archive().result(&Said::of(&look.run)).await?;
    let log = log_uid(&result.uid, look.run.uid_text());
    let stored =
        log::store(&context.remote, &look.place, &look.run, log, &source(&look.run), context.stall).await;
    let outcome = match stored {
        Ok(outcome) => outcome,
        Err(error) => {
            let why = fleet::controller::chain(&error);
            let event =
                Event::warning(&*look.run, "LogNotStored", "StoreLog", format!("{why}; it is tried again"));
            context.writer.apply(&[event.into()]).await?;
            return Err(error.into());
        }
    };
    look.remember(|memory| memory.log = Some(outcome));
    part.runs.wake(key.clone());
    Ok(Wake::OnChange)
}

impl<'a, K: Kind> Look<'a, K> {
    fn at(context: &'a Context, part: &'a Part<K>, key: &'a ObjectKey) -> Option<Self> {
        let run = part.store.get(key)?;
        let place = Place::of(&run, context.result_above(&run));
        Some(Self { context, part, key, run, place })
    }

    fn memory(&self) -> Memory {
        self.part.memories.of(self.key, self.run.uid_text())
    }

    fn remember(&self, change: impl FnOnce(&mut Memory)) {
        self.part.memories.change(self.key, self.run.uid_text(), change);
    }

    fn archive(&self) -> Archive<'_, K> {
        Archive {
            remote: &self.context.remote,
            client: &self.context.client,
            memories: &self.part.memories,
            key: self.key,
            run: &self.run,
            place: &self.place,
        }
    }

    /// Decides, and does it. `None`: there may be more to do.
    async fn step(&self, children: Children) -> Result<Option<Wake>, Error> {
        let Self { context, run, .. } = self;
        let (now, memory) = (context.clock.now(), self.memory());
        let seen =
            Observed { now, run, place: &self.place, memory: &memory, children, settings: &context.settings };
        match decide(&seen) {
            Next::Rest(hold, wake) => {
                tracing::debug!(?hold, "Nothing to do now");
                return Ok(Some(wake));
            }
            Next::Hold(write) => {
                context.writer.apply(&[write]).await?;
                self.tell_refused().await?;
            }
            Next::Archive => return Box::pin(self.store(&memory)).await,
            Next::Log => {
                let since = *memory.log_since.as_ref().unwrap_or(&now);
                self.remember(|memory| memory.log_since = Some(since));
                self.part.logs.wake(self.key.clone());
                let limit = run.deleted_at().unwrap_or(since).min(since) + context.settings.store_deadline;
                return Ok(Some(Wake::At(limit)));
            }
            Next::NoLog(why) => {
                let event = Event::warning(&**run, "LogLost", "StoreLog", why);
                context.writer.apply(&[event.into()]).await?;
                self.remember(|memory| {
                    memory.log = Some(LogOutcome { name: None, missing: Some(why.to_owned()) });
                });
            }
            Next::Mark(write) => {
                let is_first = !run.says_stored();
                context.writer.apply(&[write]).await?;
                if is_first {
                    context.metrics.stored(run, now);
                }
            }
            Next::Delete(write) => {
                context.writer.apply(&[write]).await?;
                context.metrics.deleted(run, now);
                tracing::info!(kind = %K::kind(&()), namespace = self.key.namespace, name = self.key.name, "Deleted what is archived");
            }
            Next::Release { write, is_archived } => {
                context.writer.apply(&[write]).await?;
                if !is_archived {
                    self.tell_lost().await?;
                }
            }
        }
        Ok(None)
    }

    async fn store(&self, memory: &Memory) -> Result<Option<Wake>, Error> {
        let said = Said::of(&self.run);
        let stored = self.archive().store(&said).await;
        let (now, digest) = (self.context.clock.now(), self.run.digest());
        self.remember(|memory| {
            memory.failed = stored.is_err();
            memory.archived_at = Some(now);
            if stored.is_ok() {
                memory.archived = Some(digest);
            }
        });
        if memory.archived.is_none() {
            for fault in said.faults {
                let event = Event::warning(&*self.run, "InvalidAnnotation", "Archive", fault);
                self.context.writer.apply(&[event.into()]).await?;
            }
        }
        match stored {
            Ok(()) => Ok(None),
            Err(archive::Error::Remote(error)) if error.is_permanent() => {
                let note = format!("{error}; it stays until it can be archived");
                let event = Event::warning(&*self.run, "NotArchived", "Archive", note);
                self.context.writer.apply(&[event.into()]).await?;
                // Nobody but the deadline of its deletion changes that.
                let deadline = self.run.deleted_at().map(|at| at + self.context.settings.store_deadline);
                Ok(Some(deadline.map_or(Wake::OnChange, Wake::At)))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn tell_refused(&self) -> Result<(), Error> {
        let Some(text) = &self.place.refused else { return Ok(()) };
        let note = format!(
            "annotation {}: {text:?} names no Result of this namespace (<namespace>/results/<name>); it is in {} instead",
            crate::keys::RESULT,
            self.place.result
        );
        let event = Event::warning(&*self.run, "InvalidAnnotation", "Archive", note);
        Ok(self.context.writer.apply(&[event.into()]).await?)
    }

    async fn tell_lost(&self) -> Result<(), Error> {
        self.context.metrics.not_stored(&self.run);
        tracing::error!(kind = %K::kind(&()), namespace = self.key.namespace, name = self.run.name_any(), "Let go before it was archived");
        let note = "it was deleted and could not be archived in time";
        let event = Event::warning(&*self.run, "NotArchived", "Release", note);
        Ok(self.context.writer.apply(&[event.into()]).await?)
    }
}
