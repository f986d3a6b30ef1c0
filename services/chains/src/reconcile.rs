//! The shell around [`decide`](mod@crate::decide): the same for TaskRuns and PipelineRuns.

use std::sync::Arc;

use fleet::{Class, Classed, Decision, Event, ObjectKey, Store, Wake, WriteError};
use kube::{Api, ResourceExt as _};

use crate::attempts::{Attempt as Memory, Attempts};
use crate::config::Config;
use crate::decide::{self, Children, Hold, Next, Observed};
use crate::progress::Progress;
use crate::record::Record;
use crate::retry;
use crate::run::Run;
use crate::service::Context;
use crate::sign::{self, Failure, Stored, Target};

/// How often a record is tried again because somebody else wrote to the run.
const CONFLICTS: u32 = 5;

/// Why a look at a run did not end well.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub(crate) enum Error {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("read {what}")]
    Read { what: String, source: kube::Error },
    #[error("signing failed: {0}")]
    Failed(String),
    #[error("signing was given up: {0}")]
    GivenUp(String),
}

impl Classed for Error {
    fn class(&self) -> Class {
        match self {
            // What the kit would leave alone, such as a refusal by admission, stalls a tenant here: it is tried again.
            Self::Write(error) if error.class() == Class::Wait => Class::Retry,
            Self::Write(error) => error.class(),
            Self::Read { .. } | Self::Failed(_) => Class::Retry,
            Self::GivenUp(_) => Class::Wait,
        }
    }

    fn label(&self) -> &'static str {
        self.into()
    }
}

/// One look at one run.
pub(crate) struct Look<'a, R> {
    pub(crate) context: &'a Context,
    pub(crate) key: &'a ObjectKey,
    pub(crate) run: &'a Arc<R>,
    pub(crate) store: &'a Store<R>,
    pub(crate) attempts: &'a Attempts,
}

/// What is left to do after the decision.
pub(crate) enum Step {
    /// Nothing, until then.
    Rest(Wake),
    Sign(Arc<Config>),
}

impl<R: Run> Look<'_, R> {
    /// Decides, and carries out what needs no signing.
    pub(crate) async fn decide(&self, children: Children) -> Result<Step, Error> {
        let config = self.context.config();
        let seen = Observed {
            now: self.context.clock.now(),
            run: &**self.run,
            children,
            is_configured: config.is_some(),
            not_before: self.memory().not_before,
        };
        match (decide::decide(&seen), config) {
            (Next::Sign, Some(config)) => match self.memory().unrecorded {
                Some(record) => self.record(&record).await.map(|()| Step::Rest(self.settled())),
                None => Ok(Step::Sign(config)),
            },
            (Next::Sign, None) => Ok(Step::Rest(Wake::OnChange)),
            (Next::Rest(decision), _) => self.rest(&decision).await.map(Step::Rest),
        }
    }

    async fn rest(&self, decision: &Decision<Hold>) -> Result<Wake, Error> {
        tracing::debug!(hold = ?decision.hold, "Nothing to sign now");
        self.context.writer.apply(&decision.writes).await?;
        match decision.hold {
            Some(Hold::GivenUp) => {
                self.context.metrics.of::<R>().failed("given_up");
                self.settled();
            }
            Some(Hold::Settled) => {
                self.settled();
            }
            _ => {}
        }
        Ok(decision.wake)
    }

    fn memory(&self) -> Memory {
        self.attempts.of(self.key, &self.uid())
    }

    fn uid(&self) -> String {
        self.run.uid().unwrap_or_default()
    }

    /// Nothing more is to be remembered of the run.
    fn settled(&self) -> Wake {
        self.attempts.forget(self.key);
        Wake::OnChange
    }

    /// Makes one attempt at signing, and writes down how it ended.
    pub(crate) async fn sign(&self, config: &Config, target: &Target<'_>) -> Result<Wake, Error> {
        let progress = Progress::of(&**self.run);
        let mut attempt = sign::Attempt { context: self.context, config, run: &**self.run, progress };
        let prepared = attempt.prepare(target).await;
        if prepared.progress_is_news {
            self.record(&Record::underway(&attempt.progress)).await?;
        }
        match attempt.finish(prepared).await {
            Ok(stored) => self.signed(stored).await,
            Err(failures) => Box::pin(self.failed(&failures, attempt.progress)).await,
        }
    }

    async fn signed(&self, stored: Stored) -> Result<Wake, Error> {
        let record = Arc::new(Record::signed(stored.annotations, stored.log));
        if let Err(error) = self.record(&record).await {
            // It need not be signed again for that.
            self.attempts.unrecorded(self.key, &self.uid(), record);
            return Err(error);
        }
        self.context.metrics.of::<R>().marked.inc();
        Ok(self.settled())
    }

    async fn failed(&self, failures: &[Failure], mut progress: Progress) -> Result<Wake, Error> {
        let why = sign::told(failures);
        for failure in failures {
            self.context.metrics.of::<R>().failed(failure.label());
        }
        let now = self.context.clock.now();
        let since = *progress.since.get_or_insert(now);
        let memory = self.memory();
        let window = self.context.args.retry_window;
        let next = if failures.iter().all(Failure::is_permanent) {
            retry::Next::GiveUp
        } else {
            retry::next(now, since, window, memory.failures, spread(&self.uid()))
        };
        match next {
            retry::Next::Again { retries, at } => {
                let record = Record::failing(retries, &progress);
                self.attempts.failed(self.key, &self.uid(), at);
                Box::pin(self.tell(&record, decide::failure(&**self.run, &why, false))).await?;
                Err(Error::Failed(why))
            }
            retry::Next::GiveUp => {
                Box::pin(self.tell(&Record::failed(&why), decide::failure(&**self.run, &why, true))).await?;
                self.context.metrics.of::<R>().failed("given_up");
                self.settled();
                Err(Error::GivenUp(why))
            }
        }
    }

    async fn tell(&self, record: &Record, event: Event) -> Result<(), Error> {
        self.record(record).await?;
        Ok(self.context.writer.apply(&[event.into()]).await?)
    }

    /// Writes a record on the run as it is now: somebody else's write in between is no reason to sign again.
    async fn record(&self, record: &Record) -> Result<(), Error> {
        // An earlier record of this look is in the store.
        let newest = self.store.get(self.key).filter(|run| run.uid() == self.run.uid());
        let mut run = newest.unwrap_or_else(|| Arc::clone(self.run));
        let mut conflicts = 0;
        loop {
            let Some(write) = record.write(&*run) else { return Ok(()) };
            match self.context.writer.apply(&[write]).await {
                Err(error) if is_conflict(&error) && conflicts < CONFLICTS => conflicts += 1,
                outcome => return Ok(outcome?),
            }
            match self.read().await? {
                Some(now) => run = Arc::new(now),
                None => return Ok(()),
            }
        }
    }

    /// This very run, as the API server has it.
    async fn read(&self) -> Result<Option<R>, Error> {
        let api: Api<R> = Api::namespaced(self.context.client.clone(), &self.key.namespace);
        let read = api.get_opt(&self.key.name).await;
        let read =
            read.map_err(|source| Error::Read { what: format!("{} {}", R::kind(&()), self.key), source })?;
        Ok(read.filter(|run| run.uid() == self.run.uid()))
    }
}

fn is_conflict(error: &WriteError) -> bool {
    matches!(error, WriteError::Refused { source: kube::Error::Api(status), .. } if status.is_conflict())
}

/// A number that differs from run to run.
fn spread(uid: &str) -> u8 {
    uid.bytes().fold(0, |sum: u8, byte| sum.wrapping_mul(31).wrapping_add(byte))
}
